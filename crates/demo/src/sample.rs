//! What every row of the pool is, computed from (seed, row) alone. A twin refers to an earlier row that draws itself an original, so no
//! chain is ever followed and any row can be made on any thread at any time.
use crate::draw::setting::Setting;
use crate::draw::table::{CONCEPTS, Concept};
use crate::random::{Purpose, Stream};
use crate::{CaptionKind, ImageKind, Language, PoolOptions};
use cribble_core::Uid;

/// The explicit parameters of one drawn picture. Everything about its pixels follows from them and its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latents {
    /// Place in [`CONCEPTS`].
    pub concept: usize,
    /// Places in the palette.
    pub color: u8,
    pub accent: u8,
    pub count: u32,
    pub setting: Setting,
    /// -1 to 1, of the concept's largest turn.
    pub turn: f32,
    /// -1 to 1.
    pub x: f32,
    pub y: f32,
    /// 0 to 1.
    pub size: f32,
    pub style: f32,
    pub clutter: f32,
    /// Seed of the small details.
    pub detail: u64,
}

impl Latents {
    pub fn concept(&self) -> &'static Concept {
        &CONCEPTS[self.concept]
    }
}

/// What is done to the original's pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Edit {
    Nothing,
    /// Left, top, right, bottom as shares of the width and height.
    Crop([f32; 4]),
    Mirror,
    /// Every value `v` in 0..1 becomes `v^gamma`.
    Gamma(f32),
}

/// The caption of a row: which row's picture it describes, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CaptionPlan {
    pub kind: CaptionKind,
    pub language: Language,
    /// The row whose own caption this is: the row itself, or another one for a wrong caption.
    pub row: u64,
}

/// One row of the pool.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub row: u64,
    pub kind: ImageKind,
    /// The row of the original; the row itself where it is no twin.
    pub source: u64,
    /// Of the original.
    pub latents: Latents,
    /// Size of the drawing before the edit, in pixels.
    pub drawn: (u32, u32),
    /// Size of the image in the tar, in pixels.
    pub stored: (u32, u32),
    /// Size that the metadata gives, as if the stored image had been shrunk by img2dataset.
    pub original: (u32, u32),
    pub edit: Edit,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    pub caption: CaptionPlan,
    /// False: the download failed.
    pub has_image: bool,
}

/// The rules of a pool: everything that makes samples from rows.
pub(crate) struct World {
    pub seed: u64,
    pub rows: u64,
    images: bool,
    /// Upper ends of the shares of the kinds of images, in the order of `KINDS`.
    kinds: [f64; 7],
    wrong: f64,
    file_names: f64,
    other_languages: f64,
    failed: f64,
    /// Cumulative frequencies of the concepts, ending at 1.
    concepts: Vec<f64>,
}

const KINDS: [ImageKind; 7] = [
    ImageKind::ByteCopy,
    ImageKind::Reencoded,
    ImageKind::Cropped,
    ImageKind::Mirrored,
    ImageKind::Brightened,
    ImageKind::Tiny,
    ImageKind::ExtremeAspect,
];

impl World {
    /// The world of validated options.
    pub fn new(options: &PoolOptions) -> Self {
        let planted = &options.planted;
        let mut kinds = [
            planted.byte_copies,
            planted.reencoded,
            planted.cropped,
            planted.mirrored,
            planted.brightened,
            planted.tiny,
            planted.extreme_aspect,
        ];
        let mut sum = 0.0;
        for share in &mut kinds {
            sum += *share;
            *share = sum;
        }
        let weights: Vec<f64> =
            (0..CONCEPTS.len()).map(|rank| ((rank + 1) as f64).powf(-options.zipf)).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let concepts = weights
            .iter()
            .map(|weight| {
                sum += weight / total;
                sum
            })
            .collect();
        Self {
            seed: options.seed,
            rows: options.rows,
            images: options.images,
            kinds,
            wrong: planted.wrong_captions,
            file_names: planted.file_name_captions,
            other_languages: planted.other_languages,
            failed: planted.failed_downloads,
            concepts,
        }
    }

    pub fn stream(&self, purpose: Purpose, row: u64) -> Stream {
        Stream::new(self.seed, purpose, row)
    }

    pub fn uid(&self, row: u64) -> Uid {
        let mut stream = self.stream(Purpose::Uid, row);
        Uid::from_halves(stream.next(), stream.next())
    }

    /// What the image of a row is. Row 0 is always an original, so that every twin has somewhere to come from.
    fn kind(&self, row: u64) -> ImageKind {
        let draw = self.stream(Purpose::Kind, row).unit_f64();
        match self.kinds.iter().position(|&end| draw < end) {
            Some(place) if row > 0 || !KINDS[place].is_twin() => KINDS[place],
            _ => ImageKind::Original,
        }
    }

