//! The contact sheet of a search: what was asked, and what was found as cards with their pictures. In the report's style and under its policy.
use cribble_core::{Asked, SearchHit, SearchReport};
use maud::{Markup, html};

use super::format::{clip, count, counted, percent, seconds, shorten};
use super::gallery::{caption, raster_data_url};
use super::page::document;

/// The sheet: one file without a single external reference, complete without JavaScript. Texts of the input are escaped, never markup; pictures are
/// shown only where the report holds them as `data:` URLs of raster images. The same report gives the same bytes.
pub fn render_sheet(report: &SearchReport, program_version: &str) -> String {
    let program = format!("cribble {}", clip(program_version, 40));
    let body = html! {
        a.skip href="#hits" { "Skip to the hits" }
        (header(report))
        main { (hits(report)) }
        footer { p { "Written by " (program) " search. The page is complete without a network." } }
    };
    document(&format!("Cribble search: {}", clip(&title(report), 80)), &program, body).into_string()
}

/// What was asked, in words.
fn title(report: &SearchReport) -> String {
    match &report.query {
        Asked::Text { text } => text.clone(),
        Asked::Image { file } => format!("like {file}"),
        Asked::Sample { uid, .. } => format!("like sample {}", uid.chars().take(8).collect::<String>()),
        Asked::Rows => report.condition.clone().unwrap_or_else(|| format!("{} rows", report.of)),
    }
}

fn header(report: &SearchReport) -> Markup {
    let asked = report.picture.as_deref().and_then(raster_data_url);
    html! {
        header {
            div.top {
                p.eyebrow { "Cribble search" }
                button #theme type="button" hidden { "Theme" }
            }
            h1 { bdi { (shorten(&report.run, 240)) } }
            div.asked {
                @if asked.is_some() { (picture(asked, "what was asked")) }
                div {
                    p.question dir="auto" { (shorten(&title(report), 400)) }
                    @if let Asked::Sample { uid, caption: text } = &report.query {
                        @if let Some(text) = text { (caption(text)) }
                        p.uid { span { "uid " } code { (clip(uid, 64)) } }
                    }
                }
            }
            dl.tiles {
                div {
                    dt { "found" } dd { (count(report.hits.len() as u64)) }
                    p { "of " (counted(report.searched, "row", "rows")) @if report.searched < report.rows { ", " (percent(report.searched, report.rows)) " of the run" } }
                }
                @if let Some(embedding) = &report.embedding {
                    div {
                        dt { "embedding" } dd { (clip(embedding, 40)) }
                        p { @match &report.model { Some(model) => { "asked by " (clip(model, 80)) } None => { "the vectors as they are" } } }
                    }
                }
                div { dt { "method" } dd { (report.method) } p { (seconds(report.seconds)) @if let Some(index) = &report.index { ", " (count(index.probes)) " of " (counted(index.cells, "cell", "cells")) } } }
                @if report.condition.is_some() || report.of != "all" {
                    div {
                        dt { "rows" } dd { @if report.condition.is_some() && report.of == "all" { "that fit" } @else { (report.of) } }
                        @if let Some(condition) = &report.condition { p { code { (shorten(condition, 300)) } } }
                    }
                }
            }
            @if !report.notes.is_empty() {
                ul.notes { @for note in &report.notes { li { (shorten(note, 600)) } } }
            }
        }
    }
}

fn hits(report: &SearchReport) -> Markup {
    let with_pictures = report.hits.iter().any(|hit| hit.picture.is_some());
    html! {
        section #hits {
            @if report.hits.is_empty() { p.empty { "No row fits." } }
            ul.strip.hits .wordy[!with_pictures] {
                @for hit in &report.hits { (card(hit, with_pictures)) }
            }
        }
    }
}

fn picture(url: Option<&str>, says: &str) -> Markup {
    html! {
        div.picture {
            @match url {
                Some(url) => { img src=(url) alt={ "picture: " (says) } loading="lazy" decoding="async"; }
                None => { span.no-picture { "no picture" } }
            }
        }
    }
}

fn card(hit: &SearchHit, with_pictures: bool) -> Markup {
    html! {
        li.card {
            @if with_pictures {
                div.pictures { (picture(hit.picture.as_deref().and_then(raster_data_url), "sample")) }
            }
            p.facts {
                span { "#" (hit.rank) }
                @if let Some(similarity) = hit.similarity { span { "sim " b { (format!("{similarity:.4}")) } } }
            }
            @if let Some(text) = &hit.caption { (caption(text)) }
            p.facts {
                @if hit.kept { span { i.swatch.kept {} "kept" } }
                @else { span { i.swatch.dropped {} "dropped" @if let Some(step) = &hit.dropped_by { " by " (clip(step, 60)) } @if let Some(reason) = &hit.reason { ": " bdi { (clip(reason, 120)) } } } }
            }
            p.uid { span { "uid " } code { (clip(&hit.uid, 64)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(rank: u64, caption: &str) -> SearchHit {
        SearchHit {
            rank,
            similarity: Some(0.31256),
            uid: format!("{rank:032x}"),
            kept: rank % 2 == 1,
            dropped_by: rank.is_multiple_of(2).then(|| "02-dedup".into()),
            reason: Some("semantic duplicate".into()),
            caption: Some(caption.into()),
            ..SearchHit::default()
        }
    }

    #[test]
    fn texts_are_never_markup_and_pictures_never_addresses() {
        let evil = "<script>alert(1)</script><img src=x onerror=alert(2)>";
        let mut bad = hit(2, evil);
        bad.picture = Some("https://example.org/a.png".into());
        bad.reason = Some(evil.into());
        let mut good = hit(1, "a fox");
        good.picture = Some("data:image/png;base64,AAAA".into());
        let report = SearchReport {
            query: Asked::Text { text: evil.into() },
            condition: Some("a < 'b'</p>".into()),
            embedding: Some("x_img".into()),
            notes: vec![evil.into()],
            picture: Some("data:image/svg+xml;base64,AAAA".into()),
            hits: vec![good, bad],
            ..SearchReport::default()
        };
        let page = render_sheet(&report, "0.1.0");
        assert_eq!(page.matches("<script>").count(), 1, "only our own");
        assert_eq!(page.matches("<img").count(), 1);
        assert!(!page.contains("example.org") && !page.contains("svg+xml"));
        assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("0.3126"));
        assert!(page.contains("dropped by 02-dedup") && page.contains("no picture"));
        assert_eq!(page, render_sheet(&report, "0.1.0"));
    }

    #[test]
    fn nothing_found_is_said() {
        let page = render_sheet(&SearchReport { of: "kept".into(), ..SearchReport::default() }, "0.1.0");
        assert!(page.contains("No row fits.") && page.contains("kept rows"));
    }
}
