//! An index for runs beyond some millions of rows: an inverted file. Spherical k-means divides the rows into cells, the vectors are copied cell by
//! cell, and a query is compared, exactly, with the rows of the few cells whose centroids are nearest to it (Jégou, Douze and Schmid,
//! "Product quantization for nearest neighbor search", 2011, section IV, here without the quantisation).
//!
//! ```text
//! RUN/index/<embedding>/centroids.npy  f32 [k, d], unit length
//!                       starts.npy     u64 [k + 1]: where the rows of a cell begin
//!                       rows.npy       u64 [n]: shard · 2³² + row, ascending in a cell; rows without a vector are in none
//!                       vectors.npy    f16 or f32 [n, d]: as the embedding has them
//!                       index.json     of which embedding, how many cells are looked at, what recall was measured; written last
//! ```
//! The same embedding gives the same bytes, whatever the threads and the memory. Why not a graph (HNSW) from a crate: ARCHITECTURE.md.
mod build;
mod recall;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use cribble_core::{Error, ErrorKind, IndexRecall, IndexReport, Result};
use cribble_io::{
    SourceFile,
    npy::{ElementType, NpyFile},
};
use cribble_math::{
    nearest::nearest_many,
    rows::normalize,
    top::{Queries, Stored, Top, scan},
};
use cribble_pipeline::{GlobalRow, RunEmbedding, RunView, StepContext, vectors::read_centroids};
use half::f16;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use build::build;

/// Version of the folder. Another one is stale.
const FORMAT: u32 = 1;
const META: &str = "index.json";
const CENTROIDS: &str = "centroids.npy";
const STARTS: &str = "starts.npy";
const ROWS: &str = "rows.npy";
const VECTORS: &str = "vectors.npy";

/// What `index.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    format: u32,
    /// The embedding.
    pub embedding: String,
    /// [`RunEmbedding::version`] of what was indexed.
    version: String,
    dim: usize,
    /// Rows in it.
    pub rows: u64,
    /// Cells.
    pub cells: u64,
    /// Cells that a query looks at.
    pub probes: u64,
    /// What was found of the true nearest rows.
    pub recall: Vec<IndexRecall>,
}

/// What there is of an index.
#[derive(Debug)]
pub enum Found {
    /// Nothing.
    None,
    /// One that must not be used, and why, in words.
    Stale(String),
    /// One of the embedding as it is now.
    Fit(Box<Index>),
}

/// An index that fits its embedding.
#[derive(Debug)]
pub struct Index {
    folder: PathBuf,
    meta: Meta,
    centroids: Vec<f32>,
    starts: Vec<u64>,
    rows: NpyFile,
    vectors: NpyFile,
}

/// Where the index of an embedding lies in a run.
pub fn folder(run: &Path, embedding: &str) -> PathBuf {
    run.join("index").join(embedding.replace(['/', '\\'], "_"))
}

