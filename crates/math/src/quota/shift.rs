//! The shift λ of the projection onto a box and a plane: `Σ clip(wish + λ, lower, upper) = target`.
//!
//! Newton's method by settling clusters (Bitran and Hax 1981; Kiwiel 2008, "Variable fixing algorithms for the continuous quadratic knapsack
//! problem"). The clipped sum at a guess tells on which side λ lies, and that settles clusters for good: from a guess too low, all that are
//! full stay full; from one too high, all at their least stay there. The others, taken as if they had no bounds, give the next guess by one
//! division. Every round but the first settles a cluster or ends. A handful is usual; input made to settle little by little is handed to
//! sorting, so the whole is O(k log k) at worst.
use pulp::{Arch, NullaryFnOnce};

/// Rounds until sorting takes over.
const ROUNDS: usize = 40;

/// Lanes of the sums: part of their definition, since the order of additions decides the last bit.
const LANES: usize = 8;

/// The clusters, and how many samples each would get if there were no bounds: `target · share`.
#[derive(Clone, Copy)]
pub(super) struct Wishes<'a> {
    pub target: f64,
    pub share: &'a [f64],
    pub lower: &'a [u64],
    pub upper: &'a [u64],
}

impl NullaryFnOnce for Wishes<'_> {
    /// λ; `None` if the rounds did not suffice.
    type Output = Option<f64>;

    #[inline(always)]
    fn call(self) -> Option<f64> {
        let (mut below, mut above, mut lambda) = (f64::NEG_INFINITY, f64::INFINITY, 0.0);
        let mut open = self.share.len() as f64;
        for _ in 0..ROUNDS {
            let sum = self.sum(lambda);
            if sum == self.target {
                return Some(lambda);
            }
            // Maximum and minimum matter only to rounding: what is settled must stay so.
            (below, above) =
                if sum < self.target { (lambda.max(below), above) } else { (below, lambda.min(above)) };
            let [settled, wishes, still_open] = self.sums(
                #[inline(always)]
                |wish, low, high| {
                    let (full, least) = (wish + below >= high, wish + above <= low);
                    let bound = if full { high } else { low };
                    let settled = full | least;
                    [
                        if settled { bound } else { 0.0 },
                        if settled { 0.0 } else { wish },
                        if settled { 0.0 } else { 1.0 },
                    ]
                },
            );
            let next = (self.target - settled - wishes) / still_open;
            // All are settled, or only rounding lies between the sum and the target.
            if still_open == 0.0 || (still_open == open && next == lambda) {
                return Some(lambda);
            }
            (open, lambda) = (still_open, next);
        }
        None
    }
}

impl Wishes<'_> {
    /// λ for a target between Σ lower and Σ upper; 0 where no shift is needed, and for no cluster.
    pub fn shift(self) -> f64 {
        Arch::new().dispatch(self).unwrap_or_else(|| self.by_sorting())
    }

    /// `Σ clip(wish + λ, lower, upper)`.
    #[inline(always)]
    fn sum(self, lambda: f64) -> f64 {
        let [sum] = self.sums(
            #[inline(always)]
            |wish, low, high| {
                let x = wish + lambda;
                let x = if x > low { x } else { low };
                [if x < high { x } else { high }]
            },
        );
        sum
    }

    /// Sums over all clusters of what `terms` gives for a wish and its bounds.
    #[inline(always)]
    fn sums<const N: usize>(self, terms: impl Fn(f64, f64, f64) -> [f64; N]) -> [f64; N] {
        let (mut lanes, mut rest) = ([[0.0; LANES]; N], [0.0; N]);
        let (shares, share) = self.share.as_chunks::<LANES>();
        let (lowers, lower) = self.lower.as_chunks::<LANES>();
        let (uppers, upper) = self.upper.as_chunks::<LANES>();
        for ((share, lower), upper) in shares.iter().zip(lowers).zip(uppers) {
            for lane in 0..LANES {
                let terms = terms(share[lane] * self.target, lower[lane] as f64, upper[lane] as f64);
                for (lanes, term) in lanes.iter_mut().zip(terms) {
                    lanes[lane] += term;
                }
            }
        }
        for ((share, &lower), &upper) in share.iter().zip(lower).zip(upper) {
            let terms = terms(share * self.target, lower as f64, upper as f64);
            for (rest, term) in rest.iter_mut().zip(terms) {
                *rest += term;
            }
        }
        for (rest, lanes) in rest.iter_mut().zip(lanes) {
            *rest += lanes.iter().sum::<f64>();
        }
        rest
    }

    /// The same λ from all breaks, sorted: between two neighbours the same clusters are at a bound, so the sum is linear there.
    pub fn by_sorting(self) -> f64 {
        let clusters = self.share.iter().zip(self.lower.iter().zip(self.upper));
        let breaks_of = |(share, (&low, &high))| {
            let wish = share * self.target;
            [low as f64 - wish, high as f64 - wish]
        };
        let mut breaks: Vec<f64> = clusters.flat_map(breaks_of).collect();
        breaks.sort_unstable_by(f64::total_cmp);
        let Some(&last) = breaks.last() else { return 0.0 };
        let reached = breaks.partition_point(|&lambda| self.sum(lambda) < self.target);
        let right = breaks.get(reached).copied().unwrap_or(last);
        let left = if reached == 0 { right } else { breaks[reached - 1] };
        let middle = left + (right - left) / 2.0;
        let [fixed, wishes, free] = self.sums(|wish, low, high| {
            let x = wish + middle;
            if x <= low {
                [low, 0.0, 0.0]
            } else if x >= high {
                [high, 0.0, 0.0]
            } else {
                [0.0, wish, 1.0]
            }
        });
        if free == 0.0 { right } else { ((self.target - fixed - wishes) / free).clamp(left, right) }
    }
}
