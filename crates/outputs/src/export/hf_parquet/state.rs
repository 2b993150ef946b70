//! What is done of an export: while at work everything lies in `.hf-parquet/` of the output folder, one marker a part; the files get their names
//! together at the end, because `train-00000-of-00007` can only be said when there are seven.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use cribble_core::{Error, Result};
use cribble_io::{AtomicFile, IoError, clean_leftovers, write_file, write_marker};
use serde::{Deserialize, Serialize};

use super::HfFile;

const FOLDER: &str = ".hf-parquet";
/// What says that an export is whole.
pub const SUMMARY: &str = "export.json";
/// The samples without a picture.
pub const MISSING: &str = "missing.csv";

/// A row of the input: shard, and row in it. The first row that a part has not seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub shard: u32,
    pub row: u64,
}

/// A part that is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Where the next part begins.
    pub next: Position,
    /// Rows written; 0: there is no file.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Rows without a picture, by code.
    pub missing: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
struct Plan {
    plan: String,
    /// Parts, once all are done and the files are being named.
    parts: Option<u64>,
}

/// The output folder while at work.
pub struct State {
    out: PathBuf,
    folder: PathBuf,
    plan: String,
    /// The parts that are done, in order.
    pub done: Vec<Done>,
    /// Whether all are, and only names are missing.
    pub is_naming: bool,
}

impl State {
    /// Opens the folder: a new one, or one in which the same plan was interrupted.
    ///
    /// # Errors
    /// The folder holds something else, or an export of another plan.
    pub fn open(out: &Path, plan: &str) -> Result<Self> {
        let folder = out.join(FOLDER);
        let mut state =
            Self { out: out.into(), folder, plan: plan.into(), done: Vec::new(), is_naming: false };
        clean_leftovers(out)?;
        let found = fs::read(state.folder.join("plan.json"));
        match found.ok().map(|text| serde_json::from_slice::<Plan>(&text).ok()) {
            Some(Some(found)) if found.plan == plan => {
                state.is_naming = found.parts.is_some();
                clean_leftovers(&state.folder)?;
                state.read_markers(found.parts)?;
                return Ok(state);
            }
            Some(_) if state.folder.join(marker(0)).exists() => {
                return Err(Error::input(format!(
                    "{} holds the beginning of another export (other run, pictures or size of files)",
                    out.display()
                ))
                .with_hint("name a new folder, or delete this one"));
            }
            // Nothing was done there yet: nothing is lost.
            Some(_) => remove(&state.folder)?,
            None => {}
        }
        let is_ours = |name: &str| name == FOLDER || name.starts_with(cribble_io::TEMP_PREFIX);
        let mut names = fs::read_dir(out).into_iter().flatten().flatten().map(|entry| entry.file_name());
        if names.any(|name| !is_ours(&name.to_string_lossy())) {
            return Err(Error::input(format!("{} is not empty", out.display()))
                .with_hint("name a new folder: nothing is ever overwritten by an export"));
        }
        state.write_plan(None)?;
        Ok(state)
    }

    fn write_plan(&self, parts: Option<u64>) -> Result<()> {
        let plan = Plan { plan: self.plan.clone(), parts };
        Ok(write_file(&self.folder.join("plan.json"), &json(&plan)?)?)
    }

    /// Parts count up to the first that is not whole. Those that have their final name already are not looked at.
    fn read_markers(&mut self, parts: Option<u64>) -> Result<()> {
        loop {
            let number = self.done.len() as u64;
            let marker = fs::read(self.folder.join(marker(number)));
            let Some(done) = marker.ok().and_then(|text| serde_json::from_slice::<Done>(&text).ok()) else {
                break;
            };
            let length = |path: PathBuf| fs::metadata(path).map_or(0, |data| data.len());
            if parts.is_none() && done.rows > 0 && length(self.part(number)) != done.bytes {
                break;
            }
            self.done.push(done);
        }
        if parts.is_some_and(|parts| parts != self.done.len() as u64) {
            return Err(Error::input(format!("{} is not whole", self.folder.display()))
                .with_hint(format!("delete {} and export again", self.out.display())));
        }
        Ok(())
    }

