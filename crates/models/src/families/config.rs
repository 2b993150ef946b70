//! A JSON config with typed reads that name file and key, and defaults as `transformers` has them.
use crate::{
    ModelError, Result,
    nn::{BlockShape, NormPlace},
    source::Source,
};
use cribble_math::functions::Activation;
use serde_json::{Map, Value};

/// What a class of transformers' configs has where a file says nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub width: usize,
    pub heads: usize,
    pub inner: usize,
    pub activation: &'static str,
    pub epsilon: f64,
}

/// One object of a config file.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    place: String,
    /// Keys that lead here, for messages: `vision_config.`
    path: String,
    values: Map<String, Value>,
}

impl Config {
    /// Reads a file of a checkpoint; `None` where there is none.
    pub fn read(source: &Source, file: &str) -> Result<Option<Self>> {
        let Some(bytes) = source.read(file)? else { return Ok(None) };
        let place = source.place(file);
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(values)) => Ok(Some(Self { place, path: String::new(), values })),
            Ok(_) => Err(ModelError::Malformed { place, what: "not a JSON object".into() }),
            Err(error) => Err(ModelError::Malformed { place, what: format!("not JSON: {error}") }),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    pub fn place(&self) -> &str {
        &self.place
    }

    /// The error for a value that is not what it must be.
    pub fn wrong(&self, key: &str, expected: &str) -> ModelError {
        let found = self.values.get(key).cloned().unwrap_or_default();
        ModelError::Malformed {
            place: self.place.clone(),
            what: format!("{}{key} is {found}: expected {expected}", self.path),
        }
    }

    /// The error for a value that is valid but that we have no code for.
    pub fn unsupported(&self, key: &str) -> ModelError {
        let found = self.values.get(key).cloned().unwrap_or_default();
        ModelError::Unsupported { place: self.place.clone(), found: format!("{}{key} = {found}", self.path) }
    }

    /// Keys and values.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A part of the config; empty where it is missing.
    pub fn part(&self, key: &str) -> Result<Self> {
        let values = match self.get(key) {
            None => Map::new(),
            Some(Value::Object(values)) => values.clone(),
            Some(_) => return Err(self.wrong(key, "an object")),
        };
        Ok(Self { place: self.place.clone(), path: format!("{}{key}.", self.path), values })
    }

    /// The config of a tower: the whole file where its model type is `own`, the tower alone; the part `key` where it is one of `both`, with
    /// what stands in `{key}_dict` (old CLIP configs) over it; `None` for other models.
    pub fn tower(&self, own: &str, both: &[&str], key: &str) -> Result<Option<Self>> {
        match self.text("model_type")?.as_deref() {
            Some(kind) if kind == own => Ok(Some(self.clone())),
            Some(kind) if both.contains(&kind) => {
                Ok(Some(self.part(key)?.overlaid(&self.part(&format!("{key}_dict"))?)))
            }
            _ => Ok(None),
        }
    }

    /// The shape of the blocks and their number, from the keys that all of transformers' encoders share.
    pub fn blocks(&self, defaults: Defaults, causal: bool, norms: NormPlace) -> Result<(BlockShape, usize)> {
        let width = self.size("hidden_size", defaults.width)?;
        let shape = BlockShape {
            width,
            heads: self.heads("num_attention_heads", defaults.heads, width)?,
            inner: self.size("intermediate_size", defaults.inner)?,
            activation: self.activation("hidden_act", defaults.activation)?,
            causal,
            epsilon: self.number("layer_norm_eps", defaults.epsilon)? as f32,
            norms,
            gated: false,
        };
        Ok((shape, self.size("num_hidden_layers", 12)?))
    }

    /// Values of `other` that are not null win.
    fn overlaid(mut self, other: &Self) -> Self {
        for (key, value) in &other.values {
            if !value.is_null() {
                self.values.insert(key.clone(), value.clone());
            }
        }
        self
    }

    /// A size: a whole number from 1 to 2³¹.
    pub fn size(&self, key: &str, default: usize) -> Result<usize> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => match value.as_u64() {
                Some(size) if (1..=1 << 31).contains(&size) => Ok(size as usize),
                _ => Err(self.wrong(key, "a whole number, at least 1")),
            },
        }
    }

    /// A number that may be 0.
    pub fn count(&self, key: &str, default: usize) -> Result<usize> {
        match self.get(key) {
            Some(value) if value.as_u64() == Some(0) => Ok(0),
            _ => self.size(key, default),
        }
    }

    pub fn number(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => {
                value.as_f64().filter(|n| n.is_finite()).ok_or_else(|| self.wrong(key, "a number"))
            }
        }
    }

    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    pub fn text(&self, key: &str) -> Result<Option<String>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(key, "a text")),
        }
    }

    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(values)) => values
                .iter()
                .map(Value::as_f64)
                .collect::<Option<Vec<_>>>()
                .map(Some)
                .ok_or_else(|| self.wrong(key, "a list of numbers")),
            Some(_) => Err(self.wrong(key, "a list of numbers")),
        }
    }

    pub fn activation(&self, key: &str, default: &str) -> Result<Activation> {
        let name = self.text(key)?.unwrap_or_else(|| default.into());
        Activation::from_name(&name).ok_or_else(|| self.unsupported(key))
    }

    /// `heads` must divide `width`.
    pub fn heads(&self, key: &str, default: usize, width: usize) -> Result<usize> {
        let heads = self.size(key, default)?;
        if width.is_multiple_of(heads) {
            return Ok(heads);
        }
        Err(self.wrong(key, &format!("a divisor of the width {width}")))
    }
}
