//! `check`: what an input is and whether its parts belong together. Faults are findings, printed in full; the exit code is 1 when there is one
//! that would make a run's results wrong.
use cribble_core::{ErrorKind, InputOptions, Result};
use cribble_io::check::{AlignmentVerdict, ArrayReport, CheckOptions, CheckReport, check};
use serde_json::json;

use crate::{args::CheckArgs, session, settings::Settings, text};

/// Columns listed before the rest is counted.
const MOST_COLUMNS: usize = 40;

/// Checks an input.
pub fn run(settings: &Settings, args: &CheckArgs) -> Result<u8> {
    let input = InputOptions {
        path: args.input.clone(),
        images: None,
        ids: args.ids.clone(),
        dim: args.dim,
        dtype: args.dtype.clone(),
    };
    let dataset = session::open_input(settings, &input)?;
    let options = CheckOptions { memory_bytes: settings.limits.memory / 4, ..CheckOptions::default() };
    let report = check(&dataset, &options)?;
    let code = if report.is_sound() { super::DONE } else { ErrorKind::Input.exit_code() };
    if settings.json {
        settings
            .terminal
            .out_json("check", json!({ "sound": report.is_sound(), "exit_code": code, "check": report }));
    } else {
        settings.terminal.out(&render(&report));
    }
    for fault in faults(&report) {
        settings.terminal.warn(&fault);
    }
    Ok(code)
}

fn render(report: &CheckReport) -> String {
    let mut rows = vec![
        ("layout", format!("{}: {}", report.layout, report.why)),
        ("shards", shards(report)),
        ("rows", text::count(report.rows)),
        ("uids", uids(report)),
    ];
    let columns: Vec<String> = report
        .columns
        .iter()
        .take(MOST_COLUMNS)
        .map(|column| format!("{} ({})", column.name, column.kind))
        .collect();
    let more = report.columns.len().saturating_sub(MOST_COLUMNS);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    rows.push((
        "columns",
        format!("{}{more}", if columns.is_empty() { "none".into() } else { columns.join(", ") }),
    ));
    if report.arrays.is_empty() {
        rows.push(("arrays", "none".into()));
    }
    rows.extend(report.arrays.iter().map(|one| ("array", array(one))));
    let verdict = match report.alignment.verdict {
        AlignmentVerdict::Proven => "proven",
        AlignmentVerdict::NotProvable => "not provable",
        AlignmentVerdict::Broken => "BROKEN",
    };
    rows.push(("alignment", format!("{verdict}: {}", report.alignment.why)));
    for score in &report.alignment.scores {
        let correlation = score.correlation.map_or_else(|| "–".into(), |value| format!("{value:.4}"));
        rows.push((
            "",
            format!(
                "{} = {} · {} on {}: mean difference {:.5}, correlation {correlation}",
                score.column,
                score.image_array,
                score.text_array,
                text::counted(score.rows, "row", "rows"),
                score.mean_abs_difference
            ),
        ));
    }
    rows.push(("fingerprint", report.fingerprint.clone()));
    let cells: Vec<Vec<String>> =
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    text::table(&cells, &[false, false])
}

fn shards(report: &CheckReport) -> String {
    let mut line = text::count(report.shards);
    if report.shards > 0 {
        line += &format!(
            " of {} to {}",
            text::count(report.smallest_shard_rows),
            text::counted(report.largest_shard_rows, "row", "rows")
        );
    }
    if report.empty_shards > 0 {
        line += &format!(", {} empty", text::count(report.empty_shards));
    }
    line
}

fn uids(report: &CheckReport) -> String {
    let made = if report.made_uids { "made from file name and key, as the input has none; " } else { "" };
    match report.duplicates.uids {
        0 => format!("{made}all different"),
        count => format!("{made}{} occur more than once", text::count(count)),
    }
}

fn array(array: &ArrayReport) -> String {
    let mut line = format!("{} [n, {}] {}", array.name, array.dim, array.dtype);
    if array.sampled > 0 {
        let unit = if array.unit == array.sampled {
            "all of unit length".to_owned()
        } else {
            format!(
                "{} of unit length, lengths {:.3} to {:.3}",
                text::count(array.unit),
                array.smallest_norm,
                array.largest_norm
            )
        };
        line += &format!("; of {} looked at {unit}", text::counted(array.sampled, "row", "rows"));
    }
    if array.zero > 0 {
        line += &format!(", {} of zeros", text::count(array.zero));
    }
    if array.not_finite > 0 {
        line += &format!(", {} with NaN or infinity", text::count(array.not_finite));
    }
    line
}

/// Each fault in a sentence.
fn faults(report: &CheckReport) -> Vec<String> {
    let mut faults = Vec::new();
    for one in &report.duplicates.first {
        let places: Vec<String> =
            one.places.iter().map(|place| format!("shard {} row {}", place.shard, place.row)).collect();
        faults.push(format!("uid {} occurs {} times: {}", one.uid, one.times, places.join(", ")));
    }
    let unlisted = report.duplicates.uids.saturating_sub(report.duplicates.first.len() as u64);
    if unlisted > 0 {
        faults
            .push(format!("{} occur more than once", text::counted(unlisted, "further uid", "further uids")));
    }
    for score in &report.alignment.scores {
        faults.extend(score.unaligned.iter().map(|shard| shard.message.clone()));
    }
    for array in report.arrays.iter().filter(|array| array.zero + array.not_finite > 0) {
        faults.push(format!(
            "array {}: {} of {} that were looked at cannot be judged; steps put such rows into errors.parquet",
            array.name,
            text::count(array.zero + array.not_finite),
            text::counted(array.sampled, "row", "rows")
        ));
    }
    faults
}
