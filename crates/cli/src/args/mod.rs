//! The command line as plain data: clap structs that parse and never act. Each turns into the option struct of a library; defaults are
//! read from those structs, so that a flag and a recipe key cannot have two of them.
mod caption;
mod card;
mod chat;
mod demo;
mod embed;
mod export;
mod global;
mod inspect;
mod judge;
mod language;
mod qdrant;
mod referee;
mod reshard;
mod run;
mod search;
mod subset;
mod verbs;

pub use caption::{CaptionArgs, RewriteArgs};
pub use card::CardArgs;
pub use chat::ChatArgs;
pub use demo::{DemoArgs, MOST_ROWS_WITH_IMAGES};
pub use embed::EmbedArgs;
pub use export::{ExportArgs, ExportFormat};
pub use global::{ColorWhen, GlobalArgs, ProgressMode};
pub use inspect::{CheckArgs, CompletionsArgs, DoctorArgs, InitArgs, ReportArgs, WhyArgs};
pub use judge::{DecideArgs, JudgeArgs, VerdictArg};
pub use language::LanguageArgs;
pub use qdrant::{
    DedupPointsArgs, PullArgs, PushArgs, QdrantArgs, QdrantCommand, QueryArgs, QuestionArgs, ServerArgs,
};
pub use referee::RefereeArgs;
pub use reshard::{Keys, ReshardArgs};
pub use run::{RunArgs, RunningArgs, TaskArgs};
pub use search::SearchArgs;
pub use subset::{SubsetArgs, SubsetCommand};
pub use verbs::{ClusterArgs, DedupArgs, FilterArgs, PruneArgs, VerbArgs};

use clap::{Parser, Subcommand};

/// Sifts image-text data down to the part worth training on, with proof of why each sample stayed or went.
#[derive(Debug, Parser)]
#[command(
    name = "cribble",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    before_long_help = "Examples:\n  cribble demo\n  cribble run recipe.toml --out runs/first",
    after_help = "Exit codes: 0 done; 1 input or environment; 2 usage or recipe; 3 finished, but with failures above tolerance\nor samples missing; 4 a bug in cribble; 130 interrupted and resumable."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// One function in `commands` for each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a recipe: read, judge, select, report. Resumes where an earlier run with the same --out stopped
    Run(RunArgs),
    /// Make a pool of known truth, run the whole job on it and show what was found
    Demo(DemoArgs),
    /// Write a commented recipe to start from
    Init(InitArgs),
    /// Say what an input is and prove that its parts belong together
    Check(CheckArgs),
    /// Keep the rows for which a SQL condition is true
    Filter(FilterArgs),
    /// Say which language each caption is in
    Language(LanguageArgs),
    /// Turn images and captions into vectors with a CLIP-like model, in this process
    Embed(EmbedArgs),
    /// Write a caption for each image, by a vision-language model on a server
    Caption(CaptionArgs),
    /// Write captions anew, by rules or by a language model on a server
    Rewrite(RewriteArgs),
    /// Drop exact and semantic duplicates
    Dedup(DedupArgs),
    /// Group rows by embedding with spherical k-means
    Cluster(ClusterArgs),
    /// Cluster and keep the clusters that a model, or plain rules, find worth training on
    Judge(JudgeArgs),
    /// Keep a share of the rows, chosen by cluster, by distance or at random
    Prune(PruneArgs),
    /// Compare several captions of each image by CLIP and choose the one to train on
    Referee(RefereeArgs),
    /// Look into, combine, sample and convert subset files
    Subset(SubsetArgs),
    /// Copy the samples of a subset from tars into new tars, byte for byte
    Reshard(ReshardArgs),
    /// Write what a run holds in the form that another tool reads
    Export(ExportArgs),
    /// Write the dataset card and Croissant metadata of what a run kept
    Card(CardArgs),
    /// Put a run into a collection of the Qdrant vector database, and ask it there
    Qdrant(QdrantArgs),
    /// Print the funnel of a run and write its report again
    Report(ReportArgs),
    /// Record a person's word on a sample or a cluster, which overrides the run's
    Decide(DecideArgs),
    /// Find the rows of a run that are like a text, an image or a sample
    Search(SearchArgs),
    /// Say what every step thought of one sample
    Why(WhyArgs),
    /// Say whether this machine is fit for work
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// List or run single tasks of a run, for other executors
    #[command(hide = true)]
    Task(TaskArgs),
}
