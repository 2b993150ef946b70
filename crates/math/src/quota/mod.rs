//! Quotas: how many samples each cluster may keep, exactly.
//!
//! The decision to question: no iterative solver. The quadratic program of density-based pruning is a projection onto a box and a plane, whose
//! solution is `clip(N·P + λ, lower, upper)` for the one λ that makes the sum right. The sum is piecewise linear in λ with a
//! break where a cluster meets a bound, so Newton's method ends at λ itself after a few passes over the clusters.
mod rounding;
mod shift;
#[cfg(test)]
mod tests;
mod water;

use rounding::Rounding;
use shift::Wishes;
pub use water::proportional;

/// Quotas cannot be given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QuotaError {
    /// No numbers within the bounds add up to the target.
    #[error(
        "{target} samples cannot be split: the bounds of the clusters add up to {lower} at least and {upper} at most"
    )]
    Infeasible {
        /// Samples to split.
        target: u64,
        /// Σ of the lower bounds.
        lower: u128,
        /// Σ of the upper bounds.
        upper: u128,
    },
    /// A lower bound above its upper bound.
    #[error("cluster {cluster} must keep at least {lower} and at most {upper}")]
    Bounds {
        /// Its index.
        cluster: usize,
        /// Its lower bound.
        lower: u64,
        /// Its upper bound.
        upper: u64,
    },
    /// A share that is not a finite number of at least 0.
    #[error("the share of cluster {cluster} is {found}; expected a number of at least 0")]
    Share {
        /// Its index.
        cluster: usize,
        /// Its share.
        found: f64,
    },
    /// Lists of different lengths.
    #[error("{shares} shares, {lower} lower and {upper} upper bounds; expected one of each a cluster")]
    Lengths {
        /// Number of shares (or weights).
        shares: usize,
        /// Number of lower bounds.
        lower: usize,
        /// Number of upper bounds.
        upper: usize,
    },
}

/// Quotas that add up to the target, and the shift that made them so.
#[derive(Debug, Clone, PartialEq)]
pub struct Quotas {
    /// Samples that each cluster may keep: within its bounds, Σ = target exactly.
    pub quota: Vec<u64>,
    /// λ of `clip(target·share + λ, lower, upper)`: what each cluster gained (or lost, below 0) because others met a bound. 0 for no cluster.
    pub lambda: f64,
}

impl Quotas {
    /// Splits `target` samples among clusters as near to `target · share` as the bounds allow (least squares): minimises
    /// `Σ (x_j − target·share_j)²` subject to `Σ x_j = target` and `lower_j ≤ x_j ≤ upper_j`, then rounds to whole samples by largest remainder
    /// inside the bounds, ties to the lower index. Shares normally add up to 1 but need not. O(k) for all input but the contrived.
    ///
    /// Errors: lists of different lengths, a share that is NaN, infinite or negative, a lower bound above its upper bound, and a target
    /// outside [Σ lower, Σ upper]. No cluster and target 0: no quota.
    pub fn solve(target: u64, share: &[f64], lower: &[u64], upper: &[u64]) -> Result<Self, QuotaError> {
        if share.len() != lower.len() || share.len() != upper.len() {
            return Err(QuotaError::Lengths { shares: share.len(), lower: lower.len(), upper: upper.len() });
        }
        if let Some(cluster) = share.iter().position(|s| !(s.is_finite() && *s >= 0.0)) {
            return Err(QuotaError::Share { cluster, found: share[cluster] });
        }
        if let Some(cluster) = (0..lower.len()).find(|&c| lower[c] > upper[c]) {
            return Err(QuotaError::Bounds { cluster, lower: lower[cluster], upper: upper[cluster] });
        }
        let (least, most) = (total(lower), total(upper));
        if u128::from(target) < least || u128::from(target) > most {
            return Err(QuotaError::Infeasible { target, lower: least, upper: most });
        }
        let wishes = Wishes { target: target as f64, share, lower, upper };
        let lambda = wishes.shift();
        let rounding = Rounding { target, share, scale: target as f64, shift: lambda, lower, upper };
        Ok(Self { quota: rounding.round(), lambda })
    }
}

fn total(values: &[u64]) -> u128 {
    // Halves: no carry between the lanes, and room for 2^32 clusters.
    let halves = |(low, high): (u64, u64), &value: &u64| (low + (value & 0xffff_ffff), high + (value >> 32));
    let (low, high) = values.iter().fold((0, 0), halves);
    u128::from(low) + (u128::from(high) << 32)
}

/// The lower bounds of the quotas of clusters, see [`bounds`]; the sizes are the upper bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// At least so many samples of each cluster.
    pub lower: Vec<u64>,
    /// The common floor `m` that was used.
    pub floor: u64,
    /// Whether the floor had to be lowered below the rule's, because the target cannot pay for it.
    pub relaxed: bool,
}

/// Bounds of density-based pruning for clusters of the given sizes `M_j`: `lower_j = min(m, M_j − 1)` and `upper_j = M_j`, with
/// `m = ⌊target / k · balance⌋` for a balance above 0, else 1 (as the published code has it; k counts all clusters, also empty ones). An empty
/// cluster has bounds 0 and 0.
///
/// Where the lower bounds add up to more than the target (balance 0 and fewer samples than clusters, target 0, a balance above 1), `m` is
/// lowered to the largest number for which they do not, and `relaxed` says so. So the bounds are feasible for every target up to Σ M_j.
pub fn bounds(sizes: &[u64], target: u64, balance: f64) -> Bounds {
    let rule = if balance > 0.0 && !sizes.is_empty() {
        // A saturating cast: an absurd balance is lowered below like any other.
        (target as f64 / sizes.len() as f64 * balance) as u64
    } else {
        1
    };
    let lower_with = |floor: u64| sizes.iter().map(move |&size| floor.min(size.saturating_sub(1)));
    let fits = |floor: u64| lower_with(floor).map(u128::from).sum::<u128>() <= u128::from(target);
    let mut floor = rule.min(sizes.iter().copied().max().unwrap_or(0));
    let mut relaxed = false;
    if !fits(floor) {
        relaxed = true;
        // The sum grows with the floor, so the largest fitting floor is found by halving; floor 0 always fits.
        let (mut fitting, mut unfitting) = (0, floor);
        while unfitting - fitting > 1 {
            let middle = fitting + (unfitting - fitting) / 2;
            if fits(middle) { fitting = middle } else { unfitting = middle }
        }
        floor = fitting;
    }
    if !relaxed {
        floor = rule;
    }
    Bounds { lower: lower_with(floor).collect(), floor, relaxed }
}
