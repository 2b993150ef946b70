//! A report that is small enough to check by hand.
use std::collections::BTreeMap;

use cribble_core::*;

/// Counts of names.
pub fn counted(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect()
}

fn step(name: &str, counts: Counts, seconds: f64, details: Details) -> StepReport {
    let kind = name.split_once('-').map_or("", |(_, kind)| kind).to_owned();
    StepReport { step: name.into(), kind, counts, seconds, details, ..StepReport::default() }
}

/// 10,000 rows, a filter with errors, a dedup, a cluster and a prune step. Everything adds up.
pub fn small() -> RunReport {
    let filter = Counts {
        seen: 10_000,
        kept: 8_000,
        dropped: counted(&[("too_small", 1_200), ("where", 797)]),
        errors: counted(&[("bad_value", 3)]),
    };
    let dedup =
        Counts { seen: 8_000, kept: 7_999, dropped: counted(&[("duplicate", 1)]), errors: counted(&[]) };
    let cluster = Counts { seen: 7_999, kept: 7_999, ..Counts::default() };
    let prune =
        Counts { seen: 7_999, kept: 500, dropped: counted(&[("over_quota", 7_499)]), errors: counted(&[]) };
    let dedup_details = DedupDetails {
        epsilon: 0.05,
        cells: 37,
        probe: 2,
        largest_cell: 611,
        pairs_compared: 123_456,
        groups: 77,
        curve: vec![
            CurvePoint { epsilon: 0.01, kept: 7_999 },
            CurvePoint { epsilon: 0.05, kept: 7_998 },
            CurvePoint { epsilon: 0.1, kept: 6_543 },
        ],
        recall: Some(Recall { sampled: 512, duplicates: 49, found: 48 }),
    };
    let sizes = [(10, 10), (100, 100), (1_000, 390), (6_889, 0)];
    let cluster_details = ClusterDetails {
        k: 4,
        train_rows: 6_000,
        available_rows: 7_999,
        dim: 768,
        mean_sim: 0.8125,
        empty: 1,
        elbow: vec![
            ElbowPoint { k: 2, mean_dist: 0.4321, chosen: false },
            ElbowPoint { k: 4, mean_dist: 0.1875, chosen: true },
        ],
        iterations: vec![0.5, 0.75, 0.8125],
        clusters: sizes
            .map(|(size, _)| ClusterFigures { size, d_intra: 0.1234, d_inter: 0.5678, complexity: 0.07007 })
            .to_vec(),
    };
    let prune_details = PruneDetails {
        method: "density".into(),
        targets: vec![
            PruneTarget {
                label: "500".into(),
                target: 500,
                kept: 500,
                lambda: 57.38,
                subset: "subset.npy".into(),
            },
            PruneTarget {
                label: "0.3".into(),
                target: 2_400,
                kept: 2_400,
                lambda: -60.68,
                subset: "subset-0.3.npy".into(),
            },
        ],
        quotas: sizes.map(|(size, quota)| QuotaFigures { size, share: 0.2447, quota }).to_vec(),
    };
    let mut steps = vec![
        step("01-filter", filter, 0.5, Details::None),
        step("02-dedup", dedup, 12.4, Details::Dedup(dedup_details)),
        step("03-cluster", cluster, 185.0, Details::Cluster(cluster_details)),
        step("04-prune", prune, 0.0, Details::Prune(prune_details)),
    ];
    steps[2].notes.push("trained on 6,000 of 7,999 rows".into());
    steps[2].peak_memory_bytes = 3 << 29;
    RunReport {
        schema_version: 1,
        program_version: "0.1.0-test".into(),
        input: InputReport {
            path: "pool/metadata".into(),
            layout: "datacomp".into(),
            shards: 12,
            rows: 10_000,
            fingerprint: "0123456789abcdef".into(),
        },
        selection: SelectionReport {
            seen: 10_000,
            kept: 500,
            dropped_by: counted(&[("01-filter", 2_000), ("02-dedup", 1), ("04-prune", 7_499)]),
            decided: 0,
        },
        steps,
        planted: Some(serde_json::json!({"byte_copy": {"planted": 400, "found": 399}})),
        seconds: 201.0,
        peak_memory_bytes: 3 << 29,
        memory_limit_bytes: 1 << 31,
        threads: 2,
    }
}

