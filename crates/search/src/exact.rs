//! Every row, read once and scored exactly: pieces of shards go to the threads, each of which keeps the best of what it saw.
use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use cribble_core::Result;
use cribble_io::npy::ElementType;
use cribble_math::top::{Hit, Queries, Stored, Top, scan};
use cribble_pipeline::{GlobalRow, RunEmbedding, RunView, StepContext};
use half::f16;
use rayon::prelude::*;

/// Bytes of rows that are read at once: they are scored while they lie in the second-level cache.
const BLOCK_BYTES: usize = 256 << 10;
/// Bytes of rows that a thread takes at once.
const PIECE_BYTES: usize = 16 << 20;

/// Says of a shard which of its rows may be found, one flag a row; `None` where all of them may.
pub type Wanted<'a> = dyn Fn(u32) -> Result<Option<Vec<bool>>> + Sync + 'a;

/// What a scan found.
#[derive(Debug)]
pub struct Found {
    /// The best of each query.
    pub tops: Vec<Top>,
    /// Rows that were wanted.
    pub searched: u64,
}

/// A comparison of queries with all rows of an embedding. Memory is a block a thread and the flags of the shards under way.
pub struct Scan<'a> {
    /// The run.
    pub view: &'a RunView,
    /// Progress, and whether to stop.
    pub context: &'a StepContext<'a>,
    /// What is compared.
    pub embedding: &'a RunEmbedding,
    /// Which rows may be found; asked once a shard, by several threads.
    pub wanted: &'a Wanted<'a>,
    /// A row that is not found, because it asked.
    pub without: Option<GlobalRow>,
}

impl Scan<'_> {
    /// The `most` best rows of every query: the largest cosine first (in `f64`, of the values as stored), ties to the earlier row. Rows without a
    /// direction are not found. Row numbers are [`GlobalRow`]s. The result does not depend on the threads.
    ///
    /// # Errors
    /// A shard of the embedding is missing or of another shape; those of `wanted`; it was cancelled.
    pub fn run(&self, queries: &Queries, most: usize) -> Result<Found> {
        let shards = 0..self.context.shards();
        let shared = Shared {
            cuts: Mutex::new(vec![f64::NEG_INFINITY; queries.len()]),
            desks: Mutex::new(Vec::new()),
        };
        self.context.progress.begin("search", self.view.dataset.rows(), "rows");
        let found = shards
            .into_par_iter()
            .with_max_len(1)
            .filter(|&shard| self.view.has_vectors(self.embedding, shard))
            .map(|shard| self.shard(queries, most, shard, &shared))
            .try_reduce(|| Found { tops: queries.tops(most), searched: 0 }, merge);
        self.context.progress.end();
        found
    }

    fn shard(&self, queries: &Queries, most: usize, shard: u32, shared: &Shared) -> Result<Found> {
        self.context.cancel.check()?;
        let rows = self.context.rows(shard);
        let wanted = (self.wanted)(shard)?;
        let searched = match &wanted {
            None => rows,
            Some(wanted) => wanted.iter().filter(|&&wanted| wanted).count(),
        };
        let reader = self.context.open_embedding(&self.embedding.embedding, shard)?;
        let row_bytes = queries.dim() * reader.dtype().size() as usize;
        // What is packed can only be read forwards, by one thread.
        let piece = if reader.is_random_access() { (PIECE_BYTES / row_bytes).max(1) } else { rows.max(1) };
        let tops = (0..rows.div_ceil(piece))
            .into_par_iter()
            .with_max_len(1)
            .map(|index| -> Result<Vec<Top>> {
                let rows = index * piece..rows.min((index + 1) * piece);
                let (mut tops, mut desk) = (queries.tops(most), shared.desk());
                let piece = Piece { shard, rows, wanted: wanted.as_deref() };
                self.piece(queries, &piece, shared, &mut desk, &mut tops)?;
                shared.give_back(desk);
                Ok(tops)
            })
            .try_reduce(|| queries.tops(most), |a, b| Ok(merged(a, b)))?;
        Ok(Found { tops, searched: searched as u64 })
    }

    fn piece(
        &self,
        queries: &Queries,
        piece: &Piece<'_>,
        shared: &Shared,
        desk: &mut Desk,
        tops: &mut [Top],
    ) -> Result<()> {
        let Piece { shard, rows, wanted } = piece;
        let dim = queries.dim();
        let mut reader = self.context.open_embedding(&self.embedding.embedding, *shard)?;
        let is_half = reader.dtype() == ElementType::F16;
        let block = (BLOCK_BYTES / (dim * if is_half { 2 } else { 4 })).max(1);
        for start in rows.clone().step_by(block) {
            self.context.cancel.check()?;
            let Some(here) = part(start..rows.end.min(start + block), *wanted) else { continue };
            let values = here.len() * dim;
            let stored = if is_half {
                desk.halves.resize(values, f16::ZERO);
                reader.read_raw(here.start as u64, bytemuck::cast_slice_mut(&mut desk.halves))?;
                Stored::Half(&desk.halves)
            } else {
                desk.singles.resize(values, 0.0);
                reader.read_f32(here.start as u64, &mut desk.singles)?;
                Stored::Single(&desk.singles)
            };
            let number = |place: usize| {
                let row = here.start + place;
                let global = GlobalRow::new(*shard, row as u32);
                let open = wanted.is_none_or(|wanted| wanted[row]) && self.without != Some(global);
                open.then_some(global.0)
            };
            shared.exchange(tops);
            scan(queries, stored, number, tops);
        }
        self.context.progress.advance(rows.len() as u64);
        Ok(())
    }
}

