//! What a task sees: the input, the steps before its own, its own folder, and the ceilings. Everything a task reads of earlier steps goes
//! through here, so that the positional joins are proven in one place.
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use arrow::{
    array::ArrayRef,
    datatypes::{Field, Schema, SchemaRef},
};
use cribble_core::{Cancel, Error, Progress, Result, StepOptions, Uid, name_hint};
use cribble_io::{
    ArrayReader, SourceFile,
    npy::NpyFile,
    source::{ArrayInfo, Dataset},
};

use crate::{
    ErrorRow, Provides, Verdicts,
    columns::ColumnReader,
    errors::write_errors,
    table::{TableReader, TableSchema, write_table},
    view::{EMBEDDED_ANEW, not_whole},
};

/// An earlier step of the same run.
#[derive(Debug, Clone)]
pub struct StepRef {
    /// Its folder.
    pub path: PathBuf,
    /// Its options.
    pub options: StepOptions,
    /// Its folder's name.
    pub name: String,
    /// What it provides.
    pub provides: Provides,
    /// Its hash: the same where its files are the same.
    pub hash: String,
}

/// What a task sees.
pub struct StepContext<'a> {
    /// The input.
    pub dataset: &'a Dataset,
    /// Steps before this one, in order.
    pub before: &'a [StepRef],
    /// Tars with the pixels, as the recipe names them.
    pub images: Option<&'a str>,
    /// Folder of this step.
    pub folder: &'a Path,
    /// Folder of the whole run.
    pub run: &'a Path,
    /// Memory ceiling of the whole process, in bytes.
    pub memory: u64,
    /// Number of threads.
    pub threads: usize,
    /// Where progress goes.
    pub progress: &'a dyn Progress,
    /// Asked often: whether to stop.
    pub cancel: &'a Cancel,
    /// Uids that were read before.
    pub(crate) uids: &'a UidCache,
}

/// The uids of shards, kept as far as a 64th of the ceiling goes: nearly every phase asks for them, and parsing them costs more than most
/// of what is then done with them.
#[derive(Debug, Default)]
pub struct UidCache(Mutex<(u64, HashMap<u32, Vec<Uid>>)>);

impl UidCache {
    /// The uids of a shard, in row order. `memory` is the ceiling.
    pub(crate) fn read(&self, dataset: &Dataset, memory: u64, shard: u32) -> Result<Vec<Uid>> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().1.get(&shard) {
            return Ok(known.clone());
        }
        let uids = dataset.uids(shard)?;
        let (held, known) = &mut *lock();
        let bytes = size_of_val(&uids[..]) as u64;
        if *held + bytes <= memory / 64 && known.insert(shard, uids.clone()).is_none() {
            *held += bytes;
        }
        Ok(uids)
    }
}

/// An embedding that is there: an array of the input or of an `embed` step.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// Name, dimension and element type.
    pub info: ArrayInfo,
    /// Where an embed step puts it, one file a shard; `None` for an array of the input.
    pub folder: Option<PathBuf>,
}

impl Embedding {
    /// Opens the rows of one shard, after a look at their shape. Values are as stored, not normalised.
    ///
    /// # Errors
    /// The file is missing, or of another shape.
    pub fn open(&self, dataset: &Dataset, shard: u32) -> Result<ArrayReader> {
        let ArrayInfo { name, dim, .. } = &self.info;
        let of = &dataset.shards()[shard as usize];
        let (reader, cure) = match &self.folder {
            None => {
                let cure = "`cribble check` lists the shards whose arrays do not fit";
                (dataset.open_array(shard, name)?, cure)
            }
            Some(folder) => {
                let path = folder.join(format!("{}.npy", of.name));
                if !path.exists() {
                    return Err(not_whole(&path, EMBEDDED_ANEW));
                }
                let file = NpyFile::open(SourceFile::open_local(path)?)?;
                (ArrayReader::from_npy(name, &file), EMBEDDED_ANEW)
            }
        };
        if reader.rows() != of.rows || reader.dim() != *dim {
            let (rows, found) = (reader.rows(), reader.dim());
            return Err(Error::input(format!(
                "shard {}: '{name}' is [{rows}, {found}], expected [{}, {dim}]",
                of.name, of.rows
            ))
            .with_hint(cure));
        }
        Ok(reader)
    }
}

