//! Which rows of a cell can have a near duplicate in it at all.
use super::Sketch;
use crate::propose::{Codes, GROUP, Kernel, LANES, Panels, Screened, screen_floor};
use rayon::prelude::*;
use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Targets of one task.
const TILE: usize = 32 * GROUP;
/// Panels that a tile passes before the next: 64 of them are 256 KiB, which stay in the second-level cache.
const STRIP: usize = 64;

/// Marks every row that has a similarity of at least `floor` with another one of the list, and as few others as the sketches can tell apart.
/// `visitor` marks rows that are not compared with each other, as in [`crate::pairs::earlier_max`]. Parallel in the current rayon pool; the marks depend
/// neither on threads nor on the kernel's speed, but a kernel of other codes may mark others. Memory: 100 bytes a row. Panics if there
/// are flags, but not one a sketch.
pub fn suspects(sketches: &[Sketch], visitor: Option<&[bool]>, floor: f32) -> Vec<bool> {
    suspects_by(Kernel::best(), sketches, visitor, floor)
}

pub(super) fn suspects_by(
    kernel: Kernel,
    sketches: &[Sketch],
    visitor: Option<&[bool]>,
    floor: f32,
) -> Vec<bool> {
    assert!(visitor.is_none_or(|flags| flags.len() == sketches.len()), "one visitor flag a sketch");
    let bits = |panel: usize, flags: &[bool]| {
        let lanes = flags[panel * LANES..flags.len().min((panel + 1) * LANES)].iter();
        lanes.enumerate().fold(0u64, |bits, (lane, &flag)| bits | u64::from(flag) << lane)
    };
    let count = sketches.len().div_ceil(LANES);
    let screen = Screen {
        rows: sketches.len(),
        screening: Screening::with_kernel(kernel, sketches, sketches, floor),
        visitors: visitor.map(|flags| (0..count).map(|panel| bits(panel, flags)).collect()),
        marks: (0..count).map(|_| AtomicU64::new(0)).collect(),
    };
    (0..sketches.len().div_ceil(TILE)).into_par_iter().for_each(|tile| screen.tile(tile * TILE));
    (0..sketches.len()).map(|row| screen.is_marked(row)).collect()
}

/// The pairs (target, source) whose similarity may be `floor` or more, ascending: all that are, and as few others as the sketches can tell
/// apart. Parallel in the current rayon pool.
pub fn near_pairs(targets: &[Sketch], sources: &[Sketch], floor: f32) -> Vec<(u32, u32)> {
    near_pairs_by(Kernel::best(), targets, sources, floor)
}

pub(super) fn near_pairs_by(
    kernel: Kernel,
    targets: &[Sketch],
    sources: &[Sketch],
    floor: f32,
) -> Vec<(u32, u32)> {
    let screening = Screening::with_kernel(kernel, targets, sources, floor);
    let tile = |tile: usize| {
        let (first, end) = (tile * TILE, (tile * TILE + TILE).min(targets.len()));
        let mut pairs = Vec::new();
        for group in (first..end).step_by(GROUP) {
            let seen = screening.group(six(group, end));
            for panel in 0..sources.len().div_ceil(LANES) {
                let masks = screening.masks(panel, &seen);
                let width = sources.len() - panel * LANES;
                let real = if width < LANES { (1 << width) - 1 } else { u64::MAX };
                for target in group..end.min(group + GROUP) {
                    let mut mask = masks[target - group] & real;
                    while mask != 0 {
                        pairs.push((target as u32, (panel * LANES) as u32 + mask.trailing_zeros()));
                        mask &= mask - 1;
                    }
                }
            }
        }
        pairs.sort_unstable();
        pairs
    };
    (0..targets.len().div_ceil(TILE)).into_par_iter().flat_map_iter(tile).collect()
}

/// Sketches of targets and sources, ready to say for six targets at a time which sources of a panel may be near them.
pub(crate) struct Screening {
    targets: Codes,
    panels: Panels,
    floors: Vec<f32>,
}

