//! One file per layout: which files belong together, and what rows and arrays they hold.
pub(super) mod arrays;
pub(super) mod clip_retrieval;
pub(super) mod clusters;
pub(super) mod datacomp;
pub(super) mod images;
pub(super) mod webdataset;
