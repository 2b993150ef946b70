//! How cells are cut into buckets: consecutive cells whose vectors fit in the share of memory that a bucket may take. Written once as a file,
//! because a resumed run may have another ceiling and must still find its markers.
use std::ops::Range;

use cribble_core::{Error, ErrorKind, Result};
use cribble_pipeline::{ScatterReader, StepContext, TaskOutput, vectors::width};
use serde::{Deserialize, Serialize};

use super::{Dedup, assign::HEAD};
use crate::values::to_value;

/// Buckets of cells.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// First cell of each bucket, and the end.
    starts: Vec<u32>,
    /// Whether the one cell of the bucket is too large to be held as a whole.
    large: Vec<bool>,
}

/// For the report.
#[derive(Debug, Serialize, Deserialize)]
pub struct Summary {
    pub cells: u64,
    pub largest_cell: u64,
    pub probe: u64,
}

impl Plan {
    pub fn make(step: &Dedup, context: &StepContext<'_>) -> Result<TaskOutput> {
        let embedding = context.embedding(&step.options.embedding)?;
        let mut counts: Vec<u64> = Vec::new();
        for shard in 0..context.shards() {
            let reader = ScatterReader::open(&context.scratch(format!("vectors/{shard:08}")))?;
            counts.resize(reader.keys() as usize, 0);
            reader.add_counts(&mut counts);
        }
        // A row is held as stored, with its head, and once more as f32 while its cell is compared.
        let row = (HEAD + embedding.info.dim * (width(&embedding) + 4)) as u64;
        let limit = context.memory / 3;
        let mut plan = Self { starts: vec![0], large: Vec::new() };
        let mut bytes = 0;
        for (cell, &count) in counts.iter().enumerate() {
            let cell = cell as u32;
            let large = count * row > limit;
            let open = plan.starts.last().is_some_and(|&start| start < cell);
            if open && (large || bytes + count * row > limit) {
                plan.close(cell, false);
                bytes = 0;
            }
            bytes += count * row;
            if large {
                plan.close(cell + 1, true);
                bytes = 0;
            }
        }
        if plan.starts.last().is_some_and(|&start| (start as usize) < counts.len()) {
            plan.close(counts.len() as u32, false);
        }
        let text = serde_json::to_vec(&plan).map_err(|error| Error::bug(error.to_string()))?;
        cribble_io::write_file(&context.scratch("plan.json"), &text)?;
        let summary = Summary {
            cells: counts.len() as u64,
            largest_cell: counts.iter().copied().max().unwrap_or(0),
            probe: u64::from(step.options.probe).min(counts.len().max(1) as u64),
        };
        Ok(TaskOutput { data: to_value(&summary)?, ..TaskOutput::default() })
    }

    fn close(&mut self, end: u32, large: bool) {
        self.starts.push(end);
        self.large.push(large);
    }

    pub fn read(context: &StepContext<'_>) -> Result<Self> {
        let path = context.scratch("plan.json");
        let text = std::fs::read(&path)
            .map_err(|error| Error::wrap(ErrorKind::Input, error).context(path.display()))?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::wrap(ErrorKind::Input, error).context(path.display()))
    }

    pub fn buckets(&self) -> u32 {
        self.large.len() as u32
    }

    /// The cells of a bucket, and whether it is one that is too large to hold.
    pub fn bucket(&self, index: u32) -> (Range<u32>, bool) {
        let index = index as usize;
        (self.starts[index]..self.starts[index + 1], self.large[index])
    }
}
