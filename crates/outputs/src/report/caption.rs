//! What a `caption` or `rewrite` step adds: what became of the rows, what the calls took, and captions before and after. Captions are data
//! from the web and from a model: text, never markup.
use cribble_core::{CaptionDetails, ChatUsage};
use maud::{Markup, html};

use super::format::{DASH, by_count, clip, count, number, percent, seconds, shorten};
use super::funnel::sum;
use super::table::Table;

/// Characters of a caption that are shown.
const MOST_CHARS: usize = 400;

/// The figures, the states and the examples.
pub fn render(details: &CaptionDetails) -> Markup {
    let rows = sum(details.states.values());
    let made = details.states.get("ok").copied().unwrap_or_default();
    html! {
        dl.tiles {
            div { dt { "captions" } dd { (count(made)) } p { "of " (count(rows)) " rows (" (percent(made, rows)) "), in " (clip(&details.column, 60)) } }
            div { dt { "by" } dd { (clip(&details.by, 60)) } @if !details.prompt.is_empty() { p { "prompt " (clip(&details.prompt, 60)) } } }
            @if made > 0 {
                div { dt { "mean length" } dd { (number(details.mean_words)) " words" } p { (number(details.mean_chars)) " characters" } }
                div { dt { "openings taken away" } dd { (count(details.stripped)) } p { "such as “The image shows”" } }
            }
        }
        @if let Some(usage) = &details.usage { (calls(usage)) }
        @if !details.states.is_empty() {
            (Table::new("What became of the rows", &["state", "rows", "share"], by_count(&details.states).into_iter(), |(state, of)| {
                vec![clip(state, 60), count(of), percent(of, rows)]
            }).render())
        }
        @if !details.examples.is_empty() {
            (Table::new("The first captions", &["sample", "before", "after"], details.examples.iter(), |example| {
                let before = if example.before.is_empty() { DASH.to_owned() } else { shorten(&example.before, MOST_CHARS) };
                vec![clip(&example.uid, 40), before, shorten(&example.after, MOST_CHARS)]
            }).render())
        }
    }
}

/// What the calls of a step took.
fn calls(usage: &ChatUsage) -> Markup {
    html! {
        dl.tiles {
            div {
                dt { "answers" } dd { (count(usage.answered.saturating_add(usage.cached))) }
                p { (count(usage.calls)) " calls, " (count(usage.cached)) " known before, " (count(usage.retries)) " retries, " (count(usage.failed)) " given up" }
            }
            div { dt { "tokens" } dd { (count(usage.input_tokens.saturating_add(usage.output_tokens))) } p { (count(usage.input_tokens)) " asked, " (count(usage.output_tokens)) " answered" } }
            @if usage.answered > 0 {
                div { dt { "a call" } dd { (seconds(usage.p50_seconds)) } p { "95 of 100 within " (seconds(usage.p95_seconds)) } }
            }
            @if usage.cost > 0.0 { div { dt { "cost" } dd { (number(usage.cost)) } } }
        }
    }
}
