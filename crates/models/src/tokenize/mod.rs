//! From a caption to token ids, as the checkpoint's own processor gives them. `tokenizer.json` is read by the `tokenizers` crate, which is
//! what transformers itself runs; this file adds what the processors do around it: the cut to the context, SigLIP's padding (its models
//! attend to the pads), SigLIP's cleaning of the text, which for the first generation stands in Python and not in `tokenizer.json`, and
//! open_clip's, whose tokenizer is not that of transformers: it mends the text first ([`clean_open_clip`]) and spells its special tokens
//! in another way.
//!
//! Three stated differences. open_clip's mojibake repair knows ten character sets, ours the two that nearly all mojibake is in
//! ([`clean_open_clip`]). Special tokens that are spelled out in a caption (`</s>`) are plain characters for SigLIP 1, as in its training
//! code, where transformers ends the text there. And `sentence_bert_config.json`'s `do_lower_case` is not read: the normalizer of
//! `tokenizer.json` is what counts.
mod checks;
mod clean;
mod open_clip;

pub use clean::open_clip as clean_open_clip;

use crate::{ModelError, Result, source::Source};
use serde_json::Value;
use std::str::FromStr;
use tokenizers::{
    Encoding, ModelWrapper, NormalizerWrapper, PaddingDirection, PostProcessor, Tokenizer as Engine,
    normalizers::{Lowercase, Sequence},
};

/// What a model wants of its tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenizerKind {
    /// Most tokens of a text, with the special ones.
    pub context: usize,
    /// Whose way with the text and its ids.
    pub style: Style,
}

/// What a family does to a text around its `tokenizer.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Nothing: CLIP, BERT.
    Plain,
    /// Clean the text as SigLIP does, and pad to the context.
    Siglip,
    /// Clean and split the text as open_clip does.
    OpenClip,
}

impl TokenizerKind {
    /// CLIP, BERT: cut, never padded.
    pub const fn cut(context: usize) -> Self {
        Self { context, style: Style::Plain }
    }

    /// open_clip: as CLIP, but of a text that open_clip has cleaned.
    pub const fn open_clip(context: usize) -> Self {
        Self { context, style: Style::OpenClip }
    }

    /// SigLIP and SigLIP 2: cut or padded to exactly `context` tokens.
    pub const fn siglip(context: usize) -> Self {
        Self { context, style: Style::Siglip }
    }
}

/// The tokens of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Ids with the special tokens, at most `context`; exactly `context` for SigLIP.
    pub ids: Vec<u32>,
    /// Tokens of the text that did not fit.
    pub cut: u32,
}

/// A checkpoint's tokenizer. Encoding is a pure function and runs from any thread.
#[derive(Debug)]
pub struct Tokenizer {
    place: String,
    engine: Engine,
    context: usize,
    /// Tokens that the template adds to every text.
    added: usize,
    clean: Clean,
    pad: Option<Pad>,
}

#[derive(Debug)]
enum Clean {
    /// As `tokenizer.json` says.
    None,
    /// SigLIP 1: [`canonical`], lower-cased or not. `mark` is the id of the bare `▁`.
    Canonical {
        lower: bool,
        mark: Option<u32>,
    },
    OpenClip(open_clip::Splitter),
}

#[derive(Debug, Clone, Copy)]
struct Pad {
    id: u32,
    left: bool,
}

const FILE: &str = "tokenizer.json";

