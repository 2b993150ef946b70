//! Whole steps through the real executor, against brute force and against themselves: other threads, other memory, other cuts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod common;

use std::{collections::BTreeMap, fs};

use common::{Row, files, rows, run, selection, write_input};
use cribble_core::{Details, ErrorKind, StepReport, Uid};

const PLENTY: u64 = 1 << 30;

fn similarity(a: &Row, b: &Row) -> f32 {
    a.vector.iter().zip(&b.vector).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>() as f32
}

fn step(kind: &str, rest: &str) -> String {
    format!("[[step]]\nkind = \"{kind}\"\n{rest}\n")
}

fn kept(out: &std::path::Path) -> Vec<Uid> {
    selection(out).into_iter().filter(|(_, reason)| reason.is_none()).map(|(uid, _)| uid).collect()
}

fn prune_details(reports: &[StepReport]) -> &cribble_core::PruneDetails {
    match &reports.last().unwrap().details {
        Details::Prune(details) => details,
        other => panic!("{other:?}"),
    }
}

#[test]
fn greedy_dedup_in_one_cell_is_the_rule_by_brute_force() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(300, 16, 1);
    let input = write_input(dir.path(), &rows, 70);
    let options = "embedding = \"emb\"\nepsilon = 0.08\nkeep = \"best:score\"\nexact = \"none\"\ncells = 1";
    let reports = run(&input, &dir.path().join("run"), &step("dedup", options), 2, PLENTY).unwrap();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| rows[b].score.total_cmp(&rows[a].score).then(a.cmp(&b)));
    let expected: Vec<Uid> = (0..rows.len())
        .filter(|&row| {
            let place = order.iter().position(|&other| other == row).unwrap();
            !order[..place].iter().any(|&earlier| similarity(&rows[earlier], &rows[row]) > 0.92)
        })
        .map(|row| rows[row].uid)
        .collect();
    assert!(expected.len() < 280 && expected.len() > 100, "the data has duplicates: {}", expected.len());
    assert_eq!(kept(&dir.path().join("run")), expected);
    let Details::Dedup(details) = &reports[0].details else { panic!() };
    assert_eq!(details.pairs_compared, 300 * 299 / 2);
    let point = details.curve.iter().find(|point| point.epsilon == 0.08).unwrap();
    assert_eq!(point.kept, expected.len() as u64);
}

#[test]
fn probing_every_cell_finds_what_one_cell_finds() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(260, 12, 2);
    let input = write_input(dir.path(), &rows, 100);
    for mode in ["greedy", "groups"] {
        let mut results = Vec::new();
        for (name, cells) in [("one", "cells = 1"), ("many", "cells = 6\nprobe = 6")] {
            // The order by a column does not depend on the centroids, so the two must agree.
            let options = format!(
                "embedding = \"emb\"\nepsilon = 0.1\nkeep = \"best:score\"\nexact = \"none\"\nmode = \"{mode}\"\n{cells}"
            );
            let out = dir.path().join(format!("{name}-{mode}"));
            let reports = run(&input, &out, &step("dedup", &options), 2, PLENTY).unwrap();
            if let (Details::Dedup(details), "many") = (&reports[0].details, name) {
                let recall = details.recall.unwrap();
                assert!(recall.duplicates > 10);
                assert_eq!(recall.found, recall.duplicates);
            }
            results.push(selection(&out));
        }
        assert_eq!(results[0], results[1], "{mode}");
    }
}

