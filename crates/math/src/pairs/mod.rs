//! SemDeDup's pair search: for every row of a scan the most similar earlier row, or all pairs above a threshold.
//!
//! The decision to question: no similarity matrix is ever kept. Blocks of rows are scored against all earlier blocks, tile by tile, so a
//! cell of millions of rows needs three blocks of memory (at most 16 MiB each with a quarter or half of that for their codes, beside 8 bytes a row of result) instead of `n²`.
mod blocks;
#[cfg(test)]
mod tests;

use crate::{
    rows::{RowSource, SourceError},
    scan::{Above, Best, Largest, Sources, search_rare},
    sketch::{Screening, Sketch},
};
use blocks::{BlockPair, block_rows, for_block_pairs};

/// A pair search could not be done.
#[derive(Debug, thiserror::Error)]
pub enum PairsError {
    /// The source failed.
    #[error("rows {start}..{end} could not be read")]
    Source {
        /// First row of the read.
        start: usize,
        /// One past its last row.
        end: usize,
        /// Why.
        #[source]
        error: SourceError,
    },
    /// Rows are numbered with 32 bits, the last number being reserved.
    #[error("{found} rows in one cell; at most {limit} can be compared")]
    TooManyRows {
        /// Rows of the source.
        found: usize,
        /// The most that fit.
        limit: usize,
    },
    /// The visitor flags do not fit the source.
    #[error("{found} visitor flags for {expected} rows")]
    VisitorLength {
        /// Rows of the source.
        expected: usize,
        /// Flags given.
        found: usize,
    },
    /// A source whose rows have no values.
    #[error("the rows have no values (dimension 0)")]
    NoDimension,
}

/// For one row of a scan: its largest similarity to an earlier row, and the earliest row that reaches it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Earlier {
    /// The similarity, not clamped; NaN where no earlier row was compared.
    pub sim: f32,
    /// That earlier row's place in the scan; `u32::MAX` where none was compared.
    pub of: u32,
}

impl Earlier {
    /// No earlier row was compared.
    pub const NONE: Self = Self { sim: f32::NAN, of: u32::MAX };

    /// Whether SemDeDup's rule removes this row: see [`is_removed`].
    pub fn is_removed(&self, epsilon: f64) -> bool {
        is_removed(self.sim, epsilon)
    }
}

/// SemDeDup's rule: a row goes when its largest similarity to an earlier row is **strictly** above `1 − ε`, compared in `f32` (the
/// threshold is computed in `f64`, then rounded, as PyTorch does with a Python scalar). False for NaN.
///
/// The published code takes the maximum over the upper triangle of a matrix whose other entries are 0, so its `m_j` is never below 0. It
/// decides the same for every `ε ≤ 1`, where neither a 0 nor a similarity below 0 is above `1 − ε ≥ 0`. For `ε > 1` it removes every row, the first
/// of a cluster too, while here a row without an earlier one always stays.
pub fn is_removed(sim: f32, epsilon: f64) -> bool {
    sim > (1.0 - epsilon) as f32
}

/// For each row, in scan order, the largest similarity to an **earlier** row and the earliest row that reaches it, where that is at least
/// `floor`; [`Earlier::NONE`] elsewhere, so for the first row too. One pass answers every ε ≤ 1 − `floor`, see [`is_removed`]; `-∞` finds every
/// row's, and takes much longer.
///
/// `sketches`, one a row, spare most of the work where `floor` is above what most pairs of the cell reach; no result depends on them.
/// `visitor` marks rows that belong to another cell and are here to be compared across the border (`None`: no row is): a pair of two
/// visitors is not compared. Exact; similarities as in [`crate::rows::similarity`]. Parallel in the current rayon pool. Reads the source
/// about `n / (2·block)` times over (never again where it offers [`RowSource::as_slice`]). An all-zero row has similarity 0 to all.
pub fn earlier_max(
    source: &dyn RowSource,
    sketches: Option<&[Sketch]>,
    visitor: Option<&[bool]>,
    floor: f32,
) -> Result<Vec<Earlier>, PairsError> {
    check(source, sketches, visitor)?;
    earlier_max_in_blocks(source, sketches, visitor, floor, block_rows(source.dim()))
}

fn earlier_max_in_blocks(
    source: &dyn RowSource,
    sketches: Option<&[Sketch]>,
    visitor: Option<&[bool]>,
    floor: f32,
    size: usize,
) -> Result<Vec<Earlier>, PairsError> {
    let mut result = Vec::with_capacity(source.len());
    let mut best = Vec::new();
    for_block_pairs(source, size, |pair| {
        if best.is_empty() {
            best.resize(pair.targets.len(), Best::at_least(floor));
        }
        compete(&pair, screening(&pair, sketches, 0, floor).as_ref(), visitor, &mut best);
        if pair.is_diagonal() {
            result.extend(best.drain(..).map(|best| {
                if best.index == u64::MAX {
                    Earlier::NONE
                } else {
                    Earlier { sim: best.sim, of: best.index as u32 }
                }
            }));
        }
    })?;
    Ok(result)
}

