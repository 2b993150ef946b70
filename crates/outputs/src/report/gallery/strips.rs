//! Random samples of every step and reason, and of what was kept, each as a strip that scrolls sideways.
use cribble_core::Strip;
use maud::{Markup, html};

use super::super::format::{clip, count, counted};
use super::card::{Says, Show};

/// Strips shown, and samples of one.
const MOST_STRIPS: usize = 100;
const MOST_OF_STRIP: usize = 60;

pub fn render(show: &mut Show<'_>) -> Markup {
    let strips = &show.gallery.strips;
    let mut drawn = Vec::new();
    let mut before: Option<&Option<String>> = None;
    for strip in strips.iter().take(MOST_STRIPS) {
        // The first reason of a step is the most frequent one: it lies open, the others unfold.
        let is_first = before != Some(&strip.step);
        before = Some(&strip.step);
        drawn.push(one(show, strip, is_first));
    }
    html! {
        p.lead { "Drawn at random from everything that a reason dropped, and from what was kept; the same run always shows the same ones." }
        @for strip in drawn { (strip) }
        @if strips.len() > MOST_STRIPS { p.small { "… and " (count((strips.len() - MOST_STRIPS) as u64)) " more reasons, not shown here." } }
    }
}

fn one(show: &mut Show<'_>, strip: &Strip, open: bool) -> Markup {
    let twins: Vec<String> = strip.uids.iter().filter_map(|uid| show.sample(uid).duplicate_of).collect();
    let with_pictures = show.has_pictures(strip.uids.iter().chain(&twins));
    let mut cards = Vec::new();
    for uid in strip.uids.iter().take(MOST_OF_STRIP) {
        let card = match show.sample(uid).duplicate_of {
            Some(twin) => pair(show, uid, &twin, with_pictures),
            None => show.card(uid, with_pictures, &Says { fate_is_known: true, ..Says::default() }),
        };
        cards.extend(card);
    }
    html! {
        details.fold.group open[open] {
            summary {
                h3 {
                    @match &strip.step {
                        Some(name) => { i.swatch.dropped {} span { "dropped by " (clip(name, 80)) @if let Some(reason) = &strip.reason { ": " bdi { (clip(reason, 120)) } } } },
                        None => { i.swatch.kept {} span { "kept" } },
                    }
                    span.quiet { (count(cards.len() as u64)) " of " (counted(strip.rows.max(cards.len() as u64), "row", "rows")) }
                }
            }
            ul.strip .wordy[!with_pictures] tabindex="0" { @for card in cards { (card) } }
        }
    }
}

/// A duplicate beside the sample that it duplicates.
fn pair(show: &mut Show<'_>, uid: &str, twin: &str, with_pictures: bool) -> Option<Markup> {
    let (sample, other) = (show.sample(uid), show.sample(twin));
    let card = html! {
        li.card.pair {
            @if with_pictures {
                div.pictures {
                    (show.picture(uid, &sample, Some("dropped")))
                    (show.picture(twin, &other, Some("duplicate of")))
                }
            }
            @if let Some(text) = &sample.text { (super::card::caption(text)) }
            p.facts { @if let Some(sim) = sample.max_sim { @if sim.is_finite() { span { "similarity " b { (super::super::format::number(f64::from(sim))) } } } } }
            p.uid { span { "uid " } code { (clip(uid, 64)) } }
            p.uid { span { "duplicate of " } code { (clip(twin, 64)) } }
        }
    };
    show.room.take(card)
}
