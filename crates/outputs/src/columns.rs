//! Columns of a finished run's steps, found by name. Nothing here knows what a step is: its tables say which columns it made, and of a name
//! that several steps made the last one counts, as everywhere in a run.
use std::path::{Path, PathBuf};

use arrow::{array::ArrayRef, datatypes::Field};
use cribble_core::{Error, Result, Uid};
use cribble_pipeline::{RunFolder, StepState, TableReader, TableSchema};

/// A column of a step's tables.
#[derive(Debug, Clone)]
pub(crate) struct StepColumn {
    /// The step's folder.
    pub folder: PathBuf,
    /// Name and type.
    pub field: Field,
}

impl StepColumn {
    /// The rows of a shard, proven to be those of `uids`.
    pub fn read(&self, shard: &str, uids: &[Uid]) -> Result<ArrayRef> {
        TableReader::column(&table(&self.folder, shard), uids, self.field.name())
    }
}

/// The table of a shard in a step's folder.
pub(crate) fn table(folder: &Path, shard: &str) -> PathBuf {
    folder.join(format!("{shard}.parquet"))
}

/// The shards of a finished run, in order: every one has a selection.
pub(crate) fn shard_names(run: &RunFolder) -> Result<Vec<String>> {
    let folder = run.path().join("selection");
    let unfinished = || {
        Error::input(format!("{} has no selection: the run is not finished", run.path().display()))
            .with_hint("run its recipe again with the same --out: what is done is kept")
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|_| unfinished())? {
        let path = entry.map_err(|error| Error::input(format!("{}: {error}", folder.display())))?.path();
        let is_table = path.extension().is_some_and(|extension| extension == "parquet");
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if is_table && !name.starts_with(cribble_io::TEMP_PREFIX) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The columns of complete steps that are wanted, in the order of the steps and of their tables. `shard` is any one: all have the same columns.
pub(crate) fn step_columns(
    run: &RunFolder,
    shard: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<StepColumn>> {
    let mut columns: Vec<StepColumn> = Vec::new();
    for (index, step) in run.manifest.steps.iter().enumerate() {
        let folder = run.step_folder(index);
        if step.state != StepState::Complete {
            continue;
        }
        for field in TableSchema::read(&table(&folder, shard))?.0.fields() {
            if wanted(field.name()) {
                columns.retain(|known| known.field.name() != field.name());
                columns.push(StepColumn { folder: folder.clone(), field: field.as_ref().clone() });
            }
        }
    }
    Ok(columns)
}
