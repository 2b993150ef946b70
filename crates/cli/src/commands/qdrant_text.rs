//! What `qdrant` says to people.
use std::path::Path;

use cribble_qdrant::{DuplicateReport, Hit, Pair, PushReport};
use serde_json::Value;

use crate::{interrupt::quote, settings::Settings, text};

/// Pairs that are shown.
pub const MOST_PAIRS: usize = 10;
/// A caption is shown with at least so many characters.
const LEAST_CAPTION: usize = 20;

/// What became of a push.
pub fn pushed(settings: &Settings, report: &PushReport, url: &str) {
    let terminal = &settings.terminal;
    let mut counts = vec![
        format!("{} sent", text::count(report.sent)),
        format!("{} there already", text::count(report.unchanged)),
    ];
    let more = [
        (report.replaced, "of those sent replaced others"),
        (report.removed, "removed"),
        (report.foreign, "of others left alone"),
        (report.repeated, "repeated rows left out"),
    ];
    counts.extend(
        more.iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", text::count(*count))),
    );
    terminal.say(&format!(
        "{} {}: {}",
        terminal.bold("Pushed"),
        text::counted(report.samples, "sample", "samples"),
        counts.join(", ")
    ));
    let vectors: Vec<String> = report
        .vectors
        .iter()
        .map(|vector| {
            format!(
                "{} ({} numbers, {})",
                vector.name,
                vector.dim,
                text::counted(vector.samples, "sample", "samples")
            )
        })
        .collect();
    terminal.say(&format!(
        "  '{}' at {url} {} of the run '{}', vectors {}",
        report.collection,
        has(report.points),
        report.run,
        vectors.join(", ")
    ));
    if report.push_backs > 0 {
        let times = text::counted(report.push_backs, "time", "times");
        terminal.note(&format!(
            "the server asked for time {times}: --in-flight and --batch make it easier for it"
        ));
    }
}

fn has(points: u64) -> String {
    format!("has {}", text::counted(points, "point", "points"))
}

/// Answers as a table: similarity where there is one, uid, what became of it, caption.
pub fn hits(hits: &[Hit], captions: &[&str], width: usize) -> String {
    if hits.is_empty() {
        return "no sample\n".into();
    }
    let is_near = hits.iter().any(|hit| hit.similarity.is_some());
    let mut rows = Vec::new();
    for hit in hits {
        let mut row = Vec::new();
        if is_near {
            row.push(hit.similarity.map_or_else(String::new, |similarity| format!("{similarity:.4}")));
        }
        row.push(hit.uid.to_string());
        row.push(match hit.payload.get("dropped_by").and_then(Value::as_str) {
            Some(step) => step.to_owned(),
            None => "kept".into(),
        });
        let cells: usize = row.iter().map(|cell| cell.chars().count() + 2).sum();
        // The newest caption that the sample has: steps come after the input.
        let caption = captions.iter().rev().find_map(|name| hit.payload.get(*name)?.as_str());
        row.push(shortened(caption.unwrap_or_default(), width.saturating_sub(cells).max(LEAST_CAPTION)));
        rows.push(row);
    }
    let numbers: Vec<bool> = (0..4).map(|column| is_near && column == 0).collect();
    text::table(&rows, &numbers)
}

/// On one line, cut at a number of characters. Control characters have no place in a terminal.
fn shortened(caption: &str, most: usize) -> String {
    let plain: String = caption.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        None => line,
        Some(_) => line.chars().take(most - 1).chain(['…']).collect(),
    }
}

/// The first pairs of near duplicates.
pub fn pairs(first: &[Pair], all: u64) -> String {
    let row = |pair: &Pair| {
        vec![format!("{:.4}", pair.similarity), pair.first.to_string(), pair.second.to_string()]
    };
    let rows: Vec<Vec<String>> = first.iter().map(row).collect();
    let mut table = text::table(&rows, &[true]);
    if all > first.len() as u64 {
        table += &format!("and {} more\n", text::counted(all - first.len() as u64, "pair", "pairs"));
    }
    table
}

/// What became of a search for near duplicates.
pub fn deduplicated(settings: &Settings, report: &DuplicateReport, epsilon: f64, out: &Path) {
    let terminal = &settings.terminal;
    let out = out.display().to_string();
    terminal.say(&format!(
        "{} {}: {} above {}, {} kept, {} dropped",
        terminal.bold("Compared"),
        text::counted(report.compared, "sample", "samples"),
        text::counted(report.pairs, "pair", "pairs"),
        (1.0 - epsilon) as f32,
        text::count(report.kept),
        text::count(report.dropped)
    ));
    terminal.say(&format!("  wrote {out}; next: cribble subset info {}", quote(&out)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_cut_and_stay_on_their_line() {
        assert_eq!(shortened("a\n red\u{1b}[31m car", 40), "a red [31m car");
        assert_eq!(shortened("ein großer Bär", 6), "ein g…");
        assert_eq!(shortened("", 5), "");
        assert_eq!(shortened("12345", 5), "12345");
    }
}
