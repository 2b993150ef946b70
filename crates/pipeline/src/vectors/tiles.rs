//! Embeddings as tiles: blocks are read as they are stored, and each thread widens, normalises and works on a few hundred rows that stay in its
//! cache. What [`super::for_blocks`] does in several walks over memory, this does in one; rows that nobody wants are not even converted.
use cribble_core::{Error, Result};
use cribble_io::{ArrayReader, npy::ElementType};
use cribble_math::{RowState, halves::widen, nearest::TILE_ROWS, rows::normalize_row};
use rayon::prelude::*;

use super::read_ahead;
use crate::{Embedding, StepContext};

/// Where one row in so many is wanted, or fewer, reading it alone is cheaper than reading all between.
const SPARSE: usize = 6;

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
    let mut reader = open_floats(context, embedding, shard)?;
    let (dim, element) = (reader.dim(), reader.dtype());
    let row_bytes = dim * element.size() as usize;
    let bytes = (context.memory / 64).clamp(1 << 20, 16 << 20) as usize;
    let block = (bytes / row_bytes.max(1)).clamp(TILE_ROWS, 1 << 14);
    let rows = context.rows(shard);
    let chosen: Vec<u32> = (0..rows as u32).filter(|&row| wanted[row as usize]).collect();
    // Few rows are read one by one, many with all between them.
    let sparse = reader.is_random_access() && chosen.len() < rows / SPARSE;
    let blocks: Vec<&[u32]> = if sparse {
        chosen.chunks(block).collect()
    } else {
        chosen.chunk_by(|a, b| *a as usize / block == *b as usize / block).collect()
    };
    let first = |rows: &[u32]| if sparse { 0 } else { rows[0] as usize / block * block };
    read_ahead(
        (0..blocks.len()).map(|place| place..place + 1),
        |place, stored| {
            let wanted = blocks[place.start];
            let from = first(wanted);
            let count = if sparse { wanted.len() } else { (from + block).min(rows) - from };
            stored.resize(count * row_bytes, 0u8);
            if sparse {
                return read_rows(context, &mut reader, wanted, stored);
            }
            Ok(reader.read_raw(from as u64, stored)?)
        },
        |place, stored| {
            context.cancel.check()?;
            let wanted = blocks[place.start];
            let from = first(wanted);
            let tile = |buffers: &mut Buffers<B>, (number, rows): (usize, &[u32])| {
                buffers.values.resize(rows.len() * dim, 0.0);
                buffers.states.clear();
                for (place, values) in buffers.values.chunks_exact_mut(dim).enumerate() {
                    let at = if sparse { number * TILE_ROWS + place } else { rows[place] as usize - from };
                    let row = &stored[at * row_bytes..(at + 1) * row_bytes];
                    widen_row(element, row, values);
                    buffers.states.push(normalize_row(values));
                }
                work(&mut buffers.own, &Tile { rows, values: &buffers.values, states: &buffers.states })
            };
            let tiles: Vec<T> =
                wanted.par_chunks(TILE_ROWS).enumerate().map_init(Buffers::default, tile).collect();
            wanted.chunks(TILE_ROWS).zip(tiles).try_for_each(|(rows, made)| visit(rows, made))
        },
    )
}

/// A row as stored, of a type that [`open_floats`] has found to be float, as `f32` values.
pub fn widen_row(element: ElementType, stored: &[u8], out: &mut [f32]) {
    match bytemuck::try_cast_slice(stored) {
        Ok(halves) if element == ElementType::F16 => widen(halves, out),
        _ => {
            let converted = element.to_f32(stored, out);
            debug_assert!(converted, "a row of {} bytes for {} values", stored.len(), out.len());
        }
    }
}

/// Opens an embedding's rows of a shard and proves that they are of a float type.
pub fn open_floats(context: &StepContext<'_>, embedding: &Embedding, shard: u32) -> Result<ArrayReader> {
    let reader = context.open_embedding(embedding, shard)?;
    if !reader.dtype().is_float() {
        let (name, found) = (&embedding.info.name, reader.dtype().name());
        let shard = context.shard_name(shard);
        return Err(Error::input(format!("shard {shard}: '{name}' is {found}, not f16, f32 or f64")));
    }
    Ok(reader)
}

/// Rows between two wanted ones that are read along rather than asked around.
const GAP: u32 = 4;
/// Most rows of one read.
const SPAN: u32 = 4096;

/// Reads rows of a shard, which ascend and are all different, as they are stored, into `out`; neighbours together.
pub fn read_rows(
    context: &StepContext<'_>,
    reader: &mut ArrayReader,
    rows: &[u32],
    out: &mut [u8],
) -> Result<()> {
    let row_bytes = out.len().checked_div(rows.len()).unwrap_or(0);
    let (mut start, mut span) = (0, Vec::new());
    while start < rows.len() {
        context.cancel.check()?;
        let from = rows[start];
        let near = |pair: &&[u32]| pair[1] - pair[0] <= GAP && pair[1] - from < SPAN;
        let end = start + 1 + rows[start..].windows(2).take_while(near).count();
        span.resize((rows[end - 1] - from + 1) as usize * row_bytes, 0);
        reader.read_raw(u64::from(from), &mut span)?;
        for (row, out) in rows[start..end].iter().zip(out[start * row_bytes..].chunks_exact_mut(row_bytes)) {
            let at = (row - from) as usize * row_bytes;
            out.copy_from_slice(&span[at..at + row_bytes]);
        }
        start = end;
    }
    Ok(())
}
