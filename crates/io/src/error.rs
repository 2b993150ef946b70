//! The one error type of this crate. Every variant names the file and, where there is one, the row or byte, with what was expected
//! and what was found; advice for the person is data behind [`IoError::hint`], so that a caller decides how to show it.
use cribble_core::ParseUidError;
use std::{io, path::PathBuf};

/// The result of everything here.
pub type Result<T, E = IoError> = std::result::Result<T, E>;

/// What can go wrong when files are read and written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IoError {
    /// A file or folder that was asked for is not there.
    #[error("{path}: no such file or folder")]
    NotFound {
        /// What was looked for.
        path: PathBuf,
    },
    /// The operating system failed to read.
    #[error("{path}: cannot read{}: {source}", offset_text(.offset))]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The byte at which the read began, when it had one.
        offset: Option<u64>,
        /// What the system said.
        source: io::Error,
    },
    /// The operating system failed to create, write, sync or rename.
    #[error("{path}: cannot {action}{}: {source}", wanted_text(.wanted))]
    Write {
        /// The file or folder as the user knows it (never the temporary name).
        path: PathBuf,
        /// What was tried: `create`, `write`, `sync`, `rename`, `remove`.
        action: &'static str,
        /// How many bytes were to be written, when known.
        wanted: Option<u64>,
        /// What the system said.
        source: io::Error,
    },
    /// A place that this build cannot reach yet.
    #[error("{location}: places of the kind '{scheme}://' cannot be read yet")]
    UnsupportedScheme {
        /// The text as given.
        location: String,
        /// The part before `://`.
        scheme: String,
    },
    /// A pattern of braces and wildcards that cannot be understood.
    #[error("'{pattern}': {reason}")]
    BadPattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file whose bytes do not follow its format.
    #[error("{path}: {what}{}: expected {expected}, found {found}", offset_text(.offset))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The part that is wrong, such as `npy header`.
        what: &'static str,
        /// The byte in the file, when known.
        offset: Option<u64>,
        /// What should be there.
        expected: Box<str>,
        /// What is there.
        found: Box<str>,
        /// What the person can do about it.
        hint: Option<Box<str>>,
    },
    /// A parquet file that the parquet library refuses.
    #[error("{path}: parquet: {source}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the library said.
        source: parquet::errors::ParquetError,
    },
    /// A table operation failed.
    #[error("{path}: table: {source}")]
    Arrow {
        /// The file that the rows came from or were meant for.
        path: PathBuf,
        /// What the library said.
        source: arrow::error::ArrowError,
    },
    /// A zip or npz file that the zip library refuses.
    #[error("{path}: zip: {source}")]
    Zip {
        /// The file.
        path: PathBuf,
        /// What the library said.
        source: zip::result::ZipError,
    },
    /// A uid that is none, with its place.
    #[error("{path}, row {row}: {source}")]
    BadUid {
        /// The file.
        path: PathBuf,
        /// The row in that file, from 0.
        row: u64,
        /// The text and its length.
        source: ParseUidError,
    },
    /// A uid that is null, with its place.
    #[error("{path}, row {row}: the uid is null")]
    NullUid {
        /// The file.
        path: PathBuf,
        /// The row in that file, from 0.
        row: u64,
    },
    /// A row of a table, or a line of a text file, that cannot be used.
    #[error("{path}, row {row}: expected {expected}, found {found}")]
    BadRow {
        /// The file.
        path: PathBuf,
        /// The row in that file, from 0.
        row: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Two files that describe the same samples have different numbers of rows.
    #[error("{first} has {first_rows} rows but {second} has {second_rows}")]
    RowsDiffer {
        /// One file, with the name of the array where there is one.
        first: String,
        /// Its rows.
        first_rows: u64,
        /// The other file.
        second: String,
        /// Its rows.
        second_rows: u64,
    },
    /// An array has not the same width or type in every shard.
    #[error("array '{array}' is {first_kind} in {first} but {second_kind} in {second}")]
    ArraysDiffer {
        /// The array.
        array: Box<str>,
        /// One file.
        first: PathBuf,
        /// Its width and type, such as `[n, 512] f16`.
        first_kind: Box<str>,
        /// The other file.
        second: PathBuf,
        /// Its width and type.
        second_kind: Box<str>,
    },
    /// A column that is not in the table.
    #[error("{path}: no column '{name}'; there are: {}", .available.join(", "))]
    MissingColumn {
        /// The file or dataset.
        path: PathBuf,
        /// The column that was asked for.
        name: String,
        /// The columns that exist, in file order.
        available: Vec<String>,
    },
    /// An array that is not in the dataset.
    #[error("{path}: no array '{name}'; there are: {}", if .available.is_empty() { "none".to_owned() } else { .available.join(", ") })]
    MissingArray {
        /// The file or dataset.
        path: PathBuf,
        /// The array that was asked for.
        name: String,
        /// The arrays that exist, sorted.
        available: Vec<String>,
    },
    /// A column has a type that cannot serve.
    #[error("{path}: column '{name}' is of type {found}, expected {expected}")]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        name: String,
        /// The types that would serve.
        expected: String,
        /// The type that it has.
        found: String,
    },
    /// The tables of a dataset do not have the same columns.
    #[error("{second}: column '{name}' is {found}, but in {first} it is {expected}")]
    SchemasDiffer {
        /// The file whose schema stands for the dataset.
        first: PathBuf,
        /// The file that differs.
        second: PathBuf,
        /// The column.
        name: Box<str>,
        /// Its type in the first file.
        expected: Box<str>,
        /// Its type in the second file, or `absent`.
        found: Box<str>,
    },
    /// Some parts of a dataset lack their partner.
    #[error("{path}: {}", unpaired_text(.without_partner))]
    Unpaired {
        /// The folder.
        path: PathBuf,
        /// `(file, missing partner)`, sorted, all of them.
        without_partner: Vec<(String, String)>,
    },
    /// Two shards would have the same name.
    #[error("the shards {first} and {second} would both be named '{name}'")]
    SameName {
        /// The name.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
    /// The input has no layout that is known.
    #[error("{path}: no known layout: {found}")]
    Unrecognised {
        /// The location as given.
        path: PathBuf,
        /// What was seen there.
        found: String,
    },
    /// More is needed to open the input than its files say.
    #[error("{path}: {what} is needed")]
    OptionNeeded {
        /// The location.
        path: PathBuf,
        /// The option that has to be given.
        what: String,
        /// How to give it.
        hint: String,
    },
    /// A range of rows lies outside the file. A mistake of the caller, not of the data.
    #[error("{path}: rows {start}..{end} were asked for, there are {rows}")]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// First row that was asked for.
        start: u64,
        /// One past the last row that was asked for.
        end: u64,
        /// Rows that exist.
        rows: u64,
    },
}

