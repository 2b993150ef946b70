//! The folder that `clip-retrieval inference` writes and autofaiss, `clip-retrieval index` and embedding-reader read: `img_emb/img_emb_{i}.npy`,
//! `text_emb/text_emb_{i}.npy`, `metadata/metadata_{i}.parquet`; row j of each file with number i is the same sample.
use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray},
    compute::{cast, filter_record_batch},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use cribble_core::{Error, Result, StepOptions, Uid};
use cribble_io::{
    StagedFolder, TableWriter, is_text,
    npy::{ElementType, NpyWriter},
    uid_texts,
};
use cribble_math::RowState;
use cribble_pipeline::{
    Half, RunEmbedding, RunView, StepContext,
    vectors::{Tile, for_tiles},
};
use half::f16;
use serde::Serialize;

use crate::{RunRows, ShardRows, run_rows::caption_column, values};

/// Rows of a partition, as clip-retrieval's `--write_batch_size` has them.
const PARTITION_ROWS: u64 = 1_000_000;
/// Names of a sample, the first that it has: what clip-retrieval called it before, its key in the tars, its address.
const PATHS: [&str; 3] = ["image_path", "key", "url"];

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct ClipExport {
    /// The folder.
    pub folder: PathBuf,
    /// Numbered files of each kind.
    pub partitions: u64,
    /// Rows in all of them.
    pub rows: u64,
    /// The arrays.
    pub arrays: Vec<ClipArray>,
    /// Columns of the metadata.
    pub columns: Vec<String>,
}

/// One of the two arrays.
#[derive(Debug, Clone, Serialize)]
pub struct ClipArray {
    /// `img_emb` or `text_emb`.
    pub name: &'static str,
    /// The embedding of the run.
    pub embedding: String,
    /// Numbers in a row.
    pub dim: usize,
    /// Rows of zeros: their samples have no vector there.
    pub without: u64,
}

/// Writes the kept samples (with `all` every sample), in the order of the input, and their vectors: those of `embedding`, else of the run's usual one, and those of
/// the same samples' other half where the run has them. Vectors are f16 of unit length; rows without a vector are zeros, because row j must stay row
/// j. Memory is bounded by a shard. The folder appears when it is whole.
///
/// # Errors
/// The run is not finished, has no such embedding, or files of it are missing; `out` is not empty.
pub fn clip_retrieval(
    view: &RunView,
    context: &StepContext<'_>,
    out: &Path,
    embedding: Option<&str>,
    all: bool,
) -> Result<ClipExport> {
    write(view, context, out, embedding, all, PARTITION_ROWS)
}

pub(super) fn write(
    view: &RunView,
    context: &StepContext<'_>,
    out: &Path,
    embedding: Option<&str>,
    all: bool,
    partition_rows: u64,
) -> Result<ClipExport> {
    let arrays = arrays(view, embedding)?;
    let table = Metadata::open(view, &arrays)?;
    let mut rows = 0;
    for shard in 0..context.shards() {
        rows += if all {
            context.rows(shard) as u64
        } else {
            view.kept(shard)?.into_iter().filter(|kept| *kept).count() as u64
        };
    }
    let staged = StagedFolder::create(out)?;
    let parts =
        Parts { folder: staged.path(), rows: partition_rows, count: rows.div_ceil(partition_rows).max(1) };
    let mut metadata = Numbered::new(&parts, "metadata", "parquet", |path| {
        Ok(TableWriter::create(path, table.schema.clone())?)
    })?;
    let mut files = Vec::new();
    for array in &arrays {
        let dim = Some(array.embedding.embedding.info.dim as u64);
        let create = move |path| Ok(NpyWriter::create(path, ElementType::F16, dim)?);
        files.push((Numbered::new(&parts, array.name, "npy", create)?, 0));
    }
    context.progress.begin("export", u64::from(context.shards()), "shards");
    for shard in 0..context.shards() {
        context.cancel.check()?;
        let (wanted, batch) = table.read(shard, all)?;
        metadata
            .append(batch.num_rows(), |table, rows| Ok(table.write(&batch.slice(rows.start, rows.len()))?))?;
        for (array, (files, without)) in arrays.iter().zip(&mut files) {
            append_vectors(context, &array.embedding, shard, &wanted, files, without)?;
        }
        context.progress.advance(1);
    }
    context.progress.end();
    metadata.close()?;
    let mut written = Vec::new();
    for (array, (files, without)) in arrays.iter().zip(files) {
        files.close()?;
        let info = &array.embedding.embedding.info;
        written.push(ClipArray { name: array.name, embedding: info.name.clone(), dim: info.dim, without });
    }
    let partitions = parts.count;
    staged.commit()?;
    let columns = table.schema.fields().iter().map(|field| field.name().clone()).collect();
    Ok(ClipExport { folder: out.into(), partitions, rows, arrays: written, columns })
}

/// An array that is written.
struct Wanted {
    name: &'static str,
    half: Half,
    embedding: RunEmbedding,
}

