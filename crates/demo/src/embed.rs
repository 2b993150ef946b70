//! Synthetic embeddings. No model is run: an image vector is a sum of fixed random directions (one for all images, one of the
//! family, one of the concept, some for the picture's parameters) and noise of its own, so that neighbours, twins and strangers have
//! the similarities that a CLIP gives them. A later version may put a trained model in its place; readers see no difference.
//!
//! Shares of an image vector's squared length, r being the concept's richness: mean 0.30, noise 0.055 + 0.065 r, parameters
//! 0.045 + 0.175 r, the rest is family and concept. So two distinct samples of one concept stay below 1 − noise share: about 0.88
//! in rich concepts and 0.945 in poor ones. Twins are set at an exact angle to their original. A text vector is the caption's
//! own direction (concept, parameters, language, noise) plus just so much of the described image that the pair has its planned cosine.
use crate::draw::setting::Setting;
use crate::draw::table::CONCEPTS;
use crate::random::{Purpose, Stream};
use crate::sample::{Latents, Sample, World};
use crate::{CaptionKind, ImageKind, Language};

const FEATURES: usize = 28;
const FAMILIES: usize = 5;

/// One image and text encoder pair: fixed maps from parameters to vectors, made from the pool's seed and the encoder's name.
pub(crate) struct Encoder {
    dim: usize,
    seed: u64,
    /// `[concepts, d]`: everything about an image that its concept decides.
    image_base: Vec<f32>,
    /// `[FEATURES, d]`
    image_features: Vec<f32>,
    /// `[concepts, d]`
    text_base: Vec<f32>,
    text_features: Vec<f32>,
    /// `[languages, d]`
    languages: Vec<f32>,
    /// `[d]`: where file names lie.
    file_names: Vec<f32>,
    /// Codes of colours, accents and settings: 4 numbers each, 12 of each.
    codes: Vec<[f32; 4]>,
}

/// Scratch of one thread.
#[derive(Default)]
pub(crate) struct Scratch {
    told: Vec<f32>,
    noise: Vec<f32>,
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight lanes with a fixed order of additions: fast, and the same bits everywhere.
    let mut lanes = [0f32; 8];
    let (heads, tails) = (a.chunks_exact(8).zip(b.chunks_exact(8)), a.len() / 8 * 8);
    for (x, y) in heads {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = a[tails..].iter().zip(&b[tails..]).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f32>() + rest
}

fn scale(vector: &mut [f32], by: f32) {
    vector.iter_mut().for_each(|value| *value *= by);
}

fn add(to: &mut [f32], weight: f32, from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
}

/// To unit length; a zero vector stays zero.
fn normalise(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    if length > 1e-12 {
        scale(vector, 1.0 / length);
    }
}

/// `count` random unit vectors, orthogonal to each other and to `others` as long as there is room for that.
fn directions(stream: &mut Stream, count: usize, dim: usize, others: &mut Vec<Vec<f32>>) -> Vec<f32> {
    let mut flat = Vec::with_capacity(count * dim);
    for _ in 0..count {
        let mut fresh = vec![0f32; dim];
        stream.add_noise(1.0, &mut fresh);
        normalise(&mut fresh);
        let mut vector = fresh.clone();
        // Twice is enough: the second pass removes what rounding left. With half the room taken, plain random is near enough.
        if others.len() * 2 < dim {
            for _ in 0..2 {
                for other in others.iter() {
                    let along = dot(&vector, other);
                    add(&mut vector, -along, other);
                }
            }
        }
        normalise(&mut vector);
        flat.extend_from_slice(&vector);
        others.push(vector);
    }
    flat
}

impl Encoder {
    pub fn new(world_seed: u64, name: &str, dim: usize) -> Self {
        let salt = name.bytes().fold(0u64, |salt, byte| (salt << 8) | u64::from(byte));
        let seed = world_seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut stream = Stream::new(seed, Purpose::ImageMap, dim as u64);
        let mut taken = Vec::new();
        let means = directions(&mut stream, 2, dim, &mut taken);
        let families = directions(&mut stream, FAMILIES, dim, &mut taken);
        let image_concepts = directions(&mut stream, CONCEPTS.len(), dim, &mut taken);
        let image_features = directions(&mut stream, FEATURES, dim, &mut taken);
        let text_families = directions(&mut stream, FAMILIES, dim, &mut taken);
        let text_concepts = directions(&mut stream, CONCEPTS.len(), dim, &mut taken);
        let text_features = directions(&mut stream, FEATURES, dim, &mut taken);
        let languages = directions(&mut stream, Language::ALL.len(), dim, &mut taken);
        let file_names = directions(&mut stream, 1, dim, &mut taken);
        let base = |mean: &[f32], families: &[f32], concepts: &[f32]| {
            let mut flat = vec![0f32; CONCEPTS.len() * dim];
            for (place, (base, concept)) in flat.chunks_mut(dim).zip(CONCEPTS).enumerate() {
                let rest = 1.0 - 0.30 - noise_share(concept.richness) - feature_share(concept.richness);
                add(base, 0.30f32.sqrt(), mean);
                add(base, (rest * 0.22).sqrt(), &families[concept.family as usize * dim..][..dim]);
                add(base, (rest * 0.78).sqrt(), &concepts[place * dim..][..dim]);
            }
            flat
        };
        let codes = (0..36)
            .map(|_| {
                let mut code = [0f32; 4];
                stream.add_noise(1.0, &mut code);
                normalise(&mut code);
                code
            })
            .collect();
        Self {
            image_base: base(&means[..dim], &families, &image_concepts),
            text_base: base(&means[dim..], &text_families, &text_concepts),
            dim,
            seed,
            image_features,
            text_features,
            languages,
            file_names,
            codes,
        }
    }

