//! Requested uids against the index: two sorted streams side by side, so neither needs to be in memory. What is found is sorted once
//! more, into the order of the input; what is missing is kept for the reconcile table.
use super::{captions::Places, input, report::ReshardReport};
use cribble_core::{Error, Result, Uid};
use cribble_io::{
    AtomicFile, IoError, SourceFile,
    subset::{SortedUids, groups},
    tar::{ImageIndex, Sorter},
};
use std::{io::Write, ops::Range, path::Path};

/// Bytes of one record of the plan file.
pub(super) const SELECTED: usize = 40;

/// A sample that is to be written, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selected {
    pub tar: u32,
    pub ordinal: u32,
    pub record: u64,
    pub copies: u64,
    /// Where its new captions lie, if it has some.
    pub captions: Option<Range<u64>>,
}

impl Selected {
    fn to_bytes(&self) -> [u8; SELECTED] {
        let mut bytes = [0; SELECTED];
        bytes[..4].copy_from_slice(&self.tar.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.ordinal.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.record.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.copies.to_be_bytes());
        // No captions: an empty range, which no text has.
        let captions = self.captions.clone().unwrap_or_default();
        bytes[24..32].copy_from_slice(&captions.start.to_be_bytes());
        bytes[32..].copy_from_slice(&captions.end.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; SELECTED]) -> Self {
        let number =
            |range: std::ops::Range<usize>| bytes[range].iter().fold(0u64, |n, &b| (n << 8) | u64::from(b));
        let captions = number(24..32)..number(32..40);
        Self {
            tar: number(0..4) as u32,
            ordinal: number(4..8) as u32,
            record: number(8..16),
            copies: number(16..24),
            captions: (!captions.is_empty()).then_some(captions),
        }
    }
}

/// Writes `selected.bin` (in input order) and `missing.bin` (uid and copies, in uid order) into `state`, and fills the counts.
pub(super) fn join(
    index: &ImageIndex,
    subset: SortedUids,
    mut captions: Option<Places>,
    state: &Path,
    memory_bytes: usize,
    report: &mut ReshardReport,
) -> Result<()> {
    let mut sorter = Sorter::<SELECTED>::new(state, memory_bytes);
    let missing_path = state.join("missing.bin");
    let mut missing = AtomicFile::create(&missing_path).map_err(input)?;
    let mut entries = index.entries();
    let mut entry = entries.next().transpose().map_err(input)?;
    report.input_samples = index.len();
    for group in groups(subset) {
        let (uid, copies) = group.map_err(input)?;
        report.requested += copies;
        report.requested_distinct += 1;
        while let Some(other) = entry
            && other.uid < uid
        {
            report.not_requested += 1;
            entry = entries.next().transpose().map_err(input)?;
        }
        let mut places = 0u64;
        while let Some(place) = entry
            && place.uid == uid
        {
            if places == 0 {
                let captions = match &mut captions {
                    Some(places) => places.find(uid)?,
                    None => None,
                };
                let selected = Selected {
                    tar: place.tar,
                    ordinal: place.ordinal,
                    record: place.record,
                    copies,
                    captions,
                };
                sorter.push(selected.to_bytes()).map_err(input)?;
            }
            places += 1;
            entry = entries.next().transpose().map_err(input)?;
        }
        if places > 0 {
            report.found += copies;
            report.found_distinct += 1;
            report.repeated_in_input += places - 1;
        } else {
            report.missing += copies;
            report.missing_distinct += 1;
            let fail = |e| input(IoError::write(&missing_path, "write", None, e));
            missing.write_all(&uid.to_bytes()).map_err(fail)?;
            missing.write_all(&copies.to_be_bytes()).map_err(fail)?;
        }
    }
    while entry.is_some() {
        report.not_requested += 1;
        entry = entries.next().transpose().map_err(input)?;
    }
    missing.commit().map_err(input)?;
    let path = state.join("selected.bin");
    let mut file = AtomicFile::create(&path).map_err(input)?;
    for record in sorter.finish().map_err(input)? {
        let record = record.map_err(input)?;
        file.write_all(&record).map_err(|e| input(IoError::write(&path, "write", None, e)))?;
    }
    file.commit().map_err(input)
}

/// Fixed-size records of a file from any position on, read in pieces.
pub(super) struct Records<const N: usize> {
    file: SourceFile,
    at: u64,
    piece: std::vec::IntoIter<[u8; N]>,
}

impl<const N: usize> Records<N> {
    pub fn open(path: &Path, first: u64) -> Result<Self> {
        let file = SourceFile::open_local(path).map_err(input)?;
        if !file.len().is_multiple_of(N as u64) {
            return Err(Error::bug(format!(
                "{}: {} bytes are no records of {N}",
                path.display(),
                file.len()
            )));
        }
        Ok(Self { file, at: first * N as u64, piece: Vec::new().into_iter() })
    }

    pub fn next(&mut self) -> Result<Option<[u8; N]>> {
        if self.piece.len() == 0 && self.at < self.file.len() {
            let count = ((self.file.len() - self.at) / N as u64).min(4096) as usize;
            let mut piece = vec![[0; N]; count];
            self.file.read_at(self.at, piece.as_flattened_mut()).map_err(input)?;
            self.at += (count * N) as u64;
            self.piece = piece.into_iter();
        }
        Ok(self.piece.next())
    }
}

/// The selected samples from any position on.
pub(super) struct SelectedReader(Records<SELECTED>);

impl SelectedReader {
    pub fn open(state: &Path, first: u64) -> Result<Self> {
        Records::open(&state.join("selected.bin"), first).map(Self)
    }

    pub fn next(&mut self) -> Result<Option<Selected>> {
        Ok(self.0.next()?.map(|bytes| Selected::from_bytes(&bytes)))
    }
}

/// The missing uids in order, with the copies that were asked for.
pub(super) struct MissingReader(Records<24>);

impl MissingReader {
    pub fn open(state: &Path) -> Result<Self> {
        Records::open(&state.join("missing.bin"), 0).map(Self)
    }

    pub fn next(&mut self) -> Result<Option<(Uid, u64)>> {
        Ok(self.0.next()?.map(|bytes| {
            let wide = bytes.iter().take(16).fold(0u128, |n, &b| (n << 8) | u128::from(b));
            (Uid(wide), bytes[16..].iter().fold(0u64, |n, &b| (n << 8) | u64::from(b)))
        }))
    }
}
