//! Shares in proportion to weights, under upper bounds: what a full cluster cannot take flows to the others, in proportion again.
use super::{QuotaError, rounding::Rounding, total};

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
        let lower = vec![0; upper.len()];
        return Ok(
            Rounding { target, share: &ideal, scale: 1.0, shift: 0.0, lower: &lower, upper: &reach }.round()
        );
    }
    // All weighted clusters are full; the rest goes to the others, equally.
    let lower: Vec<u64> = upper.iter().zip(weights).map(|(&u, &w)| if w > 0.0 { u } else { 0 }).collect();
    let equal: Vec<f64> = weights.iter().map(|&w| if w > 0.0 { 0.0 } else { 1.0 }).collect();
    fill((u128::from(target) - weighted) as f64, &equal, upper, &mut ideal);
    for (x, &l) in ideal.iter_mut().zip(&lower) {
        *x += l as f64;
    }
    Ok(Rounding { target, share: &ideal, scale: 1.0, shift: 0.0, lower: &lower, upper }.round())
}

/// `ideal_j = min(upper_j, t · weight_j)` with Σ = target, for a feasible target. The level `t` of the clusters that are open only rises as
/// others overflow, so whoever overflows once stays full: a few rounds, each over what is still open.
fn fill(target: f64, weights: &[f64], upper: &[u64], ideal: &mut [f64]) {
    let mut open: Vec<usize> = (0..upper.len()).filter(|&j| weights[j] > 0.0).collect();
    let mut left = target;
    loop {
        let before = open.len();
        let t = left / open.iter().map(|&j| weights[j]).sum::<f64>();
        open.retain(|&j| {
            let full = t * weights[j] >= upper[j] as f64;
            ideal[j] = if full { upper[j] as f64 } else { t * weights[j] };
            left -= if full { ideal[j] } else { 0.0 };
            !full
        });
        if open.len() == before {
            return;
        }
        left = left.max(0.0);
    }
}
