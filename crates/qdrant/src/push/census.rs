//! How many samples a push is about, and which of them stand in the run several times.
use std::collections::HashMap;

use cribble_core::{Result, Uid};
use cribble_io::{
    Dataset,
    tar::{Sorted, Sorter},
};
use cribble_pipeline::{RunFolder, read_selection};

use crate::Scratch;

/// The uids of a run in order, repeated ones as often as they stand there.
pub(super) fn sorted_uids(
    run: &RunFolder,
    dataset: &Dataset,
    only_kept: bool,
    scratch: Scratch<'_>,
) -> Result<Sorted<16>> {
    let mut sorter = Sorter::<16>::new(scratch.folder, scratch.memory);
    for shard in dataset.shards() {
        let kept = match only_kept {
            true => Some(read_selection(run.path(), &shard.name)?),
            false => None,
        };
        for (row, uid) in dataset.uids(shard.index)?.into_iter().enumerate() {
            let is_wanted =
                kept.as_ref().is_none_or(|selection| selection.get(row).is_some_and(|row| row.keep));
            if is_wanted {
                sorter.push(uid.to_bytes())?;
            }
        }
    }
    Ok(sorter.finish()?)
}

/// Rows and samples.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// Rows.
    pub rows: u64,
    /// Samples.
    pub distinct: u64,
    /// Those that stand there several times; not yet met.
    pub repeated: HashMap<Uid, bool>,
}

impl Census {
    pub fn of(sorted: Sorted<16>) -> Result<Self> {
        let mut census = Self::default();
        let mut last = None;
        for bytes in sorted {
            let uid = Uid::from_bytes(bytes?);
            census.rows += 1;
            if last == Some(uid) {
                census.repeated.insert(uid, false);
            } else {
                census.distinct += 1;
            }
            last = Some(uid);
        }
        Ok(census)
    }
}
