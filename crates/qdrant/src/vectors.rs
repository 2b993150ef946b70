//! The embeddings of a finished run, each a named vector of the collection: arrays of its input and what its `embed` steps made.
use cribble_core::Result;
use cribble_io::{ArrayReader, Dataset};
use cribble_math::{RowState, rows::normalize};
use cribble_pipeline::{Embedding, RunFolder};

/// One embedding.
#[derive(Debug, Clone)]
pub struct VectorSpace {
    /// Its name in the run, and in the collection.
    pub name: String,
    /// Numbers in a vector.
    pub dim: usize,
    embedding: Embedding,
}

impl VectorSpace {
    /// All embeddings of a run, those of the input first.
    ///
    /// # Errors
    /// A file that its step must have written is missing or broken.
    pub fn all(run: &RunFolder, dataset: &Dataset) -> Result<Vec<Self>> {
        let mut names = run.embedding_names(dataset);
        names.sort_by_key(|(_, step)| *step);
        let space = |(name, _): (String, _)| {
            let embedding = run.embedding(dataset, &name)?.embedding;
            Ok(Self { name, dim: embedding.info.dim, embedding })
        };
        names.into_iter().map(space).collect()
    }

    /// The embeddings named, in their order in the run; all where none is named.
    ///
    /// # Errors
    /// A name that none has; a run without embeddings; those of [`VectorSpace::all`].
    pub fn chosen(run: &RunFolder, dataset: &Dataset, names: &[String]) -> Result<Vec<Self>> {
        let mut all = Self::all(run, dataset)?;
        if all.is_empty() {
            return Err(run.no_embeddings());
        }
        // The run knows names that are close to a wrong one.
        names.iter().try_for_each(|name| run.embedding(dataset, name).map(drop))?;
        all.retain(|space| names.is_empty() || names.contains(&space.name));
        Ok(all)
    }

    /// Opens the rows of a shard.
    ///
    /// # Errors
    /// The file is missing, or of another shape.
    pub fn open(&self, dataset: &Dataset, shard: u32) -> Result<SpaceReader> {
        Ok(SpaceReader { reader: self.embedding.open(dataset, shard)?, dim: self.dim })
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
