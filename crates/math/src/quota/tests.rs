//! Quotas against the golden cases, every way to split a few samples, slower twins, and the optimality conditions of the quadratic program.
use super::{shift::Wishes, *};
use proptest::prelude::*;

#[test]
fn golden_cases_of_the_reference() {
    let share = crate::density::softmax(&[0.2, 0.3, 0.4], 0.1).unwrap();
    let sizes = [10, 100, 1000];
    let limits = bounds(&sizes, 500, 0.0);
    assert_eq!((&limits.lower[..], limits.floor, limits.relaxed), (&[1, 1, 1][..], 1, false));
    let found = Quotas::solve(500, &share, &limits.lower, &sizes).unwrap();
    assert_eq!(found.quota, [10, 100, 390]);
    assert!((found.lambda - 57.38).abs() < 0.005, "{}", found.lambda);

    let share = crate::density::softmax(&[0.05, 0.3, 0.5], 0.1).unwrap();
    let sizes = [50, 60, 400];
    let limits = bounds(&sizes, 300, 0.5);
    assert_eq!((&limits.lower[..], limits.floor), (&[49, 50, 50][..], 50));
    let found = Quotas::solve(300, &share, &limits.lower, &sizes).unwrap();
    assert_eq!(found.quota, [49, 50, 201]);
    assert!((found.lambda + 60.68).abs() < 0.005, "{}", found.lambda);
}

/// The smallest Σ (x − wish)² of whole numbers inside the bounds that add up.
fn exhaustive(target: u64, wish: &[f64], lower: &[u64], upper: &[u64]) -> Option<f64> {
    let Some((w, rest)) = wish.split_first() else { return (target == 0).then_some(0.0) };
    (lower[0]..=upper[0].min(target))
        .filter_map(|x| {
            let other = exhaustive(target - x, rest, &lower[1..], &upper[1..])?;
            Some(other + (x as f64 - w) * (x as f64 - w))
        })
        .reduce(f64::min)
}

/// λ by plain halving, to compare with.
fn halving(target: u64, wish: &[f64], lower: &[u64], upper: &[u64]) -> f64 {
    let (mut low, mut high) = (-1e9f64, 1e9f64);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        let sum: f64 =
            (0..wish.len()).map(|j| (wish[j] + middle).clamp(lower[j] as f64, upper[j] as f64)).sum();
        if sum < target as f64 { low = middle } else { high = middle }
    }
    high
}

fn clusters(most: usize, size: u64) -> impl Strategy<Value = Vec<(f64, u64, u64)>> {
    prop::collection::vec(
        (prop::sample::select(vec![0.0, 0.1, 0.25, 0.7, 1.0, 3.0]), 0..=size, 0..=size),
        1..=most,
    )
}

fn split(clusters: &[(f64, u64, u64)]) -> (Vec<f64>, Vec<u64>, Vec<u64>) {
    let sum: f64 = clusters.iter().map(|c| c.0).sum::<f64>().max(1e-9);
    let share = clusters.iter().map(|c| c.0 / sum).collect();
    (share, clusters.iter().map(|c| c.1.min(c.2)).collect(), clusters.iter().map(|c| c.1.max(c.2)).collect())
}

/// Ties, shares of zero, bounds that leave no choice, shares and sizes of every magnitude, one cluster, hundreds.
fn contrived() -> impl Strategy<Value = Vec<(f64, u64, u64)>> {
    let share = prop_oneof![
        Just(0.0),
        Just(1.0),
        prop::sample::select(vec![0.5, 0.25, 1.0 / 3.0]),
        (0i32..60).prop_map(|j| 2f64.powi(-j)),
    ];
    let bound = prop_oneof![Just(0u64), Just(1), Just(7), 0u64..20, (0u32..30).prop_map(|j| 1 << j)];
    let cluster = (share, bound.clone(), bound, any::<bool>());
    let settled =
        |(share, low, high, fixed): (f64, u64, u64, bool)| (share, if fixed { high } else { low }, high);
    prop::collection::vec(cluster.prop_map(settled), 1..300)
}

