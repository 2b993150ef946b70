//! One sample as a card: its picture, its caption in its own writing direction, what became of it. Every text of it is text, never markup.
use std::collections::BTreeMap;

use cribble_core::{Gallery, GallerySample};
use maud::{Markup, html};

use super::super::format::{clip, number, shorten};
use super::room::Room;

/// Characters of a caption that stand in the open; the rest is folded away.
const CAPTION_OPEN: usize = 110;
/// Characters of a caption that the page holds at all.
const CAPTION_MOST: usize = 4000;

/// What all sections draw from.
pub struct Show<'a> {
    pub gallery: &'a Gallery,
    /// Full-size pictures by uid, as paths below the page's folder.
    pub images: &'a BTreeMap<String, String>,
    pub room: Room,
}

/// What a section says of a sample beside the sample itself.
#[derive(Default)]
pub struct Says<'a> {
    /// A word on the picture, such as `duplicate`.
    pub badge: Option<&'a str>,
    /// Whether it stands for the others around it.
    pub leads: bool,
    /// A figure that this section is about, with its name.
    pub figure: Option<(&'a str, f32)>,
    /// Whether what became of it goes without saying here.
    pub fate_is_known: bool,
}

impl<'a> Show<'a> {
    /// The sample, or one of which nothing but the uid is known.
    pub fn sample(&self, uid: &str) -> GallerySample {
        self.gallery.samples.get(uid).cloned().unwrap_or_default()
    }

    /// Whether any of these has a picture: if none has, no card leaves room for one.
    pub fn has_pictures<'b>(&self, mut uids: impl Iterator<Item = &'b String>) -> bool {
        uids.any(|uid| self.gallery.samples.get(uid).is_some_and(|sample| sample.image.is_some()))
    }

    /// A card as an element of a list; none where there is no room for it.
    pub fn card(&mut self, uid: &str, with_pictures: bool, says: &Says<'_>) -> Option<Markup> {
        let gallery = self.gallery;
        let unknown = GallerySample::default();
        let sample = gallery.samples.get(uid).unwrap_or(&unknown);
        let card = html! {
            li.card.leads[says.leads] {
                @if with_pictures {
                    div.pictures { (self.picture(uid, sample, says.badge)) }
                } @else if let Some(badge) = says.badge { p.badge { (badge) } }
                (self.body(uid, sample, says))
            }
        };
        self.room.take(card)
    }

    /// Everything below the picture.
    fn body(&self, uid: &str, sample: &GallerySample, says: &Says<'_>) -> Markup {
        html! {
            @if let Some(text) = &sample.text { (caption(text)) }
            p.facts {
                @if let Some((name, value)) = says.figure { @if value.is_finite() { span { (name) " " b { (number(f64::from(value))) } } } }
                @if let Some(score) = sample.score { @if score.is_finite() && says.figure.is_none_or(|(name, _)| name != "score") { span { "score " b { (number(f64::from(score))) } } } }
                @if let Some(cluster) = sample.cluster { span { "cluster " (self.cluster(cluster)) } }
            }
            @if !says.fate_is_known { (fate(sample)) }
            p.uid { span { "uid " } code { (clip(uid, 64)) } }
        }
    }

    /// The number of a cluster, as a link where its card is on the page.
    fn cluster(&self, cluster: u32) -> Markup {
        html! {
            @if self.gallery.clusters.iter().any(|card| card.cluster == cluster) { a href={ "#cluster-" (cluster) } { b { (cluster) } } }
            @else { b { (cluster) } }
        }
    }

    /// The picture, linked to its full size where that lies beside the page.
    pub fn picture(&mut self, uid: &str, sample: &GallerySample, badge: Option<&str>) -> Markup {
        let gallery = self.gallery;
        let url = gallery
            .samples
            .get(uid)
            .and_then(|sample| sample.image.as_deref())
            .and_then(|url| self.room.picture(url));
        let full = self.images.get(uid).filter(|path| is_plain(path));
        let says = match &sample.text {
            Some(text) if !text.trim().is_empty() => format!("picture: {}", clip(text.trim(), 80)),
            _ => "picture".to_owned(),
        };
        html! {
            div.picture {
                @match (url, full) {
                    (Some(url), Some(full)) => { a href=(full) { img src=(url) alt=(says) loading="lazy" decoding="async"; } },
                    (Some(url), None) => { img src=(url) alt=(says) loading="lazy" decoding="async"; },
                    (None, Some(full)) => { a href=(full) { "picture" } },
                    (None, None) => { span.no-picture { "no picture" } },
                }
                @if let Some(badge) = badge { small { (badge) } }
            }
        }
    }
}

/// A path of ours below the page: nothing that leads elsewhere or runs.
fn is_plain(path: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
    path.starts_with("images/") && !path.contains("..") && path.bytes().all(allowed)
}

fn fate(sample: &GallerySample) -> Markup {
    html! {
        p.fate {
            @match &sample.dropped_by {
                Some(step) => { i.swatch.dropped {} "dropped by " (clip(step, 60)) @if let Some(reason) = &sample.reason { ": " bdi { (clip(reason, 120)) } } },
                None => { i.swatch.kept {} "kept" },
            }
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
    fn links_lead_to_pictures_beside_the_page_only() {
        for good in ["images/00ff.jpg", "images/a/b-c_d.png"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "http://example.org/a.jpg",
            "images/../../etc",
            "images/a b.jpg",
            "images/\"x",
            "javascript:images/",
            "/images/a",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
