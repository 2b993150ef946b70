//! Step tables and other parquet files of ours: written deterministically and under a temporary name (`writer.rs`), read column by column
//! as a stream.
mod writer;

pub use writer::TableWriter;

use crate::{IoError, Location, Result, SourceFile, storage::ParquetSource, uids::append_uids};
use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, RecordBatchOptions, StringBuilder, new_null_array},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};
use cribble_core::Uid;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
        },
    },
    errors::ParquetError,
};
use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A stream of batches, in row order. After an error it ends.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// The type of a uid in step tables: 16 big-endian bytes.
pub const UID_TYPE: DataType = DataType::FixedSizeBinary(16);

/// The type of texts in memory of which many are equal: 32-bit keys into the different ones. In a file they are plain text.
pub fn repeated_text() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The fields that every step table begins with: `uid` (16 bytes), `keep` (flag), `reason` (text, null where kept).
pub fn verdict_fields() -> [Field; 3] {
    [
        Field::new("uid", UID_TYPE, false),
        Field::new("keep", DataType::Boolean, true),
        Field::new("reason", DataType::Utf8, true),
    ]
}

/// Uids as a column of step tables.
pub fn uid_array(uids: &[Uid]) -> ArrayRef {
    let mut bytes = Vec::with_capacity(uids.len() * 16);
    for uid in uids {
        bytes.extend_from_slice(&uid.to_bytes());
    }
    // 16 bytes for each: the lengths agree by construction.
    Arc::new(FixedSizeBinaryArray::new(16, bytes.into(), None))
}

/// Uids as a column of text, as people and other programs read them.
pub fn uid_texts(uids: impl ExactSizeIterator<Item = Uid>) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(uids.len(), 32 * uids.len());
    for uid in uids {
        // Hexadecimal digits are always UTF-8.
        texts.append_value(str::from_utf8(&uid.to_hex()).unwrap_or_default());
    }
    Arc::new(texts.finish())
}

/// A failed write inside the parquet library is a write error of ours again, so that its kind (disk full) and hint survive.
fn parquet_error(path: &Path, source: ParquetError) -> IoError {
    match source {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => IoError::write(path, "write", None, *error),
            Err(inner) => IoError::Parquet { path: path.into(), source: ParquetError::External(inner) },
        },
        source => IoError::Parquet { path: path.into(), source },
    }
}

/// The parquet library panics on some damaged files. That is a fault of the file, so it becomes an error that names it.
fn guarded<T>(path: &Path, work: impl FnOnce() -> T) -> Result<T> {
    // What the work has touched is thrown away after a panic: the caller returns the error and never uses it again.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        IoError::malformed(
            path,
            "parquet",
            None,
            "good pages",
            said.unwrap_or("damage that the decoder stumbles over"),
        )
        .with_hint("the file is damaged: fetch it again")
    })
}

/// Which rows of a parquet file are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChoice {
    /// All.
    All,
    /// Whole row groups.
    Groups(Range<usize>),
    /// A range of rows.
    Rows(Range<u64>),
    /// Single rows, ascending and each once; rows that do not exist are passed over.
    At(Vec<u64>),
}

/// An open parquet file, ours or anybody's. Holds the footer, nothing else.
#[derive(Clone)]
pub struct TableReader {
    file: SourceFile,
    metadata: ArrowReaderMetadata,
}

