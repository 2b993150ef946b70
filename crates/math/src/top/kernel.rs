//! Products and lengths of a few rows in `f32`: the proposals of [`super::scan`].
use half::f16;
use pulp::{Arch, NullaryFnOnce};

use super::{Queries, Stored};
use crate::single::Dot;

/// Rows of a tile.
pub(super) const ROWS: usize = 64;
/// Bytes of rows that meet all queries before the next ones do: they stay in the first-level cache beside a query.
const NEAR_BYTES: usize = 16 << 10;

/// What is proposed for the rows of a tile.
pub(super) struct Scores {
    /// Squared lengths.
    pub squares: [f32; ROWS],
    /// One over the lengths.
    pub inverse_lengths: [f32; ROWS],
    /// `[rows, queries]`
    products: Vec<f32>,
    queries: usize,
    buffer: Vec<f32>,
}

impl Scores {
    pub fn new(queries: usize) -> Self {
        Self {
            squares: [0.0; ROWS],
            inverse_lengths: [0.0; ROWS],
            products: vec![0.0; ROWS * queries],
            queries,
            buffer: Vec::new(),
        }
    }

    /// The products of a row of the tile with the queries: times its inverse length they are the proposed cosines.
    pub fn products(&self, place: usize) -> &[f32] {
        &self.products[place * self.queries..(place + 1) * self.queries]
    }

    /// Scores a tile of at most [`ROWS`] rows.
    pub fn propose(&mut self, queries: &Queries, tile: Stored<'_>) {
        let Queries { dim, unit, .. } = queries;
        match tile {
            // For one query converting and multiplying are one pass; for several the conversion is done once.
            Stored::Half(rows) if self.queries == 1 && has_fused() => {
                score_half(unit, rows, &mut self.products, &mut self.squares);
            }
            tile => {
                let rows = tile.widen(&mut self.buffer);
                let near = (NEAR_BYTES / (4 * dim)).max(1);
                let products = self.products.chunks_mut(near * self.queries);
                for (rows, products) in rows.chunks(near * dim).zip(products) {
                    Arch::new().dispatch(Products { dim: *dim, queries: unit, rows, products });
                }
                Arch::new().dispatch(Squares { dim: *dim, rows, squares: &mut self.squares });
            }
        }
        Arch::new().dispatch(Invert { squares: &self.squares, inverse: &mut self.inverse_lengths });
    }
}

/// The products of all queries with a few rows.
struct Products<'a> {
    dim: usize,
    queries: &'a [f32],
    rows: &'a [f32],
    products: &'a mut [f32],
}

impl NullaryFnOnce for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let count = self.queries.len() / self.dim;
        for (at, query) in self.queries.chunks_exact(self.dim).enumerate() {
            for (row, products) in self.rows.chunks_exact(self.dim).zip(self.products.chunks_exact_mut(count))
            {
                products[at] = Dot { a: query, b: row }.call();
            }
        }
    }
}

/// The squared lengths of rows.
struct Squares<'a> {
    dim: usize,
    rows: &'a [f32],
    squares: &'a mut [f32],
}

impl NullaryFnOnce for Squares<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (row, square) in self.rows.chunks_exact(self.dim).zip(self.squares) {
            *square = Dot { a: row, b: row }.call();
        }
    }
}

/// One over the lengths. Where there is none, what comes out is not looked at.
struct Invert<'a> {
    squares: &'a [f32],
    inverse: &'a mut [f32],
}

impl NullaryFnOnce for Invert<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (inverse, square) in self.inverse.iter_mut().zip(self.squares) {
            *inverse = 1.0 / square.sqrt();
        }
    }
}

/// Whether [`score_half`] may be called.
fn has_fused() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Products with a query and squared lengths of half floats, in one pass without a conversion in between. Panics where [`has_fused`] says no.
fn score_half(query: &[f32], rows: &[f16], products: &mut [f32], squares: &mut [f32]) {
    let count = rows.len() / query.len();
    assert!(has_fused() && count <= products.len() && count <= squares.len());
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has AVX-512F, as was just asked.
    unsafe {
        fused(query, rows, products, squares);
    }
}

/// A sum of fused products in 32 lanes: no more roundings on the way to a lane's sum than in [`Dot`]'s bound.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn fused(query: &[f32], rows: &[f16], products_of: &mut [f32], squares_of: &mut [f32]) {
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
        products_of[place] = product;
        squares_of[place] = square;
    }
}
