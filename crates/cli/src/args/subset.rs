//! `subset`: files of uids. Formats are told by their bytes when read and by the extension when written.
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `subset`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble subset info runs/dbp/subset.npy\n  cribble subset minus a.npy b.npy -o c.npy"
)]
pub struct SubsetArgs {
    #[command(subcommand)]
    pub command: SubsetCommand,
}

/// What `subset` can do.
#[derive(Debug, Subcommand)]
pub enum SubsetCommand {
    /// Format, count, copies, order
    #[command(
        before_long_help = "Examples:\n  cribble subset info subset.npy\n  cribble subset info subset.npy --json"
    )]
    Info {
        /// The subset file
        file: PathBuf,
    },
    /// What all of them share; of copies the fewest
    #[command(
        before_long_help = "Examples:\n  cribble subset and a.npy b.npy -o both.npy\n  cribble subset and a.npy b.csv c.parquet -o all.npy"
    )]
    And(Combination),
    /// What any of them has; of copies the most
    #[command(
        before_long_help = "Examples:\n  cribble subset or a.npy b.npy -o either.npy\n  cribble subset or monday.txt tuesday.txt -o week.npy"
    )]
    Or(Combination),
    /// The first less the others; copies are subtracted
    #[command(
        before_long_help = "Examples:\n  cribble subset minus a.npy b.npy -o rest.npy\n  cribble subset minus pool.npy test-set.txt -o train.npy"
    )]
    Minus(Combination),
    /// Some of it, by seed: a smaller sample lies inside every larger one
    #[command(
        before_long_help = "Examples:\n  cribble subset sample a.npy --fraction 0.1 -o tenth.npy\n  cribble subset sample a.npy --count 100000 --seed 7 -o some.npy"
    )]
    Sample {
        /// The subset file
        file: PathBuf,
        /// Share to take, 0 to 1
        #[arg(long, value_name = "SHARE", required_unless_present = "count", conflicts_with = "count", value_parser = super::run::share)]
        fraction: Option<f64>,
        /// Number of uids to take
        #[arg(long, value_name = "N")]
        count: Option<u64>,
        /// Seed of the draw
        #[arg(long, default_value_t = 0)]
        seed: u64,
        #[command(flatten)]
        target: Target,
    },
    /// The same uids in another format
    #[command(
        before_long_help = "Examples:\n  cribble subset convert pruned_trie.txt -o subset.npy\n  cribble subset convert subset.npy -o subset.csv"
    )]
    Convert {
        /// The subset file
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
}

/// Several files into one.
#[derive(Debug, Args)]
pub struct Combination {
    /// Subset files, two at least
    #[arg(required = true, num_args = 2..)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub target: Target,
}

/// Where the result goes.
#[derive(Debug, Args)]
pub struct Target {
    /// The file to write: .npy, .bin (headerless), .txt, .csv, .parquet or .pkl (pygtrie)
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}
