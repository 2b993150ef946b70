//! The seeds of k-means: greedy k-means++ on a sample (Arthur and Vassilvitskii 2007; the greedy form is in their section 5 and in scikit-learn).
//!
//! Each seed is the best of some draws: the one that leaves the least distance from all rows to their nearest seed. On 300,000 embeddings and 1,300
//! clusters two passes from such seeds end where plain k-means++ does not come in twenty (`docs/performance.md`).
//!
//! Drawing one seed after another, each time against all rows, would be slow. Candidates for several seeds are drawn at once from distances that lag
//! behind, and each is accepted with probability new weight / old weight: rejection sampling, so that candidates have exactly the distribution
//! they would have one at a time. Their distances to all rows come from the matrix kernel, one block of candidates at a time.
//!
//! The decision to question: distances here are those between codes of 8 bits, off by some hundredths. They only choose seeds, which are rows of the
//! sample as they are, and the integers are the same on every processor.
use crate::{
    propose::{Codes, GROUP, Kernel, LANES, Panels, Scores},
    random::Random,
};
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// Rows of one task.
const CHUNK: usize = 16 * LANES;
/// Most candidates whose distances are held at once.
const MOST_CANDIDATES: usize = 11 * GROUP;
/// Rows from which on candidates are weighed in parallel.
const MANY_ROWS: usize = 1 << 16;
/// One unit of distance, which is between 0 and 2.
const UNIT: f32 = (1 << 21) as f32;
/// Distances up to this are those of copies: a millionth, as in the passes.
const SAME: i32 = 2;

/// `k` seeds `[k, dim]` among the sample's rows `[n, dim]` (at least one). Where the sample has fewer distinct rows, the remaining seeds are copies of the
/// first: no row will be nearest to them, for ties go to the lower index. In parallel in the current rayon pool; neither threads nor kernel
/// change the seeds.
pub(super) fn seed(sample: &[f32], dim: usize, k: usize, seed: u64) -> Vec<f32> {
    seed_by(Kernel::best(), sample, dim, k, seed)
}

/// Bytes for each row of the sample, beside the row itself: its codes twice, distances to candidates and to the nearest seed.
pub(super) fn row_bytes(dim: usize) -> usize {
    4 * dim + 4 * MOST_CANDIDATES + 70
}

pub(super) fn seed_by(kernel: Kernel, sample: &[f32], dim: usize, k: usize, seed: u64) -> Vec<f32> {
    let n = sample.len() / dim;
    let mut random = Random::new(seed, 2);
    let mut search = Search::new(kernel, sample, dim);
    let mut seeds = vec![random.below(n as u64) as usize];
    let mut distances = Vec::new();
    search.distances(&seeds, &mut distances);
    search.take(&distances, 1, 0);
    // As many as scikit-learn tries, but in whole numbers, which are the same on every machine.
    let trials = 2 + k.ilog2() as usize * 7 / 10;
    let most = MOST_CANDIDATES.max(trials);
    while seeds.len() < k && search.sum() > 0 {
        let wanted = (seeds.len() / 8).clamp(1, k - seeds.len()) * trials;
        // Some will be refused.
        let count = (wanted + wanted / 4).clamp(trials, most);
        let drawn: Vec<usize> = (0..count).map(|_| search.draw(&mut random)).collect();
        let weights: Vec<u64> = drawn.iter().map(|&row| search.weight(row)).collect();
        search.distances(&drawn, &mut distances);
        let mut candidates = 0..count;
        let mut first = true;
        while seeds.len() < k {
            let mut accepted = Vec::with_capacity(trials);
            while accepted.len() < trials
                && let Some(candidate) = candidates.next()
            {
                if random.below(weights[candidate]) < search.weight(drawn[candidate]) {
                    accepted.push(candidate);
                }
            }
            // The last few are too few to choose among; but a batch gives one seed at least.
            if accepted.is_empty() || (accepted.len() < trials && !first) {
                break;
            }
            first = false;
            let best = search.best(&distances, count, &accepted);
            search.take(&distances, count, best);
            seeds.push(drawn[best]);
        }
    }
    let first = seeds[0];
    seeds.resize(k, first);
    seeds.iter().flat_map(|&row| &sample[row * dim..(row + 1) * dim]).copied().collect()
}

/// The sample, and how far each row is from its nearest seed.
struct Search<'a> {
    sample: &'a [f32],
    dim: usize,
    kernel: Kernel,
    panels: Panels,
    /// In units; 0 for rows without a direction and behind the last row.
    nearest: Vec<u32>,
    /// Sums of `nearest` up to each row.
    upto: Vec<u64>,
}

impl<'a> Search<'a> {
    fn new(kernel: Kernel, sample: &'a [f32], dim: usize) -> Self {
        let codes = Codes::directions(kernel, sample, dim);
        let rows = codes.of(&[]);
        let mut nearest: Vec<u32> =
            rows.facts().iter().map(|facts| if facts.scale > 0.0 { u32::MAX } else { 0 }).collect();
        nearest.resize(nearest.len().next_multiple_of(CHUNK), 0);
        Self { sample, dim, kernel, panels: Panels::pack(rows), nearest, upto: Vec::new() }
    }

