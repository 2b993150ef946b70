//! The end of a run: selection, subsets, tars, report. All of it is made again from the steps' tables whenever a run is resumed, so a kill in
//! between needs no markers of its own; only the tars, which are large, keep theirs.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use cribble_core::{
    Error, ErrorKind, Gallery, InputReport, OutputOptions, Result, RunReport, StepReport, WithCaptions,
};
use cribble_io::{Location, pattern, storage::LocalStorage};
use cribble_outputs::{
    RunCaptions,
    report::{Page, render_page, report_json},
    reshard::{CaptionSource, KeyStyle, ReshardOptions, ReshardReport, reshard_with_captions},
};
use cribble_pipeline::{Executor, RunFolder, peak_memory, write_selection};

use crate::{
    gallery, planted,
    session::{Finished, Job},
    text,
};

/// Version of `report.json`.
pub const REPORT_SCHEMA: u32 = 1;

/// Writes what stands beside the steps and marks the run as finished.
pub fn finish(
    executor: &Executor<'_>,
    run: &mut RunFolder,
    job: &Job,
    mut steps: Vec<StepReport>,
    began: Instant,
) -> Result<Finished> {
    let output = &executor.recipe.output;
    let path = run.path().to_path_buf();
    let with_subset = output.subset || output.shards;
    cribble_io::clean_leftovers(&path.join("selection"))?;
    let (selection, subsets) = write_selection(executor, run, with_subset)?;
    let reshard = if output.shards { Some(write_shards(executor, run, output)?) } else { None };
    for (report, spec) in steps.iter_mut().zip(&executor.recipe.steps) {
        report.options = serde_json::to_value(&spec.options).ok();
    }
    executor.cancel.check()?;
    let mut report = RunReport {
        schema_version: REPORT_SCHEMA,
        program_version: env!("CARGO_PKG_VERSION").into(),
        input: InputReport {
            path: run.manifest.input.path.clone(),
            layout: run.manifest.input.layout.clone(),
            shards: run.manifest.input.shards,
            rows: run.manifest.input.rows,
            fingerprint: run.manifest.input.fingerprint.clone(),
        },
        steps,
        selection,
        memory_limit_bytes: executor.limits.memory,
        threads: executor.limits.threads as u64,
        ..RunReport::default()
    };
    if let Some(pool) = &job.pool {
        report.planted = planted::score(executor, run, &report, pool)?;
    }
    let mut gallery = None;
    if output.report {
        let Executor { dataset, recipe, cancel, .. } = *executor;
        let gathered = gallery::gather(&gallery::Source { dataset, run, recipe, report: &report, cancel })?;
        gallery::write(&path, &gathered)?;
        gallery = Some(gathered);
    }
    report.seconds = began.elapsed().as_secs_f64();
    report.peak_memory_bytes = peak_memory();
    if output.report {
        write_page(&path, &report, gallery.as_ref(), &[])?;
    }
    write_report(&path, &report)?;
    run.finish()?;
    let shortfalls = shortfalls(&report, reshard.as_ref(), output, job.max_error_rate);
    let wrote = wrote(&path, &report, output, with_subset, &subsets);
    let sample = gallery.and_then(|gallery| Some(gallery.strips.first()?.uids.first()?.clone()));
    Ok(Finished { report, sample, reshard, subsets, wrote, shortfalls })
}

/// Writes `report.json`.
pub fn write_report(run: &Path, report: &RunReport) -> Result<()> {
    Ok(cribble_io::write_file(&run.join("report.json"), report_json(report).as_bytes())?)
}

/// Writes `report.html`.
pub fn write_page(
    run: &Path,
    report: &RunReport,
    gallery: Option<&Gallery>,
    warnings: &[String],
) -> Result<()> {
    let page = render_page(&Page { report, gallery, warnings, images: &BTreeMap::new() });
    Ok(cribble_io::write_file(&run.join("report.html"), page.as_bytes())?)
}

