//! Sums over subset files: what is in one, what two share, a sample of one, another format. Subsets are multisets (a repeated uid is a copy), and
//! every operation says what it does with copies. All of them are merges of sorted streams: memory does not grow with the subsets.
mod combine;
mod sample;

pub use combine::{Combine, combine, convert, info};
pub use sample::{Amount, sample};

#[cfg(test)]
mod tests;

use cribble_core::{Error, ErrorKind, Result, Uid};
use cribble_io::{
    IoError, SourceFile,
    subset::{SortedUids, SubsetFacts, SubsetFormat},
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Options that all operations share.
#[derive(Debug, Clone)]
pub struct AlgebraOptions {
    /// The file to write.
    pub output: PathBuf,
    /// Its format; `None`: as its extension says, else an error.
    pub format: Option<SubsetFormat>,
    /// Bounds the memory of sorting (unsorted inputs, sampling). Beyond it, nameless files beside the output are used.
    pub memory_bytes: usize,
}

impl AlgebraOptions {
    /// Writes to `output` in the format of its extension, sorting in 256 MiB.
    pub fn new(output: impl Into<PathBuf>) -> Self {
        Self { output: output.into(), format: None, memory_bytes: 256 << 20 }
    }

    fn format(&self) -> Result<SubsetFormat> {
        self.format.or_else(|| SubsetFormat::of_name(&self.output)).ok_or_else(|| {
            Error::usage(format!("{}: the extension names no subset format", self.output.display()))
                .with_hint("use .npy, .bin (headerless), .txt, .csv, .parquet or .pkl (pygtrie)")
        })
    }

    /// The folder of the output, created when missing.
    fn scratch(&self) -> Result<&Path> {
        let folder = self.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| input(IoError::write(folder, "create", None, e)))?;
        Ok(folder)
    }
}

/// What was read and written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlgebraReport {
    /// One for each input, in their order.
    pub inputs: Vec<SubsetFacts>,
    /// Uids written, copies counted.
    pub count: u64,
    /// Distinct uids written.
    pub distinct: u64,
    /// Things a person should know, such as an input that was not sorted.
    pub warnings: Vec<String>,
}

/// What a subset holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubsetInfo {
    /// Format, count, and whether it is sorted.
    #[serde(flatten)]
    pub facts: SubsetFacts,
    /// Distinct uids.
    pub distinct: u64,
    /// The most copies that one uid has; 0 in an empty subset.
    pub max_copies: u64,
    /// The smallest uid as text.
    pub smallest: Option<String>,
    /// The largest uid as text.
    pub largest: Option<String>,
}

fn input(error: IoError) -> Error {
    let hint = error.hint();
    let error = Error::wrap(ErrorKind::Input, error);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn open(path: &Path, scratch: &Path, memory_bytes: usize) -> Result<SortedUids> {
    let file = SourceFile::open_local(path).map_err(input)?;
    SortedUids::open(&file, scratch, memory_bytes).map_err(input)
}

fn warning(path: &Path, facts: &SubsetFacts) -> Option<String> {
    facts.warning().map(|text| format!("{}: {text}", path.display()))
}

/// Counts distinct uids of a sorted sequence.
#[derive(Default)]
struct Distinct {
    last: Option<Uid>,
    count: u64,
}

impl Distinct {
    fn add(&mut self, uid: Uid) {
        if self.last.replace(uid) != Some(uid) {
            self.count += 1;
        }
    }
}