    /// The picture's parameters as a unit vector.
    fn features(&self, latents: &Latents) -> [f32; FEATURES] {
        let mut features = [0f32; FEATURES];
        let setting = Setting::OUTDOORS.iter().chain(Setting::INDOORS).position(|&s| s == latents.setting);
        for (place, (code, weight)) in [
            (usize::from(latents.color), 1.3),
            (12 + usize::from(latents.accent), 0.9),
            (24 + setting.unwrap_or(0), 1.3),
        ]
        .into_iter()
        .enumerate()
        {
            for axis in 0..4 {
                features[place * 4 + axis] = weight * self.codes[code][axis];
            }
        }
        let circle = [
            (latents.count as f32 / 3.0, 0.9),
            (latents.turn, 0.5),
            (latents.x, 0.5),
            (latents.y, 0.5),
            (latents.size * 2.0 - 1.0, 0.6),
            (latents.style * 2.0 - 1.0, 0.6),
            (latents.clutter * 2.0 - 1.0, 0.4),
            ((latents.detail >> 40) as f32 / (1u32 << 23) as f32 - 1.0, 0.4),
        ];
        for (place, (value, weight)) in circle.into_iter().enumerate() {
            let (sin, cos) = (value * 1.8).sin_cos();
            features[12 + place * 2] = weight * sin;
            features[13 + place * 2] = weight * cos;
        }
        normalise(&mut features);
        features
    }

    fn compose(&self, base: &[f32], map: &[f32], latents: &Latents, out: &mut [f32]) {
        out.copy_from_slice(&base[latents.concept * self.dim..][..self.dim]);
        let weight = feature_share(latents.concept().richness).sqrt();
        for (value, direction) in self.features(latents).iter().zip(map.chunks_exact(self.dim)) {
            add(out, weight * value, direction);
        }
    }

    /// The vector of an original's image, `[d]`, unit length.
    fn original(&self, source: u64, latents: &Latents, out: &mut [f32]) {
        self.compose(&self.image_base, &self.image_features, latents, out);
        let noise = (noise_share(latents.concept().richness) / self.dim as f32).sqrt();
        Stream::new(self.seed, Purpose::ImageNoise, source).add_noise(noise, out);
        normalise(out);
    }

