//! Exports of a run for other people's tools: its rows as one table, the cluster list of luvdatacomp, and the sorted cluster folder of SemDeDup.
mod cluster_labels;
mod rows;
mod sorted_clusters;

pub use cluster_labels::cluster_labels;
pub use rows::{RowFormat, rows};
pub use sorted_clusters::{ClusterExport, sorted_clusters};

use std::path::PathBuf;

use arrow::{array::ArrayRef, compute::concat};
use cribble_core::{Error, Result, Uid};
use cribble_io::{CAPTION_NAMES, is_text, source::Dataset};
use cribble_pipeline::{RunFolder, Selection, read_selection};
use serde::Serialize;

/// One file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileExport {
    /// The file.
    pub file: PathBuf,
    /// Its columns.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: u64,
}

/// The column of the input with the captions.
fn caption_column(dataset: &Dataset) -> Option<&'static str> {
    let holds_text =
        |name: &&str| dataset.schema().field_with_name(name).is_ok_and(|field| is_text(field.data_type()));
    CAPTION_NAMES.into_iter().find(holds_text)
}

/// Columns of the input over all rows of a shard.
fn input_columns(dataset: &Dataset, shard: u32, names: &[&str]) -> Result<Vec<ArrayRef>> {
    let batches = dataset.read_columns(shard, names, 65_536)?.collect::<cribble_io::Result<Vec<_>>>()?;
    let schema = dataset.schema();
    let column = |(at, name): (usize, &&str)| {
        let parts: Vec<_> = batches.iter().map(|batch| batch.column(at).as_ref()).collect();
        let fail = |error: arrow::error::ArrowError| Error::bug(format!("{name}: {error}"));
        if parts.is_empty() {
            return Ok(arrow::array::new_empty_array(
                schema.field_with_name(name).map_err(fail)?.data_type(),
            ));
        }
        concat(&parts).map_err(fail)
    };
    names.iter().enumerate().map(column).collect()
}

/// Only a finished run says which rows are kept.
fn finished(run: &RunFolder) -> Result<()> {
    if run.manifest.finished {
        return Ok(());
    }
    Err(Error::input(format!("{} is not finished", run.path().display()))
        .with_hint("run its recipe again with the same --out: what is done is kept"))
}

/// What became of the rows of a shard, after a look whether they still are the input's.
fn selection(run: &RunFolder, shard: &str, uids: &[Uid]) -> Result<Vec<Selection>> {
    let selection = read_selection(run.path(), shard)?;
    if !selection.iter().map(|row| row.uid).eq(uids.iter().copied()) {
        return Err(Error::input(format!("shard {shard} has other samples than the run"))
            .with_hint("the input changed since the run: run again with the same --out"));
    }
    Ok(selection)
}
