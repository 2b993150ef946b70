//! A tile: some neighbouring targets on their way past all panels of sources, and what is ruled out on the way.
use super::{Goal, Hunt, MOST_CANDIDATES, Pairs, PanelOf, Screens};
use crate::propose::{Facts, GROUP, Group, LANES, Panels, Scores, Screened};

/// Pairs of a group and a panel that are scored one by one where screening has left no more of them: 384 together take as long as some 60 alone.
const FEW: u32 = 48;
/// Panels that must have passed before a screen is judged by what it spares.
const TRIAL: u32 = 32;

/// Sketches are asked as long as one answer in so many spares the rest, and halves of codes likewise: at 512 values a sketch is an eighth of a row's codes.
const SKETCHES_PAY: u32 = 6;
const HALVES_PAY: u32 = 4;

/// What a screen has been good for in a tile: where rows are alike in all that it sees, as in a cell of copies, asking it costs more than it spares.
#[derive(Default)]
struct Payoff {
    asked: u32,
    spared: u32,
}

impl Payoff {
    /// Whether at least one of `one_in` answers left few pairs or none, so far.
    fn pays(&self, one_in: u32) -> bool {
        self.asked < TRIAL || one_in * self.spared > self.asked
    }

    fn add(&mut self, left: u32) {
        self.asked += 1;
        self.spared += u32::from(left <= FEW);
    }
}

/// Some neighbouring targets and all sources.
pub(super) struct Tile<'a, G> {
    goal: &'a G,
    pairs: &'a Pairs<'a>,
    panels: &'a Panels,
    screens: Screens<'a>,
    /// The first target.
    first: usize,
    sketches: Payoff,
    halves: Payoff,
    scores: Scores,
}

/// Targets that pass a panel together, by their place in the tile; places beyond the last row repeat it, and what they find is not looked at.
struct Passing<'a> {
    panel: usize,
    rows: [usize; GROUP],
    facts: [&'a Facts; GROUP],
    /// How many of `rows` are rows.
    len: usize,
    /// The lanes that count.
    counted: [u64; GROUP],
}

impl Passing<'_> {
    fn left(&self) -> u32 {
        self.counted[..self.len].iter().map(|mask| mask.count_ones()).sum()
    }

    fn only(&mut self, masks: [u64; GROUP]) {
        self.counted.iter_mut().zip(masks).for_each(|(counted, mask)| *counted &= mask);
    }
}

impl<'a, G: Goal> Tile<'a, G> {
    pub(super) fn new(
        goal: &'a G,
        pairs: &'a Pairs<'a>,
        panels: &'a Panels,
        screens: Screens<'a>,
        first: usize,
    ) -> Self {
        Self {
            goal,
            pairs,
            panels,
            screens,
            first,
            sketches: Payoff::default(),
            halves: Payoff::default(),
            scores: Scores::EMPTY,
        }
    }

    /// Lets the targets of `state` meet all sources. `hunts` is a buffer.
    pub(super) fn search(mut self, hunts: &mut Vec<Hunt>, state: &mut [G::State]) {
        let (goal, first) = (self.goal, self.first);
        hunts.resize_with(state.len().max(hunts.len()), Hunt::default);
        for (row, (hunt, state)) in hunts.iter_mut().zip(state.iter_mut()).enumerate() {
            goal.begin(state, first + row, self.pairs);
            hunt.begin(goal.floor(state), goal.most());
        }
        let reach = (0..state.len()).map(|row| self.limit(row)).max().unwrap_or(0);
        let mut open = Vec::with_capacity(state.len());
        for panel in 0..reach.div_ceil(LANES) {
            open.clear();
            open.extend((0..state.len()).filter(|&row| {
                self.limit(row) > panel * LANES
                    && !goal.skips(&mut state[row], first + row, panel, hunts[row].cut, self.pairs)
            }));
            for rows in open.chunks(GROUP) {
                let mut passing = self.passing(panel, rows, state);
                self.screen(&mut passing, hunts);
                if passing.left() > 0 {
                    self.score(&passing, hunts, state);
                }
            }
        }
        for (row, (hunt, state)) in hunts.iter_mut().zip(state).enumerate() {
            hunt.settle(goal, state, first + row, self.pairs);
        }
    }

