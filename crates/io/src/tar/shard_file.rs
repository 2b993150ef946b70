//! The index of one tar as a file: `CRIBTAR1`, a `u32` (little-endian) length, that many bytes of json ([`ShardHead`]), then the samples as
//! [`super::record`]s in the order of the tar. It is believed only while the tar has the length and modification time that it had.
use super::{Fault, Skipped, TarIndex, TarSample, UidCounts, record};
use crate::{AtomicFile, IoError, Result, SourceFile};
use cribble_core::Uid;
use serde::{Deserialize, Serialize};
use std::{io::Write, path::Path};

const MAGIC: &[u8; 8] = b"CRIBTAR1";
const PIECE: usize = 256 * 1024;

/// What is known of one tar beside its samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardHead {
    /// Bytes of the tar when it was indexed.
    pub length: u64,
    /// Its modification time, nanoseconds since 1970.
    pub modified_ns: i64,
    /// Samples in the index.
    pub samples: u64,
    /// Where their uids are from.
    pub uids: UidCounts,
    /// Entries that belong to no sample.
    pub skipped: Skipped,
    /// Where reading stopped early.
    pub fault: Option<Fault>,
}

pub(super) fn write(path: &Path, length: u64, modified_ns: i64, index: &TarIndex) -> Result<ShardHead> {
    let head = ShardHead {
        length,
        modified_ns,
        samples: index.samples.len() as u64,
        uids: index.uids,
        skipped: index.skipped,
        fault: index.fault.clone(),
    };
    let fail = |error| IoError::write(path, "write", None, error);
    let text = serde_json::to_vec(&head).map_err(|error| fail(error.into()))?;
    let mut file = AtomicFile::create(path)?;
    file.write_all(MAGIC).map_err(fail)?;
    file.write_all(&(text.len() as u32).to_le_bytes()).map_err(fail)?;
    file.write_all(&text).map_err(fail)?;
    let mut bytes = Vec::new();
    for sample in &index.samples {
        bytes.clear();
        record::encode(sample, &mut bytes);
        file.write_all(&bytes).map_err(fail)?;
    }
    file.commit()?;
    Ok(head)
}

/// Reads the head; also says where the records begin.
pub(super) fn read_head(file: &SourceFile) -> Result<(ShardHead, u64)> {
    let broken = |expected: &str| {
        IoError::malformed(file.path(), "tar index", Some(0), expected, "something else")
            .with_hint("remove this file: it will be made again")
    };
    let start = file.read_range(0, 12)?;
    let Some((magic, length)) = start.split_first_chunk::<8>() else {
        return Err(broken("12 bytes at least"));
    };
    let Ok(length) = <[u8; 4]>::try_from(length) else { return Err(broken("12 bytes at least")) };
    if magic != MAGIC {
        return Err(broken("CRIBTAR1"));
    }
    let length = u32::from_le_bytes(length);
    let text = file.read_range(12, length as usize)?;
    let head =
        serde_json::from_slice(&text).map_err(|error| broken(&format!("its head as json ({error})")))?;
    Ok((head, 12 + u64::from(length)))
}

/// Reads the samples of one tar in their order, or from any record on. Memory: one piece of 256 KiB and one sample.
pub struct SampleReader {
    file: SourceFile,
    start: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl SampleReader {
    pub(super) fn new(file: SourceFile, offset: u64) -> Self {
        Self { file, start: offset, bytes: Vec::new(), at: 0 }
    }

    /// Byte offset of the next record.
    pub fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    /// Goes to a record. Going forward inside the piece in memory reads nothing.
    pub fn seek(&mut self, offset: u64) {
        if (self.start..=self.start + self.bytes.len() as u64).contains(&offset) {
            self.at = (offset - self.start) as usize;
        } else {
            (self.start, self.at) = (offset, 0);
            self.bytes.clear();
        }
    }

    /// The next sample, `None` after the last one.
    pub fn next_sample(&mut self) -> Result<Option<TarSample>> {
        self.next(record::decode)
    }

    /// Passes over the next sample; its uid, `None` after the last one.
    pub fn next_uid(&mut self) -> Result<Option<Uid>> {
        self.next(record::decode_uid)
    }

    fn next<T>(&mut self, decode: impl Fn(&[u8]) -> Option<(T, usize)>) -> Result<Option<T>> {
        let mut wanted = PIECE;
        loop {
            if let Some((found, length)) = decode(&self.bytes[self.at..]) {
                self.at += length;
                return Ok(Some(found));
            }
            let here = self.offset();
            let there = self.file.len().saturating_sub(here);
            let held = (self.bytes.len() - self.at) as u64;
            if there == 0 {
                return Ok(None);
            }
            if held >= there {
                return Err(IoError::malformed(
                    self.file.path(),
                    "tar index",
                    Some(here),
                    "a sample",
                    "damaged bytes",
                )
                .with_hint("remove this file: it will be made again"));
            }
            // A record longer than the piece: ask for twice as much.
            while wanted as u64 <= held {
                wanted *= 2;
            }
            self.bytes = self.file.read_range(here, wanted)?;
            (self.start, self.at) = (here, 0);
        }
    }
}
