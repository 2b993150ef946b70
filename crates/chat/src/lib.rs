//! Model calls that survive a night: any OpenAI-compatible `POST {base}/chat/completions` (lmdeploy, vLLM, SGLang, Ollama, hosted ones),
//! text and images, many in flight, with limits, retries and a cache on disk; and a reader of the verdicts that judges write.
//!
//! ```no_run
//! use cribble_chat::{Cache, Client, Endpoint, Job, Key, Message, Outcome, Params, Request, Settings};
//! # fn main() -> Result<(), cribble_chat::ChatError> {
//! let endpoint = Endpoint::new("http://localhost:8000/v1", "qwen2.5-7b")?.with_key(Key::from_env("LLM_KEY")?);
//! let cache = Cache::open("run/answers".as_ref(), None)?;
//! let client = Client::new(endpoint, Settings { in_flight: 64, ..Settings::default() }, cache)?;
//! let jobs = (0..10_000_000).map(|row| {
//!     let ask = Message::user(format!("Is row {row} worth keeping?"));
//!     Job { id: row, votes: 3, request: Request { messages: vec![ask], params: Params::default() } }
//! });
//! let summary = client.run(jobs, &cribble_core::Cancel::new(), |id, outcome| match outcome {
//!     Outcome::Answered(votes) => println!("{id}: {} answers", votes.len()),
//!     Outcome::Missing { why, .. } => println!("{id}: {why}"),
//! });
//! println!("{} missing, {:?}", summary.missing, summary.usage);
//! # Ok(())
//! # }
//! ```
//!
//! What holds: an answer is on disk before it is reported; a job that the iterator gave up has exactly one outcome; a call whose answer
//! is in the cache is never made; a key is in no error, log, `Debug` or file.
#![warn(missing_docs)]
mod answer;
mod cache;
mod client;
mod error;
mod key;
mod limits;
mod message;
mod queue;
mod retry;
mod run;
mod settings;
#[doc(hidden)]
pub mod testing;
mod transport;
mod usage;
pub mod verdict;

pub use answer::Answer;
pub use cache::{Cache, CacheKey};
pub use client::Client;
pub use error::{CallError, ChatError, Result};
pub use key::Key;
pub use message::{Image, Message, Params, Part, Request, Role, Schema};
pub use run::{Job, JobId, Missing, Outcome, Stop, Summary};
pub use settings::{Endpoint, Price, Settings};
pub use usage::Usage;
