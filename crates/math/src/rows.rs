//! Rows: where they come from, how they are brought to unit length, and what a similarity is.
//!
//! The decision to question: the dot product is summed in 32 interleaved `f64` lanes, not left to right. Thirty-two lanes are what
//! four 512-bit registers hold, so the loop vectorises; and since a product of two `f32` is exact in `f64`, a fused multiply-add gives
//! the same bits as a product and a sum, so every instruction set computes the same number.
use crate::stored::StoredRows;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;
use std::{error::Error, fmt};

/// Lanes of [`dot`]. Part of the definition of a similarity: another number would give other last bits.
const LANES: usize = 32;

/// Why a [`RowSource`] could not deliver: any error, boxed. Display shows the inner error as it is.
#[derive(Debug)]
pub struct SourceError(Box<dyn Error + Send + Sync + 'static>);

impl SourceError {
    /// Wraps any error (or a text) of the source.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync + 'static>>) -> Self {
        Self(error.into())
    }

    /// The wrapped error, for callers that want to downcast it to their own type.
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync + 'static> {
        self.0
    }

    /// The wrapped error, borrowed.
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A table of unit rows `[len, dim]` that may be larger than memory. Reads may come from several threads and in any order, mostly
/// long runs in ascending order, several times over; the same rows must come back every time.
pub trait RowSource: Sync {
    /// The number of rows.
    fn len(&self) -> usize;

    /// The number of values in a row, at least 1.
    fn dim(&self) -> usize;

    /// Fills `out` (a multiple of [`dim`](Self::dim) values) with the rows from `start` on. The rows have unit length, or are all
    /// zero where a row had no direction (see [`normalize`]). An error ends the calling computation; a source may use that to cancel.
    fn read(&self, start: usize, out: &mut [f32]) -> Result<(), SourceError>;

    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All rows as one slice, if they lie in memory already: then nothing is copied.
    fn as_slice(&self) -> Option<&[f32]> {
        None
    }

    /// All rows as they are stored, if they lie in memory in another form: a search that looks at few of them exactly then brings only those to unit length.
    fn as_stored(&self) -> Option<&dyn StoredRows> {
        None
    }
}

/// A read past the end of an in-memory source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rows {start}..{end} were asked of a source of {len} rows")]
pub struct OutOfRange {
    /// First row asked for.
    pub start: usize,
    /// One past the last row asked for.
    pub end: usize,
    /// Rows that there are.
    pub len: usize,
}

fn copy_rows(data: &[f32], dim: usize, start: usize, out: &mut [f32]) -> Result<(), SourceError> {
    let first = start.saturating_mul(dim);
    match data.get(first..first.saturating_add(out.len())) {
        Some(rows) => {
            out.copy_from_slice(rows);
            Ok(())
        }
        None => Err(SourceError::new(OutOfRange {
            start,
            end: start.saturating_add(out.len() / dim.max(1)),
            len: data.len() / dim.max(1),
        })),
    }
}

/// Borrowed rows in memory: `data` is `[n, dim]`.
#[derive(Debug, Clone, Copy)]
pub struct SliceRows<'a> {
    /// `[n, dim]` row-major.
    pub data: &'a [f32],
    /// Values in a row, at least 1.
    pub dim: usize,
}

impl<'a> SliceRows<'a> {
    /// Rows over a slice. Panics if `dim` is 0 or `data` is no whole number of rows.
    pub fn new(data: &'a [f32], dim: usize) -> Self {
        row_count(data, dim);
        Self { data, dim }
    }
}

impl RowSource for SliceRows<'_> {
    fn len(&self) -> usize {
        self.data.len() / self.dim.max(1)
    }
    fn dim(&self) -> usize {
        self.dim
    }
    fn read(&self, start: usize, out: &mut [f32]) -> Result<(), SourceError> {
        copy_rows(self.data, self.dim, start, out)
    }
    fn as_slice(&self) -> Option<&[f32]> {
        Some(self.data)
    }
}

/// Owned rows in memory: `data` is `[n, dim]`.
#[derive(Debug, Clone, Default)]
pub struct VecRows {
    /// `[n, dim]` row-major.
    pub data: Vec<f32>,
    /// Values in a row, at least 1.
    pub dim: usize,
}

