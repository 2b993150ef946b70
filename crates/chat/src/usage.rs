//! What calls took: counts, tokens, money and latency, readable at any time from any thread.
use serde::Serialize;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Buckets of latency in a factor of two: a percentile is at most 9 percent above the truth.
const PER_OCTAVE: f64 = 8.0;
/// The first bucket ends here, in seconds; the last of 200 a factor of 2^25 later, at an hour.
const SHORTEST: f64 = 1e-4;
const BUCKETS: usize = 200;

/// A snapshot of what a client's calls took.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Requests sent, retries included.
    pub calls: u64,
    /// Votes answered by a call.
    pub answered: u64,
    /// Votes answered by the cache, or by another job's equal question.
    pub cached: u64,
    /// Requests that repeated one: after a fault, or without a schema that the server does not take.
    pub retries: u64,
    /// Votes given up.
    pub failed: u64,
    /// Tokens of questions; guessed where the server does not count.
    pub input_tokens: u64,
    /// Tokens of answers; guessed where the server does not count.
    pub output_tokens: u64,
    /// Money, by the prices of the settings. An answer that was lost on the way is counted by a guess at its question.
    pub cost: f64,
    /// Median seconds of the calls that were answered.
    pub p50_seconds: f64,
    /// Seconds within which 95 of 100 answered calls were.
    pub p95_seconds: f64,
    /// Calls in flight now.
    pub in_flight: u64,
}

#[derive(Debug)]
struct State {
    usage: Usage,
    latencies: [u64; BUCKETS],
}

/// Counts while calls go on.
#[derive(Debug)]
pub(crate) struct Meter(Mutex<State>);

impl Meter {
    pub fn new() -> Self {
        Self(Mutex::new(State { usage: Usage::default(), latencies: [0; BUCKETS] }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the counts.
    pub fn count(&self, change: impl FnOnce(&mut Usage)) {
        change(&mut self.lock().usage);
    }

    /// A call was answered after so long.
    pub fn latency(&self, time: Duration) {
        let place = (time.as_secs_f64() / SHORTEST).max(1.0).log2() * PER_OCTAVE;
        self.lock().latencies[(place as usize).min(BUCKETS - 1)] += 1;
    }

    pub fn snapshot(&self) -> Usage {
        let state = self.lock();
        let within = |share| quantile(&state.latencies, share);
        Usage { p50_seconds: within(0.5), p95_seconds: within(0.95), ..state.usage.clone() }
    }
}

/// The upper end of the bucket in which `share` of all is reached; 0 when there is none.
fn quantile(latencies: &[u64; BUCKETS], share: f64) -> f64 {
    let all: u64 = latencies.iter().sum();
    let wanted = (all as f64 * share).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (place, count) in latencies.iter().enumerate() {
        seen += count;
        if seen >= wanted {
            return SHORTEST * 2f64.powf((place + 1) as f64 / PER_OCTAVE);
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_the_truth() {
        let meter = Meter::new();
        assert_eq!(meter.snapshot().p95_seconds, 0.0);
        for millisecond in 1..=1000 {
            meter.latency(Duration::from_millis(millisecond));
        }
        let usage = meter.snapshot();
        assert!((0.5..0.55).contains(&usage.p50_seconds), "{}", usage.p50_seconds);
        assert!((0.95..1.04).contains(&usage.p95_seconds), "{}", usage.p95_seconds);
        meter.latency(Duration::ZERO);
        meter.latency(Duration::from_secs(1_000_000));
        assert_eq!(meter.lock().latencies[0], 1);
        assert_eq!(meter.lock().latencies[BUCKETS - 1], 1);
    }
}
