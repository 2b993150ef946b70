//! `run`, and the hidden `task` that other executors call.
use std::path::PathBuf;

use clap::Args;

/// Options of everything that runs steps.
#[derive(Debug, Clone, Args)]
pub struct RunningArgs {
    /// Share of rows that may fail before the exit code is 3, 0 to 1; failed rows always stand in errors.parquet
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share)]
    pub max_error_rate: f64,
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

/// `run`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble run recipe.toml --out runs/dbp --memory 16G\n  cribble run recipe.toml --out runs/dbp --dry-run"
)]
pub struct RunArgs {
    /// The recipe, a TOML file (`cribble init` writes one). Its relative paths are read from the current folder
    pub recipe: PathBuf,

    /// The run folder. Steps that are complete there under the same recipe and input are skipped
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,

    /// Stop after this step (its number, kind, name or folder); steps before it that are not complete run first. No selection is written unless it is the last
    #[arg(long, value_name = "STEP")]
    pub only: Option<String>,

    #[command(flatten)]
    pub running: RunningArgs,
}

/// `task`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble task runs/dbp --recipe recipe.toml\n  cribble task runs/dbp --step 02-dedup --phase assign --unit 3"
)]
pub struct TaskArgs {
    /// The run folder
    pub run: PathBuf,

    /// Prepare the run folder for this recipe first
    #[arg(long, value_name = "FILE", conflicts_with = "step")]
    pub recipe: Option<PathBuf>,

    /// Run one task: its step (number, kind, name or folder)
    #[arg(long, requires_all = ["phase", "unit"])]
    pub step: Option<String>,

    /// Run one task: its phase
    #[arg(long, requires = "step")]
    pub phase: Option<String>,

    /// Run one task: its shard or bucket
    #[arg(long, requires = "step")]
    pub unit: Option<u32>,
}
