//! Samples to look at, in groups by the step that dropped them and the reason. A figure says how many; only pictures and captions say
//! whether a rule did what its author meant.
use std::cmp::Reverse;
use std::collections::BTreeMap;

use cribble_core::{Example, RunReport};
use maud::{Markup, html};

use super::format::{clip, count, counted, number, shorten};

/// Characters of a caption that stand in the open; the rest is folded away.
const CAPTION_OPEN: usize = 110;
/// Characters of a caption that the page holds at all.
const CAPTION_MOST: usize = 4000;
/// Samples shown of one group.
const MOST_OF_GROUP: usize = 60;
/// Groups shown.
const MOST_GROUPS: usize = 100;
/// Bytes of one picture, and of all pictures together: the page stays small enough to be mailed.
const PICTURE_MOST: usize = 300_000;
const PICTURES_MOST: usize = 2_400_000;

/// Step and reason; none for what was kept.
type Key<'a> = (Option<&'a str>, Option<&'a str>);

/// Rows of a reason (or error code) in its step, or of what was kept; `None` where the report does not say.
fn rows_of(report: &RunReport, (dropped_by, reason): Key<'_>) -> Option<u64> {
    match (dropped_by, reason) {
        (None, _) => Some(report.selection.kept),
        (Some(name), Some(reason)) => {
            let counts = &report.steps.iter().find(|step| step.step == name)?.counts;
            counts.dropped.get(reason).or_else(|| counts.errors.get(reason)).copied()
        }
        _ => None,
    }
}

/// Groups in the order of the steps, then the most frequent reason first, ties by name; what was kept comes last.
fn groups(report: &RunReport) -> Vec<(Key<'_>, Vec<&Example>)> {
    let place_of = |name: Option<&str>| match name {
        None => usize::MAX,
        Some(name) => report.steps.iter().position(|step| step.step == name).unwrap_or(report.steps.len()),
    };
    let mut groups = BTreeMap::<(usize, Reverse<Option<u64>>, Key<'_>), Vec<&Example>>::new();
    for example in &report.examples {
        let dropped_by = example.dropped_by.as_deref();
        let reason = dropped_by.and(example.reason.as_deref());
        let key = (dropped_by, reason);
        groups.entry((place_of(dropped_by), Reverse(rows_of(report, key)), key)).or_default().push(example);
    }
    groups.into_iter().map(|((_, _, key), examples)| (key, examples)).collect()
}

/// Pictures within the page's budget; counts what it leaves out.
struct Pictures {
    room: usize,
    left_out: u64,
}

impl Pictures {
    fn take<'a>(&mut self, url: Option<&'a str>) -> Option<&'a str> {
        let url = raster_data_url(url?)?;
        if url.len() > PICTURE_MOST || url.len() > self.room {
            self.left_out += 1;
            return None;
        }
        self.room -= url.len();
        Some(url)
    }
}

/// The URL, if it is a picture that lies inside itself. Anything else could fetch from a network or run.
pub fn raster_data_url(url: &str) -> Option<&str> {
    let (kind, data) = url.strip_prefix("data:image/")?.split_once(";base64,")?;
    let raster = ["jpeg", "png", "webp", "gif", "avif", "bmp"].contains(&kind);
    let base64 = data.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    (raster && base64 && !data.is_empty()).then_some(url)
}

/// The section; nothing where there are no examples.
pub fn render(report: &RunReport) -> Markup {
    let groups = groups(report);
    if groups.is_empty() {
        return html! {};
    }
    let mut pictures = Pictures { room: PICTURES_MOST, left_out: 0 };
    let shown: Vec<Markup> = groups
        .iter()
        .take(MOST_GROUPS)
        .map(|(key, examples)| group(report, *key, examples, &mut pictures))
        .collect();
    html! {
        section #examples {
            h2 { "Examples" }
            p.lead { "The first samples of each reason, and of what was kept." }
            @for group in shown { (group) }
            @if groups.len() > MOST_GROUPS { p.small { "… and " (count((groups.len() - MOST_GROUPS) as u64)) " more groups, not shown here." } }
            @if pictures.left_out > 0 { p.small { (counted(pictures.left_out, "picture", "pictures")) " left out to keep this file small." } }
        }
    }
}

