//! The options of `[step.chat]` as flags: a model on a server, for `judge`, `caption` and `rewrite`.
use clap::Args;
use cribble_core::{ChatOptions, Error, Result};
use serde_json::Value;

/// A model at an OpenAI-compatible server. Where a verb can do without, leaving out `--endpoint` does.
#[derive(Debug, Clone, Args)]
pub struct ChatArgs {
    /// Address of an OpenAI-compatible server, up to /v1: http://localhost:8000/v1
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,

    /// The model's name as the server knows it
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// Environment variable with the key
    #[arg(long, value_name = "VARIABLE")]
    pub key_env: Option<String>,

    /// File with the key
    #[arg(long, value_name = "FILE", conflicts_with = "key_env")]
    pub key_file: Option<String>,

    /// Sampling temperature
    #[arg(long, value_name = "T", default_value_t = ChatOptions::default().temperature)]
    pub temperature: f64,

    /// The longest answer, in tokens
    #[arg(long, value_name = "N", default_value_t = ChatOptions::default().max_tokens)]
    pub max_tokens: u32,

    /// Seed that is sent with the questions
    #[arg(long, value_name = "N", default_value_t = ChatOptions::default().seed)]
    pub seed: u64,

    /// One more field of the request, as the server knows it: top_p=0.9; may be given again
    #[arg(long, value_name = "KEY=JSON")]
    pub extra: Vec<String>,

    /// Calls in flight
    #[arg(long, value_name = "N", default_value_t = ChatOptions::default().in_flight)]
    pub in_flight: u32,

    /// The longest wait for one answer
    #[arg(long, value_name = "SECONDS", default_value_t = ChatOptions::default().timeout_seconds)]
    pub timeout_seconds: f64,

    /// How often a call is repeated after a fault that may pass
    #[arg(long, value_name = "N", default_value_t = ChatOptions::default().retries)]
    pub retries: u32,

    /// The most calls in a minute; 0: no limit
    #[arg(long, value_name = "N", default_value_t = ChatOptions::default().requests_per_minute)]
    pub requests_per_minute: f64,

    /// The most tokens, of questions and answers, in a minute; 0: no limit
    #[arg(long, value_name = "N", default_value_t = ChatOptions::default().tokens_per_minute)]
    pub tokens_per_minute: f64,

    /// Price of a million tokens of questions
    #[arg(long, value_name = "PRICE", default_value_t = ChatOptions::default().price_input)]
    pub price_input: f64,

    /// Price of a million tokens of answers
    #[arg(long, value_name = "PRICE", default_value_t = ChatOptions::default().price_output)]
    pub price_output: f64,

    /// The most that this session may spend, in the currency of the prices; 0: no ceiling
    #[arg(long, value_name = "COST", default_value_t = ChatOptions::default().max_cost)]
    pub max_cost: f64,

    /// Folder of answers that runs share; none: the run's own alone [default: $CRIBBLE_CACHE, else the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<String>,
}

impl ChatArgs {
    /// The table `[step.chat]`; `None` without an address. The model's name is checked with the recipe.
    pub fn options(&self) -> Result<Option<ChatOptions>> {
        let Some(endpoint) = &self.endpoint else {
            return match &self.model {
                Some(_) => Err(Error::usage("--model is given without --endpoint")
                    .with_hint("--endpoint http://localhost:8000/v1 says where the model is")),
                None => Ok(None),
            };
        };
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Ok(Some(ChatOptions {
            endpoint: endpoint.clone(),
            model: text(&self.model),
            key_env: text(&self.key_env),
            key_file: text(&self.key_file),
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            seed: self.seed,
            extra: self.extra.iter().map(|field| extra(field)).collect::<Result<_>>()?,
            in_flight: self.in_flight,
            timeout_seconds: self.timeout_seconds,
            retries: self.retries,
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            price_input: self.price_input,
            price_output: self.price_output,
            max_cost: self.max_cost,
            cache: text(&self.cache),
        }))
    }
}

/// `KEY=JSON`; what is no JSON is a text, so that quotes need not be quoted.
fn extra(field: &str) -> Result<(String, Value)> {
    match field.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok((key.into(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
        }
        _ => {
            Err(Error::usage(format!("--extra {field} is not KEY=JSON"))
                .with_hint("such as --extra top_p=0.9"))
        }
    }
}
