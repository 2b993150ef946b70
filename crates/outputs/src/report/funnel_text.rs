//! The funnel for the terminal. Columns that do not fit are left out rather than wrapped, reasons move to a line of their own on a narrow
//! screen: a table that wraps is harder to read than one with fewer columns.
use std::fmt::Write;

use cribble_core::{Counts, RunReport};

use super::format::{DASH, by_count, count, percent, rate, seconds};
use super::funnel::total_rows;

/// Fewer columns than this beside the table: reasons get lines of their own.
const REASONS_BESIDE: usize = 28;

/// What a cell says by its look, beside its text. Without colour nothing is lost: errors have a column and a word of their own.
#[derive(Clone, Copy, PartialEq)]
enum Look {
    Plain,
    Strong,
    Faint,
    Alarm,
}

struct Row {
    cells: Vec<String>,
    reasons: Vec<(String, bool)>,
    look: Look,
}

/// The funnel as an aligned table: one line a step with rows seen and kept, kept in percent of what the step saw and of the whole input,
/// rows dropped, rows with errors (where there are any), seconds, rows a second and the reasons, most frequent first; last the selection.
/// Lines are at most `width` columns wide (as far as 40 columns suffice) and end without spaces. With `color`, ANSI styles mark the
/// header, the selection and errors; without them the text is the same.
///
/// Control and bidirectional-override characters of names are replaced, so that no input can steer the terminal.
pub fn funnel_text(report: &RunReport, width: usize, color: bool) -> String {
    let total = total_rows(report);
    let with_errors = report.steps.iter().any(|step| step.counts.errors_total() > 0);
    let mut heads = vec!["step", "seen", "kept", "of prev", "of all", "dropped"];
    if with_errors {
        heads.push("errors");
    }
    heads.extend(["time", "rows/s"]);
    let mut rows = vec![Row {
        cells: heads.iter().map(|head| (*head).to_owned()).collect(),
        reasons: Vec::new(),
        look: Look::Strong,
    }];
    for step in &report.steps {
        let counts = &step.counts;
        let numbers = Numbers {
            name: &step.step,
            seen: counts.seen,
            kept: counts.kept,
            of_previous: percent(counts.kept, counts.seen),
            total,
            dropped: counts.dropped_total(),
            errors: with_errors.then(|| counts.errors_total()),
            seconds: step.seconds,
        };
        rows.push(Row { cells: numbers.cells(), reasons: reasons(counts), look: Look::Plain });
    }
    let selection = &report.selection;
    let numbers = Numbers {
        name: "selection",
        seen: selection.seen,
        kept: selection.kept,
        of_previous: String::new(),
        total,
        dropped: super::funnel::sum(selection.dropped_by.values()),
        errors: None,
        seconds: report.seconds,
    };
    let mut cells = numbers.cells();
    if with_errors {
        // The selection counts rows with errors among those dropped.
        cells.insert(6, String::new());
    }
    rows.push(Row { cells, reasons: Vec::new(), look: Look::Strong });
    layout(&rows, &heads, width.max(1), color)
}

struct Numbers<'a> {
    name: &'a str,
    seen: u64,
    kept: u64,
    of_previous: String,
    total: u64,
    dropped: u64,
    errors: Option<u64>,
    seconds: f64,
}

impl Numbers<'_> {
    fn cells(self) -> Vec<String> {
        let mut cells = vec![
            clean(self.name),
            count(self.seen),
            count(self.kept),
            self.of_previous,
            percent(self.kept, self.total),
            count(self.dropped),
        ];
        cells.extend(self.errors.map(count));
        cells.push(seconds(self.seconds));
        cells.push(rate(self.seen, self.seconds));
        cells
    }
}

/// Reasons, then error codes (marked), most frequent first.
fn reasons(counts: &Counts) -> Vec<(String, bool)> {
    let entry = |(name, number): (&str, u64)| format!("{} {}", clean(name), count(number));
    let errors = by_count(&counts.errors).into_iter().map(|error| (format!("error {}", entry(error)), true));
    by_count(&counts.dropped).into_iter().map(|reason| (entry(reason), false)).chain(errors).collect()
}