    /// How many leading sources a row of the tile is compared with.
    fn limit(&self, row: usize) -> usize {
        self.goal.limit(self.first + row).min(self.pairs.sources.len())
    }

    /// At most [`GROUP`] rows of the tile before a panel.
    fn passing(&self, panel: usize, rows: &[usize], state: &[G::State]) -> Passing<'a> {
        let from = panel * LANES;
        let counted = |row: usize| {
            let width = self.limit(row) - from;
            let all = if width < LANES { (1 << width) - 1 } else { u64::MAX };
            let known = self.goal.known(&state[row]).and_then(|source| source.checked_sub(from));
            all & !known.filter(|&lane| lane < LANES).map_or(0, |lane| 1 << lane)
        };
        let at: [usize; GROUP] = std::array::from_fn(|place| rows[place.min(rows.len() - 1)]);
        Passing {
            panel,
            rows: at,
            facts: at.map(|row| &self.pairs.targets.facts()[self.first + row]),
            len: rows.len(),
            counted: at.map(counted),
        }
    }

    /// Rules pairs out.
    fn screen(&mut self, passing: &mut Passing<'_>, hunts: &[Hunt]) {
        if let Screens::No = self.screens {
            return;
        }
        if let Screens::Sketches(sketches) = self.screens
            && self.sketches.pays(SKETCHES_PAY)
        {
            passing.only(
                sketches.masks(passing.panel, &sketches.group(passing.rows.map(|row| self.first + row))),
            );
            self.sketches.add(passing.left());
        }
        if let Screens::Outlines(outlines) = self.screens {
            let (rows, cuts) = (passing.rows, passing.rows.map(|row| hunts[row].cut));
            passing.only(outlines.masks(passing.panel, rows.map(|row| self.first + row), cuts));
            return;
        }
        if passing.left() > FEW && self.halves.pays(HALVES_PAY) {
            let lanes = self.panels.lanes(passing.panel);
            let words = passing.rows.map(|row| self.pairs.targets.words(self.first + row));
            let floor = |place: usize| lanes.half_floor(passing.facts[place], hunts[passing.rows[place]].cut);
            passing.only(self.panels.screen(
                passing.panel,
                &Screened {
                    words: words.map(|words| &words[..words.len() / 2]),
                    start: passing.facts.map(|facts| facts.half_start),
                    floor: std::array::from_fn(floor),
                },
            ));
            self.halves.add(passing.left());
        }
    }

    /// Scores what is left, and hands it to the hunts.
    fn score(&mut self, passing: &Passing<'_>, hunts: &mut [Hunt], state: &mut [G::State]) {
        let (goal, panel, lanes) = (self.goal, passing.panel, self.panels.lanes(passing.panel));
        let cut = |place: usize| hunts[passing.rows[place]].cut;
        let group = Group {
            words: passing.rows.map(|row| self.pairs.targets.words(self.first + row)),
            start: passing.facts.map(|facts| facts.start),
            floor: std::array::from_fn(|place| lanes.floor(passing.facts[place], cut(place))),
            counted: passing.counted,
        };
        let screened = !matches!(self.screens, Screens::No);
        let masks = if screened && passing.left() <= FEW {
            self.panels.score_few(panel, &group, &self.pairs.sources, &mut self.scores)
        } else {
            self.panels.score(panel, &group, &mut self.scores)
        };
        for (place, &row) in passing.rows[..passing.len].iter().enumerate() {
            let (hunt, state, target) = (&mut hunts[row], &mut state[row], self.first + row);
            if !screened {
                goal.passed(state, panel, lanes.ceiling(passing.facts[place], self.scores.peaks[place]));
            }
            let mask = masks[place] & group.counted[place];
            if mask == 0 {
                continue;
            }
            let seen =
                PanelOf { panels: self.panels, lanes, target: passing.facts[place], first: panel * LANES };
            hunt.take(mask, &self.scores.rows[place], seen, |source| {
                goal.admits(target, source) && !goal.is_outdone(state, target, source, self.pairs)
            });
            if hunt.candidates.len() >= MOST_CANDIDATES + 4 * goal.most() {
                hunt.settle(goal, state, target, self.pairs);
            }
        }
    }
}
