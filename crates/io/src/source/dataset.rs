//! A dataset: shards in order, with everything checked once when it is opened. Holds descriptions only, no open files and no rows.
use super::{
    ArrayInfo, Layout, OpenOptions, ShardInfo, detect, fingerprint,
    part::{Found, Part},
    pixels::{ImageReader, Pixels},
    schema::{Gathered, conform},
};
use crate::{ArrayReader, Batches, IoError, Result, Storage, storage::LocalStorage, tables::uid_texts};
use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use cribble_core::Uid;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// An open input. Shared between threads: reading needs no lock.
pub struct Dataset {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    layout: Layout,
    notes: Vec<String>,
    shards: Vec<ShardInfo>,
    parts: Vec<Part>,
    schema: SchemaRef,
    /// Whether the column `uid` is made, because the source has none.
    made_uid: bool,
    arrays: Vec<ArrayInfo>,
    fingerprint: [u8; 32],
    pixels: Pixels,
}

impl Dataset {
    /// Detects the layout and opens the input: reads every footer and header, no rows. Fails when pairs are incomplete, row counts differ,
    /// columns or arrays are not the same in every shard, or nothing is recognised.
    pub fn open(options: &OpenOptions) -> Result<Self> {
        Self::open_in(Arc::new(LocalStorage), options)
    }

    /// [`Dataset::open`] in another storage.
    pub fn open_in(storage: Arc<dyn Storage>, options: &OpenOptions) -> Result<Self> {
        let Found { kind, why, mut parts, notes, pixels } = detect::detect(&storage, options)?;
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        for pair in parts.windows(2) {
            if pair[0].name == pair[1].name {
                let place = |part: &Part| part.files.first().map_or_else(PathBuf::new, |f| f.path().into());
                return Err(IoError::SameName {
                    name: pair[0].name.clone(),
                    first: place(&pair[0]),
                    second: place(&pair[1]),
                });
            }
        }
        let mut gathered = Gathered::default();
        for part in &parts {
            gathered.add(file_of(part), &part.rows.schema())?;
            for (name, array) in &part.arrays {
                let rows = array.slice.map_or(array.rows, |(_, rows)| rows);
                if rows != part.row_count {
                    return Err(IoError::RowsDiffer {
                        first: file_of(part).display().to_string(),
                        first_rows: part.row_count,
                        second: format!("array '{name}' of {}", array.location),
                        second_rows: rows,
                    });
                }
            }
        }
        let arrays = common_arrays(&parts)?;
        let mut schema = gathered.finish();
        let made_uid = schema.field_with_name("uid").is_err();
        if made_uid {
            let uid = Arc::new(Field::new("uid", DataType::Utf8, false));
            schema = Arc::new(Schema::new(
                std::iter::once(uid).chain(schema.fields().iter().cloned()).collect::<Vec<_>>(),
            ));
        }
        let extra = format!("{} {:?} {:?}", kind.name(), options.dim, options.dtype);
        let fingerprint = fingerprint::fingerprint(&*storage, &parts, &extra)?;
        let shards = parts
            .iter()
            .zip(0..)
            .map(|(part, index)| {
                let mut files: Vec<PathBuf> = part.files.iter().map(|file| file.path().into()).collect();
                files.sort();
                ShardInfo { index, name: part.name.clone(), rows: part.row_count, files }
            })
            .collect();
        Ok(Self {
            path: PathBuf::from(&options.path),
            storage,
            layout: Layout { kind, why },
            notes,
            shards,
            parts,
            schema,
            made_uid,
            arrays,
            fingerprint,
            pixels,
        })
    }

    /// The location as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the input was taken for, and why.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Things about the input that a person should know, such as that it has no arrays.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Identifies the input, however it is copied or touched: shard names, file lengths, footers and pieces of the contents, and the options
    /// that change how files are read. See the module `fingerprint` for exactly what.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// The shards, sorted by name.
    pub fn shards(&self) -> &[ShardInfo] {
        &self.shards
    }

    /// Rows of all shards.
    pub fn rows(&self) -> u64 {
        self.shards.iter().map(|shard| shard.rows).sum()
    }

    /// The columns of the source, every one nullable. Where the source has no `uid`, a made one (text) comes first.
    /// Text is always `Utf8`, however the files store it.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether the uids were made from file name and key (see [`crate::stable_uid`]) because the source has none.
    pub fn has_made_uids(&self) -> bool {
        self.made_uid
    }

