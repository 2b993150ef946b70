//! Tables of rows for the tests: chosen to make ties, copies and values inside the kernel's error bound.
use crate::{
    random::Random,
    rows::{RowSource, SourceError, normalize},
    stored::StoredRows,
};
use proptest::prelude::*;

/// Numbers of rows about the edges of tiles and strips.
pub(crate) const SIZES: [usize; 13] = [0, 1, 2, 15, 16, 17, 255, 256, 257, 511, 513, 1023, 1025];
/// Row lengths about the edges of the dot product's lanes.
pub(crate) const DIMS: [usize; 9] = [1, 2, 3, 16, 31, 32, 33, 64, 100];

/// What the rows of a table are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Unrelated directions.
    Random,
    /// Small whole numbers, then unit length: many exact ties.
    Grid,
    /// Values rounded to `f16` and not brought to unit length again, as DataComp's arrays are.
    Half,
    /// Few different rows, repeated.
    Copies,
    /// Few different rows, with changes around the last bit of `f32`.
    NearCopies,
    /// Unit vectors along the axes, their opposites, and zeros: similarities −1, 0 and 1.
    Axes,
}

pub(crate) fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::Random,
        Kind::Grid,
        Kind::Half,
        Kind::Copies,
        Kind::NearCopies,
        Kind::Axes,
    ])
}

fn uniform(random: &mut Random) -> f32 {
    (random.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

/// `[n, dim]` rows of a kind.
pub(crate) fn table(kind: Kind, n: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed, 99);
    let mut rows = vec![0f32; n * dim];
    let few = table_of_few(kind, dim, &mut random);
    for row in rows.chunks_exact_mut(dim) {
        match kind {
            Kind::Random | Kind::Half => row.fill_with(|| uniform(&mut random)),
            Kind::Grid => row.fill_with(|| random.below(3) as f32 - 1.0),
            Kind::Axes => {
                let axis = random.below(dim as u64) as usize;
                row[axis] = random.below(3) as f32 - 1.0;
            }
            Kind::Copies | Kind::NearCopies => {
                let which = random.below(5) as usize;
                row.copy_from_slice(&few[which * dim..(which + 1) * dim]);
                if kind == Kind::NearCopies {
                    let place = random.below(dim as u64) as usize;
                    row[place] += uniform(&mut random) * 2e-6;
                }
            }
        }
    }
    normalize(&mut rows, dim);
    if kind == Kind::Half {
        rows.iter_mut().for_each(|v| *v = half::f16::from_f32(*v).to_f32());
    }
    rows
}

fn table_of_few(kind: Kind, dim: usize, random: &mut Random) -> Vec<f32> {
    let count = if matches!(kind, Kind::Copies | Kind::NearCopies) { 5 } else { 0 };
    (0..count * dim).map(|_| uniform(random)).collect()
}

/// Runs in a rayon pool of its own.
pub(crate) fn in_pool<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

/// A source that must be read: it offers no slice. Fails where a read touches `broken`.
pub(crate) struct Streamed<'a> {
    pub rows: &'a [f32],
    pub dim: usize,
    pub broken: Option<usize>,
}

impl<'a> Streamed<'a> {
    pub(crate) fn new(rows: &'a [f32], dim: usize) -> Self {
        Self { rows, dim, broken: None }
    }
}

impl RowSource for Streamed<'_> {
    fn len(&self) -> usize {
        self.rows.len() / self.dim
    }
    fn dim(&self) -> usize {
        self.dim
    }
    fn read(&self, start: usize, out: &mut [f32]) -> Result<(), SourceError> {
        let end = start + out.len() / self.dim;
        if self.broken.is_some_and(|row| (start..end).contains(&row)) {
            return Err(SourceError::new("the disk is gone"));
        }
        crate::rows::SliceRows::new(self.rows, self.dim).read(start, out)
    }
}

/// Rows of any length, as they may be stored.
pub(crate) struct Stored<'a> {
    pub rows: &'a [f32],
    pub dim: usize,
}

impl StoredRows for Stored<'_> {
    fn rows(&self) -> usize {
        self.rows.len() / self.dim
    }
    fn dim(&self) -> usize {
        self.dim
    }
    fn widen(&self, row: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.rows[row * self.dim..(row + 1) * self.dim]);
    }
}
