//! Reports that no run should write, but some file may hold: nothing panics, pages stay well-formed, small and offline.
use cribble_core::*;
use proptest::prelude::*;

use super::samples::small;
use super::terminal::without_styles;
use super::well_formed::{assert_offline, read};
use crate::report::{funnel_text, render_html, report_json};

fn clusters(k: usize) -> RunReport {
    let mut report = small();
    for step in &mut report.steps {
        match &mut step.details {
            Details::Cluster(details) => {
                details.k = k as u64;
                let figures = |place: usize| ClusterFigures {
                    size: (place as u64 * 7_919) % 10_007,
                    d_intra: (place % 97) as f64 / 97.0,
                    d_inter: (place % 89) as f64 / 89.0,
                    complexity: 0.1,
                };
                details.clusters = (0..k).map(figures).collect();
            }
            Details::Prune(details) => {
                let figures = |place: usize| QuotaFigures {
                    size: (place as u64 * 7_919) % 10_007,
                    share: 1.0 / k as f64,
                    quota: place as u64 % 50,
                };
                details.quotas = (0..k).map(figures).collect();
            }
            _ => {}
        }
    }
    report
}

#[test]
fn fifty_thousand_clusters_are_few_marks_and_said_so() {
    let html = render_html(&clusters(50_000));
    let page = read(&html);
    assert!(html.len() < 600_000, "{} bytes", html.len());
    let marks = html.matches("<title>").count();
    assert!(marks < 4 * 400 + 50, "{marks} marks");
    assert!(page.text.contains("50,000 clusters are drawn as 400 columns"));
    assert!(page.text.contains("400 of 50,000 clusters are drawn"));
    assert!(page.text.contains("… and 49,800 more rows"));
}

#[test]
fn none_and_one_cluster_are_drawn() {
    for k in [0, 1, 2] {
        let html = render_html(&clusters(k));
        let page = read(&html);
        assert_offline(&page);
        assert!(!page.text.contains("NaN"), "{k}");
    }
}

#[test]
fn thousands_of_reasons_and_a_megabyte_of_text_stay_small() {
    let mut report = small();
    let counts = &mut report.steps[0].counts;
    for reason in 0..5_000u64 {
        counts.dropped.insert(format!("reason {reason:05} {}", "x".repeat(500)), reason);
        counts.errors.insert(format!("code {reason:05}"), 1);
    }
    report.steps[0].notes = vec!["n".repeat(1_000_000); 3];
    report.input.path = "p".repeat(1_000_000);
    let html = render_html(&report);
    read(&html);
    assert!(html.len() < 600_000, "{} bytes", html.len());
    assert!(html.contains("reason 04999") && !html.contains("reason 00001 "), "the largest come first");
    let total: u64 = report.steps[0].counts.dropped_total();
    assert!(html.contains(&crate::report::format::count(total)));
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z_]{1,12}", "\\PC{0,20}", any::<String>()]
}

fn whole() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..100u64, any::<u64>()]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..1.0, proptest::num::f64::ANY]
}

fn names() -> impl Strategy<Value = std::collections::BTreeMap<String, u64>> {
    proptest::collection::btree_map(word(), whole(), 0..5)
}

