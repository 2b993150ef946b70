//! Options of the step `embed`. A model is only a name here: what it can do is known once its files are read.
use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Error, Result, options::words};

words! {
    /// How pixels are prepared.
    PixelMode {
        /// As the checkpoint's own preprocessor does it.
        #[default]
        Exact = "exact",
        /// JPEGs are decoded at a fraction of their size: about twice as fast, vectors nearly the same.
        Fast = "fast",
    }
}

words! {
    /// Number format of an encoder's matrix products.
    EncoderDtype {
        /// bf16 where the processor multiplies it natively, else f32.
        #[default]
        Auto = "auto",
        /// 32-bit floats.
        F32 = "f32",
        /// bfloat16 products, f32 sums.
        Bf16 = "bf16",
    }
}

words! {
    /// Where an encoder's arithmetic runs.
    EncoderDevice {
        /// The processor.
        #[default]
        Cpu = "cpu",
    }
}

/// What of a sample is embedded. `"auto"` in a recipe, else a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum What {
    /// Everything that the model has an encoder for.
    #[default]
    Auto,
    /// The image.
    Image,
    /// The caption.
    Text,
    /// Both: then their cosine is a column.
    Both,
}

impl What {
    fn from_words<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let (mut image, mut text) = (false, false);
        for word in words {
            match word {
                "image" => image = true,
                "text" => text = true,
                _ => return Err(format!("'{word}' is neither image nor text")),
            }
        }
        match (image, text) {
            (true, true) => Ok(Self::Both),
            (true, false) => Ok(Self::Image),
            (false, true) => Ok(Self::Text),
            (false, false) => Err("nothing to embed: expected image, text or both".into()),
        }
    }

    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Auto => &["auto"],
            Self::Image => &["image"],
            Self::Text => &["text"],
            Self::Both => &["image", "text"],
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(","))
    }
}

impl FromStr for What {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { Self::from_words(text.split(',').map(str::trim)) }
    }
}

impl Serialize for What {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            some => some.words().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for What {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected \"auto\" or a list of \"image\" and \"text\"")]
        enum Form {
            Word(String),
            Words(Vec<String>),
        }
        match Form::deserialize(deserializer)? {
            Form::Word(word) => word.parse().map_err(de::Error::custom),
            Form::Words(words) => {
                Self::from_words(words.iter().map(String::as_str)).map_err(de::Error::custom)
            }
        }
    }
}

/// Options of an `embed` step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbedOptions {
    /// The model: a folder, a Hub name (`owner/name`, `owner/name@revision`) or `builtin:demo-clip`.
    pub model: String,
    /// Base name of the embeddings, as DataComp names its arrays: `b32` gives `b32_img` and `b32_txt`. Empty: made from the model's name.
    pub embedding: String,
    /// What is embedded.
    pub what: What,
    /// How pixels are prepared.
    pub preprocess: PixelMode,
    /// Number format of the encoder.
    pub dtype: EncoderDtype,
    /// Samples encoded at once on a thread. Vectors do not depend on it, so it is no part of the step's hash.
    pub batch: u32,
    /// Where the encoder runs. A device makes it faster, never different beyond the stated tolerance.
    pub device: EncoderDevice,
    /// The column with the caption; empty: the first of `text`, `caption`, `txt`, `TEXT`, `CAPTION`, `alt_text` that there is.
    pub text: String,
    /// Name of the column with the cosine of image and caption, where both are embedded.
    pub score: String,
    /// Images with more pixels are refused before they are decoded. The default is where Pillow refuses, 2 · ⌊2³⁰ / 12⌋.
    pub max_pixels: u64,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            model: String::new(),
            embedding: String::new(),
            what: What::Auto,
            preprocess: PixelMode::Exact,
            dtype: EncoderDtype::Auto,
            batch: 32,
            device: EncoderDevice::Cpu,
            text: String::new(),
            score: "clip_score".into(),
            max_pixels: 178_956_970,
        }
    }
}

impl EmbedOptions {
    /// The same with the base name written out.
    #[must_use]
    pub fn resolved(mut self) -> Self {
        self.embedding = self.base();
        self
    }

    /// The base name: as given, else the last part of the model's name without its revision, in characters fit for a file name.
    pub fn base(&self) -> String {
        if !self.embedding.is_empty() {
            return self.embedding.clone();
        }
        let name = self.model.strip_prefix("builtin:").unwrap_or(&self.model).trim_end_matches('/');
        let last = name.rsplit('/').next().unwrap_or_default();
        let last = last.split('@').next().unwrap_or_default();
        let plain: String = last.chars().map(|c| if is_name_char(c) { c } else { '-' }).collect();
        let plain = plain.trim_start_matches('.');
        if plain.is_empty() { "model".into() } else { plain.into() }
    }

    /// Name of the embedding of images.
    pub fn image_name(&self) -> String {
        format!("{}_img", self.base())
    }

    /// Name of the embedding of captions.
    pub fn text_name(&self) -> String {
        format!("{}_txt", self.base())
    }

    /// Checks ranges and names.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.model.is_empty() {
            return Err(Error::usage("`model` is missing").with_hint(
                "a folder, a Hub name such as openai/clip-vit-base-patch32, or builtin:demo-clip",
            ));
        }
        let base = self.base();
        if base.starts_with('.') || !base.chars().all(is_name_char) {
            return Err(Error::usage(format!("embedding = \"{base}\" is no name of a folder"))
                .with_hint("use letters, digits, '.', '-' and '_'"));
        }
        if self.batch == 0 || self.batch > 4096 {
            return Err(Error::usage(format!("batch = {} is outside 1 to 4096", self.batch)));
        }
        if self.max_pixels == 0 {
            return Err(Error::usage("max_pixels = 0 refuses every image"));
        }
        if self.score.is_empty() || ["uid", "keep", "reason", "tokens_cut"].contains(&self.score.as_str()) {
            return Err(Error::usage(format!("score = \"{}\" cannot be the name of a column", self.score)));
        }
        Ok(())
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_models() {
        for (model, expected) in [
            ("openai/clip-vit-base-patch32", "clip-vit-base-patch32"),
            ("laion/CLIP-ViT-B-32@abc123", "CLIP-ViT-B-32"),
            ("builtin:demo-clip", "demo-clip"),
            ("/models/my clip/", "my-clip"),
            ("..", "model"),
        ] {
            assert_eq!(EmbedOptions { model: model.into(), ..EmbedOptions::default() }.base(), expected);
        }
        let named = EmbedOptions { model: "x".into(), embedding: "b32".into(), ..EmbedOptions::default() };
        assert_eq!((named.image_name(), named.text_name()), ("b32_img".into(), "b32_txt".into()));
    }

    #[test]
    fn what_is_a_word_or_a_list() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Table {
            what: What,
        }
        for (text, expected) in [
            ("what = \"auto\"", What::Auto),
            ("what = [\"image\"]", What::Image),
            ("what = \"text\"", What::Text),
            ("what = [\"text\", \"image\"]", What::Both),
        ] {
            let table: Table = toml::from_str(text).unwrap();
            assert_eq!(table.what, expected);
            assert_eq!(toml::from_str::<Table>(&toml::to_string(&table).unwrap()).unwrap(), table);
        }
        assert!(toml::from_str::<Table>("what = []").is_err());
        assert!(toml::from_str::<Table>("what = 3").unwrap_err().to_string().contains("\"auto\""));
        assert_eq!("image, text".parse(), Ok(What::Both));
        assert!("sound".parse::<What>().unwrap_err().contains("sound"));
    }
}
