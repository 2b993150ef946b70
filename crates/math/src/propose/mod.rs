//! Proposals: rows as whole numbers, scored by integer dot products, with a bound that holds for each pair.
//!
//! Scores are never results. A caller keeps the pairs whose upper bound reaches what is known, and scores those in `f64`. The kernel
//! compares while the sums are still in registers: it writes nothing for a row of which no score is high enough, so the table of all scores
//! never exists.
//!
//! The decision to question: eight bits (AVX-512 VNNI: 64 products per instruction, four times `f32`) although bf16 would be
//! closer. The bound is a worst case and about 0.02 for unit rows in both signs, which leaves a handful of candidates per row; scoring
//! these again costs less than bf16's twice as many instructions for all. Without VNNI or `sdot`, pairs of 12-bit codes take its place.
mod bytes;
mod codes;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod rows;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use bytes::encode_bytes;
pub(crate) use codes::{Codes, Facts, encode_known};
use rayon::prelude::*;
pub(crate) use rows::Rows;
use std::sync::OnceLock;

/// Source rows of one panel: four 512-bit registers of 32-bit sums.
pub(crate) const LANES: usize = 64;
/// Target rows that pass a panel together: with four registers each, 24 sums of 32 registers.
pub(crate) const GROUP: usize = 6;

/// The instructions that score codes, and with them the shape of the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Loops that the compiler vectorises; two 16-bit codes a word.
    Portable,
    /// AVX2 `vpmaddwd`; two 16-bit codes a word.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 VNNI `vpdpbusd`; four 8-bit codes a word.
    #[cfg(target_arch = "x86_64")]
    Vnni,
    /// NEON `smlal`; two 16-bit codes a word.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// NEON `sdot` (Armv8.4, and most processors since 2018); four 8-bit codes a word.
    #[cfg(target_arch = "aarch64")]
    Sdot,
}

impl Kernel {
    /// The fastest kernel that `CRIBBLE_KERNEL` (`avx2`, `neon` or `portable`) allows. Settled once in a process.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| {
            let limit = std::env::var("CRIBBLE_KERNEL").unwrap_or_default();
            let allowed = |kernel: &Self| match limit.as_str() {
                "portable" => *kernel == Self::Portable,
                #[cfg(target_arch = "x86_64")]
                "avx2" => *kernel != Self::Vnni,
                #[cfg(target_arch = "aarch64")]
                "neon" => *kernel != Self::Sdot,
                _ => true,
            };
            Self::available().into_iter().find(allowed).unwrap_or(Self::Portable)
        })
    }

    /// Every kernel that this processor has, fastest first.
    pub(crate) fn available() -> Vec<Self> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
                kernels.push(Self::Vnni);
            }
            if is_x86_feature_detected!("avx2") {
                kernels.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                kernels.push(Self::Sdot);
            }
            kernels.push(Self::Neon);
        }
        kernels.push(Self::Portable);
        kernels
    }

    /// The dot product of the codes of two rows that are not packed. `start` is the target's [`Facts::start`].
    fn dot(self, target: &[u32], source: &[u32], start: i32) -> i32 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => x86::dot_vnni(target, source, start),
            #[cfg(target_arch = "aarch64")]
            Self::Sdot => start + neon::dot_sdot(target, source),
            _ => start + portable::dot(target, source),
        }
    }

    /// Codes in one 32-bit word.
    fn codes_per_word(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => 4,
            #[cfg(target_arch = "aarch64")]
            Self::Sdot => 4,
            _ => 2,
        }
    }

    /// What is added to the codes of sources: `vpdpbusd` multiplies signed by unsigned, and sums start at what that adds too much.
    fn shift(self) -> i32 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => 128,
            _ => 0,
        }
    }

    /// The largest code for rows of `dim` values: what the word holds, and what keeps a sum of `dim` products below 2³⁰.
    fn levels(self, dim: usize) -> i32 {
        let fits = ((1u64 << 30) as f64 / dim as f64).sqrt() as i32;
        fits.min(if self.codes_per_word() == 4 { 127 } else { 2047 })
    }
}

/// 64 bytes that start a cache line: loads of whole registers never straddle two.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// What the bounds need of the sources of one panel, a lane each; lanes beyond the last source are zero.
pub(crate) struct Lanes {
    scale: [f32; LANES],
    length: [f32; LANES],
    error: [f32; LANES],
    longest: f32,
    worst: f32,
    /// The longest second half.
    rest: f32,
}

/// A score with its bounds: the similarity lies between them, or is NaN.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interval {
    pub lower: f32,
    pub upper: f32,
}

