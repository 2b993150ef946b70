//! Answers as subset files.
use std::path::{Path, PathBuf};

use cribble_core::{Error, Result, Uid};
use cribble_io::{
    subset::{SubsetFormat, SubsetWriter},
    tar::{Sorted, Sorter},
};

/// Where and how much to sort: beyond `memory` bytes, in nameless files of `folder`.
#[derive(Debug, Clone, Copy)]
pub struct Scratch<'a> {
    /// A folder that is there.
    pub folder: &'a Path,
    /// Bytes.
    pub memory: usize,
}

/// Collects uids in any order, each once or several times, and writes each once.
pub struct SubsetFile {
    out: PathBuf,
    format: SubsetFormat,
    sorter: Sorter<16>,
}

impl SubsetFile {
    /// Will be `out`, whose extension says the format.
    ///
    /// # Errors
    /// The extension is none of a subset's.
    pub fn new(out: &Path, scratch: Scratch<'_>) -> Result<Self> {
        let format = SubsetFormat::of_name(out).ok_or_else(|| {
            Error::usage(format!("{}: the extension names no format of a subset", out.display()))
                .with_hint("use .npy, .bin, .txt, .csv, .parquet or .pkl")
        })?;
        Ok(Self { out: out.into(), format, sorter: Sorter::new(scratch.folder, scratch.memory) })
    }

    /// Adds a uid.
    pub fn push(&mut self, uid: Uid) -> Result<()> {
        Ok(self.sorter.push(uid.to_bytes())?)
    }

    /// The uids in order, with those that came several times.
    pub fn sorted(self) -> Result<Sorted<16>> {
        Ok(self.sorter.finish()?)
    }

    /// Writes the file, which appears when it is whole. Returns the number of uids.
    pub fn finish(self) -> Result<u64> {
        let mut writer = SubsetWriter::create(&self.out, self.format)?;
        let mut last = None;
        for bytes in self.sorter.finish()? {
            let uid = Uid::from_bytes(bytes?);
            if last != Some(uid) {
                writer.push(uid)?;
            }
            last = Some(uid);
        }
        Ok(writer.finish()?)
    }
}
