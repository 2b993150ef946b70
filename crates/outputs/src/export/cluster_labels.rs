//! `cluster_labels.csv` as luvdatacomp's cluster.py writes it: `uid,data_points,cluster_label`, where `data_points` is the caption.
use std::{io::Write, path::Path};

use arrow::array::Array;
use cribble_core::{Cancel, Error, Progress, Result};
use cribble_io::{AtomicFile, CAPTION_NAMES, IoError, csv_field, source::Dataset};
use cribble_pipeline::{RunFolder, StepState};

use super::FileExport;
use crate::run_rows::{caption_column, finished, input_columns, selection};
use crate::{
    columns::{StepColumn, step_columns},
    values,
};

const COLUMNS: [&str; 3] = ["uid", "data_points", "cluster_label"];

/// Writes the kept samples (with `all` every sample) that the last cluster step put into a cluster, in the order of the input. A missing
/// caption is an empty field. The file appears when it is whole.
pub fn cluster_labels(
    run: &RunFolder,
    dataset: &Dataset,
    out: &Path,
    all: bool,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<FileExport> {
    finished(run, dataset)?;
    let labels = find(run, dataset)?;
    let caption = caption_column(dataset).ok_or_else(|| {
        Error::usage(format!("{} has no column with captions", dataset.path().display()))
            .with_hint(format!("one of {} is expected", CAPTION_NAMES.join(", ")))
    })?;
    let mut file = AtomicFile::create(out)?;
    let fail = |error| IoError::write(out, "write", None, error);
    writeln!(file, "{}", COLUMNS.join(",")).map_err(fail)?;
    let mut rows = 0;
    progress.begin("export", dataset.shards().len() as u64, "shards");
    for shard in dataset.shards() {
        cancel.check()?;
        let uids = dataset.uids(shard.index)?;
        let label = labels.read(&shard.name, &uids)?;
        let selection = selection(run, &shard.name, &uids)?;
        let captions = input_columns(dataset, shard.index, &[caption])?;
        for (row, selected) in selection.iter().enumerate() {
            if label.is_valid(row) && (all || selected.keep) {
                let caption = values::text(&captions[0], row)?;
                let (caption, label) = (csv_field(&caption), values::text(&label, row)?);
                writeln!(file, "{},{caption},{label}", selected.uid).map_err(fail)?;
                rows += 1;
            }
        }
        progress.advance(1);
    }
    progress.end();
    file.commit()?;
    Ok(FileExport { file: out.into(), columns: COLUMNS.map(str::to_owned).into(), rows })
}

/// The column `cluster` of the last cluster step; prune steps write one of the same name.
fn find(run: &RunFolder, dataset: &Dataset) -> Result<StepColumn> {
    let missing = || {
        Error::usage(format!("{} has no complete cluster step", run.path().display()))
            .with_hint("put a step with kind = \"cluster\" into the recipe")
    };
    let steps = run.manifest.steps.iter().enumerate().rev();
    let (index, _) = steps
        .into_iter()
        .find(|(_, step)| step.kind == "cluster" && step.state == StepState::Complete)
        .ok_or_else(missing)?;
    let folder = run.step_folder(index);
    let shard = dataset.shards().first().ok_or_else(missing)?;
    let columns = step_columns(run, &shard.name, |name| name == "cluster")?;
    let field = columns.into_iter().next().ok_or_else(missing)?.field;
    Ok(StepColumn { folder, field })
}
