//! `reshard`: the samples of a subset into new tars, and the table that says what became of each that was asked for.
use cribble_core::{ErrorKind, Result};
use cribble_outputs::reshard::{KeyStyle, ReshardOptions, ReshardReport, reshard};
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
        allow_missing: args.allow_missing,
        shard_format: args.shard_format.clone(),
        threads: settings.limits.threads,
        memory_bytes: finish::sorting_memory(settings.limits.memory),
        dry_run: settings.dry_run,
        overwrite: args.overwrite,
        index: args.index.clone(),
        ..ReshardOptions::default()
    };
    interrupt::install(&settings.terminal)?;
    let report = reshard(&options, &*settings.reporter, &interrupt::CANCEL).map_err(interrupt::resumable)?;
    let code = if report.is_complete() || args.allow_missing {
        super::DONE
    } else {
        ErrorKind::Incomplete.exit_code()
    };
    if settings.json {
        settings
            .terminal
            .out_json("reshard", json!({ "output": args.output, "exit_code": code, "report": report }));
    } else {
        settings.terminal.out(&table(&report));
    }
    say(settings, &report);
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

/// One line on what was copied, and every warning.
pub fn say(settings: &Settings, report: &ReshardReport) {
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
