//! `export`: what other people's tools read.
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Formats of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// What SemDeDup's and density-based pruning's scripts read: sorted_clusters/cluster_0.npy …, kmeans_centroids.npy
    SortedClusters,
    /// What luvdatacomp's scripts read, as one file: uid,data_points,cluster_label
    ClusterLabels,
    /// One row a sample in a parquet file: uid, key, url and caption of the input; captions, scores, verdicts, languages and clusters of the steps
    Parquet,
    /// The same rows as JSON objects, one a line
    Jsonl,
    /// Kept samples with their pictures, as datasets.load_dataset opens them: train-00000-of-00007.parquet …
    HfParquet,
    /// What clip-retrieval and autofaiss read, as a folder: img_emb/img_emb_0.npy …, text_emb/…, metadata/metadata_0.parquet …
    ClipRetrieval,
    /// A map for embedding-atlas, as a folder: map.parquet (a place for each sample, nearest samples, columns of the run), labels.parquet
    EmbeddingAtlas,
}

impl ExportFormat {
    /// Whether it is a folder of files.
    pub fn is_folder(self) -> bool {
        matches!(self, Self::SortedClusters | Self::HfParquet | Self::ClipRetrieval | Self::EmbeddingAtlas)
    }

    /// Whether it is made of the vectors of an embedding.
    pub fn has_vectors(self) -> bool {
        matches!(self, Self::ClipRetrieval | Self::EmbeddingAtlas)
    }
}

/// `export`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble export runs/captions --format parquet --out captions.parquet\n  cribble export runs/dbp --site dbp-page"
)]
pub struct ExportArgs {
    /// The run folder
    pub run: PathBuf,

    /// What to write
    #[arg(long, value_enum, required_unless_present = "site")]
    pub format: Option<ExportFormat>,

    /// The folder (sorted-clusters, hf-parquet, clip-retrieval, embedding-atlas; it must be missing or empty) or the file (it must be missing) to write
    #[arg(long, short, value_name = "PATH", required_unless_present = "site")]
    pub out: Option<PathBuf>,

    /// Write the report as a folder for any web server, with full-size pictures beside it (the folder must be missing or empty)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["format", "out", "all", "embedding"])]
    pub site: Option<PathBuf>,

    /// Rows of dropped samples too; parquet and jsonl then say what dropped them and why
    #[arg(long)]
    pub all: bool,

    /// hf-parquet: tars with the pictures, found by uid, instead of those that the run knows
    #[arg(long, value_name = "TARS")]
    pub images: Option<String>,

    /// hf-parquet: a file ends once it has so many bytes: 500M, 1G [default: 500MB]
    #[arg(long, value_name = "SIZE", value_parser = super::super::settings::parse_bytes)]
    pub shard_bytes: Option<u64>,

    /// hf-parquet: kept samples without a picture are no failure; missing.csv lists them all the same
    #[arg(long)]
    pub allow_missing: bool,
    /// Embedding that clip-retrieval gets, with its other half where the run has it, or whose clusters the map shows [default: the run's images; of a map the
    /// last cluster step]
    #[arg(long, value_name = "NAME")]
    pub embedding: Option<String>,
}