fn details() -> impl Strategy<Value = Details> {
    use proptest::collection::vec;
    let recall = (whole(), whole(), whole()).prop_map(|(sampled, duplicates, found)| Recall {
        sampled,
        duplicates,
        found,
    });
    let curve = vec((float(), whole()).prop_map(|(epsilon, kept)| CurvePoint { epsilon, kept }), 0..6);
    let dedup = (float(), whole(), whole(), curve, proptest::option::of(recall)).prop_map(
        |(epsilon, cells, groups, curve, recall)| {
            Details::Dedup(DedupDetails {
                epsilon,
                cells,
                probe: groups,
                largest_cell: cells,
                pairs_compared: groups,
                groups,
                curve,
                recall,
            })
        },
    );
    let elbow = vec(
        (whole(), float(), any::<bool>()).prop_map(|(k, mean_dist, chosen)| ElbowPoint {
            k,
            mean_dist,
            chosen,
        }),
        0..6,
    );
    let figures = vec(
        (whole(), float(), float(), float()).prop_map(|(size, d_intra, d_inter, complexity)| {
            ClusterFigures { size, d_intra, d_inter, complexity }
        }),
        0..8,
    );
    let cluster = (whole(), float(), elbow, vec(float(), 0..6), figures).prop_map(
        |(k, mean_sim, elbow, iterations, clusters)| {
            Details::Cluster(ClusterDetails {
                k,
                train_rows: k,
                available_rows: k / 2,
                dim: k,
                mean_sim,
                empty: k,
                elbow,
                iterations,
                clusters,
            })
        },
    );
    let quotas = vec(
        (whole(), float(), whole()).prop_map(|(size, share, quota)| QuotaFigures { size, share, quota }),
        0..8,
    );
    let targets = vec(
        (word(), whole(), float()).prop_map(|(label, target, lambda)| PruneTarget {
            subset: label.clone(),
            label,
            target,
            kept: target,
            lambda,
        }),
        0..3,
    );
    let prune = (word(), targets, quotas)
        .prop_map(|(method, targets, quotas)| Details::Prune(PruneDetails { method, targets, quotas }));
    let embed = (word(), whole(), float(), vec(whole(), 0..101), vec(word(), 0..3)).prop_map(
        |(name, count, mean, scores, embeddings)| {
            Details::Embed(EmbedDetails {
                model: serde_json::json!({ "name": name, "dtype": 7 }),
                dim: count,
                images: count,
                texts: count / 2,
                captions_cut: count,
                mean_score: Some(mean).filter(|mean| mean.is_finite()),
                scores,
                embeddings,
            })
        },
    );
    let captions = vec(
        (word(), whole(), float(), vec(whole(), 0..101)).prop_map(|(column, rows, mean, sims)| {
            RefereeCaption {
                column,
                rows,
                chosen: rows / 2,
                mean_sim: mean,
                mean_window_sim: mean,
                cut: rows,
                sims,
            }
        }),
        0..4,
    );
    let pairs = vec(
        (word(), whole(), vec(whole(), 0..5)).prop_map(|(second, rows, wins)| RefereePair {
            first: "text".into(),
            second,
            rows,
            first_wins: wins.clone(),
            second_wins: wins,
        }),
        0..4,
    );
    let referee = (word(), float(), captions, pairs).prop_map(|(model, mean, captions, pairs)| {
        Details::Referee(RefereeDetails {
            policy: model.clone(),
            model,
            logit_scale: mean,
            threshold: Some(0.25),
            captions,
            pairs,
            mean_before: mean,
            mean_after: mean,
        })
    });
    let caption = (names(), word(), whole(), float(), vec((word(), word()), 0..3)).prop_map(
        |(states, name, total, mean, examples)| {
            let example = |(before, after)| CaptionExample { uid: name.clone(), before, after };
            Details::Caption(CaptionDetails {
                column: name.clone(),
                by: name.clone(),
                prompt: name.clone(),
                states,
                stripped: total,
                mean_chars: mean,
                mean_words: mean,
                examples: examples.into_iter().map(example).collect(),
                usage: Some(ChatUsage {
                    answered: total,
                    cached: total,
                    input_tokens: total,
                    output_tokens: total,
                    cost: mean,
                    p50_seconds: mean,
                    ..ChatUsage::default()
                }),
            })
        },
    );
    let verdict = (word(), whole(), float(), vec(word(), 0..3), proptest::option::of(word())).prop_map(
        |(text, size, agreement, flags, decided_by)| ClusterVerdict {
            cluster: 7,
            size,
            verdict: text.clone(),
            keep: size % 2 == 0,
            title: text.clone(),
            category: text.clone(),
            reason: text.clone(),
            nearest: flags.clone(),
            flags,
            agreement,
            decided_by,
        },
    );
    let judge = (names(), names(), word(), whole(), vec(verdict, 0..4)).prop_map(
        |(clusters, rows, by, votes, verdicts)| {
            Details::Judge(JudgeDetails {
                prompt: by.clone(),
                by,
                votes,
                clusters,
                rows,
                decided: votes,
                verdicts,
                usage: None,
            })
        },
    );
    prop_oneof![Just(Details::None), caption, embed, dedup, cluster, judge, prune, referee]
}

fn step() -> impl Strategy<Value = StepReport> {
    (word(), whole(), whole(), names(), names(), float(), details(), proptest::collection::vec(word(), 0..3))
        .prop_map(|(name, seen, kept, dropped, errors, seconds, details, notes)| StepReport {
            step: name.clone(),
            kind: name,
            counts: Counts { seen, kept, dropped, errors },
            seconds,
            bytes_read: seen,
            bytes_written: kept,
            peak_memory_bytes: kept,
            notes,
            details,
            ..StepReport::default()
        })
}

fn report() -> impl Strategy<Value = RunReport> {
    use proptest::collection::vec;
    (vec(step(), 0..4), (word(), whole(), whole(), names()), float(), whole()).prop_map(
        |(steps, (path, rows, kept, dropped_by), seconds, memory)| RunReport {
            schema_version: 1,
            program_version: path.clone(),
            input: InputReport {
                path: path.clone(),
                layout: path.clone(),
                shards: rows,
                rows,
                fingerprint: path,
            },
            steps,
            selection: SelectionReport { seen: rows, kept, dropped_by, decided: 0 },
            planted: Some(
                serde_json::json!([{"kind": "x", "planted": rows, "found": kept, "share": seconds}]),
            ),
            seconds,
            peak_memory_bytes: memory,
            memory_limit_bytes: rows,
            threads: rows,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_report_renders(report in report(), width in 0usize..200) {
        let page = read(&render_html(&report));
        assert_offline(&page);
        let geometry = page.attributes.iter().filter(|(_, name, _)| ["d", "style", "x", "width", "stroke-width"].contains(&name.as_str()));
        for (_, name, value) in geometry {
            prop_assert!(!value.contains("NaN") && !value.contains("inf"), "{name} {value}");
        }
        let plain = funnel_text(&report, width, false);
        prop_assert_eq!(plain.lines().next().map(|line| line.starts_with("step")), Some(true));
        prop_assert_eq!(without_styles(&funnel_text(&report, width, true)), plain);
    }

    #[test]
    fn any_report_survives_json(report in report()) {
        let text = report_json(&report);
        let back: RunReport = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(report_json(&back), text, "infinities become NaN once, then nothing changes");
        prop_assert_eq!(render_html(&back).len() > 1_000, true);
    }
}
