//! The rows that k-means is trained on: all that are kept, or a sample by hash of uid and seed, which depends on nothing but the samples.
//! Dense rows of an uncompressed array are read in place; a thin sample is copied once to a scratch file, because every iteration reads it.
use std::path::Path;

use cribble_core::{Error, ErrorKind, Result, TrainRows};
use cribble_io::AtomicFile;
use cribble_math::RowState;
use cribble_pipeline::{
    Embedding, StepContext,
    vectors::{Tile, for_tiles},
};
use rayon::prelude::*;

/// The training rows of a step, drawn and written to a scratch file.
pub struct Training {
    /// Rows drawn.
    pub rows: u64,
    /// Rows that could have been drawn.
    pub available: u64,
}

impl Training {
    /// A sentence for the report when not every row was used.
    pub fn note(&self) -> Option<String> {
        (self.rows < self.available).then(|| {
            format!(
                "k-means was trained on {} of {} rows, drawn by a hash of uid and seed (train_rows = \"all\" uses every row)",
                self.rows, self.available
            )
        })
    }
}

/// Draws the rows and writes them to `path`: in order of the input, unit length. Rows without direction are left out; so the file may hold
/// fewer than were drawn.
pub fn draw(
    context: &StepContext<'_>,
    embedding: &Embedding,
    wish: TrainRows,
    k: u64,
    seed: u64,
    excluded: &(dyn Fn(u32) -> Result<Vec<u32>> + Sync),
    path: &Path,
) -> Result<Training> {
    let kept = |shard: u32| {
        Ok(kept_without(context, shard, excluded)?.1.iter().filter(|&&keep| keep).count() as u64)
    };
    let counts: Vec<u64> = (0..context.shards()).into_par_iter().map(kept).collect::<Result<_>>()?;
    let available: u64 = counts.iter().sum();
    let count = wish.resolve(k, available);
    let limit =
        if count < available { Some(hash_limit(context, seed, excluded, count, available)?) } else { None };
    let mut file = AtomicFile::create(path)?;
    let mut written = 0u64;
    let dim = embedding.info.dim;
    for shard in 0..context.shards() {
        let (uids, kept) = kept_without(context, shard, excluded)?;
        let wanted =
            |row: usize| kept[row] && limit.is_none_or(|limit| (uids[row].mix(seed), uids[row]) <= limit);
        let wanted: Vec<bool> = (0..uids.len()).map(wanted).collect();
        if !wanted.contains(&true) {
            continue;
        }
        let unit_rows = |(): &mut (), tile: &Tile<'_>| {
            let mut rows = Vec::with_capacity(tile.values.len());
            for (row, &state) in tile.values.chunks_exact(dim).zip(tile.states) {
                if state == RowState::Unit {
                    rows.extend_from_slice(row);
                }
            }
            rows
        };
        for_tiles(context, embedding, shard, &wanted, unit_rows, |_, rows: Vec<f32>| {
            written += (rows.len() / dim) as u64;
            std::io::Write::write_all(&mut file, le_bytes(&rows).as_ref())
                .map_err(|error| Error::wrap(ErrorKind::Input, error))
        })?;
    }
    file.commit()?;
    Ok(Training { rows: written, available })
}

fn kept_without(
    context: &StepContext<'_>,
    shard: u32,
    excluded: &(dyn Fn(u32) -> Result<Vec<u32>> + Sync),
) -> Result<(Vec<cribble_core::Uid>, Vec<bool>)> {
    context.cancel.check()?;
    let uids = context.uids(shard)?;
    let mut kept = context.kept(shard, &uids)?;
    for row in excluded(shard)? {
        kept[row as usize] = false;
    }
    Ok((uids, kept))
}

/// The `count`-th smallest (hash, uid): exactly `count` rows lie at or below it, unless uids repeat. Only candidates near the expected limit
/// are held in memory.
fn hash_limit(
    context: &StepContext<'_>,
    seed: u64,
    excluded: &(dyn Fn(u32) -> Result<Vec<u32>> + Sync),
    count: u64,
    available: u64,
) -> Result<(u64, cribble_core::Uid)> {
    let share = count as f64 / available as f64;
    // Seven standard deviations above the expectation: missing the limit is practically impossible, and then everything is taken.
    let slack = 7.0 * (share * (1.0 - share) / available as f64).sqrt();
    let mut bound = ((share + slack) * u64::MAX as f64) as u64;
    loop {
        let near = |shard: u32| {
            let (uids, kept) = kept_without(context, shard, excluded)?;
            let near = uids.iter().zip(&kept).filter(|&(uid, &keep)| keep && uid.mix(seed) <= bound);
            Ok(near.map(|(uid, _)| (uid.mix(seed), *uid)).collect())
        };
        let near: Vec<Vec<(u64, cribble_core::Uid)>> =
            (0..context.shards()).into_par_iter().map(near).collect::<Result<_>>()?;
        let mut candidates = near.concat();
        if candidates.len() as u64 >= count && count > 0 {
            let (_, limit, _) = candidates.select_nth_unstable(count as usize - 1);
            return Ok(*limit);
        }
        if bound == u64::MAX || count == 0 {
            return Err(Error::bug("the training sample has no limit"));
        }
        bound = u64::MAX;
    }
}

#[cfg(target_endian = "little")]
fn le_bytes(row: &[f32]) -> std::borrow::Cow<'_, [u8]> {
    std::borrow::Cow::Borrowed(bytemuck::cast_slice(row))
}

#[cfg(target_endian = "big")]
fn le_bytes(row: &[f32]) -> std::borrow::Cow<'_, [u8]> {
    std::borrow::Cow::Owned(row.iter().flat_map(|value| value.to_le_bytes()).collect())
}
