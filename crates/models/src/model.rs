//! A model as the rest of the program sees it: a name, an identity, up to two towers of one space.
use crate::{ImageTower, ModelError, Result, TextTower, families, source::Source, weights::Weights};
use cribble_math::matrix::has_native_bf16;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The number format of the matrix products. Sums, norms and attention weights are f32 in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// bf16 where the processor multiplies it natively, else f32.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// bfloat16 products, f32 sums. On processors without such an instruction it is emulated: same numbers, slow.
    Bf16,
}

impl Dtype {
    /// The format that is used on this machine: never [`Dtype::Auto`].
    #[must_use]
    pub fn resolve(self) -> Self {
        match self {
            Self::Auto if has_native_bf16() => Self::Bf16,
            Self::Auto => Self::F32,
            other => other,
        }
    }
}

/// Where the arithmetic runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
}

impl FromStr for Device {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "cpu" => Ok(Self::Cpu),
            _ => Err(ModelError::Device(format!("no device '{text}' in this build: expected cpu"))),
        }
    }
}

/// How to open a model.
#[derive(Debug, Clone, Default)]
pub struct ModelOptions {
    /// Where the arithmetic runs.
    pub device: Device,
    /// The number format of the matrix products.
    pub dtype: Dtype,
    /// `Some(true)`: never ask the network; `None`: as `HF_HUB_OFFLINE` says.
    pub offline: Option<bool>,
}

/// What decides a model's vectors; part of the hash of every step that uses them and stored beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// As the user named it.
    pub name: String,
    /// The commit in the Hub's cache, where it came from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The architecture: `clip`, `siglip`, `dinov2`, `bert`.
    pub family: String,
    /// Hash of the weights, the config and the tokenizer.
    pub hash: String,
    /// The format that is used, never `auto`.
    pub dtype: Dtype,
    /// Numbers in a vector.
    pub dim: usize,
    /// How pixels are prepared, where the model has an image tower.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preprocess: Option<serde_json::Value>,
    /// Most tokens of a text, where the model has a text tower.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
}

/// A checkpoint, loaded.
#[derive(Debug)]
pub struct Model {
    identity: Identity,
    towers: families::Towers,
}

impl Model {
    /// Loads a model: a folder, `owner/name[@revision]` on the Hub, or `builtin:demo-clip`.
    ///
    /// # Errors
    /// What is missing, of another shape, or of an architecture that we do not have, by name.
    pub fn open(name: &str, options: &ModelOptions) -> Result<Self> {
        let Checkpoint { source, plan, weights, identity } = Checkpoint::read(name, options)?;
        let towers = families::load(&source, &plan, &weights, identity.dtype)?;
        Ok(Self { identity, towers })
    }

    /// As [`Model::open`], of the same identity, but without the image encoder: for who reads captions alone.
    ///
    /// # Errors
    /// As [`Model::open`]; [`ModelError::NoTower`] for an image model.
    pub fn open_texts(name: &str, options: &ModelOptions) -> Result<Self> {
        let Checkpoint { source, mut plan, weights, identity } = Checkpoint::read(name, options)?;
        if plan.tokenizer.is_none() {
            return Err(no_texts(&identity.name));
        }
        plan.preprocess = None;
        let towers = families::load(&source, &plan, &weights, identity.dtype)?;
        Ok(Self { identity, towers })
    }

    /// What [`Model::open`] would give the model's vectors, without loading the weights: their files are only hashed, and not even that
    /// where the Hub's cache names them by their hash.
    ///
    /// # Errors
    /// As [`Model::open`], but for the shapes of tensors.
    pub fn identify(name: &str, options: &ModelOptions) -> Result<Identity> {
        Ok(Checkpoint::read(name, options)?.identity)
    }

    /// What decides the vectors.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Numbers in a vector.
    pub fn dim(&self) -> usize {
        self.identity.dim
    }

    /// The image encoder.
    ///
    /// # Errors
    /// [`ModelError::NoTower`] for a text model.
    pub fn images(&self) -> Result<&ImageTower> {
        self.towers.image.as_ref().ok_or_else(|| ModelError::NoTower {
            model: self.identity.name.clone(),
            tower: "image",
            cure: "embed text with it, or name a CLIP, SigLIP or DINOv2 checkpoint",
        })
    }

    /// The text encoder.
    ///
    /// # Errors
    /// [`ModelError::NoTower`] for an image model.
    pub fn texts(&self) -> Result<&TextTower> {
        self.towers.text.as_ref().ok_or_else(|| no_texts(&self.identity.name))
    }

    /// What the model multiplies similarities by before its softmax or sigmoid (100 in OpenAI's CLIP); `None` without one.
    pub fn logit_scale(&self) -> Option<f32> {
        self.towers.logit_scale
    }

    /// What the model adds then (SigLIP).
    pub fn logit_bias(&self) -> Option<f32> {
        self.towers.logit_bias
    }
}

fn no_texts(model: &str) -> ModelError {
    ModelError::NoTower {
        model: model.into(),
        tower: "text",
        cure: "embed images with it, or name a CLIP, SigLIP or BERT checkpoint",
    }
}

/// A checkpoint of which everything but the tensors is read.
struct Checkpoint {
    source: Source,
    plan: families::Plan,
    weights: Weights,
    identity: Identity,
}

impl Checkpoint {
    fn read(name: &str, options: &ModelOptions) -> Result<Self> {
        let source = Source::open(name, options.offline)?;
        let plan = families::plan(&source)?;
        let weights = Weights::open(&source, plan.family.layout())?;
        let identity = identity(&source, &plan, &weights, options)?;
        Ok(Self { source, plan, weights, identity })
    }
}

fn identity(
    source: &Source,
    plan: &families::Plan,
    weights: &Weights,
    options: &ModelOptions,
) -> Result<Identity> {
    let Device::Cpu = options.device;
    let mut hasher = blake3::Hasher::new();
    hasher.update(weights.hash(source)?.as_bytes());
    hasher.update(source.digests(&plan.files)?.as_bytes());
    let preprocess = plan.preprocess.as_ref().map(serde_json::to_value).transpose();
    Ok(Identity {
        name: source.name().into(),
        revision: source.revision().map(Into::into),
        family: plan.family.name().into(),
        hash: hasher.finalize().to_string(),
        dtype: options.dtype.resolve(),
        dim: plan.dim,
        preprocess: preprocess.map_err(|error| ModelError::Malformed {
            place: source.describe(),
            what: format!("preprocessing that cannot be written: {error}"),
        })?,
        context: plan.tokenizer.as_ref().map(|kind| kind.context),
    })
}
