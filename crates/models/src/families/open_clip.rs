//! CLIP in the layout of open_clip: `open_clip_config.json` and tensors named as OpenAI's first code named them.
use super::{Config, Family, Plan, Towers, placed, same_size};
use crate::{
    ImageTower, ModelError, Result, TextTower, Tokenizer, TokenizerKind,
    image_tower::ImageHead,
    nn::{Block, BlockShape, Loader, NormPlace, Patches, TensorNames},
    source::Source,
    text_tower::TextPool,
};
use cribble_math::functions::Activation;
use cribble_pixels::Preprocess;

const FILE: &str = "open_clip_config.json";

/// Keys of a tower's config that our towers have code for. Any other key with a value that changes the model is refused by name.
const VISION: &[&str] = &["image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"];
const TEXT: &[&str] = &["context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"];
/// Values that mean "as usual" for the keys we have no code for.
const USUAL: &[(&str, &str)] = &[
    ("pool_type", "\"tok\""),
    ("pool_type", "\"argmax\""),
    ("output_tokens", "false"),
    ("no_causal_mask", "false"),
    ("proj_type", "\"linear\""),
    ("proj_bias", "false"),
    ("final_ln_after_pool", "false"),
    ("no_ln_pre", "false"),
    ("pos_embed_type", "\"learnable\""),
    ("attentional_pool", "false"),
    ("patch_dropout", "0.0"),
    ("patch_dropout", "0"),
    ("embed_cls", "false"),
    ("pad_id", "0"),
];

fn only_known(config: &Config, known: &[&str]) -> Result<()> {
    for (key, value) in config.entries() {
        let text = value.to_string();
        let usual = value.is_null() || USUAL.contains(&(key, text.as_str()));
        if !known.contains(&key) && !usual {
            return Err(config.unsupported(key));
        }
    }
    Ok(())
}

pub(super) fn plan(source: &Source) -> Result<Plan> {
    let config = Config::read(source, FILE)?.ok_or_else(|| ModelError::Missing {
        place: source.describe(),
        what: FILE.into(),
        cure: "name a folder or a repository that holds a checkpoint".into(),
    })?;
    let model = config.part("model_cfg")?;
    let (vision, text) = (model.part("vision_cfg")?, model.part("text_cfg")?);
    only_known(&vision, VISION)?;
    only_known(&text, TEXT)?;
    let cfg = config.part("preprocess_cfg")?;
    let triple = |key: &str, default: [f32; 3]| match cfg.numbers(key)? {
        None => Ok(default),
        Some(values) => <[f64; 3]>::try_from(values)
            .map(|values| values.map(|value| value as f32))
            .map_err(|_| cfg.wrong(key, "three numbers")),
    };
    // OpenAI's constants, open_clip's default.
    let mean = triple("mean", [0.481_454_66, 0.457_827_5, 0.408_210_73])?;
    let std = triple("std", [0.268_629_54, 0.261_302_6, 0.275_777_1])?;
    let size = vision.size("image_size", 224)?;
    let interpolation = cfg.text("interpolation")?.unwrap_or_else(|| "bicubic".into());
    let resize_mode = cfg.text("resize_mode")?.unwrap_or_else(|| "shortest".into());
    let preprocess = Preprocess::open_clip(size, mean, std, &interpolation, &resize_mode)
        .map_err(|error| ModelError::Malformed { place: source.place(FILE), what: error.to_string() })?;
    same_size(source, &preprocess, size)?;
    Ok(Plan {
        family: Family::OpenClip,
        dim: model.size("embed_dim", 512)?,
        preprocess: Some(preprocess),
        tokenizer: Some(TokenizerKind::open_clip(text.size("context_length", 77)?)),
        files: vec![FILE, "tokenizer.json"],
        config,
    })
}

fn shape(
    config: &Config,
    heads: usize,
    width: usize,
    activation: Activation,
    causal: bool,
) -> Result<BlockShape> {
    Ok(BlockShape {
        width,
        heads,
        inner: (width as f64 * config.number("mlp_ratio", 4.0)?) as usize,
        activation,
        causal,
        epsilon: 1e-5,
        norms: NormPlace::Before,
        gated: false,
    })
}

