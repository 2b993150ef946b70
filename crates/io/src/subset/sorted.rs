//! Subsets in order: as a stream for merges, or whole in memory. Two passes over the file (is it sorted? then read) instead of one, because
//! nearly every subset is sorted already and then no sorting memory is needed.
use super::{SubsetFormat, read::UidRows, read::open_rows};
use crate::{
    Result, SourceFile,
    tar::{Sorted, Sorter},
};
use cribble_core::Uid;
use serde::Serialize;
use std::path::Path;

/// What a look through a subset file found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubsetFacts {
    /// Its format.
    pub format: SubsetFormat,
    /// Uids, copies counted.
    pub count: u64,
    /// The first row (from 0) whose uid is smaller than the one before it; `None` when the file is sorted.
    pub first_unsorted_row: Option<u64>,
}

impl SubsetFacts {
    /// A sentence for the person when the file was not sorted. It was sorted for use; nothing is lost.
    pub fn warning(&self) -> Option<String> {
        let row = self.first_unsorted_row?;
        Some(format!(
            "the subset is not sorted (row {row} is smaller than the row before it): it was sorted for use"
        ))
    }
}

/// The uids of a subset file in ascending order, copies as repeats.
pub struct SortedUids {
    facts: SubsetFacts,
    source: Source,
}

enum Source {
    File(UidRows),
    Sorter(Sorted<16>),
}

impl SortedUids {
    /// Opens a subset file. An unsorted one is sorted in `memory_bytes`, with nameless files in `scratch` (which must exist) beyond that.
    pub fn open(file: &SourceFile, scratch: &Path, memory_bytes: usize) -> Result<Self> {
        let format = SubsetFormat::detect(file)?;
        let mut facts = SubsetFacts { format, count: 0, first_unsorted_row: None };
        let mut before = Uid(0);
        for uid in open_rows(file, format)? {
            let uid = uid?;
            if uid < before && facts.first_unsorted_row.is_none() {
                facts.first_unsorted_row = Some(facts.count);
            }
            before = uid;
            facts.count += 1;
        }
        let rows = open_rows(file, format)?;
        if facts.first_unsorted_row.is_none() {
            return Ok(Self { facts, source: Source::File(rows) });
        }
        let mut sorter = Sorter::new(scratch, memory_bytes);
        for uid in rows {
            sorter.push(uid?.to_bytes())?;
        }
        Ok(Self { facts, source: Source::Sorter(sorter.finish()?) })
    }

    /// What the file is like.
    pub fn facts(&self) -> &SubsetFacts {
        &self.facts
    }
}

impl Iterator for SortedUids {
    type Item = Result<Uid>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::File(rows) => rows.next(),
            Source::Sorter(sorted) => sorted.next().map(|record| record.map(Uid::from_bytes)),
        }
    }
}

/// Folds a sorted stream into `(uid, copies)`. Ends after the first error.
pub fn groups(mut uids: impl Iterator<Item = Result<Uid>>) -> impl Iterator<Item = Result<(Uid, u64)>> {
    let mut waiting: Option<(Uid, u64)> = None;
    let mut over = false;
    std::iter::from_fn(move || {
        while !over {
            match uids.next() {
                None => over = true,
                Some(Err(error)) => {
                    (over, waiting) = (true, None);
                    return Some(Err(error));
                }
                Some(Ok(uid)) => match &mut waiting {
                    Some((same, copies)) if *same == uid => *copies += 1,
                    _ => {
                        if let Some(group) = waiting.replace((uid, 1)) {
                            return Some(Ok(group));
                        }
                    }
                },
            }
        }
        waiting.take().map(Ok)
    })
}

/// Reads a whole subset into memory, sorted, copies as repeats: 16 bytes a uid.
pub fn read_subset(file: &SourceFile) -> Result<(Vec<Uid>, SubsetFacts)> {
    let sorted = SortedUids::open(file, Path::new("."), usize::MAX)?;
    let facts = sorted.facts().clone();
    Ok((sorted.collect::<Result<_>>()?, facts))
}
