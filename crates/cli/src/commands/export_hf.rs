//! `export --format hf-parquet`: the kept samples with their pictures, as Hugging Face's `datasets` reads them.
use std::path::Path;

use cribble_core::{Error, ErrorKind, Result};
use cribble_outputs::export::{HfExport, HfOptions, MISSING_FILE, hf_parquet};
use cribble_pipeline::RunView;
use serde_json::json;

use crate::{
    args::ExportArgs,
    interrupt,
    interrupt::{quote, resumable},
    settings::Settings,
    text,
};

/// Where a file ends if nothing else is said.
const SHARD_BYTES: u64 = 500_000_000;

/// Writes the files; exit code 3 when kept samples have no picture and nobody allowed that.
pub fn run(settings: &Settings, args: &ExportArgs, out: &Path) -> Result<u8> {
    if args.all {
        return Err(Error::usage("--all means nothing for hf-parquet")
            .with_hint("it holds what was kept; --format parquet has the rows of dropped samples"));
    }
    if args.embedding.is_some() {
        return Err(Error::usage("--embedding means nothing for hf-parquet")
            .with_hint("its rows have pictures; clip-retrieval and embedding-atlas have vectors"));
    }
    let shard_bytes = args.shard_bytes.unwrap_or(SHARD_BYTES);
    if shard_bytes == 0 {
        return Err(
            Error::usage("--shard-bytes 0 leaves no room for a row").with_hint("500MB is the default")
        );
    }
    let view = RunView::open(&args.run)?;
    if settings.dry_run {
        settings.terminal.say(&format!(
            "would write the kept samples of {} with their pictures to {}",
            args.run.display(),
            out.display()
        ));
        if settings.json {
            settings.terminal.out_json("export", json!({ "dry_run": true, "exit_code": 0, "out": out }));
        }
        return Ok(super::DONE);
    }
    interrupt::install(&settings.terminal)?;
    let options = HfOptions { out: out.into(), shard_bytes, images: args.images.clone() };
    let export = hf_parquet(&view, &options, settings.limits, settings.reporter.as_ref(), &interrupt::CANCEL)
        .map_err(resumable)?;
    let is_short = !export.missing.is_empty() && !args.allow_missing;
    let code = if is_short { ErrorKind::Incomplete.exit_code() } else { super::DONE };
    if settings.json {
        let value = json!({ "exit_code": code, "out": out, "export": export });
        settings.terminal.out_json("export", value);
    } else {
        say(settings, args, out, &export);
    }
    if is_short {
        settings.terminal.warn("--allow-missing makes that a success");
    }
    Ok(code)
}

fn say(settings: &Settings, args: &ExportArgs, out: &Path, export: &HfExport) {
    let bytes = export.files.iter().map(|file| file.bytes).sum();
    settings.terminal.say(&format!(
        "wrote {} with {} to {}, {}",
        text::counted(export.rows, "row", "rows"),
        export.columns.join(", "),
        text::counted(export.files.len() as u64, "file", "files"),
        text::bytes(bytes)
    ));
    if export.reused > 0 {
        let parts = text::counted(export.reused, "file was", "files were");
        settings.terminal.note(&format!("{parts} done before this command"));
    }
    if !export.missing.is_empty() {
        let causes: Vec<String> =
            export.missing.iter().map(|(code, rows)| format!("{code} {}", text::count(*rows))).collect();
        settings.terminal.warn(&format!(
            "{} of {} kept samples have no picture and were left out ({}); {} lists them",
            text::count(export.missing.values().sum()),
            text::count(export.kept),
            causes.join(", "),
            out.join(MISSING_FILE).display()
        ));
    }
    let (run, out) = (args.run.display().to_string(), out.display().to_string());
    settings.terminal.say(&format!("  next: cribble card {} --out {}", quote(&run), quote(&out)));
}