/// The sum, the bounds, that no sample moved from one cluster to another lowers the sum of squares, and that of clusters of equal share the
/// first has the most, where bounds leave the choice.
fn check_optimal(target: u64, share: &[f64], lower: &[u64], upper: &[u64], quota: &[u64]) {
    assert_eq!(quota.iter().sum::<u64>(), target);
    let (mut cheapest, mut dearest) = (f64::INFINITY, f64::NEG_INFINITY);
    for j in 0..share.len() {
        assert!(lower[j] <= quota[j] && quota[j] <= upper[j]);
        let above = quota[j] as f64 - share[j] * target as f64;
        if quota[j] < upper[j] {
            cheapest = cheapest.min(above + 1.0);
        }
        if quota[j] > lower[j] {
            dearest = dearest.max(above);
        }
        for i in (0..j).filter(|&i| share[i] == share[j] && quota[i] < upper[i] && quota[j] > lower[j]) {
            assert!(quota[i] >= quota[j], "cluster {i} had room before {j}");
        }
    }
    assert!(cheapest >= dearest - 1e-6 * (1.0 + target as f64 * 1e-7), "{cheapest} < {dearest}");
}

/// Rounding by a sorted order and one sample at a time.
fn one_by_one(target: u64, ideal: &[f64], lower: &[u64], upper: &[u64]) -> Vec<u64> {
    let inside: Vec<f64> =
        (0..ideal.len()).map(|j| ideal[j].clamp(lower[j] as f64, upper[j] as f64)).collect();
    let mut quota: Vec<u64> = inside.iter().map(|x| x.floor() as u64).collect();
    let mut order: Vec<usize> = (0..ideal.len()).collect();
    order.sort_by(|&a, &b| inside[b].fract().total_cmp(&inside[a].fract()).then(a.cmp(&b)));
    while quota.iter().sum::<u64>() != target {
        let give = quota.iter().sum::<u64>() < target;
        let mut missing = quota.iter().sum::<u64>().abs_diff(target);
        for i in 0..order.len() {
            let j = order[if give { i } else { order.len() - 1 - i }];
            if missing > 0 && give && quota[j] < upper[j] {
                (quota[j], missing) = (quota[j] + 1, missing - 1);
            } else if missing > 0 && !give && quota[j] > lower[j] {
                (quota[j], missing) = (quota[j] - 1, missing - 1);
            }
        }
    }
    quota
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn few_samples_are_split_as_well_as_any_way_can(clusters in clusters(4, 7), at in 0.0f64..=1.0) {
        let (share, lower, upper) = split(&clusters);
        let (least, most) = (total(&lower) as u64, total(&upper) as u64);
        let target = least + ((most - least) as f64 * at) as u64;
        let found = Quotas::solve(target, &share, &lower, &upper).unwrap().quota;
        prop_assert_eq!(found.iter().sum::<u64>(), target);
        let wish: Vec<f64> = share.iter().map(|s| s * target as f64).collect();
        let cost: f64 = found.iter().zip(&wish).map(|(&x, w)| (x as f64 - w) * (x as f64 - w)).sum();
        prop_assert!(cost <= exhaustive(target, &wish, &lower, &upper).unwrap() + 1e-9);
        prop_assert!(found.iter().enumerate().all(|(j, &x)| lower[j] <= x && x <= upper[j]));
    }

    #[test]
    fn many_samples_stay_within_one_of_the_projection(clusters in clusters(200, 100_000), at in 0.0f64..=1.0) {
        let (share, lower, upper) = split(&clusters);
        let (least, most) = (total(&lower) as u64, total(&upper) as u64);
        let target = least + ((most - least) as f64 * at) as u64;
        let found = Quotas::solve(target, &share, &lower, &upper).unwrap();
        prop_assert_eq!(found.quota.iter().sum::<u64>(), target);
        let wish: Vec<f64> = share.iter().map(|s| s * target as f64).collect();
        let lambda = halving(target, &wish, &lower, &upper);
        for j in 0..share.len() {
            let (low, high) = (lower[j], upper[j]);
            prop_assert!(low <= found.quota[j] && found.quota[j] <= high);
            let clip = |lambda: f64| (wish[j] + lambda).clamp(low as f64, high as f64);
            prop_assert!((clip(lambda) - clip(found.lambda)).abs() < 1e-3);
            prop_assert!((found.quota[j] as f64 - clip(found.lambda)).abs() < 1.0 + 1e-3);
        }
    }

    #[test]
    fn contrived_clusters_are_split_as_the_slower_twins_do(clusters in contrived(), at in 0.0f64..=1.0) {
        let (share, lower, upper) = split(&clusters);
        let (least, most) = (total(&lower) as u64, total(&upper) as u64);
        let target = least + ((most - least) as f64 * at) as u64;
        let found = Quotas::solve(target, &share, &lower, &upper).unwrap();
        check_optimal(target, &share, &lower, &upper, &found.quota);
        let wish: Vec<f64> = share.iter().map(|s| s * target as f64).collect();
        let sorted = Wishes { target: target as f64, share: &share, lower: &lower, upper: &upper }.by_sorting();
        for other in [sorted, halving(target, &wish, &lower, &upper)] {
            for j in 0..share.len() {
                let clip = |lambda: f64| (wish[j] + lambda).clamp(lower[j] as f64, upper[j] as f64);
                prop_assert!((clip(other) - clip(found.lambda)).abs() < 1e-3, "{other} {}", found.lambda);
            }
        }
        for beyond in least.checked_sub(1).into_iter().chain([most + 1]) {
            let infeasible = QuotaError::Infeasible { target: beyond, lower: least.into(), upper: most.into() };
            prop_assert_eq!(Quotas::solve(beyond, &share, &lower, &upper), Err(infeasible));
        }
    }

    #[test]
    fn rounding_hands_out_one_by_one(clusters in contrived(), at in 0.0f64..=1.0, off in -3.0f64..=3.0) {
        let (share, lower, upper) = split(&clusters);
        let (least, most) = (total(&lower) as u64, total(&upper) as u64);
        let target = least + ((most - least) as f64 * at) as u64;
        // Amounts that do not add up to the target: up to three rounds must be given, or taken back.
        let lambda = Wishes { target: target as f64, share: &share, lower: &lower, upper: &upper }.by_sorting();
        let ideal: Vec<f64> = share.iter().map(|s| s * target as f64 + lambda + off).collect();
        let (lower, upper) = (&lower[..], &upper[..]);
        let rounding = Rounding { target, share: &ideal, scale: 1.0, shift: 0.0, lower, upper };
        prop_assert_eq!(rounding.round(), one_by_one(target, &ideal, lower, upper));
    }

    #[test]
    fn bounds_are_feasible_for_every_fraction(
        sizes in prop::collection::vec(0u64..50, 0..30), fraction in 0.0f64..=1.0, balance in prop::sample::select(vec![0.0, 0.3, 0.5, 1.0, 7.0]),
    ) {
        let all: u64 = sizes.iter().sum();
        let target = (all as f64 * fraction) as u64;
        let limits = bounds(&sizes, target, balance);
        let share = vec![1.0 / sizes.len().max(1) as f64; sizes.len()];
        let found = Quotas::solve(target, &share, &limits.lower, &sizes).unwrap();
        prop_assert_eq!(found.quota.iter().sum::<u64>(), target);
        let rule = if balance > 0.0 && !sizes.is_empty() { (target as f64 / sizes.len() as f64 * balance) as u64 } else { 1 };
        let with = |m: u64| sizes.iter().map(|s| m.min(s.saturating_sub(1))).sum::<u64>();
        prop_assert_eq!(limits.relaxed, with(rule) > target);
        prop_assert!(limits.floor == rule || (limits.relaxed && with(limits.floor) <= target && with(limits.floor + 1) > target));
        prop_assert_eq!(limits.lower.iter().sum::<u64>(), with(limits.floor));
    }

    #[test]
    fn proportional_parts_are_in_proportion(
        parts in prop::collection::vec((prop::sample::select(vec![0.0, 1.0, 2.0, 0.3]), 0u64..40), 0..40), at in 0.0f64..=1.0,
    ) {
        let weights: Vec<f64> = parts.iter().map(|p| p.0).collect();
        let upper: Vec<u64> = parts.iter().map(|p| p.1).collect();
        let target = (total(&upper) as f64 * at) as u64;
        let found = proportional(target, &weights, &upper).unwrap();
        prop_assert_eq!(found.iter().sum::<u64>(), target);
        for j in 0..found.len() {
            prop_assert!(found[j] <= upper[j]);
            for i in 0..found.len() {
                // Whoever has room has got as much per weight as anyone, but for the rounding of either.
                if weights[i] > 0.0 && weights[j] > 0.0 && found[j] < upper[j] {
                    prop_assert!((found[i] as f64 - 1.0) / weights[i] <= (found[j] as f64 + 1.0) / weights[j] + 1e-6);
                }
                if weights[i] == 0.0 && weights[j] > 0.0 && found[j] < upper[j] {
                    prop_assert_eq!(found[i], 0);
                }
            }
        }
    }
}

