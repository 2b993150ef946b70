//! The page as a whole: head, header, order of sections. Style and script are files of their own, put in as they are; everything else goes
//! through `maud`, which escapes.
use cribble_core::RunReport;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::format::{bytes, clip, count, counted, percent, seconds, share, shorten};
use super::{Page, funnel, gallery, planted, selection, step};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// The browser itself refuses whatever is not in the file.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Warnings shown.
const MOST_WARNINGS: usize = 12;
/// Steps that get a section of their own.
const MOST_STEPS: usize = 60;

/// The whole document.
pub fn render(page: &Page<'_>) -> Markup {
    let report = page.report;
    let selection = &report.selection;
    let title = format!(
        "Cribble: {} of {} kept, {}",
        count(selection.kept),
        counted(selection.seen, "row", "rows"),
        clip(&report.input.path, 80)
    );
    let body = html! {
        a.skip href="#funnel" { "Skip to the funnel" }
        (header(page))
        (navigation(page))
        main {
            (funnel::render(report))
            // What people look at first; the steps in figures come after it.
            @if let Some(gallery) = page.gallery { (gallery::render(page, gallery)) }
            @for (place, one) in report.steps.iter().enumerate().take(MOST_STEPS) { (step::render(place, one)) }
            @if report.steps.len() > MOST_STEPS {
                p.small { "… and " (counted((report.steps.len() - MOST_STEPS) as u64, "more step", "more steps")) ", which report.json has." }
            }
            (selection::render(report))
            @if let Some(value) = &report.planted { (planted::render(value)) }
        }
        (footer(report))
    };
    document(&title, &program(report), body)
}

/// One file with style, script and policy around a body: every page of ours.
pub fn document(title: &str, program: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(program);
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn program(report: &RunReport) -> String {
    format!("cribble {}", clip(&report.program_version, 40)).trim_end().to_owned()
}

fn header(page: &Page<'_>) -> Markup {
    let report = page.report;
    let (selection, input) = (&report.selection, &report.input);
    html! {
        header {
            div.top {
                p.eyebrow { "Cribble report" }
                button #theme type="button" hidden { "Theme" }
            }
            h1 { @if input.path.is_empty() { "A run without a named input" } @else { bdi { (shorten(&input.path, 240)) } } }
            @for warning in page.warnings.iter().take(MOST_WARNINGS) { p.warning role="alert" { bdi { (shorten(warning, 600)) } } }
            @if page.warnings.len() > MOST_WARNINGS { p.warning { "… and " (counted((page.warnings.len() - MOST_WARNINGS) as u64, "more thing", "more things")) " like it." } }
            p.headline {
                span.big { (count(selection.kept)) }
                " of " (counted(selection.seen, "row", "rows")) " kept"
                @if selection.seen > 0 { ", " (percent(selection.kept, selection.seen)) }
            }
            dl.tiles {
                div {
                    dt { "input" } dd { (counted(input.rows, "row", "rows")) }
                    p { @if !input.layout.is_empty() { (clip(&input.layout, 60)) ", " } (counted(input.shards, "shard", "shards")) }
                }
                div { dt { "time" } dd { (seconds(report.seconds)) } p { "the last session, " (counted(report.threads, "thread", "threads")) } }
                (memory(report))
                div {
                    dt { "program" } dd { (program(report)) }
                    @if !input.fingerprint.is_empty() { p { "input " code { (input.fingerprint.chars().take(12).collect::<String>()) } } }
                }
            }
        }
    }
}

fn memory(report: &RunReport) -> Markup {
    let (peak, limit) = (report.peak_memory_bytes, report.memory_limit_bytes);
    html! {
        div {
            dt { "memory" }
            @if peak == 0 { dd { "–" } p { "the system did not say" } }
            @else {
                dd { (bytes(peak)) }
                @if limit > 0 {
                    p { "peak, limit " (bytes(limit)) @if peak > limit { b { " exceeded" } } }
                    span.meter aria-hidden="true" { span class=(if peak > limit { "over" } else { "within" }) style={ (format!("width:{:.1}%", share(peak, limit) * 100.0)) } {} }
                } @else { p { "peak, no limit" } }
            }
        }
    }
}

fn navigation(page: &Page<'_>) -> Markup {
    let report = page.report;
    html! {
        div.along {
            nav aria-label="sections" {
                a href="#funnel" { "Funnel" }
                @if let Some(gallery) = page.gallery { (gallery::navigation(gallery)) }
                @for (place, one) in report.steps.iter().enumerate().take(MOST_STEPS) { a href={ "#step-" (place + 1) } { (clip(&one.step, 24)) } }
                a href="#selection" { "Selection" }
                @if report.planted.is_some() { a href="#planted" { "Planted" } }
            }
            // Without a script nothing can be searched: it unhides this.
            @if page.gallery.is_some() {
                div #search hidden {
                    input type="search" placeholder="Search samples" aria-label="Search samples by caption, reason, cluster or uid";
                    output aria-live="polite" {}
                }
            }
        }
    }
}

fn footer(report: &RunReport) -> Markup {
    html! {
        footer {
            p {
                "Written by " (program(report)) ". Every figure here stands in " code { "report.json" }
                " beside this file (schema " (report.schema_version) "). The page is complete without a network."
            }
        }
    }
}
