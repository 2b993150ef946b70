//! Embeddings as the arithmetic wants them: blocks of unit f32 rows, whatever the file holds. Rows without a direction are named, not hidden.
use cribble_core::Result;
use cribble_io::{ArrayReader, npy::ElementType};
use cribble_math::{RowState, rows::normalize};

use super::read_ahead;
use crate::{Embedding, StepContext};

/// Code of a row whose vector is zero.
pub const ZERO: &str = "zero_vector";
/// Code of a row whose vector has a value that is NaN or infinite.
pub const NOT_FINITE: &str = "not_finite_vector";

/// The code and sentence of a row that has no direction; `None` for a good one.
pub fn fault(state: RowState, embedding: &str) -> Option<(&'static str, String)> {
    match state {
        RowState::Unit => None,
        RowState::Zero => {
            Some((ZERO, format!("the vector in '{embedding}' is all zeros: it has no direction")))
        }
        RowState::NotFinite => {
            Some((NOT_FINITE, format!("the vector in '{embedding}' has a value that is NaN or infinite")))
        }
    }
}

/// Rows of a block: about 16 MiB of f32, at most 8,192 rows.
pub fn block_rows(dim: usize) -> usize {
    ((16 << 20) / (4 * dim.max(1))).clamp(64, 8192)
}

/// Calls `visit(first row, unit rows, states)` for the blocks of a shard, in order. Memory: three blocks at most.
pub fn for_blocks(
    context: &StepContext<'_>,
    embedding: &Embedding,
    shard: u32,
    mut visit: impl FnMut(usize, &[f32], &[RowState]) -> Result<()>,
) -> Result<()> {
    let rows = context.rows(shard);
    let dim = embedding.info.dim;
    let mut reader = context.open_embedding(embedding, shard)?;
    let block = block_rows(dim);
    let blocks = (0..rows).step_by(block).map(|start| start..rows.min(start + block));
    read_ahead(
        blocks,
        |block, values| {
            values.resize(block.len() * dim, 0.0);
            Ok(reader.read_f32(block.start as u64, values)?)
        },
        |block, values| {
            context.cancel.check()?;
            let states = normalize(values, dim);
            visit(block.start, values, &states)
        },
    )
}

/// Bytes of one value of a vector in scratch files: f16 stays as it is, everything else is f32.
pub fn width(embedding: &Embedding) -> usize {
    if embedding.info.dtype == ElementType::F16 { 2 } else { 4 }
}

/// Vectors as stored in scratch files → f32 rows. The lengths must agree.
pub fn widen(stored: &[u8], embedding: &Embedding, out: &mut [f32]) {
    let element = if width(embedding) == 2 { ElementType::F16 } else { ElementType::F32 };
    let fits = element.to_f32(stored, out);
    debug_assert!(fits, "{} bytes for {} values", stored.len(), out.len());
}

/// Blocks of a shard's rows, both as unit f32 and as they go to scratch files.
pub struct StoredBlocks<'a> {
    reader: ArrayReader,
    embedding: &'a Embedding,
    rows: usize,
    next: usize,
    unit: Vec<f32>,
    stored: Vec<u8>,
    states: Vec<RowState>,
}

/// One block.
pub struct StoredBlock<'a> {
    /// Its first row in the shard.
    pub start: usize,
    /// Unit rows, `[n, dim]`; zero where there is no direction.
    pub rows: &'a [f32],
    /// The same rows as they go to scratch files, [`width`] bytes a value.
    pub stored: &'a [u8],
    /// What each row was.
    pub states: &'a [RowState],
}

impl<'a> StoredBlocks<'a> {
    /// Opens a shard.
    pub fn open(context: &StepContext<'_>, embedding: &'a Embedding, shard: u32) -> Result<Self> {
        Ok(Self {
            reader: context.open_embedding(embedding, shard)?,
            embedding,
            rows: context.rows(shard),
            next: 0,
            unit: Vec::new(),
            stored: Vec::new(),
            states: Vec::new(),
        })
    }

    /// The next block; `None` after the last.
    pub fn read(&mut self, context: &StepContext<'_>) -> Result<Option<StoredBlock<'_>>> {
        context.cancel.check()?;
        let dim = self.embedding.info.dim;
        let count = block_rows(dim).min(self.rows - self.next);
        if count == 0 {
            return Ok(None);
        }
        self.unit.resize(count * dim, 0.0);
        self.stored.resize(count * dim * width(self.embedding), 0);
        if width(self.embedding) == 2 {
            self.reader.read_raw(self.next as u64, &mut self.stored)?;
            widen(&self.stored, self.embedding, &mut self.unit);
        } else {
            self.reader.read_f32(self.next as u64, &mut self.unit)?;
            for (bytes, value) in self.stored.chunks_exact_mut(4).zip(&self.unit) {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
        }
        self.states = normalize(&mut self.unit, dim);
        let start = self.next;
        self.next += count;
        Ok(Some(StoredBlock { start, rows: &self.unit, stored: &self.stored, states: &self.states }))
    }
}
