//! From proposed scores to exact winners: the one place that decides what must be scored again in `f64`.
//!
//! The decision to question: candidates are collected while a tile of targets passes all panels, and settled at the end, when the cut is as
//! high as it gets; a row that has collected about [`MOST_CANDIDATES`] is settled at once. So the memory stays one tile, whatever the number of rows or
//! of exact ties.
mod goals;
mod tile;

use crate::{
    propose::{Facts, GROUP, Interval, LANES, Lanes, Panels, Rows},
    rows::similarity,
    single::{ErrorBound, dot_single},
    sketch::{Outlines, Screening},
};
pub(crate) use goals::{Above, Glanced, Largest, Several};
use rayon::prelude::*;
use std::sync::Arc;
use tile::Tile;

/// Most target rows of one tile: the unit of work of a thread. Their codes and one panel stay in the second-level cache.
pub(crate) const TARGET_TILE: usize = 32 * GROUP;
/// Candidates of a row that are settled before more are collected.
const MOST_CANDIDATES: usize = 60;

/// The largest similarity so far and the lowest index that reaches it. Starts below everything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Best {
    pub sim: f32,
    pub index: u64,
}

impl Best {
    pub(crate) const NONE: Self = Self::at_least(f32::NEG_INFINITY);

    /// Nothing yet, and nothing below `floor` wanted.
    pub(crate) const fn at_least(floor: f32) -> Self {
        Self { sim: floor, index: u64::MAX }
    }

    /// Whether a similarity at an index wins against this one: larger, or equal at a lower index. NaN never wins.
    pub(crate) fn loses_to(&self, sim: f32, index: u64) -> bool {
        sim > self.sim || (sim == self.sim && index < self.index)
    }
}

/// A source whose similarity may matter to a target, with its bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// Row of the source block.
    pub source: usize,
    lower: f32,
    upper: f32,
}

impl Candidate {
    /// A source of which nothing is known.
    fn unknown(source: usize) -> Self {
        Self { source, lower: f32::NEG_INFINITY, upper: f32::INFINITY }
    }

    fn new(source: usize, Interval { lower, upper }: Interval) -> Self {
        Self { source, lower, upper }
    }

    /// Whether the similarity may be `cut` or more. Bounds that are NaN rule nothing out.
    fn reaches(&self, cut: f32) -> bool {
        let below = self.upper < cut;
        !below
    }
}

/// What target rows look for among source rows.
pub(crate) trait Goal: Sync {
    /// What is known of one target.
    type State: Send;

    /// How many of the largest similarities a target wants; 0 where it wants all above a floor.
    fn most(&self) -> usize;
    /// The similarity below which a source cannot matter, from what is known.
    fn floor(&self, state: &Self::State) -> f32;
    /// How many leading sources a target is compared with.
    fn limit(&self, target: usize) -> usize;
    /// Whether a source may count for a target. Asked only where its score is high enough to matter.
    fn admits(&self, target: usize, source: usize) -> bool;
    /// Whether a source cannot win against what is known exactly, by Cauchy-Schwarz.
    fn is_outdone(&self, _: &Self::State, _target: usize, _source: usize, _: &Pairs<'_>) -> bool {
        false
    }
    /// The source that a target knows already and need not meet again.
    fn known(&self, _: &Self::State) -> Option<usize> {
        None
    }
    /// Sees a target before its search, while its row is read anyway.
    fn begin(&self, _: &mut Self::State, _target: usize, _: &Pairs<'_>) {}
    /// Whether no source of a panel (of [`LANES`] sources) can reach `cut`, from what an earlier search has left.
    fn skips(&self, _: &mut Self::State, _target: usize, _panel: usize, _cut: f32, _: &Pairs<'_>) -> bool {
        false
    }
    /// Is told that no similarity with the sources of a panel, but for the known one, is above `ceiling`.
    fn passed(&self, _: &mut Self::State, _panel: usize, _ceiling: f32) {}
    /// Scores the candidates exactly.
    fn settle(&self, state: &mut Self::State, target: usize, pairs: &Pairs<'_>, candidates: &[Candidate]);
}

/// Source rows, packed for the kernel.
pub(crate) struct Sources<'a> {
    rows: Rows<'a>,
    panels: Arc<Panels>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(rows: Rows<'a>) -> Self {
        Self::packed(rows, Arc::new(Panels::pack(rows)))
    }

    /// Rows that were packed before.
    pub(crate) fn packed(rows: Rows<'a>, panels: Arc<Panels>) -> Self {
        Self { rows, panels }
    }
}

/// Two blocks of rows whose pairs can be scored exactly.
pub(crate) struct Pairs<'a> {
    targets: Rows<'a>,
    sources: Rows<'a>,
    bound: ErrorBound,
}