impl Tokenizer {
    /// Reads `tokenizer.json` (and from `tokenizer_config.json` the padding token). Truncation and padding that the file itself asks for
    /// are left out: checkpoints of sentence-transformers carry some that their own library ignores.
    ///
    /// # Errors
    /// [`ModelError::Missing`] without a `tokenizer.json`, with how to make one; [`ModelError::Malformed`] where it cannot be read, or
    /// where `kind.context` has no room for a token of text.
    pub fn load(source: &Source, kind: TokenizerKind) -> Result<Self> {
        let place = source.place(FILE);
        let bad = |what: String| ModelError::Malformed { place: place.clone(), what };
        let bytes = source.read(FILE)?.ok_or_else(|| ModelError::Missing {
            place: source.describe(),
            what: FILE.into(),
            cure: format!(
                "make it: python -c \"from transformers import AutoTokenizer as T; T.from_pretrained('{}').backend_tokenizer.save('{FILE}')\"",
                source.name()
            ),
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|error| bad(error.to_string()))?;
        checks::check(text).map_err(|error| bad(format!("no tokenizer: {error}")))?;
        let mut engine = Engine::from_str(text).map_err(|error| bad(format!("no tokenizer: {error}")))?;
        let own_pad = engine.get_padding().map(|padding| padding.pad_id);
        engine.with_padding(None);
        engine.with_truncation(None).map_err(|error| bad(error.to_string()))?;
        let added = engine.get_post_processor().map_or(0, |template| template.added_tokens(false));
        if kind.context <= added {
            return Err(bad(format!(
                "a context of {} tokens, but {added} are added to every text",
                kind.context
            )));
        }
        let (clean, pad) = match kind.style {
            Style::Plain => (Clean::None, None),
            Style::Siglip => {
                let settings = Settings::read(source)?;
                let pad = settings.pad(&engine, own_pad).ok_or_else(|| ModelError::Missing {
                    place: source.place(Settings::FILE),
                    what: "pad_token".into(),
                    cure: "SigLIP pads its texts; get the tokenizer's files again".into(),
                })?;
                (settings.clean(&mut engine).map_err(|error| bad(error.to_string()))?, Some(pad))
            }
            Style::OpenClip => (Clean::OpenClip(open_clip::Splitter::new(&engine).map_err(bad)?), None),
        };
        Ok(Self { place, engine, context: kind.context, added, clean, pad })
    }

    /// The largest id that it can give; a model's table of embeddings must have more rows than this. Walks the vocabulary.
    pub fn largest_id(&self) -> u32 {
        self.engine.get_vocab(true).into_values().max().unwrap_or(0)
    }

    /// The id of a token, by its text.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.engine.token_to_id(token)
    }

    /// Most tokens of a text.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The ids of a text, cut to the context: the start and the end token stay, the text's tokens are cut at the end.
    ///
    /// # Errors
    /// [`ModelError::Malformed`] where the tokenizer of the checkpoint cannot write the text at all (no unknown token).
    pub fn encode(&self, text: &str) -> Result<Tokens> {
        let ids = self.whole(text)?;
        self.window(&ids, 0)
    }

    /// The ids of a whole text, in windows that the model can read: each has the start and the end token (and SigLIP's pads) of its own, and
    /// consecutive ones share half of their tokens. The first window is what [`Tokenizer::encode`] gives, `cut` included; a text that fits
    /// has no other. `cut` of a window counts the tokens of the text that are not in it.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn windows(&self, text: &str) -> Result<Vec<Tokens>> {
        let ids = self.whole(text)?;
        let room = self.context - self.added;
        // Half a window ahead, rounded up: a window of a single token still moves on.
        let step = room - room / 2;
        let others = ids.len().saturating_sub(room).div_ceil(step);
        (0..=others).map(|window| self.window(&ids, window * step)).collect()
    }

    /// What went wrong with a text.
    fn fail(&self, error: &tokenizers::Error) -> ModelError {
        let what = format!("a text cannot be encoded: {error}");
        ModelError::Malformed { place: self.place.clone(), what }
    }

    /// The ids of a text, however many, without the tokens that the template adds.
    fn whole(&self, text: &str) -> Result<Vec<u32>> {
        let encode = |text: &str| self.engine.encode_fast(text, false).map(|found| found.get_ids().to_vec());
        let ids = match &self.clean {
            Clean::None => encode(text),
            Clean::Canonical { lower, mark } => {
                let text = canonical(text, *lower);
                let bare = text.trim_start_matches(' ');
                encode(bare).map(|mut ids| {
                    // transformers puts its mark of a word's start before it cleans, so that a space that was first is not stripped
                    // but becomes a token of its own.
                    if let (Some(mark), true) = (mark, bare.len() < text.len() && !bare.is_empty()) {
                        ids.insert(0, *mark);
                    }
                    ids
                })
            }
            Clean::OpenClip(splitter) => splitter.ids(&clean::open_clip(text), self.engine.get_model()),
        };
        ids.map_err(|error| self.fail(&error))
    }

    /// The window of `ids` that begins at `start`, with what the template adds and the pads.
    fn window(&self, ids: &[u32], start: usize) -> Result<Tokens> {
        let end = ids.len().min(start + self.context - self.added);
        let inside = ids[start..end].to_vec();
        let count = inside.len();
        // Only the ids are of interest; the other columns of an encoding must have their length.
        let encoding = Encoding::new(
            inside,
            vec![0; count],
            vec![String::new(); count],
            vec![None; count],
            vec![(0, 0); count],
            vec![0; count],
            vec![1; count],
            Vec::new(),
            Default::default(),
        );
        let dressed = self.engine.post_process(encoding, None, true).map_err(|error| self.fail(&error))?;
        let mut all = dressed.get_ids().to_vec();
        if let Some(Pad { id, left }) = self.pad {
            let missing = self.context.saturating_sub(all.len());
            let at = if left { 0 } else { all.len() };
            all.splice(at..at, std::iter::repeat_n(id, missing));
        }
        Ok(Tokens { ids: all, cut: u32::try_from(ids.len() - count).unwrap_or(u32::MAX) })
    }
}