/// The sketches of a pair of blocks, the source block from a row on.
fn screening(
    pair: &BlockPair<'_>,
    sketches: Option<&[Sketch]>,
    start: usize,
    floor: f32,
) -> Option<Screening> {
    let sketches = sketches?;
    let targets = &sketches[pair.first_target..pair.first_target + pair.targets.len()];
    let sources = &sketches[pair.first_source + start..pair.first_source + pair.sources.len()];
    Some(Screening::new(targets, sources, floor))
}

fn compete(pair: &BlockPair<'_>, screening: Option<&Screening>, visitor: Option<&[bool]>, best: &mut [Best]) {
    let goal = Largest {
        limit: |target| pair.limit(target, 0),
        admits: |target, source| is_compared(visitor, pair.first_target + target, pair.first_source + source),
        index: |source| (pair.first_source + source) as u64,
    };
    search_rare(&goal, pair.targets, &Sources::new(pair.sources), screening, best);
}

/// Whether the pair of two rows of the scan counts: not both are visitors.
fn is_compared(visitor: Option<&[bool]>, target: usize, source: usize) -> bool {
    visitor.is_none_or(|visitor| !(visitor[target] && visitor[source]))
}

/// Calls `sink(i, j, sim)` for every pair of rows `i < j` with `sim > threshold` (strictly; NaN never), but for pairs of two visitors (see
/// [`earlier_max`]).
///
/// Order: the same for every thread count, and a function of `n` and the dimension alone. Rows `j` are taken in blocks, for each the rows `i`
/// in strips of ascending order; inside a block and strip pairs come sorted by `(j, i)`. So each `j` sees its `i` ascending. At most one strip's
/// pairs are held (bounded by block × strip, whatever `n`). `sink` runs on the calling thread.
pub fn pairs_above(
    source: &dyn RowSource,
    sketches: Option<&[Sketch]>,
    visitor: Option<&[bool]>,
    threshold: f32,
    sink: &mut dyn FnMut(u32, u32, f32),
) -> Result<(), PairsError> {
    check(source, sketches, visitor)?;
    pairs_above_in_blocks(source, sketches, visitor, threshold, block_rows(source.dim()), sink)
}

fn pairs_above_in_blocks(
    source: &dyn RowSource,
    sketches: Option<&[Sketch]>,
    visitor: Option<&[bool]>,
    threshold: f32,
    size: usize,
    sink: &mut dyn FnMut(u32, u32, f32),
) -> Result<(), PairsError> {
    let mut found: Vec<Vec<(u32, f32)>> = Vec::new();
    for_block_pairs(source, size, |pair| {
        found.resize_with(found.len().max(pair.targets.len()), Vec::new);
        let width = pair.sources.len();
        for start in (0..width).step_by(blocks::STRIP) {
            let end = (start + blocks::STRIP).min(width);
            let screening = screening(&pair, sketches, start, threshold);
            let found = &mut found[..pair.targets.len()];
            gather(&pair, (start, end), screening.as_ref(), visitor, threshold, found);
            for (target, list) in found.iter_mut().enumerate() {
                let j = (pair.first_target + target) as u32;
                for (i, sim) in list.drain(..) {
                    sink((pair.first_source + start) as u32 + i, j, sim);
                }
            }
        }
    })
}

fn gather(
    pair: &BlockPair<'_>,
    (start, end): (usize, usize),
    screening: Option<&Screening>,
    visitor: Option<&[bool]>,
    threshold: f32,
    found: &mut [Vec<(u32, f32)>],
) {
    let first = pair.first_source + start;
    let goal = Above {
        threshold,
        limit: |target| pair.limit(target, start),
        admits: |target, source| is_compared(visitor, pair.first_target + target, first + source),
    };
    search_rare(&goal, pair.targets, &Sources::new(pair.sources.part(start, end)), screening, found);
}

fn check(
    source: &dyn RowSource,
    sketches: Option<&[Sketch]>,
    visitor: Option<&[bool]>,
) -> Result<(), PairsError> {
    let (len, limit) = (source.len(), u32::MAX as usize);
    assert!(sketches.is_none_or(|sketches| sketches.len() == len), "one sketch a row");
    if source.dim() == 0 {
        return Err(PairsError::NoDimension);
    }
    if len > limit {
        return Err(PairsError::TooManyRows { found: len, limit });
    }
    match visitor {
        Some(flags) if flags.len() != len => {
            Err(PairsError::VisitorLength { expected: len, found: flags.len() })
        }
        _ => Ok(()),
    }
}