#[test]
fn all_and_nothing() {
    let sizes = [5, 0, 1, 9];
    for target in [0, 1, 2, 14, 15] {
        let limits = bounds(&sizes, target, 0.5);
        let found = Quotas::solve(target, &[0.25; 4], &limits.lower, &sizes).unwrap();
        assert_eq!(found.quota.iter().sum::<u64>(), target);
        assert_eq!(found.quota[1], 0);
    }
    assert_eq!(Quotas::solve(15, &[0.25; 4], &[0; 4], &sizes).unwrap().quota, sizes);
    assert!(
        bounds(&sizes, 0, 0.0).relaxed && bounds(&sizes, 1, 0.0).relaxed && !bounds(&sizes, 2, 0.0).relaxed
    );
    assert_eq!(Quotas::solve(0, &[], &[], &[]).unwrap(), Quotas { quota: vec![], lambda: 0.0 });
    assert_eq!(bounds(&[], 0, 0.5).lower, [0u64; 0]);
    assert_eq!(proportional(0, &[], &[]).unwrap(), [0u64; 0]);
}

#[test]
fn ties_go_to_the_lower_index() {
    assert_eq!(Quotas::solve(10, &[0.25; 4], &[0; 4], &[9; 4]).unwrap().quota, [3, 3, 2, 2]);
    assert_eq!(proportional(5, &[1.0; 3], &[9; 3]).unwrap(), [2, 2, 1]);
}

