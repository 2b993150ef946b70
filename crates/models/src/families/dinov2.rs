//! DINOv2 with and without registers, in the layout of `transformers` (Oquab et al., DINOv2; Darcet et al., Vision Transformers Need
//! Registers). The vector is the class token after the last norm, as `pooler_output` is there.
use super::{Config, Family, Plan, Towers, placed, preprocess};
use crate::{
    ImageTower, ModelError, Result,
    image_tower::ImageHead,
    nn::{Block, BlockShape, Interpolation, Loader, NormPlace, Patches, TensorNames, resize_positions},
    source::Source,
};
use cribble_math::functions::Activation;

pub(super) fn plan(source: &Source, config: Config) -> Result<Plan> {
    let preprocess = preprocess(source)?;
    let (patch, size) = (config.size("patch_size", 14)?, preprocess.size());
    if size.0 < patch || size.1 < patch {
        return Err(ModelError::Malformed {
            place: source.place("preprocessor_config.json"),
            what: format!("pictures of {} x {} pixels are smaller than a patch of {patch}", size.0, size.1),
        });
    }
    Ok(Plan {
        family: Family::Dinov2,
        dim: config.size("hidden_size", 768)?,
        preprocess: Some(preprocess),
        tokenizer: None,
        files: vec!["config.json", "preprocessor_config.json"],
        config,
    })
}

pub(super) fn load(source: &Source, plan: &Plan, from: &Loader<'_>) -> Result<Towers> {
    let config = &plan.config;
    let Some(preprocess) = &plan.preprocess else {
        return Err(ModelError::Malformed { place: source.describe(), what: "no preprocessing".into() });
    };
    let width = config.size("hidden_size", 768)?;
    let gated = config.flag("use_swiglu_ffn", false)?;
    let ratio = config.number("mlp_ratio", 4.0)?;
    let inner = (width as f64 * ratio) as usize;
    let shape = BlockShape {
        width,
        heads: config.heads("num_attention_heads", 12, width)?,
        // As Dinov2SwiGLUFFN rounds: two thirds, up to a multiple of 8.
        inner: if gated { (inner * 2 / 3).div_ceil(8) * 8 } else { inner },
        activation: if gated { Activation::Silu } else { config.activation("hidden_act", "gelu")? },
        causal: false,
        epsilon: config.number("layer_norm_eps", 1e-6)? as f32,
        norms: NormPlace::Before,
        gated,
    };
    // Backbones inside other models carry the family's name before every tensor.
    let base = if from.weights.has("dinov2.embeddings.cls_token") { "dinov2." } else { "" };
    let with_registers = config.text("model_type")?.as_deref() == Some("dinov2_with_registers");
    let patch = config.size("patch_size", 14)?;
    let trained = config.size("image_size", 224)? / patch;
    let size = preprocess.size();
    let grid = (size.0 / patch, size.1 / patch);
    let class = from.tensor(&format!("{base}embeddings.cls_token"), &[1, 1, width])?;
    let (mut prefix, patch_positions) = placed(
        class,
        from.tensor(&format!("{base}embeddings.position_embeddings"), &[1, trained * trained + 1, width])?,
    );
    if with_registers {
        let count = config.count("num_register_tokens", 4)?;
        prefix.extend(from.tensor(&format!("{base}embeddings.register_tokens"), &[1, count, width])?);
    }
    let how = if with_registers { Interpolation::Antialiased } else { Interpolation::Plain };
    let layers = config.size("num_hidden_layers", 12)?;
    let blocks = (0..layers)
        .map(|layer| {
            let at = |name: &str| format!("{base}encoder.layer.{layer}.{name}");
            let (inner, outer) = if gated { ("weights_in", "weights_out") } else { ("fc1", "fc2") };
            let names = TensorNames {
                norm1: at("norm1"),
                qkv: ["query", "key", "value"].map(|name| at(&format!("attention.attention.{name}"))).into(),
                out: at("attention.output.dense"),
                norm2: at("norm2"),
                inner: at(&format!("mlp.{inner}")),
                outer: at(&format!("mlp.{outer}")),
                scales: Some([at("layer_scale1.lambda1"), at("layer_scale2.lambda1")]),
            };
            Block::load(from, &names, &shape)
        })
        .collect::<Result<_>>()?;
    let image = ImageTower {
        preprocess: preprocess.clone(),
        patches: Patches::load(from, &format!("{base}embeddings.patch_embeddings.projection"), patch, width)?,
        prefix,
        positions: resize_positions(&patch_positions, (trained, trained), grid, width, how),
        before: None,
        blocks,
        after: from.norm(&format!("{base}layernorm"), width, shape.epsilon)?,
        head: ImageHead::ClassToken(None),
        width,
        dim: width,
    };
    Ok(Towers { image: Some(image), ..Towers::default() })
}
