//! Rows to their nearest centroids, pass after pass: what one pass found out spares the next most of its work.
//!
//! A row remembers its label and, for every panel of 64 centroids, a number that its similarity to none of them but its own exceeds. When
//! centroids move by at most δ, that number grows by at most δ times the row's length (Cauchy-Schwarz). A panel whose number stays below the
//! similarity to the own centroid, which is computed anew, cannot hold the nearest one and is skipped. These are the bounds of Hamerly
//! (2010) in the groups of Ding et al. (Yinyang k-means, 2015), on the sphere. Only work depends on them, no result.
//!
//! The decision to question: centroids are put into panels by their likeness, once, after the first pass has made means of the seeds. Groups that stay
//! together keep bounds tight; centroids that wander off only make them loose.
use crate::{
    likeness::by_likeness,
    propose::{Codes, LANES, Rows},
    rows::{dot, row, row_count},
    scan::{Best, Candidate, Goal, Pairs, Sources, search},
};
use rayon::prelude::*;

/// The centroids of a pass in the order of the panels, and how far they have moved.
#[derive(Default)]
pub(super) struct Centroids {
    /// The cluster at each place.
    order: Vec<u32>,
    /// The place of each cluster.
    place: Vec<u32>,
    rows: Vec<f32>,
    codes: Codes,
    /// How far a centroid of each panel has moved since the pass before, at most; infinite where no pass was before.
    drift: Vec<f32>,
    passes: usize,
}

impl Centroids {
    /// Takes over the centroids `[k, dim]` that a pass begins with.
    pub(super) fn begin_pass(&mut self, centroids: &[f32], dim: usize) {
        let k = row_count(centroids, dim);
        if self.passes < 2 {
            self.order = if self.passes == 0 { (0..k as u32).collect() } else { by_likeness(centroids, dim) };
            self.place = vec![0; k];
            for (place, &cluster) in self.order.iter().enumerate() {
                self.place[cluster as usize] = place as u32;
            }
        }
        self.passes += 1;
        let ordered: Vec<f32> =
            self.order.iter().flat_map(|&cluster| row(centroids, dim, cluster as usize)).copied().collect();
        self.drift = if self.passes <= 2 {
            vec![f32::INFINITY; k.div_ceil(LANES)]
        } else {
            let panels = ordered.par_chunks(LANES * dim).zip(self.rows.par_chunks(LANES * dim));
            panels.map(|(now, before)| farthest(now, before, dim)).collect()
        };
        self.codes = Codes::new(&ordered, dim);
        self.rows = ordered;
    }

    /// The centroids, packed for [`Centroids::assign`].
    pub(super) fn sources(&self) -> Sources<'_> {
        Sources::new(self.codes.of(&self.rows))
    }

    /// The nearest centroid of each row and its similarity, as [`crate::nearest::nearest`] defines them. `labels` hold those of the pass
    /// before, or a number beyond `k`. `bounds` is `[n, panels]`, as the pass before left it (at first, anything), or empty.
    pub(super) fn assign(
        &self,
        rows: Rows<'_>,
        sources: &Sources<'_>,
        bounds: &mut [f32],
        labels: &mut [u32],
        sims: &mut [f32],
    ) {
        let mut bounds = bounds.chunks_exact_mut(self.drift.len());
        let longest = self.codes.of(&self.rows).facts().iter().fold(1.0, |a, facts| facts.length.max(a));
        let mut states: Vec<State<'_>> = labels
            .iter()
            .map(|&label| State {
                best: Best::NONE,
                home: self.place.get(label as usize).map(|&place| place as usize),
                home_sim: f32::NEG_INFINITY,
                bounds: bounds.next().unwrap_or_default(),
            })
            .collect();
        search(&Nearer { centroids: self, longest }, rows, sources, &mut states);
        for ((state, label), sim) in states.into_iter().zip(labels).zip(sims) {
            let found = state.best.index != u64::MAX;
            let now = if found { state.best.index as u32 } else { 0 };
            if now != *label
                && let Some(home) = state.home
                && let Some(bound) = state.bounds.get_mut(home / LANES)
            {
                // The former centroid is one of the others from now on.
                *bound = bound.max(state.home_sim.next_up());
            }
            *label = now;
            *sim = if found { state.best.sim } else { f32::NAN };
        }
    }
}

/// The largest distance between rows of the same place, rounded up.
fn farthest(now: &[f32], before: &[f32], dim: usize) -> f32 {
    let pairs = now.chunks_exact(dim).zip(before.chunks_exact(dim));
    let largest = pairs.fold(0.0f64, |largest, (now, before)| {
        let moved: Vec<f32> = now.iter().zip(before).map(|(a, b)| a - b).collect();
        largest.max(dot(&moved, &moved).sqrt())
    });
    // The differences were rounded to `f32`: each within 2⁻²⁴ of its value.
    (largest * (1.0 + 1e-6)) as f32
}

/// What a row knows during a pass.
struct State<'a> {
    best: Best,
    /// Place of the centroid that was nearest in the pass before.
    home: Option<usize>,
    home_sim: f32,
    /// A bound for each panel, or none.
    bounds: &'a mut [f32],
}

/// The search for a nearer centroid than the one known.
struct Nearer<'a> {
    centroids: &'a Centroids,
    /// Length of the longest centroid, at least 1.
    longest: f32,
}

impl Nearer<'_> {
    fn index(&self, place: usize) -> u64 {
        u64::from(self.centroids.order[place])
    }
}

impl<'a> Goal for Nearer<'a> {
    type State = State<'a>;

    fn most(&self) -> usize {
        1
    }

    fn floor(&self, state: &State<'a>) -> f32 {
        state.best.sim
    }

    fn limit(&self, _: usize) -> usize {
        usize::MAX
    }

    fn admits(&self, _: usize, _: usize) -> bool {
        true
    }

    fn known(&self, state: &State<'a>) -> Option<usize> {
        state.home
    }

    fn begin(&self, state: &mut State<'a>, target: usize, pairs: &Pairs<'_>) {
        if let Some(home) = state.home {
            let (sim, index) = (pairs.exact(target, home), self.index(home));
            state.home_sim = sim;
            if state.best.loses_to(sim, index) {
                state.best = Best { sim, index };
            }
        }
    }

    fn skips(&self, state: &mut State<'a>, target: usize, panel: usize, cut: f32, pairs: &Pairs<'_>) -> bool {
        let Some(bound) = state.bounds.get_mut(panel) else { return false };
        // A millionth of the lengths covers the rounding of this sum and of the similarities.
        let grown = *bound + pairs.length(target) * (self.centroids.drift[panel] + 1e-6 * self.longest);
        let skips = grown < cut;
        if skips {
            *bound = grown;
        }
        skips
    }

    fn passed(&self, state: &mut State<'a>, panel: usize, ceiling: f32) {
        if let Some(bound) = state.bounds.get_mut(panel) {
            *bound = ceiling;
        }
    }

    fn is_outdone(&self, state: &State<'a>, target: usize, source: usize, pairs: &Pairs<'_>) -> bool {
        pairs.is_outdone(&state.best, target, source, self.index(source))
    }

    fn settle(&self, state: &mut State<'a>, target: usize, pairs: &Pairs<'_>, candidates: &[Candidate]) {
        pairs.settle(&mut state.best, target, candidates, |place| self.index(place));
    }
}
