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
        examples: vec![
            Example { uid: "aa".into(), text: Some("a teapot".into()), ..Example::default() },
            Example {
                uid: "bb".into(),
                dropped_by: Some("02-dedup".into()),
                reason: Some("duplicate".into()),
                duplicate_of: Some("cc".into()),
                max_sim: Some(0.9731),
                image: Some("data:image/png;base64,AAAA".into()),
                duplicate_image: Some("data:image/png;base64,BBBB".into()),
                cluster: Some(3),
                ..Example::default()
            },
        ],
        planted: Some(serde_json::json!({"byte_copy": {"planted": 400, "found": 399}})),
        seconds: 201.0,
        peak_memory_bytes: 3 << 29,
        memory_limit_bytes: 1 << 31,
        threads: 2,
    }
}
