//! Where calls go and how many, how fast and how dear they may be.
use crate::{ChatError, Key, Result};
use std::time::Duration;

/// A model at an address.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(crate) base: String,
    pub(crate) model: String,
    pub(crate) key: Option<Key>,
}

impl Endpoint {
    /// `base` is what stands before `/chat/completions`, such as `http://localhost:11434/v1`.
    ///
    /// # Errors
    /// [`ChatError::Setting`] for an address that is not http(s), or that has a user, a password or a query in it: keys come from the
    /// environment or a file, as addresses are printed.
    pub fn new(base: &str, model: &str) -> Result<Self> {
        let bad = |what: &str, cure| Err(ChatError::Setting { name: "endpoint", what: what.into(), cure });
        let base = base.trim().trim_end_matches('/').trim_end_matches("/chat/completions");
        let Some((scheme, rest)) = base.split_once("://") else {
            return bad("the address has no scheme", "write it whole, such as http://localhost:8000/v1");
        };
        if !matches!(scheme, "http" | "https") || rest.is_empty() {
            return bad("the address is not http or https", "write it such as http://localhost:8000/v1");
        }
        // What is refused here may be a secret, so the address is not repeated.
        if rest.contains(['@', '?', '#']) {
            return bad(
                "the address holds a user, a password or a query",
                "give a key by an environment variable or a file, never in the address",
            );
        }
        if base.parse::<ureq::http::Uri>().is_err() {
            return bad("the address is not well formed", "write it such as http://localhost:8000/v1");
        }
        if model.trim().is_empty() {
            return bad("no model is named", "name one that the server lists at /models");
        }
        Ok(Self { base: base.into(), model: model.trim().into(), key: None })
    }

    /// The same endpoint, called with a key.
    #[must_use]
    pub fn with_key(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    /// The address without `/chat/completions`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The model's name as the server knows it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// `text` without the key.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| text.into(), |key| key.hide(text).into_owned())
    }
}

/// Money for a million tokens, in whatever currency the ceiling is in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// For a million tokens of questions.
    pub input: f64,
    /// For a million tokens of answers.
    pub output: f64,
}

impl Price {
    pub(crate) fn of(&self, input: f64, output: f64) -> f64 {
        (self.input * input + self.output * output) / 1e6
    }
}

/// How calls are made. The default suits a local server: 8 in flight, no limit of rate or cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Calls in flight, a thread each: 1 to 1024.
    pub in_flight: usize,
    /// The longest wait for one answer, connecting included.
    pub timeout: Duration,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// How often a call is made again after a fault that may pass (429, 5xx, timeouts, refused or cut connections, answers that are none).
    pub retries: u32,
    /// The wait before the first retry; it doubles with each, and half of it is jitter by the call's hash.
    pub first_wait: Duration,
    /// The longest wait before a retry that the server did not name.
    pub longest_wait: Duration,
    /// The longest `Retry-After` that is waited for: the whole run pauses so long. Beyond it the call is given up.
    pub longest_retry_after: Duration,
    /// Calls given up in a row, without an answer between them, after which the run stops.
    pub give_up_after: u32,
    /// The most calls in a minute, spread evenly.
    pub requests_per_minute: Option<f64>,
    /// The most tokens, of questions and answers, in a minute.
    pub tokens_per_minute: Option<f64>,
    /// What tokens cost.
    pub price: Option<Price>,
    /// The most that this client may spend. No call is made that could exceed it by what is known: the price, the question's length and
    /// `max_tokens`.
    pub most_cost: Option<f64>,
    /// How long calls in flight may go on after a cancel, so that what is paid for is kept.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            in_flight: 8,
            timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(10),
            retries: 8,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            longest_retry_after: Duration::from_secs(900),
            give_up_after: 32,
            requests_per_minute: None,
            tokens_per_minute: None,
            price: None,
            most_cost: None,
            grace: Duration::from_secs(2),
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<()> {
        let bad = |name, what: String, cure| Err(ChatError::Setting { name, what, cure });
        if !(1..=1024).contains(&self.in_flight) {
            return bad("in_flight", format!("{} calls in flight", self.in_flight), "take 1 to 1024");
        }
        if self.timeout.is_zero() || self.connect_timeout.is_zero() {
            return bad("timeout", "no time at all".into(), "take more than 0 seconds");
        }
        if self.give_up_after == 0 {
            return bad("give_up_after", "0 calls".into(), "take at least 1");
        }
        let rates = [
            ("requests_per_minute", self.requests_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
        ];
        for (name, rate) in rates {
            if let Some(rate) = rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
                return bad(
                    name,
                    format!("a rate of {rate}"),
                    "take more than 0, or leave it out for no limit",
                );
            }
        }
        if let Some(price) = self.price
            && ![price.input, price.output].iter().all(|price| price.is_finite() && *price >= 0.0)
        {
            return bad("price", format!("{price:?}"), "take 0 or more for a million tokens");
        }
        match (self.most_cost, self.price) {
            (Some(_), None) => {
                bad("most_cost", "a ceiling without prices".into(), "give the prices of a million tokens")
            }
            (Some(most), _) if most.is_nan() || most < 0.0 => {
                bad("most_cost", format!("a ceiling of {most}"), "take 0 or more")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_trimmed_and_secrets_in_them_refused() {
        let endpoint = Endpoint::new(" http://h:1/v1/chat/completions/ ", "m").unwrap();
        assert_eq!(endpoint.base(), "http://h:1/v1");
        for bad in [
            "h:1/v1",
            "ftp://h",
            "http://",
            "http://u:pass-word@h/v1",
            "http://h/v1?key=pass-word",
            "http://a b/",
        ] {
            let error = Endpoint::new(bad, "m").unwrap_err().to_string();
            assert!(!error.contains("pass-word"), "{error}");
        }
        assert!(Endpoint::new("http://h", " ").is_err());
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        let usual = Settings::default;
        assert!(usual().check().is_ok());
        let price = Some(Price { input: 1.0, output: 2.0 });
        assert!(Settings { price, most_cost: Some(1.0), ..usual() }.check().is_ok());
        for bad in [
            Settings { in_flight: 0, ..usual() },
            Settings { in_flight: 2000, ..usual() },
            Settings { timeout: Duration::ZERO, ..usual() },
            Settings { give_up_after: 0, ..usual() },
            Settings { requests_per_minute: Some(0.0), ..usual() },
            Settings { tokens_per_minute: Some(f64::NAN), ..usual() },
            Settings { most_cost: Some(1.0), ..usual() },
            Settings { price, most_cost: Some(-1.0), ..usual() },
            Settings { price: Some(Price { input: -1.0, output: 0.0 }), ..usual() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
