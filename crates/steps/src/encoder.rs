//! The model that a step encodes with: named by a recipe, identified once, opened by the first task that needs it, closed when the step is
//! complete.
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cribble_core::{EncoderDtype, Error, ErrorKind, Result};
use cribble_models::{Device, Dtype, Identity, Model, ModelError, ModelOptions};

/// Which encoders of a model are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Towers {
    /// All that it has.
    All,
    /// The one of captions.
    Texts,
}

/// A model by its name.
#[derive(Debug)]
pub(crate) struct Encoder {
    name: String,
    options: ModelOptions,
    towers: Towers,
    identity: OnceLock<Identity>,
    model: Mutex<Option<Arc<Model>>>,
}

impl Encoder {
    /// Reads nothing yet.
    pub fn new(name: &str, dtype: EncoderDtype, towers: Towers) -> Self {
        let dtype = match dtype {
            EncoderDtype::Auto => Dtype::Auto,
            EncoderDtype::F32 => Dtype::F32,
            EncoderDtype::Bf16 => Dtype::Bf16,
        };
        let options = ModelOptions { device: Device::Cpu, dtype, offline: None };
        Self { name: name.into(), options, towers, identity: OnceLock::new(), model: Mutex::new(None) }
    }

    /// As the recipe has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who the model is; its files are hashed once.
    pub fn identity(&self) -> Result<&Identity> {
        if let Some(identity) = self.identity.get() {
            return Ok(identity);
        }
        let identity = Model::identify(&self.name, &self.options).map_err(model_error)?;
        Ok(self.identity.get_or_init(|| identity))
    }

    /// The weights, opened once.
    pub fn open(&self) -> Result<Arc<Model>> {
        let mut slot = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = &*slot {
            return Ok(model.clone());
        }
        let model = match self.towers {
            Towers::All => Model::open(&self.name, &self.options),
            Towers::Texts => Model::open_texts(&self.name, &self.options),
        };
        let model = model.map_err(model_error)?;
        if model.identity() != self.identity()? {
            return Err(Error::input(format!("{}: the model changed while the run began", self.name))
                .with_hint("run the same command again"));
        }
        let model = Arc::new(model);
        *slot = Some(model.clone());
        Ok(model)
    }

    /// Gives the memory back.
    pub fn close(&self) {
        *self.model.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Name, family, number format, dimension and the head of the hash, for a dry run.
    pub fn describe(&self) -> Result<String> {
        let identity = self.identity()?;
        let dtype = serde_json::to_value(identity.dtype).map_err(|error| Error::bug(error.to_string()))?;
        Ok(format!(
            "{} ({}, {}{}), {} numbers a vector, weights {}",
            identity.name,
            identity.family,
            dtype.as_str().unwrap_or_default(),
            identity.revision.as_ref().map_or_else(String::new, |revision| format!(", revision {revision}")),
            identity.dim,
            identity.hash.chars().take(12).collect::<String>()
        ))
    }
}

/// An identity as part of a step's hash.
pub(crate) fn identity_text(identity: &Identity) -> Result<String> {
    serde_json::to_string(identity).map_err(|error| Error::bug(error.to_string()))
}

/// Sum in f64 of the products of two unit vectors, rounded once.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
}

/// A model's error as the program's: what the recipe asks of a model that cannot do it is wrong use, all else is wrong or missing files.
pub(crate) fn model_error(error: ModelError) -> Error {
    let (message, hint) = match &error {
        ModelError::Missing { place, what, cure } => (format!("{place}: {what} is missing"), cure.clone()),
        ModelError::NoTower { model, tower, cure } => {
            return Error::usage(format!("{model} has no {tower} encoder")).with_hint(*cure);
        }
        ModelError::Unsupported { .. } => {
            (error.to_string(), "docs/embed.md lists the families and what their folders must hold".into())
        }
        ModelError::Malformed { .. } | ModelError::Shape { .. } => {
            (error.to_string(), "fetch the model again, or name another".into())
        }
        _ => (
            error.to_string(),
            "a model is a folder, a Hub name (owner/name or owner/name@revision) or builtin:demo-clip; without a network it must be in the cache of Hugging Face already"
                .into(),
        ),
    };
    // The message of the source would repeat itself below ours; its own source (what the system said) is part of the message.
    Error::new(ErrorKind::Input, message).with_hint(hint)
}
