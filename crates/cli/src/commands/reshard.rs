//! `reshard`: the samples of a subset into new tars, and the table that says what became of each that was asked for.
use std::path::Path;

use cribble_core::{Error, ErrorKind, Result};
use cribble_outputs::{
    RunCaptions,
    reshard::{
        CaptionSource, KeyStyle, ReshardOptions, ReshardReport, open_clip_flags, reshard_with_captions,
    },
};
use cribble_pipeline::RunFolder;
use serde_json::json;

use crate::{
    args::{Keys, ReshardArgs},
    finish, interrupt,
    interrupt::quote,
    settings::Settings,
    text,
};

/// Copies the samples.
pub fn run(settings: &Settings, args: &ReshardArgs) -> Result<u8> {
    let options = ReshardOptions {
        input: finish::tar_inputs(&args.input)?,
        subset: args.subset.clone(),
        output: args.output.clone(),
        shard_size: args.shard_size,
        keys: match args.keys {
            Keys::Original => KeyStyle::Original,
            Keys::Uid => KeyStyle::Uid,
        },
        txt: args.txt,
        allow_missing: args.allow_missing,
        shard_format: args.shard_format.clone(),
        threads: settings.limits.threads,
        memory_bytes: finish::sorting_memory(settings.limits.memory),
        dry_run: settings.dry_run,
        overwrite: args.overwrite,
        index: args.index.clone(),
        ..ReshardOptions::default()
    };
    let captions = args.captions.as_deref().map(captions_of).transpose()?;
    interrupt::install(&settings.terminal)?;
    let source = captions.as_ref().map(|captions| captions as &dyn CaptionSource);
    let report = reshard_with_captions(&options, source, &*settings.reporter, &interrupt::CANCEL)
        .map_err(interrupt::resumable)?;
    let code = if report.is_complete() || args.allow_missing {
        super::DONE
    } else {
        ErrorKind::Incomplete.exit_code()
    };
    if settings.json {
        let flags = open_clip_flags(&args.output, &report);
        let value = json!({ "output": args.output, "exit_code": code, "report": report, "open_clip": flags });
        settings.terminal.out_json("reshard", value);
    } else {
        settings.terminal.out(&table(&report));
    }
    say(settings, &args.output, &report);
    let output = args.output.display().to_string();
    if settings.dry_run {
        settings.terminal.say("nothing was written");
    } else {
        settings.terminal.say(&format!("  wrote {output}; next: cribble check {}", quote(&output)));
    }
    if code != super::DONE {
        settings.terminal.warn(&format!(
            "{} of the subset are in no tar; --allow-missing makes that a success",
            text::counted(report.missing_distinct, "sample", "samples")
        ));
    }
    Ok(code)
}

/// The captions of a run, for its samples in any tars.
fn captions_of(run: &Path) -> Result<RunCaptions> {
    let run = RunFolder::open(run)?;
    if !run.manifest.finished {
        return Err(Error::input(format!("{} is not finished", run.path().display()))
            .with_hint("run its recipe again with the same --out: what is done is kept"));
    }
    RunCaptions::require(&run)
}

/// One line on what was copied, one on how to train on new captions, and every warning.
pub fn say(settings: &Settings, output: &Path, report: &ReshardReport) {
    let (what, samples) =
        if report.dry_run { ("Would reshard", report.found) } else { ("Resharded", report.written) };
    let mut line = format!(
        "{} {} into {}, {}",
        settings.terminal.bold(what),
        text::counted(samples, "sample", "samples"),
        text::counted(report.shards.len() as u64, "tar", "tars"),
        text::bytes(report.bytes),
    );
    if report.missing > 0 {
        let causes: Vec<String> = report
            .missing_by_cause
            .iter()
            .map(|(cause, count)| format!("{} {cause}", text::count(*count)))
            .collect();
        line += &format!("; {} missing ({})", text::count(report.missing), causes.join(", "));
    }
    settings.terminal.say(&line);
    if let Some(captions) = report.captions.as_ref().filter(|_| !report.dry_run) {
        settings.terminal.say(&format!(
            "  {} with {}",
            text::counted(captions.counts.samples, "sample", "samples"),
            captions.fields.join(", ")
        ));
        if let Some(flags) = open_clip_flags(output, report) {
            settings.terminal.say(&format!("  open_clip: {flags}"));
        }
    }
    for fault in &report.faults {
        settings.terminal.warn(&fault.to_string());
    }
    for warning in &report.warnings {
        settings.terminal.warn(warning);
    }
}

/// What was asked for, and what became of it.
fn table(report: &ReshardReport) -> String {
    let mut rows = vec![
        vec!["requested".to_owned(), text::count(report.requested)],
        vec!["found".into(), text::count(report.found)],
        vec!["written".into(), text::count(report.written)],
        vec!["missing".into(), text::count(report.missing)],
    ];
    for (cause, count) in &report.missing_by_cause {
        rows.push(vec![format!("  {cause}"), text::count(*count)]);
    }
    rows.push(vec!["in the tars, not requested".into(), text::count(report.not_requested)]);
    if report.repeated_in_input > 0 {
        rows.push(vec!["in the tars, repeated".into(), text::count(report.repeated_in_input)]);
    }
    text::table(&rows, &[false, true])
}