impl Lanes {
    fn of(facts: &[Facts]) -> Self {
        let mut lanes = Self::of_any(facts);
        for (lane, facts) in facts.iter().enumerate() {
            lanes.scale[lane] = facts.scale;
            lanes.length[lane] = facts.length;
            lanes.error[lane] = facts.error_as_source();
        }
        lanes
    }

    /// What bounds any of the rows, as many as they may be, and none in particular.
    fn of_any(facts: &[Facts]) -> Self {
        let most = |of: fn(&Facts) -> f32| facts.iter().map(of).fold(0.0, f32::max);
        Self {
            scale: [0.0; LANES],
            length: [0.0; LANES],
            error: [0.0; LANES],
            longest: most(|facts| facts.length),
            worst: most(Facts::error_as_source),
            rest: most(|facts| facts.rest),
        }
    }

    /// The score below which no source of the panel can reach a similarity of `cut`. NaN or `-∞` rule nothing out.
    pub(crate) fn floor(&self, target: &Facts, cut: f32) -> f32 {
        if target.scale == 0.0 {
            return f32::NEG_INFINITY;
        }
        let error = f64::from(target.error) * f64::from(self.longest)
            + f64::from(target.coded) * f64::from(self.worst);
        (((f64::from(cut) - error) / f64::from(target.scale)) as f32).next_down()
    }

    /// As [`Lanes::floor`], for scores by the first half of the words: what the second half can add is at most the product of its lengths.
    pub(crate) fn half_floor(&self, target: &Facts, cut: f32) -> f32 {
        let most = f64::from(target.rest) * f64::from(self.rest);
        self.floor(target, ((f64::from(cut) - most) as f32).next_down())
    }

    /// No similarity of a target with a source of the panel is above this, if no score is above `peak`.
    pub(crate) fn ceiling(&self, target: &Facts, peak: f32) -> f32 {
        peak * target.scale + (target.error * self.longest + target.coded * self.worst)
    }

    /// The bounds of the similarity of a target and the source in a lane, from its score.
    pub(crate) fn interval(&self, target: &Facts, lane: usize, score: f32) -> Interval {
        let value = score * target.scale;
        let error = target.error * self.length[lane] + target.coded * self.error[lane];
        Interval { lower: value - error, upper: value + error }
    }
}

/// Source rows, packed for the kernel: panels of [`LANES`] rows, word by word.
pub(crate) struct Panels {
    kernel: Kernel,
    depth: usize,
    words: Vec<Line>,
    lanes: Vec<Lanes>,
}

/// Up to [`GROUP`] target rows on their way past a panel; unused places repeat a row.
pub(crate) struct Group<'a> {
    pub words: [&'a [u32]; GROUP],
    /// Where each row's integer sums start, see [`Facts::start`].
    pub start: [i32; GROUP],
    /// The scores below which nothing is reported.
    pub floor: [f32; GROUP],
    /// The lanes that count for [`Scores::peaks`].
    pub counted: [u64; GROUP],
}

/// A [`Group`] of which only the masks are wanted.
pub(crate) struct Screened<'a> {
    pub words: [&'a [u32]; GROUP],
    pub start: [i32; GROUP],
    pub floor: [f32; GROUP],
}

/// For each target the score below which no source can reach a similarity of `cut`.
pub(crate) fn screen_floor(targets: &[Facts], sources: &[Facts], cut: f32) -> Vec<f32> {
    let all = Lanes::of_any(sources);
    targets.iter().map(|target| all.floor(target, cut)).collect()
}

/// Scores of a group against a panel.
pub(crate) struct Scores {
    /// The scores of the rows that have a bit in their mask; the others were not written.
    pub rows: [[f32; LANES]; GROUP],
    /// The largest score of each row among the lanes that count.
    pub peaks: [f32; GROUP],
}

impl Scores {
    pub(crate) const EMPTY: Self = Self { rows: [[0.0; LANES]; GROUP], peaks: [0.0; GROUP] };
}

impl Panels {
    /// Packs all rows, in parallel.
    pub(crate) fn pack(rows: Rows<'_>) -> Self {
        let (kernel, depth) = (rows.kernel(), rows.depth());
        let count = rows.len().div_ceil(LANES);
        let mut words = vec![Line([0; 16]); count * depth * (LANES / 16)];
        // Adding 128 to a byte is flipping its highest bit.
        let shift = if kernel.shift() == 128 { 0x8080_8080 } else { 0 };
        let facts = rows.facts().par_chunks(LANES);
        let packed = words.par_chunks_mut((depth * (LANES / 16)).max(1)).zip(facts.clone()).enumerate();
        packed.with_min_len(2).for_each(|(panel, (words, facts))| {
            let words: &mut [u32] = bytemuck::cast_slice_mut(words);
            for lane in 0..facts.len() {
                for (place, word) in rows.words(panel * LANES + lane).iter().enumerate() {
                    words[place * LANES + lane] = word ^ shift;
                }
            }
        });
        Self { kernel, depth, words, lanes: facts.map(Lanes::of).collect() }
    }