impl Index {
    /// Looks for the index of an embedding.
    ///
    /// # Errors
    /// The files of a fitting index are damaged or cannot be read.
    pub fn find(view: &RunView, embedding: &RunEmbedding) -> Result<Found> {
        let name = &embedding.embedding.info.name;
        let folder = folder(view.run.path(), name);
        let path = folder.join(META);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::None),
            Err(error) => return Err(Error::wrap(ErrorKind::Input, error).context(path.display())),
        };
        let Ok(meta) = serde_json::from_str::<Meta>(&text) else {
            return Ok(Found::Stale(format!("{} is not what this program writes", path.display())));
        };
        if meta.format != FORMAT {
            return Ok(Found::Stale(format!("{} is of another version of the program", path.display())));
        }
        if meta.version != embedding.version {
            return Ok(Found::Stale(format!("'{name}' changed since its index was built")));
        }
        Ok(Found::Fit(Box::new(Self::open(folder, meta)?)))
    }

    fn open(folder: PathBuf, meta: Meta) -> Result<Self> {
        let damaged = |what: String| {
            Error::input(format!("{}: {what}", folder.display()))
                .with_hint("the index is damaged: --index build makes it anew, --index none does without it")
        };
        let file = |name: &str| -> Result<NpyFile> {
            let open = || NpyFile::open(SourceFile::open_local(folder.join(name))?);
            open().map_err(|error| damaged(error.to_string()))
        };
        let centroids =
            read_centroids(&folder.join(CENTROIDS), meta.dim).map_err(|e| damaged(e.message().into()))?;
        let starts = file(STARTS)?.read_all::<u64>()?;
        let (rows, vectors) = (file(ROWS)?, file(VECTORS)?);
        let fits = rows.rows() == meta.rows
            && rows.element() == ElementType::U64
            && vectors.rows() == meta.rows
            && vectors.width() == meta.dim as u64
            && matches!(vectors.element(), ElementType::F16 | ElementType::F32)
            && starts.len() as u64 == meta.cells + 1
            && centroids.len() as u64 == meta.cells * meta.dim as u64
            && starts.is_sorted()
            && starts.first() == Some(&0)
            && starts.last() == Some(&meta.rows);
        if !fits {
            return Err(damaged(format!("its files are not those of the {} rows in {META}", meta.rows)));
        }
        Ok(Self { folder, meta, centroids, starts, rows, vectors })
    }

    /// What it says of itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The same, for people and programs.
    pub fn report(&self) -> Result<IndexReport> {
        let mut bytes = 0;
        for name in [META, CENTROIDS, STARTS, ROWS, VECTORS] {
            let path = self.folder.join(name);
            let data = std::fs::metadata(&path)
                .map_err(|error| Error::wrap(ErrorKind::Input, error).context(path.display()))?;
            bytes += data.len();
        }
        Ok(IndexReport {
            embedding: self.meta.embedding.clone(),
            folder: self.folder.display().to_string(),
            rows: self.meta.rows,
            cells: self.meta.cells,
            probes: self.meta.probes,
            recall: self.meta.recall.clone(),
            bytes,
            seconds: None,
        })
    }

    /// The `most` best rows of a single query among those of the cells nearest to it; every similarity is exact. Row numbers are
    /// [`GlobalRow`]s.
    pub fn search(
        &self,
        context: &StepContext<'_>,
        queries: &Queries,
        most: usize,
        without: Option<GlobalRow>,
    ) -> Result<Top> {
        let cells = self.nearest_cells(queries.values(0), self.meta.probes as usize);
        cells
            .par_iter()
            .with_max_len(1)
            .map(|&cell| self.cell(context, queries, most, cell as usize, without))
            .try_reduce(
                || Top::new(most),
                |mut a, b| {
                    a.merge(b);
                    Ok(a)
                },
            )
    }

    /// The cells whose centroids are nearest to a vector, the nearest first.
    fn nearest_cells(&self, vector: &[f32], probes: usize) -> Vec<u32> {
        let dim = self.meta.dim;
        let probes = probes.min(self.meta.cells as usize);
        if probes == 0 {
            return Vec::new();
        }
        let mut unit = vector.to_vec();
        normalize(&mut unit, dim);
        let (mut cells, mut sims) = (vec![0; probes], vec![0.0; probes]);
        nearest_many(&unit, &self.centroids, dim, probes, &mut cells, &mut sims);
        cells
    }

    fn cell(
        &self,
        context: &StepContext<'_>,
        query: &Queries,
        most: usize,
        cell: usize,
        without: Option<GlobalRow>,
    ) -> Result<Top> {
        context.cancel.check()?;
        let (start, end) = (self.starts[cell], self.starts[cell + 1]);
        let mut tops = query.tops(most);
        // Cells are small, but for those of many like rows: they are read in pieces.
        let block = ((1 << 20) / self.vectors.row_bytes().max(1)).max(1);
        for first in (start..end).step_by(block as usize) {
            let count = block.min(end - first);
            let rows = self.rows.read_rows::<u64>(first, count)?;
            let number = |place: usize| Some(rows[place]).filter(|row| without.is_none_or(|it| it.0 != *row));
            if self.vectors.element() == ElementType::F16 {
                scan(query, Stored::Half(&self.vectors.read_rows::<f16>(first, count)?), number, &mut tops);
            } else {
                scan(query, Stored::Single(&self.vectors.read_rows::<f32>(first, count)?), number, &mut tops);
            }
        }
        tops.pop().ok_or_else(|| Error::bug("a search without a query"))
    }
}
