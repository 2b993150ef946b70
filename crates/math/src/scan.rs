//! From proposed scores to exact winners: the one place that decides what must be scored again in `f64`.
//!
//! The decision to question: candidates are scored as soon as a tile is done, not collected first. A running exact winner costs a few
//! more `f64` scores (about ln(tiles) a row), but the memory stays one tile, whatever the number of rows or of exact ties.
use crate::{
    kernel::{ErrorBound, SOURCE_TILE, TARGET_TILE, largest, propose},
    rows::{dot, similarity},
};
use rayon::prelude::*;

/// The largest similarity so far and the lowest index that reaches it. Starts below everything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Best {
    pub sim: f32,
    pub index: u64,
}

impl Best {
    pub(crate) const NONE: Self = Self { sim: f32::NEG_INFINITY, index: u64::MAX };

    /// Whether a similarity at an index wins against this one: larger, or equal at a lower index. NaN never wins.
    pub(crate) fn loses_to(&self, sim: f32, index: u64) -> bool {
        sim > self.sim || (sim == self.sim && index < self.index)
    }
}

/// A block of rows with what the bounds need to know of each: its squared length.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    pub rows: &'a [f32],
    pub squares: &'a [f64],
    pub dim: usize,
}

impl<'a> Panel<'a> {
    pub(crate) fn len(&self) -> usize {
        self.squares.len()
    }

    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        &self.rows[row * self.dim..(row + 1) * self.dim]
    }

    /// The sub-block of rows `start..end`.
    pub(crate) fn part(&self, start: usize, end: usize) -> Self {
        Self {
            rows: &self.rows[start * self.dim..end * self.dim],
            squares: &self.squares[start..end],
            dim: self.dim,
        }
    }

    fn longest(&self) -> f64 {
        // A NaN must not hide: `f64::max` would drop it.
        self.squares.iter().fold(0.0f64, |a, &b| if b <= a { a } else { b }).sqrt()
    }
}

/// Squared lengths of all rows, by [`dot`].
pub(crate) fn squares(rows: &[f32], dim: usize) -> Vec<f64> {
    rows.par_chunks_exact(dim).with_min_len(256).map(|row| dot(row, row)).collect()
}

/// One tile of scores and the bound that holds for it.
pub(crate) struct Tile<'a> {
    pub targets: Panel<'a>,
    pub sources: Panel<'a>,
    /// Index in the source panel of the first row of `sources`.
    pub first_source: usize,
    scores: &'a [f32],
    bound: ErrorBound,
    longest_source: f64,
}

