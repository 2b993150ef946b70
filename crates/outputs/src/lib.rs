//! What Cribble hands over: subset algebra, resharded tars, exports, reports and cards. Nothing is computed again here: every figure comes from
//! the run folder or from one `cribble_core::RunReport`.
#![warn(missing_docs)]
pub mod card;
mod columns;
pub mod export;
pub mod report;
pub mod reshard;
mod run_captions;
mod run_rows;
pub mod subset_algebra;
mod values;

pub use run_captions::RunCaptions;
pub use run_rows::{RunRows, ShardRows};
pub use values::json as json_value;
