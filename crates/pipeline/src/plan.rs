//! What a run would do, before it does it: the value behind `--dry-run`.
use serde::Serialize;

/// A whole run, planned.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// What would be read, in words.
    pub input: String,
    /// Rows of the input.
    pub rows: u64,
    /// The run folder.
    pub out: String,
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// What would be written at the end.
    pub outputs: Vec<String>,
}

/// One step, planned.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedStep {
    /// Folder below `steps/`.
    pub folder: String,
    /// `skip` when it is complete under the same hash, else `run`.
    pub action: &'static str,
    /// Phases and what their tasks work on.
    pub phases: Vec<String>,
    /// Sentences: what it will read, what it will hold in memory, what it will write for a while.
    pub notes: Vec<String>,
}
