//! What a pool shall look like. Everything that is planted has a share here, so that a test can turn each fault on or off alone.
use crate::DemoError;
use serde::{Deserialize, Serialize};

/// The options of [`crate::generate`]. Build it from `Default` (the demo) or [`PoolOptions::big`] and change fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolOptions {
    /// Samples in the pool (metadata rows). 0 is allowed and makes a pool without shards.
    pub rows: u64,
    /// The only source of randomness: each sample derives from (seed, row) alone.
    pub seed: u64,
    /// Draw and encode JPEGs and write `shards/`. Off: metadata and embeddings only, in bounded memory, for tests of size.
    pub images: bool,
    /// Write `metadata/`: DataComp's parquet and npz files. Off: tars alone, as a download leaves them.
    pub metadata: bool,
    /// The arrays of every npz, written in this order. Image and text of one encoder must have one dimension.
    pub arrays: Vec<ArraySpec>,
    /// Rows per `metadata/{stem}.parquet` + `.npz` (at least 1).
    pub rows_per_metadata_shard: u64,
    /// Samples per `shards/{:08d}.tar`, failed downloads included as in img2dataset (at least 1).
    pub samples_per_tar: u64,
    /// Exponent of the Zipf law of the concepts' frequencies: 0 is uniform, 1 makes the r-th concept 1/r as frequent as the first.
    pub zipf: f64,
    /// How much of what is planted.
    pub planted: Planted,
}

/// One array of the npz files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArraySpec {
    /// `b32_img`, `b32_txt`, `l14_img` or `l14_txt`: DataComp's names.
    pub name: String,
    /// Dimension of its vectors, 8 to 65,536.
    pub dim: usize,
}

/// Shares of planted faults, each 0 to 1 of all rows. Kinds of images (the first seven) exclude each other and so do kinds of
/// captions, so each of the two groups must sum to 1 at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Planted {
    /// Same bytes as an earlier sample, other uid and url.
    pub byte_copies: f64,
    /// Same pixels, other JPEG quality.
    pub reencoded: f64,
    /// A part of the pixels, 78-92 % of each side.
    pub cropped: f64,
    /// Flipped left to right.
    pub mirrored: f64,
    /// Brighter or darker.
    pub brightened: f64,
    /// Original size below 200 px on the shorter side.
    pub tiny: f64,
    /// Longer side more than three times the shorter one.
    pub extreme_aspect: f64,
    /// Another sample's caption, of another concept.
    pub wrong_captions: f64,
    /// A camera's file name instead of a caption.
    pub file_name_captions: f64,
    /// Captions that are not English, in equal parts German, French, Spanish, Russian and Chinese.
    pub other_languages: f64,
    /// Rows whose image could not be downloaded: in the metadata, but in no tar. Only counted where `images` is on.
    pub failed_downloads: f64,
}

impl Default for Planted {
    fn default() -> Self {
        Self {
            byte_copies: 0.03,
            reencoded: 0.03,
            cropped: 0.025,
            mirrored: 0.02,
            brightened: 0.02,
            tiny: 0.04,
            extreme_aspect: 0.02,
            wrong_captions: 0.06,
            file_name_captions: 0.05,
            other_languages: 0.25,
            failed_downloads: 0.005,
        }
    }
}

impl Planted {
    /// Nothing planted: every sample is an original with an English caption that describes it.
    pub const NOTHING: Self = Self {
        byte_copies: 0.0,
        reencoded: 0.0,
        cropped: 0.0,
        mirrored: 0.0,
        brightened: 0.0,
        tiny: 0.0,
        extreme_aspect: 0.0,
        wrong_captions: 0.0,
        file_name_captions: 0.0,
        other_languages: 0.0,
        failed_downloads: 0.0,
    };
}

impl Default for PoolOptions {
    /// The demo: 20,000 pairs with images and DataComp's four arrays.
    fn default() -> Self {
        let array = |name: &str, dim| ArraySpec { name: name.to_owned(), dim };
        Self {
            rows: 20_000,
            seed: 1,
            images: true,
            metadata: true,
            arrays: vec![
                array("b32_img", 512),
                array("b32_txt", 512),
                array("l14_img", 768),
                array("l14_txt", 768),
            ],
            rows_per_metadata_shard: 5_000,
            samples_per_tar: 1_000,
            zipf: 1.0,
            planted: Planted::default(),
        }
    }
}

impl PoolOptions {
    /// Tars alone: pixels and captions, no scores and no embeddings. What the demo starts from.
    pub fn tars(rows: u64) -> Self {
        Self { rows, metadata: false, arrays: Vec::new(), ..Self::default() }
    }

    /// A pool for tests of size: no images, one 512-d image array, 100,000 rows a metadata shard.
    pub fn big(rows: u64) -> Self {
        Self {
            rows,
            images: false,
            arrays: vec![ArraySpec { name: "b32_img".to_owned(), dim: 512 }],
            rows_per_metadata_shard: 100_000,
            ..Self::default()
        }
    }

