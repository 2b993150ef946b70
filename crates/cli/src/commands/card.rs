//! `card`: README.md and croissant.json for what a run kept. Nothing is computed: `report.json` is the truth.
use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use cribble_core::{Error, ErrorKind, Result};
use cribble_outputs::card::{CardOptions, CardReport, CardSource, day, write_card};
use cribble_pipeline::RunFolder;
use serde_json::json;

use crate::{args::CardArgs, interrupt, settings::Settings, state::State, text};

/// Writes the card.
pub fn run(settings: &Settings, args: &CardArgs) -> Result<u8> {
    let run = RunFolder::open(&args.run)?;
    let State { finished, report, warnings, .. } = State::of(&run)?;
    if !finished {
        return Err(Error::input(format!("{} is not finished", run.path().display()))
            .with_hint("run its recipe again with the same --out: a card is written of what is whole"));
    }
    for warning in &warnings {
        settings.terminal.warn(warning);
    }
    let folder = args.out.as_deref().unwrap_or(&args.run);
    let recipe = read(&run.path().join("recipe.toml"))?;
    let source = CardSource { report: &report, recipe: &recipe, prompt: &cribble_steps::prompt_text };
    let options = options(args, folder, run.path())?;
    interrupt::install(&settings.terminal)?;
    let card = write_card(
        &source,
        folder,
        &options,
        settings.dry_run,
        settings.reporter.as_ref(),
        &interrupt::CANCEL,
    )?;
    for note in &card.notes {
        settings.terminal.note(note);
    }
    if !card.unsaid.is_empty() {
        settings.terminal.warn(&format!(
            "nobody has said the licence, page or creator of the data: {} would; Croissant requires all three",
            card.unsaid.join(", ")
        ));
    }
    if settings.json {
        let value = json!({ "exit_code": 0, "dry_run": settings.dry_run, "card": card });
        settings.terminal.out_json("card", value);
    } else {
        say(settings, &card);
    }
    Ok(super::DONE)
}

fn say(settings: &Settings, card: &CardReport) {
    let wrote: Vec<String> = card.wrote.iter().map(|path| path.display().to_string()).collect();
    settings.terminal.say(&format!(
        "{} {}: {}, {}{}",
        if settings.dry_run { "would write" } else { "wrote" },
        wrote.join(" and "),
        text::counted(card.files, "file", "files"),
        text::bytes(card.bytes),
        card.samples
            .map_or(String::new(), |samples| format!(", {}", text::counted(samples, "sample", "samples")))
    ));
}

fn options(args: &CardArgs, folder: &Path, run: &Path) -> Result<CardOptions> {
    let of_repo = || args.repo.as_deref().and_then(|repo| repo.rsplit('/').next()).map(str::to_owned);
    let pretty_name = args.pretty_name.clone().or_else(of_repo).unwrap_or_else(|| name(folder));
    Ok(CardOptions {
        license: args.license.clone(),
        languages: args.language.clone(),
        pretty_name,
        repo: args.repo.clone(),
        url: args.url.clone(),
        creators: args.creator.clone(),
        organizations: args.organization.clone(),
        date: match &args.date {
            Some(date) => date.clone(),
            None => written(&run.join("manifest.json"))?,
        },
        tags: args.tag.clone(),
        tasks: args.task.clone(),
        source_datasets: args.source_dataset.clone(),
    })
}

/// The name of a folder, whatever way its path is written.
fn name(folder: &Path) -> String {
    let whole = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    whole.file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned())
}

/// The day on which a file was written.
fn written(path: &Path) -> Result<String> {
    let fail = |error| Error::wrap(ErrorKind::Input, error).context(path.display());
    let time: SystemTime = std::fs::metadata(path).and_then(|data| data.modified()).map_err(fail)?;
    Ok(day(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::wrap(ErrorKind::Input, error).context(path.display()))
}
