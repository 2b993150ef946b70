//! Whole samples from ideal amounts: largest remainder inside bounds, adding up exactly.

/// Rounds `ideal` to whole numbers inside the bounds that add up to `target` exactly: each down, then one more to those with the largest
/// remainder, ties to the lower index. Needs Σ lower ≤ target ≤ Σ upper. Should rounding errors of the ideal amounts leave more (or
/// less than nothing) to give, the rounds go on in the same order until the sum is right.
pub(super) fn round_to(target: u64, ideal: &[f64], lower: &[u64], upper: &[u64]) -> Vec<u64> {
    let mut quota: Vec<u64> = Vec::with_capacity(ideal.len());
    let mut remainder: Vec<f64> = Vec::with_capacity(ideal.len());
    for (j, &x) in ideal.iter().enumerate() {
        let inside = x.clamp(lower[j] as f64, upper[j] as f64);
        // `as` truncates, and f64 may not tell the bound from its neighbour for huge numbers: clamp again as integers.
        let whole = (inside.floor() as u64).clamp(lower[j], upper[j]);
        quota.push(whole);
        remainder.push(inside - whole as f64);
    }
    let given: i128 = quota.iter().map(|&q| i128::from(q)).sum();
    let mut missing = i128::from(target) - given;
    let mut order: Vec<usize> = (0..ideal.len()).collect();
    order.sort_unstable_by(|&a, &b| remainder[b].total_cmp(&remainder[a]).then(a.cmp(&b)));
    while missing > 0 {
        let before = missing;
        for &j in &order {
            if missing == 0 {
                break;
            }
            if quota[j] < upper[j] {
                quota[j] += 1;
                missing -= 1;
            }
        }
        if missing == before {
            break;
        }
    }
    while missing < 0 {
        let before = missing;
        for &j in order.iter().rev() {
            if missing == 0 {
                break;
            }
            if quota[j] > lower[j] {
                quota[j] -= 1;
                missing += 1;
            }
        }
        if missing == before {
            break;
        }
    }
    quota
}
