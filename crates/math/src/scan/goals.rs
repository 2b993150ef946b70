//! What searches look for: the most similar source, the several most similar, all above a threshold.
use super::{Best, Candidate, Goal, Pairs};
use crate::sketch::Guess;

/// The most similar source of each target, ties to the lower index.
pub(crate) struct Largest<L, A, I> {
    /// How many leading sources a target is compared with.
    pub limit: L,
    /// Whether a source may compete for a target.
    pub admits: A,
    /// The index by which a source competes.
    pub index: I,
}

impl<L, A, I> Goal for Largest<L, A, I>
where
    L: Fn(usize) -> usize + Sync,
    A: Fn(usize, usize) -> bool + Sync,
    I: Fn(usize) -> u64 + Sync,
{
    type State = Best;

    fn most(&self) -> usize {
        1
    }

    fn floor(&self, best: &Best) -> f32 {
        best.sim
    }

    fn limit(&self, target: usize) -> usize {
        (self.limit)(target)
    }

    fn admits(&self, target: usize, source: usize) -> bool {
        (self.admits)(target, source)
    }

    fn is_outdone(&self, best: &Best, target: usize, source: usize, pairs: &Pairs<'_>) -> bool {
        pairs.is_outdone(best, target, source, (self.index)(source))
    }

    fn settle(&self, best: &mut Best, target: usize, pairs: &Pairs<'_>, candidates: &[Candidate]) {
        for candidate in candidates {
            let index = (self.index)(candidate.source);
            let ceiling = pairs.ceiling(target, candidate.source);
            if candidate.upper < best.sim || ceiling < best.sim || (ceiling == best.sim && index > best.index)
            {
                continue;
            }
            let sim = pairs.exact(target, candidate.source);
            if best.loses_to(sim, index) {
                *best = Best { sim, index };
            }
        }
    }
}

/// The `most` most similar sources of each target, descending, ties by lower index.
pub(crate) struct Several<I> {
    pub most: usize,
    /// The index by which a source competes.
    pub index: I,
}

impl<I: Fn(usize) -> u64 + Sync> Goal for Several<I> {
    type State = Vec<Best>;

    fn most(&self) -> usize {
        self.most
    }

    fn floor(&self, list: &Vec<Best>) -> f32 {
        list.get(self.most - 1).map_or(f32::NEG_INFINITY, |last| last.sim)
    }

    fn limit(&self, _: usize) -> usize {
        usize::MAX
    }

    fn admits(&self, _: usize, _: usize) -> bool {
        true
    }

    fn is_outdone(&self, list: &Vec<Best>, target: usize, source: usize, pairs: &Pairs<'_>) -> bool {
        let last = list.get(self.most - 1);
        last.is_some_and(|last| !last.loses_to(pairs.ceiling(target, source), (self.index)(source)))
    }

    fn settle(&self, list: &mut Vec<Best>, target: usize, pairs: &Pairs<'_>, candidates: &[Candidate]) {
        for candidate in candidates {
            let index = (self.index)(candidate.source);
            let met = list.iter().any(|other| other.index == index);
            if met
                || candidate.upper < self.floor(list)
                || self.is_outdone(list, target, candidate.source, pairs)
            {
                continue;
            }
            let sim = pairs.exact(target, candidate.source);
            // NaN sorts behind everything, so that a list is always filled.
            let key = if sim.is_nan() { f32::NEG_INFINITY } else { sim };
            let place = list.partition_point(|other| !other.loses_to(key, index));
            if place < self.most {
                list.truncate(self.most - 1);
                list.insert(place, Best { sim: key, index });
            }
        }
    }
}

/// A goal whose targets have been looked over before ([`crate::sketch::Outlines::glance`]): the guesses are scored first, and panels out of reach are skipped.
pub(crate) struct Glanced<'a, G> {
    pub goal: G,
    /// `[panels, targets]`: no similarity with the sources of a panel is above this.
    pub ceilings: &'a [f32],
    pub targets: usize,
    /// `[targets, most]`, different ones for a target.
    pub guesses: &'a [Guess],
}

impl<G: Goal> Goal for Glanced<'_, G> {
    type State = G::State;

    fn most(&self) -> usize {
        self.goal.most()
    }

    fn floor(&self, state: &G::State) -> f32 {
        self.goal.floor(state)
    }

    fn limit(&self, target: usize) -> usize {
        self.goal.limit(target)
    }

    fn admits(&self, target: usize, source: usize) -> bool {
        self.goal.admits(target, source)
    }

    fn is_outdone(&self, state: &G::State, target: usize, source: usize, pairs: &Pairs<'_>) -> bool {
        self.goal.is_outdone(state, target, source, pairs)
    }

    fn begin(&self, state: &mut G::State, target: usize, pairs: &Pairs<'_>) {
        self.goal.begin(state, target, pairs);
        let most = self.goal.most();
        for guess in &self.guesses[target * most..(target + 1) * most] {
            self.goal.settle(state, target, pairs, &[Candidate::unknown(guess.source())]);
        }
    }

    fn skips(&self, _: &mut G::State, target: usize, panel: usize, cut: f32, _: &Pairs<'_>) -> bool {
        self.ceilings[panel * self.targets + target] < cut
    }

    fn settle(&self, state: &mut G::State, target: usize, pairs: &Pairs<'_>, candidates: &[Candidate]) {
        self.goal.settle(state, target, pairs, candidates);
    }
}

/// All sources above a threshold, ascending, with their similarity.
pub(crate) struct Above<L, A> {
    pub threshold: f32,
    /// How many leading sources a target is compared with.
    pub limit: L,
    /// Whether a pair counts.
    pub admits: A,
}

impl<L, A> Goal for Above<L, A>
where
    L: Fn(usize) -> usize + Sync,
    A: Fn(usize, usize) -> bool + Sync,
{
    type State = Vec<(u32, f32)>;

    fn most(&self) -> usize {
        0
    }

    fn floor(&self, _: &Self::State) -> f32 {
        self.threshold
    }

    fn limit(&self, target: usize) -> usize {
        (self.limit)(target)
    }

    fn admits(&self, target: usize, source: usize) -> bool {
        (self.admits)(target, source)
    }

    fn settle(&self, found: &mut Self::State, target: usize, pairs: &Pairs<'_>, candidates: &[Candidate]) {
        for candidate in candidates {
            let sim = pairs.exact(target, candidate.source);
            if sim > self.threshold {
                found.push((candidate.source as u32, sim));
            }
        }
    }
}
