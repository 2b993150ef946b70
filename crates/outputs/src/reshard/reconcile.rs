//! Why a requested sample is missing. img2dataset's parquet names every row that it tried, with its error; what it does not name was in none of
//! the input's tars. Both lists are sorted and merged, so a pool with a billion dead links is no matter of memory.
use super::{input, join::MissingReader, report::ReshardReport, state};
use cribble_core::{Cancel, Progress, Result};
use cribble_io::{
    AtomicFile, IoError, Location, SourceFile, Storage,
    storage::LocalStorage,
    tar::{ImageIndex, Sorter, img2dataset},
};
use std::{
    collections::{BTreeSet, HashMap},
    io::Write,
    path::Path,
};

/// Download errors come in endless variety (host names, sizes); beyond this many they are counted together.
const MOST_CAUSES: usize = 1000;
const NOWHERE: &str = "not in any tar of the input";

/// Names of causes by number, in the order of their first appearance.
struct Causes {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Causes {
    fn number(&mut self, name: String) -> u32 {
        if let Some(&number) = self.numbers.get(&name) {
            return number;
        }
        let name =
            if self.names.len() >= MOST_CAUSES { "download failed: another error".to_owned() } else { name };
        let next = self.names.len() as u32;
        let number = *self.numbers.entry(name.clone()).or_insert(next);
        if number == next {
            self.names.push(name);
        }
        number
    }
}

/// Fills `missing_by_cause`, and writes `missing_uids.csv` (uid, copies, cause; sorted by uid) when `output` is given and something is missing.
pub(super) fn reconcile(
    index: &ImageIndex,
    inputs: &[std::path::PathBuf],
    work: &Path,
    output: Option<&Path>,
    memory_bytes: usize,
    report: &mut ReshardReport,
    (progress, cancel): (&dyn Progress, &Cancel),
) -> Result<()> {
    let list = output.map(|folder| folder.join("missing_uids.csv"));
    if report.missing == 0 {
        return list.as_deref().map_or(Ok(()), state::remove);
    }
    let mut causes = Causes { names: Vec::new(), numbers: HashMap::new() };
    let mut sorter = Sorter::<20>::new(work, memory_bytes);
    let tables = tables(index, inputs)?;
    progress.begin("reading why samples are missing", tables.len() as u64, "tables");
    for table in tables {
        cancel.check()?;
        collect(&table, &mut causes, &mut sorter, report)?;
        progress.advance(1);
    }
    progress.end();

    let fail = |e| input(IoError::write(output.unwrap_or(work), "write", None, e));
    let mut file = list.map(AtomicFile::create).transpose().map_err(input)?;
    if let Some(file) = &mut file {
        file.write_all(b"uid,copies,cause\n").map_err(fail)?;
    }
    let mut known = sorter.finish().map_err(input)?.peekable();
    let mut missing = MissingReader::open(work)?;
    while let Some((uid, copies)) = missing.next()? {
        let mut cause = NOWHERE;
        let bytes = uid.to_bytes();
        while let Some(record) =
            known.next_if(|record| record.as_ref().map_or(true, |r| r[..16] <= bytes[..]))
        {
            let record = record.map_err(input)?;
            // Of several rows about one uid the first counts: it has the smallest cause number.
            if record[..16] == bytes && cause == NOWHERE {
                let number = record[16..].iter().fold(0usize, |n, &byte| (n << 8) | usize::from(byte));
                cause = causes.names.get(number).map_or(NOWHERE, String::as_str);
            }
        }
        *report.missing_by_cause.entry(cause.to_owned()).or_default() += 1;
        if let Some(file) = &mut file {
            writeln!(file, "{uid},{copies},\"{}\"", cause.replace('"', "\"\"")).map_err(fail)?;
        }
    }
    file.map_or(Ok(()), AtomicFile::commit).map_err(input)
}

/// A parquet of img2dataset and what a `success` in it means for a sample that was not found.
struct Table {
    location: Location,
    tar_name: String,
    success_means: Option<&'static str>,
}

/// The parquet files beside the tars, and those whose tar is not there.
fn tables(index: &ImageIndex, inputs: &[std::path::PathBuf]) -> Result<Vec<Table>> {
    let storage = LocalStorage;
    let mut tables = Vec::new();
    let mut seen = BTreeSet::new();
    for tar in index.tars() {
        let (_, location) = img2dataset::side_files(&Location::local(&tar.path));
        seen.insert(location.clone());
        if storage.exists(&location).map_err(input)? {
            // In a sound tar a success is found; only where reading stopped early do successes explain anything.
            let success_means =
                tar.head.fault.is_some().then_some("downloaded, but its tar cannot be read to the end");
            tables.push(Table { location, tar_name: tar.name.clone(), success_means });
        }
    }
    for folder in inputs.iter().map(Location::local) {
        if !storage.entry(&folder).map_err(input)?.is_some_and(|entry| entry.is_folder) {
            continue;
        }
        for entry in storage.list(&folder).map_err(input)? {
            if entry.location.extension() == "parquet" && !seen.contains(&entry.location) {
                let tar_name = format!("{}.tar", entry.location.stem());
                let success_means = Some("downloaded, but its tar is not there");
                tables.push(Table { location: entry.location, tar_name, success_means });
            }
        }
    }
    Ok(tables)
}

fn collect(
    table: &Table,
    causes: &mut Causes,
    sorter: &mut Sorter<20>,
    report: &mut ReshardReport,
) -> Result<()> {
    let read = SourceFile::open(&LocalStorage, &table.location).and_then(|file| {
        img2dataset::read_outcomes(&file, &table.tar_name, |outcome| {
            let cause = match (outcome.failure, table.success_means) {
                (Some(message), _) => causes.number(format!("download failed: {}", message.trim())),
                (None, Some(meaning)) => causes.number(meaning.to_owned()),
                (None, None) => return Ok(()),
            };
            let mut record = [0; 20];
            record[..16].copy_from_slice(&outcome.uid.to_bytes());
            record[16..].copy_from_slice(&cause.to_be_bytes());
            sorter.push(record)
        })
    });
    match read {
        Ok(_) => Ok(()),
        // A parquet that is not img2dataset's, or a broken one, only makes the table poorer.
        Err(
            error @ (IoError::MissingColumn { .. }
            | IoError::Parquet { .. }
            | IoError::Arrow { .. }
            | IoError::Read { .. }),
        ) => {
            report.warnings.push(format!("not used to explain missing samples: {error}"));
            Ok(())
        }
        Err(error) => Err(input(error)),
    }
}
