//! A recipe: what to read, which steps in which order, what to write. TOML for people, the same value for the command line, the manifest and
//! the hash of each step. Unknown keys are errors that say what was probably meant.
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    CaptionOptions, ChatOptions, ClusterOptions, DedupOptions, EmbedOptions, Error, FilterOptions,
    JudgeOptions, LanguageOptions, OutputOptions, PruneOptions, RefereeOptions, Result, RewriteOptions,
    checks::{captions_differ, embeddings_differ, validate_step},
    name_hint,
};

/// What a run reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputOptions {
    /// A file, a folder, a glob, a brace range or a `::` list. What it is gets detected, and said.
    pub path: String,
    /// Tars with the pixels, where they are needed (embed, reshard, pictures in the report).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
    /// Ids of a bare array: a text, csv, parquet or npy file with one id per row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<String>,
    /// Dimension of a headerless array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dim: Option<u64>,
    /// Element type of a headerless array: `f32` or `f16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
}

/// The options of one step, by kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum StepOptions {
    /// `kind = "filter"`.
    Filter(FilterOptions),
    /// `kind = "language"`.
    Language(LanguageOptions),
    /// `kind = "embed"`.
    Embed(EmbedOptions),
    /// `kind = "dedup"`.
    Dedup(DedupOptions),
    /// `kind = "cluster"`.
    Cluster(ClusterOptions),
    /// `kind = "judge"`.
    Judge(JudgeOptions),
    /// `kind = "prune"`.
    Prune(PruneOptions),
    /// `kind = "caption"`.
    Caption(CaptionOptions),
    /// `kind = "rewrite"`.
    Rewrite(RewriteOptions),
    /// `kind = "referee"`.
    Referee(RefereeOptions),
}

/// Kinds of steps that a recipe may name.
const KINDS: [&str; 10] =
    ["filter", "language", "embed", "dedup", "cluster", "judge", "prune", "caption", "rewrite", "referee"];

impl StepOptions {
    /// The kind, as the recipe writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Filter(_) => "filter",
            Self::Language(_) => "language",
            Self::Embed(_) => "embed",
            Self::Dedup(_) => "dedup",
            Self::Cluster(_) => "cluster",
            Self::Judge(_) => "judge",
            Self::Prune(_) => "prune",
            Self::Caption(_) => "caption",
            Self::Rewrite(_) => "rewrite",
            Self::Referee(_) => "referee",
        }
    }

    /// The options as a step's hash covers them: those that change nothing but the cost have their defaults.
    #[must_use]
    pub fn without_costs(&self) -> Self {
        match self {
            Self::Embed(embed) => {
                let EmbedOptions { batch, device, .. } = EmbedOptions::default();
                Self::Embed(EmbedOptions { batch, device, ..embed.clone() })
            }
            Self::Judge(judge) => {
                let chat = judge.chat.as_ref().map(ChatOptions::without_costs);
                Self::Judge(JudgeOptions { chat, ..judge.clone() })
            }
            Self::Caption(caption) => {
                Self::Caption(CaptionOptions { chat: caption.chat.without_costs(), ..caption.clone() })
            }
            Self::Rewrite(rewrite) => {
                let chat = rewrite.chat.as_ref().map(ChatOptions::without_costs);
                Self::Rewrite(RewriteOptions { chat, ..rewrite.clone() })
            }
            other => other.clone(),
        }
    }
}

/// One step of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSpec {
    /// A name of its own; without one the kind is used for the folder.
    pub name: Option<String>,
    /// What it does.
    pub options: StepOptions,
}

impl StepSpec {
    /// A step without a name of its own.
    pub fn new(options: StepOptions) -> Self {
        Self { name: None, options }
    }
    /// Name of the folder as the step at `index` (from 0): `01-filter`.
    pub fn folder(&self, index: usize) -> String {
        format!("{:02}-{}", index + 1, self.name.as_deref().unwrap_or(self.options.kind()))
    }
}

/// A whole recipe.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recipe {
    /// What to read.
    pub input: InputOptions,
    /// The steps, in order.
    pub steps: Vec<StepSpec>,
    /// What to write.
    pub output: OutputOptions,
}

