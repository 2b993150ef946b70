//! The rows of a run as one table: what the input calls a sample, and what the steps found out about it. One shard is in memory at a time.
use std::{io::Write, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, StringArray},
    compute::filter_record_batch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use cribble_core::{Cancel, Error, Progress, Result};
use cribble_io::{AtomicFile, IoError, TableWriter, source::Dataset, uid_texts};
use cribble_pipeline::{RunFolder, Selection};
use serde_json::Map;

use super::FileExport;
use crate::{RunRows, ShardRows, values};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// One parquet file.
    Parquet,
    /// One JSON object a line; all have the same members, null where there is no value.
    Jsonl,
}

/// Writes one row for each kept sample, or for every sample with `all`, in the order of the input: `uid`; with `all` also `keep`,
/// `dropped_by` and `reason`; `key`, `url` and the caption of the input, where it has them; and of the steps the columns `caption_…`,
/// `state_…`, `sim_…`, `prob_…`, `verdict…`, `language…`, `cluster`, `cluster_…` and the CLIP scores of `embed` steps. The file appears when it is whole.
pub fn rows(
    run: &RunFolder,
    dataset: &Dataset,
    out: &Path,
    format: RowFormat,
    all: bool,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<FileExport> {
    let rows = RunRows::open(run, dataset, &[])?;
    let mut fields = vec![Field::new("uid", DataType::Utf8, false)];
    if all {
        fields.push(Field::new("keep", DataType::Boolean, false));
        fields.push(Field::new("dropped_by", DataType::Utf8, true));
        fields.push(Field::new("reason", DataType::Utf8, true));
    }
    fields.extend(rows.schema().fields().iter().map(|field| field.as_ref().clone()));
    let schema = Arc::new(Schema::new(fields));

    let mut sink = Sink::create(out, format, schema.clone())?;
    let mut written = 0;
    progress.begin("export", dataset.shards().len() as u64, "shards");
    for shard in dataset.shards() {
        cancel.check()?;
        let ShardRows { uids, selection, columns: own } = rows.read(shard.index)?;
        let mut columns: Vec<ArrayRef> = vec![uid_texts(uids.iter().copied())];
        if all {
            let text = |of: fn(&Selection) -> Option<&str>| -> ArrayRef {
                Arc::new(selection.iter().map(of).collect::<StringArray>())
            };
            columns.push(Arc::new(selection.iter().map(|row| Some(row.keep)).collect::<BooleanArray>()));
            columns.push(text(|row| row.dropped_by.as_deref()));
            columns.push(text(|row| row.reason.as_deref()));
        }
        columns.extend(own.columns().iter().cloned());
        let wrong = |error| Error::input(format!("shard {}: {error}", shard.name));
        let batch = RecordBatch::try_new(schema.clone(), columns).map_err(wrong)?;
        let wanted: BooleanArray = selection.iter().map(|row| Some(all || row.keep)).collect();
        let batch = filter_record_batch(&batch, &wanted).map_err(wrong)?;
        written += batch.num_rows() as u64;
        sink.write(&batch)?;
        progress.advance(1);
    }
    progress.end();
    sink.finish()?;
    let columns = schema.fields().iter().map(|field| field.name().clone()).collect();
    Ok(FileExport { file: out.into(), columns, rows: written })
}

/// The file that is written.
enum Sink {
    Parquet(Box<TableWriter>),
    Jsonl(AtomicFile),
}

impl Sink {
    fn create(out: &Path, format: RowFormat, schema: SchemaRef) -> Result<Self> {
        Ok(match format {
            RowFormat::Parquet => Self::Parquet(Box::new(TableWriter::create(out, schema)?)),
            RowFormat::Jsonl => Self::Jsonl(AtomicFile::create(out)?),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Parquet(table) => Ok(table.write(batch)?),
            Self::Jsonl(file) => {
                let schema = batch.schema();
                for row in 0..batch.num_rows() {
                    let members = schema.fields().iter().zip(batch.columns());
                    let object: Map<_, _> = members
                        .map(|(field, column)| Ok((field.name().clone(), values::json(column, row)?)))
                        .collect::<Result<_>>()?;
                    let mut line =
                        serde_json::to_vec(&object).map_err(|error| Error::bug(error.to_string()))?;
                    line.push(b'\n');
                    file.write_all(&line)
                        .map_err(|error| IoError::write(file.final_path(), "write", None, error))?;
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Parquet(table) => table.finish().map(drop)?,
            Self::Jsonl(file) => file.commit()?,
        }
        Ok(())
    }
}
