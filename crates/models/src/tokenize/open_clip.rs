//! How open_clip splits a cleaned text: CLIP's pattern without regard to case, and special tokens under names of its own (so that
//! `<|endoftext|>` in a caption is text, and `<end_of_text>` is not). Merges and ids are those of the `tokenizer.json`.
use tokenizers::{
    Model, ModelWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Result,
    SplitDelimiterBehavior, Token, Tokenizer as Engine,
    pre_tokenizers::{
        byte_level::ByteLevel,
        split::{Split, SplitPattern},
    },
};

/// Case counts in the classes alone: open_clip's pattern is without case as a whole, and in Python that drops U+0345 (it folds to a letter
/// and is none, so that neither class has it), and no other character.
const PATTERN: &str =
    r"(?i:<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d)|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}\x{345}]+";

#[derive(Debug)]
pub struct Splitter {
    split: Split,
    bytes: ByteLevel,
    start: u32,
    end: u32,
}

impl Splitter {
    /// For a tokenizer that has CLIP's merges; says what it lacks.
    pub fn new(engine: &Engine) -> std::result::Result<Self, String> {
        match engine.get_model() {
            ModelWrapper::BPE(merges) if merges.end_of_word_suffix.as_deref() == Some("</w>") => {}
            _ => {
                return Err(
                    "no byte-pair encoding as CLIP's (with the suffix </w>), which open_clip takes".into()
                );
            }
        }
        let id = |token| engine.token_to_id(token).ok_or_else(|| format!("it lacks the token {token}"));
        let pattern = SplitPattern::Regex(PATTERN.into());
        Ok(Self {
            split: Split::new(pattern, SplitDelimiterBehavior::Removed, true)
                .map_err(|error| error.to_string())?,
            bytes: ByteLevel::new(false, true, false),
            start: id("<|startoftext|>")?,
            end: id("<|endoftext|>")?,
        })
    }

    /// The ids of a cleaned text, without start and end.
    pub fn ids(&self, text: &str, merges: &ModelWrapper) -> Result<Vec<u32>> {
        let mut pieces = PreTokenizedString::from(text);
        self.split.pre_tokenize(&mut pieces)?;
        self.bytes.pre_tokenize(&mut pieces)?;
        let special = |id| Ok(vec![Token::new(id, String::new(), (0, 0))]);
        pieces.tokenize(|piece| match piece.get() {
            "<start_of_text>" => special(self.start),
            "<end_of_text>" => special(self.end),
            word => merges.tokenize(word),
        })?;
        let pieces = pieces.get_splits(OffsetReferential::Normalized, OffsetType::None);
        Ok(pieces
            .into_iter()
            .flat_map(|(_, _, tokens)| tokens.iter().flatten())
            .map(|token| token.id)
            .collect())
    }
}
