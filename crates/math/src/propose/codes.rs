//! Rows as whole numbers times a scale, and what that leaves out.
//!
//! With `x̂ = scale · codes` for a row `x`, and the same for `y`, `x·y − x̂·ŷ = (x − x̂)·y + x̂·(y − ŷ)`, so by Cauchy-Schwarz
//! `|x·y − x̂·ŷ| ≤ ‖x − x̂‖‖y‖ + ‖x̂‖‖y − ŷ‖`. The four lengths are stored per row and rounded up. `x̂·ŷ` itself is an exact integer times two scales:
//! its conversion to `f32`, the products, the comparison and the rounding of the similarity are each within a few 2⁻²⁴ of
//! `‖x̂‖‖ŷ‖` or of the bound, which [`SLOP`] covers more than tenfold.
use super::{
    Kernel, LANES,
    rows::{Rows, Values},
};
use crate::{
    rows::{dot, row_count},
    stored::StoredRows,
};
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;
use std::{ops::Range, sync::OnceLock};

/// Relative room for all rounding in `f32`.
const SLOP: f32 = 1e-5;
/// Relative room for sums of at most 65,536 squares in 64 lanes of `f32`.
const SUMS: f32 = 2e-4;
/// Squared lengths of rows that are coded. Outside (and for NaN) nothing is ruled out, so that no product or scale leaves the normal range.
const CODED_SQUARES: Range<f64> = 1e-20..1e20;
/// Stored rows that are on their way from memory while one is coded.
const AHEAD: usize = 3;
/// Longer rows are not coded: their integer sums would not fit.
pub(super) const LONGEST_ROW: usize = 1 << 16;

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
    /// The same for sums over the first half of the words.
    pub half_start: i32,
    /// Length of the part of the row that the second half of the words stands for, at least.
    pub rest: f32,
}

impl Facts {
    /// A row of zeros.
    pub(super) const ZERO: Self = Self {
        square: 0.0,
        scale: 0.0,
        length: 0.0,
        coded: 0.0,
        error: 0.0,
        start: 0,
        half_start: 0,
        rest: 0.0,
    };

    /// A row that is not coded: nothing is ruled out.
    pub(super) fn unknown(square: f64) -> Self {
        let unknown = f32::INFINITY;
        Self { square, length: unknown, error: unknown, rest: unknown, ..Self::ZERO }
    }

    /// Of the row brought to unit length, given those of the row: the codes are the same, each step stands for less.
    fn of_unit(self) -> Self {
        let length = self.square.sqrt();
        if !(length.is_finite() && length > 0.0) {
            return Self::ZERO;
        }
        // The values of a unit row are rounded once, so its length is 1 within 2⁻²⁴.
        let square = 1.0 + 2f64.powi(-22);
        if self.scale == 0.0 {
            return Self::unknown(square);
        }
        let shorter = |value: f32| (f64::from(value) / length) as f32 * (1.0 + SLOP);
        Self {
            square,
            scale: (f64::from(self.scale) / length) as f32,
            length: 1.0 + SLOP,
            coded: shorter(self.coded),
            // Room for the roundings of the values and of the step, each a relative 2⁻²⁴ of a length of 1.
            error: shorter(self.error) + 2f32.powi(-21),
            rest: shorter(self.rest) + 2f32.powi(-22),
            ..self
        }
    }

    /// The error that counts where the row is a source, with room for rounding.
    pub(super) fn error_as_source(&self) -> f32 {
        (self.error + SLOP * self.coded) * (1.0 + SLOP)
    }
}

/// Codes of a block of rows. The buffers can be filled again.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    pub(super) words: Vec<u32>,
    pub(super) facts: Vec<Facts>,
    pub(super) depth: usize,
    pub(super) kernel: Option<Kernel>,
}

