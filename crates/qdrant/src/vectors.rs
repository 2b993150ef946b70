//! The embeddings of a finished run: arrays of its input and what its `embed` steps made. Each becomes a named vector of the collection.
use std::path::PathBuf;

use cribble_core::{Error, Result, name_hint};
use cribble_io::{ArrayReader, Dataset, SourceFile, npy::NpyFile};
use cribble_math::{RowState, rows::normalize};
use cribble_models::Identity;
use cribble_pipeline::{EMBEDDED_ANEW, RunFolder, StepState, not_whole};

/// One embedding.
#[derive(Debug, Clone)]
pub struct VectorSpace {
    /// Its name in the run, and in the collection.
    pub name: String,
    /// Numbers in a vector.
    pub dim: usize,
    /// Where an embed step put it, one file a shard; `None` for an array of the input.
    folder: Option<PathBuf>,
}

impl VectorSpace {
    /// All embeddings of a run, those of the input first.
    ///
    /// # Errors
    /// A file that its step must have written is missing or broken.
    pub fn all(run: &RunFolder, dataset: &Dataset) -> Result<Vec<Self>> {
        let given = dataset.arrays().iter();
        let mut spaces: Vec<Self> =
            given.map(|array| Self { name: array.name.clone(), dim: array.dim, folder: None }).collect();
        for step in run.manifest.steps.iter().filter(|step| step.state == StepState::Complete) {
            for name in &step.embeddings {
                let folder = run.path().join("embeddings").join(name);
                let identity = read_identity(&folder)?;
                spaces.push(Self { name: name.clone(), dim: identity.dim, folder: Some(folder) });
            }
        }
        Ok(spaces)
    }

    /// The embeddings named, in their order in the run; all where none is named.
    ///
    /// # Errors
    /// A name that none has; a run without embeddings.
    pub fn chosen(run: &RunFolder, dataset: &Dataset, names: &[String]) -> Result<Vec<Self>> {
        let all = Self::all(run, dataset)?;
        if all.is_empty() {
            return Err(Error::input(format!("{} has no embeddings", run.path().display()))
                .with_hint("add an embed step before the others: `cribble embed --help`"));
        }
        for name in names {
            if !all.iter().any(|space| space.name == *name) {
                let known: Vec<&str> = all.iter().map(|space| space.name.as_str()).collect();
                return Err(Error::usage(format!("the run has no embedding '{name}'"))
                    .with_hint(name_hint(name, known.iter().copied())));
            }
        }
        Ok(all.into_iter().filter(|space| names.is_empty() || names.contains(&space.name)).collect())
    }

    /// The embedding that questions are put to: the one named, else the first of images, else the first.
    ///
    /// # Errors
    /// As [`VectorSpace::chosen`].
    pub fn asked(run: &RunFolder, dataset: &Dataset, name: Option<&str>) -> Result<Self> {
        let names: Vec<String> = name.into_iter().map(Into::into).collect();
        let mut all = Self::chosen(run, dataset, &names)?;
        let place = all.iter().position(|space| space.name.ends_with("_img")).unwrap_or_default();
        Ok(all.swap_remove(place))
    }

    /// Who made the vectors; `None` for an array of the input, which does not say.
    pub fn model(&self) -> Result<Option<Identity>> {
        self.folder.as_deref().map(read_identity).transpose()
    }

    /// Opens the rows of a shard.
    ///
    /// # Errors
    /// The file is missing, or of another shape.
    pub fn open(&self, dataset: &Dataset, shard: u32) -> Result<SpaceReader> {
        let info = &dataset.shards()[shard as usize];
        let reader = match &self.folder {
            None => dataset.open_array(shard, &self.name)?,
            Some(folder) => {
                let path = folder.join(format!("{}.npy", info.name));
                if !path.exists() {
                    return Err(not_whole(&path, EMBEDDED_ANEW));
                }
                let file = SourceFile::open_local(path)?;
                ArrayReader::from_npy(&self.name, &NpyFile::open(file)?)
            }
        };
        if reader.rows() != info.rows || reader.dim() != self.dim {
            let (rows, dim) = (reader.rows(), reader.dim());
            return Err(Error::input(format!(
                "shard {}: '{}' is [{rows}, {dim}], expected [{}, {}]",
                info.name, self.name, info.rows, self.dim
            ))
            .with_hint("`cribble check` lists the shards whose arrays do not fit; an embedding of the run itself is made again by a run with a new --out"));
        }
        Ok(SpaceReader { reader, dim: self.dim })
    }
}

/// The vectors of a shard.
pub struct SpaceReader {
    reader: ArrayReader,
    dim: usize,
}

impl SpaceReader {
    /// `rows` vectors from `start`, of unit length, `[rows, dim]`, and which of them have a direction: the others are zero.
    pub fn read(&mut self, start: u64, rows: usize) -> Result<(Vec<f32>, Vec<bool>)> {
        let mut values = vec![0.0; rows * self.dim];
        self.reader.read_f32(start, &mut values)?;
        let states = normalize(&mut values, self.dim);
        Ok((values, states.into_iter().map(|state| state == RowState::Unit).collect()))
    }
}

fn read_identity(folder: &std::path::Path) -> Result<Identity> {
    let path = folder.join("model.json");
    let again = "the embedding is not whole: restore the file, or run the recipe again with a new --out";
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::input(format!("{}: {error}", path.display())).with_hint(again))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::input(format!("{}: {error}", path.display())).with_hint(again))
}
