//! One function for each command. Each returns the exit code of a command that came to its end; what stops it is an error, whose kind has
//! an exit code of its own.
mod card;
mod check;
mod completions;
mod decide;
mod demo;
mod doctor;
mod export;
mod export_hf;
mod export_vectors;
mod init;
mod qdrant;
mod qdrant_pull;
mod qdrant_text;
mod report;
mod reshard;
mod run;
mod search;
mod subset;
mod task;
mod verbs;
mod why;
mod why_text;

use cribble_core::Result;

use crate::{args::Command, settings::Settings};

/// The exit code of a command that did what it was asked to.
pub const DONE: u8 = 0;

/// Runs a command.
pub fn run(settings: &Settings, command: Command) -> Result<u8> {
    match command {
        Command::Run(args) => run::run(settings, &args),
        Command::Demo(args) => demo::run(settings, &args),
        Command::Init(args) => init::run(settings, &args),
        Command::Check(args) => check::run(settings, &args),
        Command::Filter(args) => verbs::filter(settings, &args),
        Command::Language(args) => verbs::language(settings, &args),
        Command::Embed(args) => verbs::embed(settings, &args),
        Command::Caption(args) => verbs::caption(settings, &args),
        Command::Rewrite(args) => verbs::rewrite(settings, &args),
        Command::Dedup(args) => verbs::dedup(settings, &args),
        Command::Cluster(args) => verbs::cluster(settings, &args),
        Command::Judge(args) => verbs::judge(settings, &args),
        Command::Prune(args) => verbs::prune(settings, &args),
        Command::Referee(args) => verbs::referee(settings, &args),
        Command::Subset(args) => subset::run(settings, &args.command),
        Command::Reshard(args) => reshard::run(settings, &args),
        Command::Export(args) => export::run(settings, &args),
        Command::Card(args) => card::run(settings, &args),
        Command::Qdrant(args) => qdrant::run(settings, &args.command),
        Command::Report(args) => report::run(settings, &args),
        Command::Decide(args) => decide::run(settings, &args),
        Command::Search(args) => search::run(settings, &args),
        Command::Why(args) => why::run(settings, &args),
        Command::Doctor(args) => doctor::run(settings, &args),
        Command::Completions(args) => completions::run(settings, &args),
        Command::Task(args) => task::run(settings, &args),
    }
}

/// The name of a command, as JSON output has it.
pub fn name(command: &Command) -> &'static str {
    match command {
        Command::Run(_) => "run",
        Command::Demo(_) => "demo",
        Command::Init(_) => "init",
        Command::Check(_) => "check",
        Command::Filter(_) => "filter",
        Command::Language(_) => "language",
        Command::Embed(_) => "embed",
        Command::Caption(_) => "caption",
        Command::Rewrite(_) => "rewrite",
        Command::Dedup(_) => "dedup",
        Command::Cluster(_) => "cluster",
        Command::Judge(_) => "judge",
        Command::Prune(_) => "prune",
        Command::Referee(_) => "referee",
        Command::Subset(_) => "subset",
        Command::Reshard(_) => "reshard",
        Command::Export(_) => "export",
        Command::Card(_) => "card",
        Command::Qdrant(_) => "qdrant",
        Command::Report(_) => "report",
        Command::Decide(_) => "decide",
        Command::Search(_) => "search",
        Command::Why(_) => "why",
        Command::Doctor(_) => "doctor",
        Command::Completions(_) => "completions",
        Command::Task(_) => "task",
    }
}
