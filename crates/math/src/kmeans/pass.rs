//! One pass of k-means over a source that may not fit in memory: assign, sum, move the centroids, re-seed the empty ones.
use super::{
    KMeansError, KMeansOptions,
    accumulate::{Change, NO_CLUSTER, Sums},
    assign::Centroids,
    greedy,
};
use crate::{
    propose::{Codes, Kernel, LANES},
    rows::{RowSource, row_count},
    scan::Sources,
};
use rayon::prelude::*;
use std::{cmp::Ordering, collections::BinaryHeap};

/// Rows at a smaller distance than this from their centroid are no use as new centroids: they are copies, up to rounding.
pub(super) const SAME_DIST: f32 = 1e-6;

/// Empty clusters that can be re-seeded after one pass.
const MOST_RESEEDED: usize = 4096;

/// How the memory ceiling is spent.
pub(super) struct Plan {
    /// Rows of a block.
    pub block_rows: usize,
    /// Whether all rows are held in memory.
    pub hold_rows: bool,
    /// Whether the codes of all rows are held in memory; only where the rows are.
    pub hold_codes: bool,
    /// Whether the labels of the former pass are kept.
    pub keep_labels: bool,
    /// Whether a bound for each row and panel of centroids is kept; only where labels are.
    pub keep_bounds: bool,
    /// Most rows of the seeding sample.
    pub sample_rows: usize,
}

/// Rows of one read while all of them are brought into memory.
const HOLD_ROWS: usize = 1024;

impl Plan {
    pub(super) fn new(source: &dyn RowSource, options: &KMeansOptions) -> Result<Self, KMeansError> {
        let (n, dim, k) = (source.len(), source.dim(), options.k);
        if k == 0 {
            return Err(KMeansError::NoClusters);
        }
        if dim == 0 {
            return Err(KMeansError::NoDimension);
        }
        let limit = NO_CLUSTER as usize;
        if k > limit {
            return Err(KMeansError::TooManyClusters { k, limit });
        }
        if k > n {
            return Err(KMeansError::TooFewRows { k, rows: n });
        }
        let allowed = options.memory_bytes;
        let (fixed, block_row) = (Self::fixed_bytes(k, dim), Self::block_row_bytes(dim));
        let needed = fixed.saturating_add(2 * 256 * block_row);
        if needed > allowed {
            return Err(KMeansError::Memory { k, dim, needed, allowed });
        }
        let label_bytes = n.saturating_mul(4);
        let keep_labels = label_bytes <= allowed / 8 && needed.saturating_add(label_bytes) <= allowed;
        let mut left = allowed - fixed - if keep_labels { label_bytes } else { 0 };
        let in_memory = source.as_slice().is_some();
        let rows_bytes = if in_memory { 0 } else { n.saturating_mul(4 * dim) };
        let blocks = 16_384 * block_row;
        let hold_rows = in_memory || rows_bytes.saturating_add(blocks) <= left;
        left -= if hold_rows { rows_bytes } else { 0 };
        let code_bytes = n.saturating_mul(Codes::row_bytes(Kernel::best(), dim));
        let hold_codes = hold_rows && code_bytes.saturating_add(blocks) <= left;
        left -= if hold_codes { code_bytes } else { 0 };
        let bound_bytes = n.saturating_mul(4 * k.div_ceil(LANES));
        let keep_bounds = keep_labels && bound_bytes.saturating_add(blocks) <= left;
        left -= if keep_bounds { bound_bytes } else { 0 };
        let block_rows =
            if hold_rows { 16_384 } else { (left / 2 / block_row / 256 * 256).clamp(256, 16_384) };
        let wanted = k.saturating_mul(16).max(8192).min(n);
        let affordable = (allowed - Self::sample_bytes(k, dim, 0)) / Self::sample_bytes(0, dim, 1);
        let sample_rows = wanted.min(affordable).max(k);
        Ok(Self { block_rows, hold_rows, hold_codes, keep_labels, keep_bounds, sample_rows })
    }

    /// Bytes for centroids (two orders, codes and panels), sums, and what is kept a cluster.
    pub(super) fn fixed_bytes(k: usize, dim: usize) -> usize {
        k.saturating_mul(20 * dim + 140)
    }

    /// Bytes for a row of a block: its values and codes, and its label, similarity, state and changes.
    pub(super) fn block_row_bytes(dim: usize) -> usize {
        6 * dim + 150
    }

