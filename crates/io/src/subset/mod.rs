//! Subset files: which samples, and how often. Read from what the field uses (DataComp's `.npy`, the same bytes headerless, txt, csv,
//! parquet, pygtrie pickles) and written so that DataComp's and density-based pruning's own scripts read them.
//!
//! A subset is a multiset of uids: DataComp writes copies as repeats. Files that are not sorted are sorted here and the caller is told
//! ([`SubsetFacts::first_unsorted_row`]); DataComp's resharder searches an unsorted file as if it were sorted and loses samples silently.
mod csv;
mod format;
mod keys;
mod read;
mod sorted;
mod write;

pub use format::SubsetFormat;
pub use keys::{KeySubset, read_keys, trie_pickle};
pub use read::{UidRows, open_rows};
pub use sorted::{SortedUids, SubsetFacts, groups, read_subset};
pub use write::SubsetWriter;

#[cfg(test)]
mod tests;
