//! CLIP in the layout of `transformers` (Radford et al., Learning Transferable Visual Models From Natural Language Supervision).
use super::{Config, Defaults, Family, Plan, Towers, placed, preprocess, same_size};
use crate::{
    ImageTower, Result, TextTower, Tokenizer, TokenizerKind,
    image_tower::ImageHead,
    nn::{Block, BlockShape, Loader, NormPlace, Patches, TensorNames},
    source::Source,
    text_tower::TextPool,
};

/// The defaults of `CLIPVisionConfig` and `CLIPTextConfig`.
const VISION: Defaults =
    Defaults { width: 768, heads: 12, inner: 3072, activation: "quick_gelu", epsilon: 1e-5 };
const TEXT: Defaults = Defaults { width: 512, heads: 8, inner: 2048, ..VISION };

fn vision(config: &Config) -> Result<Option<Config>> {
    config.tower("clip_vision_model", &["clip"], "vision_config")
}

fn text(config: &Config) -> Result<Option<Config>> {
    config.tower("clip_text_model", &["clip"], "text_config")
}

pub(super) fn plan(source: &Source, config: Config) -> Result<Plan> {
    let (vision, text) = (vision(&config)?, text(&config)?);
    let mut files = vec!["config.json"];
    let mut found = None;
    if let Some(vision) = &vision {
        let preprocess = preprocess(source)?;
        same_size(source, &preprocess, vision.size("image_size", 224)?)?;
        files.push("preprocessor_config.json");
        found = Some(preprocess);
    }
    let mut tokenizer = None;
    if let Some(text) = &text {
        tokenizer = Some(TokenizerKind::cut(text.size("max_position_embeddings", 77)?));
        files.push("tokenizer.json");
    }
    Ok(Plan {
        family: Family::Clip,
        dim: config.size("projection_dim", 512)?,
        preprocess: found,
        tokenizer,
        files,
        config,
    })
}

pub(super) fn load(source: &Source, plan: &Plan, from: &Loader<'_>) -> Result<Towers> {
    let mut towers = Towers::default();
    if let (Some(config), Some(preprocess)) = (vision(&plan.config)?, &plan.preprocess) {
        let (shape, layers) = config.blocks(VISION, false, NormPlace::Before)?;
        let (size, patch) = (config.size("image_size", 224)?, config.size("patch_size", 32)?);
        let grid = (size / patch) * (size / patch);
        let base = "vision_model";
        let class = from.tensor(&format!("{base}.embeddings.class_embedding"), &[shape.width])?;
        let (prefix, positions) = placed(
            class,
            from.tensor(&format!("{base}.embeddings.position_embedding.weight"), &[grid + 1, shape.width])?,
        );
        towers.image = Some(ImageTower {
            preprocess: preprocess.clone(),
            patches: Patches::load(from, &format!("{base}.embeddings.patch_embedding"), patch, shape.width)?,
            prefix,
            positions,
            // The typing error is theirs.
            before: Some(from.norm(&format!("{base}.pre_layrnorm"), shape.width, shape.epsilon)?),
            blocks: blocks(from, base, &shape, layers)?,
            after: from.norm(&format!("{base}.post_layernorm"), shape.width, shape.epsilon)?,
            head: ImageHead::ClassToken(Some(from.linear("visual_projection", shape.width, plan.dim)?)),
            width: shape.width,
            dim: plan.dim,
        });
    }
    if let (Some(config), Some(kind)) = (text(&plan.config)?, &plan.tokenizer) {
        let (shape, layers) = config.blocks(TEXT, true, NormPlace::Before)?;
        let context = config.size("max_position_embeddings", 77)?;
        let base = "text_model";
        // Configs of the first release say 2, which no caption has; there the highest id is the end of the text.
        let pool = match config.count("eos_token_id", 49407)? {
            2 => TextPool::HighestId,
            end => TextPool::FirstOf(end as u32),
        };
        towers.text = Some(TextTower {
            tokenizer: Tokenizer::load(source, *kind)?,
            table: from.tensor(
                &format!("{base}.embeddings.token_embedding.weight"),
                &[config.size("vocab_size", 49408)?, shape.width],
            )?,
            positions: from
                .tensor(&format!("{base}.embeddings.position_embedding.weight"), &[context, shape.width])?,
            before: None,
            blocks: blocks(from, base, &shape, layers)?,
            after: Some(from.norm(&format!("{base}.final_layer_norm"), shape.width, shape.epsilon)?),
            pool,
            causal: true,
            projection: Some(from.linear("text_projection", shape.width, plan.dim)?),
            width: shape.width,
            dim: plan.dim,
        });
    }
    towers.logit_scale = from.scalar("logit_scale", &[])?.map(f32::exp);
    Ok(towers)
}

/// The blocks of a tower; SigLIP calls its tensors alike.
pub(super) fn blocks(from: &Loader<'_>, base: &str, shape: &BlockShape, layers: usize) -> Result<Vec<Block>> {
    (0..layers)
        .map(|layer| {
            let at = |name: &str| format!("{base}.encoder.layers.{layer}.{name}");
            let names = TensorNames {
                norm1: at("layer_norm1"),
                qkv: ["q_proj", "k_proj", "v_proj"].map(|name| at(&format!("self_attn.{name}"))).into(),
                out: at("self_attn.out_proj"),
                norm2: at("layer_norm2"),
                inner: at("mlp.fc1"),
                outer: at("mlp.fc2"),
                scales: None,
            };
            Block::load(from, &names, shape)
        })
        .collect()
}