#[test]
fn groups_are_the_connected_components() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(200, 10, 3);
    let input = write_input(dir.path(), &rows, 64);
    let options = "embedding = \"emb\"\nepsilon = 0.1\nkeep = \"best:score\"\nexact = \"none\"\nmode = \"groups\"\ncells = 1";
    run(&input, &dir.path().join("run"), &step("dedup", options), 1, PLENTY).unwrap();
    let mut group: Vec<usize> = (0..rows.len()).collect();
    loop {
        let mut changed = false;
        for a in 0..rows.len() {
            for b in 0..a {
                if similarity(&rows[a], &rows[b]) > 0.9 && group[a] != group[b] {
                    let low = group[a].min(group[b]);
                    (group[a], group[b]) = (low, low);
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    let mut best: BTreeMap<usize, usize> = BTreeMap::new();
    for row in 0..rows.len() {
        let place = best.entry(group[row]).or_insert(row);
        if rows[row].score > rows[*place].score {
            *place = row;
        }
    }
    let mut expected: Vec<usize> = best.into_values().collect();
    expected.sort_unstable();
    assert!(expected.len() < 190);
    assert_eq!(kept(&dir.path().join("run")), expected.iter().map(|&row| rows[row].uid).collect::<Vec<_>>());
}

#[test]
fn the_whole_chain_is_the_same_for_any_threads_memory_and_resume() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(900, 16, 4);
    let input = write_input(dir.path(), &rows, 250);
    let steps = step("filter", "where = \"score > 0.05\"")
        + &step("dedup", "embedding = \"emb\"\nepsilon = [0.05, 0.1]\ncells = 8\nprobe = 2")
        + &step("cluster", "embedding = \"emb\"\nk = [4, 8, 16]\ntrain_rows = 300")
        + &step("prune", "fraction = [0.4, 0.2]");
    let one = dir.path().join("one");
    let reports = run(&input, &one, &steps, 1, PLENTY).unwrap();
    for report in &reports {
        assert!(report.counts.adds_up());
    }
    let target = prune_details(&reports).targets[0].target;
    assert_eq!(target, (0.4 * reports[2].counts.kept as f64) as u64);
    assert_eq!(reports[3].counts.kept, target);
    let reference = files(&one);
    assert!(reference.contains_key("subset.npy") && reference.contains_key("subset-0.2.npy"));
    // A megabyte makes buckets of single cells and the path for cells that do not fit.
    for (name, threads, memory) in [("two", 2, PLENTY), ("tight", 2, 1 << 20)] {
        let out = dir.path().join(name);
        run(&input, &out, &steps, threads, memory).unwrap();
        let found = files(&out);
        assert_eq!(found.keys().collect::<Vec<_>>(), reference.keys().collect::<Vec<_>>(), "{name}");
        for (file, bytes) in &found {
            assert!(bytes == &reference[file], "{name}: {file} differs");
        }
    }
    // Run again: everything is complete. Then the last step only.
    let again = run(&input, &one, &steps, 2, PLENTY).unwrap();
    assert_eq!(again, reports, "reports of complete steps are read back");
    fs::remove_file(one.join("subset.npy")).unwrap();
    run(&input, &one, &steps, 2, PLENTY).unwrap();
    assert!(files(&one) == reference);
}

#[test]
fn prune_keeps_exactly_the_target_for_every_fraction_and_order() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(400, 12, 5);
    let input = write_input(dir.path(), &rows, 400);
    let cluster = step("cluster", "embedding = \"emb\"\nk = 10");
    for (index, options) in [
        "fraction = 0",
        "fraction = 1",
        "fraction = 0\nkeep = \"easy\"",
        "fraction = 0.29\nkeep = \"easy\"",
        "count = 3",
        "fraction = 0.5\ndensity = \"uniform\"",
        "fraction = 0.5\ndensity = \"size\"\nbalance = 0.5",
        "fraction = 0.3\nmethod = \"prototypes\"",
        "fraction = 0.3\nmethod = \"prototypes\"\nscope = \"cluster\"\nkeep = \"easy\"",
        "fraction = 0.3\nmethod = \"random\"",
    ]
    .iter()
    .enumerate()
    {
        let out = dir.path().join(format!("run{index}"));
        let reports = run(&input, &out, &(cluster.clone() + &step("prune", options)), 2, PLENTY).unwrap();
        let target = &prune_details(&reports).targets[0];
        let expected =
            if options.contains("count") { 3 } else { (target.label.parse::<f64>().unwrap() * 400.0) as u64 };
        assert_eq!((target.target, reports[1].counts.kept), (expected, expected), "{options}");
        assert_eq!(kept(&out).len() as u64, expected);
    }
}

#[test]
fn hard_and_easy_prototypes_are_the_two_ends_of_one_order() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(120, 8, 6);
    let input = write_input(dir.path(), &rows, 50);
    let cluster = step("cluster", "embedding = \"emb\"\nk = 4");
    let prune = |keep: &str| {
        cluster.clone() + &step("prune", &format!("method = \"prototypes\"\ncount = 60\nkeep = \"{keep}\""))
    };
    let (hard, easy) = (dir.path().join("hard"), dir.path().join("easy"));
    run(&input, &hard, &prune("hard"), 2, PLENTY).unwrap();
    run(&input, &easy, &prune("easy"), 2, PLENTY).unwrap();
    let mut all = kept(&hard);
    all.extend(kept(&easy));
    all.sort_unstable();
    let mut expected: Vec<Uid> = rows.iter().map(|row| row.uid).collect();
    expected.sort_unstable();
    assert_eq!(all, expected);
}

#[test]
fn exact_duplicates_keep_the_first_or_the_best() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(150, 8, 7);
    let input = write_input(dir.path(), &rows, 40);
    let same: Vec<usize> =
        (0..rows.len()).filter(|&r| rows[r].sha256.as_deref().unwrap().ends_with("0007")).collect();
    assert!(same.len() > 3);
    let best = *same.iter().max_by(|&&a, &&b| rows[a].score.total_cmp(&rows[b].score)).unwrap();
    for (name, options, stays) in [("first", "", same[0]), ("best", "keep = \"best:score\"", best)] {
        let out = dir.path().join(name);
        let reports = run(&input, &out, &step("dedup", options), 2, PLENTY).unwrap();
        assert_eq!(reports[0].counts.dropped["exact duplicate"], same.len() as u64 - 1);
        let left: Vec<Uid> =
            kept(&out).into_iter().filter(|uid| same.iter().any(|&row| rows[row].uid == *uid)).collect();
        assert_eq!(left, [rows[stays].uid], "{name}");
    }
}

