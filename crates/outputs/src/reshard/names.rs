//! Which key each output sample gets, and which of them would clash. Keys are compared by 128 bits of BLAKE3 in a bounded sort, because the keys
//! of a billion samples do not fit into memory; a false clash (probability below 1e-20) would only make a key longer.
use super::{
    input,
    join::{Records, SelectedReader},
    options::KeyStyle,
    plan::Samples,
};
use cribble_core::{Result, Uid};
use cribble_io::{
    AtomicFile, IoError,
    tar::{ImageIndex, Sorter},
};
use std::{io::Write, path::Path};

/// The key of copy `copy` of a sample.
pub(super) fn output_key(style: KeyStyle, key: &[u8], uid: Uid, copy: u64, is_clash: bool) -> Vec<u8> {
    match (style, is_clash, copy) {
        (KeyStyle::Uid, ..) => format!("{uid}-{copy}").into_bytes(),
        (_, false, 0) => key.to_vec(),
        (_, false, _) => [key, format!("-{copy}").as_bytes()].concat(),
        (_, true, 0) => [key, format!("-{uid}").as_bytes()].concat(),
        (_, true, _) => [key, format!("-{uid}-{copy}").as_bytes()].concat(),
    }
}

/// Finds the output positions (0-based, copies counted) whose key has occurred before, and writes them, in order, to `clashes.bin`. Returns
/// how many there are.
pub(super) fn find_clashes(
    index: &ImageIndex,
    state: &Path,
    style: KeyStyle,
    memory_bytes: usize,
) -> Result<u64> {
    let path = state.join("clashes.bin");
    let mut file = AtomicFile::create(&path).map_err(input)?;
    let mut count = 0;
    if style == KeyStyle::Original {
        let mut keys = Sorter::<24>::new(state, memory_bytes);
        let mut selected = SelectedReader::open(state, 0)?;
        let mut samples = Samples::new(index);
        let mut position = 0u64;
        while let Some(next) = selected.next()? {
            let sample = samples.get(&next)?;
            for copy in 0..next.copies {
                let key = output_key(style, &sample.key, sample.uid, copy, false);
                let mut record = [0; 24];
                record[..16].copy_from_slice(&blake3_16(&key));
                record[16..].copy_from_slice(&position.to_be_bytes());
                keys.push(record).map_err(input)?;
                position += 1;
            }
        }
        let mut clashes = Sorter::<8>::new(state, memory_bytes);
        let mut before = None;
        for record in keys.finish().map_err(input)? {
            let record = record.map_err(input)?;
            let (key, position) = record.split_at(16);
            if before.as_ref().is_some_and(|same: &Vec<u8>| same == key) {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(position);
                clashes.push(bytes).map_err(input)?;
            } else {
                before = Some(key.to_vec());
            }
        }
        count = clashes.len();
        for position in clashes.finish().map_err(input)? {
            let position = position.map_err(input)?;
            file.write_all(&position).map_err(|e| input(IoError::write(&path, "write", None, e)))?;
        }
    }
    file.commit().map_err(input)?;
    Ok(count)
}

fn blake3_16(bytes: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    short
}

/// Answers, for rising positions, whether a position clashes.
pub(super) struct Clashes {
    records: Records<8>,
    next: Option<u64>,
    passed: u64,
}

impl Clashes {
    /// `first`: how many clashes lie before the first position that will be asked for.
    pub fn open(state: &Path, first: u64) -> Result<Self> {
        let mut clashes =
            Self { records: Records::open(&state.join("clashes.bin"), first)?, next: None, passed: first };
        clashes.advance()?;
        Ok(clashes)
    }

    pub fn is_clash(&mut self, position: u64) -> Result<bool> {
        if self.next == Some(position) {
            self.passed += 1;
            self.advance()?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Clashes so far, those before the start counted.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    fn advance(&mut self) -> Result<()> {
        self.next = self.records.next()?.map(u64::from_be_bytes);
        Ok(())
    }
}
