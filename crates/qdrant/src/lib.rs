//! A run in a collection of Qdrant, and questions to it: through the official client on a server, or on the run folder itself.
//!
//! The way of the data: [`Payloads`] and [`VectorSpace`] say what a sample is, `point` makes a point of it, [`push()`] sends what the server does
//! not have. [`Store`] is what can be asked: [`ServerStore`] and [`RunStore`] answer alike, the second by the scan of `search`. [`duplicates()`]
//! compares points through the vectors that the server holds. `server` is the only place that knows that networks are asynchronous, `pace`
//! and `fault` what to do when they fail. What a point looks like is described for its users in `docs/qdrant.md`.
#![warn(missing_docs)]
mod collection;
mod duplicates;
#[cfg(feature = "edge")]
mod edge;
mod fault;
mod filter;
mod key;
mod pace;
mod pages;
mod payload;
mod point;
mod pull;
mod push;
mod run_store;
mod server;
mod server_store;
mod store;
mod subset;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod vectors;

pub use duplicates::{DuplicateOptions, DuplicateReport, Pair, duplicates};
pub use filter::check_condition;
pub use key::ApiKey;
pub use payload::{Payloads, ShardPayloads};
pub use point::{CONTENT, RUN, point_id, uid_of};
pub use pull::{Pull, PullReport, Pulled, pull_rows};
pub use push::{PushOptions, PushReport, VectorReport, push};
pub use run_store::RunStore;
pub use server::{Server, ServerOptions};
pub use server_store::ServerStore;
pub use store::{Hit, Near, Store};
pub use subset::{Scratch, SubsetFile};
pub use vectors::{SpaceReader, VectorSpace};

/// The order of answers: the most similar first, equal ones by uid.
fn best_first(a: &Hit, b: &Hit) -> std::cmp::Ordering {
    let similarity = |hit: &Hit| hit.similarity.unwrap_or(f32::NEG_INFINITY);
    similarity(b).total_cmp(&similarity(a)).then(a.uid.cmp(&b.uid))
}
