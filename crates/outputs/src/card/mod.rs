//! What is published beside the data: `README.md`, the dataset card of the Hugging Face Hub, and `croissant.json`, the same for programs. Both come from
//! the run's one report, its recipe, and a look at the files that are really there; no figure is computed again.
//!
//! The same run, files and options give the same bytes: neither holds a duration or the time of writing, and the one date is an option.
mod croissant;
mod markers;
mod options;
mod provenance;
mod published;
mod readme;
mod steps;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use cribble_core::{Cancel, Error, ErrorKind, Progress, Result, RunReport};
use serde::Serialize;

use crate::report::format::{counted, percent};
use published::{Kind, Published};

pub use options::{CardOptions, day};

/// The card.
pub const README: &str = "README.md";
/// The same for programs.
pub const CROISSANT: &str = "croissant.json";

/// What a card is written from.
pub struct CardSource<'a> {
    /// The run's report.
    pub report: &'a RunReport,
    /// The run's recipe, every default written out.
    pub recipe: &'a str,
    /// The text of a prompt by the name that a report has for it; none where it cannot be had any more.
    pub prompt: &'a dyn Fn(&str) -> Option<String>,
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct CardReport {
    /// The folder.
    pub folder: PathBuf,
    /// The files that were written.
    pub wrote: Vec<PathBuf>,
    /// Samples in the files of the folder; none where it holds no samples and no subset.
    pub samples: Option<u64>,
    /// Files that the card describes.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What Croissant requires and nobody has said, by the flag that says it.
    pub unsaid: Vec<&'static str>,
    /// What became of a README that was there, a sentence each.
    pub notes: Vec<String>,
}

/// A folder with all that is known of it.
struct Facts<'a> {
    report: &'a RunReport,
    recipe: &'a str,
    prompt: &'a dyn Fn(&str) -> Option<String>,
    options: &'a CardOptions,
    published: &'a Published,
    /// The name for programs.
    name: String,
}

impl Facts<'_> {
    /// The samples that a user gets: those of the files, else those that the run kept.
    fn samples(&self) -> u64 {
        self.published.samples().unwrap_or(self.report.selection.kept)
    }

    /// One sentence.
    fn summary(&self) -> String {
        let (kept, input) = (self.report.selection.kept, &self.report.input);
        format!(
            "{} ({}) that Cribble {} kept of {} in {} ({}, {}), by {}.",
            counted(kept, "image-text pair", "image-text pairs"),
            percent(kept, input.rows),
            self.report.program_version,
            counted(input.rows, "sample", "samples"),
            input.path,
            input.layout,
            counted(input.shards, "shard", "shards"),
            counted(self.report.steps.len() as u64, "step", "steps"),
        )
    }

    fn tags(&self) -> Vec<String> {
        let mut tags = vec!["image-text".to_owned(), "cribble".into()];
        if self.published.of(Kind::Tar).next().is_some() {
            tags.push("webdataset".into());
        }
        for tag in &self.options.tags {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
        tags
    }
}

/// Writes `README.md` and `croissant.json` into a folder that is to be published: a finished run's own, the output of `reshard`, or that of the parquet
/// export. Of a README that is there, everything outside our markers stays. With `dry_run` all is looked at and nothing is written.
///
/// # Errors
/// Options of another shape; a folder that is none of these, is still being written or lacks files; a README with half a pair of markers, or that is no
/// text.
pub fn write_card(
    source: &CardSource<'_>,
    folder: &Path,
    options: &CardOptions,
    dry_run: bool,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<CardReport> {
    options.validate()?;
    let place = folder.join(README);
    let before = read(&place)?;
    let published = published::look(folder, progress, cancel)?;
    let CardSource { report, recipe, prompt } = *source;
    let name =
        options.repo.as_deref().and_then(|repo| repo.rsplit('/').next()).unwrap_or(&options.pretty_name);
    let facts = Facts { report, recipe, prompt, options, published: &published, name: name.to_owned() };
    let card =
        markers::merge(&before, &readme::parts(&facts)).map_err(|error| error.context(place.display()))?;
    let mut croissant = serde_json::to_string_pretty(&croissant::document(&facts))
        .map_err(|error| Error::bug(error.to_string()))?;
    croissant.push('\n');
    let wrote = vec![place.clone(), folder.join(CROISSANT)];
    if !dry_run {
        cribble_io::write_file(&place, card.file.as_bytes())?;
        cribble_io::write_file(&folder.join(CROISSANT), croissant.as_bytes())?;
    }
    Ok(CardReport {
        folder: folder.into(),
        wrote,
        samples: published.samples(),
        files: published.items.len() as u64,
        bytes: published.items.iter().map(|item| item.bytes).sum(),
        unsaid: options.unsaid(),
        notes: card.notes,
    })
}

/// The text of a file; empty where there is none.
fn read(path: &Path) -> Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| {
            Error::input(format!("{} is no UTF-8", path.display()))
                .with_hint("save it as UTF-8: what a person wrote there is to be kept")
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Error::wrap(ErrorKind::Input, error).context(path.display())),
    }
}