/// The embedding and its other half, images first.
fn arrays(view: &RunView, name: Option<&str>) -> Result<Vec<Wanted>> {
    let chosen = view.choose_embedding(name)?;
    let partner = view.partner(&chosen);
    let wanted = |embedding: RunEmbedding, half| Wanted {
        name: if half == Half::Images { "img_emb" } else { "text_emb" },
        half,
        embedding,
    };
    let half = view.half(&chosen);
    let other = if half == Half::Images { Half::Texts } else { Half::Images };
    let mut arrays = vec![wanted(chosen, half)];
    arrays.extend(partner.map(|partner| wanted(partner, other)));
    arrays.sort_by_key(|array| array.half == Half::Texts);
    Ok(arrays)
}

/// Rows of a shard as half floats of unit length, in order.
fn append_vectors(
    context: &StepContext<'_>,
    embedding: &RunEmbedding,
    shard: u32,
    wanted: &[bool],
    files: &mut Numbered<'_, NpyWriter>,
    without: &mut u64,
) -> Result<()> {
    let dim = embedding.embedding.info.dim;
    let work = |_: &mut (), tile: &Tile<'_>| {
        let none = tile.states.iter().filter(|state| **state != RowState::Unit).count() as u64;
        (tile.values.iter().map(|&value| f16::from_f32(value)).collect::<Vec<_>>(), none)
    };
    for_tiles(context, &embedding.embedding, shard, wanted, work, |rows, (values, none)| {
        *without += none;
        files.append(rows.len(), |file, rows| Ok(file.write(&values[rows.start * dim..rows.end * dim])?))
    })
}

/// The metadata: `image_path`, `caption` where there are captions, `uid`, and what else a run's rows have.
struct Metadata<'a> {
    rows: RunRows<'a>,
    caption: Option<String>,
    schema: SchemaRef,
    /// The columns of [`RunRows`] after the first three.
    rest: Vec<usize>,
}

impl<'a> Metadata<'a> {
    fn open(view: &'a RunView, arrays: &[Wanted]) -> Result<Self> {
        let own = view.dataset.schema();
        // The captions that `text_emb` was made of.
        let encoded = arrays.iter().filter(|array| array.half == Half::Texts).find_map(|array| {
            match &view.recipe.steps[array.embedding.step?].options {
                StepOptions::Embed(embed) => Some(embed.text.clone()).filter(|column| !column.is_empty()),
                _ => None,
            }
        });
        let caption = encoded.or_else(|| caption_column(&view.dataset).map(Into::into));
        let has_path = own.field_with_name(PATHS[0]).is_ok_and(|field| is_text(field.data_type()));
        let more: Vec<String> =
            caption.iter().cloned().chain(has_path.then(|| PATHS[0].to_owned())).collect();
        let rows = RunRows::open(&view.run, &view.dataset, &more)?;
        let mut fields = vec![Field::new("image_path", DataType::Utf8, false)];
        fields.extend(caption.is_some().then(|| Field::new("caption", DataType::Utf8, true)));
        fields.push(Field::new("uid", DataType::Utf8, false));
        let is_taken =
            |name: &str| caption.as_deref() == Some(name) || fields.iter().any(|own| own.name() == name);
        let rest: Vec<usize> = (0..rows.schema().fields().len())
            .filter(|&at| !is_taken(rows.schema().field(at).name()))
            .collect();
        fields.extend(rest.iter().map(|&at| rows.schema().field(at).clone()));
        Ok(Self { rows, caption, schema: Arc::new(Schema::new(fields)), rest })
    }

    /// Which rows of a shard are wanted, and they.
    fn read(&self, shard: u32, all: bool) -> Result<(Vec<bool>, RecordBatch)> {
        let ShardRows { uids, selection, columns } = self.rows.read(shard)?;
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(paths(&uids, &columns)?)];
        if let Some(caption) = &self.caption {
            let column = columns
                .column_by_name(caption)
                .ok_or_else(|| Error::bug(format!("the column {caption} was not read")))?;
            let text = cast(column, &DataType::Utf8)
                .map_err(|error| Error::input(format!("the column {caption} is no text: {error}")))?;
            arrays.push(text);
        }
        arrays.push(uid_texts(uids.iter().copied()));
        arrays.extend(self.rest.iter().map(|&at| columns.column(at).clone()));
        let wrong = |error| Error::input(format!("shard {shard}: {error}"));
        let batch = RecordBatch::try_new(self.schema.clone(), arrays).map_err(wrong)?;
        let wanted: Vec<bool> = selection.iter().map(|row| all || row.keep).collect();
        let batch = filter_record_batch(&batch, &BooleanArray::from(wanted.clone())).map_err(wrong)?;
        Ok((wanted, batch))
    }
}