impl Pairs<'_> {
    /// Length of a target, at least.
    pub(crate) fn length(&self, target: usize) -> f32 {
        self.targets.facts()[target].length
    }

    /// The exact similarity of a pair.
    pub(crate) fn exact(&self, target: usize, source: usize) -> f32 {
        similarity(self.targets.row(target), self.sources.row(source))
    }

    /// No similarity of the pair can be above this: Cauchy-Schwarz, widened for the rounding of the three `f64` sums. It spares the
    /// scores among exact copies, which web data has by the thousand: once one copy is found, no later one can be larger.
    pub(crate) fn ceiling(&self, target: usize, source: usize) -> f32 {
        let product = (self.targets.facts()[target].square * self.sources.facts()[source].square).sqrt();
        (product * (1.0 + 1e-12)) as f32
    }

    /// Whether a source cannot win against the best that is known exactly.
    pub(crate) fn is_outdone(&self, best: &Best, target: usize, source: usize, index: u64) -> bool {
        best.index != u64::MAX && !best.loses_to(self.ceiling(target, source), index)
    }

    /// Lets candidates compete by their exact similarity.
    pub(crate) fn settle(
        &self,
        best: &mut Best,
        target: usize,
        candidates: &[Candidate],
        index: impl Fn(usize) -> u64,
    ) {
        for candidate in candidates {
            let index = index(candidate.source);
            if candidate.upper < best.sim || self.is_outdone(best, target, candidate.source, index) {
                continue;
            }
            let sim = self.exact(target, candidate.source);
            if best.loses_to(sim, index) {
                *best = Best { sim, index };
            }
        }
    }

    /// Narrows the candidates' bounds by `f32` sums, which cost a third of exact ones, and drops who is out of reach of the `most` best.
    fn narrow(&self, target: usize, most: usize, cut: f32, candidates: &mut Vec<Candidate>) {
        let length = self.targets.facts()[target].square.sqrt();
        for candidate in candidates.iter_mut() {
            let score = f64::from(dot_single(self.targets.row(target), self.sources.row(candidate.source)));
            let error = self.bound.of(length, self.sources.facts()[candidate.source].square.sqrt());
            // `min` and `max` ignore NaN, which a score that overflowed may be.
            candidate.upper = candidate.upper.min(((score + error) as f32).next_up());
            candidate.lower = candidate.lower.max(((score - error) as f32).next_down());
        }
        let mut floors = Floors::default();
        floors.clear(most);
        candidates.iter().for_each(|candidate| _ = floors.raise(candidate.lower));
        let cut = floors.least().max(cut);
        candidates.retain(|candidate| candidate.reaches(cut));
    }
}

/// The largest lower bounds seen, descending: as many sources reach the last of them.
#[derive(Default)]
struct Floors(Vec<f32>);

impl Floors {
    fn clear(&mut self, most: usize) {
        self.0.clear();
        self.0.resize(most, f32::NEG_INFINITY);
    }

    fn least(&self) -> f32 {
        self.0.last().copied().unwrap_or(f32::NEG_INFINITY)
    }

    /// Enters a bound; says whether it was among the largest.
    fn raise(&mut self, lower: f32) -> bool {
        let enters = !self.0.is_empty() && lower > self.least();
        if enters {
            let mut place = self.0.len() - 1;
            while place > 0 && self.0[place - 1] < lower {
                self.0[place] = self.0[place - 1];
                place -= 1;
            }
            self.0[place] = lower;
        }
        enters
    }
}

/// How pairs are ruled out before they are scored.
#[derive(Clone, Copy)]
enum Screens<'a> {
    /// Not at all: sources that matter are in most panels.
    No,
    /// By half of their codes.
    Halves,
    /// By their sketches, and what is left by half of their codes.
    Sketches(&'a Screening),
    /// By their outlines, with what each target has found so far.
    Outlines(Outlines<'a>),
}

/// A panel as one target sees it.
#[derive(Clone, Copy)]
struct PanelOf<'a> {
    panels: &'a Panels,
    lanes: &'a Lanes,
    target: &'a Facts,
    /// Source in the first lane.
    first: usize,
}

impl PanelOf<'_> {
    fn interval(&self, lane: usize, scores: &[f32; LANES]) -> Interval {
        self.lanes.interval(self.target, lane, scores[lane])
    }
}

/// A target's search while its tile passes the panels.
#[derive(Default)]
pub(crate) struct Hunt {
    cut: f32,
    floors: Floors,
    candidates: Vec<Candidate>,
}

