//! Search in a run: the rows most like a text, an image or a sample, among those that fit a condition.
//!
//! ```text
//! query → its vector (the run's own encoder, or the sample's row) → all rows, streamed and scored exactly  → the best few → uid, verdict, caption
//!                                                                 → or the cells of an index near the vector
//! ```
//!
//! The parts are open to who asks in another way, as `qdrant` does: [`encode`] makes a vector of a query, [`Scan`] compares it with every row.
//!
//! Nothing of a run is changed but for `index/`, and `images/` where pictures were asked for. Memory is a block a thread, the flags of a shard
//! where there is a condition, and the hits.
#![warn(missing_docs)]
mod condition;
mod encode;
mod exact;
mod hits;
pub mod index;
mod pictures;
mod search;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use encode::{Encoded, Query, encode};
pub use exact::{Found, Scan, Wanted};
pub use pictures::{MOST_PICTURES, add_pictures};
pub use search::{IndexUse, Of, Request, plan, search};
