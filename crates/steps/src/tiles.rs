//! Embeddings as tiles: blocks are read as they are stored, and each thread widens, normalises and works on a few hundred rows that stay in its
//! cache. What `embedding::for_blocks` does in several walks over memory, this does in one; rows that nobody wants are not even converted.
use cribble_core::Result;
use cribble_io::npy::ElementType;
use cribble_math::{RowState, halves::widen, nearest::TILE_ROWS, rows::normalize_row};
use cribble_pipeline::{Embedding, StepContext};
use rayon::prelude::*;

use crate::{embedding::open_shard, read_ahead::read_ahead};

/// Some rows of a shard, ascending, as unit f32 rows.
pub struct Tile<'a> {
    /// Their places in the shard.
    pub rows: &'a [u32],
    /// `[rows, dim]`; rows without direction are zeros.
    pub values: &'a [f32],
    /// What each row was.
    pub states: &'a [RowState],
}

/// Buffers of one thread: the caller's beside our own.
#[derive(Default)]
struct Buffers<B> {
    values: Vec<f32>,
    states: Vec<RowState>,
    own: B,
}

/// Calls `work` for tiles of the rows of a shard that are `wanted`, in parallel, and hands what it made to `visit`, in order of the rows. Memory:
/// three blocks as stored, of 16 MiB or a 64th of the ceiling, and what `work` makes of one.
pub fn for_tiles<B: Default, T: Send>(
    context: &StepContext<'_>,
    embedding: &Embedding,
    shard: u32,
    wanted: &[bool],
    work: impl Fn(&mut B, &Tile<'_>) -> T + Sync,
    mut visit: impl FnMut(&[u32], T) -> Result<()>,
) -> Result<()> {
    let mut reader = open_shard(context, embedding, shard)?;
    let (dim, element) = (reader.dim(), reader.dtype());
    let row_bytes = dim * element.size() as usize;
    let bytes = (context.memory / 64).clamp(1 << 20, 16 << 20) as usize;
    let block = (bytes / row_bytes.max(1)).clamp(TILE_ROWS, 1 << 14);
    let rows = context.rows(shard);
    let ranges = (0..rows).step_by(block).map(|start| start..rows.min(start + block));
    let blocks: Vec<_> = ranges.filter(|range| wanted[range.clone()].contains(&true)).collect();
    read_ahead(
        blocks.into_iter(),
        |block, stored| {
            stored.resize(block.len() * row_bytes, 0u8);
            Ok(reader.read_raw(block.start as u64, stored)?)
        },
        |block, stored| {
            context.cancel.check()?;
            let chosen: Vec<u32> = block.clone().filter(|&row| wanted[row]).map(|row| row as u32).collect();
            let tile = |buffers: &mut Buffers<B>, rows: &[u32]| {
                buffers.values.resize(rows.len() * dim, 0.0);
                buffers.states.clear();
                for (&row, values) in rows.iter().zip(buffers.values.chunks_exact_mut(dim)) {
                    let at = (row as usize - block.start) * row_bytes;
                    buffers.states.push(unit_row(element, &stored[at..at + row_bytes], values));
                }
                work(&mut buffers.own, &Tile { rows, values: &buffers.values, states: &buffers.states })
            };
            let tiles: Vec<T> = chosen.par_chunks(TILE_ROWS).map_init(Buffers::default, tile).collect();
            chosen.chunks(TILE_ROWS).zip(tiles).try_for_each(|(rows, made)| visit(rows, made))
        },
    )
}

/// A row as stored, of a type that [`open_shard`] has found to be float, brought to unit length.
pub fn unit_row(element: ElementType, stored: &[u8], out: &mut [f32]) -> RowState {
    match bytemuck::try_cast_slice(stored) {
        Ok(halves) if element == ElementType::F16 => widen(halves, out),
        _ => {
            let converted = element.to_f32(stored, out);
            debug_assert!(converted, "a row of {} bytes for {} values", stored.len(), out.len());
        }
    }
    normalize_row(out)
}
