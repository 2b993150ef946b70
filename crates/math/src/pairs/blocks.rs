//! Walks the upper triangle of a row source in pairs of blocks, reading the next block while the current one is scored.
//!
//! The decision to question: the block size depends on the dimension alone. A size by threads or free memory would change the order in
//! which pairs are reported from machine to machine.
use super::PairsError;
use crate::{
    propose::{Codes, Kernel, Rows},
    rows::RowSource,
};
use std::sync::OnceLock;

/// Source rows whose pairs [`super::pairs_above`] reports together.
pub(super) const STRIP: usize = 512;

/// Bytes of one block of rows.
const BLOCK_BYTES: usize = 16 << 20;

/// Rows of one block: 16 MiB worth, a multiple of 512, at least 512 and at most 16,384.
pub(super) fn block_rows(dim: usize) -> usize {
    (BLOCK_BYTES / (4 * dim) / STRIP * STRIP).clamp(STRIP, 16_384)
}

/// A block of target rows and a block of source rows that stand before it, or are it (the diagonal).
pub(super) struct BlockPair<'a> {
    pub targets: Rows<'a>,
    pub first_target: usize,
    pub sources: Rows<'a>,
    pub first_source: usize,
}

impl BlockPair<'_> {
    pub(super) fn is_diagonal(&self) -> bool {
        self.first_target == self.first_source
    }

    /// How many of the source rows from `start` on (in the block) stand before the target row (in its block).
    pub(super) fn limit(&self, target: usize, start: usize) -> usize {
        if self.is_diagonal() { target.saturating_sub(start) } else { usize::MAX }
    }
}

/// Rows of a block: borrowed from the source, read into a buffer, or left as they are stored.
#[derive(Default)]
struct Block {
    buffer: Vec<f32>,
    /// The stored rows that somebody wanted exactly.
    units: Vec<OnceLock<Box<[f32]>>>,
    codes: Codes,
    start: usize,
}

impl Block {
    fn load(&mut self, source: &dyn RowSource, start: usize, end: usize) -> Result<(), PairsError> {
        let dim = source.dim();
        self.start = start;
        if let Some(rows) = source.as_slice() {
            self.codes.fill(Kernel::best(), &rows[start * dim..end * dim], dim);
            return Ok(());
        }
        if let Some(stored) = source.as_stored() {
            self.codes.fill_stored(Kernel::best(), stored, start..end, dim);
            self.units.clear();
            self.units.resize_with(end - start, OnceLock::new);
            return Ok(());
        }
        self.buffer.resize((end - start) * dim, 0.0);
        source.read(start, &mut self.buffer).map_err(|error| PairsError::Source { start, end, error })?;
        self.codes.fill(Kernel::best(), &self.buffer, dim);
        Ok(())
    }

    fn rows<'a>(&'a self, source: &'a dyn RowSource) -> Rows<'a> {
        let dim = source.dim();
        match (source.as_slice(), source.as_stored()) {
            (Some(rows), _) => self.codes.of(&rows[self.start * dim..(self.start + self.codes.len()) * dim]),
            (None, Some(stored)) => self.codes.of_stored(stored, self.start, &self.units, dim),
            (None, None) => self.codes.of(&self.buffer),
        }
    }
}

/// Cuts the source into blocks of `size` rows and visits every pair of them (targets, sources) with sources not after targets: targets ascending, for each the sources ascending, the
/// diagonal last.
pub(super) fn for_block_pairs(
    source: &dyn RowSource,
    size: usize,
    mut visit: impl FnMut(BlockPair<'_>),
) -> Result<(), PairsError> {
    let len = source.len();
    let (mut targets, mut current, mut next) = (Block::default(), Block::default(), Block::default());
    for first_target in (0..len).step_by(size) {
        targets.load(source, first_target, (first_target + size).min(len))?;
        if first_target > 0 {
            current.load(source, 0, size)?;
        }
        for first_source in (0..first_target).step_by(size) {
            let following = first_source + size;
            let mut read = Ok(());
            // In place: the visitor, and with it a caller's sink, stays on the calling thread while another thread reads.
            rayon::in_place_scope(|scope| {
                if following < first_target {
                    // Blocks before the targets are always full.
                    scope.spawn(|_| read = next.load(source, following, following + size));
                }
                visit(BlockPair {
                    targets: targets.rows(source),
                    first_target,
                    sources: current.rows(source),
                    first_source,
                });
            });
            read?;
            std::mem::swap(&mut current, &mut next);
        }
        visit(BlockPair {
            targets: targets.rows(source),
            first_target,
            sources: targets.rows(source),
            first_source: first_target,
        });
    }
    Ok(())
}
