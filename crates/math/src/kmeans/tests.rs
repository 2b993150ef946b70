//! K-means: planted clusters, the definition of a pass, independence of threads and blocks, and inputs without an answer.
use super::*;
use crate::{
    nearest::nearest,
    random::Random,
    rows::{SliceRows, dot, normalize, similarity},
    testing::{Kind, Streamed, in_pool, kinds, table},
};
use proptest::prelude::*;

fn go(rows: &[f32], dim: usize, options: &KMeansOptions) -> KMeans {
    train(&SliceRows::new(rows, dim), options, &|_| ControlFlow::Continue(())).unwrap()
}

fn options(k: usize, iterations: usize) -> KMeansOptions {
    KMeansOptions { iterations, tolerance: -1.0, ..KMeansOptions::new(k) }
}

fn assert_unit(centroids: &[f32], dim: usize) {
    assert_about_unit(centroids, dim, 1e-6);
}

fn assert_about_unit(centroids: &[f32], dim: usize, most: f64) {
    for centroid in centroids.chunks_exact(dim) {
        assert!((dot(centroid, centroid).sqrt() - 1.0).abs() < most);
    }
}

/// `k` tight groups of unlike sizes around the rows of a random table; returns the rows and their group.
fn planted(k: usize, n: usize, dim: usize, seed: u64) -> (Vec<f32>, Vec<usize>) {
    let middles = table(Kind::Random, k, dim, seed);
    let noise = table(Kind::Random, n, dim, seed ^ 5);
    let mut random = Random::new(seed, 6);
    let groups: Vec<usize> =
        (0..n).map(|_| random.below(k as u64).min(random.below(k as u64)) as usize).collect();
    let mut rows = noise;
    for (row, &group) in rows.chunks_exact_mut(dim).zip(&groups) {
        for (value, middle) in row.iter_mut().zip(&middles[group * dim..]) {
            *value = middle + 0.2 * *value;
        }
    }
    normalize(&mut rows, dim);
    (rows, groups)
}

