//! One file per architecture: from a config and named tensors to towers. Nothing outside knows how a family calls its tensors.
mod bert;
mod clip;
mod config;
mod dinov2;
mod open_clip;
mod siglip;

use crate::{
    Dtype, ImageTower, ModelError, Result, TextTower, TokenizerKind,
    nn::Loader,
    source::Source,
    weights::{Layout, Weights},
};
pub(crate) use config::{Config, Defaults};
use cribble_math::{functions::add, matrix::Format};
use cribble_pixels::Preprocess;

/// The towers of a model.
#[derive(Debug, Default)]
pub(crate) struct Towers {
    pub image: Option<ImageTower>,
    pub text: Option<TextTower>,
    /// What similarities are multiplied by in the model's own loss, exp already taken.
    pub logit_scale: Option<f32>,
    /// What is added then (SigLIP).
    pub logit_bias: Option<f32>,
}

/// What a checkpoint is, from its configs alone.
#[derive(Debug)]
pub(crate) struct Plan {
    pub family: Family,
    pub config: Config,
    pub dim: usize,
    /// How pixels are prepared; without it no image tower is loaded.
    pub preprocess: Option<Preprocess>,
    pub tokenizer: Option<TokenizerKind>,
    /// All files but the weights that decide the vectors.
    pub files: Vec<&'static str>,
}

/// An architecture that we have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Clip,
    OpenClip,
    Siglip,
    Dinov2,
    Bert,
}

impl Family {
    pub fn name(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::OpenClip => "open_clip",
            Self::Siglip => "siglip",
            Self::Dinov2 => "dinov2",
            Self::Bert => "bert",
        }
    }

    pub fn layout(self) -> Layout {
        if self == Self::OpenClip { Layout::OpenClip } else { Layout::HuggingFace }
    }
}

/// Reads the configs.
pub(crate) fn plan(source: &Source) -> Result<Plan> {
    let open_clip = "open_clip_config.json";
    // LAION's repositories hold both layouts; transformers' is the better described one.
    if let Some(config) = Config::read(source, "config.json")? {
        let model_type = config.text("model_type")?.unwrap_or_default();
        return match model_type.as_str() {
            "clip" | "clip_vision_model" | "clip_text_model" => clip::plan(source, config),
            "siglip" | "siglip2" | "siglip_vision_model" | "siglip_text_model" => {
                siglip::plan(source, config)
            }
            "dinov2" | "dinov2_with_registers" => dinov2::plan(source, config),
            "bert" => bert::plan(source, config),
            _ if source.has(open_clip)? => open_clip::plan(source),
            _ => Err(ModelError::Unsupported { place: source.place("config.json"), found: model_type }),
        };
    }
    if source.has(open_clip)? {
        return open_clip::plan(source);
    }
    Err(ModelError::Missing {
        place: source.describe(),
        what: "config.json (or open_clip_config.json)".into(),
        cure: "name a folder or a repository that holds a checkpoint".into(),
    })
}

/// Reads the weights.
pub(crate) fn load(source: &Source, plan: &Plan, weights: &Weights, dtype: Dtype) -> Result<Towers> {
    let format = if dtype == Dtype::Bf16 { Format::Bf16 } else { Format::F32 };
    let from = Loader { weights, format };
    match plan.family {
        Family::Clip => clip::load(source, plan, &from),
        Family::OpenClip => open_clip::load(source, plan, &from),
        Family::Siglip => siglip::load(source, plan, &from),
        Family::Dinov2 => dinov2::load(source, plan, &from),
        Family::Bert => bert::load(source, plan, &from),
    }
}

/// `preprocessor_config.json`, which every model with an image tower must have.
pub(crate) fn preprocess(source: &Source) -> Result<Preprocess> {
    let file = "preprocessor_config.json";
    let bytes = source.read(file)?.ok_or_else(|| ModelError::Missing {
        place: source.describe(),
        what: file.into(),
        cure: "copy it from the repository that the weights are from: it says how pixels are prepared".into(),
    })?;
    Preprocess::from_json(&String::from_utf8_lossy(&bytes))
        .map_err(|error| ModelError::Malformed { place: source.place(file), what: error.to_string() })
}

/// Fails where pixels are prepared for another size than the tower was trained for.
pub(crate) fn same_size(source: &Source, preprocess: &Preprocess, size: usize) -> Result<()> {
    let found = preprocess.size();
    if found == (size, size) {
        return Ok(());
    }
    Err(ModelError::Malformed {
        place: source.place("preprocessor_config.json"),
        what: format!(
            "it makes pictures of {} x {} pixels, the model takes {size} x {size}; take both files from one checkpoint",
            found.0, found.1
        ),
    })
}

/// A class token with the first position added, and the positions of the patches.
pub(crate) fn placed(mut class: Vec<f32>, mut positions: Vec<f32>) -> (Vec<f32>, Vec<f32>) {
    let patches = positions.split_off(class.len());
    add(&mut class, &positions, None);
    (class, patches)
}