impl StepContext<'_> {
    /// Number of shards.
    pub fn shards(&self) -> u32 {
        self.dataset.shards().len() as u32
    }

    /// Rows of a shard.
    pub fn rows(&self, shard: u32) -> usize {
        self.dataset.shards()[shard as usize].rows as usize
    }

    /// Name of a shard, used in the names of its files.
    pub fn shard_name(&self, shard: u32) -> &str {
        &self.dataset.shards()[shard as usize].name
    }

    /// The uids of a shard, in row order.
    pub fn uids(&self, shard: u32) -> Result<Vec<Uid>> {
        self.uids.read(self.dataset, self.memory, shard)
    }

    /// Which rows of a shard every step before has kept.
    pub fn kept(&self, shard: u32, uids: &[Uid]) -> Result<Vec<bool>> {
        match self.before.last() {
            None => Ok(vec![true; uids.len()]),
            Some(step) => {
                let keep = TableReader::keep(&self.table_path(step, shard), uids)?;
                Ok(keep.into_iter().map(|keep| keep == Some(true)).collect())
            }
        }
    }

    /// Number of rows that every step before has kept.
    pub fn kept_rows(&self) -> Result<u64> {
        match self.before.last() {
            None => Ok(self.dataset.shards().iter().map(|shard| shard.rows).sum()),
            Some(step) => Ok(read_step_report(&step.path)?.counts.kept),
        }
    }

    /// The table of a shard in an earlier step.
    pub fn table_path(&self, step: &StepRef, shard: u32) -> PathBuf {
        step.path.join(format!("{}.parquet", self.shard_name(shard)))
    }

    /// The last earlier step of a kind.
    pub fn earlier(&self, kind: &str) -> Option<&StepRef> {
        self.before.iter().rev().find(|step| step.options.kind() == kind)
    }

    /// A column of an earlier step, whole, aligned and proven.
    pub fn step_column(&self, step: &StepRef, shard: u32, uids: &[Uid], name: &str) -> Result<ArrayRef> {
        TableReader::column(&self.table_path(step, shard), uids, name)
    }

    /// All columns that expressions may use: the input's, then those of earlier steps, which hide columns of the same name before them.
    pub fn schema(&self) -> Result<SchemaRef> {
        let mut fields: Vec<Field> =
            self.dataset.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        for step in self.before {
            for field in self.step_schema(step)?.0.fields() {
                fields.retain(|known| known.name() != field.name());
                fields.push(field.as_ref().clone());
            }
        }
        Ok(std::sync::Arc::new(Schema::new(fields)))
    }

    /// The own columns of an earlier step: those that it says it writes, else those of its table. The table alone would not do: when recipes are
    /// checked it may still be the one of an earlier recipe.
    pub(crate) fn step_schema(&self, step: &StepRef) -> Result<TableSchema> {
        if !step.provides.columns.is_empty() {
            return Ok(TableSchema(std::sync::Arc::new(Schema::new(step.provides.columns.clone()))));
        }
        match self.dataset.shards().first() {
            Some(_) if self.table_path(step, 0).exists() => TableSchema::read(&self.table_path(step, 0)),
            _ => Ok(TableSchema(std::sync::Arc::new(Schema::empty()))),
        }
    }

    /// Reads columns by name, aligned row for row, from the input and earlier steps.
    pub fn columns(&self, shard: u32, names: &[String], batch_rows: usize) -> Result<ColumnReader> {
        ColumnReader::open(self, shard, names, batch_rows)
    }

    /// The embedding of a name, of the input or of an earlier embed step, or an error that lists those there are.
    pub fn embedding(&self, name: &str) -> Result<Embedding> {
        let made = self.before.iter().flat_map(|step| &step.provides.embeddings);
        if let Some(info) = made.clone().find(|array| array.name == name) {
            return Ok(Embedding { info: info.clone(), folder: Some(self.embedding_folder(name)) });
        }
        let arrays = self.dataset.arrays();
        arrays
            .iter()
            .find(|array| array.name == name)
            .map(|info| Embedding { info: info.clone(), folder: None })
            .ok_or_else(|| {
                let names: Vec<&str> = arrays.iter().chain(made).map(|array| array.name.as_str()).collect();
                Error::usage(format!("there is no embedding '{name}'")).with_hint(if names.is_empty() {
                    "the input has no arrays (DataComp's lie in an .npz beside each .parquet); an embed step before this one makes some"
                        .to_string()
                } else {
                    name_hint(name, names.iter().copied())
                })
            })
    }

    /// Where an embed step of this run puts an embedding.
    pub fn embedding_folder(&self, name: &str) -> PathBuf {
        self.run.join("embeddings").join(name)
    }

    /// [`Embedding::open`] on the input.
    pub fn open_embedding(&self, embedding: &Embedding, shard: u32) -> Result<ArrayReader> {
        embedding.open(self.dataset, shard)
    }

    /// A file that lives only until the step is complete.
    pub fn scratch(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(".scratch").join(name)
    }

    /// Writes the table of a shard in this step's folder, and its error rows.
    pub fn write_verdicts(
        &self,
        shard: u32,
        uids: &[Uid],
        verdicts: &Verdicts,
        columns: Vec<(Field, ArrayRef)>,
        errors: &[ErrorRow],
    ) -> Result<u64> {
        if !errors.is_empty() {
            write_errors(&self.scratch(format!("errors/{}.parquet", self.shard_name(shard))), errors)?;
        }
        let path = self.folder.join(format!("{}.parquet", self.shard_name(shard)));
        write_table(&path, uids, verdicts, columns)?;
        std::fs::metadata(&path)
            .map(|data| data.len())
            .map_err(|error| Error::input(format!("{}: {error}", path.display())))
    }

    /// An error row of this step.
    pub fn error_row(
        &self,
        uid: Uid,
        shard: u32,
        row: usize,
        code: &str,
        message: impl Into<String>,
    ) -> ErrorRow {
        ErrorRow {
            uid,
            shard: self.shard_name(shard).into(),
            row: row as u64,
            step: self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            code: code.into(),
            message: message.into(),
        }
    }
}

/// Reads `report.json` of a complete step.
pub(crate) fn read_step_report(folder: &Path) -> Result<cribble_core::StepReport> {
    let path = folder.join("report.json");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::input(format!("{}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        Error::input(format!("{}: not a step report: {error}", path.display()))
            .with_hint("delete the step's folder and run again")
    })
}
