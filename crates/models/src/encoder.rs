//! A model as the work of a run holds it: named by a recipe or a person, identified once, opened by the first who needs it, closed when it
//! has done its part.
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::{Device, Dtype, Identity, Model, ModelOptions};
use cribble_core::{EncoderDtype, Error, Result};

/// Which encoders of a model are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towers {
    /// All that it has.
    All,
    /// The one of captions.
    Texts,
}

/// A model by its name.
#[derive(Debug)]
pub struct Encoder {
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
        let identity = Model::identify(&self.name, &self.options)?;
        Ok(self.identity.get_or_init(|| identity))
    }

    /// The weights, opened once.
    pub fn open(&self) -> Result<Arc<Model>> {
        let mut slot = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = &*slot {
            return Ok(model.clone());
        }
        let model = match self.towers {
            Towers::All => Model::open(&self.name, &self.options)?,
            Towers::Texts => Model::open_texts(&self.name, &self.options)?,
        };
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
