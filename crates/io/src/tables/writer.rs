//! Writing a table: the same bytes for the same rows however they come, no column's work for what nobody reads.
//! Row groups are kept small, because the parquet writer holds one of them in memory.
use super::{UID_TYPE, parquet_error};
use crate::{AtomicFile, IoError, Result};
use arrow::{
    array::{Array, ArrayRef, RecordBatch, make_array},
    compute::BatchCoalescer,
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ArrowReaderMetadata, arrow_writer::ArrowWriterOptions},
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
    },
};
use std::path::{Path, PathBuf};

/// Rows of a row group: with the columns of a step table a group takes a few megabytes while it is written.
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Rows are handed to the parquet writer in pieces of exactly this many: it ends pages only between pieces, so other cuts would give
/// other bytes.
const PIECE_ROWS: usize = 8 * 1024;
/// The writer may also hold very wide rows; a group is closed at this size.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// The note in the footer that names the columns without a value, one a line.
const WITHOUT_VALUES: &str = "cribble.columns_without_values";

/// Writes one parquet file: zstd level 1, the same bytes for the same batches however they are cut. Nothing appears under the final
/// name before [`TableWriter::finish`].
pub struct TableWriter {
    path: PathBuf,
    schema: SchemaRef,
    writer: ArrowWriter<AtomicFile>,
    /// Rows that do not make a piece yet.
    rest: BatchCoalescer,
    /// Which columns had a value so far.
    has_values: Vec<bool>,
    rows: u64,
}

impl TableWriter {
    /// Starts a table. Columns that are dictionaries here are plain text to whoever reads the file.
    pub fn create(path: impl Into<PathBuf>, schema: SchemaRef) -> Result<Self> {
        let path = path.into();
        let properties = properties(&path, &schema)?;
        let file = AtomicFile::create(&path)?;
        // Arrow's own schema inside the file would make them dictionaries again.
        let has_dictionary =
            schema.fields().iter().any(|field| matches!(field.data_type(), DataType::Dictionary(..)));
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(has_dictionary);
        let writer = ArrowWriter::try_new_with_options(file, schema.clone(), options)
            .map_err(|source| IoError::Parquet { path: path.clone(), source })?;
        let rest = BatchCoalescer::new(schema.clone(), PIECE_ROWS);
        let has_values = vec![false; schema.fields().len()];
        Ok(Self { path, schema, writer, rest, has_values, rows: 0 })
    }

    /// Appends rows. The columns must be those of the schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        for (seen, column) in self.has_values.iter_mut().zip(batch.columns()) {
            *seen |= column.null_count() < column.len();
        }
        self.rows += batch.num_rows() as u64;
        // Whole pieces are written where they lie; only what is left of a batch is copied, to wait for more.
        let missing = match self.rest.get_buffered_rows() {
            0 => 0,
            waiting => (PIECE_ROWS - waiting).min(batch.num_rows()),
        };
        self.hold(batch.slice(0, missing))?;
        let mut start = missing;
        while batch.num_rows() - start >= PIECE_ROWS {
            self.pass_on(&batch.slice(start, PIECE_ROWS))?;
            start += PIECE_ROWS;
        }
        self.hold(batch.slice(start, batch.num_rows() - start))
    }

    fn hold(&mut self, rows: RecordBatch) -> Result<()> {
        self.rest.push_batch(rows).map_err(|source| IoError::Arrow { path: self.path.clone(), source })?;
        match self.rest.next_completed_batch() {
            Some(piece) => self.pass_on(&piece),
            None => Ok(()),
        }
    }

    fn pass_on(&mut self, piece: &RecordBatch) -> Result<()> {
        let columns = piece.columns().iter().map(without_idle_nulls).collect::<Result<_, _>>();
        let piece = columns
            .and_then(|columns| RecordBatch::try_new(self.schema.clone(), columns))
            .map_err(|source| IoError::Arrow { path: self.path.clone(), source })?;
        self.writer.write(&piece).map_err(|source| parquet_error(&self.path, source))
    }

    /// Appends rows given as columns in the order of the schema.
    pub fn write_columns(&mut self, columns: Vec<ArrayRef>) -> Result<()> {
        let batch = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|source| IoError::Arrow { path: self.path.clone(), source })?;
        self.write(&batch)
    }

    /// Commits the file and returns its rows.
    pub fn finish(mut self) -> Result<u64> {
        self.rest
            .finish_buffered_batch()
            .map_err(|source| IoError::Arrow { path: self.path.clone(), source })?;
        if let Some(last) = self.rest.next_completed_batch() {
            self.pass_on(&last)?;
        }
        let columns = self.schema.fields().iter().zip(&self.has_values);
        let without = columns.filter(|(_, seen)| !**seen).map(|(field, _)| field.name().as_str());
        let without: Vec<&str> = without.filter(|name| !name.contains(['\n', '\r'])).collect();
        self.writer.append_key_value_metadata(KeyValue::new(WITHOUT_VALUES.into(), without.join("\n")));
        let file = self.writer.into_inner().map_err(|source| parquet_error(&self.path, source))?;
        file.commit()?;
        Ok(self.rows)
    }
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TableWriter({}, {} rows)", self.path.display(), self.rows)
    }
}

/// The column without a bitmap that marks none of its rows: the parquet writer encodes a column with such a bitmap into other bytes than one
/// without, and whether there is one depends on the batch that the rows came in.
fn without_idle_nulls(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.nulls() {
        Some(nulls) if nulls.null_count() == 0 => {
            Ok(make_array(column.to_data().into_builder().nulls(None).build()?))
        }
        _ => Ok(column.clone()),
    }
}

/// The columns of a file that its writer noted to be all null; none of somebody else's file.
pub(super) fn columns_without_values(metadata: &ArrowReaderMetadata) -> impl Iterator<Item = &str> {
    let notes = metadata.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    notes
        .filter(|note| note.key == WITHOUT_VALUES)
        .filter_map(|note| note.value.as_deref())
        .flat_map(str::lines)
}

fn properties(path: &Path, schema: &SchemaRef) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(|source| parquet_error(path, source))?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by("cribble".into());
    for field in schema.fields() {
        properties = column(properties, field.name(), field.data_type());
    }
    Ok(properties.build())
}

fn column(properties: WriterPropertiesBuilder, name: &str, of: &DataType) -> WriterPropertiesBuilder {
    // A name is a path of one part, dots and all.
    let path = || vec![name.to_owned()].into();
    let is_uid = name == "uid";
    // The least and the greatest text or uid of many say nothing, and comparing all of them takes as long as encoding them.
    let properties = match is_uid || matches!(of, DataType::Utf8 | DataType::Dictionary(..)) {
        true => properties.set_column_statistics_enabled(path(), EnabledStatistics::None),
        false => properties,
    };
    if !is_uid {
        return properties;
    }
    // No two are alike: looking each up in a dictionary takes longer than anything else here.
    let properties = properties.set_column_dictionary_enabled(path(), false);
    match *of == UID_TYPE {
        // 16 bytes as good as random.
        true => properties.set_column_compression(path(), Compression::UNCOMPRESSED),
        // Text is half air. Lengths between the texts would give the compressor matches of a few bytes, which cost it more than they save:
        // without them it writes twice as fast, and less.
        false => properties.set_column_encoding(path(), Encoding::DELTA_LENGTH_BYTE_ARRAY),
    }
}