/// What each sample is called: the first of [`PATHS`] that has a value, else its uid.
fn paths(uids: &[Uid], columns: &RecordBatch) -> Result<StringArray> {
    let named: Vec<&ArrayRef> = PATHS.iter().filter_map(|name| columns.column_by_name(name)).collect();
    let path = |(row, uid): (usize, &Uid)| match named.iter().find(|column| column.is_valid(row)) {
        Some(column) => values::text(column, row),
        None => Ok(uid.to_string()),
    };
    Ok(StringArray::from_iter_values(uids.iter().enumerate().map(path).collect::<Result<Vec<_>>>()?))
}

/// How the rows are shared out among numbered files.
struct Parts<'a> {
    folder: &'a Path,
    /// Rows of a file.
    rows: u64,
    /// Number of files of a kind.
    count: u64,
}

impl Parts<'_> {
    /// Numbers have as many digits as clip-retrieval gives them: those of the count of parts.
    fn path(&self, name: &str, extension: &str, number: u64) -> PathBuf {
        let digits = self.count.max(1).ilog10() as usize + 1;
        self.folder.join(name).join(format!("{name}_{number:0digits$}.{extension}"))
    }
}

/// A file of a part.
trait PartFile {
    fn close(self) -> Result<()>;
}

impl PartFile for TableWriter {
    fn close(self) -> Result<()> {
        Ok(self.finish().map(drop)?)
    }
}

impl PartFile for NpyWriter {
    fn close(self) -> Result<()> {
        Ok(self.finish().map(drop)?)
    }
}

/// The numbered files of one kind, written one after another.
struct Numbered<'a, F> {
    parts: &'a Parts<'a>,
    name: &'a str,
    extension: &'a str,
    create: Box<dyn Fn(PathBuf) -> Result<F> + 'a>,
    /// The file that grows, its number and its rows.
    open: F,
    number: u64,
    rows: u64,
}

impl<'a, F: PartFile> Numbered<'a, F> {
    fn new(
        parts: &'a Parts<'a>,
        name: &'a str,
        extension: &'a str,
        create: impl Fn(PathBuf) -> Result<F> + 'a,
    ) -> Result<Self> {
        let open = create(parts.path(name, extension, 0))?;
        Ok(Self { parts, name, extension, create: Box::new(create), open, number: 0, rows: 0 })
    }

    /// Appends rows: `write` is told which of them go to a file.
    fn append(&mut self, count: usize, write: impl Fn(&mut F, Range<usize>) -> Result<()>) -> Result<()> {
        let mut start = 0;
        while start < count {
            if self.rows == self.parts.rows {
                self.number += 1;
                let next = (self.create)(self.parts.path(self.name, self.extension, self.number))?;
                std::mem::replace(&mut self.open, next).close()?;
                self.rows = 0;
            }
            let room = usize::try_from(self.parts.rows - self.rows).unwrap_or(usize::MAX);
            let end = count.min(start.saturating_add(room));
            write(&mut self.open, start..end)?;
            self.rows += (end - start) as u64;
            start = end;
        }
        Ok(())
    }
    /// Finishes the last file.
    fn close(self) -> Result<()> {
        self.open.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cribble_io::{SourceFile, npy::NpyFile};

    #[test]
    fn rows_are_shared_out_in_order_whatever_the_pieces() {
        for (total, names) in [
            (0, vec!["x_0.npy"]),
            (4, vec!["x_0.npy"]),
            (10, vec!["x_0.npy", "x_1.npy", "x_2.npy"]),
            (36, vec!["x_0.npy", "x_8.npy"]),
            (37, vec!["x_00.npy", "x_09.npy"]),
        ] {
            for piece in [1, 3, 9, 100] {
                let dir = tempfile::tempdir().unwrap();
                let parts = Parts { folder: dir.path(), rows: 4, count: (total as u64).div_ceil(4).max(1) };
                let create = |path| Ok(NpyWriter::create(path, ElementType::F32, Some(1))?);
                let mut files = Numbered::new(&parts, "x", "npy", create).unwrap();
                let values: Vec<f32> = (0..total).map(|row| row as f32).collect();
                for piece in values.chunks(piece) {
                    files.append(piece.len(), |file, rows| Ok(file.write(&piece[rows])?)).unwrap();
                }
                files.close().unwrap();
                let mut found: Vec<PathBuf> = std::fs::read_dir(dir.path().join("x"))
                    .unwrap()
                    .map(|file| file.unwrap().path())
                    .collect();
                found.sort();
                assert_eq!(found.len() as u64, parts.count);
                for name in &names {
                    assert!(found.iter().any(|path| path.ends_with(name)), "{name} of {found:?}");
                }
                let read = |path: &PathBuf| {
                    let file = NpyFile::open(SourceFile::open_local(path).unwrap()).unwrap();
                    assert!(file.rows() == 4 || Some(path) == found.last());
                    file.read_all::<f32>().unwrap()
                };
                assert_eq!(found.iter().flat_map(read).collect::<Vec<f32>>(), values);
            }
        }
    }
}