    /// The original of a twin: an earlier row, drawn until one is an original, else row 0.
    fn source(&self, row: u64, kind: ImageKind) -> u64 {
        if !kind.is_twin() {
            return row;
        }
        let mut stream = self.stream(Purpose::Source, row);
        (0..64)
            .map(|_| stream.below(row))
            .find(|&earlier| self.kind(earlier) == ImageKind::Original)
            .unwrap_or(0)
    }

    /// The row of the original that a row shows; the row itself where it is no twin.
    pub fn source_of(&self, row: u64) -> u64 {
        self.source(row, self.kind(row))
    }

    /// The parameters of the picture of an original (not of a twin: ask for its source).
    pub fn latents(&self, source: u64) -> Latents {
        let mut stream = self.stream(Purpose::Latents, source);
        let draw = stream.unit_f64();
        let place = self.concepts.iter().position(|&end| draw < end).unwrap_or(CONCEPTS.len() - 1);
        let concept = &CONCEPTS[place];
        let color = *stream.pick(concept.colors);
        // The accent differs from the main colour wherever the concept has a choice.
        let mut accent = *stream.pick(concept.accents);
        for _ in 0..8 {
            if accent != color {
                break;
            }
            accent = *stream.pick(concept.accents);
        }
        let (low, high) = concept.counts;
        // Few are more frequent than many: the smaller of two draws.
        let spread = u64::from(high - low + 1);
        let count = low + stream.below(spread).min(stream.below(spread)) as u32;
        Latents {
            concept: place,
            color,
            accent,
            count,
            setting: *stream.pick(concept.settings),
            turn: stream.between(-1.0, 1.0),
            x: stream.between(-1.0, 1.0),
            y: stream.between(-1.0, 1.0),
            size: stream.unit(),
            style: stream.unit(),
            clutter: stream.unit(),
            detail: stream.next(),
        }
    }

    /// Size of the drawing and size before download, for an original.
    fn sizes(&self, source: u64, kind: ImageKind) -> ((u32, u32), (u32, u32)) {
        let mut stream = self.stream(Purpose::Size, source);
        let flip = stream.chance(0.3);
        let turn = |(long, short): (u32, u32)| if flip { (short, long) } else { (long, short) };
        match kind {
            ImageKind::Tiny => {
                let short = stream.between(72.0, 199.0) as u32;
                let size = turn(((short as f32 * stream.between(1.0, 1.5)) as u32, short));
                (size, size)
            }
            ImageKind::ExtremeAspect => {
                let short = stream.between(68.0, 96.0) as u32;
                let long = (short as f32 * stream.between(3.2, 4.4)).ceil() as u32;
                let factor = stream.below(3) as u32 + 3;
                let size = turn((long, short));
                (size, (size.0 * factor, size.1 * factor))
            }
            _ => {
                let ratio = *stream.pick(&[1.0f32, 1.0, 4.0 / 3.0, 4.0 / 3.0, 1.5, 16.0 / 9.0]);
                let short = stream.between(136.0, 216.0) / (0.5 + 0.5 * ratio);
                let (short, long) = (short.max(128.0) as u32, (short.max(128.0) * ratio) as u32);
                // Large enough that a crop of it is not tiny (below 200 px).
                let factor = stream.between(2.1, 6.0).max(262.0 / short as f32);
                let size = turn((long.min(320), short));
                let grown = |side: u32| (side as f32 * factor).round() as u32;
                (size, (grown(size.0), grown(size.1)))
            }
        }
    }

    /// The kind of caption that a row draws, before it is known whether a wrong caption can be found.
    fn caption_kind(&self, row: u64) -> CaptionKind {
        let draw = self.stream(Purpose::Caption, row).unit_f64();
        if draw < self.wrong {
            CaptionKind::Wrong
        } else if draw < self.wrong + self.file_names {
            CaptionKind::FileName
        } else {
            CaptionKind::Matched
        }
    }

    fn language(&self, row: u64) -> Language {
        let mut stream = self.stream(Purpose::Caption, row);
        stream.next();
        if stream.unit_f64() < self.other_languages {
            *stream.pick(&Language::ALL[1..])
        } else {
            Language::English
        }
    }

    /// The stream that chooses among a row's own templates and file names.
    pub fn caption_stream(&self, row: u64) -> Stream {
        let mut stream = self.stream(Purpose::Caption, row);
        for _ in 0..4 {
            stream.next();
        }
        stream
    }

    /// The concept that a row shows.
    fn concept(&self, row: u64) -> usize {
        self.latents(self.source_of(row)).concept
    }

