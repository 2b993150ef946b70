//! What can go wrong while a pool is made or its truth is read. Hints are data, so that the command line decides how to show them.
use std::path::{Path, PathBuf};

/// A failure of the pool generator or of the reader of its truth.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// An option is out of its range, or two options contradict each other. Nothing was written.
    #[error("pool option `{option}`: expected {expected}, found {found}")]
    Option {
        /// The name of the option as `PoolOptions` spells it.
        option: &'static str,
        /// What would have been right.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The folder holds something that is no interrupted pool of ours. Nothing was touched.
    #[error("{} is not empty and is no interrupted pool", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: "create", "write", "read", "rename".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A parquet file could not be written or read.
    #[error("parquet file {}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: parquet::errors::ParquetError,
    },
    /// An npz file could not be written.
    #[error("npz file {}: {source}", path.display())]
    Npz {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: zip::result::ZipError,
    },
    /// A drawn image could not be encoded: a bug of ours, never of the input.
    #[error("row {row}: cannot encode its {width}x{height} JPEG: {message}")]
    Jpeg {
        /// The row of the pool.
        row: u64,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The encoder's words.
        message: String,
    },
    /// A truth file or `pool.json` does not hold what this program writes.
    #[error("{}{}: expected {expected}, found {found}", path.display(), row.map(|row| format!(", row {row}")).unwrap_or_default())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The row, where one is to blame.
        row: Option<u64>,
        /// What would have been right.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl DemoError {
    /// What the person may do about it, where we know.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotEmpty { .. } => Some("name a new folder, or delete this one first"),
            Self::Malformed { .. } => {
                Some("make the pool again: it was written by another version or was changed")
            }
            _ => None,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn parquet(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        move |source| Self::Parquet { path: path.to_owned(), source }
    }

    pub(crate) fn arrow(path: &Path) -> impl FnOnce(arrow::error::ArrowError) -> Self {
        move |source| Self::Parquet { path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn npz(path: &Path) -> impl FnOnce(zip::result::ZipError) -> Self {
        move |source| Self::Npz { path: path.to_owned(), source }
    }
}
