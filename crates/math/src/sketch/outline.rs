//! Outlines: wide sketches, by which a row finds its nearest of many centroids without being compared with most of them.
//!
//! Centroids are means, so their leading 191 axes hold most of them, and what the rests can add to a similarity is at most the product of their
//! lengths. Of 5,000 centroids of made embeddings some 40 are left for a row, of 500 five, for 3/8 of the arithmetic at 512 values. But outlines
//! have to be made, which costs as much as scoring some 300 centroids: they pay for rows that meet many, or the same ones again and again.
//!
//! The decision to question: axes come from the centroids, not from the rows. Rows have long rests by them (0.46 of a length of 1), centroids
//! short ones (0.35; 0.23 of 500), and the product counts: the rows' own axes leave twice to three times as many.
use super::{Axes, SketchBuffers};
use crate::{
    propose::{Codes, Facts, GROUP, Group, Kernel, LANES, Panels, Rows, Scores, Screened, encode_known},
    rows::row_count,
};
use rayon::prelude::*;

/// Numbers of an outline: the parts on the axes and the rest.
const WIDTH: usize = 192;
/// Shorter rows have no outlines: too little would be spared.
const SHORTEST_ROW: usize = 2 * WIDTH;
/// Centroids that axes are learnt from at most.
const LEARN_FROM: usize = 2048;
/// Rows of one task.
const CHUNK: usize = 32 * GROUP;

/// The axes of outlines.
pub(crate) struct Frame {
    axes: Axes,
}

impl Frame {
    /// The leading axes of centroids `[k, dim]`, where outlines can spare anything for rows of this length. The same for the same centroids.
    pub(crate) fn learn(centroids: &[f32], dim: usize) -> Option<Self> {
        (dim >= SHORTEST_ROW).then(|| Self::of(centroids, dim))
    }

    /// As [`Frame::learn`], for rows of any length.
    pub(crate) fn of(centroids: &[f32], dim: usize) -> Self {
        let k = row_count(centroids, dim);
        let finite = |row: &&[f32]| row.iter().all(|value| value.is_finite());
        let step = k.div_ceil(LEARN_FROM).max(1);
        let sample: Vec<f32> =
            centroids.chunks_exact(dim).step_by(step).filter(finite).flatten().copied().collect();
        Self { axes: Axes::leading(&sample, dim, WIDTH - 1, 0) }
    }

    /// Takes the outlines of the rows that the codes were made of, in parallel.
    pub(crate) fn outline(&self, codes: &Codes, rows: &[f32], out: &mut Codes) {
        let (kernel, dim, known) = (codes.of(rows).kernel(), self.axes.dim(), codes.of(rows).facts());
        let (words, depth, facts) = out.room(kernel, codes.len(), WIDTH);
        let tasks = words.par_chunks_mut(CHUNK * depth).zip(facts.par_chunks_mut(CHUNK));
        let inputs = rows.par_chunks(CHUNK * dim).zip(known.par_chunks(CHUNK));
        tasks.zip(inputs).for_each_init(
            SketchBuffers::default,
            |buffers, ((words, facts), (rows, known))| {
                self.fill(kernel, rows, known, Room { words, depth, facts }, buffers);
            },
        );
    }

    /// As [`Frame::outline`], on the calling thread.
    pub(crate) fn outline_here(
        &self,
        codes: &Codes,
        rows: &[f32],
        out: &mut Codes,
        buffers: &mut SketchBuffers,
    ) {
        let (kernel, known) = (codes.of(rows).kernel(), codes.of(rows).facts());
        let (words, depth, facts) = out.room(kernel, codes.len(), WIDTH);
        self.fill(kernel, rows, known, Room { words, depth, facts }, buffers);
    }

    fn fill(
        &self,
        kernel: Kernel,
        rows: &[f32],
        known: &[Facts],
        room: Room<'_>,
        buffers: &mut SketchBuffers,
    ) {
        let Room { words, depth, facts } = room;
        self.axes.measure(rows, WIDTH, buffers, |row, numbers, error| {
            // 1e-6 of the length covers the change of axes: seven roundings of a relative 2⁻²⁴, and the rest's.
            let error = error + 1e-6 * known[row].square.sqrt();
            let words = &mut words[row * depth..(row + 1) * depth];
            facts[row] = encode_known(kernel, numbers, error, known[row].square, words);
        });
    }
}