impl Screening {
    pub(crate) fn new(targets: &[Sketch], sources: &[Sketch], floor: f32) -> Self {
        Self::with_kernel(Kernel::best(), targets, sources, floor)
    }

    fn with_kernel(kernel: Kernel, targets: &[Sketch], sources: &[Sketch], floor: f32) -> Self {
        let codes = |sketches: &[Sketch]| {
            Codes::of_sketches(kernel, sketches.iter().map(|sketch| (sketch.codes(), sketch.bounds())))
        };
        let (targets, sources) = (codes(targets), codes(sources));
        let (rows, others) = (targets.of(&[]), sources.of(&[]));
        let floors = screen_floor(rows.facts(), others.facts(), floor);
        Self { panels: Panels::pack(others), targets, floors }
    }

    /// Targets, to be scored with panels by [`Screening::masks`].
    pub(crate) fn group(&self, targets: [usize; GROUP]) -> Screened<'_> {
        let rows = self.targets.of(&[]);
        Screened {
            words: targets.map(|target| rows.words(target)),
            start: targets.map(|target| rows.facts()[target].start),
            floor: targets.map(|target| self.floors[target]),
        }
    }

    /// The lanes of a panel whose similarity to each target may reach the floor. Lanes beyond the last source may be among them.
    pub(crate) fn masks(&self, panel: usize, group: &Screened<'_>) -> [u64; GROUP] {
        self.panels.screen(panel, group)
    }
}

/// The six targets from `first` on; places from `end` on repeat the last.
fn six(first: usize, end: usize) -> [usize; GROUP] {
    std::array::from_fn(|place| (first + place).min(end - 1))
}

struct Screen {
    rows: usize,
    screening: Screening,
    /// A bit for each row, panel by panel.
    visitors: Option<Vec<u64>>,
    marks: Vec<AtomicU64>,
}

impl Screen {
    fn is_marked(&self, row: usize) -> bool {
        self.marks[row / LANES].load(Relaxed) >> (row % LANES) & 1 == 1
    }

    fn mark(&self, panel: usize, lanes: u64) {
        if lanes & !self.marks[panel].load(Relaxed) != 0 {
            self.marks[panel].fetch_or(lanes, Relaxed);
        }
    }

    /// Compares the targets of a tile with all rows before them.
    fn tile(&self, first: usize) {
        let end = (first + TILE).min(self.rows);
        for strip in (0..end.div_ceil(LANES)).step_by(STRIP) {
            for group in (first..end).step_by(GROUP) {
                let last = (group + GROUP).min(end) - 1;
                let seen = self.screening.group(six(group, end));
                for panel in strip..(strip + STRIP).min(last.div_ceil(LANES)) {
                    if self.is_settled(group..=last, panel) {
                        continue;
                    }
                    let masks = self.screening.masks(panel, &seen);
                    if masks != [0; GROUP] {
                        (0..=last - group).for_each(|place| self.take(group + place, panel, masks[place]));
                    }
                }
            }
        }
    }

    /// Whether all targets and all sources of a panel are marked already, as they soon are in a cell of rows that are all near one another.
    fn is_settled(&self, mut targets: RangeInclusive<usize>, panel: usize) -> bool {
        self.marks[panel].load(Relaxed) == u64::MAX && targets.all(|target| self.is_marked(target))
    }

    /// Marks a target and the sources of a panel that may be near it.
    fn take(&self, target: usize, panel: usize, mask: u64) {
        let before = target.saturating_sub(panel * LANES);
        let mut mask = if before < LANES { mask & ((1 << before) - 1) } else { mask };
        if let Some(visitors) = &self.visitors
            && visitors[target / LANES] >> (target % LANES) & 1 == 1
        {
            mask &= !visitors[panel];
        }
        if mask != 0 {
            self.mark(panel, mask);
            self.mark(target / LANES, 1 << (target % LANES));
        }
    }
}