    pub(crate) fn lanes(&self, panel: usize) -> &Lanes {
        &self.lanes[panel]
    }

    /// Scores a group against a panel. A score is the integer dot product of the codes times the source's scale. Each returned mask
    /// has the lanes whose score is **not below** the row's floor; `scores` holds the rows
    /// whose mask is not 0, and all peaks.
    pub(crate) fn score(&self, panel: usize, group: &Group<'_>, scores: &mut Scores) -> [u64; GROUP] {
        self.score_words(self.words(panel, self.depth), panel, group, scores)
    }

    /// As [`Panels::score`], of all lanes.
    pub(crate) fn score_all(
        &self,
        panel: usize,
        words: [&[u32]; GROUP],
        start: [i32; GROUP],
        scores: &mut Scores,
    ) {
        let group = Group { words, start, floor: [f32::NEG_INFINITY; GROUP], counted: [u64::MAX; GROUP] };
        self.score(panel, &group, scores);
    }

    /// As [`Panels::score`], by the leading words of the panel that are given.
    fn score_words(
        &self,
        words: &[u32],
        panel: usize,
        group: &Group<'_>,
        scores: &mut Scores,
    ) -> [u64; GROUP] {
        let scale = &self.lanes[panel].scale;
        match self.kernel {
            Kernel::Portable => portable::score(words, scale, group, scores),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => x86::score_avx2(words, scale, group, scores),
            #[cfg(target_arch = "x86_64")]
            Kernel::Vnni => x86::score_vnni(words, scale, group, scores),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon => neon::score_smlal(words, scale, group, scores),
            #[cfg(target_arch = "aarch64")]
            Kernel::Sdot => neon::score_sdot(words, scale, group, scores),
        }
    }

    /// The leading words of the sources of a panel.
    fn words(&self, panel: usize, depth: usize) -> &[u32] {
        let words: &[u32] = bytemuck::cast_slice(&self.words);
        &words[panel * self.depth * LANES..][..depth * LANES]
    }

    /// As [`Panels::score`], for the lanes that count alone, one pair after the other; `sources` are the rows that were packed. Of the rows of
    /// `scores` only those lanes are written, and no peaks.
    pub(crate) fn score_few(
        &self,
        panel: usize,
        group: &Group<'_>,
        sources: &Rows<'_>,
        scores: &mut Scores,
    ) -> [u64; GROUP] {
        let mut masks = [0; GROUP];
        for (place, mask) in masks.iter_mut().enumerate() {
            let mut left = group.counted[place];
            while left != 0 {
                let lane = left.trailing_zeros() as usize;
                left &= left - 1;
                let words = sources.words(panel * LANES + lane);
                let sum = self.kernel.dot(group.words[place], words, group.start[place]);
                let score = sum as f32 * self.lanes[panel].scale[lane];
                let below = score < group.floor[place];
                *mask |= u64::from(!below) << lane;
                scores.rows[place][lane] = score;
            }
        }
        masks
    }

    /// As [`Panels::score`], for searches that want the masks alone, by as many leading words as the group has.
    pub(crate) fn screen(&self, panel: usize, group: &Screened<'_>) -> [u64; GROUP] {
        let sources = self.words(panel, group.words[0].len());
        match self.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Vnni => x86::screen_vnni(sources, &self.lanes[panel].scale, group),
            _ => {
                let Screened { words, start, floor } = *group;
                let mut scores = Scores::EMPTY;
                let group = Group { words, start, floor, counted: [0; GROUP] };
                self.score_words(sources, panel, &group, &mut scores)
            }
        }
    }

    /// The lanes of a mask whose score is not below a floor.
    pub(crate) fn passing(&self, mask: u64, scores: &[f32; LANES], floor: f32) -> u64 {
        match self.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Vnni => x86::passing(mask, scores, floor),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon | Kernel::Sdot => neon::passing(mask, scores, floor),
            _ => portable::passing(mask, scores, floor),
        }
    }

    /// The lane of the largest score among those of a mask that is not 0.
    pub(crate) fn strongest(&self, mask: u64, scores: &[f32; LANES]) -> usize {
        match self.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Vnni => x86::strongest(mask, scores),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon | Kernel::Sdot => neon::strongest(mask, scores),
            _ => portable::strongest(mask, scores),
        }
    }
}
