//! The second proposal: a dot product in plain `f32`, and how far it may be from the similarity.
use pulp::{Arch, NullaryFnOnce};

/// Lanes of the sum.
const LANES: usize = 64;

/// The dot product of two rows of one length, summed in `f32`.
pub(crate) fn dot_single(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    Arch::new().dispatch(Dot { a, b })
}

/// The last values of a row as a whole block. (An index into the sums, to add the tail alone, would keep them out of registers.)
#[inline(always)]
fn padded(tail: &[f32]) -> [f32; LANES] {
    let mut block = [0.0; LANES];
    block[..tail.len()].copy_from_slice(tail);
    block
}

/// The sum as a value, so that other loops can be compiled around it for the same instruction set.
pub(crate) struct Dot<'a> {
    pub a: &'a [f32],
    pub b: &'a [f32],
}

impl NullaryFnOnce for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        let mut lanes = [0.0f32; LANES];
        let (a_blocks, a_tail) = self.a.as_chunks::<LANES>();
        let (b_blocks, b_tail) = self.b.as_chunks::<LANES>();
        let mut add = |x: &[f32; LANES], y: &[f32; LANES]| {
            for lane in 0..LANES {
                lanes[lane] += x[lane] * y[lane];
            }
        };
        a_blocks.iter().zip(b_blocks).for_each(|(x, y)| add(x, y));
        if !a_tail.is_empty() {
            add(&padded(a_tail), &padded(b_tail));
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] += lanes[lane + width];
            }
            width /= 2;
        }
        lanes[0]
    }
}

/// How far [`dot_single`] may be from [`crate::rows::similarity`].
///
/// A sum of `d` rounded products in any order, fused or not, is within `γ_d Σ|aᵢbᵢ| ≤ γ_d ‖a‖‖b‖` of the true value, with
/// `γ_d = d·u / (1 − d·u)` and `u = 2⁻²⁴` (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1, and
/// Cauchy-Schwarz). The similarity itself is within `2⁻²⁴` (its rounding to `f32`) plus `γ_d` for `f64` of the true value;
/// `γ_{d+2}` covers the three together. Products that underflow add at most the smallest normal number each. For d = 512 the bound
/// is 3.1e-5.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorBound {
    relative: f64,
    absolute: f64,
}

impl ErrorBound {
    /// The bound for rows of `dim` values. Infinite (everything is scored in `f64`) for rows too long for `f32` sums.
    pub(crate) fn new(dim: usize) -> Self {
        let steps = (dim as f64 + 2.0) * 2f64.powi(-24);
        let relative = if steps < 0.5 { steps / (1.0 - steps) * (1.0 + 1e-6) } else { f64::INFINITY };
        Self { relative, absolute: (dim as f64 + 1.0) * f64::from(f32::MIN_POSITIVE) }
    }

    /// The bound for two rows of the given lengths, `+∞` where `f32` could overflow or a length is not finite.
    pub(crate) fn of(self, target_length: f64, source_length: f64) -> f64 {
        let scale = target_length * source_length;
        // Written so that NaN takes the second branch.
        if scale < 1e30 { scale * self.relative + self.absolute } else { f64::INFINITY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rows::{dot, similarity},
        testing::{DIMS, kinds, table},
    };
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn sums_stay_within_the_bound(
            kind in kinds(), seed: u64, n in 1usize..40,
            dim in prop::sample::select([&DIMS[..], &[512, 768]].concat()), scale in -20i32..20,
        ) {
            let mut rows = table(kind, n, dim, seed);
            rows.iter_mut().for_each(|v| *v *= 2f32.powi(scale));
            let others = table(kind, n, dim, seed ^ 3);
            let bound = ErrorBound::new(dim);
            for a in rows.chunks_exact(dim) {
                for b in others.chunks_exact(dim) {
                    let error = (f64::from(dot_single(a, b)) - f64::from(similarity(a, b))).abs();
                    prop_assert!(error <= bound.of(dot(a, a).sqrt(), dot(b, b).sqrt()), "{error}");
                }
            }
        }
    }

    #[test]
    fn the_bound_is_small_for_embeddings_and_infinite_where_f32_fails() {
        assert!(ErrorBound::new(512).of(1.0, 1.0) < 3.1e-5);
        assert!(ErrorBound::new(768).of(1.0, 1.0) < 4.7e-5);
        for (target, source) in [(1e20, 1e20), (f64::NAN, 1.0), (f64::INFINITY, 0.0)] {
            assert_eq!(ErrorBound::new(8).of(target, source), f64::INFINITY);
        }
        assert!(!ErrorBound::new(1 << 24).of(1.0, 1.0).is_finite());
    }
}