    /// Bytes for the seeding: seeds, and a sample with what choosing among it takes.
    pub(super) fn sample_bytes(k: usize, dim: usize, rows: usize) -> usize {
        k.saturating_mul(4 * dim + 8) + rows.saturating_mul(4 * dim + greedy::row_bytes(dim))
    }
}

/// What a pass found.
pub(super) struct Found {
    pub mean_sim: f64,
    pub moved: Option<u64>,
}

/// A row and its similarity to its centroid, ordered by which is worth less as a new centroid: the closer one, then the later one.
#[derive(PartialEq)]
struct Far {
    sim: f32,
    row: usize,
}

impl Eq for Far {}

impl Ord for Far {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sim.total_cmp(&other.sim).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Far {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The buffers of the passes.
pub(super) struct Pass<'a> {
    source: &'a dyn RowSource,
    held: Option<Vec<f32>>,
    block_rows: usize,
    sums: Sums,
    centroids: Centroids,
    /// Codes of each block of rows in memory, or of the current block.
    codes: Vec<Codes>,
    hold_codes: bool,
    former: Option<Vec<u32>>,
    /// `[n, panels]`, or empty.
    bounds: Vec<f32>,
    labels: Vec<u32>,
    changes: Vec<Change>,
    sims: Vec<f32>,
    /// The rows farthest from their centroid; the top is the one to give up first.
    farthest: BinaryHeap<Far>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(source: &'a dyn RowSource, plan: &Plan, k: usize) -> Result<Self, KMeansError> {
        let (n, dim) = (source.len(), source.dim());
        let held = if plan.hold_rows && source.as_slice().is_none() {
            let mut rows = vec![0.0; n * dim];
            // Small pieces, in parallel: half of the time goes into pages that are touched for the first time.
            rows.par_chunks_mut(HOLD_ROWS * dim)
                .enumerate()
                .try_for_each(|(piece, out)| read(source, piece * HOLD_ROWS, out))?;
            Some(rows)
        } else {
            None
        };
        Ok(Self {
            source,
            held,
            block_rows: plan.block_rows,
            sums: Sums::new(k, dim),
            centroids: Centroids::default(),
            codes: Vec::new(),
            hold_codes: plan.hold_codes,
            former: plan.keep_labels.then(|| vec![NO_CLUSTER; n]),
            bounds: if plan.keep_bounds { vec![0.0; n * k.div_ceil(LANES)] } else { Vec::new() },
            labels: Vec::new(),
            changes: Vec::new(),
            sims: Vec::new(),
            farthest: BinaryHeap::new(),
        })
    }

    /// Assigns every row and sums the members.
    pub(super) fn run(&mut self, centroids: &[f32]) -> Result<Found, KMeansError> {
        if self.former.is_none() {
            self.sums.clear();
        }
        self.farthest.clear();
        let (source, dim, n, size) = (self.source, self.source.dim(), self.source.len(), self.block_rows);
        let mut tally = Tally { rows: 0, sim: 0.0, moved: 0 };
        let mut held_centroids = std::mem::take(&mut self.centroids);
        held_centroids.begin_pass(centroids, dim);
        let near = Near { sources: held_centroids.sources(), centroids: &held_centroids };
        let held = self.held.take();
        if let Some(rows) = held.as_deref().or(source.as_slice()) {
            for (block, rows) in rows.chunks(size * dim).enumerate() {
                self.block(rows, block * size, &near, &mut tally);
            }
        } else {
            let (mut current, mut next) = (vec![0.0f32; size.min(n) * dim], Vec::new());
            read(source, 0, &mut current)?;
            for start in (0..n).step_by(size) {
                let following = start + size;
                let mut outcome = Ok(());
                rayon::in_place_scope(|scope| {
                    if following < n {
                        scope.spawn(|_| {
                            next.resize(size.min(n - following) * dim, 0.0);
                            outcome = read(source, following, &mut next);
                        });
                    }
                    self.block(&current, start, &near, &mut tally);
                });
                outcome?;
                std::mem::swap(&mut current, &mut next);
            }
        }
        self.held = held;
        drop(near);
        self.centroids = held_centroids;
        if tally.rows == 0 {
            return Err(KMeansError::NoDirection { rows: n });
        }
        let moved = self.former.is_some().then_some(tally.moved);
        Ok(Found { mean_sim: tally.sim / tally.rows as f64, moved })
    }

