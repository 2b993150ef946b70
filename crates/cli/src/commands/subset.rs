//! `subset`: sums over files of uids.
use std::path::{Path, PathBuf};

use cribble_core::{Error, Result};
use cribble_outputs::subset_algebra::{
    AlgebraOptions, AlgebraReport, Amount, Combine, combine, convert, info, sample,
};
use serde_json::{Value, json};

use crate::{args::SubsetCommand, finish::sorting_memory, settings::Settings, text};

/// Runs one operation.
pub fn run(settings: &Settings, command: &SubsetCommand) -> Result<u8> {
    match command {
        SubsetCommand::Info { file } => show_info(settings, file),
        SubsetCommand::And(both) => {
            write(settings, &both.target.output, &both.files, |o| combine(Combine::And, &both.files, o))
        }
        SubsetCommand::Or(both) => {
            write(settings, &both.target.output, &both.files, |o| combine(Combine::Or, &both.files, o))
        }
        SubsetCommand::Minus(both) => {
            write(settings, &both.target.output, &both.files, |o| combine(Combine::Minus, &both.files, o))
        }
        SubsetCommand::Sample { file, fraction, count, seed, target } => {
            let amount = match (fraction, count) {
                (Some(fraction), _) => Amount::Fraction(*fraction),
                (None, Some(count)) => Amount::Count(*count),
                (None, None) => return Err(Error::usage("neither --fraction nor --count is given")),
            };
            write(settings, &target.output, std::slice::from_ref(file), |o| sample(file, amount, *seed, o))
        }
        SubsetCommand::Convert { file, target } => {
            write(settings, &target.output, std::slice::from_ref(file), |o| convert(file, o))
        }
    }
}

fn show_info(settings: &Settings, file: &Path) -> Result<u8> {
    let scratch = std::env::temp_dir();
    let info = info(file, &scratch, sorting_memory(settings.limits.memory))?;
    if settings.json {
        let value = serde_json::to_value(&info).map_err(|error| Error::bug(error.to_string()))?;
        settings.terminal.out_json("subset", merge(json!({ "file": file, "exit_code": 0 }), value));
        return Ok(super::DONE);
    }
    let order = match info.facts.first_unsorted_row {
        None => "sorted".to_owned(),
        Some(row) => format!("not sorted: row {row} is smaller than the row before it"),
    };
    let none = || "–".to_owned();
    let format =
        serde_json::to_value(info.facts.format).ok().and_then(|value| value.as_str().map(str::to_owned));
    let rows = [
        ("format", format.unwrap_or_else(none)),
        ("uids", text::count(info.facts.count)),
        ("distinct", text::count(info.distinct)),
        ("most copies of one", text::count(info.max_copies)),
        ("order", order),
        ("smallest", info.smallest.unwrap_or_else(none)),
        ("largest", info.largest.unwrap_or_else(none)),
    ];
    settings
        .terminal
        .out(&text::table(&rows.map(|(name, value)| vec![name.to_owned(), value]), &[false, false]));
    Ok(super::DONE)
}

fn write(
    settings: &Settings,
    output: &Path,
    inputs: &[PathBuf],
    operation: impl FnOnce(&AlgebraOptions) -> Result<AlgebraReport>,
) -> Result<u8> {
    if settings.dry_run {
        // The libraries have no dry mode for so small a thing; what can be wrong is the inputs.
        for input in inputs {
            if !input.is_file() {
                return Err(Error::input(format!("{}: no such file", input.display())));
            }
        }
        settings.terminal.say(&format!("would write {}; nothing was written", output.display()));
        if settings.json {
            settings
                .terminal
                .out_json("subset", json!({ "dry_run": true, "output": output, "exit_code": 0 }));
        }
        return Ok(super::DONE);
    }
    if let Some(same) = inputs.iter().find(|input| same_file(input, output)) {
        return Err(Error::usage(format!("{} would be read and written at once", same.display()))
            .with_hint("name another file with -o"));
    }
    let options = AlgebraOptions {
        memory_bytes: sorting_memory(settings.limits.memory),
        ..AlgebraOptions::new(output)
    };
    let report = operation(&options)?;
    for warning in &report.warnings {
        settings.terminal.warn(warning);
    }
    if settings.json {
        let value = serde_json::to_value(&report).map_err(|error| Error::bug(error.to_string()))?;
        settings.terminal.out_json("subset", merge(json!({ "output": output, "exit_code": 0 }), value));
    }
    let read: Vec<String> = report.inputs.iter().map(|facts| text::count(facts.count)).collect();
    settings.terminal.say(&format!(
        "{} {} ({} distinct) from {} to {}",
        settings.terminal.bold("Wrote"),
        text::counted(report.count, "uid", "uids"),
        text::count(report.distinct),
        read.join(" and "),
        output.display()
    ));
    Ok(super::DONE)
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn merge(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Object(mut first), Value::Object(second)) => {
            first.extend(second);
            Value::Object(first)
        }
        (first, _) => first,
    }
}