    /// The sum of all distances, and with it what [`Search::draw`] needs.
    fn sum(&mut self) -> u64 {
        self.upto.clear();
        let mut sum = 0;
        self.upto.extend(self.nearest.iter().map(|&distance| {
            sum += u64::from(distance);
            sum
        }));
        sum
    }

    /// A row, drawn with a probability proportional to the distance it had when they were summed last.
    fn draw(&self, random: &mut Random) -> usize {
        let sum = self.upto.last().copied().unwrap_or(0);
        let draw = random.below(sum);
        self.upto.partition_point(|&upto| upto <= draw)
    }

    fn weight(&self, row: usize) -> u64 {
        u64::from(self.nearest[row])
    }

    /// The distances of some rows to all: for each chunk of rows `[candidates, CHUNK]`.
    fn distances(&self, candidates: &[usize], out: &mut Vec<u32>) {
        let (dim, count) = (self.dim, candidates.len());
        let rows: Vec<f32> =
            candidates.iter().flat_map(|&row| &self.sample[row * dim..(row + 1) * dim]).copied().collect();
        let codes = Codes::directions(self.kernel, &rows, dim);
        let targets = codes.of(&[]);
        let panels = (self.sample.len() / dim).div_ceil(LANES);
        out.resize(self.nearest.len() * count, 0);
        out.par_chunks_exact_mut(CHUNK * count).enumerate().for_each(|(chunk, out)| {
            let mut scores = Scores::EMPTY;
            for place in 0..(CHUNK / LANES).min(panels - chunk * CHUNK / LANES) {
                for first in (0..count).step_by(GROUP) {
                    let group: [usize; GROUP] = std::array::from_fn(|i| (first + i).min(count - 1));
                    let words = group.map(|target| targets.words(target));
                    let start = group.map(|target| targets.facts()[target].start);
                    self.panels.score_all(chunk * CHUNK / LANES + place, words, start, &mut scores);
                    for (target, scores) in (first..count).zip(&scores.rows) {
                        let out = &mut out[target * CHUNK + place * LANES..][..LANES];
                        Arch::new().dispatch(Distances { scores, scale: targets.facts()[target].scale, out });
                    }
                }
            }
        });
    }

    /// The candidate that leaves the least distances.
    fn best(&self, distances: &[u32], count: usize, candidates: &[usize]) -> usize {
        let left = |&candidate: &usize| -> (u64, usize) {
            let chunks = distances.chunks_exact(CHUNK * count).zip(self.nearest.chunks_exact(CHUNK));
            let left = chunks.map(|(distances, nearest)| {
                Arch::new().dispatch(Least { a: &distances[candidate * CHUNK..][..CHUNK], b: nearest })
            });
            (left.sum(), candidate)
        };
        let best = if self.nearest.len() < MANY_ROWS {
            candidates.iter().map(left).min()
        } else {
            candidates.par_iter().map(left).min()
        };
        best.map_or(0, |best| best.1)
    }

    /// Takes a candidate as a seed.
    fn take(&mut self, distances: &[u32], count: usize, candidate: usize) {
        let chunks = distances.chunks_exact(CHUNK * count).zip(self.nearest.chunks_exact_mut(CHUNK));
        for (distances, nearest) in chunks {
            let distances = &distances[candidate * CHUNK..][..CHUNK];
            nearest
                .iter_mut()
                .zip(distances)
                .for_each(|(nearest, distance)| *nearest = (*nearest).min(*distance));
        }
    }
}

/// Scores to distances.
struct Distances<'a> {
    scores: &'a [f32; LANES],
    scale: f32,
    out: &'a mut [u32],
}

impl NullaryFnOnce for Distances<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        /// Leaves the rounded number in the low bits.
        const MAGIC: f32 = (3u32 << 22) as f32;
        for (out, score) in self.out.iter_mut().zip(self.scores) {
            let distance = (1.0 - score * self.scale) * UNIT + MAGIC;
            let distance = distance.to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed();
            *out = if distance <= SAME { 0 } else { distance.cast_unsigned() };
        }
    }
}

/// The sum of the lesser ones of numbers of at most 2²².
struct Least<'a> {
    a: &'a [u32],
    b: &'a [u32],
}

