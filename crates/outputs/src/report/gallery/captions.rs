//! Captions before and after, with the words that went and came, and how well each describes its picture where a referee compared them.
use cribble_core::CaptionChange;
use maud::{Markup, html};

use super::super::format::{clip, count, counted, number, shorten};
use super::card::Show;
use super::words;

/// Captions of a step in the open; the others unfold.
const OPEN: usize = 8;
/// Captions shown of a step, and characters of one.
const MOST_OF_STEP: usize = 400;
const MOST_CHARS: usize = 1500;

pub fn render(show: &mut Show<'_>) -> Markup {
    let gallery = show.gallery;
    let mut steps: Vec<(&str, Vec<&CaptionChange>)> = Vec::new();
    for change in &gallery.captions {
        match steps.iter_mut().find(|(step, _)| *step == change.step) {
            Some((_, of_step)) => of_step.push(change),
            None => steps.push((&change.step, vec![change])),
        }
    }
    let drawn: Vec<Markup> = steps.into_iter().map(|(step, of_step)| one(show, step, &of_step)).collect();
    html! {
        p.lead { "Random samples, of the kept ones first. " del { "Struck out" } " went, " ins { "underlined" } " came." }
        @for step in drawn { (step) }
    }
}

fn one(show: &mut Show<'_>, step: &str, changes: &[&CaptionChange]) -> Markup {
    let with_pictures = show.has_pictures(changes.iter().map(|change| &change.uid));
    let mut cards = Vec::new();
    for change in changes.iter().take(MOST_OF_STEP) {
        cards.extend(card(show, change, with_pictures));
    }
    let (open, folded) = cards.split_at(cards.len().min(OPEN));
    html! {
        div.group {
            h3 { (clip(step, 80)) span.quiet { (counted(cards.len() as u64, "caption", "captions")) } }
            ul.changes { @for card in open { (card) } }
            @if !folded.is_empty() {
                details.fold {
                    summary { (count(folded.len() as u64)) " more" }
                    ul.changes { @for card in folded { (card) } }
                }
            }
        }
    }
}

fn card(show: &mut Show<'_>, change: &CaptionChange, with_pictures: bool) -> Option<Markup> {
    let sample = show.sample(&change.uid);
    let (before, after) =
        (shorten(change.before.trim(), MOST_CHARS), shorten(change.after.trim(), MOST_CHARS));
    let (old, new) = words::differences(&before, &after);
    let sims =
        (change.before_sim.filter(|sim| sim.is_finite()), change.after_sim.filter(|sim| sim.is_finite()));
    let card = html! {
        li.card.change .wordy[!with_pictures] {
            @if with_pictures { div.pictures { (show.picture(&change.uid, &sample, None)) } }
            div.texts {
                @if before == after {
                    p.which { "before and after, the same" (clip_score(sims.1)) }
                    p.caption dir="auto" { (after) }
                } @else {
                p.which { "before" (clip_score(sims.0)) }
                p.caption dir="auto" { @if before.is_empty() { span.quiet { "(no caption)" } } @else { (words::gone(&old)) } }
                p.which { "after" (clip_score(sims.1)) @if let (Some(a), Some(b)) = sims { (change_of(b - a)) } }
                p.caption dir="auto" { @if after.is_empty() { span.quiet { "(no caption)" } } @else { (words::came(&new)) } }
                }
                p.uid { span { "uid " } code { (clip(&change.uid, 64)) } }
            }
        }
    };
    show.room.take(card)
}

fn clip_score(sim: Option<f32>) -> Markup {
    html! { @if let Some(sim) = sim { span { "CLIP " b { (number(f64::from(sim))) } } } }
}

/// By how much the new caption is nearer; the sign carries the meaning, not the colour.
fn change_of(delta: f32) -> Markup {
    // A thousandth is what f32 sums and rounding to four digits leave of a difference.
    let class = if delta > 0.001 {
        "better"
    } else if delta < -0.001 {
        "worse"
    } else {
        "quiet"
    };
    let sign = if delta > 0.0 { "+" } else { "" };
    html! { span class=(class) { (sign) (number((f64::from(delta) * 1000.0).round() / 1000.0)) } }
}
