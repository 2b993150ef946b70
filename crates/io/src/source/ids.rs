//! Ids of a bare array, one a row: lines of text, a column of a csv or parquet file, or an npy of texts or uid pairs. An id of 32
//! hexadecimal characters is the uid; any other text is hashed. Which of the two a file holds is decided by its first id, and then every
//! id has to be of that kind.
use super::{
    LayoutKind,
    layouts::clusters::ClusterIds,
    parquet_rows::ParquetRows,
    part::Rows,
    text_table::{TextRows, TextTable},
};
use crate::{
    Batches, IoError, Location, Result, RowChoice, SourceFile, Storage, TableReader,
    npy::{ElementType, NpyFile},
    uids::stable_uid,
};
use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use cribble_core::Uid;
use std::sync::Arc;

/// An open ids file, or the row numbers that stand in for one.
pub(super) enum Ids {
    /// No file: the row number is the key.
    Numbers,
    Table(TableReader),
    Text(TextTable),
    Npy(NpyFile),
    /// A folder of sorted clusters.
    Clusters(ClusterIds),
}

impl Ids {
    /// Opens an ids file; its extension says what it is.
    pub fn open(storage: &Arc<dyn Storage>, location: &Location, piece_rows: u64) -> Result<Self> {
        if storage.entry(location)?.is_some_and(|entry| entry.is_folder) {
            return ClusterIds::open(storage, location).map(Self::Clusters);
        }
        let file = SourceFile::open(&**storage, location)?;
        Ok(match location.extension().as_str() {
            "parquet" => Self::Table(TableReader::from_file(file)?),
            "npy" => {
                let npy = NpyFile::open(file)?;
                let is_text = matches!(npy.element(), ElementType::Bytes(_) | ElementType::Text(_));
                if (!is_text && npy.element() != ElementType::UidPair) || npy.width() != 1 {
                    let found = format!("{:?} of {}", npy.header().shape, npy.element());
                    return Err(IoError::malformed(
                        location.path(),
                        "ids",
                        None,
                        "texts or uid pairs, one a row",
                        found,
                    ));
                }
                Self::Npy(npy)
            }
            "csv" => Self::Text(TextTable::csv(file, piece_rows)?),
            _ => Self::Text(TextTable::lines(file, piece_rows)?),
        })
    }

    /// How many ids there are, `None` when they are made.
    pub fn rows(&self) -> Option<u64> {
        match self {
            Self::Numbers => None,
            Self::Table(table) => Some(table.rows()),
            Self::Text(table) => Some(table.rows()),
            Self::Npy(npy) => Some(npy.rows()),
            Self::Clusters(clusters) => Some(clusters.rows()),
        }
    }

    /// The files that the ids are read from.
    pub fn files(&self, given: Option<&Location>) -> Vec<Location> {
        match self {
            Self::Clusters(clusters) => clusters.files(),
            _ => given.into_iter().cloned().collect(),
        }
    }

    /// The layout that an array with these ids is.
    pub fn layout(&self) -> LayoutKind {
        if matches!(self, Self::Clusters(_)) { ClusterIds::KIND } else { LayoutKind::Array }
    }

    /// The rows `first..first + count`; `source` goes into made uids. `first` is a multiple of the piece length that the file was opened with.
    pub fn part(
        &self,
        storage: &Arc<dyn Storage>,
        source: &str,
        first: u64,
        count: u64,
    ) -> Result<Box<dyn Rows>> {
        Ok(match self {
            Self::Numbers => Box::new(NumberRows { source: source.into(), first, count }),
            Self::Table(table) => Box::new(ParquetRows {
                storage: storage.clone(),
                location: table.location().clone(),
                choice: RowChoice::Rows(first..first + count),
                first_row: first,
                schema: table.schema().clone(),
                source: source.into(),
            }),
            Self::Text(table) => Box::new(TextRows::new(storage.clone(), table, source, first, count)),
            Self::Clusters(clusters) => clusters.part(storage, source, first, count),
            Self::Npy(npy) => {
                let strict = match npy.element() {
                    ElementType::UidPair => true,
                    _ if npy.rows() == 0 => false,
                    _ => npy.read_texts(0, 1)?.iter().all(|text| Uid::parse(text.as_bytes()).is_ok()),
                };
                Box::new(NpyRows { npy: npy.clone(), source: source.into(), first, count, strict })
            }
        })
    }
}

struct NumberRows {
    source: String,
    first: u64,
    count: u64,
}

impl Rows for NumberRows {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    fn read(&self, _: &[String], batch_rows: usize) -> Result<Batches> {
        let (mut left, most) = (self.count, batch_rows.max(1) as u64);
        Ok(Box::new(std::iter::from_fn(move || {
            let rows = left.min(most);
            left -= rows;
            let options = RecordBatchOptions::new().with_row_count(Some(rows as usize));
            let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
            (rows > 0).then(|| batch.map_err(|source| IoError::Arrow { path: "row numbers".into(), source }))
        })))
    }

    fn uids(&self) -> Result<Vec<Uid>> {
        Ok((self.first..self.first + self.count)
            .map(|row| stable_uid(&self.source, &row.to_string()))
            .collect())
    }
}

struct NpyRows {
    npy: NpyFile,
    source: String,
    first: u64,
    count: u64,
    /// Whether every id must be a uid.
    strict: bool,
}

impl NpyRows {
    fn texts(&self, start: u64, count: u64) -> Result<Vec<String>> {
        match self.npy.element() {
            ElementType::UidPair => {
                Ok(self.npy.read_uids(start, count)?.iter().map(Uid::to_string).collect())
            }
            _ => self.npy.read_texts(start, count),
        }
    }
}

impl Rows for NpyRows {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new(
            if self.strict { "uid" } else { "key" },
            DataType::Utf8,
            false,
        )]))
    }

    fn read(&self, columns: &[String], batch_rows: usize) -> Result<Batches> {
        let fields = self.schema();
        let fields: Vec<_> =
            columns.iter().filter_map(|name| fields.field_with_name(name).ok().cloned()).collect();
        let schema = Arc::new(Schema::new(fields));
        let rows = Self { npy: self.npy.clone(), source: String::new(), ..*self };
        let (mut next, end, most) = (self.first, self.first + self.count, batch_rows.max(1) as u64);
        Ok(Box::new(std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let count = most.min(end - next);
            let start = next;
            next += count;
            let batch = rows.texts(start, count).and_then(|texts| {
                let column: ArrayRef = Arc::new(StringArray::from(texts));
                let columns = schema.fields().iter().map(|_| column.clone()).collect();
                let options = RecordBatchOptions::new().with_row_count(Some(count as usize));
                RecordBatch::try_new_with_options(schema.clone(), columns, &options)
                    .map_err(|source| IoError::Arrow { path: rows.npy.file().path().into(), source })
            });
            if batch.is_err() {
                next = end;
            }
            Some(batch)
        })))
    }

    fn uids(&self) -> Result<Vec<Uid>> {
        let mut uids = Vec::with_capacity(self.count as usize);
        while (uids.len() as u64) < self.count {
            let start = self.first + uids.len() as u64;
            let count = (self.count - uids.len() as u64).min(64 * 1024);
            for (row, text) in (start..).zip(self.texts(start, count)?) {
                uids.push(if self.strict {
                    Uid::parse(text.as_bytes()).map_err(|source| IoError::BadUid {
                        path: self.npy.file().path().into(),
                        row,
                        source,
                    })?
                } else {
                    stable_uid(&self.source, &text)
                });
            }
        }
        Ok(uids)
    }
}
