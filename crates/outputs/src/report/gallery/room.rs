//! The bytes that samples may take in the page, shared by its sections: whatever a run holds, the page can be sent by mail. Each section may take an
//! equal part of what is left for it and those after it, so none starves, and what one does not need the next ones have.
use maud::Markup;

use super::super::format::counted;

/// Bytes of all cards. With the charts and tables around them the page stays under 50 MB.
pub const MOST: usize = 40_000_000;
/// Bytes of one picture.
const PICTURE_MOST: usize = 300_000;

/// What is left.
pub struct Room {
    left: usize,
    section: usize,
    sections: usize,
    cards_out: u64,
    pictures_out: u64,
}

impl Room {
    /// Room for this many sections.
    pub fn new(sections: usize) -> Self {
        Self { left: MOST, section: 0, sections, cards_out: 0, pictures_out: 0 }
    }

    /// Begins the next section.
    pub fn begin(&mut self) {
        self.section = self.left / self.sections.max(1);
        self.sections = self.sections.saturating_sub(1).max(1);
        (self.cards_out, self.pictures_out) = (0, 0);
    }

    /// The card, where there is room for it.
    pub fn take(&mut self, card: Markup) -> Option<Markup> {
        let bytes = card.0.len();
        if bytes > self.section {
            self.cards_out += 1;
            return None;
        }
        self.section -= bytes;
        self.left -= bytes;
        Some(card)
    }

    /// The picture, if it lies inside its URL and is no larger than one may be. Anything else could fetch from a network or run.
    pub fn picture<'a>(&mut self, url: &'a str) -> Option<&'a str> {
        let url = raster_data_url(url)?;
        if url.len() > PICTURE_MOST {
            self.pictures_out += 1;
            return None;
        }
        Some(url)
    }

    /// What this section left out, in words.
    pub fn left_out(&self) -> Option<String> {
        let out = |number, one, many| (number > 0).then(|| counted(number, one, many));
        let parts: Vec<String> =
            [out(self.cards_out, "card", "cards"), out(self.pictures_out, "picture", "pictures")]
                .into_iter()
                .flatten()
                .collect();
        (!parts.is_empty()).then(|| format!("{} left out to keep this file small.", parts.join(" and ")))
    }
}

/// The URL, if it is a raster picture that lies inside itself.
pub fn raster_data_url(url: &str) -> Option<&str> {
    let (kind, data) = url.strip_prefix("data:image/")?.split_once(";base64,")?;
    let raster = ["jpeg", "png", "webp", "gif", "avif", "bmp"].contains(&kind);
    let base64 = data.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    (raster && base64 && !data.is_empty()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use maud::PreEscaped;

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
    fn sections_share_and_what_one_leaves_the_next_ones_have() {
        let card = || PreEscaped("x".repeat(MOST / 8));
        let mut room = Room::new(2);
        room.begin();
        assert_eq!((0..6).filter(|_| room.take(card()).is_some()).count(), 4);
        assert_eq!(room.left_out().as_deref(), Some("2 cards left out to keep this file small."));
        room.begin();
        assert_eq!(room.left_out(), None);
        assert_eq!((0..6).filter(|_| room.take(card()).is_some()).count(), 4);
        let mut room = Room::new(3);
        room.begin();
        room.begin();
        assert_eq!((0..9).filter(|_| room.take(card()).is_some()).count(), 4, "half of what is left for two");
        room.begin();
        assert_eq!((0..9).filter(|_| room.take(card()).is_some()).count(), 4);
    }
}
