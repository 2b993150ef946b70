//! Samples that could not be judged: one row each in `errors.parquet`, so that nothing is lost without a line that says so.
use std::{path::Path, sync::Arc};

use arrow::{
    array::{RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema},
};
use cribble_core::{Result, Uid};
use cribble_io::tables::TableWriter;

use crate::table::read_batches;

/// One sample that could not be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorRow {
    /// The sample.
    pub uid: Uid,
    /// Name of its shard.
    pub shard: String,
    /// Its row in the shard, from 0.
    pub row: u64,
    /// Folder of the step that failed on it.
    pub step: String,
    /// A short code, the key of the counts: `zero_vector`, `not_finite`.
    pub code: String,
    /// A sentence for a person.
    pub message: String,
}

fn schema() -> Arc<Schema> {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![
        text("uid"),
        text("shard"),
        Field::new("row", DataType::UInt64, false),
        text("step"),
        text("code"),
        text("message"),
    ]))
}

fn batch(rows: &[ErrorRow]) -> Result<RecordBatch> {
    let column =
        |f: &dyn Fn(&ErrorRow) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(f)));
    RecordBatch::try_new(
        schema(),
        vec![
            column(&|r| r.uid.to_string()),
            column(&|r| r.shard.clone()),
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(|r| r.row))),
            column(&|r| r.step.clone()),
            column(&|r| r.code.clone()),
            column(&|r| r.message.clone()),
        ],
    )
    .map_err(|error| cribble_core::Error::bug(error.to_string()))
}

/// Writes the error rows of one task.
pub(crate) fn write_errors(path: &Path, rows: &[ErrorRow]) -> Result<()> {
    let mut file = TableWriter::create(path, schema())?;
    file.write(&batch(rows)?)?;
    file.finish()?;
    Ok(())
}

/// Puts several error files into one, in the order given; missing files are empty ones. Streams, so that a run with a billion errors ends too.
pub(crate) fn concatenate(target: &Path, sources: &[std::path::PathBuf]) -> Result<u64> {
    let mut file = TableWriter::create(target, schema())?;
    let mut count = 0;
    for source in sources.iter().filter(|source| source.exists()) {
        for batch in read_batches(source, None, 65_536)? {
            let batch = batch?;
            count += batch.num_rows() as u64;
            file.write(&batch)?;
        }
    }
    file.finish()?;
    Ok(count)
}