pub(super) fn load(source: &Source, plan: &Plan, from: &Loader<'_>) -> Result<Towers> {
    let model = plan.config.part("model_cfg")?;
    let (vision, text) = (model.part("vision_cfg")?, model.part("text_cfg")?);
    let activation = if model.flag("quick_gelu", false)? { Activation::QuickGelu } else { Activation::Gelu };
    let Some(kind) = &plan.tokenizer else {
        return Err(ModelError::Malformed { place: source.describe(), what: "it lacks a tower".into() });
    };
    let image = plan.preprocess.as_ref();
    let image =
        image.map(|preprocess| image_tower(plan, from, &vision, preprocess, activation)).transpose()?;

    // Models with a text tower of their own class carry its name before every tensor.
    let base = if from.weights.has("text.token_embedding.weight") { "text." } else { "" };
    let width = text.size("width", 512)?;
    let heads = text.heads("heads", 8, width)?;
    let text_shape = shape(&text, heads, width, activation, true)?;
    let projection = format!("{base}text_projection");
    let text = TextTower {
        tokenizer: Tokenizer::load(source, *kind)?,
        table: from
            .tensor(&format!("{base}token_embedding.weight"), &[text.size("vocab_size", 49408)?, width])?,
        positions: from
            .tensor(&format!("{base}positional_embedding"), &[text.size("context_length", 77)?, width])?,
        before: None,
        blocks: blocks(from, &format!("{base}transformer"), &text_shape, text.size("layers", 12)?)?,
        after: Some(from.norm(&format!("{base}ln_final"), width, 1e-5)?),
        pool: TextPool::HighestId,
        causal: true,
        projection: Some(from.transposed(&projection, width, plan.dim)?),
        width,
        dim: plan.dim,
    };
    let logit_scale = from.scalar("logit_scale", &[])?.map(f32::exp);
    let logit_bias = from.scalar("logit_bias", &[])?;
    Ok(Towers { image, text: Some(text), logit_scale, logit_bias })
}

fn image_tower(
    plan: &Plan,
    from: &Loader<'_>,
    vision: &Config,
    preprocess: &Preprocess,
    activation: Activation,
) -> Result<ImageTower> {
    let width = vision.size("width", 768)?;
    let head_width = vision.size("head_width", 64)?;
    if !width.is_multiple_of(head_width) {
        return Err(vision.wrong("head_width", &format!("a divisor of the width {width}")));
    }
    let (size, patch) = (vision.size("image_size", 224)?, vision.size("patch_size", 16)?);
    let grid = (size / patch) * (size / patch);
    let shape = shape(vision, width / head_width, width, activation, false)?;
    let class = from.tensor("visual.class_embedding", &[width])?;
    let (prefix, positions) = placed(class, from.tensor("visual.positional_embedding", &[grid + 1, width])?);
    Ok(ImageTower {
        preprocess: preprocess.clone(),
        patches: Patches::load(from, "visual.conv1", patch, width)?,
        prefix,
        positions,
        before: Some(from.norm("visual.ln_pre", width, 1e-5)?),
        blocks: blocks(from, "visual.transformer", &shape, vision.size("layers", 12)?)?,
        after: from.norm("visual.ln_post", width, 1e-5)?,
        head: ImageHead::ClassToken(Some(from.transposed("visual.proj", width, plan.dim)?)),
        width,
        dim: plan.dim,
    })
}

fn blocks(from: &Loader<'_>, base: &str, shape: &BlockShape, layers: usize) -> Result<Vec<Block>> {
    (0..layers)
        .map(|layer| {
            let at = |name: &str| format!("{base}.resblocks.{layer}.{name}");
            let scales = ["ls_1.gamma", "ls_2.gamma"].map(at);
            let names = TensorNames {
                norm1: at("ln_1"),
                qkv: vec![at("attn.in_proj")],
                out: at("attn.out_proj"),
                norm2: at("ln_2"),
                inner: at("mlp.c_fc"),
                outer: at("mlp.c_proj"),
                scales: from.weights.has(&scales[0]).then_some(scales),
            };
            Block::load(from, &names, shape)
        })
        .collect()
}