    /// The arrays that every shard has, sorted by name.
    pub fn arrays(&self) -> &[ArrayInfo] {
        &self.arrays
    }

    /// The array of this name.
    pub fn array(&self, name: &str) -> Result<&ArrayInfo> {
        self.arrays.iter().find(|array| array.name == name).ok_or_else(|| self.missing_array(name))
    }

    /// The uids of a shard, in row order. Allocates 16 bytes a row. A bad uid is an error with file and row.
    pub fn uids(&self, shard: u32) -> Result<Vec<Uid>> {
        let part = self.part(shard)?;
        let uids = part.rows.uids()?;
        if uids.len() as u64 != part.row_count {
            return Err(changed(part, uids.len() as u64));
        }
        Ok(uids)
    }

    /// Streams columns of a shard, in the order of the names and in row order, in batches of at most `batch_rows` rows. Columns that were not
    /// asked for are not decoded. The made `uid` is hexadecimal text. That the rows are as many as [`ShardInfo::rows`] says is checked at the end
    /// of the stream.
    pub fn read_columns(
        &self,
        shard: u32,
        columns: &[impl AsRef<str>],
        batch_rows: usize,
    ) -> Result<Batches> {
        let part = self.part(shard)?;
        let mut fields = Vec::with_capacity(columns.len());
        for name in columns {
            let index =
                self.schema.index_of(name.as_ref()).map_err(|_| self.missing_column(name.as_ref()))?;
            fields.push(self.schema.fields()[index].clone());
        }
        let is_made = |name: &str| self.made_uid && name == "uid";
        let stored: Vec<String> =
            fields.iter().map(|field| field.name().clone()).filter(|name| !is_made(name)).collect();
        let stored_fields: Vec<_> = fields.iter().filter(|field| !is_made(field.name())).cloned().collect();
        let path: PathBuf = file_of(part).into();
        let batches = part.rows.read(&stored, batch_rows)?;
        let conformed = {
            let path = path.clone();
            batches.map(move |batch| conform(&batch?, &stored_fields, &path))
        };
        let checked = counted(Box::new(conformed), part);
        if fields.iter().all(|field| !is_made(field.name())) {
            return Ok(checked);
        }
        let uids = self.uids(shard)?;
        let mut row = 0;
        Ok(Box::new(checked.map(move |batch| {
            let batch = batch?;
            let range = row..row + batch.num_rows();
            row = range.end;
            let here = uids.get(range).unwrap_or_default();
            let made = uid_texts(here.iter().copied());
            let mut rest = batch.columns().iter();
            let columns = fields
                .iter()
                .filter_map(
                    |field| if field.name() == "uid" { Some(made.clone()) } else { rest.next().cloned() },
                )
                .collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::new(Schema::new(fields.clone())), columns, &options)
                .map_err(|source| IoError::Arrow { path: path.clone(), source })
        })))
    }

    /// Columns of single rows of a shard, ascending and each once. Columns are those of the source: a made `uid` is none.
    pub fn read_columns_at(
        &self,
        shard: u32,
        columns: &[impl AsRef<str>],
        rows: &[u64],
    ) -> Result<RecordBatch> {
        let part = self.part(shard)?;
        let path = file_of(part);
        let names: Vec<String> = columns.iter().map(|name| name.as_ref().to_owned()).collect();
        let known = |name: &String| {
            let field = self.schema.index_of(name).ok().filter(|_| !(self.made_uid && name == "uid"));
            field.map(|index| self.schema.fields()[index].clone()).ok_or_else(|| self.missing_column(name))
        };
        let fields: Vec<_> = names.iter().map(known).collect::<Result<_>>()?;
        let batches = part.rows.read_at(&names, rows)?.map(|batch| conform(&batch?, &fields, path));
        let batches = batches.collect::<Result<Vec<_>>>()?;
        let found = concat_batches(&Arc::new(Schema::new(fields.clone())), &batches)
            .map_err(|source| IoError::Arrow { path: path.into(), source })?;
        if found.num_rows() != rows.len() {
            return Err(changed(part, found.num_rows() as u64));
        }
        Ok(found)
    }

    /// Opens an array of a shard. Each thread opens its own.
    pub fn open_array(&self, shard: u32, name: &str) -> Result<ArrayReader> {
        let source = self.part(shard)?.arrays.get(name).ok_or_else(|| self.missing_array(name))?;
        source.open(&*self.storage, name)
    }

    /// Where the images of this input lie, in words; `None` when it has none of its own.
    pub fn images(&self) -> Option<String> {
        match &self.pixels {
            Pixels::None => None,
            Pixels::Members => Some("the tars themselves".into()),
            Pixels::Files(root) => Some(format!("the files below {root}")),
            Pixels::Column(name) => Some(format!("the column '{name}'")),
        }
    }

    /// The images of a shard, row by row; `None` when the input has none of its own.
    pub fn open_images(&self, shard: u32) -> Result<Option<ImageReader>> {
        let part = self.part(shard)?;
        ImageReader::open(&self.storage, &self.pixels, part, |column, rows| {
            self.read_columns(shard, &[column], rows)
        })
    }

    /// The storage that the input lies in.
    pub fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    fn part(&self, shard: u32) -> Result<&Part> {
        self.parts.get(shard as usize).ok_or_else(|| IoError::OutOfRange {
            path: self.path.clone(),
            start: u64::from(shard),
            end: u64::from(shard) + 1,
            rows: self.parts.len() as u64,
        })
    }

    fn missing_column(&self, name: &str) -> IoError {
        IoError::MissingColumn {
            path: self.path.clone(),
            name: name.into(),
            available: self.schema.fields().iter().map(|field| field.name().clone()).collect(),
        }
    }

    fn missing_array(&self, name: &str) -> IoError {
        let available = self.arrays.iter().map(|array| array.name.clone()).collect();
        IoError::MissingArray { path: self.path.clone(), name: name.into(), available }
    }
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Dataset({}, {}, {} shards, {} rows)",
            self.path.display(),
            self.layout,
            self.shards.len(),
            self.rows()
        )
    }
}

