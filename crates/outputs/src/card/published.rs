//! What a folder that is to be published really holds: files with their lengths, hashes and records, and the fields of their records. Only what
//! our own summaries name is looked at, and everything that they name must be there.
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use arrow::datatypes::DataType;
use cribble_core::{Cancel, Error, Progress, Result};
use cribble_io::{IoError, SourceFile, TableReader, tar};
use rayon::prelude::*;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::export::read_summary;

/// Bytes that are hashed at once.
const PIECE: usize = 1 << 20;
/// A json member with more bytes is not looked at for the names of its fields.
const MOST_JSON: u64 = 1 << 20;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Samples in a tar.
    Tar,
    /// Samples in parquet, with pictures.
    Table,
    /// The uids that were kept.
    Subset,
    /// What became of every sample.
    Selection,
    /// How all of it was made.
    Recipe,
}

/// One file.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its path in the folder, with `/`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Samples, rows or uids in it; none for what has no records.
    pub records: Option<u64>,
}

/// A column or member of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The type of its values, as Croissant calls it.
    pub kind: &'static str,
    /// Whether it is a list of those.
    pub is_list: bool,
}

/// What is in the tars.
#[derive(Debug, Clone, Default)]
pub struct TarFields {
    /// Endings of pictures, in lower case.
    pub images: BTreeSet<String>,
    /// Whether samples have a `.txt`.
    pub has_text: bool,
    /// The plain members of the first sample's json.
    pub json: Vec<Member>,
}

/// A folder.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// Its files, by kind and path.
    pub items: Vec<Item>,
    /// What is in the tars.
    pub tars: TarFields,
    /// The columns of the tables beside `image`.
    pub columns: Vec<Member>,
}

impl Published {
    /// The files of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.kind == kind)
    }

    /// Records in the files of a kind; none where there is no such file.
    pub fn records(&self, kind: Kind) -> Option<u64> {
        let counts: Vec<u64> = self.of(kind).filter_map(|item| item.records).collect();
        (!counts.is_empty()).then(|| counts.iter().sum())
    }

    /// The samples that a user of the folder gets.
    pub fn samples(&self) -> Option<u64> {
        self.records(Kind::Table).or_else(|| self.records(Kind::Tar)).or_else(|| {
            self.of(Kind::Subset).find(|item| item.path == "subset.npy").and_then(|item| item.records)
        })
    }

    /// A glob that names the files of a kind and no others.
    pub fn glob(&self, kind: Kind) -> Option<String> {
        let first = self.of(kind).next()?;
        let folder = first.path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let name = match kind {
            Kind::Table => "train-*.parquet",
            Kind::Tar => "*.tar",
            _ => "*.parquet",
        };
        Some(folder + name)
    }
}

/// Looks at a folder: a run, the output of `reshard`, or that of `export --format hf-parquet`. Every file is read once, for its hash.
///
/// # Errors
/// It is none of these, is still being written, or lacks files that its summary names.
pub fn look(folder: &Path, progress: &dyn Progress, cancel: &Cancel) -> Result<Published> {
    let mut found: Vec<(Kind, PathBuf, Option<u64>)> = Vec::new();
    let is_run = folder.join("manifest.json").exists();
    for (place, name) in [(folder.join("shards"), "shards/"), (folder.to_path_buf(), "")] {
        tars(&place, name, &mut found)?;
    }
    tables(folder, &mut found)?;
    let uids = if is_run { "subset" } else { "sample_ids" };
    for name in names(folder, ".npy").into_iter().filter(|name| name.starts_with(uids)) {
        found.push((Kind::Subset, name.into(), None));
    }
    if is_run {
        let selection = names(&folder.join("selection"), ".parquet");
        found.extend(
            selection.into_iter().map(|name| (Kind::Selection, Path::new("selection").join(name), None)),
        );
        found.push((Kind::Recipe, "recipe.toml".into(), None));
    }
    if found.is_empty() {
        return Err(Error::usage(format!("{} holds nothing that a card could describe", folder.display()))
            .with_hint("name a run, the output folder of `cribble reshard`, or that of `cribble export --format hf-parquet`"));
    }
    found.sort();
    let lengths = found
        .iter()
        .map(|(_, path, expected)| length(&folder.join(path), *expected))
        .collect::<Result<Vec<u64>>>()?;
    progress.begin("hashing", lengths.iter().sum(), "bytes");
    let items: Vec<Result<(Item, TarFields)>> = found
        .par_iter()
        .zip(&lengths)
        .with_max_len(1)
        .map(|((kind, path, _), &bytes)| {
            let place = folder.join(path);
            let sha256 = hash(&place, progress, cancel)?;
            let (records, fields) = records(*kind, &place, bytes)?;
            let path = path.to_string_lossy().into_owned();
            Ok((Item { kind: *kind, path, bytes, sha256, records }, fields))
        })
        .collect();
    progress.end();
    let mut published = Published::default();
    for item in items {
        let (item, fields) = item?;
        published.tars.images.extend(fields.images);
        published.tars.has_text |= fields.has_text;
        if published.tars.json.is_empty() {
            published.tars.json = fields.json;
        }
        published.items.push(item);
    }
    let first = published.of(Kind::Table).next().map(|table| folder.join(&table.path));
    if let Some(first) = first {
        published.columns = columns(&first)?;
    }
    Ok(published)
}