    /// The vector of a row's image, `[d]`, unit length. A twin's has its kind's cosine to the original's: exactly 1 for byte copies (the
    /// same bits), 0.985-0.995 re-encoded, 0.950-0.980 cropped, 0.955-0.985 mirrored or brightened.
    pub fn image(&self, world: &World, sample: &Sample, scratch: &mut Scratch, out: &mut [f32]) {
        self.original(sample.source, &sample.latents, out);
        let (low, high) = match sample.kind {
            ImageKind::Reencoded => (0.9855, 0.9945),
            ImageKind::Cropped => (0.951, 0.979),
            ImageKind::Mirrored | ImageKind::Brightened => (0.956, 0.984),
            _ => return,
        };
        // How much a twin differs is a property of the twin, not of the encoder that looks at it.
        let cosine = world.stream(Purpose::Match, sample.row).between(low, high);
        scratch.noise.clear();
        scratch.noise.resize(self.dim, 0.0);
        Stream::new(self.seed, Purpose::ImageNoise, sample.row).add_noise(1.0, &mut scratch.noise);
        let along = dot(&scratch.noise, out);
        add(&mut scratch.noise, -along, out);
        normalise(&mut scratch.noise);
        scale(out, cosine);
        add(out, (1.0 - cosine * cosine).sqrt(), &scratch.noise);
        normalise(out);
    }

    /// How well the caption names the picture that it tells of: the cosine of that pair.
    fn match_cosine(&self, world: &World, sample: &Sample) -> f32 {
        let shared =
            world.stream(Purpose::Match, sample.caption.row.wrapping_add(1 << 63)).between(-1.0, 1.0);
        let own = Stream::new(self.seed, Purpose::Match, sample.row).between(-1.0, 1.0);
        let cosine = 0.30 + 0.035 * shared + 0.012 * own;
        match (sample.caption.kind, sample.caption.language) {
            (CaptionKind::FileName, _) => 0.035 + 0.03 * shared,
            (_, Language::English) => cosine,
            _ => cosine * 0.9,
        }
    }

    /// The vector of a row's caption, `[d]`, unit length, given the row's image vector.
    pub fn text(
        &self,
        world: &World,
        sample: &Sample,
        image: &[f32],
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let plan = &sample.caption;
        let told = if plan.kind == CaptionKind::Wrong { world.told(plan) } else { sample.latents };
        if plan.kind == CaptionKind::FileName {
            out.copy_from_slice(&self.file_names);
        } else {
            self.compose(&self.text_base, &self.text_features, &told, out);
            let language = Language::ALL.iter().position(|&other| other == plan.language).unwrap_or(0);
            add(out, 0.35, &self.languages[language * self.dim..][..self.dim]);
        }
        let noise = (noise_share(told.concept().richness) * 1.3 / self.dim as f32).sqrt();
        Stream::new(self.seed, Purpose::TextNoise, sample.row).add_noise(noise, out);

        // Take out what the caption's own direction shares with both images by chance, then add the planned part of the described one.
        let along = dot(out, image);
        add(out, -along, image);
        let described: &[f32] = if plan.kind == CaptionKind::Wrong {
            scratch.told.clear();
            scratch.told.resize(self.dim, 0.0);
            self.original(world.source_of(plan.row), &told, &mut scratch.told);
            scratch.noise.clear();
            scratch.noise.extend_from_slice(&scratch.told);
            let common = dot(&scratch.noise, image);
            add(&mut scratch.noise, -common, image);
            normalise(&mut scratch.noise);
            let along = dot(out, &scratch.noise);
            add(out, -along, &scratch.noise);
            &scratch.told
        } else {
            image
        };
        normalise(out);
        let cosine = self.match_cosine(world, sample);
        scale(out, (1.0 - cosine * cosine).sqrt());
        add(out, cosine, described);
        normalise(out);
    }

