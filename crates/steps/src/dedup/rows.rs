//! Single rows of an embedding, wherever they are: what the screen leaves over is fetched from the input itself, so that no vector is ever
//! copied to a scratch file.
use std::ops::Range;

use cribble_core::Result;
use cribble_io::npy::ElementType;
use cribble_math::{RowState, StoredRows, UnitRows, halves::prefetch, rows::normalize_row};
use cribble_pipeline::{
    Embedding, GlobalRow, StepContext,
    vectors::{open_floats, read_rows, widen_row},
};
use rayon::prelude::*;

/// Some rows as they are stored.
pub struct Fetched {
    stored: Vec<u8>,
    row_bytes: usize,
    dim: usize,
    element: ElementType,
    /// Where each wanted row lies.
    places: Vec<u32>,
}

impl Fetched {
    /// Reads rows, in any order and also several times; each is read once. Shards in parallel, each in order: also an array that can only be read
    /// forwards is read once.
    pub fn read(
        context: &StepContext<'_>,
        embedding: &Embedding,
        wanted: impl Iterator<Item = GlobalRow>,
    ) -> Result<Self> {
        let mut sorted: Vec<(GlobalRow, u32)> = wanted.zip(0..).collect();
        sorted.par_sort_unstable();
        let mut places = vec![0u32; sorted.len()];
        let mut rows: Vec<GlobalRow> = Vec::new();
        for (row, place) in sorted {
            if rows.last() != Some(&row) {
                rows.push(row);
            }
            places[place as usize] = rows.len() as u32 - 1;
        }
        let element = embedding.info.dtype;
        let dim = embedding.info.dim;
        let row_bytes = dim * element.size() as usize;
        let mut stored = vec![0u8; rows.len() * row_bytes];
        let mut parts = Vec::new();
        let mut rest = &mut stored[..];
        for shard in rows.chunk_by(|a, b| a.shard() == b.shard()) {
            let (part, after) = rest.split_at_mut(shard.len() * row_bytes);
            parts.push((shard, part));
            rest = after;
        }
        parts.into_par_iter().try_for_each(|(rows, out)| read_shard(context, embedding, rows, out))?;
        Ok(Self { stored, row_bytes, dim, element, places })
    }

    /// Writes a row, by its number among the wanted ones, brought to unit length; says what it was.
    pub fn unit(&self, wanted: usize, out: &mut [f32]) -> RowState {
        widen_row(self.element, self.bytes(wanted), out);
        normalize_row(out)
    }

    /// Some of the wanted rows, by their numbers, for a search.
    pub fn part(&self, wanted: Range<usize>) -> UnitRows<Part<'_>> {
        UnitRows(Part { fetched: self, wanted })
    }

    fn bytes(&self, wanted: usize) -> &[u8] {
        let start = self.places[wanted] as usize * self.row_bytes;
        &self.stored[start..start + self.row_bytes]
    }
}

/// Consecutive wanted rows.
pub struct Part<'a> {
    fetched: &'a Fetched,
    wanted: Range<usize>,
}

impl StoredRows for Part<'_> {
    fn rows(&self) -> usize {
        self.wanted.len()
    }

    fn dim(&self) -> usize {
        self.fetched.dim
    }

    fn widen(&self, row: usize, out: &mut [f32]) {
        widen_row(self.fetched.element, self.fetched.bytes(self.wanted.start + row), out);
    }

    fn expect(&self, row: usize) {
        prefetch(self.fetched.bytes(self.wanted.start + row));
    }
}

/// Rows of one shard into `out`.
fn read_shard(
    context: &StepContext<'_>,
    embedding: &Embedding,
    rows: &[GlobalRow],
    out: &mut [u8],
) -> Result<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    let mut reader = open_floats(context, embedding, first.shard())?;
    let rows: Vec<u32> = rows.iter().map(|row| row.row()).collect();
    read_rows(context, &mut reader, &rows, out)
}
