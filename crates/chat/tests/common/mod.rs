//! What the tests of the client share.
#![allow(dead_code, clippy::unwrap_used)]
use cribble_chat::{
    Cache, Client, Endpoint, Job, JobId, Message, Outcome, Params, Request, Settings, Summary,
    testing::FakeServer,
};
use cribble_core::Cancel;
use std::{collections::HashMap, path::Path, time::Duration};

/// Settings whose waits a test can afford.
pub fn quick() -> Settings {
    Settings {
        first_wait: Duration::from_millis(4),
        longest_wait: Duration::from_millis(30),
        timeout: Duration::from_secs(20),
        ..Settings::default()
    }
}

pub fn client(base: &str, settings: Settings, cache: Cache) -> Client {
    Client::new(Endpoint::new(base, "test-model").unwrap(), settings, cache).unwrap()
}

pub fn cache(folder: &Path) -> Cache {
    Cache::open(folder, None).unwrap()
}

pub fn request(text: impl Into<String>) -> Request {
    Request { messages: vec![Message::user(text)], params: Params::default() }
}

pub fn job(id: JobId) -> Job {
    Job { id, request: request(format!("question {id}")), votes: 1 }
}

/// Runs jobs `0..count`; checks that each has exactly one outcome.
pub fn run(client: &Client, count: JobId) -> (Summary, HashMap<JobId, Outcome>) {
    let mut outcomes = HashMap::new();
    let summary = client.run((0..count).map(job), &Cancel::new(), |id, outcome| {
        assert!(outcomes.insert(id, outcome).is_none(), "two outcomes for {id}");
    });
    assert_eq!(outcomes.len() as JobId, count);
    assert_eq!(u128::from(summary.answered + summary.missing), count);
    (summary, outcomes)
}

pub fn text(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Answered(answers) => &answers[0].text,
        Outcome::Missing { why, .. } => panic!("missing: {why}"),
    }
}

/// A server that repeats the question.
pub fn echo() -> FakeServer {
    FakeServer::start(|seen| cribble_chat::testing::Act::Say(format!("echo {}", seen.text()))).unwrap()
}