    /// The score of a row whose arrays are not written: what its vectors' cosine would be, near enough for a filter.
    pub fn planned_score(&self, world: &World, sample: &Sample) -> f32 {
        let cosine = self.match_cosine(world, sample);
        if sample.caption.kind == CaptionKind::Wrong { cosine * 0.35 } else { cosine }
    }
}

fn noise_share(richness: f32) -> f32 {
    0.055 + 0.065 * richness
}

fn feature_share(richness: f32) -> f32 {
    0.045 + 0.175 * richness
}

/// The cosine of two unit vectors, summed in f64 and rounded once: what the score columns hold.
pub(crate) fn score(image: &[f32], text: &[f32]) -> f32 {
    image.iter().zip(text).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PoolOptions;

    #[test]
    fn twins_neighbours_and_captions_lie_where_they_should() {
        let world = World::new(&PoolOptions { rows: 6000, ..PoolOptions::default() });
        for (name, dim) in [("b32", 512), ("l14", 768)] {
            let encoder = Encoder::new(world.seed, name, dim);
            let mut scratch = Scratch::default();
            let (mut image, mut text, mut source) = (vec![0f32; dim], vec![0f32; dim], vec![0f32; dim]);
            for row in 0..world.rows {
                let sample = world.sample(row);
                encoder.image(&world, &sample, &mut scratch, &mut image);
                encoder.text(&world, &sample, &image, &mut scratch, &mut text);
                assert!(
                    (score(&image, &image) - 1.0).abs() < 1e-5 && (score(&text, &text) - 1.0).abs() < 1e-5
                );
                encoder.original(sample.source, &sample.latents, &mut source);
                let twin = score(&image, &source);
                let expected = match sample.kind {
                    ImageKind::Reencoded => 0.985..0.995,
                    ImageKind::Cropped => 0.95..0.98,
                    ImageKind::Mirrored | ImageKind::Brightened => 0.955..0.985,
                    _ => {
                        assert_eq!(image, source);
                        0.999..1.001
                    }
                };
                assert!(expected.contains(&twin), "{:?} {twin}", sample.kind);
                let pair = score(&image, &text);
                let expected = match (sample.caption.kind, sample.caption.language) {
                    (CaptionKind::Matched, Language::English) => 0.25..0.35,
                    (CaptionKind::Matched, _) => 0.22..0.32,
                    (CaptionKind::Wrong, _) => 0.05..0.18,
                    (CaptionKind::FileName, _) => 0.0..0.07,
                };
                assert!(expected.contains(&pair), "{:?} {pair}", sample.caption);
                assert!((pair - encoder.planned_score(&world, &sample)).abs() < 0.06, "{pair}");
            }
        }
    }

    #[test]
    fn distinct_samples_stay_apart_and_poor_concepts_are_denser() {
        let world = World::new(&PoolOptions {
            rows: 4000,
            planted: crate::Planted::NOTHING,
            ..PoolOptions::default()
        });
        let encoder = Encoder::new(world.seed, "b32", 512);
        let mut by_concept = vec![Vec::new(); CONCEPTS.len()];
        for row in 0..world.rows {
            let latents = world.latents(row);
            let mut vector = vec![0f32; 512];
            encoder.original(row, &latents, &mut vector);
            by_concept[latents.concept].push(vector);
        }
        let mut means = Vec::new();
        for (concept, vectors) in CONCEPTS.iter().zip(&by_concept) {
            let vectors = &vectors[..vectors.len().min(250)];
            let (mut highest, mut sum, mut pairs) = (0f32, 0f64, 0f64);
            for (place, a) in vectors.iter().enumerate() {
                for b in &vectors[..place] {
                    let cosine = score(a, b);
                    highest = highest.max(cosine);
                    sum += f64::from(cosine);
                    pairs += 1.0;
                }
            }
            let limit = if concept.richness >= 0.5 { 0.93 } else { 0.965 };
            assert!(highest < limit, "{}: {highest}", concept.key);
            means.push((concept.richness, sum / pairs));
        }
        let mean = |rich: bool| {
            let of: Vec<f64> = means.iter().filter(|(r, _)| (*r >= 0.5) == rich).map(|(_, m)| *m).collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        assert!(mean(false) > mean(true) + 0.06, "{} {}", mean(false), mean(true));
        let strangers = score(&by_concept[1][0], &by_concept[8][0]);
        assert!((0.2..0.45).contains(&strangers), "{strangers}");
    }
}
