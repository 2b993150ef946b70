//! `export`: what other people's tools read.
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Formats of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// What SemDeDup's and density-based pruning's scripts read: sorted_clusters/cluster_0.npy …, kmeans_centroids.npy
    SortedClusters,
}

/// `export`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble export runs/dbp --format sorted-clusters --out sorted\n  cribble export runs/dbp --format sorted-clusters --out sorted --json"
)]
pub struct ExportArgs {
    /// The run folder
    pub run: PathBuf,

    /// What to write
    #[arg(long, value_enum)]
    pub format: ExportFormat,

    /// The folder to write; it must be missing or empty
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,
}