impl VecRows {
    /// Rows over a vector. Panics if `dim` is 0 or `data` is no whole number of rows.
    pub fn new(data: Vec<f32>, dim: usize) -> Self {
        row_count(&data, dim);
        Self { data, dim }
    }
}

impl RowSource for VecRows {
    fn len(&self) -> usize {
        self.data.len() / self.dim.max(1)
    }
    fn dim(&self) -> usize {
        self.dim
    }
    fn read(&self, start: usize, out: &mut [f32]) -> Result<(), SourceError> {
        copy_rows(&self.data, self.dim, start, out)
    }
    fn as_slice(&self) -> Option<&[f32]> {
        Some(&self.data)
    }
}

/// One row of a slice of rows. Panics if there is none of that number.
pub(crate) fn row(rows: &[f32], dim: usize, number: usize) -> &[f32] {
    &rows[number * dim..(number + 1) * dim]
}

/// The number of rows in a slice. Panics where the slice is no whole number of rows: that is a bug of the caller.
pub(crate) fn row_count<T>(rows: &[T], dim: usize) -> usize {
    assert!(dim > 0, "rows need at least one value each");
    assert!(rows.len().is_multiple_of(dim), "{} values are no whole number of rows of {dim}", rows.len());
    rows.len() / dim
}

/// What [`normalize`] found in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    /// It has unit length now.
    Unit,
    /// It was all zero: no direction. Left all zero.
    Zero,
    /// It held NaN or an infinity. Now all zero.
    NotFinite,
}

/// Brings every row of `[n, dim]` to unit length, in place, and says what each row was. The length and its reciprocal are computed in
/// `f64`, and each value multiplied in `f64`, so a row comes out the same on every machine. Rows that are not `Unit` are left zeroed: their
/// similarity to anything is 0, never NaN. Panics if `rows` is no whole number of rows.
pub fn normalize(rows: &mut [f32], dim: usize) -> Vec<RowState> {
    row_count(rows, dim);
    rows.par_chunks_exact_mut(dim).with_min_len(64).map(normalize_row).collect()
}

/// As [`normalize`], for one row, on the calling thread.
pub fn normalize_row(row: &mut [f32]) -> RowState {
    let length = dot(row, row).sqrt();
    if length.is_finite() && length > 0.0 {
        Arch::new().dispatch(Scale { row, by: 1.0 / length });
        return RowState::Unit;
    }
    row.fill(0.0);
    if length == 0.0 { RowState::Zero } else { RowState::NotFinite }
}

/// Multiplies a row, see [`Dot`].
struct Scale<'a> {
    row: &'a mut [f32],
    by: f64,
}

impl NullaryFnOnce for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for value in self.row {
            *value = (f64::from(*value) * self.by) as f32;
        }
    }
}

/// The largest `|length − 1|` among the rows of `[n, dim]` that have a direction (neither zero nor with NaN or infinity); 0 when there
/// is none. Tells whether embeddings came in normalised. Panics if `rows` is no whole number of rows.
pub fn largest_length_error(rows: &[f32], dim: usize) -> f64 {
    row_count(rows, dim);
    rows.par_chunks_exact(dim)
        .with_min_len(64)
        .map(|row| dot(row, row).sqrt())
        .filter(|length| length.is_finite() && *length > 0.0)
        .map(|length| (length - 1.0).abs())
        .reduce(|| 0.0, f64::max)
}

/// The dot product of two rows of equal length, its exact products summed in `f64` in one fixed order: value `i` goes to lane
/// `i mod 32`, then the lanes are added in pairs (0+16, 1+17, …, then 0+8, …). The same bits on every machine.
/// Panics if the lengths differ.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "a dot product needs rows of one length");
    Arch::new().dispatch(Dot { a, b })
}

/// The similarity of two unit rows, in [-1, 1] up to rounding: [`dot`] rounded to `f32`. This is the number that every function of this
/// crate compares and returns.
#[inline]
pub fn similarity(a: &[f32], b: &[f32]) -> f32 {
    dot(a, b) as f32
}

