//! Spherical k-means out of core: unit rows, cosine distance, centroids that are normalised means.
//!
//! The decision to question: members are summed in 64-bit fixed point, not in floating point. Integer sums do not depend on their order, so
//! any partition over threads and blocks gives bit-identical centroids; and they do not drift where millions of `f32` are added.
mod accumulate;
mod assign;
mod greedy;
mod pass;
mod seeding;
#[cfg(test)]
mod tests;

use crate::rows::{RowSource, SourceError};
use pass::{Pass, Plan};
use std::ops::ControlFlow;

/// How to train. Build it from `default()` or [`KMeansOptions::new`] and set fields.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KMeansOptions {
    /// Clusters, at least 1. Default 500, the best of density-based pruning on LAION (Abbas et al. 2024).
    pub k: usize,
    /// At most so many passes over the rows. Default 20 (DataComp's `image_based_clustering.py`; SemDeDup's configuration has 100,
    /// which changes little beyond 20). 0 returns the seeds.
    pub iterations: usize,
    /// Training ends when the mean distance changed by no more than this part of its former value and no cluster was re-seeded. Default
    /// 1e-4 (the number, though not the quantity, of scikit-learn's `tol`). 0 or less: only when nothing changes.
    pub tolerance: f64,
    /// Seeds the choice of sample and seeds. Default 0.
    pub seed: u64,
    /// Ceiling in bytes for all buffers of a training, but for rows that the source itself holds in memory, and for
    /// candidates of less than a MiB a thread. Default 1 GiB. It changes how much is read at once; it changes results only where it is too small for
    /// the seeding sample wanted (see [`KMeans::sample_rows`]).
    pub memory_bytes: usize,
}

impl Default for KMeansOptions {
    fn default() -> Self {
        Self { k: 500, iterations: 20, tolerance: 1e-4, seed: 0, memory_bytes: 1 << 30 }
    }
}

impl KMeansOptions {
    /// The defaults with `k` clusters.
    pub fn new(k: usize) -> Self {
        Self { k, ..Self::default() }
    }
}

/// What one pass over the rows found, and what was changed after it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct IterationStats {
    /// Number of the pass, from 1.
    pub iteration: usize,
    /// Mean similarity of the rows to their nearest centroid, with the centroids that the pass began with. All-zero rows do not count.
    pub mean_sim: f64,
    /// Rows whose nearest centroid is another than in the pass before (all of them in the first). `None` where the former labels would take
    /// more than an eighth of the memory ceiling.
    pub moved: Option<u64>,
    /// Empty clusters that were given a new centroid after the pass.
    pub reseeded: usize,
    /// Clusters that no row was nearest to in this pass. Those that were not re-seeded keep their centroid: there were not enough rows away
    /// from their centroid, as when k is above the number of distinct rows.
    pub empty: usize,
}

/// Trained centroids.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeans {
    /// `[k, dim]` row-major, unit length, never NaN.
    pub centroids: Vec<f32>,
    /// Values in a row.
    pub dim: usize,
    /// One entry a pass.
    pub iterations: Vec<IterationStats>,
    /// Whether training ended by the tolerance, not by the limit of passes.
    pub converged: bool,
    /// Rows that the seeds were chosen among: all, or a sample of 16 rows a cluster (at least 8,192), fewer where the memory ceiling says so.
    pub sample_rows: usize,
}

