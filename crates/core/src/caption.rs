//! Options of the steps `caption` and `rewrite`: new captions beside the original one, which is never changed.
use serde::{Deserialize, Serialize};

use crate::{ChatOptions, Error, Result, Unsure, options::words};

words! {
    /// How an image reaches the model.
    SendImage {
        /// As bytes in the request, not larger than `image_size`.
        #[default]
        Bytes = "bytes",
        /// As the address in the column `url`; the server fetches it.
        Url = "url",
    }
}

/// Options of a `caption` step: a caption for each image by a vision-language model, in a column `caption_…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionOptions {
    /// The column that is written, `caption_…`. Empty: `caption_` and the model's name.
    pub column: String,
    /// One of the prompts in the program (`vivid`, `alt`, `tags`), or a file.
    pub prompt: String,
    /// How an image reaches the model.
    pub send: SendImage,
    /// Longer side of the image that is sent, in pixels; larger ones are scaled down. 0: as it is.
    pub image_size: u32,
    /// Take away openings such as "This image showcases".
    pub strip_lead_in: bool,
    /// Captions with fewer characters are refused.
    pub min_chars: u32,
    /// Captions with more characters are refused.
    pub max_chars: u32,
    /// The language that captions must be in, as the program's detector calls it (`en`); empty: any.
    pub language: String,
    /// What becomes of rows without an answer, because calls failed. A caption that was refused is no missing one: its row stays without it.
    pub missing: Unsure,
    /// The model that writes.
    pub chat: ChatOptions,
}

impl Default for CaptionOptions {
    fn default() -> Self {
        Self {
            column: String::new(),
            prompt: "vivid".into(),
            send: SendImage::Bytes,
            // DataComp's images are at most 512 pixels wide or high.
            image_size: 512,
            strip_lead_in: true,
            min_chars: 3,
            max_chars: 2000,
            language: String::new(),
            missing: Unsure::Fail,
            chat: ChatOptions::default(),
        }
    }
}

/// Options of a `rewrite` step: another wording of a caption, by rules and, with `chat`, by a language model, in a column `caption_…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RewriteOptions {
    /// The column that is rewritten; empty: the original caption.
    pub text: String,
    /// The column that is written, `caption_…`. Empty: `caption_` and the model's name, or `caption_rewritten`.
    pub column: String,
    /// The prompt in the program (`straightforward`), or a file.
    pub prompt: String,
    /// Take away openings such as "This image showcases".
    pub strip_lead_in: bool,
    /// Captions with fewer characters are refused.
    pub min_chars: u32,
    /// Captions with more characters are refused.
    pub max_chars: u32,
    /// The language that captions must be in, as the program's detector calls it (`en`); empty: any.
    pub language: String,
    /// What becomes of rows without an answer, because calls failed.
    pub missing: Unsure,
    /// The model that rewrites; without it the rules alone do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatOptions>,
}

impl Default for RewriteOptions {
    fn default() -> Self {
        let CaptionOptions { strip_lead_in, min_chars, max_chars, language, missing, .. } =
            CaptionOptions::default();
        Self {
            text: String::new(),
            column: String::new(),
            prompt: "straightforward".into(),
            strip_lead_in,
            min_chars,
            max_chars,
            language,
            missing,
            chat: None,
        }
    }
}

impl CaptionOptions {
    /// The same options, with a name where there was none.
    #[must_use]
    pub fn resolved(mut self) -> Self {
        if self.column.is_empty() {
            self.column = format!("{PREFIX}{}", slug(&self.chat.model));
        }
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        self.chat.validate()?;
        if self.image_size != 0 && !(16..=8192).contains(&self.image_size) {
            return Err(Error::usage(format!(
                "image_size = {} is neither 0 nor 16 to 8192",
                self.image_size
            )));
        }
        check(&self.column, self.min_chars, self.max_chars)
    }
}

impl RewriteOptions {
    /// The same options, with a name where there was none.
    #[must_use]
    pub fn resolved(mut self) -> Self {
        if self.column.is_empty() {
            let name = self.chat.as_ref().map_or_else(|| "rewritten".into(), |chat| slug(&chat.model));
            self.column = format!("{PREFIX}{name}");
        }
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        self.chat.as_ref().map_or(Ok(()), ChatOptions::validate)?;
        check(&self.column, self.min_chars, self.max_chars)
    }
}

/// What every column of new captions begins with.
const PREFIX: &str = "caption_";
/// The referee's own columns.
const TAKEN: [&str; 3] = ["caption_best", "caption_best_from", "caption_best_sim"];

fn check(column: &str, min_chars: u32, max_chars: u32) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let name = column.strip_prefix(PREFIX).unwrap_or_default();
    if name.is_empty() || !name.chars().all(plain) {
        return Err(Error::usage(format!("column = \"{column}\" is no name for a column of captions"))
            .with_hint("caption_ and lower-case letters, digits and '_'"));
    }
    if TAKEN.contains(&column) {
        return Err(Error::usage(format!("column = \"{column}\" is one of the step referee")));
    }
    if min_chars > max_chars {
        return Err(Error::usage(format!("min_chars = {min_chars} is more than max_chars = {max_chars}")));
    }
    Ok(())
}

/// A model's name as a part of a column's name: `Qwen/Qwen2.5-VL-7B` becomes `qwen2_5_vl_7b`.
fn slug(model: &str) -> String {
    let last = model.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let mut slug = String::new();
    for c in last.chars() {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('_') {
            slug.push('_');
        }
    }
    slug.trim_end_matches('_').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_gives_its_name_to_a_column() {
        for (model, name) in [
            ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_5_vl_7b_instruct"),
            ("gpt-4o", "gpt_4o"),
            ("/models/intern vl/", "intern_vl"),
        ] {
            assert_eq!(slug(model), name);
        }
        assert!(check("caption_a_1", 1, 2).is_ok());
        for name in ["", "text", "caption_", "caption_A", "caption_a-b", "caption_best"] {
            assert!(check(name, 1, 2).is_err(), "{name}");
        }
    }
}
