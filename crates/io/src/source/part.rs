//! What a layout turns its files into: parts, each one shard. A layout decides only which rows and arrays belong together; everything that is
//! the same for all layouts (types, order, checks) happens once, in `Dataset`.
use super::{LayoutKind, pixels::Pixels};
use crate::{
    ArrayReader, Batches, IoError, Location, Result, SourceFile, Storage,
    npy::{ElementType, NpyFile},
    npz::Npz,
};
use arrow::{array::UInt64Array, compute::take_record_batch, datatypes::SchemaRef};
use cribble_core::Uid;
use std::collections::BTreeMap;

/// The rows of one shard. Opened anew for each reading, so that a dataset of many shards holds no open files.
pub(super) trait Rows: Send + Sync {
    /// The columns of the source, without anything made up.
    fn schema(&self) -> SchemaRef;

    /// Streams columns that exist in the schema, in the order of the names, all rows in row order.
    fn read(&self, columns: &[String], batch_rows: usize) -> Result<Batches>;

    /// As [`Rows::read`], of these rows alone, ascending and each once. Layouts that can skip the others override it.
    fn read_at(&self, columns: &[String], rows: &[u64]) -> Result<Batches> {
        let (mut start, rows) = (0, rows.to_vec());
        Ok(Box::new(self.read(columns, 8192)?.map(move |batch| {
            let batch = batch?;
            let range = start..start + batch.num_rows() as u64;
            start = range.end;
            let here = rows.iter().filter(|row| range.contains(row)).map(|row| row - range.start);
            take_record_batch(&batch, &UInt64Array::from_iter_values(here))
                .map_err(|source| IoError::Arrow { path: "the input".into(), source })
        })))
    }

    /// One uid a row, in row order.
    fn uids(&self) -> Result<Vec<Uid>>;
}

/// One shard as a layout found it.
pub(super) struct Part {
    /// Unique, fit for a file name.
    pub name: String,
    pub rows: Box<dyn Rows>,
    pub row_count: u64,
    pub files: Vec<Location>,
    pub arrays: BTreeMap<String, ArraySource>,
    /// What identifies the part where its files are too many to look into.
    pub identity: Option<[u8; 32]>,
}

/// What a layout made of an input.
pub(super) struct Found {
    pub kind: LayoutKind,
    pub why: String,
    pub parts: Vec<Part>,
    /// Things worth saying, such as that there are no arrays.
    pub notes: Vec<String>,
    /// How the images of its rows are found.
    pub pixels: Pixels,
}

/// Where an array of one shard lies.
#[derive(Debug, Clone)]
pub(super) struct ArraySource {
    pub location: Location,
    pub element: ElementType,
    pub dim: u64,
    /// Rows of the whole file or member.
    pub rows: u64,
    /// The rows that belong to the shard, when they are not all: first and count.
    pub slice: Option<(u64, u64)>,
    pub place: ArrayPlace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArrayPlace {
    Npz,
    Npy,
    Headerless,
}

impl ArraySource {
    /// From an npy file that is open already. Arrays of one dimension and of whole numbers are refused: embeddings are meant.
    pub fn npy(file: &NpyFile, place: ArrayPlace) -> Result<Self> {
        let header = file.header();
        if header.shape.len() != 2 || !header.element.is_float() {
            let found = format!("{:?} of {}", header.shape, header.element);
            return Err(IoError::malformed(
                file.file().path(),
                "array",
                None,
                "[rows, dim] of f16, f32 or f64",
                found,
            ));
        }
        Ok(Self {
            location: file.file().location().clone(),
            element: header.element,
            dim: header.width(),
            rows: header.rows(),
            slice: None,
            place,
        })
    }

    pub fn open(&self, storage: &dyn Storage, name: &str) -> Result<ArrayReader> {
        let file = SourceFile::open(storage, &self.location)?;
        let reader = match self.place {
            ArrayPlace::Npz => Npz::open(file)?.open_array(name)?,
            ArrayPlace::Npy => ArrayReader::from_npy(name, &NpyFile::open(file)?),
            ArrayPlace::Headerless => {
                ArrayReader::from_npy(name, &NpyFile::headerless(file, self.element, self.dim)?)
            }
        };
        // The file may have been replaced since the dataset was opened.
        if reader.rows() != self.rows || reader.dim() as u64 != self.dim {
            let expected = format!("[{}, {}] as when it was opened", self.rows, self.dim);
            let found = format!("[{}, {}]", reader.rows(), reader.dim());
            return Err(IoError::malformed(self.location.path(), "array", None, expected, found));
        }
        match self.slice {
            Some((first, rows)) => reader.slice(first, rows),
            None => Ok(reader),
        }
    }

    /// `[n, 512] f16`.
    pub fn kind(&self) -> String {
        format!("[n, {}] {}", self.dim, self.element)
    }
}

/// Row ranges of at most `most` rows: `(first, count)`. No rows give one empty range, so that an empty shard stays a shard.
pub(super) fn cut(rows: u64, most: u64) -> Vec<(u64, u64)> {
    if rows == 0 {
        return vec![(0, 0)];
    }
    (0..rows.div_ceil(most)).map(|piece| (piece * most, most.min(rows - piece * most))).collect()
}