/// Centroids could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum KMeansError {
    /// `k` is 0.
    #[error("0 clusters were asked for; expected at least 1")]
    NoClusters,
    /// Fewer rows than clusters.
    #[error("{k} clusters were asked of {rows} rows; expected at most as many clusters as rows")]
    TooFewRows {
        /// Clusters asked for.
        k: usize,
        /// Rows of the source.
        rows: usize,
    },
    /// More clusters than 32 bits number.
    #[error("{k} clusters were asked for; at most {limit} can be numbered")]
    TooManyClusters {
        /// Clusters asked for.
        k: usize,
        /// The most that are possible.
        limit: usize,
    },
    /// A source whose rows have no values.
    #[error("the rows have no values (dimension 0)")]
    NoDimension,
    /// All rows are zero.
    #[error("all {rows} rows are zero: none has a direction to cluster by")]
    NoDirection {
        /// Rows of the source.
        rows: usize,
    },
    /// The ceiling is too low for the centroids and their sums.
    #[error(
        "{k} centroids of {dim} values need {needed} bytes at least, more than the ceiling of {allowed} bytes"
    )]
    Memory {
        /// Clusters asked for.
        k: usize,
        /// Values in a row.
        dim: usize,
        /// Bytes needed at least.
        needed: usize,
        /// The ceiling in bytes.
        allowed: usize,
    },
    /// The source failed.
    #[error("rows {start}..{end} could not be read")]
    Source {
        /// First row of the read.
        start: usize,
        /// One past its last row.
        end: usize,
        /// Why.
        #[source]
        error: SourceError,
    },
    /// The caller broke off.
    #[error("cancelled after {iterations} passes")]
    Cancelled {
        /// Passes that were done.
        iterations: usize,
    },
}

/// Trains `k` centroids on all rows of the source.
///
/// 1. Seeds by greedy k-means++ with the distance `1 − similarity` (half the squared Euclidean distance of unit rows), on a sample
///    ([`KMeans::sample_rows`]) spread evenly over the source: each seed is the best of `2 + 0.7 log₂ k` draws, by distances of 8 bits a value.
/// 2. Passes: each row goes to the nearest centroid (exactly, ties to the lower index), each centroid becomes the normalised mean of its
///    rows. A mean without direction (its length is within the rounding of the sums, as of rows that cancel out) leaves the centroid as it was.
/// 3. After each pass every empty cluster is given the row farthest from its centroid (ties to the lower row; each row once, equal rows
///    once; at most 4,096 clusters a pass), unless only rows at distance below 1e-6 are left.
///
/// All-zero rows (no direction) take no part. The result depends on rows, k, passes, tolerance and seed, and on the ceiling only through the
/// sample; never on threads. `on_iteration` sees each pass and may break off ([`KMeansError::Cancelled`]); to break off sooner let the
/// source's `read` fail. If the rows (or less than the ceiling leaves) fit in memory they are read once, else once a pass, the next
/// block during the work on the current one.
pub fn train(
    source: &dyn RowSource,
    options: &KMeansOptions,
    on_iteration: &dyn Fn(&IterationStats) -> ControlFlow<()>,
) -> Result<KMeans, KMeansError> {
    let plan = Plan::new(source, options)?;
    let (dim, k) = (source.dim(), options.k);
    let (sample, sample_rows) = seeding::sample(source, &plan, options.seed)?;
    let mut centroids = greedy::seed(&sample, dim, k, options.seed);
    drop(sample);
    let mut iterations: Vec<IterationStats> = Vec::new();
    let mut converged = false;
    let mut pass = Pass::new(source, &plan, k)?;
    while iterations.len() < options.iterations && !converged {
        let found = pass.run(&centroids)?;
        let empty = pass.update(&mut centroids);
        let reseeded = pass.reseed(&empty, &mut centroids)?;
        let stats = IterationStats {
            iteration: iterations.len() + 1,
            mean_sim: found.mean_sim,
            moved: found.moved,
            reseeded,
            empty: empty.len(),
        };
        if let Some(former) = iterations.last() {
            let (before, now) = (1.0 - former.mean_sim, 1.0 - stats.mean_sim);
            let settled = (before - now).abs() <= options.tolerance * before.abs() || before == now;
            converged = reseeded == 0 && (settled || stats.moved == Some(0));
        }
        iterations.push(stats);
        if on_iteration(&stats).is_break() {
            return Err(KMeansError::Cancelled { iterations: iterations.len() });
        }
    }
    Ok(KMeans { centroids, dim, iterations, converged, sample_rows })
}
