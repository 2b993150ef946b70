//! Exports of a run for other people's tools: its rows as one table, its samples with their pictures or vectors, a map, the cluster list of luvdatacomp, and the sorted cluster folder of SemDeDup.
mod atlas;
mod clip_retrieval;
mod cluster_labels;
mod hf_parquet;
mod rows;
mod sorted_clusters;

pub use atlas::{AtlasExport, embedding_atlas};
pub use clip_retrieval::{ClipArray, ClipExport, clip_retrieval};
pub use cluster_labels::cluster_labels;
pub use hf_parquet::{HfExport, HfFile, HfOptions, MISSING_FILE, SUMMARY_FILE, hf_parquet, read_summary};
pub use rows::{RowFormat, rows};
pub use sorted_clusters::{ClusterExport, sorted_clusters};

use std::path::PathBuf;

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