/// The rows that a thread takes at once.
struct Piece<'a> {
    shard: u32,
    rows: Range<usize>,
    wanted: Option<&'a [bool]>,
}

/// Rows on their way from the file: one buffer a thread, because a first touch of fresh memory costs more than the rows do.
#[derive(Default)]
struct Desk {
    halves: Vec<f16>,
    singles: Vec<f32>,
}

/// What the threads of a scan share.
struct Shared {
    /// What every query's list has reached somewhere: rows that cannot win there need not be scored exactly here. It spares work and changes no
    /// result.
    cuts: Mutex<Vec<f64>>,
    /// Buffers of threads that are at rest.
    desks: Mutex<Vec<Desk>>,
}

impl Shared {
    fn exchange(&self, tops: &mut [Top]) {
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        for (cut, top) in cuts.iter_mut().zip(tops) {
            top.raise(*cut);
            *cut = top.cut();
        }
    }

    fn desk(&self) -> Desk {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, desk: Desk) {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner).push(desk);
    }
}

/// The rows of a block from the first to the last that is wanted.
fn part(block: Range<usize>, wanted: Option<&[bool]>) -> Option<Range<usize>> {
    let Some(wanted) = wanted else { return Some(block) };
    let first = block.clone().find(|&row| wanted[row])?;
    let last = block.rev().find(|&row| wanted[row])?;
    Some(first..last + 1)
}

fn merge(mut a: Found, b: Found) -> Result<Found> {
    a.searched += b.searched;
    a.tops = merged(a.tops, b.tops);
    Ok(a)
}

fn merged(mut a: Vec<Top>, b: Vec<Top>) -> Vec<Top> {
    a.iter_mut().zip(b).for_each(|(a, b)| a.merge(b));
    a
}

/// Shards that are judged at once, so that what they found does not pile up.
const WAVE: u32 = 64;

/// The first rows that fit the condition, without a query; and how many fit in all.
pub(crate) fn first_rows(
    context: &StepContext<'_>,
    wanted: &Wanted<'_>,
    most: usize,
) -> Result<(Vec<Hit>, u64)> {
    let (mut hits, mut fitting) = (Vec::new(), 0);
    let shards = context.shards();
    context.progress.begin("search", u64::from(shards), "shards");
    for first in (0..shards).step_by(WAVE as usize) {
        let left = most - hits.len();
        let judged = (first..shards.min(first + WAVE)).into_par_iter().with_max_len(1).map(|shard| {
            context.cancel.check()?;
            let wanted = wanted(shard)?.unwrap_or_else(|| vec![true; context.rows(shard)]);
            let fit = || (0..wanted.len()).filter(|&row| wanted[row]);
            let hit = |row: usize| Hit { similarity: 0.0, row: GlobalRow::new(shard, row as u32).0 };
            context.progress.advance(1);
            Ok((fit().take(left).map(hit).collect::<Vec<_>>(), fit().count() as u64))
        });
        for (found, count) in judged.collect::<Result<Vec<_>>>()? {
            let room = most - hits.len();
            hits.extend(found.into_iter().take(room));
            fitting += count;
        }
    }
    context.progress.end();
    Ok((hits, fitting))
}