/// The tars of an output of `reshard`, where the folder is one.
fn tars(place: &Path, prefix: &str, found: &mut Vec<(Kind, PathBuf, Option<u64>)>) -> Result<()> {
    if place.join(".reshard").exists() {
        return Err(unfinished(place, "run the same command again: what is done is kept"));
    }
    let Ok(text) = fs::read(place.join("reshard.json")) else { return Ok(()) };
    let summary: Value = serde_json::from_slice(&text).map_err(|error| {
        Error::input(format!("{}: not a summary: {error}", place.join("reshard.json").display()))
    })?;
    for shard in summary["report"]["shards"].as_array().into_iter().flatten() {
        if let Some(name) = shard["name"].as_str() {
            found.push((Kind::Tar, format!("{prefix}{name}").into(), shard["bytes"].as_u64()));
        }
    }
    Ok(())
}

/// The files of an export, where the folder is one.
fn tables(folder: &Path, found: &mut Vec<(Kind, PathBuf, Option<u64>)>) -> Result<()> {
    if folder.join(".hf-parquet/plan.json").exists() {
        return Err(unfinished(folder, "run the same export again: what is done is kept"));
    }
    let files = read_summary(folder).map(|summary| summary.files).unwrap_or_default();
    found.extend(files.into_iter().map(|file| (Kind::Table, file.name.into(), Some(file.bytes))));
    Ok(())
}

fn unfinished(folder: &Path, cure: &str) -> Error {
    Error::input(format!("{} is still being written, or was interrupted", folder.display())).with_hint(cure)
}

/// The names in a folder that end so, sorted; temporary files are none.
fn names(folder: &Path, end: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(end) && !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

/// The length of a file that must be there, and as long as its summary says.
fn length(path: &Path, expected: Option<u64>) -> Result<u64> {
    let cure = "a card describes whole folders: write the folder again, or fetch what is missing";
    let found = fs::metadata(path)
        .map_err(|_| Error::input(format!("{} is gone", path.display())).with_hint(cure))?
        .len();
    match expected.filter(|expected| *expected != found) {
        Some(expected) => {
            Err(Error::input(format!("{} has {found} bytes and should have {expected}", path.display()))
                .with_hint(cure))
        }
        None => Ok(found),
    }
}

fn hash(path: &Path, progress: &dyn Progress, cancel: &Cancel) -> Result<String> {
    let fail = |error| IoError::read(path, None, error);
    let mut file = File::open(path).map_err(fail)?;
    let (mut sha, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        cancel.check()?;
        let count = file.read(&mut piece).map_err(fail)?;
        if count == 0 {
            break;
        }
        sha.update(&piece[..count]);
        progress.advance(count as u64);
    }
    Ok(sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How many records a file has; of a tar also what they are made of.
fn records(kind: Kind, path: &Path, bytes: u64) -> Result<(Option<u64>, TarFields)> {
    let mut fields = TarFields::default();
    let count = match kind {
        Kind::Recipe => None,
        Kind::Table | Kind::Selection => Some(TableReader::open(path)?.rows()),
        Kind::Subset => {
            // Magic, version, the header's length in two bytes, the header; then 16 bytes a uid.
            let head = SourceFile::open_local(path)?.read_range(0, 10)?;
            let header = head.get(8..10).map_or(0, |two| u64::from(two[0]) | u64::from(two[1]) << 8);
            Some(bytes.saturating_sub(10 + header) / 16)
        }
        Kind::Tar => Some(samples(path, &mut fields)?),
    };
    Ok((count, fields))
}

fn samples(path: &Path, fields: &mut TarFields) -> Result<u64> {
    let file = SourceFile::open_local(path)?;
    let index = tar::scan(&*file.bytes(), &path.display().to_string(), 8 << 10)
        .map_err(|error| IoError::read(path, Some(0), error))?;
    if let Some(fault) = &index.fault {
        return Err(Error::input(format!("{}: {fault}", path.display())).with_hint("write the tars again"));
    }
    for sample in &index.samples {
        if let Some(image) = sample.image() {
            fields.images.insert(String::from_utf8_lossy(&image.extension).to_ascii_lowercase());
        }
        fields.has_text |= sample.member("txt").is_some();
        let json = sample.member("json").filter(|json| json.size <= MOST_JSON);
        if let Some(json) = json.filter(|_| fields.json.is_empty()) {
            let text = file.read_range(json.data_offset, json.size as usize)?;
            fields.json = serde_json::from_slice::<Map<String, Value>>(&text)
                .map(|object| object.iter().filter_map(member).collect())
                .unwrap_or_default();
        }
    }
    Ok(index.samples.len() as u64)
}

fn member((name, value): (&String, &Value)) -> Option<Member> {
    let kind = match value {
        Value::String(_) => "sc:Text",
        Value::Bool(_) => "sc:Boolean",
        Value::Number(number) if number.is_f64() => "sc:Float",
        Value::Number(_) => "sc:Integer",
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(Member { name: name.clone(), kind, is_list: false })
}

/// The columns of a table, but for the pictures.
fn columns(path: &Path) -> Result<Vec<Member>> {
    let table = TableReader::open(path)?;
    let member = |field: &arrow::datatypes::FieldRef| {
        let (kind, is_list) = match field.data_type() {
            DataType::Struct(_) => return None,
            DataType::List(item) => (word(item.data_type()), true),
            kind => (word(kind), false),
        };
        Some(Member { name: field.name().clone(), kind, is_list })
    };
    Ok(table.schema().fields().iter().filter_map(member).collect())
}

fn word(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "sc:Boolean",
        kind if kind.is_integer() => "sc:Integer",
        kind if kind.is_floating() => "sc:Float",
        _ => "sc:Text",
    }
}