impl Recipe {
    /// Parses TOML. Errors name the table, the key and what was probably meant; values are checked for their ranges.
    pub fn parse(text: &str) -> Result<Self> {
        let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Error::usage(format!("the recipe is no TOML: {}", error.to_string().trim_end()))
        })?;
        let mut recipe = Self {
            input: match table.remove("input") {
                Some(value) => section(value, "[input]")?,
                None => InputOptions::default(),
            },
            output: match table.remove("output") {
                Some(value) => section(value, "[output]")?,
                None => OutputOptions::default(),
            },
            steps: Vec::new(),
        };
        match table.remove("step") {
            Some(toml::Value::Array(steps)) => {
                for (index, step) in steps.into_iter().enumerate() {
                    recipe.steps.push(parse_step(step, index)?);
                }
            }
            Some(_) => {
                return Err(Error::usage("`step` must be a list of tables")
                    .with_hint("write [[step]], with two brackets"));
            }
            None => {}
        }
        if let Some(key) = table.keys().next() {
            return Err(Error::usage(format!("the recipe has an unknown key `{key}`"))
                .with_hint(name_hint(key, ["input", "step", "output"])));
        }
        recipe.validate()?;
        Ok(recipe)
    }

    /// The recipe as TOML with every default written out. `Recipe::parse` of it gives the same value.
    pub fn to_toml(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Step<'a> {
            kind: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            name: Option<&'a str>,
            #[serde(flatten)]
            options: &'a StepOptions,
        }
        #[derive(Serialize)]
        struct Whole<'a> {
            input: &'a InputOptions,
            step: Vec<Step<'a>>,
            output: &'a OutputOptions,
        }
        let step = self
            .steps
            .iter()
            .map(|spec| Step {
                kind: spec.options.kind(),
                name: spec.name.as_deref(),
                options: &spec.options,
            })
            .collect();
        toml::to_string(&Whole { input: &self.input, step, output: &self.output })
            .map_err(|error| Error::bug(format!("the recipe cannot be written: {error}")))
    }

    /// Checks ranges and combinations, before anything is read.
    pub fn validate(&self) -> Result<()> {
        for (index, spec) in self.steps.iter().enumerate() {
            let place = || format!("step {} ({})", index + 1, spec.options.kind());
            validate_step(&spec.options).map_err(|error| error.context(place()))?;
            if let Some(name) = &spec.name
                && (name.is_empty()
                    || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'))
            {
                return Err(Error::usage(format!("{}: the name '{name}' is no folder name", place()))
                    .with_hint("use letters, digits, '-' and '_'"));
            }
            let answers_many = match &spec.options {
                StepOptions::Prune(prune) => {
                    prune
                        .fraction
                        .as_ref()
                        .map_or(0, |f| f.as_slice().len())
                        .max(prune.count.as_ref().map_or(0, |c| c.as_slice().len()))
                        > 1
                }
                _ => false,
            };
            if answers_many && index + 1 != self.steps.len() {
                return Err(Error::usage(format!(
                    "{}: a list of sizes is only possible in the last step",
                    place()
                ))
                .with_hint("later steps would judge only the rows of the first size"));
            }
        }
        embeddings_differ(&self.steps)?;
        captions_differ(&self.steps)?;
        self.output.validate(&self.steps)
    }
}

fn parse_step(value: toml::Value, index: usize) -> Result<StepSpec> {
    let place = format!("step {}", index + 1);
    let toml::Value::Table(mut table) = value else {
        return Err(
            Error::usage(format!("{place} is no table")).with_hint("write [[step]], with two brackets")
        );
    };
    let mut word = |key: &str| match table.remove(key) {
        None => Ok(None),
        Some(toml::Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            Err(Error::usage(format!("{place}: `{key}` must be text, found {}", other.type_str())))
        }
    };
    let (kind, name) = (word("kind")?, word("name")?);
    let Some(kind) = kind else {
        return Err(
            Error::usage(format!("{place} has no `kind`")).with_hint(format!("one of {}", KINDS.join(", ")))
        );
    };
    let place = format!("{place} ({kind})");
    let value = toml::Value::Table(table);
    let options = match kind.as_str() {
        "filter" => StepOptions::Filter(section(value, &place)?),
        "language" => StepOptions::Language(section(value, &place)?),
        "embed" => StepOptions::Embed(section::<EmbedOptions>(value, &place)?.resolved()),
        "dedup" => StepOptions::Dedup(section(value, &place)?),
        "cluster" => StepOptions::Cluster(section(value, &place)?),
        "judge" => StepOptions::Judge(section(value, &place)?),
        "caption" => StepOptions::Caption(section::<CaptionOptions>(value, &place)?.resolved()),
        "rewrite" => StepOptions::Rewrite(section::<RewriteOptions>(value, &place)?.resolved()),
        "referee" => StepOptions::Referee(section(value, &place)?),
        "prune" => StepOptions::Prune(section(value, &place)?),
        _ => return Err(Error::usage(format!("{place}: unknown kind")).with_hint(name_hint(&kind, KINDS))),
    };
    Ok(StepSpec { name, options })
}

