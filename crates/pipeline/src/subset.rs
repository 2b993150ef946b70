//! Writes the uids of a selection sorted, in DataComp's form, with bounded memory: `io`'s external sort, then its subset writer.
use std::path::{Path, PathBuf};

use cribble_core::{Error, ErrorKind, Result, Uid};
use cribble_io::{
    subset::{SubsetFormat, SubsetWriter},
    tar::Sorter,
};

/// Collects uids in any order and writes them sorted.
pub(crate) struct SubsetSorter {
    sorter: Sorter<16>,
}

impl SubsetSorter {
    /// Holds at most `memory` bytes; more goes to a nameless file in `folder`, which is created where it is missing.
    pub fn new(folder: PathBuf, memory: u64) -> Result<Self> {
        std::fs::create_dir_all(&folder)
            .map_err(|error| Error::wrap(ErrorKind::Input, error).context(folder.display()))?;
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        Ok(Self { sorter: Sorter::new(&folder, memory) })
    }

    /// Adds a uid; the same uid may come several times and is written as often.
    pub fn push(&mut self, uid: Uid) -> Result<()> {
        Ok(self.sorter.push(uid.to_bytes())?)
    }

    /// Writes `path` as DataComp does: an `.npy` of `u8,u8`, sorted. Returns the number of uids.
    pub fn write(self, path: &Path) -> Result<u64> {
        let mut writer = SubsetWriter::create(path, SubsetFormat::Npy)?;
        for uid in self.sorter.finish()? {
            writer.push(Uid::from_bytes(uid?))?;
        }
        Ok(writer.finish()?)
    }
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
                let mut sorter = SubsetSorter::new(dir.path().join("runs"), memory).unwrap();
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
