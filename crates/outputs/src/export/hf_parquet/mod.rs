//! The kept samples as parquet files that `datasets.load_dataset` opens with their pictures: `train-00000-of-00007.parquet` and so on, with the
//! columns `uid`, `image` (a struct of `bytes` and `path`) and those of the run's rows. Rows come in the order of the input; a file ends with the group
//! of rows that makes it large enough. Nothing of that depends on threads or on interruptions: where a part ends is decided by what is in it,
//! and the next part begins there.
//!
//! A row whose picture cannot be had is left out, listed in `missing.csv` and counted by cause: rows written + rows missing = rows kept.
mod features;
mod part;
mod pictures;
mod state;

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, BinaryArray, RecordBatch, StringArray, StructArray, UInt32Array},
    compute::{cast, take},
    datatypes::{DataType, SchemaRef},
};
use cribble_core::{Cancel, Error, Progress, Result, Uid};
use cribble_io::{
    csv_field,
    source::{ImagePlace, RowImage},
};
use cribble_pipeline::{Limits, RunView, images::Fault, images::Pixels};
use serde::{Deserialize, Serialize};

use self::{
    part::Part,
    pictures::{Pictures, extension},
    state::{Done, Position, State},
};
use crate::{RunRows, ShardRows, run_rows::finished, values};

pub use state::{MISSING as MISSING_FILE, SUMMARY as SUMMARY_FILE};

/// Bytes of pictures in a group of rows, at most, unless one picture has more: what a reader of one row reads.
const GROUP_BYTES: u64 = 32 << 20;
/// Rows of a group.
const GROUP_ROWS: usize = 1000;
/// What a picture in a file of its own is taken for: its length is known only when it is read.
const UNKNOWN_BYTES: u64 = 512 << 10;
/// Characters of the list of missing pictures after which a part ends too: the list is in memory until then.
const MISSING_CHARS: usize = 4 << 20;
/// Who wrote a summary.
pub const MADE_BY: &str = "cribble export --format hf-parquet";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct HfOptions {
    /// The folder to write: missing, empty, or with the same export interrupted.
    pub out: PathBuf,
    /// A file ends with the group of rows with which it has so many bytes.
    pub shard_bytes: u64,
    /// Tars with the pictures, by uid, instead of those that the run knows.
    pub images: Option<String>,
}

/// One parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HfFile {
    /// Its name in the folder.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// What was written; `export.json` holds the same. `kept = rows + missing`, always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HfExport {
    /// `cribble export --format hf-parquet`.
    pub made_by: String,
    /// Version of this structure.
    pub version: u32,
    /// Rows that the run kept.
    pub kept: u64,
    /// Rows in the files.
    pub rows: u64,
    /// Rows that the run kept and whose picture could not be had, by cause.
    pub missing: BTreeMap<String, u64>,
    /// The columns.
    pub columns: Vec<String>,
    /// The files.
    pub files: Vec<HfFile>,
    /// Parts that an interrupted export had finished.
    #[serde(skip)]
    pub reused: u64,
}

