//! Options of everything that calls a model on a server: where it is, how it is asked, what it may cost. The table `[step.chat]` of the
//! steps `judge`, `caption` and `rewrite`.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// A model at an OpenAI-compatible server, and how it is called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChatOptions {
    /// What stands before `/chat/completions`: `http://localhost:8000/v1`. No part of the step's hash: a model may move.
    pub endpoint: String,
    /// The model's name as the server knows it.
    pub model: String,
    /// Name of the environment variable with the key; empty: none is sent.
    pub key_env: String,
    /// File with the key, instead.
    pub key_file: String,
    /// Sampling temperature. 0 by default: the same question shall get the same answer.
    pub temperature: f64,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// Seed of the first vote; vote v is asked with seed + v.
    pub seed: u64,
    /// More fields of the request, as the server knows them (`top_p`, `chat_template_kwargs`).
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// Calls in flight.
    pub in_flight: u32,
    /// The longest wait for one answer.
    pub timeout_seconds: f64,
    /// How often a call is repeated after a fault that may pass.
    pub retries: u32,
    /// The most calls in a minute; 0: no limit.
    pub requests_per_minute: f64,
    /// The most tokens, of questions and answers, in a minute; 0: no limit.
    pub tokens_per_minute: f64,
    /// Price of a million tokens of questions, in the currency of `max_cost`.
    pub price_input: f64,
    /// Price of a million tokens of answers.
    pub price_output: f64,
    /// The most that the step may spend in one session; 0: no ceiling.
    pub max_cost: f64,
    /// Folder of answers that runs share; `none`: the run's own alone; empty: `$CRIBBLE_CACHE`, else the user's cache folder.
    pub cache: String,
}

impl Default for ChatOptions {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            model: String::new(),
            key_env: String::new(),
            key_file: String::new(),
            temperature: 0.0,
            max_tokens: 512,
            seed: 0,
            extra: Map::new(),
            in_flight: 8,
            timeout_seconds: 120.0,
            retries: 8,
            requests_per_minute: 0.0,
            tokens_per_minute: 0.0,
            price_input: 0.0,
            price_output: 0.0,
            max_cost: 0.0,
            cache: String::new(),
        }
    }
}

impl ChatOptions {
    /// The options that decide an answer; the others have their defaults.
    #[must_use]
    pub fn without_costs(&self) -> Self {
        Self {
            model: self.model.clone(),
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            seed: self.seed,
            extra: self.extra.clone(),
            ..Self::default()
        }
    }

    /// Checks what can be checked without a server.
    pub(crate) fn validate(&self) -> Result<()> {
        let fail = |text: String, hint: &str| Err(Error::usage(format!("chat: {text}")).with_hint(hint));
        if self.endpoint.is_empty() {
            return fail("`endpoint` is missing".into(), "such as endpoint = \"http://localhost:8000/v1\"");
        }
        if self.model.is_empty() {
            return fail("`model` is missing".into(), "name one that the server lists at /models");
        }
        if !self.key_env.is_empty() && !self.key_file.is_empty() {
            return fail("both key_env and key_file are given".into(), "one of them names the key");
        }
        if !(1..=1024).contains(&self.in_flight) {
            return fail(format!("in_flight = {} is outside 1 to 1024", self.in_flight), "8 is the default");
        }
        if self.max_tokens == 0 {
            return fail("max_tokens = 0 leaves no room for an answer".into(), "512 is the default");
        }
        // Above a day a number of seconds is a slip, and above some hundred years it is no duration at all.
        if !(self.timeout_seconds > 0.0 && self.timeout_seconds <= 86_400.0) {
            return fail(
                format!("timeout_seconds = {} is outside 0 to 86400", self.timeout_seconds),
                "120 is the default",
            );
        }
        let amounts = [
            ("temperature", self.temperature),
            ("requests_per_minute", self.requests_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
            ("price_input", self.price_input),
            ("price_output", self.price_output),
            ("max_cost", self.max_cost),
        ];
        if let Some((name, value)) =
            amounts.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0))
        {
            return fail(format!("{name} = {value} must be 0 or more"), "0 stands for none");
        }
        if self.max_cost > 0.0 && self.price_input == 0.0 && self.price_output == 0.0 {
            return fail(
                "max_cost is given without prices".into(),
                "give price_input and price_output, for a million tokens each",
            );
        }
        Ok(())
    }
}
