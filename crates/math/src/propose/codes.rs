//! Rows as whole numbers times a scale, and what that leaves out.
//!
//! With `x̂ = scale · codes` for a row `x`, and the same for `y`, `x·y − x̂·ŷ = (x − x̂)·y + x̂·(y − ŷ)`, so by Cauchy-Schwarz
//! `|x·y − x̂·ŷ| ≤ ‖x − x̂‖‖y‖ + ‖x̂‖‖y − ŷ‖`. The four lengths are stored per row and rounded up. `x̂·ŷ` itself is an exact integer times two scales:
//! its conversion to `f32`, the products, the comparison and the rounding of the similarity are each within a few 2⁻²⁴ of
//! `‖x̂‖‖ŷ‖` or of the bound, which [`SLOP`] covers more than tenfold.
use super::{Kernel, LANES};
use crate::{
    rows::{dot, row_count},
    single::padded,
};
use gemm_common::pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// Relative room for all rounding in `f32`.
const SLOP: f32 = 1e-5;
/// Squared lengths of rows that are coded. Outside (and for NaN) nothing is ruled out, so that no product or scale leaves the normal range.
const CODED_SQUARES: std::ops::Range<f64> = 1e-20..1e20;
/// Longer rows are not coded: their integer sums would not fit.
const LONGEST_ROW: usize = 1 << 16;

/// What the bounds need to know of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Facts {
    /// Squared length, by [`dot`].
    pub square: f64,
    /// The value of one step; 0 where all codes are 0.
    pub scale: f32,
    /// Length of the row, at least; `∞` where it is not coded.
    pub length: f32,
    /// Length of what the codes stand for, at least.
    pub coded: f32,
    /// Length of the difference between row and codes, at least; `∞` where the row is not coded.
    pub error: f32,
    /// Where integer sums of this target row start, so that the shift of the sources cancels out.
    pub start: i32,
}

impl Facts {
    /// The error that counts where the row is a source, with room for rounding.
    pub(super) fn error_as_source(&self) -> f32 {
        (self.error + SLOP * self.coded) * (1.0 + SLOP)
    }
}

/// Codes of a block of rows. The buffers can be filled again.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    words: Vec<u32>,
    facts: Vec<Facts>,
    depth: usize,
    kernel: Option<Kernel>,
}

impl Codes {
    /// The codes of `[n, dim]` rows for the best kernel, in parallel.
    pub(crate) fn new(rows: &[f32], dim: usize) -> Self {
        let mut codes = Self::default();
        codes.fill(Kernel::best(), rows, dim);
        codes
    }

    pub(crate) fn fill(&mut self, kernel: Kernel, rows: &[f32], dim: usize) {
        let n = row_count(rows, dim);
        let per_word = kernel.codes_per_word();
        let levels = if dim > LONGEST_ROW { 0 } else { kernel.levels(dim) };
        self.kernel = Some(kernel);
        self.depth = dim.div_ceil(per_word);
        self.words.resize(n * self.depth, 0);
        self.facts.clear();
        let words = self.words.par_chunks_exact_mut(self.depth);
        let encoded = rows.par_chunks_exact(dim).zip(words).with_min_len(LANES).map(|(row, words)| {
            if per_word == 4 {
                encode::<i8>(row, bytemuck::cast_slice_mut(words), levels)
            } else {
                encode::<i16>(row, bytemuck::cast_slice_mut(words), levels)
            }
        });
        encoded.collect_into_vec(&mut self.facts);
    }

    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    /// The codes beside the rows that they were made of.
    pub(crate) fn of<'a>(&'a self, rows: &'a [f32]) -> Rows<'a> {
        let dim = rows.len().checked_div(self.facts.len()).unwrap_or(0);
        let kernel = self.kernel.unwrap_or(Kernel::Portable);
        Rows { rows, dim, words: &self.words, depth: self.depth, facts: &self.facts, kernel }
    }
}

/// A block of rows with their codes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    rows: &'a [f32],
    dim: usize,
    words: &'a [u32],
    depth: usize,
    facts: &'a [Facts],
    kernel: Kernel,
}

impl<'a> Rows<'a> {
    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        &self.rows[row * self.dim..(row + 1) * self.dim]
    }

    pub(crate) fn facts(&self) -> &'a [Facts] {
        self.facts
    }

    /// The code words of a row.
    pub(crate) fn words(&self, row: usize) -> &'a [u32] {
        &self.words[row * self.depth..(row + 1) * self.depth]
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The sub-block of rows `start..end`.
    pub(crate) fn part(&self, start: usize, end: usize) -> Self {
        Self {
            rows: &self.rows[start * self.dim..end * self.dim],
            words: &self.words[start * self.depth..end * self.depth],
            facts: &self.facts[start..end],
            ..*self
        }
    }
}