impl TableReader {
    /// Opens a local file and reads its footer.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::from_file(SourceFile::open_local(path)?)
    }

    /// Reads the footer of an open file.
    pub fn from_file(file: SourceFile) -> Result<Self> {
        let load = || ArrowReaderMetadata::load(&ParquetSource(file.bytes()), ArrowReaderOptions::new());
        let metadata = guarded(file.path(), load)?
            .map_err(|source| IoError::Parquet { path: file.path().into(), source })?;
        Ok(Self { file, metadata })
    }

    /// The same file, its named columns of text read as dictionaries (32-bit keys): a text that repeats is decoded once.
    pub fn with_dictionaries(mut self, names: &[&str]) -> Result<Self> {
        let fields = self.schema().fields().iter().map(|field| {
            let is_named = *field.data_type() == DataType::Utf8 && names.contains(&field.name().as_str());
            if is_named {
                Arc::new(field.as_ref().clone().with_data_type(repeated_text()))
            } else {
                field.clone()
            }
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = ArrowReaderOptions::new().with_schema(schema);
        self.metadata = ArrowReaderMetadata::try_new(self.metadata.metadata().clone(), options)
            .map_err(|source| IoError::Parquet { path: self.file.path().into(), source })?;
        Ok(self)
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        self.file.location()
    }

    /// The columns, in file order.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.group_rows().iter().sum()
    }

    /// Rows of each row group. Negative counts of a damaged footer read as 0.
    pub fn group_rows(&self) -> Vec<u64> {
        self.metadata
            .metadata()
            .row_groups()
            .iter()
            .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
            .collect()
    }

    /// The position of a column, or an error that lists those that exist.
    pub fn column(&self, name: &str) -> Result<usize> {
        self.schema().index_of(name).map_err(|_| IoError::MissingColumn {
            path: self.file.path().into(),
            name: name.into(),
            available: self.schema().fields().iter().map(|field| field.name().clone()).collect(),
        })
    }

    /// Streams the named columns, in the order of the names, in batches of at most `batch_rows` rows. Other columns are not decoded.
    /// No names at all give batches that have rows and no columns.
    pub fn read(
        &self,
        columns: &[impl AsRef<str>],
        choice: &RowChoice,
        batch_rows: usize,
    ) -> Result<Batches> {
        let path: PathBuf = self.file.path().into();
        let wanted: Vec<usize> =
            columns.iter().map(|name| self.column(name.as_ref())).collect::<Result<_>>()?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            ParquetSource(self.file.bytes()),
            self.metadata.clone(),
        );
        // Columns without a value are made here: their dictionaries are empty, and the decoder would make one of all their nulls.
        let decoded: Vec<usize> = wanted.iter().copied().filter(|&index| !self.is_all_null(index)).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), decoded.iter().copied());
        let mut builder = builder.with_projection(mask).with_batch_size(batch_rows.max(1));
        builder = match choice {
            RowChoice::All => builder,
            RowChoice::Groups(groups) => builder.with_row_groups(groups.clone().collect()),
            RowChoice::Rows(rows) => builder
                .with_offset(rows.start as usize)
                .with_limit((rows.end.saturating_sub(rows.start)) as usize),
            RowChoice::At(rows) => {
                let total = self.rows();
                let single =
                    rows.iter().filter(|&&row| row < total).map(|&row| row as usize..row as usize + 1);
                builder.with_row_selection(RowSelection::from_consecutive_ranges(single, total as usize))
            }
        };
        let mut reader = guarded(&path, || builder.build())?
            .map_err(|source| IoError::Parquet { path: path.clone(), source })?;
        // The reader gives file order; `order` puts the columns as they were asked for.
        let mut sorted = decoded;
        sorted.sort_unstable();
        sorted.dedup();
        let order: Vec<Option<usize>> = wanted.iter().map(|index| sorted.binary_search(index).ok()).collect();
        let fields: Vec<_> = wanted.iter().map(|&index| self.schema().fields()[index].clone()).collect();
        let schema = Arc::new(Schema::new(fields));
        let mut ended = false;
        Ok(Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let next = match guarded(&path, || reader.next()) {
                Ok(next) => next?.map_err(|source| IoError::Arrow { path: path.clone(), source }),
                Err(error) => Err(error),
            };
            let batch = next.and_then(|batch| {
                let column = |(at, field): (&Option<usize>, &FieldRef)| match at {
                    Some(at) => batch.column(*at).clone(),
                    None => new_null_array(field.data_type(), batch.num_rows()),
                };
                let columns = order.iter().zip(schema.fields()).map(column).collect();
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                RecordBatch::try_new_with_options(schema.clone(), columns, &options)
                    .map_err(|source| IoError::Arrow { path: path.clone(), source })
            });
            ended = batch.is_err();
            Some(batch)
        })))
    }

    /// Whether a column read as a dictionary holds nothing but nulls, as our writer says.
    fn is_all_null(&self, index: usize) -> bool {
        let field = self.schema().field(index);
        *field.data_type() == repeated_text()
            && writer::columns_without_values(&self.metadata).any(|name| name == field.name())
    }

    /// The uids of the column `uid`, in row order. Allocates 16 bytes a row.
    pub fn uids(&self, choice: &RowChoice) -> Result<Vec<Uid>> {
        let mut uids = Vec::new();
        for batch in self.read(&["uid"], choice, 64 * 1024)? {
            let (batch, read) = (batch?, uids.len());
            let row_of = |at: usize| self.row_of(choice, read + at);
            append_uids(batch.column(0), self.file.path(), row_of, &mut uids)?;
        }
        Ok(uids)
    }

    /// The row of the file that stands at a place among those chosen.
    pub fn row_of(&self, choice: &RowChoice, place: usize) -> u64 {
        let first = match choice {
            RowChoice::All => 0,
            RowChoice::Groups(groups) => self.group_rows().iter().take(groups.start).sum(),
            RowChoice::Rows(rows) => rows.start,
            RowChoice::At(rows) => return rows.get(place).copied().unwrap_or(place as u64),
        };
        first + place as u64
    }
}

impl std::fmt::Debug for TableReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TableReader({}, {} rows)", self.file.location(), self.rows())
    }
}

#[cfg(test)]
mod tests;
