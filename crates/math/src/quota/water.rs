//! Shares in proportion to weights, under upper bounds: what a full cluster cannot take flows to the others, in proportion again.
use super::{QuotaError, rounding::round_to, total};

/// Splits `target` samples among clusters in proportion to their weights: `x_j = min(upper_j, t · weight_j)` with the one level `t` that makes
/// the sum right, rounded by largest remainder, ties to the lower index; Σ = target exactly. Equal weights give the same number to
/// all clusters that are large enough (uniform pruning), sizes as weights thin all alike. Clusters of weight 0 get samples only when the
/// others are full: then they share equally.
///
/// Errors: lists of different lengths, a weight that is NaN, infinite or negative, a target above Σ upper.
pub fn proportional(target: u64, weights: &[f64], upper: &[u64]) -> Result<Vec<u64>, QuotaError> {
    if weights.len() != upper.len() {
        return Err(QuotaError::Lengths { shares: weights.len(), lower: upper.len(), upper: upper.len() });
    }
    if let Some(cluster) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
        return Err(QuotaError::Share { cluster, found: weights[cluster] });
    }
    let most = total(upper);
    if u128::from(target) > most {
        return Err(QuotaError::Infeasible { target, lower: 0, upper: most });
    }
    let weighted: u128 = (0..upper.len()).filter(|&j| weights[j] > 0.0).map(|j| u128::from(upper[j])).sum();
    let mut ideal = vec![0.0; upper.len()];
    if weighted >= u128::from(target) {
        fill(target as f64, weights, upper, &mut ideal);
        let reach: Vec<u64> = upper.iter().zip(weights).map(|(&u, &w)| if w > 0.0 { u } else { 0 }).collect();
        return Ok(round_to(target, &ideal, &vec![0; upper.len()], &reach));
    }
    // All weighted clusters are full; the rest goes to the others, equally.
    let lower: Vec<u64> = upper.iter().zip(weights).map(|(&u, &w)| if w > 0.0 { u } else { 0 }).collect();
    let equal: Vec<f64> = weights.iter().map(|&w| if w > 0.0 { 0.0 } else { 1.0 }).collect();
    fill((u128::from(target) - weighted) as f64, &equal, upper, &mut ideal);
    for (x, &l) in ideal.iter_mut().zip(&lower) {
        *x += l as f64;
    }
    Ok(round_to(target, &ideal, &lower, upper))
}

/// `ideal_j = min(upper_j, t · weight_j)` with Σ = target, for a feasible target. Clusters are filled in the order in which they overflow.
fn fill(target: f64, weights: &[f64], upper: &[u64], ideal: &mut [f64]) {
    let mut order: Vec<usize> = (0..upper.len()).filter(|&j| weights[j] > 0.0).collect();
    let level = |j: usize| upper[j] as f64 / weights[j];
    order.sort_unstable_by(|&a, &b| level(a).total_cmp(&level(b)).then(a.cmp(&b)));
    // Summed from the end, so that what is left never comes out of a difference.
    let mut weight_from = vec![0.0; order.len() + 1];
    for (place, &j) in order.iter().enumerate().rev() {
        weight_from[place] = weight_from[place + 1] + weights[j];
    }
    let mut left = target;
    for (place, &j) in order.iter().enumerate() {
        let t = left / weight_from[place];
        if t * weights[j] < upper[j] as f64 {
            for &open in &order[place..] {
                ideal[open] = t * weights[open];
            }
            return;
        }
        ideal[j] = upper[j] as f64;
        left = (left - upper[j] as f64).max(0.0);
    }
}
