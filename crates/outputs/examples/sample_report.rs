//! Writes a realistic report without a run, to look at the page while working on it:
//! `cargo run -p cribble-outputs --example sample_report -- OUT.html [clusters]`. The funnel goes to the terminal.
//! The pictures are drawn here as uncompressed PNG, so that the example needs no encoder.
#![allow(clippy::print_stdout, clippy::unwrap_used)]
use std::collections::BTreeMap;

use cribble_core::*;
use cribble_outputs::report::{Page, funnel_text, render_page};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "report.html".into());
    let clusters = arguments.next().map_or(500, |text| text.parse().unwrap());
    let report = sample(clusters);
    let page = Page { report: &report, gallery: Some(&gallery()), warnings: &[], images: &BTreeMap::new() };
    std::fs::write(&path, render_page(&page)).unwrap();
    print!("{}", funnel_text(&report, 120, true));
}

fn counts(seen: u64, dropped: &[(&str, u64)], errors: &[(&str, u64)]) -> Counts {
    let map = |pairs: &[(&str, u64)]| {
        pairs.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect::<BTreeMap<_, _>>()
    };
    let gone: u64 = dropped.iter().chain(errors).map(|(_, rows)| rows).sum();
    Counts { seen, kept: seen - gone, dropped: map(dropped), errors: map(errors) }
}

/// Numbers that look random and are the same every time.
struct Noise(u64);
impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }
}