    fn caption(&self, row: u64, concept: usize) -> CaptionPlan {
        let matched = CaptionPlan { kind: CaptionKind::Matched, language: self.language(row), row };
        match self.caption_kind(row) {
            CaptionKind::Matched => matched,
            CaptionKind::FileName => {
                CaptionPlan { kind: CaptionKind::FileName, language: Language::English, row }
            }
            CaptionKind::Wrong => {
                // Another row that has a caption of its own and shows something else. A pool too small for that keeps the right one.
                let mut stream = self.caption_stream(row);
                (0..64)
                    .map(|_| stream.below(self.rows))
                    .find(|&other| {
                        self.caption_kind(other) == CaptionKind::Matched && self.concept(other) != concept
                    })
                    .map_or(matched, |other| CaptionPlan {
                        kind: CaptionKind::Wrong,
                        language: self.language(other),
                        row: other,
                    })
            }
        }
    }

    /// The picture that the caption of `row` tells of.
    pub fn told(&self, plan: &CaptionPlan) -> Latents {
        self.latents(self.source_of(plan.row))
    }

    /// Everything about a row.
    pub fn sample(&self, row: u64) -> Sample {
        let kind = self.kind(row);
        let source = self.source(row, kind);
        let latents = self.latents(source);
        let (drawn, original) = self.sizes(source, if kind.is_twin() { ImageKind::Original } else { kind });
        let first_quality = 82 + self.stream(Purpose::Edit, source).below(11) as u8;
        let mut stream = self.stream(Purpose::Edit, row);
        stream.next();
        let quality = match kind {
            ImageKind::Reencoded => 45 + stream.below(25) as u8,
            ImageKind::Cropped | ImageKind::Mirrored | ImageKind::Brightened => 78 + stream.below(12) as u8,
            _ => first_quality,
        };
        let edit = match kind {
            ImageKind::Cropped => {
                let mut keep = || {
                    let part = stream.between(0.78, 0.92);
                    let from = stream.between(0.0, 1.0 - part);
                    (from, from + part)
                };
                let ((left, right), (top, bottom)) = (keep(), keep());
                Edit::Crop([left, top, right, bottom])
            }
            ImageKind::Mirrored => Edit::Mirror,
            ImageKind::Brightened if stream.chance(0.6) => Edit::Gamma(stream.between(0.62, 0.8)),
            ImageKind::Brightened => Edit::Gamma(stream.between(1.3, 1.65)),
            _ => Edit::Nothing,
        };
        let cut = |size: (u32, u32)| match edit {
            Edit::Crop([left, top, right, bottom]) => {
                let part = |side: u32, from: f32, to: f32| (side as f32 * (to - from)).floor() as u32;
                (part(size.0, left, right), part(size.1, top, bottom))
            }
            _ => size,
        };
        Sample {
            row,
            kind,
            source,
            latents,
            drawn,
            stored: cut(drawn),
            original: cut(original),
            edit,
            quality,
            caption: self.caption(row, latents.concept),
            has_image: self.images && self.stream(Purpose::Download, row).unit_f64() >= self.failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Planted;

    fn world(rows: u64, planted: Planted) -> World {
        World::new(&PoolOptions { rows, planted, ..PoolOptions::default() })
    }

    #[test]
    fn shares_come_out_as_planted_and_kinds_keep_their_promises() {
        let rows = 20_000;
        let world = world(rows, Planted::default());
        let mut counts = std::collections::BTreeMap::new();
        for row in 0..rows {
            let sample = world.sample(row);
            *counts.entry(sample.kind.as_str()).or_insert(0u32) += 1;
            *counts.entry(sample.caption.kind.as_str()).or_insert(0) += 1;
            *counts.entry(sample.caption.language.as_str()).or_insert(0) += 1;
            let (long, short) =
                (sample.original.0.max(sample.original.1), sample.original.0.min(sample.original.1));
            assert_eq!(short < 200, sample.kind == ImageKind::Tiny, "{sample:?}");
            assert_eq!(long > 3 * short, sample.kind == ImageKind::ExtremeAspect, "{sample:?}");
            assert!(
                sample.stored.0.max(sample.stored.1) <= 430 && sample.stored.0.min(sample.stored.1) >= 64
            );
            assert_eq!(sample.kind.is_twin(), sample.source < row);
            assert!(!world.kind(sample.source).is_twin());
            let told = world.told(&sample.caption).concept;
            assert_eq!(told != sample.latents.concept, sample.caption.kind == CaptionKind::Wrong);
        }
        for (word, share) in [("byte_copy", 0.03), ("tiny", 0.04), ("wrong", 0.06), ("file_name", 0.05)] {
            let found = f64::from(counts[word]) / rows as f64;
            assert!((found - share).abs() < 0.006, "{word}: {found} for {share}");
        }
        for language in &Language::ALL[1..] {
            assert!(counts[language.as_str()] > 700, "{counts:?}");
        }
    }

    #[test]
    fn extremes_are_possible() {
        let all_copies = world(50, Planted { byte_copies: 1.0, ..Planted::NOTHING });
        assert!((1..50).all(|row| all_copies.sample(row).source == 0));
        let alone = world(1, Planted { wrong_captions: 1.0, ..Planted::NOTHING });
        assert_eq!(alone.sample(0).caption.kind, CaptionKind::Matched);
    }
}