fn group(report: &RunReport, key: Key<'_>, examples: &[&Example], pictures: &mut Pictures) -> Markup {
    let ((dropped_by, reason), rows) = (key, rows_of(report, key));
    let with_pictures =
        examples.iter().any(|example| example.image.is_some() || example.duplicate_image.is_some());
    let shown = examples.len().min(MOST_OF_GROUP) as u64;
    html! {
        div.group {
            h3 {
                @match dropped_by {
                    Some(name) => { i.swatch.dropped {} span { "dropped by " (clip(name, 80)) @if let Some(reason) = reason { ": " bdi { (clip(reason, 120)) } } } }
                    None => { i.swatch.kept {} span { "kept" } }
                }
                span.quiet {
                    @match rows {
                        Some(rows) => { (count(shown)) " of " (counted(rows, "row", "rows")) }
                        None => { (count(shown)) " shown" }
                    }
                }
            }
            ul.gallery .wordy[!with_pictures] {
                @for example in examples.iter().take(MOST_OF_GROUP) { (card(example, with_pictures, pictures)) }
            }
        }
    }
}

fn card(example: &Example, with_pictures: bool, pictures: &mut Pictures) -> Markup {
    let is_pair = example.duplicate_of.is_some();
    let own = pictures.take(example.image.as_deref());
    let other = pictures.take(example.duplicate_image.as_deref());
    html! {
        li class={ "card" @if is_pair && with_pictures { " pair" } } {
            @if with_pictures {
                div.pictures {
                    (picture(own, if example.dropped_by.is_some() { "dropped" } else { "kept" }, is_pair))
                    @if is_pair { (picture(other, "duplicate of", true)) }
                }
            }
            @if let Some(text) = &example.text { (caption(text)) }
            p.facts {
                @if let Some(sim) = example.max_sim { @if !sim.is_nan() { span { "similarity " b { (number(f64::from(sim))) } } } }
                @if let Some(cluster) = example.cluster { span { "cluster " b { (cluster) } } }
            }
            p.uid { span { "uid " } code { (clip(&example.uid, 64)) } }
            @if let Some(other) = &example.duplicate_of { p.uid { span { "duplicate of " } code { (clip(other, 64)) } } }
        }
    }
}

pub fn picture(url: Option<&str>, says: &str, labelled: bool) -> Markup {
    html! {
        div.picture {
            @match url {
                Some(url) => { img src=(url) alt={ "picture: " (says) } loading="lazy" decoding="async"; }
                None => { span.no-picture { "no picture" } }
            }
            @if labelled { small { (says) } }
        }
    }
}

/// A caption in its own writing direction; long ones unfold.
pub fn caption(text: &str) -> Markup {
    let text = text.trim();
    if text.is_empty() {
        return html! { p.caption.quiet { "(empty caption)" } };
    }
    if text.chars().nth(CAPTION_OPEN).is_none() {
        return html! { p.caption dir="auto" { (text) } };
    }
    html! {
        details.caption {
            summary dir="auto" { (clip(text, CAPTION_OPEN)) }
            p dir="auto" { (shorten(text, CAPTION_MOST)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_inside_the_file_are_shown() {
        for good in ["data:image/png;base64,AAAA", "data:image/jpeg;base64,/9j+A=="] {
            assert_eq!(raster_data_url(good), Some(good));
        }
        for bad in [
            "https://example.org/a.png",
            "data:image/svg+xml;base64,AAAA",
            "data:text/html;base64,AAAA",
            "data:image/png;base64,",
            "data:image/png;base64,AA\" onerror=\"x",
            "data:image/png,AAAA",
        ] {
            assert_eq!(raster_data_url(bad), None, "{bad}");
        }
    }

    #[test]
    fn pictures_stop_at_the_budget() {
        let url = format!("data:image/png;base64,{}", "A".repeat(200_000));
        let example = Example { image: Some(url), ..Example::default() };
        let report = RunReport { examples: vec![example; 20], ..RunReport::default() };
        let page = render(&report).into_string();
        assert!(page.len() < 3_000_000, "{}", page.len());
        assert_eq!(page.matches("<img").count(), 11);
        assert!(page.contains("9 pictures left out"), "says what is missing");
    }

    #[test]
    fn groups_follow_the_steps_and_kept_comes_last() {
        let example = |step: Option<&str>, reason: Option<&str>| Example {
            dropped_by: step.map(Into::into),
            reason: reason.map(Into::into),
            ..Example::default()
        };
        let steps =
            ["02-b", "01-a"].map(|name| cribble_core::StepReport { step: name.into(), ..Default::default() });
        let report = RunReport {
            steps: steps.into(),
            examples: vec![
                example(None, None),
                example(Some("01-a"), Some("y")),
                example(Some("01-a"), Some("x")),
                example(Some("02-b"), Some("z")),
                example(Some("unknown"), None),
                example(None, Some("a stray reason")),
            ],
            ..RunReport::default()
        };
        let keys: Vec<Key<'_>> = groups(&report).into_iter().map(|(key, _)| key).collect();
        let expected = [
            (Some("02-b"), Some("z")),
            (Some("01-a"), Some("x")),
            (Some("01-a"), Some("y")),
            (Some("unknown"), None),
            (None, None),
        ];
        assert_eq!(keys, expected);
    }
}