fn sample(k: usize) -> RunReport {
    let step = |name: &str, kind: &str, counts, seconds, details| StepReport {
        step: name.into(),
        kind: kind.into(),
        counts,
        seconds,
        bytes_read: 412_000_000,
        bytes_written: 1_830_000,
        peak_memory_bytes: 611_000_000,
        details,
        ..StepReport::default()
    };
    let filter_reasons = [
        ("where", 1_912),
        ("image_too_small", 604),
        ("extreme_aspect", 331),
        ("caption_is_file_name", 212),
        ("no_caption", 44),
    ];
    let mut filter = step(
        "01-filter",
        "filter",
        counts(20_000, &filter_reasons, &[("missing_value", 7)]),
        0.41,
        Details::None,
    );
    filter.options = Some(
        serde_json::json!({"where": "least(original_width, original_height) >= 200 AND clip_l14_similarity_score > 0.2"}),
    );
    let curve = [0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2].map(|epsilon: f64| CurvePoint {
        epsilon,
        kept: (16_890.0 - 3_400.0 * epsilon.powf(0.42)) as u64 - 300,
    });
    let dedup_counts = counts(
        filter.counts.kept,
        &[("duplicate_exact", 402), ("duplicate_semantic", 1_291)],
        &[("zero_vector", 2)],
    );
    let mut dedup = step(
        "02-dedup",
        "dedup",
        dedup_counts,
        6.8,
        Details::Dedup(DedupDetails {
            epsilon: 0.05,
            cells: 200,
            probe: 2,
            largest_cell: 412,
            pairs_compared: 2_114_902,
            groups: 1_188,
            curve: curve.to_vec(),
            recall: Some(Recall { sampled: 512, duplicates: 49, found: 48 }),
        }),
    );
    dedup.notes.push("cells: 200 chosen from 16,890 rows (about 84 rows in a cell)".into());
    dedup.options = Some(
        serde_json::json!({"embedding": "l14_img", "epsilon": 0.05, "mode": "greedy", "keep": "hard", "probe": 2, "seed": 0}),
    );
    let reached = dedup.counts.kept;
    let mut noise = Noise(7);
    let weights: Vec<f64> =
        (0..k).map(|place| (1.0 + noise.next() * 0.6) / (1.0 + place as f64).powf(0.8)).collect();
    let all: f64 = weights.iter().sum();
    let scale = reached.max(k as u64 * 3) as f64;
    let figures: Vec<ClusterFigures> = weights
        .iter()
        .map(|weight| {
            let size = (weight / all * scale) as u64;
            let (d_intra, d_inter) =
                (0.12 + 0.2 * noise.next() + 0.05 * noise.next(), 0.25 + 0.3 * noise.next().powi(2));
            ClusterFigures { size, d_intra, d_inter, complexity: d_intra * d_inter }
        })
        .collect();
    let mut cluster = step(
        "03-cluster",
        "cluster",
        counts(reached, &[], &[]),
        9.3,
        Details::Cluster(ClusterDetails {
            k: k as u64,
            train_rows: 12_000,
            available_rows: reached,
            dim: 768,
            mean_sim: 0.7914,
            empty: 0,
            elbow: [(50, 0.41), (100, 0.338), (200, 0.281), (500, 0.209), (1000, 0.188), (2000, 0.173)]
                .map(|(k, mean_dist)| ElbowPoint { k, mean_dist, chosen: k == 500 })
                .to_vec(),
            iterations: (0..23).map(|place| 0.7914 - 0.13 * (-0.33 * f64::from(place)).exp()).collect(),
            clusters: figures.clone(),
        }),
    );
    cluster.notes.push(format!(
        "k-means was trained on 12,000 of {reached} rows: more would not have fitted the memory limit"
    ));
    cluster.notes.push(
        "k = 500 chosen among 6 tried: the farthest point from the line between the ends of the curve".into(),
    );
    let target = (scale * 0.3) as u64;
    let softmax: Vec<f64> = figures.iter().map(|one| (one.complexity / 0.1).exp()).collect();
    let mass: f64 = softmax.iter().sum();
    let (mut low, mut high) = (-1e9, 1e9);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        let filled: f64 = figures
            .iter()
            .zip(&softmax)
            .map(|(one, part)| (target as f64 * part / mass + middle).clamp(0.0, one.size as f64))
            .sum();
        if filled < target as f64 { low = middle } else { high = middle }
    }
    let quotas: Vec<QuotaFigures> = figures
        .iter()
        .zip(&softmax)
        .map(|(one, part)| QuotaFigures {
            size: one.size,
            share: part / mass,
            quota: (target as f64 * part / mass + low).clamp(0.0, one.size as f64).round() as u64,
        })
        .collect();
    let kept = (reached as f64 * 0.3) as u64;
    let prune = step(
        "04-prune",
        "prune",
        counts(reached, &[("over_quota", reached - kept)], &[]),
        0.32,
        Details::Prune(PruneDetails {
            method: "density".into(),
            targets: vec![
                PruneTarget {
                    label: "0.3".into(),
                    target: kept,
                    kept,
                    lambda: low,
                    subset: "subset.npy".into(),
                },
                PruneTarget {
                    label: "0.5".into(),
                    target: reached / 2,
                    kept: reached / 2,
                    lambda: 19.02,
                    subset: "subset-0.5.npy".into(),
                },
            ],
            quotas,
        }),
    );
    let steps = vec![filter, dedup, cluster, prune];
    let dropped_by = steps
        .iter()
        .filter(|step| step.counts.kept < step.counts.seen)
        .map(|step| (step.step.clone(), step.counts.seen - step.counts.kept))
        .collect();
    RunReport {
        schema_version: 1,
        program_version: "0.1.0".into(),
        input: InputReport {
            path: "demo/metadata".into(),
            layout: "DataComp metadata".into(),
            shards: 5,
            rows: 20_000,
            fingerprint: "8c1f03a9b77d2e4410aa".into(),
        },
        selection: SelectionReport { seen: 20_000, kept, dropped_by, decided: 0 },
        steps,
        planted: Some(serde_json::json!([
            {"what": "byte copies", "planted": 402, "reached": 390, "found": 390, "mostly": ["02-dedup", 390]},
            {"what": "re-encodings", "planted": 400, "reached": 377, "found": 377, "mostly": ["02-dedup", 377]},
            {"what": "crops", "planted": 300, "reached": 288, "found": 251, "mostly": ["02-dedup", 251]},
            {"what": "mirrored twins", "planted": 300, "reached": 283, "found": 279, "mostly": ["02-dedup", 279]},
            {"what": "wrong captions", "planted": 1000, "reached": 1000, "found": 968, "mostly": ["01-filter", 968]},
        ])),
        seconds: 18.2,
        peak_memory_bytes: 655_000_000,
        memory_limit_bytes: 2 << 30,
        threads: 2,
    }
}

