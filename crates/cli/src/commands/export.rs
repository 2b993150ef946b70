//! `export`: writes what a run holds in the form that another tool reads. The input is opened again for the names of its samples.
use std::path::Path;

use cribble_core::{Error, ErrorKind, Result};
use cribble_io::source::Dataset;
use cribble_outputs::export::{RowFormat, cluster_labels, rows, sorted_clusters};
use cribble_pipeline::RunFolder;
use serde_json::{Value, json};

use super::export_vectors;
use crate::{
    args::{ExportArgs, ExportFormat},
    gallery, interrupt, session,
    settings::Settings,
    state::State,
    text,
};

/// What is to be written, where no page is.
pub(super) struct Wanted<'a> {
    pub run: &'a Path,
    pub format: ExportFormat,
    pub out: &'a Path,
    pub all: bool,
    pub embedding: Option<&'a str>,
}

/// Writes the export.
pub fn run(settings: &Settings, args: &ExportArgs) -> Result<u8> {
    if let Some(site) = &args.site {
        return page(settings, &args.run, site);
    }
    let (Some(format), Some(out)) = (args.format, &args.out) else {
        return Err(Error::usage("--format and --out say what to write and where")
            .with_hint("or name a folder for the report with --site"));
    };
    if format == ExportFormat::HfParquet {
        return super::export_hf::run(settings, args, out);
    }
    if args.images.is_some() || args.allow_missing || args.shard_bytes.is_some() {
        return Err(Error::usage(
            "--images, --shard-bytes and --allow-missing belong to --format hf-parquet",
        )
        .with_hint("the other formats hold no pictures"));
    }
    let embedding = args.embedding.as_deref();
    export(settings, &Wanted { run: &args.run, format, out, all: args.all, embedding })
}

/// The report as a folder.
fn page(settings: &Settings, run: &Path, site: &Path) -> Result<u8> {
    refuse_to_overwrite(site, true)?;
    let run = RunFolder::open(run)?;
    let state = State::of(&run)?;
    for warning in &state.warnings {
        settings.terminal.warn(warning);
    }
    if settings.dry_run {
        settings.terminal.say(&format!(
            "would write the page of {} to {}",
            run.path().display(),
            site.display()
        ));
        if settings.json {
            settings.terminal.out_json("export", json!({ "dry_run": true, "exit_code": 0, "out": site }));
        }
        return Ok(super::DONE);
    }
    interrupt::install(&settings.terminal)?;
    let written = gallery::write_site(settings, &run, &state, site, &interrupt::CANCEL)?;
    if settings.json {
        settings.terminal.out_json("export", json!({ "exit_code": 0, "export": written }));
    } else {
        settings.terminal.say(&format!(
            "wrote {} ({}) and {} beside it",
            written.page.display(),
            text::bytes(written.page_bytes),
            text::counted(written.images, "picture", "pictures")
        ));
    }
    Ok(super::DONE)
}

fn export(settings: &Settings, args: &Wanted<'_>) -> Result<u8> {
    let run = RunFolder::open(args.run)?;
    let recipe = run.recipe()?;
    if args.embedding.is_some() && !args.format.has_vectors() {
        return Err(Error::usage("--embedding means nothing for this format")
            .with_hint("it says whose vectors clip-retrieval and embedding-atlas get"));
    }
    if args.all && args.format == ExportFormat::SortedClusters {
        return Err(Error::usage("--all means nothing for sorted-clusters")
            .with_hint("its files have every row that is in a cluster"));
    }
    refuse_to_overwrite(args.out, args.format.is_folder())?;
    let dataset = session::open_input(settings, &recipe.input)?;
    if settings.dry_run {
        let what = if args.format == ExportFormat::SortedClusters { "the clusters" } else { "rows" };
        settings.terminal.say(&format!(
            "would write {what} of {} to {}",
            args.run.display(),
            args.out.display()
        ));
        if settings.json {
            let value = json!({ "dry_run": true, "exit_code": 0, "out": args.out });
            settings.terminal.out_json("export", value);
        }
        return Ok(super::DONE);
    }
    interrupt::install(&settings.terminal)?;
    let (export, said) = write(settings, args, &run, &dataset)?;
    if settings.json {
        settings.terminal.out_json("export", json!({ "exit_code": 0, "export": export }));
    } else {
        settings.terminal.say(&said);
    }
    Ok(super::DONE)
}

/// Nothing is ever overwritten by an export.
pub(super) fn refuse_to_overwrite(out: &Path, is_folder: bool) -> Result<()> {
    let problem = if is_folder {
        let is_occupied = match std::fs::read_dir(out) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(Error::wrap(ErrorKind::Input, error).context(out.display())),
        };
        is_occupied.then_some(("is not empty", "folder"))
    } else {
        out.exists().then_some(("is there already", "file"))
    };
    match problem {
        None => Ok(()),
        Some((what, kind)) => Err(Error::input(format!("{} {what}", out.display()))
            .with_hint(format!("name a new {kind}: nothing is ever overwritten by an export"))),
    }
}

/// Writes it; returns what to say to programs and to people.
fn write(
    settings: &Settings,
    args: &Wanted<'_>,
    run: &RunFolder,
    dataset: &Dataset,
) -> Result<(Value, String)> {
    let (out, progress, cancel): (&Path, _, _) = (args.out, settings.reporter.as_ref(), &interrupt::CANCEL);
    let format = match args.format {
        ExportFormat::SortedClusters => {
            let export = sorted_clusters(run, dataset, out, settings.limits.memory, progress, cancel)?;
            let without = if export.assignments {
                ""
            } else {
                " (without nearest_cent.npy: some rows are in no cluster)"
            };
            let said = format!(
                "wrote {} clusters with {} rows of {} to {}{without}",
                export.clusters,
                export.rows,
                export.step,
                export.folder.display()
            );
            return Ok((json!(export), said));
        }
        ExportFormat::ClusterLabels => None,
        ExportFormat::Parquet => Some(RowFormat::Parquet),
        ExportFormat::Jsonl => Some(RowFormat::Jsonl),
        ExportFormat::HfParquet => return Err(Error::bug("pictures are not written here")),
        ExportFormat::EmbeddingAtlas => return export_vectors::atlas(settings, args),
        ExportFormat::ClipRetrieval => return export_vectors::clip(settings, args),
    };
    let export = match format {
        None => cluster_labels(run, dataset, out, args.all, progress, cancel)?,
        Some(format) => rows(run, dataset, out, format, args.all, progress, cancel)?,
    };
    let said = format!(
        "wrote {} with {} to {}",
        text::counted(export.rows, "row", "rows"),
        export.columns.join(", "),
        export.file.display()
    );
    Ok((json!(export), said))
}
