//! CLIP in the layout of `transformers` (Radford et al., Learning Transferable Visual Models From Natural Language Supervision).
use super::{Config, Family, Plan, Towers, preprocess, same_size};
use crate::{
    ImageTower, Result, TextTower, Tokenizer, TokenizerKind,
    image_tower::ImageHead,
    nn::{Block, BlockShape, Loader, NormPlace, Patches, TensorNames},
    source::Source,
    text_tower::TextPool,
};

/// The sizes of one tower, with the defaults of `CLIPVisionConfig` or `CLIPTextConfig`.
fn shape(config: &Config, vision: bool) -> Result<(BlockShape, usize)> {
    let (width, heads, inner) = if vision { (768, 12, 3072) } else { (512, 8, 2048) };
    let width = config.size("hidden_size", width)?;
    let shape = BlockShape {
        width,
        heads: config.heads("num_attention_heads", heads, width)?,
        inner: config.size("intermediate_size", inner)?,
        activation: config.activation("hidden_act", "quick_gelu")?,
        causal: !vision,
        epsilon: config.number("layer_norm_eps", 1e-5)? as f32,
        norms: NormPlace::Before,
        gated: false,
    };
    Ok((shape, config.size("num_hidden_layers", 12)?))
}

/// The config of a tower: its own file where the checkpoint is that tower alone.
fn tower(config: &Config, vision: bool) -> Result<Option<Config>> {
    let (own, key) =
        if vision { ("clip_vision_model", "vision_config") } else { ("clip_text_model", "text_config") };
    match config.text("model_type")?.as_deref() {
        Some(kind) if kind == own => Ok(Some(config.clone())),
        Some("clip") => Ok(Some(config.part(key)?.overlaid(&config.part(&format!("{key}_dict"))?))),
        _ => Ok(None),
    }
}

pub(super) fn plan(source: &Source, config: Config) -> Result<Plan> {
    let (vision, text) = (tower(&config, true)?, tower(&config, false)?);
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
    if let (Some(config), Some(preprocess)) = (tower(&plan.config, true)?, &plan.preprocess) {
        let (shape, layers) = shape(&config, true)?;
        let (size, patch) = (config.size("image_size", 224)?, config.size("patch_size", 32)?);
        let grid = (size / patch) * (size / patch);
        let base = "vision_model";
        let mut prefix = from.tensor(&format!("{base}.embeddings.class_embedding"), &[shape.width])?;
        let mut positions =
            from.tensor(&format!("{base}.embeddings.position_embedding.weight"), &[grid + 1, shape.width])?;
        let rest = positions.split_off(shape.width);
        prefix.iter_mut().zip(&positions).for_each(|(class, position)| *class += position);
        towers.image = Some(ImageTower {
            preprocess: preprocess.clone(),
            patches: Patches::load(from, &format!("{base}.embeddings.patch_embedding"), patch, shape.width)?,
            prefix,
            positions: rest,
            // The typing error is theirs.
            before: Some(from.norm(&format!("{base}.pre_layrnorm"), shape.width, shape.epsilon)?),
            blocks: blocks(from, base, &shape, layers)?,
            after: from.norm(&format!("{base}.post_layernorm"), shape.width, shape.epsilon)?,
            head: ImageHead::ClassToken(Some(from.linear("visual_projection", shape.width, plan.dim)?)),
            width: shape.width,
            dim: plan.dim,
        });
    }
    if let (Some(config), Some(kind)) = (tower(&plan.config, false)?, &plan.tokenizer) {
        let (shape, layers) = shape(&config, false)?;
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
    if from.weights.has("logit_scale") {
        towers.logit_scale = Some(from.tensor("logit_scale", &[])?[0].exp());
    }
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
