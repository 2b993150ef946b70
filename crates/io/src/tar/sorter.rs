//! Sorting of fixed-size records in a bounded amount of memory: runs that fit are sorted and written to one nameless file, then merged.
//! Records are plain bytes and their order is the order of their bytes, so every caller stores its key big-endian and first.
use crate::{IoError, Result};
use rayon::prelude::*;
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// A sorter of `N`-byte records.
pub struct Sorter<const N: usize> {
    buffer: Vec<[u8; N]>,
    capacity: usize,
    folder: PathBuf,
    spill: Option<File>,
    runs: Vec<(u64, u64)>,
    written: u64,
    total: u64,
}

impl<const N: usize> Sorter<N> {
    /// `memory_bytes` bounds the buffer (at least 64 records); beyond it, runs go to a nameless file in `folder`, which must exist.
    pub fn new(folder: &Path, memory_bytes: usize) -> Self {
        Self {
            buffer: Vec::new(),
            capacity: (memory_bytes / N.max(1)).max(64),
            folder: folder.into(),
            spill: None,
            runs: Vec::new(),
            written: 0,
            total: 0,
        }
    }

    /// Takes in one record. Equal records are all kept.
    pub fn push(&mut self, record: [u8; N]) -> Result<()> {
        if self.buffer.len() == self.capacity {
            self.spill_run()?;
        }
        self.buffer.push(record);
        self.total += 1;
        Ok(())
    }

    /// Records taken in.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether nothing was taken in.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The records in order.
    pub fn finish(mut self) -> Result<Sorted<N>> {
        if self.runs.is_empty() {
            sort(&mut self.buffer);
            let total = self.total;
            return Ok(Sorted {
                folder: self.folder,
                total,
                source: Source::Memory(self.buffer.into_iter()),
            });
        }
        self.spill_run()?;
        self.buffer = Vec::new();
        let Some(file) = self.spill else {
            return Ok(Sorted {
                folder: self.folder,
                total: 0,
                source: Source::Memory(Vec::new().into_iter()),
            });
        };
        // The buffer's memory is handed on to the runs, in whole records, a few at least.
        let piece = (self.capacity / self.runs.len()).max(16);
        let mut merge = Merge { file, piece, runs: Vec::new(), heap: BinaryHeap::new() };
        for (start, end) in self.runs {
            merge.runs.push(Run { next: start, end, records: Vec::new().into_iter() });
        }
        let mut sorted =
            Sorted { folder: self.folder, total: self.total, source: Source::Memory(Vec::new().into_iter()) };
        for run in 0..merge.runs.len() {
            merge.advance(run).map_err(|e| IoError::read(&sorted.folder, None, e))?;
        }
        sorted.source = Source::Merge(merge);
        Ok(sorted)
    }

    fn spill_run(&mut self) -> Result<()> {
        sort(&mut self.buffer);
        let bytes = self.buffer.as_flattened();
        let fail = |e| IoError::write(&self.folder, "write", Some(bytes.len() as u64), e);
        if self.spill.is_none() {
            self.spill = Some(nameless(&self.folder).map_err(fail)?);
        }
        if let Some(file) = &self.spill {
            file.write_all_at(bytes, self.written).map_err(fail)?;
        }
        let end = self.written + bytes.len() as u64;
        self.runs.push((self.written, end));
        self.written = end;
        self.buffer.clear();
        Ok(())
    }
}

/// Sorts on all threads. The first 16 bytes are compared as one number, which settles nearly every pair.
fn sort<const N: usize>(records: &mut [[u8; N]]) {
    let lead = |record: &[u8; N]| {
        let mut first = [0; 16];
        let length = N.min(16);
        first[..length].copy_from_slice(&record[..length]);
        u128::from_be_bytes(first)
    };
    records.par_sort_unstable_by(|a, b| lead(a).cmp(&lead(b)).then_with(|| a.cmp(b)));
}

/// A file that has no name any more: a killed process leaves nothing behind.
fn nameless(folder: &Path) -> std::io::Result<File> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name =
        format!("{}sort-{}-{}", crate::TEMP_PREFIX, std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = folder.join(name);
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Sorted records, one after the other.
pub struct Sorted<const N: usize> {
    folder: PathBuf,
    total: u64,
    source: Source<N>,
}

enum Source<const N: usize> {
    Memory(std::vec::IntoIter<[u8; N]>),
    Merge(Merge<N>),
}

struct Merge<const N: usize> {
    file: File,
    piece: usize,
    runs: Vec<Run<N>>,
    heap: BinaryHeap<Reverse<([u8; N], usize)>>,
}

struct Run<const N: usize> {
    next: u64,
    end: u64,
    records: std::vec::IntoIter<[u8; N]>,
}

impl<const N: usize> Merge<N> {
    fn advance(&mut self, number: usize) -> std::io::Result<()> {
        let run = &mut self.runs[number];
        if run.records.len() == 0 && run.next < run.end {
            let count = ((run.end - run.next) / N as u64).min(self.piece as u64) as usize;
            let mut records = vec![[0; N]; count];
            self.file.read_exact_at(records.as_flattened_mut(), run.next)?;
            run.next += (count * N) as u64;
            run.records = records.into_iter();
        }
        if let Some(record) = run.records.next() {
            self.heap.push(Reverse((record, number)));
        }
        Ok(())
    }
}

impl<const N: usize> Sorted<N> {
    /// How many records there are in all.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }
}

impl<const N: usize> Iterator for Sorted<N> {
    type Item = Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::Memory(records) => records.next().map(Ok),
            Source::Merge(merge) => {
                let Reverse((record, run)) = merge.heap.pop()?;
                match merge.advance(run) {
                    Ok(()) => Some(Ok(record)),
                    Err(error) => Some(Err(IoError::read(&self.folder, None, error))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn spilled_runs_come_back_in_order(mut values in prop::collection::vec(0u32..500, 0..1000)) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::<4>::new(folder.path(), 1);
            for value in &values {
                sorter.push(value.to_be_bytes()).unwrap();
            }
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
            let sorted: Vec<u32> = sorter.finish().unwrap().map(|r| u32::from_be_bytes(r.unwrap())).collect();
            values.sort_unstable();
            prop_assert_eq!(sorted, values);
        }
    }
}
