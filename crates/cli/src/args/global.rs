//! Options that every command has. They are global in clap, so that they may stand before or after the command's name.
use clap::{ArgAction, Args, ValueEnum};

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct GlobalArgs {
    /// Threads to work with [default: all cores that this process may use]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub threads: Option<u64>,

    /// Memory ceiling of the process: 2G, 512MiB, 1.5T; K, M, G and T count by 1024, kB, MB and GB by 1000 [default: three quarters of what is free]
    #[arg(long, global = true, value_name = "SIZE", value_parser = super::super::settings::parse_bytes)]
    pub memory: Option<u64>,

    /// Print one JSON object with the outcome on standard output
    #[arg(long, global = true)]
    pub json: bool,

    /// Say what would be read and written; write nothing
    #[arg(long, global = true)]
    pub dry_run: bool,

    /// How to show progress, on standard error
    #[arg(long, global = true, value_name = "HOW", value_enum, default_value_t = ProgressMode::Auto)]
    pub progress: ProgressMode,

    /// Say less: -q hides notes and progress, -qq warnings too
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub quiet: u8,

    /// Say more: phases as they begin and end, instead of a bar
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// When to use colour. NO_COLOR beats FORCE_COLOR, this option beats both
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = ColorWhen::Auto)]
    pub color: ColorWhen,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// A bar on a terminal, plain lines elsewhere
    Auto,
    /// A bar
    Bar,
    /// A line now and then
    Plain,
    /// JSON lines (docs/progress.md)
    Json,
    /// Nothing
    None,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set; elsewhere when FORCE_COLOR or CLICOLOR_FORCE is
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