/// Captions of the kinds that the web has: other directions and scripts, markup, nothing, and far too much.
const CAPTIONS: [&str; 9] = [
    "A red sailboat on a calm sea at dusk",
    "Ein Leuchtturm auf den Klippen, im Hintergrund Wolken",
    "صورة قارب شراعي في البحر عند الغروب",
    "IMG_20190304_112233.JPG",
    "一只橙色的猫睡在窗台上",
    "<b>Best price!</b> <script>alert('x')</script> & free shipping",
    "",
    "Старый трамвай в городе",
    "This caption goes on and on, as captions of the web like to do: it names the shop, the maker, the colour, the size, the price before and after, \
     the conditions of delivery and of return, andfinallyalsowithoutanyspaceswhatistobeseeninthepicturenamelyablueteapotwithtwocupsonawoodentable, \
     photographed from above in soft light by somebody who knew what they were doing.",
];

/// Samples under made uids.
#[derive(Default)]
struct Samples(BTreeMap<String, GallerySample>);

impl Samples {
    /// Another one; every fifth has no picture.
    fn add(&mut self, sample: GallerySample) -> String {
        let number = self.0.len();
        let uid = format!("{:032x}", (number as u128 + 3) * 0x9e37_79b9_7f4a_7c15_d134_2543_de82);
        let text = Some(CAPTIONS[number % CAPTIONS.len()].into());
        let image = (number % 5 != 4).then(|| picture(number / 2, number % 2));
        self.0.insert(uid.clone(), GallerySample { text, image, ..sample });
        uid
    }

    fn some(&mut self, many: usize, sample: impl Fn(usize) -> GallerySample) -> Vec<String> {
        (0..many).map(|place| self.add(sample(place))).collect()
    }
}

fn gallery() -> Gallery {
    let mut samples = Samples::default();
    let fate = |step: Option<&str>, reason: Option<&str>| GallerySample {
        dropped_by: step.map(Into::into),
        reason: reason.map(Into::into),
        ..GallerySample::default()
    };
    let mut strips = Vec::new();
    for (step, reason, rows, many) in [
        (Some("01-filter"), Some("where"), 2_610, 9),
        (Some("01-filter"), Some("image_too_small"), 1_204, 9),
        (Some("04-prune"), Some("over_quota"), 9_000, 9),
        (None, None, 4_812, 14),
    ] {
        let uids = samples.some(many, |_| fate(step, reason));
        strips.push(Strip { step: step.map(Into::into), reason: reason.map(Into::into), rows, uids });
    }
    let mut groups = Vec::new();
    for dropped in [41, 3, 1] {
        let leader = samples.add(GallerySample::default());
        let twin = || GallerySample {
            duplicate_of: Some(leader.clone()),
            max_sim: Some(0.9731),
            ..fate(Some("02-dedup"), Some("duplicate_semantic"))
        };
        let members = samples.some(4.min(dropped), |_| twin());
        strips.push(Strip {
            step: Some("02-dedup".into()),
            reason: Some(format!("duplicate of {dropped}")),
            rows: dropped as u64,
            uids: members.clone(),
        });
        let members = members.into_iter().map(|uid| (uid, Some(0.9731))).collect();
        groups.push(DuplicateGroup { step: "02-dedup".into(), leader, dropped: dropped as u64, members });
    }
    let clusters = (0..15)
        .map(|cluster: u32| ClusterCard {
            step: "03-cluster".into(),
            cluster,
            size: 900 - 50 * u64::from(cluster),
            kept: 40 * u64::from(cluster),
            quota: Some(41 * u64::from(cluster)),
            title: if cluster.is_multiple_of(3) {
                String::new()
            } else {
                CAPTIONS[cluster as usize % CAPTIONS.len()].into()
            },
            category: "kitchen".into(),
            verdict: if cluster % 3 == 1 { "unacceptable".into() } else { "acceptable".into() },
            keep: Some(cluster % 3 != 1),
            reason: "All of these are from one shop.".into(),
            nearest: samples.some(4, |_| fate(None, None)).into_iter().zip([0.98, 0.97, 0.9, 0.88]).collect(),
            farthest: samples
                .some(4, |_| fate(Some("04-prune"), None))
                .into_iter()
                .zip([0.1, 0.2, 0.3, 0.31])
                .collect(),
        })
        .collect();
    let captions = (0..12)
        .map(|place| CaptionChange {
            step: "05-caption".into(),
            column: "caption_vlm".into(),
            uid: samples.add(GallerySample::default()),
            before: CAPTIONS[place % CAPTIONS.len()].into(),
            after: format!("{} seen from afar", CAPTIONS[place % CAPTIONS.len()].replace("red", "blue")),
            before_sim: (place != 3).then_some(0.21),
            after_sim: Some(0.18 + 0.01 * place as f32),
        })
        .collect();
    let mut ends =
        |from: f32| samples.some(8, |_| fate(None, None)).into_iter().map(move |uid| (uid, from)).collect();
    let scores = vec![ScoreEnds {
        column: "clip_score".into(),
        rows: 19_990,
        lowest: ends(-0.11),
        highest: ends(0.43),
    }];
    Gallery {
        schema_version: 1,
        samples: samples.0,
        strips,
        clusters,
        clusters_in_all: 500,
        groups,
        captions,
        scores,
        ..Gallery::default()
    }
}