#[test]
fn what_cannot_be_split_is_explained() {
    let too_many = Quotas::solve(10, &[0.5, 0.5], &[0, 0], &[4, 5]).unwrap_err();
    assert_eq!(too_many, QuotaError::Infeasible { target: 10, lower: 0, upper: 9 });
    assert!(too_many.to_string().contains("0 at least and 9 at most"));
    let too_few = Quotas::solve(1, &[0.5, 0.5], &[1, 1], &[4, 5]).unwrap_err();
    assert_eq!(too_few, QuotaError::Infeasible { target: 1, lower: 2, upper: 9 });
    assert!(matches!(Quotas::solve(1, &[f64::NAN], &[0], &[1]), Err(QuotaError::Share { cluster: 0, .. })));
    assert!(matches!(Quotas::solve(1, &[-0.1], &[0], &[1]), Err(QuotaError::Share { cluster: 0, .. })));
    assert!(matches!(
        Quotas::solve(1, &[1.0], &[3], &[1]),
        Err(QuotaError::Bounds { cluster: 0, lower: 3, upper: 1 })
    ));
    assert!(matches!(
        Quotas::solve(1, &[1.0], &[], &[1]),
        Err(QuotaError::Lengths { shares: 1, lower: 0, upper: 1 })
    ));
    assert!(matches!(proportional(1, &[1.0], &[]), Err(QuotaError::Lengths { .. })));
    assert!(matches!(proportional(3, &[1.0, 0.0], &[1, 1]), Err(QuotaError::Infeasible { upper: 2, .. })));
    assert!(matches!(proportional(1, &[f64::INFINITY], &[1]), Err(QuotaError::Share { .. })));
}

#[test]
fn numbers_beyond_the_precision_of_f64_still_add_up() {
    let upper = [u64::MAX / 2, u64::MAX / 2 - 1, 12345];
    let target = u64::MAX / 2 + 1_000_003;
    let found = Quotas::solve(target, &[0.5, 0.4999, 0.0001], &[1, 7, 3], &upper).unwrap().quota;
    assert_eq!(found.iter().map(|&q| u128::from(q)).sum::<u128>(), u128::from(target));
    assert!(found.iter().zip(&upper).all(|(q, u)| q <= u));
}
