//! How the keys of a ranking are cut into tasks.
use std::ops::Range;

use cribble_core::{Error, Result};
use cribble_pipeline::StepContext;

/// Rows ranked by one task, unless a single cluster has more.
const BUCKET_ROWS: u64 = 4 << 20;

/// Which keys each rank task works on. A file, so that a resumed run cuts as the first one did.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Buckets {
    /// First key of each bucket, and the end.
    starts: Vec<u32>,
    /// Rows before each bucket.
    before: Vec<u64>,
}

impl Buckets {
    /// Cuts the keys into buckets of about `BUCKET_ROWS` rows.
    pub fn plan(counts: &[u64]) -> Self {
        let (mut starts, mut before) = (vec![0], vec![0]);
        let (mut rows, mut total) = (0, 0);
        for (key, &count) in counts.iter().enumerate() {
            if rows > 0 && rows + count > BUCKET_ROWS {
                starts.push(key as u32);
                before.push(total);
                rows = 0;
            }
            rows += count;
            total += count;
        }
        starts.push(counts.len() as u32);
        Self { starts, before }
    }

    /// Reads the plan that the quota task wrote.
    pub fn read(context: &StepContext<'_>) -> Result<Self> {
        let path = context.scratch("buckets.json");
        let text =
            std::fs::read(&path).map_err(|error| Error::input(format!("{}: {error}", path.display())))?;
        serde_json::from_slice(&text).map_err(|error| Error::input(format!("{}: {error}", path.display())))
    }

    /// Number of buckets.
    pub fn count(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    /// Keys of a bucket, and the rows before it.
    pub fn bucket(&self, index: u32) -> (Range<u32>, u64) {
        let index = index as usize;
        (self.starts[index]..self.starts[index + 1], self.before[index])
    }
}
