//! The shuffle: how rows of all shards meet by key (cluster, hash, shard). Each shard's task writes one file whose records are sorted by key,
//! with the position of each key in a footer; a bucket's task then reads its range of keys from every file. No file is written by two
//! tasks, so everything is atomic, resumable and the same for any number of threads; memory is one run of records, which the caller bounds.
//!
//! Layout: runs of fixed-size records, each sorted by key (records of one key stay in the order given), then for each run its start and
//! `keys + 1` prefix counts as little-endian u64, then record size, keys, runs as u32 and eight bytes of magic.
use std::{
    fs::File,
    io::Write,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use cribble_core::{Error, ErrorKind, Result};
use cribble_io::AtomicFile;

const MAGIC: &[u8; 8] = b"CRBSCAT1";
const TRAILER: usize = 20;

/// A row of the whole input: shard in the high, row in the low 32 bits. Its order is the order of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct GlobalRow(pub u64);

impl GlobalRow {
    /// Row `row` of shard `shard`.
    pub const fn new(shard: u32, row: u32) -> Self {
        Self(((shard as u64) << 32) | row as u64)
    }
    /// The shard.
    pub const fn shard(self) -> u32 {
        (self.0 >> 32) as u32
    }
    /// The row in its shard.
    pub const fn row(self) -> u32 {
        self.0 as u32
    }
}

/// Writes one scatter file.
#[derive(Debug)]
pub struct ScatterWriter {
    file: AtomicFile,
    path: PathBuf,
    keys: u32,
    record: usize,
    footer: Vec<u8>,
    runs: u32,
}

impl ScatterWriter {
    /// Starts a file of records of `record` bytes with keys below `keys`.
    pub fn create(path: &Path, keys: u32, record: usize) -> Result<Self> {
        Ok(Self {
            file: AtomicFile::create(path)?,
            path: path.into(),
            keys,
            record,
            footer: Vec::new(),
            runs: 0,
        })
    }

    /// Adds a run: `keys[i]` is the key of the i-th record in `records`. Any order; sorted here, stably.
    pub fn push_run(&mut self, keys: &[u32], records: &[u8]) -> Result<()> {
        if records.len() != keys.len() * self.record {
            return Err(Error::bug(format!("{} keys for {} bytes of records", keys.len(), records.len())));
        }
        let mut prefix = vec![0u64; self.keys as usize + 1];
        for &key in keys {
            match prefix.get_mut(key as usize + 1) {
                Some(count) => *count += 1,
                None => return Err(Error::bug(format!("key {key} of {}", self.keys))),
            }
        }
        for index in 1..prefix.len() {
            prefix[index] += prefix[index - 1];
        }
        self.footer.extend_from_slice(&self.file.position().to_le_bytes());
        prefix.iter().for_each(|count| self.footer.extend_from_slice(&count.to_le_bytes()));
        let mut next = prefix;
        let mut order = vec![0u32; keys.len()];
        for (index, &key) in keys.iter().enumerate() {
            let place = &mut next[key as usize];
            order[*place as usize] = index as u32;
            *place += 1;
        }
        for index in order {
            let start = index as usize * self.record;
            self.write(start, records)?;
        }
        self.runs += 1;
        Ok(())
    }

    fn write(&mut self, start: usize, records: &[u8]) -> Result<()> {
        self.file
            .write_all(&records[start..start + self.record])
            .map_err(|error| Error::wrap(ErrorKind::Input, error))
    }

    /// Writes the footer and commits. Returns the length in bytes.
    pub fn commit(mut self) -> Result<u64> {
        let mut trailer = std::mem::take(&mut self.footer);
        for number in [self.record as u32, self.keys, self.runs] {
            trailer.extend_from_slice(&number.to_le_bytes());
        }
        trailer.extend_from_slice(MAGIC);
        self.file
            .write_all(&trailer)
            .map_err(|error| Error::wrap(ErrorKind::Input, error).context(self.path.display()))?;
        let length = self.file.position();
        self.file.commit()?;
        Ok(length)
    }
}

/// Reads one scatter file by ranges of keys.
#[derive(Debug)]
pub struct ScatterReader {
    file: File,
    path: PathBuf,
    record: usize,
    /// Start of each run in bytes, and its `keys + 1` prefix counts.
    runs: Vec<(u64, Vec<u64>)>,
}

impl ScatterReader {
    /// Opens a file and reads its footer.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |text: &str| {
            Error::input(format!("{}: {text}", path.display()))
                .with_hint("a scratch file was changed or cut; delete the step's folder and run again")
        };
        let io = |error: std::io::Error| Error::wrap(ErrorKind::Input, error).context(path.display());
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut trailer = [0u8; TRAILER];
        let end = length.checked_sub(TRAILER as u64).ok_or_else(|| fail("too short for a scatter file"))?;
        file.read_exact_at(&mut trailer, end).map_err(io)?;
        if &trailer[12..] != MAGIC {
            return Err(fail("no scatter file"));
        }
        let number =
            |at: usize| u32::from_le_bytes([trailer[at], trailer[at + 1], trailer[at + 2], trailer[at + 3]]);
        let (record, keys, runs) = (number(0) as usize, number(4) as usize, number(8) as usize);
        let table = (keys + 2) * 8;
        let start =
            end.checked_sub((runs * table) as u64).ok_or_else(|| fail("footer longer than the file"))?;
        let mut footer = vec![0u8; runs * table];
        file.read_exact_at(&mut footer, start).map_err(io)?;
        let runs = footer
            .chunks_exact(table)
            .map(|run| {
                let mut numbers = run
                    .chunks_exact(8)
                    .map(|b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]));
                (numbers.next().unwrap_or(0), numbers.collect())
            })
            .collect();
        Ok(Self { file, path: path.into(), record, runs })
    }

    /// Bytes of a record.
    pub fn record(&self) -> usize {
        self.record
    }

    /// Number of keys.
    pub fn keys(&self) -> u32 {
        self.runs.first().map_or(0, |(_, prefix)| prefix.len() as u32 - 1)
    }

    /// Number of records with keys in the range.
    pub fn count(&self, keys: Range<u32>) -> u64 {
        let (start, end) = (keys.start as usize, keys.end as usize);
        self.runs.iter().map(|(_, prefix)| prefix[end] - prefix[start]).sum()
    }

    /// Adds the number of records of each key to `totals`.
    pub fn add_counts(&self, totals: &mut [u64]) {
        for (_, prefix) in &self.runs {
            for (total, pair) in totals.iter_mut().zip(prefix.windows(2)) {
                *total += pair[1] - pair[0];
            }
        }
    }

    /// Calls `visit` with pieces of at most `bytes` bytes (one record at least) of the records with keys in the range, in the order of `read`.
    pub fn read_pieces(
        &self,
        keys: Range<u32>,
        bytes: usize,
        mut visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let most = (bytes / self.record).max(1) as u64;
        let mut piece = Vec::new();
        for (start, prefix) in &self.runs {
            let (mut from, to) = (prefix[keys.start as usize], prefix[keys.end as usize]);
            while from < to {
                let count = most.min(to - from);
                piece.resize(count as usize * self.record, 0);
                self.file
                    .read_exact_at(&mut piece, start + from * self.record as u64)
                    .map_err(|error| Error::wrap(ErrorKind::Input, error).context(self.path.display()))?;
                visit(&piece)?;
                from += count;
            }
        }
        Ok(())
    }

    /// Appends the records with keys in the range: run by run, inside a run by key. Returns how many there were.
    pub fn read(&self, keys: Range<u32>, out: &mut Vec<u8>) -> Result<u64> {
        let (start, count) = (out.len(), self.count(keys.clone()));
        out.resize(start + count as usize * self.record, 0);
        self.read_into(keys, &mut out[start..])?;
        Ok(count)
    }

    /// As [`ScatterReader::read`], into room for exactly [`ScatterReader::count`] records.
    pub fn read_into(&self, keys: Range<u32>, out: &mut [u8]) -> Result<()> {
        let expected = self.count(keys.clone()) as usize * self.record;
        if out.len() != expected {
            return Err(Error::bug(format!("{expected} bytes of records into {}", out.len())));
        }
        let mut rest = out;
        for (start, prefix) in &self.runs {
            let (from, to) = (prefix[keys.start as usize], prefix[keys.end as usize]);
            let (part, after) = rest.split_at_mut((to - from) as usize * self.record);
            self.file
                .read_exact_at(part, start + from * self.record as u64)
                .map_err(|error| Error::wrap(ErrorKind::Input, error).context(self.path.display()))?;
            rest = after;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_record_comes_back_under_its_key(runs in prop::collection::vec(prop::collection::vec((0u32..7, any::<u16>()), 0..40), 0..4)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("s");
            let mut writer = ScatterWriter::create(&path, 7, 2).unwrap();
            for run in &runs {
                let keys: Vec<u32> = run.iter().map(|r| r.0).collect();
                let bytes: Vec<u8> = run.iter().flat_map(|r| r.1.to_le_bytes()).collect();
                writer.push_run(&keys, &bytes).unwrap();
            }
            writer.commit().unwrap();
            let reader = ScatterReader::open(&path).unwrap();
            let mut totals = [0u64; 7];
            reader.add_counts(&mut totals);
            for key in 0..7u32 {
                if runs.is_empty() { continue; }
                let expected: Vec<u8> = runs.iter().flatten().filter(|r| r.0 == key).flat_map(|r| r.1.to_le_bytes()).collect();
                let mut found = Vec::new();
                prop_assert_eq!(reader.read(key..key + 1, &mut found).unwrap(), expected.len() as u64 / 2);
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(totals[key as usize] * 2, expected.len() as u64);
                let mut pieces = Vec::new();
                reader.read_pieces(key..key + 1, 6, |piece| { pieces.extend_from_slice(piece); Ok(()) }).unwrap();
                prop_assert_eq!(&pieces, &expected);
                prop_assert_eq!(reader.count(key..key + 1), totals[key as usize]);
            }
        }
    }

    #[test]
    fn a_cut_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let mut writer = ScatterWriter::create(&path, 2, 4).unwrap();
        writer.push_run(&[1, 0], &[1; 8]).unwrap();
        let length = writer.commit().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(length, bytes.len() as u64);
        for cut in [0, 5, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert!(ScatterReader::open(&path).is_err());
        }
    }

    #[test]
    fn wrong_keys_are_our_bug_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ScatterWriter::create(&dir.path().join("s"), 2, 1).unwrap();
        assert!(writer.push_run(&[2], &[0]).is_err());
        assert!(writer.push_run(&[0], &[0, 0]).is_err());
    }
}
