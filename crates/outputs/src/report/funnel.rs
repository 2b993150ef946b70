//! The funnel: one bar a step, as long as the share of the whole input that reached it. Kept is solid, dropped is hatched, errors are
//! cross-hatched, so that the picture survives without colour and on paper.
use cribble_core::{Counts, RunReport, StepReport};
use maud::{Markup, html};

use super::format::{by_count, clip, count, counted, percent, rate, seconds, share};

/// Reasons shown as chips below a bar; the section of the step has them all.
const MOST_CHIPS: usize = 6;

/// A sum that stops at the largest number.
pub fn sum<'a>(values: impl IntoIterator<Item = &'a u64>) -> u64 {
    values.into_iter().fold(0, |sum, value| sum.saturating_add(*value))
}

/// Rows of the whole input: what "of all" refers to. A report that lacks them (a single step, reported alone) counts what the selection
/// or the first step saw.
pub fn total_rows(report: &RunReport) -> u64 {
    let first_step = report.steps.first().map_or(0, |step| step.counts.seen);
    [report.input.rows, report.selection.seen, first_step].into_iter().find(|rows| *rows > 0).unwrap_or(0)
}

/// The section with all bars.
pub fn render(report: &RunReport) -> Markup {
    let total = total_rows(report);
    html! {
        section #funnel {
            h2 { "Funnel" }
            p.lead {
                "Each bar is as long as the share of the input that reached the step."
                @if report.steps.iter().any(|step| step.counts.errors_total() > 0) {
                    " Rows that could not be judged are errors; each has a line in " code { "errors.parquet" } "."
                }
            }
            (legend(report))
            @if report.steps.is_empty() {
                p.empty { "This run has no steps: everything that was read is kept." }
            } @else {
                ol.funnel {
                    li {
                        div.funnel-head {
                            span.funnel-name { "input" }
                            span.funnel-figures { b { (count(total)) } " rows" }
                        }
                        div.bar aria-hidden="true" { span.bar-part.whole style={ "width:" (width(total, total)) } {} }
                    }
                    @for (place, step) in report.steps.iter().enumerate() { (bar(place, step, total)) }
                }
            }
        }
    }
}

fn legend(report: &RunReport) -> Markup {
    html! {
        p.legend {
            span { i.swatch.kept {} "kept" }
            span { i.swatch.dropped {} "dropped" }
            @if report.steps.iter().any(|step| step.counts.errors_total() > 0) { span { i.swatch.errors {} "errors" } }
        }
    }
}

fn width(part: u64, total: u64) -> String {
    format!("{:.3}%", share(part, total) * 100.0)
}

fn bar(place: usize, step: &StepReport, total: u64) -> Markup {
    let counts = &step.counts;
    let (dropped, errors) = (counts.dropped_total(), counts.errors_total());
    html! {
        li {
            div.funnel-head {
                a.funnel-name href={ "#step-" (place + 1) } { (clip(&step.step, 80)) }
                span.funnel-figures {
                    b { (count(counts.kept)) } " kept"
                    span.apart { (percent(counts.kept, counts.seen)) " of previous" }
                    span.apart { (percent(counts.kept, total)) " of all" }
                    span.apart.quiet { (seconds(step.seconds)) " · " (rate(counts.seen, step.seconds)) }
                }
            }
            (parts(counts, total))
            (chips(counts, dropped, errors))
        }
    }
}

/// The bar of one step: kept, dropped and errors side by side, each as long as its share of `total`.
pub fn parts(counts: &Counts, total: u64) -> Markup {
    let (dropped, errors) = (counts.dropped_total(), counts.errors_total());
    let spoken = format!(
        "{} seen: {} kept, {} dropped, {}",
        counted(counts.seen, "row", "rows"),
        count(counts.kept),
        count(dropped),
        counted(errors, "error", "errors")
    );
    html! {
        div.bar role="img" aria-label=(spoken) title=(spoken) {
            @for (class, rows) in [("kept", counts.kept), ("dropped", dropped), ("errors", errors)] {
                @if rows > 0 { span class={ "bar-part " (class) } style={ "width:" (width(rows, total)) } {} }
            }
        }
    }
}

fn chips(counts: &Counts, dropped: u64, errors: u64) -> Markup {
    let reasons = by_count(&counts.dropped);
    let codes = by_count(&counts.errors);
    let more = reasons.len().saturating_sub(MOST_CHIPS) + codes.len().saturating_sub(MOST_CHIPS);
    html! {
        @if dropped > 0 || errors > 0 {
            ul.chips aria-label="dropped, by reason" {
                @for (reason, rows) in reasons.iter().take(MOST_CHIPS) {
                    li.chip { i.swatch.dropped {} bdi { (clip(reason, 60)) } " " b { (count(*rows)) } }
                }
                @for (code, rows) in codes.iter().take(MOST_CHIPS) {
                    li.chip { i.swatch.errors {} bdi { "error " (clip(code, 60)) } " " b { (count(*rows)) } }
                }
                @if more > 0 { li.chip.quiet { "+" (count(more as u64)) " more" } }
            }
        }
    }
}