impl NullaryFnOnce for Least<'_> {
    type Output = u64;

    #[inline(always)]
    fn call(self) -> u64 {
        // Sixteen numbers a lane do not overflow.
        let mut lanes = [0u32; LANES];
        for (a, b) in self.a.as_chunks::<LANES>().0.iter().zip(self.b.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                lanes[lane] += a[lane].min(b[lane]);
            }
        }
        lanes.iter().map(|&lane| u64::from(lane)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rows::{normalize, row, similarity},
        testing::{Kind, in_pool, kinds, table},
    };
    use proptest::prelude::*;

    /// Unit rows, as k-means gets them.
    fn unit(kind: Kind, n: usize, dim: usize, seed: u64) -> Vec<f32> {
        let mut rows = table(kind, n, dim, seed);
        normalize(&mut rows, dim);
        rows
    }

    /// The distances of the rows that have a direction to their nearest seed, added up.
    fn left(rows: &[f32], seeds: &[f32], dim: usize) -> f64 {
        let nearest = |row: &[f32]| {
            seeds
                .chunks_exact(dim)
                .map(|seed| 1.0 - f64::from(similarity(row, seed)))
                .fold(f64::MAX, f64::min)
        };
        rows.chunks_exact(dim).filter(|row| row.iter().any(|value| *value != 0.0)).map(nearest).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn seeds_are_rows_and_the_same_for_all_threads_and_kernels(
            kind in kinds(), seed: u64, n in 1usize..1300, k in 1usize..40,
            dim in prop::sample::select(vec![1usize, 2, 9, 33, 100]),
        ) {
            let rows = unit(kind, n, dim, seed);
            let seeds = seed_by(Kernel::Portable, &rows, dim, k, seed);
            prop_assert_eq!(seeds.len(), k * dim);
            for kernel in Kernel::available() {
                for threads in [1, 3] {
                    prop_assert_eq!(&in_pool(threads, || seed_by(kernel, &rows, dim, k, seed)), &seeds);
                }
            }
            let place = |seed: &[f32]| rows.chunks_exact(dim).position(|row| row == seed);
            let places: Vec<Option<usize>> = seeds.chunks_exact(dim).map(place).collect();
            prop_assert!(places.iter().all(Option::is_some));
            // Copies only of the first, and only where nothing else is left.
            let mut others = places[1..].to_vec();
            let copies = others.iter().filter(|&&other| other == places[0]).count();
            others.retain(|&other| other != places[0]);
            others.sort_unstable();
            prop_assert!(others.windows(2).all(|two| two[0] != two[1]));
            if copies > 0 {
                let first = seeds[..dim].iter().all(|value| *value == 0.0);
                // Codes of 8 bits take rows for copies that differ by less than a step.
                let far = left(&rows, &seeds, dim) / n as f64;
                prop_assert!(first || far < 0.02, "{} are left, {far} away", n);
            }
        }

        #[test]
        fn distances_are_those_of_the_rows_but_for_the_codes(
            kind in kinds(), seed: u64, n in 1usize..200, dim in prop::sample::select(vec![2usize, 9, 64, 130]),
        ) {
            let rows = unit(kind, n, dim, seed);
            let search = Search::new(Kernel::best(), &rows, dim);
            let chosen: Vec<usize> = (0..n).step_by(7).collect();
            let mut distances = Vec::new();
            search.distances(&chosen, &mut distances);
            for (place, &candidate) in chosen.iter().enumerate() {
                for (other, &distance) in distances[place * CHUNK..][..n].iter().enumerate() {
                    let sim = similarity(row(&rows, dim, candidate), row(&rows, dim, other));
                    let found = f64::from(distance) / f64::from(UNIT);
                    // Half a step of 1/127 of the largest value in each value of both rows.
                    let room = 1e-5 + 2.0 * (dim as f64).sqrt() / 254.0;
                    prop_assert!((found - (1.0 - f64::from(sim))).abs() <= room, "{found} and {sim}");
                    let copy = row(&rows, dim, candidate) == row(&rows, dim, other);
                    let zero = row(&rows, dim, other).iter().all(|value| *value == 0.0);
                    prop_assert!(zero || !copy || distance == 0);
                }
            }
            prop_assert_eq!(search.nearest.len() % CHUNK, 0);
            prop_assert!(search.nearest[n..].iter().all(|&distance| distance == 0));
        }
    }

    #[test]
    fn nearly_every_far_group_gets_a_seed() {
        // Forty groups of very unlike sizes.
        let (groups, dim) = (40, 48);
        let middles = unit(Kind::Random, groups, dim, 3);
        let noise = unit(Kind::Random, 4000, dim, 4);
        let mut rows: Vec<f32> = Vec::new();
        for (i, noise) in noise.chunks_exact(dim).enumerate() {
            let group = (i * i / 4000 * groups / 4000).min(groups - 1);
            rows.extend(
                row(&middles, dim, group).iter().zip(noise).map(|(middle, noise)| middle + 0.2 * noise),
            );
        }
        normalize(&mut rows, dim);
        for seed in 0..5 {
            let seeds = super::seed(&rows, dim, groups, seed);
            let reached = middles
                .chunks_exact(dim)
                .filter(|middle| seeds.chunks_exact(dim).any(|seed| similarity(seed, middle) > 0.9))
                .count();
            assert!(reached >= groups - 3, "seed {seed}: {reached} of {groups} groups");
        }
    }

    #[test]
    fn rows_without_a_direction_are_no_seeds() {
        let rows = [0.0, 0.0, 1.0, 0.0, f32::NAN, 1.0, 0.0, 1.0, 0.0, 0.0];
        for seed in 0..20 {
            let seeds = super::seed(&rows, 2, 3, seed);
            let later = &seeds[2..];
            assert!(later.chunks_exact(2).any(|seed| seed == [1.0, 0.0] || seed == [0.0, 1.0]), "{seeds:?}");
        }
    }
}
