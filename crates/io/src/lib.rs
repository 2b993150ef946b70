//! Every reader and writer of Cribble: metadata tables, arrays, tars, subsets, atomic commits. It decides nothing about data.
//! Start with [`storage`] (where bytes come from) and `commit` (how files get their names); the formats stand on those two.
mod array;
pub mod check;
mod commit;
mod convert;
mod error;
#[cfg(test)]
mod fixtures;
pub mod npy;
pub mod npz;
mod npz_writer;
pub mod pattern;
pub mod pickle;
pub mod sorted_clusters;
pub mod source;
mod staged;
pub mod storage;
pub mod subset;
pub mod tables;
pub mod tar;
mod text;
pub mod uids;

pub use array::ArrayReader;
pub use commit::{
    AtomicFile, CommitHook, CommitPoint, TEMP_PREFIX, clean_leftovers, set_commit_hook, write_file,
    write_marker,
};
pub use error::{IoError, Result};
pub use npz_writer::write_npz;
pub use source::{ArrayInfo, Dataset, Layout, LayoutKind, OpenOptions, ShardInfo};
pub use staged::StagedFolder;
pub use storage::{Location, ReadAt, SourceFile, Storage};
pub use tables::{
    Batches, RowChoice, TableReader, TableWriter, repeated_text, uid_array, uid_texts, verdict_fields,
};
pub use text::{CAPTION_NAMES, csv_field, is_text};
pub use uids::stable_uid;