/// What of `tokenizer_config.json` counts.
struct Settings(Value);

impl Settings {
    const FILE: &str = "tokenizer_config.json";

    fn read(source: &Source) -> Result<Self> {
        let Some(bytes) = source.read(Self::FILE)? else { return Ok(Self(Value::Null)) };
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| ModelError::Malformed {
            place: source.place(Self::FILE),
            what: error.to_string(),
        })
    }

    /// The padding token, as `tokenizer_config.json` names it, else as `tokenizer.json` has it.
    fn pad(&self, engine: &Engine, own: Option<u32>) -> Option<Pad> {
        let name = &self.0["pad_token"];
        let name = name.as_str().or_else(|| name["content"].as_str());
        let id = name.and_then(|name| engine.token_to_id(name)).or(own)?;
        let left = PaddingDirection::Left.as_ref() == self.0["padding_side"].as_str().unwrap_or_default();
        Some(Pad { id, left })
    }

    /// SigLIP 1 (SentencePiece unigram over C4) was trained on canonical text, SigLIP 2 (Gemma's BPE) on lower-cased text. Files on the
    /// Hub may or may not do the first, and do not do the second.
    fn clean(&self, engine: &mut Engine) -> tokenizers::Result<Clean> {
        if matches!(engine.get_model(), ModelWrapper::Unigram(_)) {
            let lower = self.0["do_lower_case"].as_bool().unwrap_or(true);
            return Ok(Clean::Canonical { lower, mark: engine.token_to_id("▁") });
        }
        let mut steps: Vec<NormalizerWrapper> = vec![Lowercase.into()];
        steps.extend(engine.get_normalizer().cloned());
        engine.with_normalizer(Some(NormalizerWrapper::Sequence(Sequence::new(steps))))?;
        Ok(Clean::None)
    }
}

/// SigLIP's canonical text: lower case, no ASCII punctuation, white space of any kind and length as one space, none at the end; one that was
/// first stays. (big_vision, `prompt_engineering.canonicalize_text`; transformers, `SiglipTokenizer`.)
fn canonical(text: &str, lower: bool) -> String {
    // Unlike the tokenizers' step, this knows the final sigma, as Python does.
    let text = if lower { text.to_lowercase() } else { text.into() };
    let mut clean = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_ascii_punctuation()) {
        // SentencePiece's mark is a space, too.
        if clean::is_space(c) || c == '▁' {
            if !clean.ends_with(' ') {
                clean.push(' ');
            }
        } else {
            clean.push(c);
        }
    }
    clean.truncate(clean.trim_end_matches(' ').len());
    clean
}
