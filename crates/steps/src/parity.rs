//! Parity with the published programs, on vectors that `parity/record.py` recorded from them: SemDeDup's removals at every ε and in both orders,
//! density-based pruning's quotas and the rows it keeps. Unit tests, because they look at the order keys.
use std::path::PathBuf;

use cribble_core::{Keep, Uid};
use cribble_io::{SourceFile, npy::NpyFile};
use cribble_math::{VecRows, density, pairs, quota, rows::normalize};
use cribble_pipeline::GlobalRow;
use serde_json::Value;

use crate::order::OrderKey;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../parity/vectors").join(name)
}

fn vectors(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder(name).join("vectors.json")).unwrap()).unwrap()
}

fn array(name: &str, file: &str) -> (Vec<f32>, usize) {
    let file = NpyFile::open(SourceFile::open_local(folder(name).join(file)).unwrap()).unwrap();
    let mut values = file.read_all::<f32>().unwrap();
    let dim = file.width() as usize;
    normalize(&mut values, dim);
    (values, dim)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn counts(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect()
}

/// The rows of each cluster in the order of the scan.
fn scan(keep: &Keep, labels: &[u64], sims: &[f64], clusters: usize) -> Vec<Vec<usize>> {
    let mut keys: Vec<(u64, OrderKey)> = (0..labels.len())
        .map(|row| {
            let dist = 1.0 - sims[row] as f32;
            (labels[row], OrderKey::new(keep, 0, Uid(row as u128), GlobalRow(row as u64), dist, None))
        })
        .collect();
    keys.sort_unstable();
    let mut order = vec![Vec::new(); clusters];
    for (label, key) in keys {
        order[label as usize].push(key.row(keep).0 as usize);
    }
    order
}

#[test]
fn removals_equal_semdedup_at_every_epsilon() {
    for set in ["a", "b", "c"] {
        let name = format!("semdedup/{set}");
        let vectors = vectors(&name);
        let (rows, dim) = array(&name, "embeddings.npy");
        let (labels, sims) = (counts(&vectors["labels"]), numbers(&vectors["centroid_sim"]));
        let mut compared = 0;
        for case in vectors["cases"].as_array().unwrap() {
            let keep: Keep = case["which_to_keep"].as_str().unwrap().parse().unwrap();
            let order = scan(&keep, &labels, &sims, vectors["k"].as_u64().unwrap() as usize);
            let expected: Vec<Vec<usize>> = case["scan_order"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| counts(c).iter().map(|&r| r as usize).collect())
                .collect();
            assert_eq!(order, expected, "{set} {keep}: order of the scan");
            let mut earlier = vec![f32::NAN; labels.len()];
            for members in &order {
                let values: Vec<f32> =
                    members.iter().flat_map(|&row| rows[row * dim..(row + 1) * dim].to_vec()).collect();
                let found =
                    pairs::earlier_max(&VecRows::new(values, dim), None, None, f32::NEG_INFINITY).unwrap();
                members.iter().zip(found).for_each(|(&row, found)| earlier[row] = found.sim);
            }
            for (epsilon, removed) in case["removed"].as_object().unwrap() {
                let value: f64 = epsilon.parse().unwrap();
                let ours: Vec<u64> =
                    earlier.iter().map(|&sim| u64::from(pairs::is_removed(sim, value))).collect();
                assert_eq!(ours, counts(removed), "{set} {keep} epsilon {epsilon}");
                compared += ours.len();
            }
            for (row, expected) in case["max_sim"].as_array().unwrap().iter().enumerate() {
                // The reference's maximum runs over a matrix with zeros, so it is never below 0.
                if let Some(expected) = expected.as_f64().filter(|&expected| expected > 0.0) {
                    assert!((f64::from(earlier[row]) - expected).abs() < 1e-5, "{set} {keep} row {row}");
                }
            }
        }
        assert!(compared > 0);
    }
}

#[test]
fn quotas_equal_the_reference_problem_within_one() {
    let vectors = vectors("quotas");
    let mut feasible = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let (sizes, target) = (counts(&case["sizes"]), case["target"].as_u64().unwrap());
        if !case["feasible"].as_bool().unwrap() {
            continue;
        }
        feasible += 1;
        let share = if case["density"] == "uniform" {
            density::softmax(&vec![1.0; sizes.len()], case["temperature"].as_f64().unwrap()).unwrap()
        } else {
            let complexity = density::complexity(&numbers(&case["d_inter"]), &numbers(&case["d_intra"]));
            density::softmax(&complexity, case["temperature"].as_f64().unwrap()).unwrap()
        };
        for (ours, theirs) in share.iter().zip(numbers(&case["shares"])) {
            assert!((ours - theirs).abs() < 1e-6, "{name}: share {ours} against {theirs}");
        }
        let bounds = quota::bounds(&sizes, target, case["balance"].as_f64().unwrap());
        assert_eq!(bounds.lower, counts(&case["lower"]), "{name}: lower bounds");
        let solved = quota::Quotas::solve(target, &share, &bounds.lower, &sizes).unwrap();
        assert_eq!(solved.quota.iter().sum::<u64>(), target, "{name}: the sum is the target");
        let within =
            |theirs: &Value| solved.quota.iter().zip(counts(theirs)).all(|(a, b)| a.abs_diff(b) <= 1);
        assert!(within(&case["quotas_tight"]), "{name}: within 1 of the problem solved to 1e-9");
        if case["within_one"].as_bool().unwrap() {
            assert!(within(&case["quotas"]), "{name}: within 1 of what the published program rounds to");
        }
    }
    assert!(feasible >= 10);
}

#[test]
fn density_figures_and_kept_rows_equal_the_reference() {
    let vectors = vectors("density");
    let (labels, sims) = (counts(&vectors["labels"]), numbers(&vectors["centroid_sim"]));
    let (centroids, dim) = array("density", "kmeans_centroids.npy");
    let d_inter = density::d_inter(&centroids, dim, vectors["neighbors"].as_u64().unwrap() as usize);
    for (ours, theirs) in d_inter.iter().zip(numbers(&vectors["d_inter"])) {
        assert!((ours - theirs).abs() < 1e-6);
    }
    let sizes = counts(&vectors["sizes"]);
    let mut figures = crate::figures::Figures::new(sizes.len());
    for (row, &label) in labels.iter().enumerate() {
        figures.add(label as u32, sims[row] as f32, Uid(row as u128));
    }
    for (cluster, theirs) in numbers(&vectors["d_intra"]).into_iter().enumerate() {
        assert_eq!(figures.size(cluster), sizes[cluster]);
        assert!((figures.d_intra(cluster) - theirs).abs() < 1e-6);
    }
    for case in vectors["cases"].as_array().unwrap() {
        let Ok(keep) = case["keep"].as_str().unwrap().parse::<Keep>() else { continue };
        if keep == Keep::Random {
            continue;
        }
        let order = scan(&keep, &labels, &sims, sizes.len());
        let quotas = counts(&case["quotas"]);
        for (cluster, rows) in case["kept_rows_by_cluster"].as_array().unwrap().iter().enumerate() {
            let mut theirs = counts(rows);
            let mut ours: Vec<u64> =
                order[cluster][..quotas[cluster] as usize].iter().map(|&row| row as u64).collect();
            theirs.sort_unstable();
            ours.sort_unstable();
            assert_eq!(ours, theirs, "{keep}, cluster {cluster}");
        }
    }
}
