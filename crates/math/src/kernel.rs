//! The proposal kernel: one small function, [`propose`], and the bound on how far its scores may be from the true similarity.
//!
//! The decision to question: scores are never results. A caller keeps what the bound cannot rule out and scores that in `f64`, so a
//! narrower kernel (bf16, int8) may replace this one by changing [`propose`] and [`ErrorBound::new`] alone.
use gemm_common::{
    Parallelism,
    pulp::{Arch, NullaryFnOnce},
};

/// Most target rows of one tile: the unit of work of a thread.
pub(crate) const TARGET_TILE: usize = 512;
/// Source rows of one tile. 512 × 256 scores are 512 KiB: they stay in the second-level cache between kernel and scan. Measured for the
/// kernel alone (d = 512, one thread, where its best is 122 GFLOP/s): 120 with 512 × 256, 109 with 256 × 512, whose packing weighs more.
pub(crate) const SOURCE_TILE: usize = 256;

/// Scores every target row against every source row: `scores[t * sources + s] ≈ ⟨target t, source s⟩`, in plain `f32`, on the calling
/// thread. `targets` is `[t, dim]`, `sources` `[s, dim]`; `scores` holds exactly `t × s` values.
pub(crate) fn propose(targets: &[f32], sources: &[f32], dim: usize, scores: &mut [f32]) {
    let target_rows = targets.len() / dim;
    let source_rows = sources.len() / dim;
    assert!(scores.len() == target_rows * source_rows && dim > 0);
    let multiply = gemm_f32::gemm::f32::get_gemm_fn();
    // SAFETY: column t of the result starts at `t * source_rows` and runs over `source_rows` neighbours, so all writes stay inside
    // `scores` by the assertion above. The left matrix is `sources` read as source_rows × dim, the right one `targets` read as
    // dim × target_rows: both index below `rows * dim`. With `read_dst` false the old contents of `scores` are not used.
    unsafe {
        multiply(
            source_rows,
            target_rows,
            dim,
            scores.as_mut_ptr(),
            source_rows as isize,
            1,
            false,
            sources.as_ptr(),
            1,
            dim as isize,
            targets.as_ptr(),
            dim as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// How far a score of [`propose`] may be from [`crate::rows::similarity`].
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

/// The largest value of a slice, NaN ignored; `-∞` for an empty one. The lanes let it vectorise.
pub(crate) fn largest(values: &[f32]) -> f32 {
    Arch::new().dispatch(Largest(values))
}

struct Largest<'a>(&'a [f32]);

impl NullaryFnOnce for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        let mut lanes = [f32::NEG_INFINITY; 64];
        let (blocks, tail) = self.0.as_chunks::<64>();
        for block in blocks {
            for lane in 0..64 {
                lanes[lane] = larger(lanes[lane], block[lane]);
            }
        }
        lanes.iter().chain(tail).copied().fold(f32::NEG_INFINITY, larger)
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
        fn scores_stay_within_the_bound(
            kind in kinds(), seed: u64, t in 1usize..70, s in 1usize..70,
            dim in prop::sample::select([&DIMS[..], &[512, 768]].concat()), scale in -20i32..20,
        ) {
            let mut targets = table(kind, t, dim, seed);
            targets.iter_mut().for_each(|v| *v *= 2f32.powi(scale));
            let sources = table(kind, s, dim, seed ^ 3);
            let mut scores = vec![f32::NAN; t * s];
            propose(&targets, &sources, dim, &mut scores);
            let bound = ErrorBound::new(dim);
            for (a, scores) in targets.chunks_exact(dim).zip(scores.chunks_exact(s)) {
                for (b, score) in sources.chunks_exact(dim).zip(scores) {
                    let error = (f64::from(*score) - f64::from(similarity(a, b))).abs();
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

    #[test]
    fn the_largest_value_ignores_nan() {
        for n in [0, 1, 63, 64, 65, 200] {
            let mut values: Vec<f32> = (0..n).map(|i| ((i * 37) % 101) as f32 - 120.0).collect();
            let expected = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(largest(&values), expected);
            values.push(f32::NAN);
            assert_eq!(largest(&values), expected);
        }
    }
}
