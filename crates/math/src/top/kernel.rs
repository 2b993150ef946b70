//! Products and lengths of a few rows in `f32`: the proposals of [`super::scan`].
use half::f16;
use pulp::{Arch, NullaryFnOnce};

use crate::single::Dot;

/// Rows of a tile, at most.
pub(super) const MOST_ROWS: usize = 64;

/// What is proposed for the rows of a tile.
pub(super) struct Scores {
    /// The products with the query.
    pub products: [f32; MOST_ROWS],
    /// Squared lengths.
    pub squares: [f32; MOST_ROWS],
    /// One over the lengths.
    pub inverse_lengths: [f32; MOST_ROWS],
}

impl Default for Scores {
    fn default() -> Self {
        Self { products: [0.0; MOST_ROWS], squares: [0.0; MOST_ROWS], inverse_lengths: [0.0; MOST_ROWS] }
    }
}

impl Scores {
    #[inline(always)]
    fn invert(&mut self) {
        for (inverse, square) in self.inverse_lengths.iter_mut().zip(&self.squares) {
            *inverse = 1.0 / square.sqrt();
        }
    }
}

/// The products of a query with rows, and where `lengths` is set the rows' lengths.
pub(super) fn score(query: &[f32], rows: &[f32], lengths: bool, scores: &mut Scores) {
    Arch::new().dispatch(Single { query, rows, lengths, scores });
}

struct Single<'a> {
    query: &'a [f32],
    rows: &'a [f32],
    lengths: bool,
    scores: &'a mut Scores,
}

impl NullaryFnOnce for Single<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { query, rows, lengths, scores } = self;
        for (row, product) in rows.chunks_exact(query.len()).zip(&mut scores.products) {
            *product = Dot { a: query, b: row }.call();
        }
        if lengths {
            for (row, square) in rows.chunks_exact(query.len()).zip(&mut scores.squares) {
                *square = Dot { a: row, b: row }.call();
            }
            scores.invert();
        }
    }
}

/// Whether [`score_half`] may be called.
pub(super) fn has_fused() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// [`score`] of half floats with lengths, in one pass without a conversion in between. Panics where [`has_fused`] says no.
pub(super) fn score_half(query: &[f32], rows: &[f16], scores: &mut Scores) {
    assert!(has_fused() && rows.len() <= MOST_ROWS * query.len());
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has AVX-512F, and the rows fit into the scores.
    unsafe {
        fused(query, rows, scores);
    }
    scores.invert();
}

/// A sum of fused products in 32 lanes: no more roundings on the way to a lane's sum than in [`Dot`]'s bound.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn fused(query: &[f32], rows: &[f16], scores: &mut Scores) {
    use std::arch::x86_64::*;
    const STEP: usize = 32;
    let dim = query.len();
    let whole = dim / STEP * STEP;
    for (place, row) in rows.chunks_exact(dim).enumerate() {
        let (mut products, mut squares) = ([_mm512_setzero_ps(); 2], [_mm512_setzero_ps(); 2]);
        for at in (0..whole).step_by(STEP) {
            for half in 0..2 {
                let at = at + half * 16;
                // SAFETY: `at + 16` is at most `whole`, and so inside query and row, which are equally long.
                unsafe {
                    let x = _mm512_cvtph_ps(_mm256_loadu_si256(row.as_ptr().add(at).cast()));
                    products[half] =
                        _mm512_fmadd_ps(x, _mm512_loadu_ps(query.as_ptr().add(at)), products[half]);
                    squares[half] = _mm512_fmadd_ps(x, x, squares[half]);
                }
            }
        }
        let mut product = _mm512_reduce_add_ps(_mm512_add_ps(products[0], products[1]));
        let mut square = _mm512_reduce_add_ps(_mm512_add_ps(squares[0], squares[1]));
        for (x, q) in row[whole..].iter().zip(&query[whole..]) {
            let x = x.to_f32();
            product += x * q;
            square += x * x;
        }
        scores.products[place] = product;
        scores.squares[place] = square;
    }
}