/// Places for the outlines of some rows.
struct Room<'a> {
    words: &'a mut [u32],
    depth: usize,
    facts: &'a mut [Facts],
}

/// Outlines of targets, and those of the sources that they are compared with.
#[derive(Clone, Copy)]
pub(crate) struct Outlines<'a> {
    targets: Rows<'a>,
    panels: &'a Panels,
}

impl<'a> Outlines<'a> {
    pub(crate) fn new(targets: &'a Codes, panels: &'a Panels) -> Self {
        Self { targets: targets.of(&[]), panels }
    }

    /// The lanes of a panel whose similarity to each target may reach the target's cut. Lanes beyond the last source may be among them.
    pub(crate) fn masks(&self, panel: usize, targets: [usize; GROUP], cuts: [f32; GROUP]) -> [u64; GROUP] {
        let lanes = self.panels.lanes(panel);
        let facts = targets.map(|target| &self.targets.facts()[target]);
        self.panels.screen(
            panel,
            &Screened {
                words: targets.map(|target| self.targets.words(target)),
                start: facts.map(|facts| facts.start),
                floor: std::array::from_fn(|place| lanes.floor(facts[place], cuts[place])),
            },
        )
    }

    /// Looks over all pairs: a ceiling for each panel and target into `ceilings` `[panels, n]`, and the sources that look nearest to each target into
    /// `guesses` `[n, most]`, of which there must be no more than sources.
    pub(crate) fn glance(&self, sources: usize, most: usize, ceilings: &mut [f32], guesses: &mut [Guess]) {
        let (n, panels) = (self.targets.len(), sources.div_ceil(LANES));
        guesses.fill(Guess::NONE);
        let facts = self.targets.facts();
        let mut groups: Vec<Group<'_>> = (0..n)
            .step_by(GROUP)
            .map(|first| {
                let rows: [usize; GROUP] = std::array::from_fn(|place| (first + place).min(n - 1));
                Group {
                    words: rows.map(|row| self.targets.words(row)),
                    start: rows.map(|row| facts[row].start),
                    floor: [f32::NEG_INFINITY; GROUP],
                    counted: [u64::MAX; GROUP],
                }
            })
            .collect();
        let mut scores = Scores::EMPTY;
        for panel in 0..panels {
            let lanes = self.panels.lanes(panel);
            let width = sources - panel * LANES;
            let real = if width < LANES { (1 << width) - 1 } else { u64::MAX };
            for (place, group) in groups.iter_mut().enumerate() {
                group.counted = [real; GROUP];
                let masks = self.panels.score(panel, group, &mut scores);
                let first = place * GROUP;
                for (place, mask) in masks.into_iter().enumerate().take(n - first) {
                    let row = first + place;
                    ceilings[panel * n + row] = lanes.ceiling(&facts[row], scores.peaks[place]);
                    if mask & real != 0 {
                        let best = &mut guesses[row * most..(row + 1) * most];
                        self.enter(best, panel, mask & real, &scores.rows[place]);
                        group.floor[place] = best[most - 1].score;
                    }
                }
            }
        }
    }

    /// Enters the highest scores of a panel into a list that descends.
    fn enter(&self, best: &mut [Guess], panel: usize, mut mask: u64, scores: &[f32; LANES]) {
        for _ in 0..best.len() {
            if mask == 0 {
                break;
            }
            let lane = self.panels.strongest(mask, scores);
            mask &= !(1 << lane);
            let (score, source) = (scores[lane], (panel * LANES + lane) as u32);
            let place = best.partition_point(|other| other.score >= score);
            if place == best.len() {
                break;
            }
            best[place..].rotate_right(1);
            best[place] = Guess { score, source };
        }
    }
}

/// A source that looks near by outlines alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guess {
    score: f32,
    source: u32,
}

impl Guess {
    /// None yet.
    pub(crate) const NONE: Self = Self { score: f32::NEG_INFINITY, source: u32::MAX };

    pub(crate) fn source(&self) -> usize {
        self.source as usize
    }
}
