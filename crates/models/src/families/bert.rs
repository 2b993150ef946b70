//! BERT sentence encoders such as MiniLM, in the layout of sentence-transformers (Reimers and Gurevych, Sentence-BERT): the mean over all
//! tokens, or the first one where `1_Pooling/config.json` says so.
use super::{Config, Defaults, Family, Plan, Towers};
use crate::{
    ModelError, Result, TextTower, Tokenizer, TokenizerKind,
    nn::{Block, Loader, NormPlace, TensorNames},
    source::Source,
    text_tower::TextPool,
};
use cribble_math::functions::add;

const POOLING: &str = "1_Pooling/config.json";
const SENTENCES: &str = "sentence_bert_config.json";

/// The defaults of `BertConfig`.
const DEFAULTS: Defaults =
    Defaults { width: 768, heads: 12, inner: 3072, activation: "gelu", epsilon: 1e-12 };

pub(super) fn plan(source: &Source, config: Config) -> Result<Plan> {
    if let Some(kind) = config.text("position_embedding_type")?
        && kind != "absolute"
    {
        return Err(config.unsupported("position_embedding_type"));
    }
    let positions = config.size("max_position_embeddings", 512)?;
    // sentence-transformers cuts earlier than the positions would force it to.
    let context = match Config::read(source, SENTENCES)? {
        Some(sentences) => sentences.size("max_seq_length", positions)?,
        None => positions,
    };
    Ok(Plan {
        family: Family::Bert,
        dim: config.size("hidden_size", 768)?,
        preprocess: None,
        tokenizer: Some(TokenizerKind::cut(context.min(positions))),
        files: vec!["config.json", "tokenizer.json", POOLING, SENTENCES],
        config,
    })
}

/// The pooling that a sentence-transformers folder asks for; the mean where it says nothing.
fn pool(source: &Source) -> Result<TextPool> {
    let Some(config) = Config::read(source, POOLING)? else { return Ok(TextPool::Mean) };
    if config.flag("pooling_mode_mean_tokens", false)? {
        Ok(TextPool::Mean)
    } else if config.flag("pooling_mode_cls_token", false)? {
        Ok(TextPool::First)
    } else {
        match config.text("pooling_mode")?.as_deref() {
            Some("mean") => Ok(TextPool::Mean),
            Some("cls") => Ok(TextPool::First),
            _ => Err(ModelError::Unsupported {
                place: config.place().into(),
                found: "a pooling that is neither the mean nor the first token".into(),
            }),
        }
    }
}

pub(super) fn load(source: &Source, plan: &Plan, from: &Loader<'_>) -> Result<Towers> {
    let config = &plan.config;
    let Some(kind) = &plan.tokenizer else {
        return Err(ModelError::Malformed { place: source.describe(), what: "no tokenizer".into() });
    };
    let (shape, layers) = config.blocks(DEFAULTS, false, NormPlace::After)?;
    let width = shape.width;
    let base = if from.weights.has("bert.embeddings.word_embeddings.weight") { "bert." } else { "" };
    let table =
        |name: &str, rows: usize| from.tensor(&format!("{base}embeddings.{name}.weight"), &[rows, width]);
    let mut positions = table("position_embeddings", config.size("max_position_embeddings", 512)?)?;
    // Every token of a single sentence is of type 0: one more vector that every position gets.
    let types = table("token_type_embeddings", config.size("type_vocab_size", 2)?)?;
    positions.chunks_exact_mut(width).for_each(|position| add(position, &types[..width], None));
    positions.truncate(kind.context * width);
    let blocks = (0..layers)
        .map(|layer| {
            let at = |name: &str| format!("{base}encoder.layer.{layer}.{name}");
            let names = TensorNames {
                norm1: at("attention.output.LayerNorm"),
                qkv: ["query", "key", "value"].map(|name| at(&format!("attention.self.{name}"))).into(),
                out: at("attention.output.dense"),
                norm2: at("output.LayerNorm"),
                inner: at("intermediate.dense"),
                outer: at("output.dense"),
                scales: None,
            };
            Block::load(from, &names, &shape)
        })
        .collect::<Result<_>>()?;
    let text = TextTower {
        tokenizer: Tokenizer::load(source, *kind)?,
        table: table("word_embeddings", config.size("vocab_size", 30522)?)?,
        positions,
        before: Some(from.norm(&format!("{base}embeddings.LayerNorm"), width, shape.epsilon)?),
        blocks,
        after: None,
        pool: pool(source)?,
        causal: false,
        projection: None,
        width,
        dim: width,
    };
    Ok(Towers { text: Some(text), ..Towers::default() })
}