#[test]
fn planted_groups_are_found() {
    for seed in 0..5 {
        let (rows, groups) = planted(12, 3000, 32, seed);
        let trained = go(&rows, 32, &KMeansOptions { seed, ..KMeansOptions::new(12) });
        let (mut labels, mut sims) = (vec![0; 3000], vec![0.0; 3000]);
        nearest(&rows, &trained.centroids, 32, &mut labels, &mut sims);
        // k-means++ may put two seeds in one group, so not every group must have a cluster of its own; most must.
        let mut mixed = std::collections::BTreeMap::new();
        for (label, group) in labels.iter().zip(&groups) {
            mixed.entry(label).or_insert_with(std::collections::BTreeSet::new).insert(group);
        }
        let pure = mixed.values().filter(|groups| groups.len() == 1).count();
        assert!(pure >= 9, "seed {seed}: {pure} pure clusters");
        assert!(trained.converged && trained.iterations.len() < 20);
        assert_eq!(trained.sample_rows, 3000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn threads_blocks_and_memory_change_nothing(
        kind in kinds(), seed: u64, n in 1usize..1500, k in 1usize..40, dim in prop::sample::select(vec![2usize, 9, 33]),
    ) {
        let k = k.min(n);
        let rows = table(kind, n, dim, seed);
        let roomy = KMeansOptions { seed, ..options(k, 4) };
        let first = train(&SliceRows::new(&rows, dim), &roomy, &|_| ControlFlow::Continue(()));
        let Ok(first) = first else {
            prop_assert!(rows.iter().all(|v| *v == 0.0));
            return Ok(());
        };
        // A re-seeded centroid is a row as it is, and rows of this kind are off by the rounding of `f16`.
        assert_about_unit(&first.centroids, dim, if kind == Kind::Half { 1e-3 } else { 1e-6 });
        // Just enough for the smallest blocks and the whole sample.
        let blocks = Plan::fixed_bytes(k, dim) + 2 * 256 * Plan::block_row_bytes(dim);
        let tight = blocks.max(Plan::sample_bytes(k, dim, n)) + n * 4;
        // With room for labels in the second, with bounds from the last on.
        for (threads, memory_bytes) in [(1, tight), (2, tight + n * 32), (3, 1 << 30)] {
            let options = KMeansOptions { memory_bytes, ..roomy.clone() };
            let streamed = Streamed::new(&rows, dim);
            let found = in_pool(threads, || train(&streamed, &options, &|_| ControlFlow::Continue(()))).unwrap();
            prop_assert_eq!(&found.centroids, &first.centroids);
            prop_assert_eq!(found.sample_rows, first.sample_rows);
            for (a, b) in found.iterations.iter().zip(&first.iterations) {
                prop_assert_eq!((a.mean_sim, a.reseeded, a.empty), (b.mean_sim, b.reseeded, b.empty));
            }
        }
    }

    #[test]
    fn a_pass_is_assign_and_normalised_mean(kind in kinds(), seed: u64, n in 2usize..400, k in 1usize..12, dim in 2usize..20) {
        let k = k.min(n);
        let rows = table(kind, n, dim, seed);
        prop_assume!(rows.iter().any(|v| *v != 0.0));
        let before = go(&rows, dim, &KMeansOptions { seed, ..options(k, 0) }).centroids;
        let after = go(&rows, dim, &KMeansOptions { seed, ..options(k, 1) });
        let (mut labels, mut sims) = (vec![0; n], vec![0.0; n]);
        nearest(&rows, &before, dim, &mut labels, &mut sims);
        let mut total = (0.0, 0u64);
        let mut sums = vec![0.0f64; k * dim];
        let mut counts = vec![0; k];
        for (i, row) in rows.chunks_exact(dim).enumerate().filter(|(_, row)| row.iter().any(|v| *v != 0.0)) {
            total = (total.0 + f64::from(sims[i]), total.1 + 1);
            counts[labels[i] as usize] += 1;
            for (sum, value) in sums[labels[i] as usize * dim..].iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        let stats = after.iterations[0];
        prop_assert!((stats.mean_sim - total.0 / total.1 as f64).abs() < 1e-12);
        prop_assert_eq!(stats.empty, counts.iter().filter(|c| **c == 0).count());
        prop_assert_eq!(stats.moved, Some(total.1));
        for c in 0..k {
            let sum = &sums[c * dim..(c + 1) * dim];
            let length = sum.iter().map(|v| v * v).sum::<f64>().sqrt();
            let now = &after.centroids[c * dim..(c + 1) * dim];
            if counts[c] > 0 && length / f64::from(counts[c]) > 1e-3 {
                for (value, sum) in now.iter().zip(sum) {
                    prop_assert!((f64::from(*value) - sum / length).abs() < 2e-6);
                }
            }
        }
    }

    #[test]
    fn passes_do_not_make_it_worse(seed: u64, n in 50usize..800, k in 1usize..20) {
        let rows = table(Kind::Random, n, 8, seed);
        let trained = go(&rows, 8, &KMeansOptions { seed, ..options(k, 10) });
        for pair in trained.iterations.windows(2) {
            prop_assert!(pair[0].reseeded > 0 || pair[1].mean_sim >= pair[0].mean_sim - 1e-7);
        }
    }
}

#[test]
fn copies_leave_clusters_empty_and_never_nan() {
    let few = table(Kind::Random, 3, 16, 2);
    let rows = few.repeat(50);
    let trained = go(&rows, 16, &options(10, 5));
    assert_unit(&trained.centroids, 16);
    let last = trained.iterations.last().unwrap();
    assert_eq!((last.empty, last.reseeded), (7, 0));
    assert!((last.mean_sim - 1.0).abs() < 1e-6 && trained.converged);
    // All rows alike.
    let trained = go(&few[..16].repeat(40), 16, &options(4, 5));
    assert_eq!(trained.iterations.last().unwrap().empty, 3);
    assert!(similarity(&trained.centroids[..16], &few[..16]) > 1.0 - 1e-6);
}

#[test]
fn as_many_clusters_as_rows_gives_each_its_own() {
    let rows = table(Kind::Random, 40, 24, 9);
    let trained = go(&rows, 24, &options(40, 3));
    let last = trained.iterations.last().unwrap();
    assert!(last.empty == 0 && last.mean_sim > 1.0 - 1e-6);
}

#[test]
fn empty_clusters_get_the_farthest_rows() {
    // The sample of seeds is cut to two rows a cluster, so rare groups are missed at first and have to be found by re-seeding.
    let (dim, n) = (8, 4000);
    let mut rows = table(Kind::Copies, n, dim, 3);
    let rare = table(Kind::Random, 4, dim, 77);
    for (i, row) in rare.chunks_exact(dim).enumerate() {
        rows[(i * 900 + 450) * dim..][..dim].copy_from_slice(row);
    }
    let k = 9;
    let needed = Plan::fixed_bytes(k, dim) + 2 * 256 * Plan::block_row_bytes(dim);
    let small = KMeansOptions { memory_bytes: needed, ..options(k, 8) };
    let trained = train(&Streamed::new(&rows, dim), &small, &|_| ControlFlow::Continue(())).unwrap();
    assert!(trained.sample_rows < n / 4);
    assert!(trained.iterations.iter().all(|s| s.moved.is_none()), "no room for labels");
    assert!(trained.iterations.iter().any(|s| s.reseeded > 0));
    for row in rare.chunks_exact(dim) {
        let best = trained.centroids.chunks_exact(dim).map(|c| similarity(row, c)).fold(-1.0, f32::max);
        assert!(best > 0.999, "{best}");
    }
}

#[test]
fn rows_without_a_direction_take_no_part() {
    let mut rows = table(Kind::Random, 300, 8, 1);
    let without = go(&rows, 8, &options(5, 0));
    assert_unit(&without.centroids, 8);
    rows.extend(vec![0.0; 8 * 900]);
    let trained = go(&rows, 8, &options(5, 6));
    assert_unit(&trained.centroids, 8);
    let (mut labels, mut sims) = (vec![0; 300], vec![0.0; 300]);
    let before = go(&rows, 8, &options(5, 5));
    nearest(&rows[..300 * 8], &before.centroids, 8, &mut labels, &mut sims);
    let mean = sims.iter().map(|s| f64::from(*s)).sum::<f64>() / 300.0;
    assert!((trained.iterations[5].mean_sim - mean).abs() < 1e-12);
}

#[test]
fn inputs_without_an_answer_are_errors_with_their_numbers() {
    let rows = table(Kind::Random, 10, 4, 1);
    let go = |rows: &[f32], options: &KMeansOptions| {
        train(&SliceRows::new(rows, 4), options, &|_| ControlFlow::Continue(())).unwrap_err()
    };
    assert!(matches!(go(&rows, &KMeansOptions::new(0)), KMeansError::NoClusters));
    assert!(matches!(go(&rows, &KMeansOptions::new(11)), KMeansError::TooFewRows { k: 11, rows: 10 }));
    assert!(matches!(go(&[], &KMeansOptions::new(1)), KMeansError::TooFewRows { k: 1, rows: 0 }));
    assert!(matches!(go(&[0.0; 40], &KMeansOptions::new(2)), KMeansError::NoDirection { rows: 10 }));
    let small = KMeansOptions { memory_bytes: 1000, ..KMeansOptions::new(2) };
    assert!(matches!(go(&rows, &small), KMeansError::Memory { allowed: 1000, k: 2, dim: 4, .. }));
    let broken = Streamed { rows: &rows, dim: 4, broken: Some(7) };
    let error = train(&broken, &KMeansOptions::new(2), &|_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, KMeansError::Source { start, end, .. } if start <= 7 && 7 < end));
    let stop = train(&SliceRows::new(&rows, 4), &options(2, 9), &|stats| {
        if stats.iteration == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stop, Err(KMeansError::Cancelled { iterations: 2 })));
}

#[test]
fn seeds_follow_the_distances() {
    // Two far groups of very unlike size: the second seed is in the small one nearly always, though it has a twentieth of the rows.
    let (dim, n) = (16, 2000);
    let middles = table(Kind::Random, 1, dim, 8);
    let noise = table(Kind::Random, n, dim, 9);
    let rows: Vec<f32> = (0..n * dim)
        .map(|i| {
            let side = if i / dim % 20 == 0 { -1.0 } else { 1.0 };
            side * middles[i % dim] + 0.02 * noise[i]
        })
        .collect();
    let mut rows = rows;
    normalize(&mut rows, dim);
    let apart = (0..40)
        .filter(|&seed| {
            let seeds = go(&rows, dim, &KMeansOptions { seed, ..options(2, 0) }).centroids;
            similarity(&seeds[..dim], &seeds[dim..]) < 0.0
        })
        .count();
    assert!(apart >= 38, "{apart} of 40");
}

/// Passes by the plain definition: [`nearest`] of all rows, then the sums. Bounds, memory of labels and changes must not show.
#[test]
fn bounds_between_passes_change_nothing() {
    for (kind, k, n, dim) in
        [(Kind::Random, 200, 6000, 24), (Kind::NearCopies, 130, 3000, 16), (Kind::Grid, 150, 4000, 6)]
    {
        let (mut rows, _) = planted(90, n, dim, 4);
        let other = table(kind, n / 2, dim, 5);
        rows[..other.len()].copy_from_slice(&other);
        rows[7 * dim..9 * dim].fill(0.0);
        let passes = 12;
        for threads in [1, 2] {
            let kept = in_pool(threads, || go(&rows, dim, &options(k, passes)));
            // So little memory that neither labels, codes nor bounds are kept, but the whole sample is.
            let memory_bytes = Plan::fixed_bytes(k, dim) + 2 * 256 * Plan::block_row_bytes(dim);
            let least = KMeansOptions {
                memory_bytes: memory_bytes.max(Plan::sample_bytes(k, dim, n)),
                ..options(k, passes)
            };
            let plan = Plan::new(&Streamed::new(&rows, dim), &least).unwrap();
            assert!(!plan.keep_bounds && !plan.hold_codes && plan.sample_rows == kept.sample_rows);
            let forgetful =
                train(&Streamed::new(&rows, dim), &least, &|_| ControlFlow::Continue(())).unwrap();
            assert_eq!(kept.centroids, forgetful.centroids);
            for pass in 0..kept.iterations.len() {
                let before = go(&rows, dim, &options(k, pass)).centroids;
                let (mut labels, mut sims) = (vec![0; n], vec![0.0; n]);
                nearest(&rows, &before, dim, &mut labels, &mut sims);
                let counted =
                    rows.chunks_exact(dim).zip(&sims).filter(|(row, _)| row.iter().any(|v| *v != 0.0));
                let sims: Vec<f64> = counted.map(|(_, sim)| f64::from(*sim)).collect();
                assert_eq!(kept.iterations[pass].mean_sim, sims.iter().sum::<f64>() / sims.len() as f64);
            }
        }
    }
}