impl Tile<'_> {
    /// The scores of one target row against all source rows of the tile.
    fn scores_of(&self, target: usize) -> &[f32] {
        &self.scores[target * self.sources.len()..(target + 1) * self.sources.len()]
    }

    /// How far any score of this target row may be from the similarity.
    fn error_of(&self, target: usize) -> f64 {
        self.bound.of(self.targets.squares[target].sqrt(), self.longest_source)
    }

    /// The exact similarity of a pair.
    fn exact(&self, target: usize, source: usize) -> f32 {
        similarity(self.targets.row(target), self.sources.row(source))
    }

    /// No similarity of the pair can be above this: Cauchy-Schwarz, widened for the rounding of the three `f64` sums. It spares the
    /// scores among exact copies, which web data has by the thousand: once one copy is found, no later one can be larger.
    fn ceiling(&self, target: usize, source: usize) -> f32 {
        let product = (self.targets.squares[target] * self.sources.squares[source]).sqrt();
        (product * (1.0 + 1e-12)) as f32
    }

    /// Lets the first `limit` source rows that `allowed` admits (by position in the tile) compete for `best`; `index_of` numbers
    /// them. `allowed` is only asked where a score is high enough to matter.
    pub(crate) fn compete(
        &self,
        target: usize,
        limit: usize,
        best: &mut Best,
        index_of: impl Fn(usize) -> u64,
        allowed: Option<&dyn Fn(usize) -> bool>,
    ) {
        let scores = &self.scores_of(target)[..limit];
        let error = self.error_of(target);
        let mut top = largest(scores);
        if top < cutoff(f64::from(best.sim), error) {
            return;
        }
        if let Some(allowed) = allowed {
            // The largest score may belong to a row that may not compete.
            let admitted = scores.iter().enumerate().filter(|(source, _)| allowed(*source));
            top = admitted.fold(f32::NEG_INFINITY, |a, (_, &b)| if b > a { b } else { a });
        }
        // Whoever has the top score reaches at least `top − error`.
        let reached = f64::from(best.sim).max(f64::from(top) - error);
        let mut cut = cutoff(reached, error);
        for (source, &score) in scores.iter().enumerate() {
            if score < cut || allowed.is_some_and(|allowed| !allowed(source)) {
                continue;
            }
            let index = index_of(source);
            let ceiling = self.ceiling(target, source);
            if ceiling < best.sim || (ceiling == best.sim && index > best.index) {
                continue;
            }
            let sim = self.exact(target, source);
            if best.loses_to(sim, index) {
                *best = Best { sim, index };
                cut = cut.max(cutoff(f64::from(sim), error));
            }
        }
    }

    /// Calls `found(source, sim)` for each of the first `limit` source rows whose similarity is above `threshold`, in ascending order.
    pub(crate) fn above(
        &self,
        target: usize,
        limit: usize,
        threshold: f32,
        mut allowed: impl FnMut(usize) -> bool,
        mut found: impl FnMut(usize, f32),
    ) {
        let scores = &self.scores_of(target)[..limit];
        let cut = cutoff(f64::from(threshold), self.error_of(target));
        if largest(scores) < cut {
            return;
        }
        for (source, &score) in scores.iter().enumerate() {
            if score < cut || !allowed(source) {
                continue;
            }
            let sim = self.exact(target, source);
            if sim > threshold {
                found(source, sim);
            }
        }
    }

    /// Merges this tile's source rows into a list of the `most` best (descending, ties by lower index). `spare` is scratch.
    pub(crate) fn gather(&self, target: usize, most: usize, list: &mut Vec<Best>, spare: &mut Vec<f32>) {
        let scores = self.scores_of(target);
        let error = self.error_of(target);
        let last = if list.len() == most { list[most - 1].sim } else { f32::NEG_INFINITY };
        let mut cut = cutoff(f64::from(last), error);
        if largest(scores) < cut {
            return;
        }
        if list.len() < most && scores.len() > most {
            // Until the list is full, the tile's own `most`-th score keeps the first tile from being scored as a whole.
            spare.clear();
            spare.extend_from_slice(scores);
            let (_, nth, _) = spare.select_nth_unstable_by(most - 1, |a, b| b.total_cmp(a));
            cut = cut.max(cutoff(f64::from(*nth) - error, error));
        }
        for (source, &score) in scores.iter().enumerate() {
            if score < cut {
                continue;
            }
            let index = (self.first_source + source) as u64;
            if let Some(last) = list.get(most - 1)
                && {
                    let ceiling = self.ceiling(target, source);
                    ceiling < last.sim || (ceiling == last.sim && index > last.index)
                }
            {
                continue;
            }
            let sim = self.exact(target, source);
            // NaN sorts behind everything, so that a list is always filled.
            let key = if sim.is_nan() { f32::NEG_INFINITY } else { sim };
            let place = list.partition_point(|other| !other.loses_to(key, index));
            if place < most {
                list.truncate(most - 1);
                list.insert(place, Best { sim: key, index });
                if list.len() == most {
                    cut = cut.max(cutoff(f64::from(list[most - 1].sim), error));
                }
            }
        }
    }
}

/// The score below which a similarity of `reached` is out of reach, rounded down; `-∞` where the error is not finite.
fn cutoff(reached: f64, error: f64) -> f32 {
    let cut = ((reached - error) as f32).next_down();
    if cut.is_nan() { f32::NEG_INFINITY } else { cut }
}

/// Scores every target against every source, tile by tile, in parallel over targets. `state` has one item a target; `visit` sees the tiles of one target tile in ascending order of sources. `reach(first, end)` says how
/// many leading sources the targets `first..end` need at all.
pub(crate) fn for_tiles<S: Send>(
    targets: Panel<'_>,
    sources: Panel<'_>,
    state: &mut [S],
    reach: impl Fn(usize, usize) -> usize + Sync,
    visit: impl Fn(&Tile<'_>, usize, &mut [S]) + Sync,
) {
    let bound = ErrorBound::new(targets.dim);
    let longest: Vec<f64> = (0..sources.len())
        .step_by(SOURCE_TILE)
        .map(|start| sources.part(start, (start + SOURCE_TILE).min(sources.len())).longest())
        .collect();
    // Smaller tiles where there would be too few to share out. No result depends on them.
    let share = targets.len().div_ceil(4 * rayon::current_num_threads()).next_multiple_of(32);
    let target_tile = share.clamp(64, TARGET_TILE);
    state.par_chunks_mut(target_tile).enumerate().for_each_init(
        Vec::new,
        |scores: &mut Vec<f32>, (tile, state)| {
            let first = tile * target_tile;
            let end = (first + target_tile).min(targets.len());
            let part = targets.part(first, end);
            let reach = reach(first, end).min(sources.len());
            for start in (0..reach).step_by(SOURCE_TILE) {
                let stop = (start + SOURCE_TILE).min(reach);
                let size = (end - first) * (stop - start);
                if scores.len() < size {
                    scores.resize(size, 0.0);
                }
                let source_part = sources.part(start, stop);
                propose(part.rows, source_part.rows, targets.dim, &mut scores[..size]);
                let tile = Tile {
                    targets: part,
                    sources: source_part,
                    first_source: start,
                    scores: &scores[..size],
                    bound,
                    longest_source: longest[start / SOURCE_TILE],
                };
                visit(&tile, first, state);
            }
        },
    );
}