    /// Fills `labels` and `sims` for a block.
    fn assign(&mut self, rows: &[f32], start: usize, near: &Near<'_>) {
        let dim = self.source.dim();
        let n = row_count(rows, dim);
        let place = if self.hold_codes { start / self.block_rows } else { 0 };
        if place >= self.codes.len() || !self.hold_codes {
            self.codes.resize_with(place + 1, Codes::default);
            self.codes[place].fill(Kernel::best(), rows, dim);
        }
        self.labels.clear();
        match &self.former {
            Some(former) => self.labels.extend_from_slice(&former[start..start + n]),
            None => self.labels.resize(n, NO_CLUSTER),
        }
        self.sims.resize(n, 0.0);
        let panels = self.sums.counts.len().div_ceil(LANES);
        let bounds = self.bounds.get_mut(start * panels..(start + n) * panels).unwrap_or_default();
        let codes = self.codes[place].of(rows);
        near.centroids.assign(codes, &near.sources, bounds, &mut self.labels, &mut self.sims);
    }

    fn block(&mut self, rows: &[f32], start: usize, near: &Near<'_>, tally: &mut Tally) {
        let dim = self.source.dim();
        self.assign(rows, start, near);
        self.changes.clear();
        let most = self.sums.counts.len().min(MOST_RESEEDED);
        // In row order and on one thread: an f64 sum in a fixed order.
        for (place, (label, &sim)) in self.labels.iter_mut().zip(&self.sims).enumerate() {
            let values = || rows[place * dim..(place + 1) * dim].iter();
            if sim.is_nan() || (sim == 0.0 && values().all(|v| *v == 0.0)) {
                *label = NO_CLUSTER;
                continue;
            }
            let row = start + place;
            tally.rows += 1;
            tally.sim += f64::from(sim);
            let before = match &mut self.former {
                Some(former) => std::mem::replace(&mut former[row], *label),
                None => NO_CLUSTER,
            };
            if before != *label {
                tally.moved += 1;
                let change = |cluster, joins| Change { row: place as u32, cluster, joins };
                self.changes.push(change(*label, true));
                if before != NO_CLUSTER {
                    self.changes.push(change(before, false));
                }
            }
            let far = Far { sim, row };
            if self.farthest.len() < most {
                self.farthest.push(far);
            } else if self.farthest.peek().is_some_and(|top| far < *top) {
                self.farthest.pop();
                self.farthest.push(far);
            }
        }
        self.sums.change(rows, &self.changes);
    }

    /// Moves the centroids to the means of their members; returns the clusters without members, ascending.
    pub(super) fn update(&mut self, centroids: &mut [f32]) -> Vec<usize> {
        self.sums.centroids_into(centroids);
        (0..self.sums.counts.len()).filter(|&cluster| self.sums.counts[cluster] == 0).collect()
    }

    /// Gives empty clusters the farthest rows as centroids; returns how many.
    pub(super) fn reseed(&mut self, empty: &[usize], centroids: &mut [f32]) -> Result<usize, KMeansError> {
        if empty.is_empty() {
            return Ok(0);
        }
        let dim = self.source.dim();
        let far = std::mem::take(&mut self.farthest).into_sorted_vec();
        let mut given: Vec<usize> = Vec::new();
        let mut row = vec![0.0f32; dim];
        let mut clusters = empty.iter();
        // Copies of a row have the same similarity, so only rows of equal similarity need comparing.
        let mut alike = (f32::NAN, 0usize);
        for Far { sim, row: index } in far {
            if given.len() == empty.len() || sim >= 1.0 - SAME_DIST {
                break;
            }
            match self.held.as_deref().or(self.source.as_slice()) {
                Some(rows) => row.copy_from_slice(&rows[index * dim..(index + 1) * dim]),
                None => read(self.source, index, &mut row)?,
            }
            if sim != alike.0 {
                alike = (sim, given.len());
            }
            let centroid_of = |cluster: usize| cluster * dim..(cluster + 1) * dim;
            if given[alike.1..].iter().any(|&cluster| centroids[centroid_of(cluster)] == row[..]) {
                continue;
            }
            let Some(&cluster) = clusters.next() else { break };
            centroids[centroid_of(cluster)].copy_from_slice(&row);
            given.push(cluster);
        }
        Ok(given.len())
    }
}

/// The centroids of a pass, ready to be searched.
struct Near<'a> {
    centroids: &'a Centroids,
    sources: Sources<'a>,
}

struct Tally {
    rows: u64,
    sim: f64,
    moved: u64,
}

/// Reads rows, with the place in the error.
pub(super) fn read(source: &dyn RowSource, start: usize, out: &mut [f32]) -> Result<(), KMeansError> {
    let end = start + out.len() / source.dim().max(1);
    source.read(start, out).map_err(|error| KMeansError::Source { start, end, error })
}
