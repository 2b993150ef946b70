//! The input of a run: whatever its layout, a list of shards with rows, columns and arrays, row `i` of each belonging together.
//! Rows keep their place for ever, so everything above speaks of (shard, row) and never searches.
mod cells;
mod dataset;
mod detect;
mod fingerprint;
mod ids;
mod layouts;
mod listing;
mod parquet_rows;
mod part;
mod pixels;
mod records;
mod schema;
#[cfg(test)]
mod tests;
mod text_table;

pub use dataset::Dataset;
pub use layouts::arrays::VIRTUAL_SHARD_ROWS;
pub use parquet_rows::MAX_SHARD_ROWS;
pub use pixels::{ImagePlace, ImageReader, LastFile, RowImage, missing_member};

use crate::npy::ElementType;
use std::{fmt, path::PathBuf};

/// What to open, and what the files themselves do not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// A file, a folder, a glob, a brace range or a `::` list.
    pub path: String,
    /// Ids of a bare array: a text, csv, parquet or npy file with one id per row.
    pub ids: Option<String>,
    /// Dimension of a headerless array.
    pub dim: Option<u64>,
    /// Element type of a headerless array: `f32` (default) or `f16`.
    pub dtype: Option<String>,
}

impl OpenOptions {
    /// A path and nothing else.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }
}

impl From<&cribble_core::InputOptions> for OpenOptions {
    fn from(input: &cribble_core::InputOptions) -> Self {
        Self { path: input.path.clone(), ids: input.ids.clone(), dim: input.dim, dtype: input.dtype.clone() }
    }
}

/// The kinds of input that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LayoutKind {
    /// Parquet and npz files in pairs.
    DataComp,
    /// `metadata/`, `img_emb/`, `text_emb/` in numbered parts.
    ClipRetrieval,
    /// One `.npy` or headerless array, with ids.
    Array,
    /// Parquet with an image column of bytes and path.
    HuggingFace,
    /// Parquet alone.
    Parquet,
    /// Tars of samples.
    Webdataset,
    /// Images with captions beside them, or in one table.
    ImageFolder,
    /// SemDeDup's `cluster_*.npy`, with the array that they were made from.
    SortedClusters,
}

impl LayoutKind {
    /// The name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DataComp => "DataComp metadata",
            Self::ClipRetrieval => "clip-retrieval folder",
            Self::Array => "array with ids",
            Self::HuggingFace => "Hugging Face parquet with images",
            Self::Parquet => "parquet",
            Self::Webdataset => "webdataset tars",
            Self::ImageFolder => "folder of images",
            Self::SortedClusters => "sorted clusters",
        }
    }
}

/// What an input was taken for, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Layout {
    /// The kind.
    pub kind: LayoutKind,
    /// What was seen that led to it, as one sentence without a full stop.
    pub why: String,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())
    }
}

/// One shard of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ShardInfo {
    /// Its position: shards are sorted by name.
    pub index: u32,
    /// Unique and fit for a file name: folders inside the input are joined by `__`.
    pub name: String,
    /// Number of rows; 0 is legal.
    pub rows: u64,
    /// The files that it is made of, sorted.
    pub files: Vec<PathBuf>,
}

/// One array that every shard has.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ArrayInfo {
    /// Its name.
    pub name: String,
    /// Elements of a row.
    pub dim: usize,
    /// Type of an element as stored.
    pub dtype: ElementType,
}