/// The sum as a value with a method: `pulp` compiles the method once an instruction set and calls the best one. A closure would do, but
/// was measured not to be inlined there, and so to stay at the oldest instruction set.
struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl NullaryFnOnce for Dot<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let mut lanes = [0.0f64; LANES];
        let (a_blocks, a_tail) = self.a.as_chunks::<LANES>();
        let (b_blocks, b_tail) = self.b.as_chunks::<LANES>();
        for (x, y) in a_blocks.iter().zip(b_blocks) {
            for lane in 0..LANES {
                lanes[lane] += f64::from(x[lane]) * f64::from(y[lane]);
            }
        }
        for (lane, (x, y)) in a_tail.iter().zip(b_tail).enumerate() {
            lanes[lane] += f64::from(*x) * f64::from(*y);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Kind, in_pool, table};

    /// The documented order of the sum, in the plainest form.
    fn lanes_by_definition(a: &[f32], b: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 32];
        for i in 0..a.len() {
            lanes[i % 32] += f64::from(a[i]) * f64::from(b[i]);
        }
        for width in [16, 8, 4, 2, 1] {
            for lane in 0..width {
                lanes[lane] += lanes[lane + width];
            }
        }
        lanes[0]
    }

    #[test]
    fn every_instruction_set_sums_in_the_documented_order() {
        for dim in (0..140).chain([511, 512, 513, 768, 1025]) {
            let rows = table(Kind::Random, 2, dim.max(1), dim as u64);
            let (a, b) = (&rows[..dim], &rows[dim..2 * dim]);
            let expected = lanes_by_definition(a, b);
            assert_eq!(dot(a, b).to_bits(), expected.to_bits());
            assert_eq!(Dot { a, b }.call().to_bits(), expected.to_bits());
            let plain: f64 = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            assert!((plain - expected).abs() < 1e-13);
        }
    }

    #[test]
    fn rows_come_out_with_unit_length_or_zero() {
        let tiny = f32::from_bits(1);
        let mut rows = vec![
            3.0,
            4.0,
            0.0,
            -0.0,
            f32::NAN,
            1.0,
            f32::INFINITY,
            0.0,
            1e38,
            -1e38,
            tiny,
            0.0,
            1e-30,
            1e-30,
        ];
        assert!(
            (largest_length_error(&[1.0, 0.0, 0.0, 1.5, 0.0, 0.0, f32::NAN, 9.0], 2) - 0.5).abs() < 1e-12
        );
        let states = normalize(&mut rows, 2);
        use RowState::{NotFinite, Unit, Zero};
        assert_eq!(states, [Unit, Zero, NotFinite, NotFinite, Unit, Unit, Unit]);
        assert_eq!(rows[..8], [0.6, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(rows[10..12], [1.0, 0.0]);
        assert!(largest_length_error(&rows, 2) < 1e-7);
        assert_eq!(largest_length_error(&[], 2), 0.0);
        assert!(normalize(&mut [], 2).is_empty());
    }

    #[test]
    fn lengths_do_not_depend_on_threads() {
        let table = || (0..3001).map(|i| ((i * 7919) % 1013) as f32 - 500.0).collect::<Vec<f32>>();
        let run = |threads| {
            let mut rows = table();
            let states = in_pool(threads, || normalize(&mut rows, 1));
            (rows, states)
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn reading_past_the_end_is_an_error() {
        let source = VecRows::new(vec![1.0, 0.0, 0.0, 1.0], 2);
        let mut out = [0.0; 2];
        source.read(1, &mut out).unwrap();
        assert_eq!((out, source.len(), source.dim()), ([0.0, 1.0], 2, 2));
        let error = source.read(2, &mut out).unwrap_err();
        assert_eq!(error.to_string(), "rows 2..3 were asked of a source of 2 rows");
        let inner = error.into_inner().downcast::<OutOfRange>().unwrap();
        assert_eq!(*inner, OutOfRange { start: 2, end: 3, len: 2 });
        assert!(source.read(usize::MAX, &mut out).is_err());
    }
}
