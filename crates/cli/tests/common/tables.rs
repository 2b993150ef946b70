//! The tables and vectors that a run wrote, read shard by shard.
use std::{fs, path::Path};

use arrow::array::ArrayRef;
use cribble_core::Uid;
use cribble_io::{ArrayReader, RowChoice, SourceFile, TableReader, npy::NpyFile};

/// The table of one shard in a step's folder.
pub struct StepTable {
    /// The shard's name.
    pub shard: String,
    /// Its rows.
    pub uids: Vec<Uid>,
    table: TableReader,
}

impl StepTable {
    /// A column over all rows; `None` where the table has no such column.
    pub fn column(&self, name: &str) -> Option<ArrayRef> {
        self.table.schema().field_with_name(name).ok()?;
        let parts: Vec<ArrayRef> = self
            .table
            .read(&[name], &RowChoice::All, 1000)
            .unwrap()
            .map(|batch| batch.unwrap().column(0).clone())
            .collect();
        let whole = arrow::compute::concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap();
        assert_eq!(whole.len(), self.uids.len(), "{name} of {}", self.shard);
        Some(whole)
    }

    /// The shard's vectors of an embedding of the run; `None` where there is no such embedding.
    pub fn vectors(&self, run: &Path, embedding: &str) -> Option<Vec<Vec<f32>>> {
        let path = run.join("embeddings").join(embedding).join(format!("{}.npy", self.shard));
        let found = path.exists().then(|| vectors(&path))?;
        assert_eq!(found.len(), self.uids.len(), "{}", path.display());
        Some(found)
    }
}

/// The tables of a step, all shards.
pub fn step_tables(run: &Path, step: &str) -> Vec<StepTable> {
    let paths = fs::read_dir(run.join("steps").join(step)).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            let has = |name: &str| {
                TableReader::open(path).is_ok_and(|table| table.schema().field_with_name(name).is_ok())
            };
            path.extension().is_some_and(|kind| kind == "parquet") && has("uid") && has("keep")
        })
        .map(|path| {
            let table = TableReader::open(&path).unwrap();
            let shard = path.file_stem().unwrap().to_str().unwrap().to_owned();
            StepTable { shard, uids: table.uids(&RowChoice::All).unwrap(), table }
        })
        .collect()
}

/// The rows of an f16 array.
pub fn vectors(path: &Path) -> Vec<Vec<f32>> {
    let file = NpyFile::open(SourceFile::open_local(path).unwrap()).unwrap();
    assert_eq!(file.element().name(), "f16");
    let mut reader = ArrayReader::from_npy("x", &file);
    let (rows, dim) = (reader.rows() as usize, reader.dim());
    let mut values = vec![0.0; rows * dim];
    reader.read_f32(0, &mut values).unwrap();
    values.chunks(dim).map(<[f32]>::to_vec).collect()
}
