//! SigLIP, and SigLIP 2 with a fixed resolution, in the layout of `transformers` (Zhai et al., Sigmoid Loss for Language Image
//! Pre-Training; Tschannen et al., SigLIP 2). The variable-resolution NaFlex models have another patch embedding and are refused.
use super::{Config, Defaults, Family, Plan, Towers, clip::blocks, preprocess, same_size};
use crate::{
    ImageTower, ModelError, Result, TextTower, Tokenizer, TokenizerKind,
    image_tower::ImageHead,
    nn::{AttentionHead, Loader, NormPlace, Patches},
    source::Source,
    text_tower::TextPool,
};

/// The defaults of `SiglipVisionConfig` and `SiglipTextConfig`.
const DEFAULTS: Defaults =
    Defaults { width: 768, heads: 12, inner: 3072, activation: "gelu_pytorch_tanh", epsilon: 1e-6 };
/// Models with both towers.
const BOTH: &[&str] = &["siglip", "siglip2"];

fn vision(config: &Config) -> Result<Option<Config>> {
    config.tower("siglip_vision_model", BOTH, "vision_config")
}

fn text(config: &Config) -> Result<Option<Config>> {
    config.tower("siglip_text_model", BOTH, "text_config")
}

pub(super) fn plan(source: &Source, config: Config) -> Result<Plan> {
    let (vision, text) = (vision(&config)?, text(&config)?);
    let mut files = vec!["config.json"];
    let (mut found, mut dim) = (None, None);
    if let Some(vision) = &vision {
        if vision.has("num_patches") {
            return Err(ModelError::Unsupported {
                place: config.place().into(),
                found: "siglip2 with a variable resolution (NaFlex)".into(),
            });
        }
        if !vision.flag("vision_use_head", true)? {
            return Err(vision.unsupported("vision_use_head"));
        }
        let preprocess = preprocess(source)?;
        same_size(source, &preprocess, vision.size("image_size", 224)?)?;
        files.push("preprocessor_config.json");
        found = Some(preprocess);
        dim = Some(vision.size("hidden_size", 768)?);
    }
    let mut tokenizer = None;
    if let Some(text) = &text {
        tokenizer = Some(TokenizerKind::siglip(text.size("max_position_embeddings", 64)?));
        files.extend(["tokenizer.json", "tokenizer_config.json"]);
        let own = text.size("projection_size", text.size("hidden_size", 768)?)?;
        if dim.is_some_and(|dim| dim != own) {
            return Err(text.wrong("projection_size", "the width of the vision tower"));
        }
        dim = Some(own);
    }
    let dim = dim.ok_or_else(|| config.unsupported("model_type"))?;
    Ok(Plan { family: Family::Siglip, dim, preprocess: found, tokenizer, files, config })
}

pub(super) fn load(source: &Source, plan: &Plan, from: &Loader<'_>) -> Result<Towers> {
    let mut towers = Towers::default();
    if let (Some(config), Some(preprocess)) = (vision(&plan.config)?, &plan.preprocess) {
        let (shape, layers) = config.blocks(DEFAULTS, false, NormPlace::Before)?;
        let (size, patch) = (config.size("image_size", 224)?, config.size("patch_size", 16)?);
        let grid = (size / patch) * (size / patch);
        let base = "vision_model";
        towers.image = Some(ImageTower {
            preprocess: preprocess.clone(),
            patches: Patches::load(from, &format!("{base}.embeddings.patch_embedding"), patch, shape.width)?,
            prefix: Vec::new(),
            positions: from
                .tensor(&format!("{base}.embeddings.position_embedding.weight"), &[grid, shape.width])?,
            before: None,
            blocks: blocks(from, base, &shape, layers)?,
            after: from.norm(&format!("{base}.post_layernorm"), shape.width, shape.epsilon)?,
            head: ImageHead::Attention(Box::new(AttentionHead::load(from, &format!("{base}.head"), &shape)?)),
            width: shape.width,
            dim: plan.dim,
        });
    }
    if let (Some(config), Some(kind)) = (text(&plan.config)?, &plan.tokenizer) {
        let (shape, layers) = config.blocks(DEFAULTS, false, NormPlace::Before)?;
        let context = config.size("max_position_embeddings", 64)?;
        let base = "text_model";
        towers.text = Some(TextTower {
            tokenizer: Tokenizer::load(source, *kind)?,
            table: from.tensor(
                &format!("{base}.embeddings.token_embedding.weight"),
                &[config.size("vocab_size", 32000)?, shape.width],
            )?,
            positions: from
                .tensor(&format!("{base}.embeddings.position_embedding.weight"), &[context, shape.width])?,
            before: None,
            blocks: blocks(from, base, &shape, layers)?,
            after: Some(from.norm(&format!("{base}.final_layer_norm"), shape.width, shape.epsilon)?),
            pool: TextPool::Last,
            causal: false,
            projection: Some(from.linear(&format!("{base}.head"), shape.width, plan.dim)?),
            width: shape.width,
            dim: plan.dim,
        });
    }
    towers.logit_scale = from.scalar("logit_scale", &[1])?.map(f32::exp);
    towers.logit_bias = from.scalar("logit_bias", &[1])?;
    Ok(towers)
}
