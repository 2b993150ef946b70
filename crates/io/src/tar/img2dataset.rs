//! The files that img2dataset writes beside each tar: `{shard}_stats.json` and `{shard}.parquet`. Only what the reconcile table needs is
//! read: which samples could not be downloaded, and why.
use super::hashed_uid;
use crate::{IoError, Location, Result, SourceFile, storage::ParquetSource};
use arrow::{
    array::{Array, AsArray},
    datatypes::DataType,
};
use cribble_core::Uid;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `{shard}_stats.json`. Every field may be missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Rows of the shard's input.
    pub count: Option<u64>,
    /// Samples in the tar.
    pub successes: Option<u64>,
    /// Downloads that failed.
    pub failed_to_download: Option<u64>,
    /// Images that could not be decoded or resized.
    pub failed_to_resize: Option<u64>,
    /// Number of rows by status or error.
    pub status_dict: BTreeMap<String, u64>,
}

/// Reads `_stats.json`.
pub fn read_stats(file: &SourceFile) -> Result<Stats> {
    let length = file.len().min(16 << 20) as usize;
    serde_json::from_slice(&file.read_range(0, length)?).map_err(|e| {
        IoError::malformed(file.path(), "stats", None, "img2dataset's _stats.json", e.to_string())
    })
}

/// The side files of a tar: `(stats, parquet)`, by their names; they may not exist.
pub fn side_files(tar: &Location) -> (Location, Location) {
    let stem = tar.stem();
    (tar.parent().join(&format!("{stem}_stats.json")), tar.parent().join(&format!("{stem}.parquet")))
}

/// One row of the parquet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The column `uid`, else the hash that a json without uid would have got.
    pub uid: Uid,
    /// `None` for status `success`, else the error message, else the status.
    pub failure: Option<String>,
}

/// Calls `each` for every row of `{shard}.parquet` that names its sample. `tar_name` is the shard's name as [`hashed_uid`] takes it. Batches
/// of 8192 rows are in memory at a time. Returns how many rows named no sample.
pub fn read_outcomes(
    file: &SourceFile,
    tar_name: &str,
    mut each: impl FnMut(Outcome) -> Result<()>,
) -> Result<u64> {
    let fail = |source| IoError::Parquet { path: file.path().into(), source };
    let builder = ParquetRecordBatchReaderBuilder::try_new(ParquetSource(file.bytes())).map_err(fail)?;
    let wanted: Vec<&str> = ["uid", "key", "status", "error_message"]
        .into_iter()
        .filter(|name| builder.schema().column_with_name(name).is_some())
        .collect();
    if !wanted.contains(&"status") {
        return Err(IoError::MissingColumn {
            path: file.path().into(),
            name: "status".into(),
            available: builder.schema().fields().iter().map(|field| field.name().clone()).collect(),
        });
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), wanted.iter().copied());
    let reader = builder.with_projection(mask).with_batch_size(8192).build().map_err(fail)?;
    let mut nameless = 0;
    for batch in reader {
        let batch = batch.map_err(|source| IoError::Arrow { path: file.path().into(), source })?;
        let texts = |name: &str| -> Result<Option<arrow::array::ArrayRef>> {
            let Some(column) = batch.column_by_name(name) else { return Ok(None) };
            arrow::compute::cast(column, &DataType::Utf8)
                .map(Some)
                .map_err(|source| IoError::Arrow { path: file.path().into(), source })
        };
        let columns = [texts("uid")?, texts("key")?, texts("status")?, texts("error_message")?];
        let text = |column: usize, row: usize| {
            let array = columns[column].as_ref()?;
            array.is_valid(row).then(|| array.as_string::<i32>().value(row))
        };
        for row in 0..batch.num_rows() {
            let from_column = text(0, row).and_then(|uid| Uid::parse(uid.as_bytes()).ok());
            let Some(uid) = from_column.or_else(|| Some(hashed_uid(tar_name, text(1, row)?.as_bytes())))
            else {
                nameless += 1;
                continue;
            };
            let status = text(2, row).unwrap_or("unknown");
            let failure = (status != "success")
                .then(|| text(3, row).filter(|message| !message.is_empty()).unwrap_or(status).to_owned());
            each(Outcome { uid, failure })?;
        }
    }
    Ok(nameless)
}
