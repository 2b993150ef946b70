//! What a run writes beside its tables: the `[output]` table of a recipe.
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Error, Result, StepOptions, StepSpec, options::words};

words! {
    /// What stands in the `.txt` members of new tars.
    Txt {
        /// The text of the input, byte for byte.
        #[default]
        Original = "original",
        /// `caption_best`; the text of the input stands in the `.json` member.
        Best = "best",
    }
}

/// Whether the `.json` members of new tars get the captions that the run made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WithCaptions {
    /// Where a step has made some (a text column `caption_…`).
    #[default]
    Auto,
    /// Yes; a run that made none is an error.
    Always,
    /// No: members stay byte for byte.
    Never,
}

impl Serialize for WithCaptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Always => serializer.serialize_bool(true),
            Self::Never => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for WithCaptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = WithCaptions;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or \"auto\"")
            }
            fn visit_bool<E>(self, value: bool) -> Result<WithCaptions, E> {
                Ok(if value { WithCaptions::Always } else { WithCaptions::Never })
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<WithCaptions, E> {
                match text {
                    "auto" => Ok(WithCaptions::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What a run writes beside its tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputOptions {
    /// `subset.npy`, and one file for each further fraction.
    pub subset: bool,
    /// `report.html`.
    pub report: bool,
    /// Resharded tars under `shards/`; needs `input.images`, or tars as input.
    pub shards: bool,
    /// Samples per tar.
    pub shard_size: u64,
    /// `original` or `uid`.
    pub keys: String,
    /// Whether the `.json` members get the run's captions.
    pub captions: WithCaptions,
    /// What stands in the `.txt` members.
    pub txt: Txt,
    /// Finish with exit code 0 although samples are missing from the tars.
    pub allow_missing: bool,
}

impl Default for OutputOptions {
    fn default() -> Self {
        Self {
            subset: true,
            report: true,
            shards: false,
            shard_size: 10_000,
            keys: "original".into(),
            captions: WithCaptions::Auto,
            txt: Txt::Original,
            allow_missing: false,
        }
    }
}

impl OutputOptions {
    pub(crate) fn validate(&self, steps: &[StepSpec]) -> Result<()> {
        if !matches!(self.keys.as_str(), "original" | "uid") {
            let text = format!("[output] keys = \"{}\" is neither original nor uid", self.keys);
            return Err(Error::usage(text));
        }
        if self.txt == Txt::Best && self.captions == WithCaptions::Never {
            return Err(Error::usage("[output] txt = \"best\" and captions = false contradict each other")
                .with_hint("the text that best replaces would stand nowhere any more: leave captions out"));
        }
        let computes = |wanted: &dyn Fn(&str) -> bool| {
            steps.iter().any(|step| match &step.options {
                StepOptions::Filter(filter) => filter.compute.keys().any(|name| wanted(name)),
                _ => false,
            })
        };
        let has = |kinds: &[&str]| steps.iter().any(|step| kinds.contains(&step.options.kind()));
        if self.shards
            && self.captions == WithCaptions::Always
            && !has(&["caption", "rewrite", "referee"])
            && !computes(&|name| name.starts_with("caption_"))
        {
            return Err(Error::usage("[output] captions = true, but no step makes a column caption_…")
                .with_hint(
                    "the steps caption, rewrite and referee do, and so does `compute` of a filter step",
                ));
        }
        if self.shards
            && self.txt == Txt::Best
            && !has(&["referee"])
            && !computes(&|name| name == "caption_best")
        {
            return Err(Error::usage("[output] txt = \"best\", but no step makes the column caption_best")
                .with_hint("add a step with kind = \"referee\", or leave txt = \"original\""));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Recipe, Txt, WithCaptions};

    #[test]
    fn captions_are_a_flag_or_the_word_auto() {
        let read = |text: &str| Recipe::parse(&format!("[output]\n{text}"));
        assert_eq!(read("").unwrap().output.captions, WithCaptions::Auto);
        for (text, expected) in [
            ("captions = true", WithCaptions::Always),
            ("captions = false", WithCaptions::Never),
            ("captions = \"auto\"", WithCaptions::Auto),
        ] {
            let recipe = read(text).unwrap();
            assert_eq!(recipe.output.captions, expected);
            assert_eq!(Recipe::parse(&recipe.to_toml().unwrap()).unwrap(), recipe);
        }
        assert_eq!(read("txt = \"best\"").unwrap().output.txt, Txt::Best);
        for wrong in
            ["captions = \"yes\"", "captions = 1", "txt = \"worst\"", "txt = \"best\"\ncaptions = false"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn captions_that_no_step_makes_are_refused_before_the_run() {
        let recipe = |compute: &str, output: &str| {
            let step = format!("[[step]]\nkind = \"filter\"\nwhere = \"true\"\ncompute = {{ {compute} }}\n");
            Recipe::parse(&format!("{step}[output]\n{output}"))
        };
        for (compute, output, refusal) in [
            ("", "shards = true\ncaptions = true", "captions = true"),
            ("", "shards = true\ntxt = \"best\"", "txt = \"best\""),
            ("caption_a = \"text\"", "shards = true\ntxt = \"best\"", "txt = \"best\""),
        ] {
            let error = recipe(compute, output).unwrap_err();
            assert!(error.message().contains(refusal) && error.hint().is_some(), "{error}");
        }
        assert!(recipe("caption_a = \"text\"", "shards = true\ncaptions = true").is_ok());
        assert!(recipe("caption_best = \"text\"", "shards = true\ntxt = \"best\"").is_ok());
        let referee =
            "[[step]]\nkind = \"referee\"\n[output]\nshards = true\ncaptions = true\ntxt = \"best\"";
        assert!(Recipe::parse(referee).is_ok());
        // Without tars nothing is asked for.
        assert!(recipe("", "captions = true\ntxt = \"best\"").is_ok());
    }
}