/// Reads `report.json` of a finished run; `None` when there is none yet.
pub fn read_report(run: &Path) -> Result<Option<RunReport>> {
    let path = run.join("report.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::wrap(ErrorKind::Input, error).context(path.display())),
    };
    let report: RunReport = serde_json::from_str(&text).map_err(|error| {
        Error::input(format!("{}: not a report: {error}", path.display()))
            .with_hint("run the recipe again with the same --out: it is written anew")
    })?;
    Ok(Some(report))
}

/// Every place that a pattern of tars names.
pub fn tar_inputs(patterns: &[String]) -> Result<Vec<PathBuf>> {
    let mut inputs = Vec::new();
    for text in patterns {
        let found: Vec<Location> = pattern::expand(&LocalStorage, text)?;
        inputs.extend(found.into_iter().map(|location| location.path().to_path_buf()));
    }
    Ok(inputs)
}

fn write_shards(executor: &Executor<'_>, run: &RunFolder, output: &OutputOptions) -> Result<ReshardReport> {
    let images = executor.recipe.input.images.clone().ok_or_else(|| Error::bug("shards without images"))?;
    let captions = match output.captions {
        WithCaptions::Never => None,
        WithCaptions::Auto => RunCaptions::find(run)?,
        WithCaptions::Always => Some(RunCaptions::require(run)?),
    };
    let path = run.path();
    let options = ReshardOptions {
        input: tar_inputs(&[images])?,
        subset: path.join("subset.npy"),
        output: path.join("shards"),
        shard_size: output.shard_size,
        keys: if output.keys == "uid" { KeyStyle::Uid } else { KeyStyle::Original },
        txt: output.txt,
        allow_missing: output.allow_missing,
        threads: executor.limits.threads,
        memory_bytes: sorting_memory(executor.limits.memory),
        // Everything in a run folder follows its recipe: tars of an earlier one are outdated.
        overwrite: true,
        index: Some(path.join("images")),
        ..ReshardOptions::default()
    };
    let source = captions.as_ref().map(|captions| captions as &dyn CaptionSource);
    reshard_with_captions(&options, source, executor.progress, executor.cancel)
}

/// Memory for sorting under a ceiling: a quarter, and no more than a gigabyte, beyond which sorting gains nothing.
pub fn sorting_memory(ceiling: u64) -> usize {
    usize::try_from((ceiling / 4).min(1 << 30)).unwrap_or(1 << 30)
}

fn shortfalls(
    report: &RunReport,
    reshard: Option<&ReshardReport>,
    output: &OutputOptions,
    max_error_rate: f64,
) -> Vec<String> {
    let mut shortfalls = Vec::new();
    let errors: u64 = report.steps.iter().map(|step| step.counts.errors_total()).sum();
    let rate = errors as f64 / report.input.rows.max(1) as f64;
    if rate > max_error_rate {
        shortfalls.push(format!(
            "{} of {} could not be judged ({:.2}%, tolerated {:.2}%); errors.parquet has them all",
            text::count(errors),
            text::counted(report.input.rows, "row", "rows"),
            rate * 100.0,
            max_error_rate * 100.0
        ));
    }
    if let Some(reshard) = reshard.filter(|reshard| !reshard.is_complete() && !output.allow_missing) {
        shortfalls.push(format!(
            "{} of the {} that were kept are in no tar; shards/missing_uids.csv has them all",
            text::count(reshard.missing),
            text::counted(reshard.requested, "sample", "samples")
        ));
    }
    shortfalls
}

fn wrote(
    run: &Path,
    report: &RunReport,
    output: &OutputOptions,
    with_subset: bool,
    subsets: &[(String, u64)],
) -> Vec<PathBuf> {
    let mut names = Vec::new();
    if output.report {
        names.push("report.html".to_owned());
    }
    if with_subset {
        names.push("subset.npy".into());
        names.extend(subsets.iter().map(|(label, _)| format!("subset-{label}.npy")));
    }
    if output.shards {
        names.push("shards".into());
    }
    if report.steps.iter().any(|step| step.counts.errors_total() > 0) {
        names.push("errors.parquet".into());
    }
    names.into_iter().map(|name| run.join(name)).collect()
}