fn file_of(part: &Part) -> &Path {
    part.files.first().map_or(Path::new(""), |file| file.path())
}

fn changed(part: &Part, found: u64) -> IoError {
    let expected = format!("{} rows, as when it was opened", part.row_count);
    IoError::malformed(file_of(part), "rows", None, expected, found.to_string())
        .with_hint("the file was changed while it was read: run again")
}

/// Ends the stream with an error when it does not have the rows that the shard promised.
fn counted(mut batches: Batches, part: &Part) -> Batches {
    let (promised, mut seen, mut ended) = (part.row_count, 0, false);
    let path: PathBuf = file_of(part).into();
    Box::new(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        match batches.next() {
            Some(Ok(batch)) => {
                seen += batch.num_rows() as u64;
                Some(Ok(batch))
            }
            Some(Err(error)) => {
                ended = true;
                Some(Err(error))
            }
            None => {
                ended = true;
                (seen != promised).then(|| {
                    let expected = format!("{promised} rows, as when it was opened");
                    Err(IoError::malformed(&path, "rows", None, expected, seen.to_string()))
                })
            }
        }
    }))
}

/// The arrays of the first part, after checking that all parts have them alike.
fn common_arrays(parts: &[Part]) -> Result<Vec<ArrayInfo>> {
    let Some(first) = parts.first() else { return Ok(Vec::new()) };
    for part in &parts[1..] {
        for (has, lacks) in [(first, part), (part, first)] {
            if let Some((name, array)) = has.arrays.iter().find(|(name, _)| !lacks.arrays.contains_key(*name))
            {
                let path = lacks.files.last().map_or_else(PathBuf::new, |file| file.path().into());
                let other = array.location.path();
                return Err(IoError::malformed(
                    path,
                    "arrays",
                    None,
                    format!("array '{name}', as in {}", other.display()),
                    list(&lacks.arrays),
                ));
            }
        }
        for (name, array) in &part.arrays {
            let standard = &first.arrays[name];
            if (array.dim, array.element) != (standard.dim, standard.element) {
                return Err(IoError::ArraysDiffer {
                    array: name.as_str().into(),
                    first: standard.location.path().into(),
                    first_kind: standard.kind().into(),
                    second: array.location.path().into(),
                    second_kind: array.kind().into(),
                });
            }
        }
    }
    let info = |(name, array): (&String, &super::part::ArraySource)| ArrayInfo {
        name: name.clone(),
        dim: array.dim as usize,
        dtype: array.element,
    };
    Ok(first.arrays.iter().map(info).collect())
}

fn list<V>(arrays: &BTreeMap<String, V>) -> String {
    if arrays.is_empty() { "no arrays".into() } else { arrays.keys().cloned().collect::<Vec<_>>().join(", ") }
}
