//! Groups of duplicates: the sample that stands for all of them, marked, and random ones of those that were dropped for it.
use cribble_core::DuplicateGroup;
use maud::{Markup, html};

use super::super::format::{clip, count, counted};
use super::card::{Says, Show};

/// Groups in the open; the others unfold.
const OPEN: usize = 6;
/// Groups shown, and members of one.
const MOST_GROUPS: usize = 400;
const MOST_MEMBERS: usize = 30;

pub fn render(show: &mut Show<'_>) -> Markup {
    let groups = &show.gallery.groups;
    let drawn: Vec<Markup> = groups.iter().take(MOST_GROUPS).map(|group| one(show, group)).collect();
    let (open, folded) = drawn.split_at(drawn.len().min(OPEN));
    html! {
        p.lead { "Groups of random duplicates, the largest first; large groups are drawn more often than small ones. Where a sample duplicates one that was dropped itself, the group is followed up to the one that was kept, but not down its other branches." }
        @for group in open { (group) }
        @if !folded.is_empty() {
            details.fold {
                summary { (counted(folded.len() as u64, "more group", "more groups")) }
                @for group in folded { (group) }
            }
        }
    }
}

fn one(show: &mut Show<'_>, group: &DuplicateGroup) -> Markup {
    let uids = || std::iter::once(&group.leader).chain(group.members.iter().map(|(uid, _)| uid));
    let with_pictures = show.has_pictures(uids());
    let mut cards = Vec::new();
    // A later step may have dropped it after all, and a chain that was too long ends in a duplicate.
    let badge = match show.sample(&group.leader).dropped_by {
        None => "kept",
        Some(step) if step == group.step => "stands for the others",
        Some(_) => "kept here",
    };
    cards.extend(show.card(
        &group.leader,
        with_pictures,
        &Says { badge: Some(badge), leads: true, ..Says::default() },
    ));
    for (uid, sim) in group.members.iter().take(MOST_MEMBERS) {
        let figure = sim.map(|sim| ("similarity", sim));
        cards.extend(show.card(
            uid,
            with_pictures,
            &Says { badge: Some("duplicate"), figure, fate_is_known: true, leads: false },
        ));
    }
    let hidden = group.dropped.saturating_sub(group.members.len().min(MOST_MEMBERS) as u64);
    html! {
        div.group {
            h3 {
                span { (counted(group.dropped, "duplicate", "duplicates")) " of one sample, dropped by " (clip(&group.step, 80)) }
                @if hidden > 0 { span.quiet { (count(hidden)) " of them not shown" } }
            }
            ul.strip .wordy[!with_pictures] tabindex="0" { @for card in cards { (card) } }
        }
    }
}
