//! What Cribble hands over: subset algebra, resharded tars, exports and reports. Nothing is computed again here: every figure comes from
//! the run folder or from one `cribble_core::RunReport`.
#![warn(missing_docs)]
pub mod export;
pub mod report;
pub mod reshard;
pub mod subset_algebra;