impl Codes {
    /// The codes of `[n, dim]` rows for the best kernel, in parallel.
    pub(crate) fn new(rows: &[f32], dim: usize) -> Self {
        let mut codes = Self::default();
        codes.fill(Kernel::best(), rows, dim);
        codes
    }

    /// Takes the codes of rows, in parallel.
    pub(crate) fn fill(&mut self, kernel: Kernel, rows: &[f32], dim: usize) {
        self.resize(kernel, rows, dim);
        let words = self.words.par_chunks_exact_mut(self.depth);
        let encoded = rows.par_chunks_exact(dim).zip(words).with_min_len(LANES);
        encoded.map(|(row, words)| encode_words(kernel, row, words)).collect_into_vec(&mut self.facts);
    }

    /// As [`Codes::fill`], on the calling thread.
    pub(crate) fn fill_here(&mut self, kernel: Kernel, rows: &[f32], dim: usize) {
        self.resize(kernel, rows, dim);
        let encoded = rows.chunks_exact(dim).zip(self.words.chunks_exact_mut(self.depth));
        self.facts.extend(encoded.map(|(row, words)| encode_words(kernel, row, words)));
    }

    /// As [`Codes::fill`], of some stored rows brought to unit length; none of these is kept.
    pub(crate) fn fill_stored(
        &mut self,
        kernel: Kernel,
        stored: &dyn StoredRows,
        rows: Range<usize>,
        dim: usize,
    ) {
        self.set_len(kernel, rows.len(), dim);
        let end = rows.end;
        let words = self.words.par_chunks_exact_mut(self.depth);
        let encoded = rows.into_par_iter().zip(words).with_min_len(LANES);
        let encode = |values: &mut Vec<f32>, (row, words): (usize, &mut [u32])| {
            values.resize(dim, 0.0);
            if row + AHEAD < end {
                stored.expect(row + AHEAD);
            }
            stored.widen(row, values);
            encode_words(kernel, values, words).of_unit()
        };
        encoded.map_init(Vec::new, encode).collect_into_vec(&mut self.facts);
    }

    fn resize(&mut self, kernel: Kernel, rows: &[f32], dim: usize) {
        self.set_len(kernel, row_count(rows, dim), dim);
    }

    pub(super) fn set_len(&mut self, kernel: Kernel, rows: usize, dim: usize) {
        self.kernel = Some(kernel);
        self.depth = dim.div_ceil(kernel.codes_per_word());
        self.words.resize(rows * self.depth, 0);
        self.facts.clear();
    }

    /// Room for the codes of so many rows of `dim` values, to be filled by [`encode_known`]: words, how many of them a row has, facts.
    pub(crate) fn room(
        &mut self,
        kernel: Kernel,
        rows: usize,
        dim: usize,
    ) -> (&mut [u32], usize, &mut [Facts]) {
        self.set_len(kernel, rows, dim);
        self.facts.resize(rows, Facts::ZERO);
        (&mut self.words, self.depth, &mut self.facts)
    }

    /// Bytes that the codes of one row take.
    pub(crate) fn row_bytes(kernel: Kernel, dim: usize) -> usize {
        dim.div_ceil(kernel.codes_per_word()) * size_of::<u32>() + size_of::<Facts>()
    }

    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    /// The codes beside the rows that they were made of.
    pub(crate) fn of<'a>(&'a self, rows: &'a [f32]) -> Rows<'a> {
        let dim = rows.len().checked_div(self.facts.len()).unwrap_or(0);
        let kernel = self.kernel.unwrap_or(Kernel::Portable);
        let values = Values::Slice { rows, dim };
        Rows { values, words: &self.words, depth: self.depth, facts: &self.facts, kernel }
    }

    /// The codes beside the stored rows from `first` on that they were made of; `units` has a place for each.
    pub(crate) fn of_stored<'a>(
        &'a self,
        stored: &'a dyn StoredRows,
        first: usize,
        units: &'a [OnceLock<Box<[f32]>>],
        dim: usize,
    ) -> Rows<'a> {
        let kernel = self.kernel.unwrap_or(Kernel::Portable);
        let values = Values::Stored { stored, first, units, dim };
        Rows { values, words: &self.words, depth: self.depth, facts: &self.facts, kernel }
    }
}

