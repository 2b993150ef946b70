//! Products and lengths of a few rows in `f32`: the proposals of [`super::scan`].
use half::f16;
use pulp::{Arch, NullaryFnOnce};

use super::{Queries, Stored};
use crate::single::Dot;

/// Rows of a tile.
pub(super) const ROWS: usize = 64;
/// Values that [`score_half`] takes at once.
const STEP: usize = 32;
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
    cfg!(target_arch = "aarch64")
}

/// Products with a query and squared lengths of half floats, in one pass without a conversion in between. Panics where [`has_fused`] says no.
fn score_half(query: &[f32], rows: &[f16], products: &mut [f32], squares: &mut [f32]) {
    let count = rows.len() / query.len();
    assert!(has_fused() && count <= products.len() && count <= squares.len());
    for ((row, product), square) in rows.chunks_exact(query.len()).zip(products).zip(squares) {
        let whole = query.len() / STEP * STEP;
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        // SAFETY: the processor has the instructions, as was just asked; both hold `whole` values, a multiple of STEP.
        unsafe {
            (*product, *square) = fused(&query[..whole], &row[..whole]);
        }
        for (x, q) in row[whole..].iter().zip(&query[whole..]) {
            let x = x.to_f32();
            *product += x * q;
            *square += x * x;
        }
    }
}

/// The product and the squared length of whole steps: sums of fused products in [`STEP`] lanes, no more roundings on the way to a lane's sum
/// than in [`Dot`]'s bound.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn fused(query: &[f32], row: &[f16]) -> (f32, f32) {
    use std::arch::x86_64::*;
    let (mut products, mut squares) = ([_mm512_setzero_ps(); 2], [_mm512_setzero_ps(); 2]);
    for at in (0..query.len()).step_by(STEP) {
        for n in 0..2 {
            // SAFETY: `STEP` values lie behind `at` in both.
            unsafe {
                let x = _mm512_cvtph_ps(_mm256_loadu_si256(row.as_ptr().add(at + n * 16).cast()));
                let q = _mm512_loadu_ps(query.as_ptr().add(at + n * 16));
                products[n] = _mm512_fmadd_ps(x, q, products[n]);
                squares[n] = _mm512_fmadd_ps(x, x, squares[n]);
            }
        }
    }
    let sum = |[a, b]: [__m512; 2]| _mm512_reduce_add_ps(_mm512_add_ps(a, b));
    (sum(products), sum(squares))
}

/// As its twin above.
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn fused(query: &[f32], row: &[f16]) -> (f32, f32) {
    use std::arch::aarch64::*;
    let (mut products, mut squares) = ([vdupq_n_f32(0.0); 8], [vdupq_n_f32(0.0); 8]);
    for at in (0..query.len()).step_by(STEP) {
        for n in 0..8 {
            // SAFETY: `STEP` values lie behind `at` in both.
            unsafe {
                let halves = vld1_u16(row.as_ptr().add(at + n * 4).cast());
                let x = vcvt_f32_f16(vreinterpret_f16_u16(halves));
                let q = vld1q_f32(query.as_ptr().add(at + n * 4));
                products[n] = vfmaq_f32(products[n], x, q);
                squares[n] = vfmaq_f32(squares[n], x, x);
            }
        }
    }
    let sum = |lanes: [float32x4_t; 8]| {
        vaddvq_f32(lanes.into_iter().fold(vdupq_n_f32(0.0), |a, b| vaddq_f32(a, b)))
    };
    (sum(products), sum(squares))
}