/// A little landscape, 64 × 64 or wider, as a PNG with stored (not deflated) blocks.
fn picture(seed: usize, variant: usize) -> String {
    let (width, height) = if seed.is_multiple_of(5) { (64usize, 40usize) } else { (56, 56) };
    let mut noise = Noise(seed as u64 * 977 + 5);
    let (hue, sun) = (noise.next() * 6.0, noise.next());
    let mut raw = Vec::new();
    for y in 0..height {
        raw.push(0);
        for x in 0..width {
            let x = if variant == 2 { width - 1 - x } else { x };
            let (u, v) = (x as f64 / width as f64, y as f64 / height as f64);
            let hill = 0.62 + 0.13 * (u * (4.0 + hue) + hue).sin();
            let near_sun = ((u - sun).powi(2) + (v - 0.25).powi(2)).sqrt() < 0.1;
            let shade = if v > hill { 0.35 + 0.3 * (1.0 - v) } else { 0.75 + 0.2 * v };
            let tone = |phase: f64| {
                if near_sun {
                    0.97
                } else {
                    shade * (0.72 + 0.28 * (hue + phase + if v > hill { 2.0 } else { 0.0 }).sin())
                }
            };
            let bright = if variant == 1 { 1.12 } else { 1.0 };
            raw.extend([0.0, 2.1, 4.2].map(|phase| (tone(phase) * bright * 255.0).clamp(0.0, 255.0) as u8));
        }
    }
    let mut zlib = vec![0x78, 0x01, 0x01];
    zlib.extend((raw.len() as u16).to_le_bytes());
    zlib.extend((!(raw.len() as u16)).to_le_bytes());
    zlib.extend(&raw);
    let (mut a, mut b) = (1u32, 0u32);
    for byte in &raw {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    zlib.extend(((b << 16) | a).to_be_bytes());
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = [(width as u32).to_be_bytes(), (height as u32).to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]);
    for (kind, data) in [(b"IHDR", header), (b"IDAT", zlib), (b"IEND", Vec::new())] {
        let body = [kind.as_slice(), &data].concat();
        png.extend((data.len() as u32).to_be_bytes());
        png.extend(&body);
        let mut crc = !0u32;
        for byte in body {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            }
        }
        png.extend((!crc).to_be_bytes());
    }
    format!("data:image/png;base64,{}", base64(&png))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let word =
            part.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        for place in 0..4 {
            text.push(if place <= part.len() {
                LETTERS[(word >> (18 - 6 * place) & 63) as usize] as char
            } else {
                '='
            });
        }
    }
    text
}
