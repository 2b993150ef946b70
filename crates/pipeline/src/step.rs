//! What a step is: a list of phases, each a set of tasks. A task is a pure function from files to files, named by (step, phase, unit); how
//! many run at once, where, and in which order inside a phase is nobody's business but the executor's.
use cribble_core::{Counts, Details, Result, StepReport};
use serde::{Deserialize, Serialize};

use crate::{Provides, StepContext};

/// What one task of a phase works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    /// One task for each shard of the input.
    Shard,
    /// One task for each bucket; how many is known once the phases before are done (`Step::buckets`).
    Bucket,
    /// One task for everything.
    Whole,
}

/// Where the threads go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parallel {
    /// Several tasks at once, each on one thread: reading and deciding row by row.
    Outer,
    /// One task at a time, all threads inside it: arithmetic on large blocks, where a second task would double the memory.
    Inner,
    /// A few tasks at a time, all threads inside each: while one reads or writes, another computes. As many as threads, and as the ceiling
    /// allows by [`Step::task_memory`].
    Overlapped,
}

/// A phase of a step.
#[derive(Debug, Clone, Copy)]
pub struct PhaseSpec {
    /// Name, used in task names and progress.
    pub name: &'static str,
    /// What a task works on.
    pub unit: UnitKind,
    /// Where the threads go.
    pub parallel: Parallel,
}

/// One task's unit: index of the shard or bucket, 0 for the whole.
pub type Unit = u32;

/// What a task reports beside the files it wrote. Tasks of a step add up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskOutput {
    /// Rows judged by this task; only the phase that writes the step's tables counts rows.
    pub counts: Counts,
    /// Sentences for the report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// What the step wants to find again in `finish`.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub data: serde_json::Value,
}

impl TaskOutput {
    /// Adds what another task reports; notes that are already there are not repeated.
    pub fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        for note in &other.notes {
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
    }
}

/// One step with its options resolved.
///
/// Contract: `run` may be called again for a task whose process died; it must write its files atomically and must not depend on
/// anything but the step's options, the input and the files of earlier steps and phases. In particular its files must be the same
/// for any number of threads and any memory limit.
pub trait Step: Send + Sync {
    /// The kind, as recipes write it.
    fn kind(&self) -> &'static str;

    /// Checks against the input and the steps before, without reading rows: columns and arrays exist, dimensions fit. Returns sentences
    /// for the dry run.
    fn check(&self, context: &StepContext<'_>) -> Result<Vec<String>>;

    /// What later steps will find of it.
    fn provides(&self) -> Result<Provides> {
        Ok(Provides::default())
    }

    /// What its files depend on and neither its options nor the input's fingerprint say: the weights of a model, the tars with the pixels. Part of the
    /// step's hash; empty when there is nothing.
    fn identity(&self, _dataset: &cribble_io::source::Dataset, _images: Option<&str>) -> Result<String> {
        Ok(String::new())
    }

    /// Whether a person's decisions on clusters ([`crate::Decisions`]) are part of its verdicts.
    fn takes_decisions(&self) -> bool {
        false
    }

    /// The phases, in order. The last one writes one table for each shard.
    fn phases(&self) -> Vec<PhaseSpec>;

    /// Number of buckets of a `UnitKind::Bucket` phase; asked once all phases before are done.
    fn buckets(&self, _context: &StepContext<'_>, _phase: &str) -> Result<u32> {
        Ok(1)
    }

    /// Bytes that a task of a phase that runs overlapped may hold.
    fn task_memory(&self, _context: &StepContext<'_>, _phase: &str) -> Result<u64> {
        Ok(128 << 20)
    }

    /// Runs one task.
    fn run(&self, context: &StepContext<'_>, phase: &str, unit: Unit) -> Result<TaskOutput>;

    /// Further subsets that the step answers beside its verdicts (a prune step with a list of fractions): the label of each. Only asked
    /// of the last step.
    fn further_subsets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Which rows of a shard the further subset at `index` holds, among those that the steps before have kept.
    fn further_subset(
        &self,
        _context: &StepContext<'_>,
        _index: usize,
        _shard: u32,
        uids: &[cribble_core::Uid],
    ) -> Result<Vec<bool>> {
        Ok(vec![false; uids.len()])
    }

    /// What is particular to the kind, once all tasks are done. `outputs` are those of each phase, by name and unit.
    fn finish(&self, _context: &StepContext<'_>, _outputs: &[(String, Vec<TaskOutput>)]) -> Result<Details> {
        Ok(Details::None)
    }

    /// Sentences for the report that need all tasks: sums over shards, said once.
    fn closing_notes(&self, _outputs: &[(String, Vec<TaskOutput>)]) -> Vec<String> {
        Vec::new()
    }
}

/// Puts the tasks' outputs together into the report of a step.
pub(crate) fn step_report(folder: &str, kind: &str, outputs: &[(String, Vec<TaskOutput>)]) -> StepReport {
    let mut sum = TaskOutput::default();
    for output in outputs.iter().flat_map(|(_, outputs)| outputs) {
        sum.add(output);
    }
    StepReport {
        step: folder.into(),
        kind: kind.into(),
        counts: sum.counts,
        bytes_read: sum.bytes_read,
        bytes_written: sum.bytes_written,
        notes: sum.notes,
        ..StepReport::default()
    }
}