/// A type of code.
pub(super) trait Code: Copy + Default + Send {
    /// The code, which fits.
    fn new(steps: i32) -> Self;
    fn steps(self) -> i32;
    /// [`encode_plain`], or the same in the kernel's instructions.
    fn encode(_: Kernel, row: &[f32], codes: &mut [Self], levels: i32) -> (f32, Encoded) {
        encode_plain(row, codes, levels)
    }
}

impl Code for i8 {
    fn new(steps: i32) -> Self {
        steps as i8
    }

    fn steps(self) -> i32 {
        i32::from(self)
    }

    fn encode(kernel: Kernel, row: &[f32], codes: &mut [Self], levels: i32) -> (f32, Encoded) {
        match kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Vnni => super::x86::encode(row, codes, levels),
            _ => encode_plain(row, codes, levels),
        }
    }
}

impl Code for i16 {
    fn new(steps: i32) -> Self {
        steps as i16
    }

    fn steps(self) -> i32 {
        i32::from(self)
    }
}

fn encode_words(kernel: Kernel, row: &[f32], words: &mut [u32]) -> Facts {
    let levels = if row.len() > LONGEST_ROW { 0 } else { kernel.levels(row.len()) };
    if kernel.codes_per_word() == 4 {
        encode::<i8>(kernel, row, bytemuck::cast_slice_mut(words), levels)
    } else {
        encode::<i16>(kernel, row, bytemuck::cast_slice_mut(words), levels)
    }
}

/// Rounds a row to multiples of a step of its own; `codes` may be longer than the row (then zero).
pub(super) fn encode<C: Code>(kernel: Kernel, row: &[f32], codes: &mut [C], levels: i32) -> Facts {
    let square = dot(row, row);
    codes[row.len()..].fill(C::default());
    if levels == 0 || !CODED_SQUARES.contains(&square) {
        codes.fill(C::default());
        return if square == 0.0 { Facts::ZERO } else { Facts::unknown(square) };
    }
    let half = codes.len() / kernel.codes_per_word() / 2 * kernel.codes_per_word();
    let rest = &row[half.min(row.len())..];
    // All values are finite, for their squares add up to a finite number.
    let (step, found) = C::encode(kernel, row, &mut codes[..row.len()], levels);
    Facts {
        square,
        scale: step,
        length: square.sqrt() as f32 * (1.0 + SLOP),
        coded: step * found.squares.sqrt() * (1.0 + SUMS),
        error: found.error.sqrt() * (1.0 + SUMS),
        start: -kernel.shift() * found.sum,
        half_start: -kernel.shift() * codes[..half].iter().map(|code| code.steps()).sum::<i32>(),
        rest: dot(rest, rest).sqrt() as f32 * (1.0 + SLOP),
    }
}

/// Codes of values that differ by a length of at most `error` from those they stand for, of which `square` is the squared length.
pub(crate) fn encode_known(
    kernel: Kernel,
    values: &[f32],
    error: f64,
    square: f64,
    words: &mut [u32],
) -> Facts {
    let facts = encode_words(kernel, values, words);
    if !(CODED_SQUARES.contains(&square) && error.is_finite() && facts.scale > 0.0) {
        words.fill(0);
        return if square == 0.0 { Facts::ZERO } else { Facts::unknown(square) };
    }
    let error = (error as f32).next_up();
    Facts { length: facts.length + error, error: facts.error + error, ..facts }
}

/// A step of at least `least`, with 12 significant bits: its products with codes of at most 12 bits are exact in `f32`.
pub(super) fn step_of(least: f32) -> f32 {
    f32::from_bits((least.to_bits() + 0xfff) & !0xfff)
}

