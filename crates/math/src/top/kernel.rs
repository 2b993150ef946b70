//! Products and lengths of a few rows in `f32`: the proposals of [`super::scan`].
use half::f16;
use pulp::{Arch, NullaryFnOnce};

use super::{Queries, Stored};
use crate::{matrix::Scratch, single::Dot};

/// Rows of a tile.
pub(super) const MOST_ROWS: usize = 64;

/// What is proposed for the rows of a tile.
pub(super) struct Scores {
    /// Squared lengths.
    pub squares: [f32; MOST_ROWS],
    inverse_lengths: [f32; MOST_ROWS],
    /// The products with the queries: those of one query lie together, or, of a packed product, those of one row.
    products: Vec<f32>,
    by_row: bool,
    queries: usize,
    buffer: Vec<f32>,
    scratch: Scratch,
}

impl Scores {
    pub fn new(queries: usize) -> Self {
        Self {
            squares: [0.0; MOST_ROWS],
            inverse_lengths: [0.0; MOST_ROWS],
            products: vec![0.0; MOST_ROWS * queries],
            by_row: false,
            queries,
            buffer: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// The proposed cosine of a query and a row of the tile.
    pub fn cosine(&self, query: usize, place: usize) -> f32 {
        let at = if self.by_row { place * self.queries + query } else { query * MOST_ROWS + place };
        self.products[at] * self.inverse_lengths[place]
    }

    /// Scores a tile of at most [`MOST_ROWS`] rows.
    pub fn propose(&mut self, queries: &Queries, tile: Stored<'_>) {
        match (tile, &queries.packed) {
            // For one query converting and multiplying are one pass; for several the conversion is done once.
            (Stored::Half(rows), None) if self.queries == 1 && has_fused() => {
                score_half(&queries.unit, rows, &mut self.products, &mut self.squares);
            }
            (tile, packed) => {
                let rows = tile.widen(&mut self.buffer);
                if let Some(packed) = packed {
                    self.by_row = true;
                    let count = rows.len() / queries.dim;
                    packed.multiply(rows, &mut self.products[..count * self.queries], &mut self.scratch);
                } else {
                    for (query, products) in
                        queries.unit.chunks_exact(queries.dim).zip(self.products.chunks_exact_mut(MOST_ROWS))
                    {
                        Arch::new().dispatch(Products { query, rows, products });
                    }
                }
                Arch::new().dispatch(Squares { dim: queries.dim, rows, squares: &mut self.squares });
            }
        }
        Arch::new().dispatch(Invert { squares: &self.squares, inverse: &mut self.inverse_lengths });
    }
}

/// The products of one query.
struct Products<'a> {
    query: &'a [f32],
    rows: &'a [f32],
    products: &'a mut [f32],
}

impl NullaryFnOnce for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (row, product) in self.rows.chunks_exact(self.query.len()).zip(self.products) {
            *product = Dot { a: self.query, b: row }.call();
        }
    }
}

/// The squared lengths of rows.
struct Squares<'a> {
    dim: usize,
    rows: &'a [f32],
    squares: &'a mut [f32; MOST_ROWS],
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
    squares: &'a [f32; MOST_ROWS],
    inverse: &'a mut [f32; MOST_ROWS],
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
