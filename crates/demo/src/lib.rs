//! Pools of known truth: DataComp-like folders whose images are drawn by code and whose faults are planted and written down.
//!
//! [`generate`] makes a pool; [`Truth`] reads back what was planted and scores a selection against it. Nothing here judges data, so
//! the pipeline can be tested against it without sharing its mistakes.
//!
//! Layout of a pool folder: `metadata/{stem}.parquet` + `{stem}.npz` (DataComp's schema; none in a pool of tars), `shards/{:08d}.tar`, `.parquet` and
//! `_stats.json` (img2dataset's), `truth.parquet`, `pool.json`. The decision a reader would question: the embeddings are synthetic
//! (see `embed.rs`), made so that similarities between twins, neighbours and strangers lie where a CLIP's would.
#![warn(missing_docs)]
mod caption;
mod draw;
mod embed;
mod error;
mod generate;
mod kinds;
mod metadata;
mod npz;
mod options;
mod random;
mod render;
mod sample;
mod score;
mod tars;
mod truth;

pub use error::DemoError;
pub use generate::{PoolSummary, generate};
pub use kinds::{CaptionKind, ImageKind, Language};
pub use options::{ArraySpec, Planted, PoolOptions};
#[doc(hidden)]
pub use render::contact_sheet;
pub use score::{FalsePositives, GroupScore, KindScore, PlantedScore, ScoreRow};
pub use truth::{TRUTH_FILE, Truth, TruthRow};