fn offset_text(offset: &Option<u64>) -> String {
    offset.map_or_else(String::new, |at| format!(" at byte {at}"))
}

fn wanted_text(wanted: &Option<u64>) -> String {
    wanted.map_or_else(String::new, |bytes| format!(" {bytes} bytes"))
}

fn unpaired_text(pairs: &[(String, String)]) -> String {
    let shown: Vec<_> = pairs.iter().take(5).map(|(have, lack)| format!("{have} has no {lack}")).collect();
    let more = pairs.len().saturating_sub(5);
    if more > 0 { format!("{}; and {more} more", shown.join("; ")) } else { shown.join("; ") }
}

impl IoError {
    /// A read that failed; a missing file becomes [`IoError::NotFound`].
    pub fn read(path: impl Into<PathBuf>, offset: Option<u64>, source: io::Error) -> Self {
        let path = path.into();
        if offset.is_none() && source.kind() == io::ErrorKind::NotFound {
            return Self::NotFound { path };
        }
        Self::Read { path, offset, source }
    }

    /// A write that failed.
    pub fn write(
        path: impl Into<PathBuf>,
        action: &'static str,
        wanted: Option<u64>,
        source: io::Error,
    ) -> Self {
        Self::Write { path: path.into(), action, wanted, source }
    }

    /// Bytes that do not follow their format, without a hint.
    pub fn malformed(
        path: impl Into<PathBuf>,
        what: &'static str,
        offset: Option<u64>,
        expected: impl Into<Box<str>>,
        found: impl Into<Box<str>>,
    ) -> Self {
        Self::Malformed {
            path: path.into(),
            what,
            offset,
            expected: expected.into(),
            found: found.into(),
            hint: None,
        }
    }

    /// Adds advice to a [`IoError::Malformed`]; other variants are returned as they are.
    pub fn with_hint(mut self, text: impl Into<Box<str>>) -> Self {
        if let Self::Malformed { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    /// What the person can do about it, when there is something to say.
    pub fn hint(&self) -> Option<String> {
        use io::ErrorKind as Kind;
        match self {
            Self::NotFound { .. } => Some("check the path; quote patterns such as 'x/{000..150}.tar'".into()),
            Self::Read { source, .. } if source.kind() == Kind::PermissionDenied => {
                Some("the file exists but this user may not read it".into())
            }
            Self::Read { source, .. } if source.kind() == Kind::UnexpectedEof => {
                Some("the file ends too early: an interrupted copy or download? fetch it again".into())
            }
            Self::Write { source, .. } => match source.kind() {
                Kind::StorageFull | Kind::QuotaExceeded => {
                    Some("free some space and run the same command again: finished tasks are kept".into())
                }
                Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
                    Some("choose another output folder, or make this one writable".into())
                }
                _ => None,
            },
            Self::UnsupportedScheme { .. } => Some("copy the files to a local folder first".into()),
            Self::Malformed { hint, .. } => hint.as_deref().map(str::to_owned),
            Self::Parquet { .. }
            | Self::Zip { .. }
            | Self::Arrow { source: arrow::error::ArrowError::ParquetError(_), .. } => {
                Some("the file is damaged or was cut off: fetch it again".into())
            }
            Self::RowsDiffer { .. } => {
                Some("the two files do not belong together, or one was cut off: fetch both again".into())
            }
            Self::Unpaired { .. } => Some("fetch the missing files, or move the odd ones to another folder".into()),
            Self::MissingColumn { name, available, .. } => {
                available.iter().find(|have| have.eq_ignore_ascii_case(name)).map(|have| format!("did you mean '{have}'?"))
            }
            Self::OptionNeeded { hint, .. } => Some(hint.clone()),
            Self::Unrecognised { .. } => Some(
                "known layouts: DataComp metadata (parquet + npz), clip-retrieval folder, webdataset tars, .npy with ids, \
                 parquet, a folder of images with captions, sorted clusters"
                    .into(),
            ),
            _ => None,
        }
    }
}
