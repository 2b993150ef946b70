//! The section of one step: what it was told to do, what it did, what must be said aloud, why it dropped rows, and the charts of its kind.
use cribble_core::{Details, StepReport};
use maud::{Markup, html};

use super::format::{by_count, bytes, clip, count, counted, percent, rate, seconds, share, shorten};
use super::{caption, cluster, dedup, embed, funnel, judge, prune, referee};

/// Reasons drawn as bars; the rest is summed up in one line.
const MOST_REASONS: usize = 24;
/// Notes shown.
const MOST_NOTES: usize = 50;

/// The section; `place` counts from 0.
pub fn render(place: usize, step: &StepReport) -> Markup {
    let counts = &step.counts;
    html! {
        section.step id={ "step-" (place + 1) } {
            h2 { (clip(&step.step, 80)) @if !step.kind.is_empty() { span.kind { (clip(&step.kind, 30)) } } }
            (sentence(step))
            @if !counts.adds_up() {
                p.warning role="alert" {
                    b { "These counts do not add up. " }
                    (count(counts.seen)) " seen is not " (count(counts.kept)) " kept + " (count(counts.dropped_total())) " dropped + "
                    (count(counts.errors_total())) " errors. Please report this: it is a fault of the program."
                }
            }
            (notes(step))
            (options(step))
            @match &step.details {
                Details::Embed(details) => { (embed::render(details)) }
                Details::Caption(details) => { (caption::render(details)) }
                Details::Dedup(details) => { (dedup::render(details, counts.seen)) }
                Details::Cluster(details) => { (cluster::render(details)) }
                Details::Judge(details) => { (judge::render(details)) }
                Details::Prune(details) => { (prune::render(details)) }
                Details::Referee(details) => { (referee::render(details)) }
                _ => {}
            }
            (reasons(step))
            (costs(step))
        }
    }
}

fn sentence(step: &StepReport) -> Markup {
    let counts = &step.counts;
    html! {
        p.lead {
            @if counts.seen == 0 {
                "No row reached this step."
            } @else {
                "Judged " (counted(counts.seen, "row", "rows")) ": kept " b { (count(counts.kept)) } " (" (percent(counts.kept, counts.seen))
                "), dropped " b { (count(counts.dropped_total())) }
                @if counts.errors_total() > 0 { ", could not judge " b { (count(counts.errors_total())) } }
                "."
            }
        }
    }
}

fn notes(step: &StepReport) -> Markup {
    html! {
        @if !step.notes.is_empty() {
            ul.notes aria-label="notes" {
                @for note in step.notes.iter().take(MOST_NOTES) { li { bdi { (shorten(note, 1000)) } } }
                @if step.notes.len() > MOST_NOTES {
                    li { "… and " (counted((step.notes.len() - MOST_NOTES) as u64, "more note", "more notes")) " in report.json" }
                }
            }
        }
    }
}

fn options(step: &StepReport) -> Markup {
    let Some(serde_json::Value::Object(options)) = &step.options else {
        return html! {};
    };
    html! {
        @if !options.is_empty() {
            dl.options aria-label="options" {
                @for (key, value) in options.iter().take(60) {
                    div {
                        dt { (clip(key, 60)) }
                        dd { bdi { @match value { serde_json::Value::String(text) => { (shorten(text, 600)) }, other => { (shorten(&other.to_string(), 600)) } } } }
                    }
                }
            }
        }
    }
}

/// Reasons and error codes as sorted bars.
fn reasons(step: &StepReport) -> Markup {
    let counts = &step.counts;
    let dropped = by_count(&counts.dropped);
    let errors = by_count(&counts.errors);
    let most = dropped.iter().chain(&errors).map(|(_, rows)| *rows).max().unwrap_or(0);
    html! {
        @if !dropped.is_empty() || !errors.is_empty() {
            h3 { "Why rows left here" }
            div.table-frame tabindex="0" role="group" aria-label="rows that left, by reason" {
                table.reasons {
                    thead { tr { th scope="col" { "reason" } th.bar-column aria-hidden="true" {} th scope="col" { "rows" } th scope="col" { "of seen" } } }
                    tbody {
                        (reason_rows(&dropped, "dropped", "", most, counts.seen))
                        (reason_rows(&errors, "errors", "error ", most, counts.seen))
                    }
                }
            }
        }
    }
}

fn reason_rows(sorted: &[(&str, u64)], class: &str, prefix: &str, most: u64, seen: u64) -> Markup {
    let rest = funnel::sum(sorted.iter().skip(MOST_REASONS).map(|(_, rows)| rows));
    html! {
        @for (reason, rows) in sorted.iter().take(MOST_REASONS) {
            tr {
                th scope="row" { (prefix) bdi { (shorten(reason, 300)) } }
                td.bar-column aria-hidden="true" { @if *rows > 0 { span class={ "bar-part " (class) } style={ (format!("width:{:.3}%", share(*rows, most) * 100.0)) } {} } }
                td { (count(*rows)) }
                td { (percent(*rows, seen)) }
            }
        }
        @if sorted.len() > MOST_REASONS {
            tr.quiet {
                th scope="row" { (counted((sorted.len() - MOST_REASONS) as u64, "more", "more")) " " (prefix) "in report.json" }
                td.bar-column {}
                td { (count(rest)) }
                td { (percent(rest, seen)) }
            }
        }
    }
}

fn costs(step: &StepReport) -> Markup {
    html! {
        p.costs {
            span { "Took " b { (seconds(step.seconds)) } }
            @if let Some(rate) = rate(step.counts.seen, step.seconds).strip_suffix("/s") { span { b { (rate) } " rows/s" } }
            span { "read " b { (bytes(step.bytes_read)) } }
            span { "wrote " b { (bytes(step.bytes_written)) } }
            @if step.peak_memory_bytes > 0 { span { "peak memory " b { (bytes(step.peak_memory_bytes)) } } }
        }
    }
}
