//! One parquet file while it is written: a group of rows at a time, so that a reader of single rows need not read much more, and the writer
//! holds no more than a group.
use std::path::{Path, PathBuf};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use cribble_core::{Error, Result};
use cribble_io::{AtomicFile, IoError};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use super::features;

/// A parquet file that appears when it is whole.
pub struct Part {
    path: PathBuf,
    writer: ArrowWriter<AtomicFile>,
    rows: u64,
}

impl Part {
    /// Starts a file.
    pub fn create(path: &Path, schema: SchemaRef) -> Result<Self> {
        let column = |name: &str| ColumnPath::from(vec![features::IMAGE.to_owned(), name.to_owned()]);
        let level = ZstdLevel::try_new(3).map_err(|error| fail(path, error))?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by("cribble".into())
            .set_statistics_enabled(EnabledStatistics::Chunk)
            // Pages end between these: with more, a page would hold a whole group's pictures.
            .set_write_batch_size(16)
            .set_key_value_metadata(Some(vec![KeyValue::new(
                features::KEY.into(),
                features::metadata(&schema),
            )]));
        // Pictures are compressed already, all different, and in no order worth knowing.
        for name in ["bytes", "path"] {
            properties = properties
                .set_column_dictionary_enabled(column(name), false)
                .set_column_statistics_enabled(column(name), EnabledStatistics::None);
        }
        let properties =
            properties.set_column_compression(column("bytes"), Compression::UNCOMPRESSED).build();
        let file = AtomicFile::create(path)?;
        let writer =
            ArrowWriter::try_new(file, schema, Some(properties)).map_err(|error| fail(path, error))?;
        Ok(Self { path: path.into(), writer, rows: 0 })
    }

    /// Appends a group of rows; returns the bytes of the file so far.
    pub fn write(&mut self, group: &RecordBatch) -> Result<u64> {
        self.writer
            .write(group)
            .and_then(|()| self.writer.flush())
            .map_err(|error| fail(&self.path, error))?;
        self.rows += group.num_rows() as u64;
        Ok(self.writer.bytes_written() as u64)
    }

    /// Commits the file; returns its rows and its length in bytes.
    pub fn finish(self) -> Result<(u64, u64)> {
        let file = self.writer.into_inner().map_err(|error| fail(&self.path, error))?;
        let bytes = file.position();
        file.commit()?;
        Ok((self.rows, bytes))
    }
}

/// A failed write inside the parquet library is a write error of ours again, so that its kind (disk full) survives.
fn fail(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => IoError::write(path, "write", None, *error).into(),
            Err(inner) => Error::input(format!("{}: {inner}", path.display())),
        },
        error => Error::input(format!("{}: {error}", path.display())),
    }
}
