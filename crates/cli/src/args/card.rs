//! `card`: what no run can know, as flags.
use std::path::PathBuf;

use clap::Args;

/// `card`.
#[derive(Debug, Args)]
#[command(
    before_long_help = "Examples:\n  cribble card runs/dbp --license cc-by-4.0 --language en --repo me/small-pairs\n  cribble card runs/dbp --out curated --pretty-name 'Small pairs'",
    after_help = "README.md keeps what a person wrote outside of the markers '<!-- cribble:begin -->' and '<!-- cribble:end -->', and in its\nfront matter outside of '# cribble:begin' and '# cribble:end'. A README.md without markers is kept; the card comes behind its text."
)]
pub struct CardArgs {
    /// The run folder
    pub run: PathBuf,

    /// The folder to describe and to write to: the output of `reshard` or of `export --format hf-parquet` [default: the run folder]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// The licence: the Hub's identifier, such as cc-by-4.0, or a URL [default: unknown]
    #[arg(long, value_name = "ID")]
    pub license: Option<String>,

    /// A language of the captions, as ISO 639 code; may be repeated
    #[arg(long, value_name = "CODE")]
    pub language: Vec<String>,

    /// The name that people read [default: of the repository, else of the folder]
    #[arg(long, value_name = "NAME")]
    pub pretty_name: Option<String>,

    /// Where it will be on the Hub
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: Option<String>,

    /// Its page, where that is not the Hub's
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// A person who made it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub creator: Vec<String>,

    /// An organisation that made it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub organization: Vec<String>,

    /// The day of publication, such as 2026-01-31 [default: the day on which the run's manifest was written, in UTC]
    #[arg(long, value_name = "DAY")]
    pub date: Option<String>,

    /// A further tag; may be repeated
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,

    /// A task, as the Hub calls it; may be repeated
    #[arg(long, value_name = "TASK", default_values = ["image-to-text", "text-to-image"])]
    pub task: Vec<String>,

    /// A data set that this one is made from, by its name on the Hub; may be repeated
    #[arg(long, value_name = "NAME")]
    pub source_dataset: Vec<String>,
}
