//! The samples of the page, as a person looks at them: what each reason dropped, what clusters hold, who was taken for whose duplicate, how
//! captions changed, where scores end. A figure says how many; only pictures and captions say whether a rule did what its author meant.
mod captions;
mod card;
mod clusters;
mod groups;
mod room;
mod scores;
mod strips;
mod words;

use cribble_core::Gallery;
use maud::{Markup, html};

use super::Page;
use super::format::shorten;
use card::Show;
pub use card::caption;
use room::Room;
pub use room::raster_data_url;

/// A section: where it stands, what it is called, how it is drawn and whether there is anything to draw.
struct Section {
    id: &'static str,
    name: &'static str,
    is_empty: fn(&Gallery) -> bool,
    render: fn(&mut Show<'_>) -> Markup,
}

/// All of them, in the order of the page.
const SECTIONS: [Section; 5] = [
    Section {
        id: "samples",
        name: "Samples",
        is_empty: |gallery| gallery.strips.is_empty(),
        render: strips::render,
    },
    Section {
        id: "clusters",
        name: "Clusters",
        is_empty: |gallery| gallery.clusters.is_empty(),
        render: clusters::render,
    },
    Section {
        id: "duplicates",
        name: "Duplicates",
        is_empty: |gallery| gallery.groups.is_empty(),
        render: groups::render,
    },
    Section {
        id: "captions",
        name: "Captions",
        is_empty: |gallery| gallery.captions.is_empty(),
        render: captions::render,
    },
    Section {
        id: "scores",
        name: "Scores",
        is_empty: |gallery| gallery.scores.is_empty(),
        render: scores::render,
    },
];

fn present(gallery: &Gallery) -> impl Iterator<Item = &'static Section> {
    SECTIONS.iter().filter(|section| !(section.is_empty)(gallery))
}

/// Links to the sections that have something to show.
pub fn navigation(gallery: &Gallery) -> Markup {
    html! { @for section in present(gallery) { a href={ "#" (section.id) } { (section.name) } } }
}

/// The sections that have something to show.
pub fn render(page: &Page<'_>, gallery: &Gallery) -> Markup {
    let sections: Vec<&Section> = present(gallery).collect();
    let mut show = Show { gallery, images: page.images, room: Room::new(sections.len()) };
    let mut drawn = Vec::new();
    for section in &sections {
        show.room.begin();
        let body = (section.render)(&mut show);
        drawn.push(html! {
            section id=(section.id) {
                h2 { (section.name) }
                (body)
                @if let Some(words) = show.room.left_out() { p.small { (words) } }
            }
        });
    }
    html! {
        @for section in drawn { (section) }
        @if !gallery.notes.is_empty() {
            ul.notes aria-label="notes on the samples" { @for note in gallery.notes.iter().take(20) { li { bdi { (shorten(note, 400)) } } } }
        }
    }
}
