//! `demo`: a pool of known truth and the whole job on it.
use std::path::PathBuf;

use clap::Args;
use cribble_demo::PoolOptions;

use super::RunningArgs;

/// More rows than this and the pool has no images unless they are asked for: drawing would take longer than the rest together.
pub const MOST_ROWS_WITH_IMAGES: u64 = 200_000;

/// `demo`.
#[derive(Debug, Args)]
#[command(before_long_help = "Examples:\n  cribble demo\n  cribble demo /tmp/big --rows 2000000 --memory 2G")]
pub struct DemoArgs {
    /// The folder to work in
    #[arg(default_value = "demo")]
    pub folder: PathBuf,

    /// Rows of the pool
    #[arg(long, value_name = "N", default_value_t = PoolOptions::default().rows, value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    pub rows: u64,

    /// Seed of the pool
    #[arg(long, default_value_t = PoolOptions::default().seed)]
    pub seed: u64,

    /// Draw the images, however many rows there are [default: up to 200,000 rows]
    #[arg(long, conflicts_with = "no_images")]
    pub images: bool,

    /// Metadata and embeddings only
    #[arg(long)]
    pub no_images: bool,

    #[command(flatten)]
    pub running: RunningArgs,
}

impl DemoArgs {
    /// Whether the pool gets images.
    pub fn with_images(&self) -> bool {
        !self.no_images && (self.images || self.rows <= MOST_ROWS_WITH_IMAGES)
    }
}