impl Hunt {
    fn begin(&mut self, cut: f32, most: usize) {
        self.cut = cut;
        self.floors.clear(most);
        self.candidates.clear();
    }

    /// Takes the lanes of a panel whose scores were high enough and that count.
    fn take(
        &mut self,
        mut mask: u64,
        scores: &[f32; LANES],
        panel: PanelOf<'_>,
        counts: impl Fn(usize) -> bool,
    ) {
        // The best first: most of the others then fall at one comparison.
        for _ in 0..self.floors.0.len().min(4) {
            if mask.count_ones() < 4 {
                break;
            }
            let lane = panel.panels.strongest(mask, scores);
            if !counts(panel.first + lane) {
                break;
            }
            mask &= !(1 << lane);
            self.enter(Candidate::new(panel.first + lane, panel.interval(lane, scores)));
            mask = panel.panels.passing(mask, scores, panel.lanes.floor(panel.target, self.cut));
        }
        while mask != 0 {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            let interval = panel.interval(lane, scores);
            let candidate = Candidate::new(panel.first + lane, interval);
            if candidate.reaches(self.cut) && counts(candidate.source) {
                self.enter(candidate);
            }
        }
    }

    fn enter(&mut self, candidate: Candidate) {
        if self.floors.raise(candidate.lower) {
            self.cut = self.cut.max(self.floors.least());
        }
        self.candidates.push(candidate);
    }

    fn prune(&mut self) {
        let cut = self.cut;
        self.candidates.retain(|candidate| candidate.reaches(cut));
    }

    fn settle<G: Goal>(&mut self, goal: &G, state: &mut G::State, target: usize, pairs: &Pairs<'_>) {
        self.prune();
        let most = goal.most();
        if most > 0 && self.candidates.len() > 2 * most {
            pairs.narrow(target, most, self.cut, &mut self.candidates);
        }
        if !self.candidates.is_empty() {
            goal.settle(state, target, pairs, &self.candidates);
            self.candidates.clear();
            self.cut = self.cut.max(goal.floor(state));
        }
    }
}

/// Searches for every target among the sources, in parallel over targets. `state` has one item a target. No result depends on the size of
/// tiles or the number of threads.
pub(crate) fn search<G: Goal>(goal: &G, targets: Rows<'_>, sources: &Sources<'_>, state: &mut [G::State]) {
    search_by(goal, targets, sources, Screens::No, state);
}

/// As [`search`], where few sources are expected to reach the goal's floor: pairs are ruled out by half of their codes, and before that by sketches,
/// whose floor must not be above the goal's.
pub(crate) fn search_rare<G: Goal>(
    goal: &G,
    targets: Rows<'_>,
    sources: &Sources<'_>,
    sketches: Option<&Screening>,
    state: &mut [G::State],
) {
    search_by(goal, targets, sources, sketches.map_or(Screens::Halves, Screens::Sketches), state);
}

fn search_by<G: Goal>(
    goal: &G,
    targets: Rows<'_>,
    sources: &Sources<'_>,
    screens: Screens<'_>,
    state: &mut [G::State],
) {
    if targets.len() == 0 || sources.rows.len() == 0 {
        return;
    }
    let pairs = Pairs { targets, sources: sources.rows, bound: ErrorBound::new(targets.dim()) };
    // Smaller tiles where there would be too few to share out.
    let share = targets.len().div_ceil(4 * rayon::current_num_threads()).next_multiple_of(GROUP);
    let size = share.clamp(4 * GROUP, TARGET_TILE);
    state.par_chunks_mut(size).enumerate().for_each_init(Vec::new, |hunts, (tile, state)| {
        Tile::new(goal, &pairs, &sources.panels, screens, tile * size).search(hunts, state);
    });
}

/// As [`search`], on the calling thread; pairs are ruled out by outlines first, if there are any. `hunts` is a buffer.
pub(crate) fn search_here<G: Goal>(
    goal: &G,
    targets: Rows<'_>,
    sources: &Sources<'_>,
    outlines: Option<Outlines<'_>>,
    state: &mut [G::State],
    hunts: &mut Vec<Hunt>,
) {
    if targets.len() == 0 || sources.rows.len() == 0 {
        return;
    }
    let screens = outlines.map_or(Screens::No, Screens::Outlines);
    let pairs = Pairs { targets, sources: sources.rows, bound: ErrorBound::new(targets.dim()) };
    for (tile, state) in state.chunks_mut(TARGET_TILE).enumerate() {
        let first = tile * TARGET_TILE;
        Tile::new(goal, &pairs, &sources.panels, screens, first).search(hunts, state);
    }
}