/// A sample with a caption and a picture.
pub fn sample(text: &str) -> GallerySample {
    GallerySample {
        text: Some(text.into()),
        image: Some("data:image/png;base64,AAAA".into()),
        ..GallerySample::default()
    }
}

/// The uid of the sample with this number.
pub fn uid(number: u64) -> String {
    format!("{number:032x}")
}

/// Samples that fit to [`small`]: a strip of two kept and one duplicate, a judged cluster and one that nobody judged, a group, two captions
/// and the ends of a score.
pub fn gallery() -> Gallery {
    let mut samples = BTreeMap::from([
        (uid(1), GallerySample { cluster: Some(3), score: Some(0.3125), ..sample("a teapot") }),
        (uid(2), sample("a second teapot")),
        (uid(4), GallerySample { image: None, ..sample("a picture that is gone") }),
    ]);
    let twin = GallerySample {
        dropped_by: Some("02-dedup".into()),
        reason: Some("duplicate".into()),
        duplicate_of: Some(uid(1)),
        max_sim: Some(0.9731),
        ..sample("the teapot again")
    };
    samples.insert(uid(3), twin);
    let strip = |step: Option<&str>, reason: Option<&str>, rows, numbers: &[u64]| Strip {
        step: step.map(Into::into),
        reason: reason.map(Into::into),
        rows,
        uids: numbers.iter().map(|&number| uid(number)).collect(),
    };
    let judged = ClusterCard {
        step: "03-cluster".into(),
        cluster: 3,
        size: 6_889,
        kept: 390,
        quota: Some(390),
        title: "Teapots on tables".into(),
        category: "kitchen".into(),
        verdict: "unacceptable".into(),
        keep: Some(false),
        reason: "all from one shop".into(),
        nearest: vec![(uid(1), 0.9375)],
        farthest: vec![(uid(4), 0.0625)],
    };
    let bare = ClusterCard {
        cluster: 0,
        size: 10,
        kept: 10,
        nearest: vec![(uid(2), 0.5)],
        ..ClusterCard::default()
    };
    let change = |number, before: &str, after: &str, sims: Option<(f32, f32)>| CaptionChange {
        step: "05-caption".into(),
        column: "caption_vlm".into(),
        uid: uid(number),
        before: before.into(),
        after: after.into(),
        before_sim: sims.map(|sims| sims.0),
        after_sim: sims.map(|sims| sims.1),
    };
    Gallery {
        schema_version: 1,
        seed: 7,
        samples,
        strips: vec![strip(Some("02-dedup"), Some("duplicate"), 1, &[3]), strip(None, None, 500, &[1, 2])],
        clusters: vec![judged, bare],
        clusters_in_all: 4,
        groups: vec![DuplicateGroup {
            step: "02-dedup".into(),
            leader: uid(1),
            dropped: 9,
            members: vec![(uid(3), Some(0.9731))],
        }],
        captions: vec![
            change(1, "a red teapot", "a blue teapot on a table", Some((0.25, 0.3125))),
            change(2, "", "a second one", None),
        ],
        scores: vec![ScoreEnds {
            column: "clip_score".into(),
            rows: 9_997,
            lowest: vec![(uid(4), -0.125)],
            highest: vec![(uid(1), 0.3125)],
        }],
        notes: vec!["Pictures are from 200 shards.".into()],
    }
}

/// The page of both.
pub fn page_with(report: &RunReport, gallery: &Gallery) -> String {
    crate::report::render_page(&crate::report::Page {
        report,
        gallery: Some(gallery),
        warnings: &[],
        images: &BTreeMap::new(),
    })
}