#[test]
fn vectors_without_direction_are_errors_with_a_row_each() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = rows(60, 8, 8);
    rows[3].vector = vec![0.0; 8];
    rows[41].vector[2] = f32::NAN;
    let input = write_input(dir.path(), &rows, 25);
    for (name, kind) in [("dedup", "dedup"), ("cluster", "cluster")] {
        let out = dir.path().join(name);
        let rest = if kind == "cluster" {
            "embedding = \"emb\"\nk = 3"
        } else {
            "embedding = \"emb\"\nexact = \"none\""
        };
        let reports = run(&input, &out, &step(kind, rest), 2, PLENTY).unwrap();
        let counts = &reports[0].counts;
        assert_eq!(
            (counts.errors["zero_vector"], counts.errors["not_finite_vector"], counts.seen),
            (1, 1, 60)
        );
        assert!(counts.adds_up());
        let codes = cribble_pipeline::read_column(&out.join("errors.parquet"), "code").unwrap();
        let rows_column = cribble_pipeline::read_column(&out.join("errors.parquet"), "row").unwrap();
        assert_eq!(codes.len(), 2);
        use arrow::{array::AsArray, datatypes::UInt64Type};
        assert_eq!(
            codes.as_string::<i32>().iter().flatten().collect::<Vec<_>>(),
            ["zero_vector", "not_finite_vector"]
        );
        assert_eq!(rows_column.as_primitive::<UInt64Type>().values().to_vec(), [3, 16]);
    }
}

#[test]
fn small_and_degenerate_inputs_work() {
    let dir = tempfile::tempdir().unwrap();
    let chain = step("dedup", "embedding = \"emb\"\nexact = \"none\"\ncells = 5")
        + &step("cluster", "embedding = \"emb\"\nk = 500")
        + &step("prune", "fraction = 0.5");
    let one = rows(1, 8, 9);
    let mut same = rows(30, 8, 9);
    let vector = same[0].vector.clone();
    same.iter_mut().for_each(|row| row.vector = vector.clone());
    for (name, rows, kept_after_dedup) in [("one", one, 1), ("same", same, 1)] {
        let base = dir.path().join(name);
        fs::create_dir_all(&base).unwrap();
        let input = write_input(&base, &rows, 7);
        let reports = run(&input, &base.join("run"), &chain, 2, PLENTY).unwrap();
        assert_eq!(reports[0].counts.kept, kept_after_dedup, "{name}");
        assert!(reports.iter().all(|report| report.counts.adds_up()));
    }
    // Nothing is left: later steps see no row and say so.
    let base = dir.path().join("none");
    fs::create_dir_all(&base).unwrap();
    let input = write_input(&base, &rows(20, 8, 10), 7);
    let steps = step("filter", "where = \"score > 2\"") + &chain;
    let reports = run(&input, &base.join("run"), &steps, 2, PLENTY).unwrap();
    assert!(reports[1..].iter().all(|report| report.counts.seen == 0));
}

#[test]
fn a_filter_names_the_part_that_was_not_true() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = rows(50, 4, 11);
    rows[7].score = f32::NAN;
    rows[8].sha256 = None;
    let input = write_input(dir.path(), &rows, 20);
    let options = "where = \"score >= 0.5 AND sha256 <> 'x'\"\ncompute = { double = \"score * 2\" }";
    let steps = step("filter", options) + &step("filter", "where = \"double < 1.5\"\nname = \"second\"");
    let out = dir.path().join("run");
    let reports = run(&input, &out, &steps, 2, PLENTY).unwrap();
    let expected: Vec<Uid> = rows
        .iter()
        .filter(|row| row.score >= 0.5 && row.score * 2.0 < 1.5 && row.sha256.is_some())
        .map(|row| row.uid)
        .collect();
    assert_eq!(kept(&out), expected);
    assert!(reports[0].counts.dropped.keys().any(|reason| reason.starts_with("not score >= 0.5")));
    assert_eq!(reports[1].step, "02-second");
}

#[test]
fn wrong_recipes_are_usage_errors_before_anything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_input(dir.path(), &rows(20, 4, 12), 20);
    for (steps, hint) in [
        (step("filter", "where = \"scor > 1\""), "score"),
        (step("dedup", "embedding = \"embb\""), "emb"),
        (step("cluster", "embedding = \"nothing_like_it\""), "emb"),
        (step("prune", "fraction = 0.5"), "cluster"),
        (step("dedup", "embedding = \"emb\"\nkeep = \"best:scores\""), "score"),
    ] {
        let error = run(&input, &dir.path().join("run"), &steps, 1, PLENTY).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(error.hint().is_some_and(|text| text.contains(hint)), "{error}: {:?}", error.hint());
    }
}
