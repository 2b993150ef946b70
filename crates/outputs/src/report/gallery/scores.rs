//! The samples at both ends of a score: whether the worst are bad and the best are good is seen at once.
use cribble_core::ScoreEnds;
use maud::{Markup, html};

use super::super::format::{clip, counted};
use super::card::{Says, Show};

/// Samples of one end.
const MOST: usize = 60;

pub fn render(show: &mut Show<'_>) -> Markup {
    let gallery = show.gallery;
    let drawn: Vec<Markup> = gallery.scores.iter().take(20).map(|ends| one(show, ends)).collect();
    html! { @for ends in drawn { (ends) } }
}

fn one(show: &mut Show<'_>, ends: &ScoreEnds) -> Markup {
    let uids = ends.lowest.iter().chain(&ends.highest).map(|(uid, _)| uid);
    let with_pictures = show.has_pictures(uids);
    let mut end = |samples: &[(String, f32)]| {
        let mut cards = Vec::new();
        for (uid, score) in samples.iter().take(MOST) {
            cards.extend(show.card(
                uid,
                with_pictures,
                &Says { figure: Some(("score", *score)), ..Says::default() },
            ));
        }
        cards
    };
    let (lowest, highest) = (end(&ends.lowest), end(&ends.highest));
    html! {
        p.lead { code { (clip(&ends.column, 60)) } ": " (counted(ends.rows, "row has", "rows have")) " one, dropped ones too." }
        @for (name, cards) in [("lowest", lowest), ("highest", highest)] {
            div.group {
                h3 { (name) " " (clip(&ends.column, 60)) }
                ul.strip .wordy[!with_pictures] tabindex="0" { @for card in cards { (card) } }
            }
        }
    }
}
