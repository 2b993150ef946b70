//! Clusters as cards: what a judge called them where one judged, how large they are, what is left of them, and the samples at both ends. The
//! nearest say what a cluster is about, the farthest whether it is about one thing.
use cribble_core::ClusterCard;
use maud::{Markup, html};

use super::super::format::{clip, count, counted, number, percent, share, shorten};
use super::card::{Says, Show};

/// Cards in the open; the others unfold.
const OPEN: usize = 12;
/// Cards shown, and samples at one end of one.
const MOST_CARDS: usize = 400;
const MOST_ENDS: usize = 12;

pub fn render(show: &mut Show<'_>) -> Markup {
    let cards = &show.gallery.clusters;
    let all = show.gallery.clusters_in_all.max(cards.len() as u64);
    let drawn: Vec<Markup> = cards.iter().take(MOST_CARDS).map(|card| one(show, card)).collect();
    let (open, folded) = drawn.split_at(drawn.len().min(OPEN));
    html! {
        p.lead {
            @if (drawn.len() as u64) < all {
                (count(drawn.len() as u64)) " of " (counted(all, "cluster", "clusters")) ": the largest ones, then random ones."
            } @else { (counted(all, "cluster", "clusters")) ", the largest first." }
        }
        div.clusters { @for card in open { (card) } }
        @if !folded.is_empty() {
            details.fold {
                summary { (counted(folded.len() as u64, "more cluster", "more clusters")) }
                div.clusters { @for card in folded { (card) } }
            }
        }
    }
}

fn one(show: &mut Show<'_>, card: &ClusterCard) -> Markup {
    let gone = card.keep == Some(false);
    let ends = card.nearest.iter().chain(&card.farthest);
    let with_pictures = show.has_pictures(ends.map(|(uid, _)| uid));
    let nearest = end(show, &card.nearest, with_pictures);
    let farthest = end(show, &card.farthest, with_pictures);
    html! {
        article.group.cluster.gone[gone] id={ "cluster-" (card.cluster) } {
            h3 {
                @if card.title.is_empty() { "Cluster " (card.cluster) } @else { bdi { (shorten(&card.title, 80)) } }
                @if !card.verdict.is_empty() { span.kind.gone[gone] { (clip(&card.verdict, 40)) } }
            }
            p.facts {
                @if !card.title.is_empty() { span { "cluster " b { (card.cluster) } } }
                @if !card.category.is_empty() { span { bdi { (shorten(&card.category, 40)) } } }
                span { b { (count(card.size)) } (if card.size == 1 { " row" } else { " rows" }) }
                @if let Some(quota) = card.quota { span { "quota " b { (count(quota)) } } }
                span { "kept " b { (count(card.kept)) } " (" (percent(card.kept, card.size)) ")" }
            }
            span.meter aria-hidden="true" { span style={ (format!("width:{:.1}%", share(card.kept, card.size) * 100.0)) } {} }
            @if !card.reason.is_empty() { p.reason { bdi { (shorten(&card.reason, 300)) } } }
            @if !nearest.is_empty() { h4 { "nearest" } ul.strip.ends .wordy[!with_pictures] tabindex="0" { @for card in nearest { (card) } } }
            @if !farthest.is_empty() { h4 { "farthest" } ul.strip.ends .wordy[!with_pictures] tabindex="0" { @for card in farthest { (card) } } }
        }
    }
}

/// Small cards: picture or caption, and the similarity to the centroid.
fn end(show: &mut Show<'_>, samples: &[(String, f32)], with_pictures: bool) -> Vec<Markup> {
    let mut cards = Vec::new();
    for (uid, sim) in samples.iter().take(MOST_ENDS) {
        if !with_pictures {
            cards.extend(show.card(
                uid,
                false,
                &Says { figure: Some(("similarity", *sim)), ..Says::default() },
            ));
            continue;
        }
        let sample = show.sample(uid);
        let card = html! {
            li.card.small-card .lost[sample.dropped_by.is_some()] {
                div.pictures { (show.picture(uid, &sample, None)) }
                @if let Some(text) = &sample.text { p.caption dir="auto" { (clip(text.trim(), 60)) } }
                p.facts {
                    @if sim.is_finite() { span { b { (number(f64::from(*sim))) } } }
                    @if let Some(step) = &sample.dropped_by { span { i.swatch.dropped {} (clip(step, 24)) } } @else { span { i.swatch.kept {} "kept" } }
                }
                p.uid { code { (clip(uid, 64)) } }
            }
        };
        cards.extend(show.room.take(card));
    }
    cards
}