fn layout(rows: &[Row], heads: &[&str], width: usize, color: bool) -> String {
    // The step's name may take what is reasonable, then it is cut.
    let name_limit = (width / 3).clamp(8, 32);
    let mut columns: Vec<usize> = (0..heads.len()).collect();
    let width_of = |column: usize| {
        let widest = rows.iter().map(|row| columns_of(&row.cells[column])).max().unwrap_or(0);
        if column == 0 { widest.min(name_limit) } else { widest }
    };
    let table_width =
        |columns: &[usize]| columns.iter().map(|&column| width_of(column) + 2).sum::<usize>() - 2;
    for leave_out in ["rows/s", "time", "of prev", "dropped", "of all"] {
        if table_width(&columns) > width {
            columns.retain(|&column| heads[column] != leave_out);
        }
    }
    let used = table_width(&columns) + 2;
    let beside = width >= used + REASONS_BESIDE;
    let mut text = String::new();
    for (place, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for &column in &columns {
            let cell = fit(&row.cells[column], width_of(column));
            let padding = " ".repeat(width_of(column) - columns_of(&cell));
            let gap = if column == 0 { "" } else { "  " };
            let shown = paint(&cell, look_of(row, heads[column], &cell), color);
            match column {
                0 => write!(line, "{gap}{shown}{padding}"),
                _ => write!(line, "{gap}{padding}{shown}"),
            }
            .ok();
        }
        if beside && place == 0 && rows.iter().any(|row| !row.reasons.is_empty()) {
            write!(line, "  {}", paint("dropped because", Look::Strong, color)).ok();
        }
        if beside && !row.reasons.is_empty() {
            write!(line, "  {}", joined(&row.reasons, width - used, color)).ok();
        }
        text.push_str(line.trim_end());
        text.push('\n');
        if !beside && !row.reasons.is_empty() {
            writeln!(text, "    {}", joined(&row.reasons, width.saturating_sub(4).max(12), color)).ok();
        }
    }
    text
}

fn look_of(row: &Row, head: &str, cell: &str) -> Look {
    if head == "errors" && row.look == Look::Plain && cell != "0" {
        Look::Alarm
    } else if cell == DASH {
        Look::Faint
    } else {
        row.look
    }
}

/// As many reasons as fit into `width`, the rest counted: `small 12, blurred 3, +2 more`. One that does not fit alone is cut.
fn joined(reasons: &[(String, bool)], width: usize, color: bool) -> String {
    let tail = |left: usize| if left == 0 { String::new() } else { format!(", +{left} more") };
    let mut used = 0;
    let mut shown = Vec::new();
    for (place, (reason, is_error)) in reasons.iter().enumerate() {
        let comma = if place == 0 { 0 } else { 2 };
        let rest = tail(reasons.len() - place - 1).chars().count();
        let room = width.saturating_sub(used + comma + rest);
        // A later one is cut only where enough of it remains to be recognised.
        let reason = if place == 0 || room >= 24 { keep_count(reason, room) } else { reason.clone() };
        if place > 0 && columns_of(&reason) > room {
            break;
        }
        used += comma + columns_of(&reason);
        shown.push(paint(&reason, if *is_error { Look::Alarm } else { Look::Plain }, color));
    }
    let left = reasons.len() - shown.len();
    format!("{}{}", shown.join(", "), paint(&tail(left), Look::Faint, color))
}

/// Cuts the name of a reason, not the count at its end.
fn keep_count(reason: &str, room: usize) -> String {
    match reason.rsplit_once(' ') {
        Some((name, number)) if columns_of(reason) > room => {
            format!("{} {number}", fit(name, room.saturating_sub(number.len() + 1)))
        }
        _ => reason.to_owned(),
    }
}

fn paint(text: &str, look: Look, color: bool) -> String {
    let code = match look {
        Look::Plain => "",
        Look::Strong => "1",
        Look::Faint => "2",
        Look::Alarm => "31",
    };
    if !color || code.is_empty() || text.is_empty() {
        text.to_owned()
    } else {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Columns that a text takes on a terminal: wide scripts take two, marks that sit on another character none.
fn columns_of(text: &str) -> usize {
    text.chars().map(columns_of_char).sum()
}

fn columns_of_char(character: char) -> usize {
    match character as u32 {
        0x0300..=0x036F | 0x0591..=0x05BD | 0x064B..=0x065F | 0x200B..=0x200F | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F
        | 0x2E80..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1F64F
        | 0x1F680..=0x1F9FF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// At most `width` columns, the last one an ellipsis where something is missing.
fn fit(text: &str, width: usize) -> String {
    if columns_of(text) <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += columns_of_char(character);
        if used > width {
            break;
        }
        cut.push(character);
    }
    cut.push('…');
    cut
}

/// Without what could steer a terminal: control characters and overrides of the writing direction.
fn clean(text: &str) -> String {
    let steers = |character: char| {
        character.is_control() || matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|character| if steers(character) { '\u{FFFD}' } else { character }).collect()
}
