//! Writes the uids of a selection sorted, in DataComp's form, with bounded memory: sorted runs on disk, then one merge.
use std::{
    collections::BinaryHeap,
    fs::File,
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
};

use cribble_core::{Error, ErrorKind, Result, Uid};
use cribble_io::AtomicFile;

/// Collects uids in any order and writes them sorted.
pub struct SubsetSorter {
    buffer: Vec<Uid>,
    capacity: usize,
    folder: PathBuf,
    runs: Vec<PathBuf>,
    count: u64,
}

impl SubsetSorter {
    /// Holds at most `memory` bytes; more goes to run files in `folder`, which is removed at the end.
    pub fn new(folder: PathBuf, memory: u64) -> Self {
        let capacity = (memory / 16).clamp(1024, 1 << 32) as usize;
        Self { buffer: Vec::new(), capacity, folder, runs: Vec::new(), count: 0 }
    }

    /// Adds a uid; the same uid may come several times and is written as often.
    pub fn push(&mut self, uid: Uid) -> Result<()> {
        if self.buffer.len() == self.capacity {
            self.spill()?;
        }
        self.buffer.push(uid);
        self.count += 1;
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        self.buffer.sort_unstable();
        let path = self.folder.join(format!("run-{:06}", self.runs.len()));
        let mut file = AtomicFile::create(&path)?;
        for uid in self.buffer.drain(..) {
            file.write_all(&uid.to_bytes()).map_err(|error| Error::wrap(ErrorKind::Input, error))?;
        }
        file.commit()?;
        self.runs.push(path);
        Ok(())
    }

    /// Writes `path` as DataComp does: an `.npy` of `u8,u8`, sorted. Returns the number of uids.
    pub fn write(mut self, path: &Path) -> Result<u64> {
        self.buffer.sort_unstable();
        let memory = std::mem::take(&mut self.buffer);
        if self.runs.is_empty() {
            write_sorted_uids(path, self.count, memory.into_iter().map(Ok))?;
            return Ok(self.count);
        }
        let mut sources: Vec<Box<dyn Iterator<Item = Result<Uid>>>> =
            vec![Box::new(memory.into_iter().map(Ok))];
        for run in &self.runs {
            let file =
                File::open(run).map_err(|e| Error::wrap(ErrorKind::Input, e).context(run.display()))?;
            let mut reader = BufReader::with_capacity(1 << 18, file);
            sources.push(Box::new(std::iter::from_fn(move || {
                let mut bytes = [0u8; 16];
                match reader.read_exact(&mut bytes) {
                    Ok(()) => Some(Ok(Uid::from_bytes(bytes))),
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
                    Err(error) => Some(Err(Error::wrap(ErrorKind::Input, error))),
                }
            })));
        }
        write_sorted_uids(path, self.count, merge(sources)?)?;
        crate::run::remove(&self.folder)?;
        Ok(self.count)
    }
}

fn merge(
    mut sources: Vec<Box<dyn Iterator<Item = Result<Uid>>>>,
) -> Result<impl Iterator<Item = Result<Uid>>> {
    let mut heap = BinaryHeap::new();
    for (index, source) in sources.iter_mut().enumerate() {
        if let Some(uid) = source.next() {
            heap.push(std::cmp::Reverse((uid?, index)));
        }
    }
    Ok(std::iter::from_fn(move || {
        let std::cmp::Reverse((uid, index)) = heap.pop()?;
        match sources[index].next() {
            Some(Ok(next)) => heap.push(std::cmp::Reverse((next, index))),
            Some(Err(error)) => return Some(Err(error)),
            None => {}
        }
        Some(Ok(uid))
    }))
}

/// Writes sorted uids as `numpy.save` writes DataComp's subset: version 1.0, dtype `[('f0', '<u8'), ('f1', '<u8')]`, high half first.
/// `count` must be the number of uids.
pub fn write_sorted_uids(path: &Path, count: u64, uids: impl Iterator<Item = Result<Uid>>) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    let io = |error: std::io::Error| Error::wrap(ErrorKind::Input, error);
    file.write_all(&npy_header(count)).map_err(io)?;
    let mut written = 0;
    for uid in uids {
        let (high, low) = uid?.halves();
        file.write_all(&high.to_le_bytes()).and_then(|()| file.write_all(&low.to_le_bytes())).map_err(io)?;
        written += 1;
    }
    if written != count {
        return Err(Error::bug(format!("{}: {written} uids, {count} promised", path.display())));
    }
    Ok(file.commit()?)
}

fn npy_header(count: u64) -> Vec<u8> {
    let mut text =
        format!("{{'descr': [('f0', '<u8'), ('f1', '<u8')], 'fortran_order': False, 'shape': ({count},), }}");
    // numpy pads with spaces so that the data starts at a multiple of 64, with a newline at the end; and since 1.2x it leaves room for
    // the shape to grow to 21 digits.
    let digits = count.to_string().len();
    text.push_str(&" ".repeat(21 - digits));
    let total = (10 + text.len() + 1).div_ceil(64) * 64;
    text.push_str(&" ".repeat(total - 10 - text.len() - 1));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&(text.len() as u16).to_le_bytes());
    header.extend_from_slice(text.as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn runs_on_disk_and_memory_give_the_same_file(values in prop::collection::vec(any::<u128>(), 0..5000)) {
            let dir = tempfile::tempdir().unwrap();
            let mut files = Vec::new();
            for memory in [0u64, 1 << 30] {
                let path = dir.path().join(format!("s{memory}.npy"));
                let mut sorter = SubsetSorter::new(dir.path().join("runs"), memory);
                for &value in &values {
                    sorter.push(Uid(value)).unwrap();
                }
                prop_assert_eq!(sorter.write(&path).unwrap(), values.len() as u64);
                files.push(std::fs::read(&path).unwrap());
            }
            prop_assert_eq!(&files[0], &files[1]);
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let body = &files[0][128..];
            let read: Vec<u128> = body.chunks_exact(16).map(|b| {
                let half = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap());
                Uid::from_halves(half(&b[..8]), half(&b[8..])).0
            }).collect();
            prop_assert_eq!(read, sorted);
        }
    }
}