/// Writes the kept samples of a finished run. Memory holds one shard's columns and one group of pictures.
///
/// # Errors
/// The run is not finished or knows no pictures; the folder holds something else; tars or tables of the input are gone or damaged.
pub fn hf_parquet(
    view: &RunView,
    options: &HfOptions,
    limits: Limits,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<HfExport> {
    finished(&view.run, &view.dataset)?;
    let rows = RunRows::open(&view.run, &view.dataset, &[])?;
    let schema = features::schema(rows.schema())?;
    let mut context = view.context(limits, progress, cancel);
    let pixels = match &options.images {
        Some(images) => {
            context.images = Some(images);
            Some(Pixels::Tars)
        }
        None => Pixels::of(&view.dataset, context.images),
    };
    let pixels = pixels.ok_or_else(|| {
        Error::usage(format!("{} knows no pictures", view.run.path().display()))
            .with_hint("name the tars that have them with --images")
    })?;
    let plan = plan(view, options, &schema)?;
    if state::is_cleaned(&options.out, &plan)?
        && let Some(export) = read_summary(&options.out)
    {
        return Ok(export);
    }
    let mut state = State::open(&options.out, &plan)?;
    let (reused, kept) = (state.done.len() as u64, kept(view)?);
    if !state.is_naming {
        let pictures = Pictures::open(&context, pixels, options.images.is_none(), state.folder())?;
        progress.begin("export", kept, "rows");
        let passed = state.done.iter().map(|done| done.rows + done.missing.values().sum::<u64>()).sum();
        progress.advance(passed);
        Work { view, rows: &rows, pictures: &pictures, schema: &schema, options, progress, cancel }
            .write_all(&mut state)?;
        progress.end();
    }
    let mut export = HfExport {
        made_by: MADE_BY.into(),
        version: 1,
        kept: 0,
        rows: 0,
        missing: BTreeMap::new(),
        columns: schema.fields().iter().map(|field| field.name().clone()).collect(),
        files: state.name()?,
        reused,
    };
    for done in &state.done {
        export.rows += done.rows;
        done.missing.iter().for_each(|(code, rows)| *export.missing.entry(code.clone()).or_default() += rows);
    }
    export.kept = export.rows + export.missing.values().sum::<u64>();
    if export.kept != kept {
        return Err(Error::bug(format!("{kept} rows were kept and {} came by", export.kept)));
    }
    state.finish(&export)?;
    Ok(export)
}

/// Rows that the selection keeps.
fn kept(view: &RunView) -> Result<u64> {
    view.dataset.shards().iter().try_fold(0, |sum, shard| {
        Ok(sum + view.kept(shard.index)?.iter().filter(|&&keep| keep).count() as u64)
    })
}

/// Stands for all that decides the bytes: the run, what a person decided on it, the columns, the pictures, the size of files.
fn plan(view: &RunView, options: &HfOptions, schema: &SchemaRef) -> Result<String> {
    let manifest = serde_json::to_vec(&view.run.manifest).map_err(|error| Error::bug(error.to_string()))?;
    let decisions = std::fs::read(view.run.path().join(cribble_pipeline::DECISIONS_FILE)).unwrap_or_default();
    let asked = format!("{schema:?} {:?} {}", options.images, options.shard_bytes);
    let mut hash = blake3::Hasher::new();
    for part in [&manifest[..], &decisions, asked.as_bytes()] {
        hash.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    Ok(hash.finalize().to_hex()[..32].to_owned())
}

/// What all parts need.
struct Work<'a> {
    view: &'a RunView,
    rows: &'a RunRows<'a>,
    pictures: &'a Pictures<'a>,
    schema: &'a SchemaRef,
    options: &'a HfOptions,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

/// The part that is being written.
#[derive(Default)]
struct Open {
    part: Option<Part>,
    missing: String,
    counts: BTreeMap<String, u64>,
}

impl Work<'_> {
    /// Writes the parts that are not done.
    fn write_all(&self, state: &mut State) -> Result<()> {
        let start = state.done.last().map_or_else(Position::default, |done| done.next);
        let shards = self.view.dataset.shards();
        let mut open = Open::default();
        for shard in shards.iter().filter(|shard| shard.index >= start.shard) {
            let from = if shard.index == start.shard { start.row } else { 0 };
            self.write_shard(shard.index, from as usize, state, &mut open)?;
        }
        let end = Position { shard: shards.len() as u32, row: 0 };
        if open.part.is_none() && state.done.iter().all(|done| done.rows == 0) {
            // Not a single row: the first part is a file all the same.
            open.part = Some(Part::create(&state.part(0), self.schema.clone())?);
        }
        if open.part.is_some() || !open.counts.is_empty() {
            self.close(state, open, end)?;
        }
        Ok(())
    }

    fn write_shard(&self, shard: u32, from: usize, state: &mut State, open: &mut Open) -> Result<()> {
        let read = self.rows.read(shard)?;
        let wanted: Vec<bool> =
            read.selection.iter().enumerate().map(|(row, one)| row >= from && one.keep).collect();
        let name = &self.view.dataset.shards()[shard as usize].name;
        let most = GROUP_BYTES.min(self.options.shard_bytes);
        let mut places = self.pictures.of_shard(shard)?;
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(images) = places.next(&read.uids, &wanted)? {
            self.cancel.check()?;
            for (row, image) in images {
                match image {
                    RowImage::At(place) => {
                        bytes += place.length().unwrap_or(UNKNOWN_BYTES);
                        group.push((row, place));
                    }
                    RowImage::Missing(why) => {
                        open.miss(read.uids[row], name, row, &Fault::new("no_image", why));
                        self.progress.advance(1);
                    }
                }
                let is_long = open.missing.len() >= MISSING_CHARS;
                if bytes >= most || group.len() == GROUP_ROWS || is_long {
                    let next = Position { shard, row: row as u64 + 1 };
                    self.write_group(&read, name, &group, next, state, open)?;
                    (group, bytes) = (Vec::new(), 0);
                    if open.missing.len() >= MISSING_CHARS {
                        self.close(state, std::mem::take(open), next)?;
                    }
                }
            }
        }
        if group.is_empty() {
            return Ok(());
        }
        self.write_group(&read, name, &group, Position { shard: shard + 1, row: 0 }, state, open)
    }

    /// Reads the pictures of a group and writes its rows; closes the part when it is large enough.
    fn write_group(
        &self,
        read: &ShardRows,
        shard: &str,
        group: &[(usize, ImagePlace)],
        next: Position,
        state: &mut State,
        open: &mut Open,
    ) -> Result<()> {
        let mut rows = Vec::with_capacity(group.len());
        let mut pictures = Vec::with_capacity(group.len());
        for ((row, _), bytes) in group.iter().zip(self.pictures.read(group)?) {
            match bytes {
                Ok(bytes) => {
                    rows.push(*row);
                    pictures.push(bytes);
                }
                Err(fault) => open.miss(read.uids[*row], shard, *row, &fault),
            }
        }
        if !rows.is_empty() {
            let batch = batch(self.schema, read, &rows, &pictures)?;
            drop(pictures);
            let part = match &mut open.part {
                Some(part) => part,
                none => none.insert(Part::create(&state.part(state.done.len() as u64), self.schema.clone())?),
            };
            if part.write(&batch)? >= self.options.shard_bytes {
                self.close(state, std::mem::take(open), next)?;
            }
        }
        self.progress.advance(group.len() as u64);
        Ok(())
    }

    fn close(&self, state: &mut State, open: Open, next: Position) -> Result<()> {
        let (rows, bytes) = open.part.map_or(Ok((0, 0)), Part::finish)?;
        state.mark(Done { next, rows, bytes, missing: open.counts }, &open.missing)
    }
}

impl Open {
    /// Lists a row without a picture.
    fn miss(&mut self, uid: Uid, shard: &str, row: usize, fault: &Fault) {
        *self.counts.entry(fault.code.to_owned()).or_default() += 1;
        // Writing to a text cannot fail.
        let _ = writeln!(
            self.missing,
            "{uid},{},{row},{},{}",
            csv_field(shard),
            fault.code,
            csv_field(&fault.message)
        );
    }
}

/// The rows of a group as one batch.
fn batch(schema: &SchemaRef, read: &ShardRows, rows: &[usize], pictures: &[Vec<u8>]) -> Result<RecordBatch> {
    let wrong = |error: arrow::error::ArrowError| Error::input(format!("a row of the run: {error}"));
    let uids: Vec<String> = rows.iter().map(|&row| read.uids[row].to_string()).collect();
    let paths = uids.iter().zip(pictures).map(|(uid, bytes)| format!("{uid}.{}", extension(bytes)));
    let image: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from_iter_values(pictures)),
        Arc::new(StringArray::from_iter_values(paths)),
    ];
    let image = StructArray::try_new(features::image_fields(), image, None).map_err(wrong)?;
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(&uids)), Arc::new(image)];
    let at = rows.iter().map(|&row| row as u32).collect::<UInt32Array>();
    for (column, field) in read.columns.columns().iter().zip(&schema.fields()[2..]) {
        let column = take(column, &at, None).map_err(wrong)?;
        columns.push(if column.data_type() == field.data_type() {
            column
        } else if matches!(field.data_type(), DataType::Utf8)
            && !matches!(column.data_type(), DataType::Utf8View | DataType::LargeUtf8)
        {
            let text = |row| (!column.is_null(row)).then(|| values::text(&column, row)).transpose();
            Arc::new((0..column.len()).map(text).collect::<Result<StringArray>>()?)
        } else {
            cast(&column, field.data_type()).map_err(wrong)?
        });
    }
    RecordBatch::try_new(schema.clone(), columns).map_err(wrong)
}

/// The summary of an export that is whole; `None` where the folder has none of ours.
pub fn read_summary(folder: &Path) -> Option<HfExport> {
    let text = std::fs::read(folder.join(SUMMARY_FILE)).ok()?;
    serde_json::from_slice::<HfExport>(&text).ok().filter(|summary| summary.made_by == MADE_BY)
}