/// Adding 1.5 · 2²³ rounds to whole steps in one addition, and leaves them in the low bits.
pub(super) const MAGIC: f32 = (3u32 << 22) as f32;

/// Sums over a row: of its codes, of their squares, and of the squared errors.
#[derive(Debug, PartialEq)]
pub(super) struct Encoded {
    pub sum: i32,
    pub squares: f32,
    pub error: f32,
}

impl Encoded {
    /// From the sums of 64 lanes, value `i` having gone to lane `i mod 64`.
    pub(super) fn of(sum: [i32; LANES], squares: [f32; LANES], error: [f32; LANES]) -> Self {
        let plus = |a: f32, b: f32| a + b;
        Self { sum: sum.iter().sum(), squares: halve(squares, plus), error: halve(error, plus) }
    }
}

/// 64 lanes brought to one, half onto half: six steps, where one lane after the other would be 64 that wait for each other.
#[inline(always)]
fn halve(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = join(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// The codes of a row of finite values that are not all zero, and the step: the plain twin of [`super::x86`]'s.
pub(super) fn encode_plain<C: Code>(row: &[f32], codes: &mut [C], levels: i32) -> (f32, Encoded) {
    let step = step_of(Arch::new().dispatch(Largest(row)) / levels as f32);
    (step, Arch::new().dispatch(Encode { row, codes, step }))
}

/// The largest magnitude among finite values.
struct Largest<'a>(&'a [f32]);

impl NullaryFnOnce for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        let mut lanes = [0f32; LANES];
        let (blocks, tail) = self.0.as_chunks::<LANES>();
        for block in blocks {
            for (lane, value) in lanes.iter_mut().zip(block) {
                *lane = larger(*lane, value.abs());
            }
        }
        tail.iter().map(|value| value.abs()).fold(halve(lanes, larger), larger)
    }
}

/// Lanes whose sums are formed together: as many as fit the registers of AVX2 and NEON.
const PART: usize = 32;

struct Encode<'a, C> {
    row: &'a [f32],
    codes: &'a mut [C],
    step: f32,
}

impl<C: Code> NullaryFnOnce for Encode<'_, C> {
    type Output = Encoded;

    #[inline(always)]
    fn call(self) -> Encoded {
        let inverse = 1.0 / self.step;
        let (mut sum, mut squares, mut error) = ([0i32; LANES], [0f32; LANES], [0f32; LANES]);
        let (blocks, tail) = self.row.as_chunks::<LANES>();
        let (coded, coded_tail) = self.codes.as_chunks_mut::<LANES>();
        let (mut last, mut coded_last) = ([0f32; LANES], [C::default(); LANES]);
        last[..tail.len()].copy_from_slice(tail);
        for first in (0..LANES).step_by(PART) {
            let (mut sums, mut squared, mut errors) = ([0i32; PART], [0f32; PART], [0f32; PART]);
            let mut add = |values: &[f32; LANES], codes: &mut [C; LANES]| {
                for lane in 0..PART {
                    let value = values[first + lane];
                    let shifted = value * inverse + MAGIC;
                    let steps = shifted - MAGIC;
                    let rest = value - steps * self.step;
                    // Not `steps as i32`, which x86 does one lane at a time.
                    let code = shifted.to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed();
                    codes[first + lane] = C::new(code);
                    sums[lane] += code;
                    squared[lane] += steps * steps;
                    errors[lane] += rest * rest;
                }
            };
            blocks.iter().zip(coded.iter_mut()).for_each(|(values, codes)| add(values, codes));
            add(&last, &mut coded_last);
            sum[first..first + PART].copy_from_slice(&sums);
            squares[first..first + PART].copy_from_slice(&squared);
            error[first..first + PART].copy_from_slice(&errors);
        }
        coded_tail.copy_from_slice(&coded_last[..tail.len()]);
        Encoded::of(sum, squares, error)
    }
}
