//! Commands that look and say: `check`, `report`, `why`, `doctor`; and `init` and `completions`, which print texts of our own.
use std::path::PathBuf;

use clap::Args;

/// `check`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble check datacomp_small/metadata\n  cribble check embeddings.f32 --dim 768 --ids ids.txt"
)]
pub struct CheckArgs {
    /// The input: a file, a folder, a glob, a brace range or a `::` list
    pub input: String,

    /// Ids of a bare array: a text, csv, parquet or npy file with one id per row
    #[arg(long, value_name = "FILE")]
    pub ids: Option<String>,

    /// Dimension of a headerless array
    #[arg(long, value_name = "D")]
    pub dim: Option<u64>,

    /// Element type of a headerless array: f32 or f16
    #[arg(long, value_name = "TYPE")]
    pub dtype: Option<String>,
}

/// `report`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble report runs/dbp\n  cribble report runs/dbp --json | jq .report.selection"
)]
pub struct ReportArgs {
    /// The run folder
    pub run: PathBuf,
}

/// `why`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble why runs/dbp 8c1f03d2a9b84e6f90d1c7a25e3f6ae0\n  cribble why runs/dbp 8c1f03 --json"
)]
pub struct WhyArgs {
    /// The run folder
    pub run: PathBuf,

    /// The sample: 32 hexadecimal characters, or as many of the first ones as make it unique
    pub uid: String,
}

/// `doctor`.
#[derive(Debug, Args)]
#[command(before_long_help = "Examples:\n  cribble doctor\n  cribble doctor runs --json")]
pub struct DoctorArgs {
    /// Look at the disk of this folder too
    pub folder: Option<PathBuf>,
}

/// `init`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble init\n  cribble init recipes/mine.toml --input datacomp_small/metadata"
)]
pub struct InitArgs {
    /// The file to write; one that exists is left alone
    #[arg(default_value = "recipe.toml")]
    pub file: PathBuf,

    /// The input to write into it
    #[arg(long, default_value = "datacomp_small/metadata")]
    pub input: String,
}

/// `completions`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble completions bash > ~/.cribble-completion.bash\n  cribble completions zsh > ~/.zfunc/_cribble"
)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}