/// Reads one table. Serde's own message lists the valid keys in backticks: the hint is taken from there, so that no second list of keys exists.
fn section<T: DeserializeOwned>(value: toml::Value, place: &str) -> Result<T> {
    value.try_into().map_err(|error: toml::de::Error| {
        let message = error.message().to_string();
        let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        match names.split_first() {
            Some((found, valid)) if message.starts_with("unknown field") => {
                Error::usage(format!("{place} has an unknown key `{found}`"))
                    .with_hint(name_hint(found, valid.iter().copied()))
            }
            _ => Error::usage(format!("{place}: {message}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"
[input]
path = "datacomp_small/metadata"
[[step]]
kind = "filter"
where = "a > 1"
[[step]]
kind = "dedup"
embedding = "l14_img"
epsilon = [0.05, 0.1]
[[step]]
kind = "cluster"
embedding = "l14_img"
[[step]]
kind = "prune"
fraction = 0.3
"#;

    #[test]
    fn defaults_are_written_out_and_read_back() {
        let recipe = Recipe::parse(EXAMPLE).unwrap();
        assert_eq!(recipe.steps.len(), 4);
        assert_eq!(recipe.steps[2].folder(2), "03-cluster");
        let text = recipe.to_toml().unwrap();
        assert!(text.contains("temperature = 0.1") && text.contains("neighbors = 20"), "{text}");
        assert_eq!(Recipe::parse(&text).unwrap(), recipe);
    }

    #[test]
    fn an_embedding_gets_its_name_when_the_recipe_is_read() {
        let recipe = Recipe::parse("[[step]]\nkind = \"embed\"\nmodel = \"owner/b32@v1\"").unwrap();
        let text = recipe.to_toml().unwrap();
        assert!(text.contains("embedding = \"b32\"") && text.contains("what = \"auto\""), "{text}");
        assert_eq!(Recipe::parse(&text).unwrap(), recipe);
        let StepOptions::Embed(mut embed) = recipe.steps[0].options.clone() else { panic!() };
        embed.batch = 7;
        assert_eq!(StepOptions::Embed(embed).without_costs(), recipe.steps[0].options);
    }

    #[test]
    fn unknown_keys_say_what_was_meant() {
        let error = Recipe::parse(&EXAMPLE.replace("epsilon", "epsilonn")).unwrap_err();
        assert_eq!(error.message(), "step 2 (dedup) has an unknown key `epsilonn`");
        assert_eq!(error.hint(), Some("did you mean 'epsilon'?"));
        let error = Recipe::parse(&EXAMPLE.replace("\"filter\"", "\"filtre\"")).unwrap_err();
        assert_eq!(error.hint(), Some("did you mean 'filter'?"));
        let error = Recipe::parse("[inptu]\npath = \"x\"").unwrap_err();
        assert_eq!(error.hint(), Some("did you mean 'input'?"));
    }

    #[test]
    fn ranges_and_combinations_are_checked() {
        for (from, to) in [
            ("fraction = 0.3", "fraction = 30"),
            ("fraction = 0.3", "fraction = 0.3\ncount = 3"),
            ("fraction = 0.3", ""),
            ("fraction = 0.3", "fraction = []"),
            ("fraction = 0.3", "fraction = 0.3\ntemperature = 0"),
            ("epsilon = [0.05, 0.1]", "epsilon = 2"),
            ("epsilon = [0.05, 0.1]", "probe = 0"),
            ("epsilon = [0.05, 0.1]", "keep = \"hardest\""),
            ("where = \"a > 1\"", "where = \" \""),
            ("kind = \"filter\"\nwhere = \"a > 1\"", "kind = \"embed\""),
            ("kind = \"filter\"\nwhere = \"a > 1\"", "kind = \"embed\"\nmodel = \"m\"\nbatch = 0"),
            ("kind = \"filter\"\nwhere = \"a > 1\"", "kind = \"embed\"\nmodel = \"m\"\nembedding = \"a/b\""),
            ("kind = \"filter\"\nwhere = \"a > 1\"", "kind = \"embed\"\nmodel = \"m\"\nscore = \"keep\""),
            ("kind = \"filter\"\nwhere = \"a > 1\"", "kind = \"embed\"\nmodel = \"m\"\nwhat = []"),
            ("kind = \"filter\"", "kind = \"filter\"\nname = \"a/b\""),
        ] {
            let error = Recipe::parse(&EXAMPLE.replace(from, to)).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Usage, "{to}");
        }
        let twice =
            "[[step]]\nkind = \"embed\"\nmodel = \"a/m\"\n[[step]]\nkind = \"embed\"\nmodel = \"b/m\"";
        assert!(Recipe::parse(twice).unwrap_err().message().contains("both write the embedding 'm'"));
        let early = "[[step]]\nkind = \"prune\"\nfraction = [0.1, 0.2]\n[[step]]\nkind = \"filter\"\nwhere = \"true\"";
        assert!(Recipe::parse(early).unwrap_err().message().contains("last step"));
    }
}