    /// Checks every range, so that generation cannot fail on an option later.
    pub fn validate(&self) -> Result<(), DemoError> {
        let fail = |option, expected: &str, found: String| {
            Err(DemoError::Option { option, expected: expected.to_owned(), found })
        };
        if self.rows > u64::from(u32::MAX) {
            return fail("rows", "at most 4,294,967,295", self.rows.to_string());
        }
        if !self.metadata && (!self.images || !self.arrays.is_empty()) {
            return fail("metadata", "true where there are arrays or no images", "false".to_owned());
        }
        if self.rows_per_metadata_shard == 0 {
            return fail("rows_per_metadata_shard", "at least 1", "0".to_owned());
        }
        if self.samples_per_tar == 0 {
            return fail("samples_per_tar", "at least 1", "0".to_owned());
        }
        if !(0.0..=8.0).contains(&self.zipf) {
            return fail("zipf", "0 to 8", self.zipf.to_string());
        }
        for (place, array) in self.arrays.iter().enumerate() {
            let Some((encoder, "img" | "txt")) = array.name.split_once('_') else {
                return fail("arrays", "b32_img, b32_txt, l14_img or l14_txt", array.name.clone());
            };
            if !matches!(encoder, "b32" | "l14") {
                return fail("arrays", "b32_img, b32_txt, l14_img or l14_txt", array.name.clone());
            }
            if !(8..=65_536).contains(&array.dim) {
                return fail(
                    "arrays",
                    "a dimension of 8 to 65,536",
                    format!("{} of {}", array.dim, array.name),
                );
            }
            for other in &self.arrays[..place] {
                if other.name == array.name {
                    return fail("arrays", "each array once", array.name.clone());
                }
                if other.name.starts_with(encoder) && other.dim != array.dim {
                    let found = format!("{} of {}, {} of {}", other.dim, other.name, array.dim, array.name);
                    return fail("arrays", "one dimension for both arrays of an encoder", found);
                }
            }
        }
        let planted = &self.planted;
        let images = [
            ("planted.byte_copies", planted.byte_copies),
            ("planted.reencoded", planted.reencoded),
            ("planted.cropped", planted.cropped),
            ("planted.mirrored", planted.mirrored),
            ("planted.brightened", planted.brightened),
            ("planted.tiny", planted.tiny),
            ("planted.extreme_aspect", planted.extreme_aspect),
        ];
        let captions = [
            ("planted.wrong_captions", planted.wrong_captions),
            ("planted.file_name_captions", planted.file_name_captions),
        ];
        let alone = [
            ("planted.other_languages", planted.other_languages),
            ("planted.failed_downloads", planted.failed_downloads),
        ];
        for (option, share) in images.iter().chain(&captions).chain(&alone) {
            if !(0.0..=1.0).contains(share) {
                return fail(option, "a share, 0 to 1", share.to_string());
            }
        }
        for (option, group) in [("planted (images)", &images[..]), ("planted (captions)", &captions[..])] {
            let sum: f64 = group.iter().map(|(_, share)| share).sum();
            if sum > 1.0 + 1e-9 {
                return fail(option, "shares that sum to 1 at most", sum.to_string());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_json() {
        for options in [PoolOptions::default(), PoolOptions::big(2_000_000)] {
            options.validate().unwrap();
            let text = serde_json::to_string(&options).unwrap();
            assert_eq!(serde_json::from_str::<PoolOptions>(&text).unwrap(), options);
        }
    }

    #[test]
    fn each_bad_option_is_named() {
        let base = PoolOptions::default;
        let array = |name: &str, dim| vec![ArraySpec { name: name.to_owned(), dim }];
        let cases: Vec<(&str, PoolOptions)> = vec![
            ("rows", PoolOptions { rows: 1 << 40, ..base() }),
            ("rows_per_metadata_shard", PoolOptions { rows_per_metadata_shard: 0, ..base() }),
            ("samples_per_tar", PoolOptions { samples_per_tar: 0, ..base() }),
            ("zipf", PoolOptions { zipf: f64::NAN, ..base() }),
            ("arrays", PoolOptions { arrays: array("vit_img", 512), ..base() }),
            ("arrays", PoolOptions { arrays: array("b32_img", 4), ..base() }),
            (
                "arrays",
                PoolOptions { arrays: [array("b32_img", 64), array("b32_txt", 32)].concat(), ..base() },
            ),
            (
                "arrays",
                PoolOptions { arrays: [array("b32_img", 64), array("b32_img", 64)].concat(), ..base() },
            ),
            ("planted.tiny", PoolOptions { planted: Planted { tiny: -0.1, ..Planted::default() }, ..base() }),
            (
                "planted (images)",
                PoolOptions { planted: Planted { tiny: 0.95, ..Planted::default() }, ..base() },
            ),
        ];
        for (expected, options) in cases {
            match options.validate() {
                Err(DemoError::Option { option, .. }) => assert_eq!(option, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }
}
