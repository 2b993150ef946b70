//! Questions without an answer: a list on disk that a person can read, and the error that ends a run with exit code 3.
use std::path::PathBuf;

use cribble_chat::{Stop, Summary};
use cribble_core::{Error, ErrorKind, Result};
use cribble_pipeline::StepContext;

/// What has no answer, and why.
#[derive(Debug, Default)]
pub struct MissingList(Vec<(String, String)>);

impl MissingList {
    /// Notes a cluster or a sample.
    pub fn push(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.0.push((what.into(), why.into()));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes `missing.csv` (or, for a shard, `missing-SHARD.csv`) into the step's folder; an empty list removes the one of an earlier try.
    pub fn write(&self, context: &StepContext<'_>, shard: Option<u32>, what: &str) -> Result<PathBuf> {
        let name = shard.map_or_else(
            || "missing.csv".into(),
            |shard| format!("missing-{}.csv", context.shard_name(shard)),
        );
        let path = context.folder.join(name);
        if self.0.is_empty() {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::input(format!("{}: {error}", path.display())))
                }
                _ => Ok(path),
            };
        }
        let mut text = format!("{what},why\n");
        for (what, why) in &self.0 {
            text += &format!("{what},\"{}\"\n", why.replace('"', "\"\""));
        }
        cribble_io::write_file(&path, text.as_bytes())?;
        Ok(path)
    }
}

/// The error for answers that the recipe will not do without. `path` is the list.
pub fn fail_on_missing(
    missing: &MissingList,
    what: &str,
    path: &std::path::Path,
    summary: &Summary,
) -> Error {
    let first =
        missing.0.first().map(|(what, why)| format!("; the first, {what}: {why}")).unwrap_or_default();
    let stop = match &summary.stop {
        Some(Stop::CostCeiling { ceiling, .. }) => format!(" (the cost ceiling of {ceiling} is reached)"),
        Some(Stop::GivenUp { in_row, .. }) => format!(" (stopped after {in_row} failures in a row)"),
        _ => String::new(),
    };
    let message = format!("{} {what} have no answer{stop}, see {}{first}", missing.len(), path.display());
    Error::new(ErrorKind::Incomplete, message).with_hint(
        "what was answered is kept: the same command asks only for the rest; missing = \"keep\" or \"drop\" goes on without",
    )
}
