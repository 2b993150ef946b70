//! Phase `threshold`: the similarity of the last row among the top share of all rows, exactly, without holding the similarities of all
//! rows. A radix selection over the 32 bits of a float: the first pass counts rows by the upper 16 bits and finds the bin in which the
//! wanted rank lies, the second counts the rows of that bin by the lower 16. Memory is two histograms and one shard's similarities.
use std::path::PathBuf;

use cribble_core::Result;
use cribble_pipeline::{StepContext, TaskOutput};
use serde::{Deserialize, Serialize};

use super::scores::{Scores, read_json};
use crate::values::to_value;

/// Who is in the top share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The similarity of the last of them; `None` where no row has an original caption.
    pub value: Option<f32>,
    /// For each shard how many of its rows with exactly that similarity are in: the first ones, as ties are decided by row.
    pub ties: Vec<u64>,
}

impl Threshold {
    fn path(context: &StepContext<'_>) -> PathBuf {
        context.scratch("threshold.json")
    }

    /// Finds it, and leaves it for the tasks of the next phase.
    pub fn find(context: &StepContext<'_>, fraction: f64) -> Result<TaskOutput> {
        let found = Self::select(context.shards(), fraction, |shard| {
            context.cancel.check()?;
            Scores::read_originals(context, shard)
        })?;
        cribble_io::write_file(&Self::path(context), to_value(&found)?.to_string().as_bytes())?;
        Ok(TaskOutput { data: to_value(&found.value)?, ..TaskOutput::default() })
    }

    pub fn read(context: &StepContext<'_>) -> Result<Self> {
        read_json(&Self::path(context))
    }

    /// Selects over shards of similarities, one for each row judged (`None`: no original caption). The share is of all these rows, rounded
    /// down, but at least one row.
    pub fn select(
        shards: u32,
        fraction: f64,
        read: impl Fn(u32) -> Result<Vec<Option<f32>>>,
    ) -> Result<Self> {
        let (mut rows, mut with) = (0u64, 0u64);
        let mut upper = vec![0u64; 1 << 16];
        for shard in 0..shards {
            let sims = read(shard)?;
            rows += sims.len() as u64;
            for sim in sims.into_iter().flatten() {
                with += 1;
                upper[(descending(sim) >> 16) as usize] += 1;
            }
        }
        let wanted = ((fraction * rows as f64) as u64).max(1).min(with);
        if wanted == 0 {
            return Ok(Self { value: None, ties: vec![0; shards as usize] });
        }
        let (high, before) = bin_of(&upper, wanted);
        let mut lower = vec![0u64; 1 << 16];
        for shard in 0..shards {
            for key in read(shard)?.into_iter().flatten().map(descending) {
                if key >> 16 == high {
                    lower[(key & 0xffff) as usize] += 1;
                }
            }
        }
        let (low, within) = bin_of(&lower, wanted - before);
        let key = high << 16 | low;
        let mut open = wanted - before - within;
        let mut ties = Vec::with_capacity(shards as usize);
        for shard in 0..shards {
            let equal =
                read(shard)?.into_iter().flatten().filter(|&sim| descending(sim) == key).count() as u64;
            ties.push(equal.min(open));
            open -= equal.min(open);
        }
        Ok(Self { value: Some(value_of(key)), ties })
    }

    /// Which rows of a shard are in the top share. `sims` are those of the original captions, in row order.
    pub fn tops(&self, shard: u32, sims: impl Iterator<Item = Option<f32>>) -> Vec<bool> {
        let mut open = self.ties.get(shard as usize).copied().unwrap_or(0);
        sims.map(|sim| match (sim, self.value) {
            (Some(sim), Some(value)) if sim == value && open > 0 => {
                open -= 1;
                true
            }
            (Some(sim), Some(value)) => sim > value,
            _ => false,
        })
        .collect()
    }
}

/// The bin in which the row of this rank (from 1) lies, and how many rows lie in those before it.
fn bin_of(bins: &[u64], rank: u64) -> (u32, u64) {
    let mut before = 0;
    for (bin, &rows) in bins.iter().enumerate() {
        if before + rows >= rank {
            return (bin as u32, before);
        }
        before += rows;
    }
    // Not reached: ranks are at most the number of rows.
    (bins.len() as u32 - 1, before)
}

/// An integer that falls as the number grows; −0 and 0 are one place.
fn descending(sim: f32) -> u32 {
    let bits = if sim == 0.0 { 0 } else { sim.to_bits() };
    !(if bits >> 31 == 1 { !bits } else { bits | 1 << 31 })
}

fn value_of(key: u32) -> f32 {
    let bits = !key;
    f32::from_bits(if bits >> 31 == 1 { bits & !(1 << 31) } else { !bits })
}
