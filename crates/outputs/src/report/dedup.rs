//! What a `dedup` step adds: how many rows each ε would keep, and how much of what brute force finds was found.
use cribble_core::{CurvePoint, DedupDetails, Recall};
use maud::{Markup, html};

use super::axis::{Axis, Write, extent};
use super::chart::{self, Chart, Label};
use super::format::{count, counted, number, percent};
use super::spread::{MOST_MARKS, places};
use super::table::Table;

/// The figures and the curve; `seen` is how many rows the step judged.
pub fn render(details: &DedupDetails, seen: u64) -> Markup {
    html! {
        dl.tiles {
            div { dt { "ε" } dd { (number(details.epsilon)) } p { "similar means similarity > " (number(1.0 - details.epsilon)) } }
            div { dt { "groups of duplicates" } dd { (count(details.groups)) } }
            div {
                dt { "cells" } dd { (count(details.cells)) }
                p { "largest " (counted(details.largest_cell, "row", "rows")) @if details.probe > 1 { ", " (count(details.probe)) " searched for each row" } }
            }
            div {
                dt { "pairs compared" } dd { (count(details.pairs_compared)) }
                // Brute force would compare n(n−1)/2 of them.
                @let all = u128::from(seen) * u128::from(seen.saturating_sub(1)) / 2;
                @if let Ok(all) = u64::try_from(all) { @if all > 0 { p { (percent(details.pairs_compared, all)) " of all pairs" } } }
            }
        }
        @if let Some(recall) = &details.recall { (recall_words(recall)) }
        @if details.curve.len() > 1 { (curve(details, seen)) }
    }
}

/// Recall in words, with the range that the sample allows.
fn recall_words(recall: &Recall) -> Markup {
    html! {
        p.finding {
            @if recall.duplicates == 0 {
                b { "Recall is unknown: " } "brute force found no duplicate among " (counted(recall.sampled, "sampled row", "sampled rows")) "."
            } @else {
                b { "Found " (count(recall.found)) " of " (counted(recall.duplicates, "duplicate", "duplicates")) }
                " that brute force found among " (counted(recall.sampled, "sampled row", "sampled rows")) ": "
                (percent(recall.found, recall.duplicates))
                @if let Some((low, high)) = wilson(recall.found, recall.duplicates) {
                    ", which allows for anything from " (low) " to " (high) " on all rows (95% confidence)"
                }
                "."
            }
        }
    }
}

/// Wilson's score interval of a share at 95%, in percent; `None` where the counts are no share.
fn wilson(found: u64, of: u64) -> Option<(String, String)> {
    if of == 0 || found > of {
        return None;
    }
    let (n, p, z) = (of as f64, found as f64 / of as f64, 1.959_964);
    let middle = p + z * z / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + z * z / n;
    let percent = |share: f64| format!("{:.1}%", share.clamp(0.0, 1.0) * 100.0);
    Some((percent((middle - spread) / whole), percent((middle + spread) / whole)))
}

fn curve(details: &DedupDetails, seen: u64) -> Markup {
    let mut points: Vec<CurvePoint> =
        details.curve.iter().copied().filter(|point| point.epsilon.is_finite()).collect();
    points.sort_by(|a, b| a.epsilon.total_cmp(&b.epsilon));
    let epsilons = || points.iter().map(|point| point.epsilon);
    // Grids of ε are often geometric: they would crowd at the left of a linear axis.
    let geometric =
        extent(epsilons().filter(|epsilon| *epsilon > 0.0)).is_some_and(|(low, high)| high / low > 40.0);
    let label = "ε (similar means similarity > 1 − ε)";
    let x = if geometric && epsilons().all(|epsilon| epsilon > 0.0) {
        Axis::log(label, epsilons())
    } else {
        Axis::linear(label, epsilons(), 5, Write::Number)
    };
    // Only the change along ε matters here, and it is small beside the whole: the axis need not begin at 0.
    let kept = || points.iter().map(|point| point.kept as f64);
    let y = Axis::linear("rows kept", kept(), 4, Write::Count);
    let from_zero = y.ticks.first().is_some_and(|(_, label)| label == "0");
    let at = |point: &CurvePoint| Some((x.place(point.epsilon)?, y.place(point.kept as f64)?));
    let shown: Vec<CurvePoint> =
        places(points.len(), MOST_MARKS).into_iter().map(|place| points[place]).collect();
    let placed: Vec<(f64, f64)> = shown.iter().filter_map(at).collect();
    let chosen = points.iter().find(|point| point.epsilon == details.epsilon).copied();
    let mut marks = vec![chart::line("kept", &placed)];
    for point in &shown {
        if let Some(place) = at(point) {
            let tip = format!(
                "ε = {}: {} kept ({})",
                number(point.epsilon),
                count(point.kept),
                percent(point.kept, seen)
            );
            marks.push(chart::dot("kept", place, if shown.len() > 60 { 4.0 } else { 7.0 }, &tip));
        }
    }
    let mut labels = Vec::new();
    if let Some((point, (left, up))) = chosen.and_then(|point| Some((point, at(&point)?))) {
        let text = format!("ε = {} keeps {}", number(point.epsilon), count(point.kept));
        marks.push(chart::line("marker", &[(left, 0.0), (left, 1.0)]));
        marks.push(chart::ring((left, up), &text));
        labels.push(Label { x: left, y: up, text, class: "mark-chosen" });
    }
    let spoken = match (points.first(), points.last()) {
        (Some(first), Some(last)) => format!(
            "Rows kept fall from {} at ε = {} to {} at ε = {}.",
            count(first.kept),
            number(first.epsilon),
            count(last.kept),
            number(last.epsilon)
        ),
        _ => String::new(),
    };
    let figures =
        Table::new("Rows kept at each ε", &["ε", "rows kept", "of seen"], points.iter(), |point| {
            vec![number(point.epsilon), count(point.kept), percent(point.kept, seen)]
        });
    Chart {
        title: "How many rows each ε would keep".into(),
        lead: format!(
            "By the semantic rule alone. The ring marks the ε that this run used.{}",
            if from_zero { "" } else { " The axis of rows does not begin at 0." }
        ),
        spoken,
        x,
        y,
        marks,
        labels,
        figures: figures.folded(),
    }
    .render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_said_in_words() {
        let text = recall_words(&Recall { sampled: 512, duplicates: 49, found: 48 }).into_string();
        assert!(
            text.contains(
                "Found 48 of 49 duplicates</b> that brute force found among 512 sampled rows: 98.0%"
            ),
            "{text}"
        );
        // Wilson's interval for 48 of 49, checked by hand: (0.8931, 0.9964).
        assert!(text.contains("from 89.3% to 99.6%"), "{text}");
        let none = recall_words(&Recall { sampled: 1, duplicates: 0, found: 0 }).into_string();
        assert!(none.contains("no duplicate among 1 sampled row."), "{none}");
        assert_eq!(wilson(3, 2), None);
    }
}
