//! `check`: what an input is, and whether it is sound. Nothing is believed: duplicate uids are counted exactly, norms are measured, and the
//! alignment of table and arrays is proven by recomputing a score that the table holds. It reads uids fully and vectors on a sample.
mod alignment;
mod blocks;
mod duplicates;
mod norms;
mod report;

pub use report::{
    Alignment, AlignmentVerdict, ArrayReport, CheckReport, ColumnReport, DuplicateUid, Duplicates, Place,
    ScoreCheck, UnalignedShard,
};

use crate::{Dataset, Result};

/// How thorough a check is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// Rows of each shard whose vectors are looked at: a third each at the start, somewhere in the middle, at the end. At least 24.
    pub sample: u64,
    /// Decides where the middle is.
    pub seed: u64,
    /// Memory for the search for duplicates; less only means more passes over the uids.
    pub memory_bytes: u64,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { sample: 384, seed: 0, memory_bytes: 256 << 20 }
    }
}

/// Checks a dataset. Faults of the data are in the report; errors are only what makes reading impossible (a bad uid is one).
pub fn check(dataset: &Dataset, options: &CheckOptions) -> Result<CheckReport> {
    let rows =
        |pick: fn(u64, u64) -> u64| dataset.shards().iter().map(|shard| shard.rows).reduce(pick).unwrap_or(0);
    let columns = dataset.schema().fields().iter();
    Ok(CheckReport {
        path: dataset.path().display().to_string(),
        layout: dataset.layout().to_string(),
        why: dataset.layout().why.clone(),
        notes: dataset.notes().to_vec(),
        fingerprint: blake3::Hash::from_bytes(dataset.fingerprint()).to_hex().to_string(),
        shards: dataset.shards().len() as u64,
        empty_shards: dataset.shards().iter().filter(|shard| shard.rows == 0).count() as u64,
        rows: dataset.rows(),
        smallest_shard_rows: rows(u64::min),
        largest_shard_rows: rows(u64::max),
        columns: columns
            .map(|f| ColumnReport { name: f.name().clone(), kind: f.data_type().to_string() })
            .collect(),
        made_uids: dataset.has_made_uids(),
        arrays: norms::measure(dataset, options)?,
        duplicates: duplicates::find(dataset, options.memory_bytes)?,
        alignment: alignment::prove(dataset, options)?,
    })
}

#[cfg(test)]
mod tests;
