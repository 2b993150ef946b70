//! Rows out of parquet files: the uid column where there is one, else a stable hash of file name and key.
use super::part::Rows;
use crate::{
    Batches, IoError, Location, Result, RowChoice, SourceFile, Storage, TableReader,
    uids::{is_uid_type, stable_uid},
};
use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, SchemaRef},
};
use cribble_core::Uid;
use std::{ops::Range, sync::Arc};

/// A parquet file with more rows is cut, at the borders of its row groups, into virtual shards of at most this many (one group at least):
/// a shard's uids and flags are held in memory.
pub const MAX_SHARD_ROWS: u64 = 1_000_000;

/// Columns whose text names a sample when there is no uid, best first: img2dataset's, the general one, clip-retrieval's.
const KEY_COLUMNS: [&str; 3] = ["key", "id", "image_path"];

/// Rows of one parquet file, or of a range of them.
pub(super) struct ParquetRows {
    pub storage: Arc<dyn Storage>,
    pub location: Location,
    pub choice: RowChoice,
    /// The row of the file that comes first.
    pub first_row: u64,
    pub schema: SchemaRef,
    /// What goes into the hash of uids that are made.
    pub source: String,
}

impl ParquetRows {
    fn open(&self) -> Result<TableReader> {
        TableReader::from_file(SourceFile::open(&*self.storage, &self.location)?)
    }

    fn hashed_uids(&self, table: &TableReader) -> Result<Vec<Uid>> {
        let key = KEY_COLUMNS.into_iter().find(|name| {
            self.schema
                .field_with_name(name)
                .is_ok_and(|f| is_text(f.data_type()) || f.data_type().is_integer())
        });
        let mut uids = Vec::new();
        for batch in table.read(key.as_slice(), &self.choice, 64 * 1024)? {
            let batch = batch?;
            let keys = match key {
                Some(_) => Some(
                    arrow::compute::cast(batch.column(0), &DataType::Utf8)
                        .map_err(|source| IoError::Arrow { path: self.location.path().into(), source })?,
                ),
                None => None,
            };
            for at in 0..batch.num_rows() {
                let row = self.first_row + uids.len() as u64;
                uids.push(match &keys {
                    Some(keys) if keys.is_valid(at) => {
                        stable_uid(&self.source, keys.as_string::<i32>().value(at))
                    }
                    _ => stable_uid(&self.source, &row.to_string()),
                });
            }
        }
        Ok(uids)
    }
}

fn is_text(kind: &DataType) -> bool {
    is_uid_type(kind)
        && !matches!(
            kind,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
        )
}

impl Rows for ParquetRows {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn read(&self, columns: &[String], batch_rows: usize) -> Result<Batches> {
        self.open()?.read(columns, &self.choice, batch_rows)
    }

    fn read_at(&self, columns: &[String], rows: &[u64]) -> Result<Batches> {
        let rows: Vec<u64> = rows.iter().map(|row| self.first_row + row).collect();
        let batch_rows = rows.len();
        self.open()?.read(columns, &RowChoice::At(rows), batch_rows)
    }

    fn uids(&self) -> Result<Vec<Uid>> {
        let table = self.open()?;
        if self.schema.field_with_name("uid").is_ok() {
            table.uids(&self.choice)
        } else {
            self.hashed_uids(&table)
        }
    }
}

/// Row groups gathered into ranges of at most `most` rows (one group at least): groups, first row, rows. One range for an empty file.
pub(super) fn group_ranges(group_rows: &[u64], most: u64) -> Vec<(Range<usize>, u64, u64)> {
    let mut ranges: Vec<(Range<usize>, u64, u64)> = Vec::new();
    let mut first = 0;
    for (group, &rows) in group_rows.iter().enumerate() {
        match ranges.last_mut() {
            Some((groups, _, have)) if *have + rows <= most => {
                groups.end = group + 1;
                *have += rows;
            }
            _ => ranges.push((group..group + 1, first, rows)),
        }
        first += rows;
    }
    if ranges.is_empty() {
        ranges.push((0..0, 0, 0));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_group_once_and_stay_small() {
        assert_eq!(group_ranges(&[], 10), [(0..0, 0, 0)]);
        assert_eq!(
            group_ranges(&[4, 4, 4, 20, 0, 1], 10),
            [(0..2, 0, 8), (2..3, 8, 4), (3..4, 12, 20), (4..6, 32, 1)]
        );
    }
}
