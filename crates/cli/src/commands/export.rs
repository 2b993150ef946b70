//! `export`: writes what a run holds in the form that another tool reads. The input is opened again for the names of its samples.
use cribble_core::{Error, ErrorKind, Result};
use cribble_outputs::export::sorted_clusters;
use cribble_pipeline::RunFolder;
use serde_json::json;

use crate::{
    args::{ExportArgs, ExportFormat},
    interrupt, session,
    settings::Settings,
};

/// Writes the export.
pub fn run(settings: &Settings, args: &ExportArgs) -> Result<u8> {
    let run = RunFolder::open(&args.run)?;
    let recipe = run.recipe()?;
    let occupied = match std::fs::read_dir(&args.out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(Error::wrap(ErrorKind::Input, error).context(args.out.display())),
    };
    if occupied {
        return Err(Error::input(format!("{} is not empty", args.out.display()))
            .with_hint("name a new folder with --out: nothing is ever overwritten by an export"));
    }
    let dataset = session::open_input(settings, &recipe.input)?;
    if settings.dry_run {
        settings.terminal.say(&format!(
            "would write the clusters of {} to {}",
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
    let export = match args.format {
        ExportFormat::SortedClusters => sorted_clusters(
            &run,
            &dataset,
            &args.out,
            settings.limits.memory,
            settings.reporter.as_ref(),
            &interrupt::CANCEL,
        )?,
    };
    if settings.json {
        settings.terminal.out_json("export", json!({ "exit_code": 0, "export": export }));
    } else {
        let without =
            if export.assignments { "" } else { " (without nearest_cent.npy: some rows are in no cluster)" };
        settings.terminal.say(&format!(
            "wrote {} clusters with {} rows of {} to {}{without}",
            export.clusters,
            export.rows,
            export.step,
            export.folder.display()
        ));
    }
    Ok(super::DONE)
}