/// A type of code.
pub(super) trait Code: Copy + Default + Send {
    /// What sources are shifted by.
    const SHIFT: i32;
    /// The code, which fits.
    fn new(steps: i32) -> Self;
}

impl Code for i8 {
    const SHIFT: i32 = 128;
    #[inline(always)]
    fn new(steps: i32) -> Self {
        steps as i8
    }
}

impl Code for i16 {
    const SHIFT: i32 = 0;
    #[inline(always)]
    fn new(steps: i32) -> Self {
        steps as i16
    }
}

/// Rounds a row to multiples of a step of its own; `codes` may be longer than the row (then zero).
fn encode<C: Code>(row: &[f32], codes: &mut [C], levels: i32) -> Facts {
    let square = dot(row, row);
    codes[row.len()..].fill(C::default());
    let coded = levels > 0 && CODED_SQUARES.contains(&square);
    if !coded {
        codes.fill(C::default());
        let unknown = if square == 0.0 { 0.0 } else { f32::INFINITY };
        return Facts { square, scale: 0.0, length: unknown, coded: 0.0, error: unknown, start: 0 };
    }
    let step = step_of(Arch::new().dispatch(LargestMagnitude(row)) / levels as f32);
    let found = Arch::new().dispatch(Encode { row, codes: &mut codes[..row.len()], step });
    let up = 1.0 + SLOP;
    Facts {
        square,
        scale: step,
        length: square.sqrt() as f32 * up,
        coded: step * (found.squares as f32).sqrt() * up,
        // At most 65,536 squares are summed in 64 lanes: within 2e-4.
        error: found.error.sqrt() * (1.0 + 2e-4),
        start: -C::SHIFT * found.sum,
    }
}

/// A step at least as large, with 12 significant bits: its products with codes of at most 12 bits are exact in `f32`.
fn step_of(least: f32) -> f32 {
    f32::from_bits((least.to_bits() + 0xfff) & !0xfff)
}

struct LargestMagnitude<'a>(&'a [f32]);

impl NullaryFnOnce for LargestMagnitude<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        let mut lanes = [0.0f32; LANES];
        let (blocks, tail) = self.0.as_chunks::<LANES>();
        let last = padded(tail);
        for block in blocks.iter().chain([&last]) {
            for lane in 0..LANES {
                lanes[lane] = larger(lanes[lane], block[lane].abs());
            }
        }
        lanes.into_iter().fold(0.0, larger)
    }
}

struct Encode<'a, C> {
    row: &'a [f32],
    codes: &'a mut [C],
    step: f32,
}

/// Sums over a row's codes, and of the squared errors.
struct Encoded {
    sum: i32,
    squares: i32,
    error: f32,
}

impl<C: Code> NullaryFnOnce for Encode<'_, C> {
    type Output = Encoded;

    #[inline(always)]
    fn call(self) -> Encoded {
        // Adding 1.5 · 2²³ rounds to whole steps in one addition, and leaves them in the low bits.
        const MAGIC: f32 = (3u32 << 22) as f32;
        let inverse = 1.0 / self.step;
        let (mut sum, mut squares, mut error) = ([0i32; LANES], [0i32; LANES], [0f32; LANES]);
        let mut block = |values: &[f32; LANES], codes: &mut [C; LANES]| {
            for lane in 0..LANES {
                let shifted = values[lane] * inverse + MAGIC;
                let steps = shifted.to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed();
                let rest = values[lane] - (shifted - MAGIC) * self.step;
                codes[lane] = C::new(steps);
                sum[lane] += steps;
                squares[lane] += steps * steps;
                error[lane] += rest * rest;
            }
        };
        let (blocks, tail) = self.row.as_chunks::<LANES>();
        let (code_blocks, code_tail) = self.codes.as_chunks_mut::<LANES>();
        blocks.iter().zip(code_blocks).for_each(|(values, codes)| block(values, codes));
        if !tail.is_empty() {
            let mut codes = [C::default(); LANES];
            block(&padded(tail), &mut codes);
            code_tail.copy_from_slice(&codes[..tail.len()]);
        }
        Encoded { sum: sum.iter().sum(), squares: squares.iter().sum(), error: error.iter().sum() }
    }
}
