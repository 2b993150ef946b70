//! The verbs: one step each, with every key of its recipe table as a flag. A verb becomes a recipe of one step and runs as `run` does.
use std::path::PathBuf;

use clap::Args;
use cribble_core::{
    Cells, ClusterOptions, DedupMode, DedupOptions, Density, Error, Exact, FilterOptions, InputOptions, Keep,
    OneOrMany, PruneMethod, PruneOptions, Result, Scope, StepOptions, TrainRows,
};

use super::RunningArgs;

/// What every verb reads and writes.
#[derive(Debug, Clone, Args)]
pub struct VerbArgs {
    /// The input: a file, a folder, a glob, a brace range or a `::` list. What it is gets detected, and said
    pub input: String,

    /// The run folder
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,

    /// Tars with the pixels
    #[arg(long, value_name = "TARS")]
    pub images: Option<String>,

    /// Ids of a bare array: a text, csv, parquet or npy file with one id per row
    #[arg(long, value_name = "FILE")]
    pub ids: Option<String>,

    /// Dimension of a headerless array
    #[arg(long, value_name = "D")]
    pub dim: Option<u64>,

    /// Element type of a headerless array: f32 or f16
    #[arg(long, value_name = "TYPE")]
    pub dtype: Option<String>,

    #[command(flatten)]
    pub running: RunningArgs,
}

impl VerbArgs {
    /// The `[input]` table.
    pub fn input(&self) -> InputOptions {
        InputOptions {
            path: self.input.clone(),
            images: self.images.clone(),
            ids: self.ids.clone(),
            dim: self.dim,
            dtype: self.dtype.clone(),
        }
    }
}

/// One value stays one value, several become a list, as a recipe would have them.
pub(super) fn one_or_many<T: Copy>(values: &[T]) -> OneOrMany<T> {
    match values {
        [one] => OneOrMany::One(*one),
        many => OneOrMany::Many(many.to_vec()),
    }
}

/// `filter`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble filter pool --where 'clip_l14_similarity_score > 0.25' --out runs/a\n  cribble filter pool --where 'true' --compute 'n=length(text)' --out runs/b"
)]
pub struct FilterArgs {
    #[command(flatten)]
    pub verb: VerbArgs,

    /// A SQL condition over the columns of the input; rows for which it is true stay
    #[arg(long = "where", value_name = "SQL")]
    pub condition: String,

    /// A column to compute and to keep in the step's tables; may be given several times
    #[arg(long, value_name = "NAME=SQL")]
    pub compute: Vec<String>,
}

impl FilterArgs {
    /// The `[[step]]` table.
    pub fn options(&self) -> Result<StepOptions> {
        let mut options = FilterOptions { condition: self.condition.clone(), ..FilterOptions::default() };
        for text in &self.compute {
            let (name, expression) = text.split_once('=').ok_or_else(|| {
                Error::usage(format!("--compute '{text}' has no name"))
                    .with_hint("write --compute 'name=expression'")
            })?;
            if options.compute.insert(name.trim().into(), expression.trim().into()).is_some() {
                return Err(Error::usage(format!("--compute names '{}' twice", name.trim())));
            }
        }
        Ok(StepOptions::Filter(options))
    }
}

/// `dedup`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble dedup pool --embedding l14_img --epsilon 0.05 --out runs/dedup\n  cribble dedup pool --embedding l14_img --keep best:width --out runs/dedup"
)]
pub struct DedupArgs {
    #[command(flatten)]
    pub verb: VerbArgs,

    /// The embedding that is compared; without one only exact duplicates are dropped
    #[arg(long, value_name = "NAME", default_value_t = DedupOptions::default().embedding)]
    pub embedding: String,

    /// Similar means similarity > 1 − ε; of a list the first decides and all are answered in the report
    #[arg(long, value_name = "EPSILON", value_delimiter = ',', default_values_t = DedupOptions::default().epsilon.as_slice().to_vec())]
    pub epsilon: Vec<f64>,

    /// How duplicates are judged: greedy (SemDeDup's rule) or groups (connected components)
    #[arg(long, default_value_t = DedupOptions::default().mode)]
    pub mode: DedupMode,

    /// Which of several is kept: hard, easy, random or best:COLUMN
    #[arg(long, default_value_t = DedupOptions::default().keep)]
    pub keep: Keep,

    /// Number of cells that the search is divided into, or auto
    #[arg(long, default_value_t = DedupOptions::default().cells)]
    pub cells: Cells,

    /// Cells searched per row; more find pairs across borders
    #[arg(long, default_value_t = DedupOptions::default().probe)]
    pub probe: u32,

    /// Exact duplicates first: auto, sha256, bytes or none
    #[arg(long, default_value_t = DedupOptions::default().exact)]
    pub exact: Exact,

    /// Rows that the cells are trained on: a number, all or auto
    #[arg(long, default_value_t = DedupOptions::default().train_rows)]
    pub train_rows: TrainRows,

    /// Iterations of k-means for the cells
    #[arg(long, default_value_t = DedupOptions::default().iterations)]
    pub iterations: u32,

    /// Seed of everything random
    #[arg(long, default_value_t = DedupOptions::default().seed)]
    pub seed: u64,
}

