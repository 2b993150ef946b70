//! placeholder while the workspace is laid out
pub mod report;
pub mod reshard;
pub mod subset_algebra;