    /// Where what is needed only while at work lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a part.
    pub fn part(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:05}.parquet"))
    }

    fn errors(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:05}.csv"))
    }

    /// Says that a part is done; `missing` are the lines of its rows without a picture.
    pub fn mark(&mut self, done: Done, missing: &str) -> Result<()> {
        let number = self.done.len() as u64;
        if !missing.is_empty() {
            write_file(&self.errors(number), missing.as_bytes())?;
        }
        write_marker(&self.folder.join(marker(number)), &json(&done)?)?;
        self.done.push(done);
        Ok(())
    }

    /// Gives the files their names, and writes the list of what is missing. May be interrupted and done again.
    pub fn name(&mut self) -> Result<Vec<HfFile>> {
        self.write_plan(Some(self.done.len() as u64))?;
        let with_rows: Vec<usize> = (0..self.done.len()).filter(|&part| self.done[part].rows > 0).collect();
        // An export without a row is a file without one: readers learn its columns.
        let parts = if with_rows.is_empty() { vec![0] } else { with_rows };
        let mut files = Vec::with_capacity(parts.len());
        for (number, &part) in parts.iter().enumerate() {
            let name = format!("train-{number:05}-of-{:05}.parquet", parts.len());
            let (from, to) = (self.part(part as u64), self.out.join(&name));
            match fs::rename(&from, &to) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && to.exists() => {}
                Err(error) => return Err(IoError::write(&to, "rename", None, error).into()),
            }
            let Done { rows, bytes, .. } = self.done[part];
            files.push(HfFile { name, rows, bytes });
        }
        if self.done.iter().any(|done| !done.missing.is_empty()) {
            self.write_missing()?;
        }
        Ok(files)
    }

    fn write_missing(&self) -> Result<()> {
        let path = self.out.join(MISSING);
        let fail = |error| IoError::write(&path, "write", None, error);
        let mut file = AtomicFile::create(&path)?;
        std::io::Write::write_all(&mut file, b"uid,shard,row,code,message\n").map_err(fail)?;
        for number in 0..self.done.len() as u64 {
            if let Ok(mut part) = fs::File::open(self.errors(number)) {
                std::io::copy(&mut part, &mut file).map_err(fail)?;
            }
        }
        Ok(file.commit()?)
    }

    /// Writes the summary, then removes what was needed only while at work.
    pub fn finish(self, summary: &impl Serialize) -> Result<()> {
        write_marker(&self.out.join(SUMMARY), &json(summary)?)?;
        remove(&self.folder)
    }
}

/// Whether the same export came to its end and was killed while it cleaned up, which is then done.
pub fn is_cleaned(out: &Path, plan: &str) -> Result<bool> {
    let folder = out.join(FOLDER);
    let found =
        fs::read(folder.join("plan.json")).ok().and_then(|text| serde_json::from_slice::<Plan>(&text).ok());
    let is_done = out.join(SUMMARY).exists() && found.is_some_and(|found| found.plan == plan);
    if is_done {
        remove(&folder)?;
    }
    Ok(is_done)
}

/// Removes the working folder, the plan last: as long as it is there, what is left is known for what it is.
fn remove(folder: &Path) -> Result<()> {
    let fail = |error| Error::from(IoError::write(folder, "remove", None, error));
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() {
            fs::remove_dir_all(&path).map_err(fail)?;
        } else if !path.ends_with("plan.json") {
            fs::remove_file(&path).map_err(fail)?;
        }
    }
    fs::remove_dir_all(folder).map_err(fail)
}

fn marker(number: u64) -> String {
    format!("{number:05}.done")
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| Error::bug(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}