impl DedupArgs {
    /// The `[[step]]` table.
    pub fn options(&self) -> StepOptions {
        StepOptions::Dedup(DedupOptions {
            embedding: self.embedding.clone(),
            epsilon: one_or_many(&self.epsilon),
            mode: self.mode,
            keep: self.keep.clone(),
            cells: self.cells,
            probe: self.probe,
            exact: self.exact,
            train_rows: self.train_rows,
            iterations: self.iterations,
            seed: self.seed,
        })
    }
}

/// `cluster`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble cluster pool --embedding l14_img --k 500 --out runs/k500\n  cribble cluster pool --embedding l14_img --k 100,300,1000 --out runs/elbow"
)]
pub struct ClusterArgs {
    #[command(flatten)]
    pub verb: VerbArgs,

    /// The embedding that is clustered
    #[arg(long, value_name = "NAME")]
    pub embedding: String,

    /// Number of clusters; of a list all are tried and an elbow chooses
    #[arg(long, value_delimiter = ',', default_values_t = ClusterOptions::default().k.as_slice().to_vec())]
    pub k: Vec<u64>,

    /// Rows that k-means is trained on: a number, all or auto
    #[arg(long, default_value_t = ClusterOptions::default().train_rows)]
    pub train_rows: TrainRows,

    /// Iteration limit
    #[arg(long, default_value_t = ClusterOptions::default().iterations)]
    pub iterations: u32,

    /// Stop when the mean similarity grows by less than this share
    #[arg(long, default_value_t = ClusterOptions::default().tolerance)]
    pub tolerance: f64,

    /// Seed of everything random
    #[arg(long, default_value_t = ClusterOptions::default().seed)]
    pub seed: u64,
}

impl ClusterArgs {
    /// The `[[step]]` table.
    pub fn options(&self) -> StepOptions {
        StepOptions::Cluster(ClusterOptions {
            embedding: self.embedding.clone(),
            k: one_or_many(&self.k),
            train_rows: self.train_rows,
            iterations: self.iterations,
            tolerance: self.tolerance,
            seed: self.seed,
        })
    }
}

/// `prune`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble prune pool --embedding l14_img --fraction 0.3 --out runs/dbp\n  cribble prune pool --method random --count 100000 --out runs/random"
)]
pub struct PruneArgs {
    #[command(flatten)]
    pub verb: VerbArgs,

    /// How it chooses: density, prototypes or random. All but random need clusters: give --embedding too
    #[arg(long, default_value_t = PruneOptions::default().method)]
    pub method: PruneMethod,

    /// Put a cluster step over this embedding before the prune step
    #[arg(long, value_name = "NAME")]
    pub embedding: Option<String>,

    /// Number of clusters of that step; its other options have their defaults
    #[arg(long, value_delimiter = ',', requires = "embedding", default_values_t = ClusterOptions::default().k.as_slice().to_vec())]
    pub k: Vec<u64>,

    /// What the quotas of density follow: complexity, uniform or size
    #[arg(long, default_value_t = PruneOptions::default().density)]
    pub density: Density,

    /// Share of the rows to KEEP, 0 to 1; of a list the first decides and each gets a subset file
    #[arg(long, value_name = "SHARE", value_delimiter = ',', conflicts_with = "count")]
    pub fraction: Vec<f64>,

    /// Number of rows to keep, instead of a share
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub count: Vec<u64>,

    /// Temperature of the softmax over complexities
    #[arg(long, default_value_t = PruneOptions::default().temperature)]
    pub temperature: f64,

    /// Lower bound of each cluster's quota as a share of the even quota
    #[arg(long, default_value_t = PruneOptions::default().balance)]
    pub balance: f64,

    /// Nearest centroids that d_inter is the mean over
    #[arg(long, default_value_t = PruneOptions::default().neighbors)]
    pub neighbors: u32,

    /// Which rows of a cluster are kept: hard, easy, random or best:COLUMN
    #[arg(long, default_value_t = PruneOptions::default().keep)]
    pub keep: Keep,

    /// Where prototypes and random count: global or cluster
    #[arg(long, default_value_t = PruneOptions::default().scope)]
    pub scope: Scope,

    /// Seed of everything random
    #[arg(long, default_value_t = PruneOptions::default().seed)]
    pub seed: u64,
}

impl PruneArgs {
    /// The `[[step]]` table, after the one of its cluster step where `--embedding` asks for it.
    pub fn options(&self) -> Vec<StepOptions> {
        let cluster = self.embedding.as_ref().map(|embedding| {
            StepOptions::Cluster(ClusterOptions {
                embedding: embedding.clone(),
                k: one_or_many(&self.k),
                ..ClusterOptions::default()
            })
        });
        let prune = StepOptions::Prune(PruneOptions {
            method: self.method,
            density: self.density,
            fraction: (!self.fraction.is_empty()).then(|| one_or_many(&self.fraction)),
            count: (!self.count.is_empty()).then(|| one_or_many(&self.count)),
            temperature: self.temperature,
            balance: self.balance,
            neighbors: self.neighbors,
            keep: self.keep.clone(),
            scope: self.scope,
            seed: self.seed,
        });
        cluster.into_iter().chain([prune]).collect()
    }
}
