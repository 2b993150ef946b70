//! The nearest centroids of rows, exactly: the largest similarities, ties to the lower index.
use crate::{
    likeness::by_likeness,
    propose::{Codes, Kernel, LANES, Panels, Rows},
    rows::{dot, row, row_count},
    scan::{Best, Glanced, Goal, Hunt, Largest, Several, Sources, TARGET_TILE, search_here},
    sketch::{Frame, Guess, Outlines, SketchBuffers},
};
use rayon::prelude::*;
use std::{borrow::Cow, sync::Arc};

/// Rows that [`Finder::find`] takes best: what one thread then holds stays in its second-level cache.
pub const TILE_ROWS: usize = TARGET_TILE;

/// Fewer centroids are all scored: making a row's outline would cost more than it spares (at 512 values; 2,000 were a draw).
const WORTH_OUTLINES: usize = 2048;
/// Rows for which outlines of the centroids are worth being made.
const ROWS_WORTH_OUTLINES: usize = 8192;

/// Centroids that rows are looked up in, block after block: coded and packed once. For callers that hand out the rows to threads themselves
/// and do more with each tile while it is in the cache.
pub struct Finder<'a> {
    /// In the order of the panels.
    centroids: Cow<'a, [f32]>,
    dim: usize,
    codes: Codes,
    panels: Arc<Panels>,
    outlined: Option<Outlined>,
}

/// What many centroids have besides: outlines, and an order by likeness.
struct Outlined {
    frame: Frame,
    panels: Panels,
    /// The centroid at each place.
    order: Vec<u32>,
    /// The place of each centroid.
    places: Vec<u32>,
}

/// Buffers of one thread for [`Finder::find`].
#[derive(Default)]
pub struct FinderBuffers {
    codes: Codes,
    outlines: Codes,
    sketch: SketchBuffers,
    ceilings: Vec<f32>,
    guesses: Vec<Guess>,
    hunts: Vec<Hunt>,
    lists: Vec<Vec<Best>>,
    best: Vec<Best>,
}

impl<'a> Finder<'a> {
    /// Prepares centroids `[k, dim]`, borrowed or owned, for about so many rows. Panics if there is none.
    pub fn new(centroids: impl Into<Cow<'a, [f32]>>, dim: usize, rows: usize) -> Self {
        let centroids = centroids.into();
        let pays = row_count(&centroids, dim) >= WORTH_OUTLINES && rows >= ROWS_WORTH_OUTLINES;
        let frame = if pays { Frame::learn(&centroids, dim) } else { None };
        Self::with_frame(centroids, dim, frame)
    }

    fn with_frame(centroids: Cow<'a, [f32]>, dim: usize, frame: Option<Frame>) -> Self {
        let k = row_count(&centroids, dim);
        assert!(k > 0 && u32::try_from(k).is_ok(), "centroids are numbered from 0 in 32 bits");
        let Some(frame) = frame else {
            let codes = Codes::new(&centroids, dim);
            let panels = Arc::new(Panels::pack(codes.of(&centroids)));
            return Self { centroids, dim, codes, panels, outlined: None };
        };
        let order = by_likeness(&centroids, dim);
        let ordered: Vec<f32> = order
            .iter()
            .flat_map(|&place| &centroids[place as usize * dim..(place as usize + 1) * dim])
            .copied()
            .collect();
        let (codes, mut outlines) = (Codes::new(&ordered, dim), Codes::default());
        frame.outline(&codes, &ordered, &mut outlines);
        let panels = Arc::new(Panels::pack(codes.of(&ordered)));
        let mut places = vec![0; k];
        order.iter().zip(0..).for_each(|(&centroid, place)| places[centroid as usize] = place);
        let outlined = Some(Outlined { frame, panels: Panels::pack(outlines.of(&[])), order, places });
        Self { centroids: ordered.into(), dim, codes, panels, outlined }
    }

    /// How many centroids there are.
    pub fn centroids(&self) -> usize {
        self.codes.len()
    }

    /// How far apart two centroids are, by their numbers. Panics if there are none of these.
    pub fn distance(&self, a: u32, b: u32) -> f64 {
        let place = |number: u32| match &self.outlined {
            Some(outlined) => outlined.places[number as usize] as usize,
            None => number as usize,
        };
        let (a, b) = (place(a), place(b));
        let square = |place: usize| self.codes.of(&self.centroids).facts()[place].square;
        let product = dot(row(&self.centroids, self.dim, a), row(&self.centroids, self.dim, b));
        (square(a) + square(b) - 2.0 * product).max(0.0).sqrt()
    }

    /// [`Finder::find`] for tile after tile, in parallel.
    fn find_all(&self, rows: &[f32], p: usize, labels: &mut [u32], sims: &mut [f32]) {
        // Smaller tiles where there would be too few to share out.
        let share = (rows.len() / self.dim).div_ceil(4 * rayon::current_num_threads());
        let size = share.clamp(TILE_ROWS / 8, TILE_ROWS);
        let outputs = labels.par_chunks_mut(size * p).zip(sims.par_chunks_mut(size * p));
        rows.par_chunks(size * self.dim)
            .zip(outputs)
            .for_each_init(FinderBuffers::default, |buffers, (rows, (labels, sims))| {
                self.find(rows, p, labels, sims, buffers)
            });
    }

    /// The `p` nearest centroids of each row, as [`nearest_many`] gives them (for `p = 1` as [`nearest`] does), on the calling thread.
    /// Panics as they do.
    pub fn find(
        &self,
        rows: &[f32],
        p: usize,
        labels: &mut [u32],
        sims: &mut [f32],
        buffers: &mut FinderBuffers,
    ) {
        let n = row_count(rows, self.dim);
        assert!(labels.len() == n * p && sims.len() == n * p, "p labels and p similarities a row");
        assert!(
            n == 0 || (p > 0 && p <= self.codes.len()),
            "asked for the {p} nearest of {}",
            self.codes.len()
        );
        let FinderBuffers { codes, outlines, sketch, ceilings, guesses, hunts, lists, best } = buffers;
        codes.fill_here(Kernel::best(), rows, self.dim);
        let sources = Sources::packed(self.codes.of(&self.centroids), self.panels.clone());
        let looked = self.outlined.as_ref().filter(|_| n > 0).map(|outlined| {
            outlined.frame.outline_here(codes, rows, outlines, sketch);
            let outlines = Outlines::new(outlines, &outlined.panels);
            ceilings.resize(self.codes.len().div_ceil(LANES) * n, 0.0);
            guesses.resize(n * p, Guess::NONE);
            outlines.glance(self.codes.len(), p, ceilings, guesses);
            Looked { outlines, ceilings: &*ceilings, guesses: &*guesses }
        });
        let index = |place: usize| match &self.outlined {
            Some(outlined) => u64::from(outlined.order[place]),
            None => place as u64,
        };
        let search = Search { targets: codes.of(rows), sources, looked, hunts };
        if p == 1 {
            best.clear();
            best.resize(n, Best::NONE);
            search.run(any(index), best);
            hand_out_best(best, labels, sims);
        } else {
            lists.resize_with(n.max(lists.len()), Vec::new);
            let lists = &mut lists[..n];
            lists.iter_mut().for_each(Vec::clear);
            search.run(Several { most: p, index }, lists);
            hand_out_lists(lists, p, labels, sims);
        }
    }
}

/// What outlines have told of rows.
struct Looked<'a> {
    outlines: Outlines<'a>,
    ceilings: &'a [f32],
    guesses: &'a [Guess],
}

/// A search of a thread, but for its goal.
struct Search<'a> {
    targets: Rows<'a>,
    sources: Sources<'a>,
    looked: Option<Looked<'a>>,
    hunts: &'a mut Vec<Hunt>,
}

impl Search<'_> {
    fn run<G: Goal>(self, goal: G, state: &mut [G::State]) {
        let Self { targets, sources, looked, hunts } = self;
        match looked {
            None => search_here(&goal, targets, &sources, None, state, hunts),
            Some(Looked { outlines, ceilings, guesses }) => {
                let goal = Glanced { goal, ceilings, targets: targets.len(), guesses };
                search_here(&goal, targets, &sources, Some(outlines), state, hunts);
            }
        }
    }
}

/// For each row of `rows` (`[n, dim]`) the centroid (`[k, dim]`) of largest similarity, ties to the lower index, into `labels` and the
/// similarity into `sims` (`n` each). Exact: equal to scoring all pairs with [`crate::rows::similarity`]. A row whose similarities are all NaN
/// (it holds NaN) gets label 0 and NaN. Works in parallel in the current rayon pool; allocates codes
/// of at most half the size of rows and centroids, and O(n + k).
/// Panics if `k` is 0 while `n` is not, or a length contradicts the shapes.
pub fn nearest(rows: &[f32], centroids: &[f32], dim: usize, labels: &mut [u32], sims: &mut [f32]) {
    let n = row_count(rows, dim);
    assert!(labels.len() == n && sims.len() == n, "one label and one similarity a row");
    if n > 0 {
        Finder::new(centroids, dim, n).find_all(rows, 1, labels, sims);
    }
}

/// Every source competes.
fn any<I: Fn(usize) -> u64 + Sync>(
    index: I,
) -> Largest<impl Fn(usize) -> usize, impl Fn(usize, usize) -> bool, I> {
    Largest { limit: |_| usize::MAX, admits: |_, _| true, index }
}

fn hand_out_best(best: &[Best], labels: &mut [u32], sims: &mut [f32]) {
    for ((best, label), sim) in best.iter().zip(labels).zip(sims) {
        let found = best.index != u64::MAX;
        *label = if found { best.index as u32 } else { 0 };
        *sim = if found { best.sim } else { f32::NAN };
    }
}

fn hand_out_lists(lists: &[Vec<Best>], p: usize, labels: &mut [u32], sims: &mut [f32]) {
    for ((list, labels), sims) in lists.iter().zip(labels.chunks_exact_mut(p)).zip(sims.chunks_exact_mut(p)) {
        for ((best, label), sim) in list.iter().zip(labels).zip(sims) {
            *label = best.index as u32;
            *sim = best.sim;
        }
    }
}

/// The `p` nearest centroids of each row: like [`nearest`], with `labels` and `sims` as `[n, p]`, each row in descending order of
/// similarity, ties by ascending index. A similarity that is NaN counts as `-∞` and is returned as that. Panics if `p` is 0 or more than
/// `k` (while `n` is not 0), or a length contradicts the shapes.
pub fn nearest_many(
    rows: &[f32],
    centroids: &[f32],
    dim: usize,
    p: usize,
    labels: &mut [u32],
    sims: &mut [f32],
) {
    let n = row_count(rows, dim);
    assert!(labels.len() == n * p && sims.len() == n * p, "p labels and p similarities a row");
    if n == 0 {
        return;
    }
    let k = row_count(centroids, dim);
    assert!(p > 0 && p <= k, "asked for the {p} nearest of {k} centroids");
    Finder::new(centroids, dim, n).find_all(rows, p, labels, sims);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rows::similarity,
        testing::{DIMS, Kind, SIZES, in_pool, kinds, table},
    };
    use proptest::prelude::*;

    /// All pairs, sorted: what both functions promise to equal.
    fn sorted(rows: &[f32], centroids: &[f32], dim: usize, p: usize) -> (Vec<u32>, Vec<f32>) {
        let (mut labels, mut sims) = (Vec::new(), Vec::new());
        for row in rows.chunks_exact(dim) {
            let mut all: Vec<(f32, u32)> = centroids
                .chunks_exact(dim)
                .enumerate()
                .map(|(c, other)| (similarity(row, other), c as u32))
                .collect();
            all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
            labels.extend(all[..p].iter().map(|pair| pair.1));
            sims.extend(all[..p].iter().map(|pair| pair.0));
        }
        (labels, sims)
    }

    fn check(rows: &[f32], centroids: &[f32], dim: usize, p: usize) {
        let n = rows.len() / dim;
        for threads in [1, 2, 3] {
            let (mut labels, mut sims) = (vec![9; n * p], vec![9.0; n * p]);
            in_pool(threads, || nearest_many(rows, centroids, dim, p, &mut labels, &mut sims));
            assert_eq!((labels, sims), sorted(rows, centroids, dim, p));
            let (mut labels, mut sims) = (vec![9; n], vec![9.0; n]);
            in_pool(threads, || nearest(rows, centroids, dim, &mut labels, &mut sims));
            assert_eq!((labels, sims), sorted(rows, centroids, dim, 1));
        }
        // Buffers that held something before must not matter, nor whether there are outlines.
        let mut buffers = FinderBuffers::default();
        let outlined = || Finder::with_frame(centroids.into(), dim, Some(Frame::of(centroids, dim)));
        let plain = || Finder::new(centroids, dim, 0);
        for (p, finder) in [(p, plain()), (1, plain()), (p, outlined()), (1, outlined()), (p, plain())] {
            let (mut labels, mut sims) = (vec![9; n * p], vec![9.0; n * p]);
            let tiles = rows.chunks(TILE_ROWS * dim).zip(labels.chunks_mut(TILE_ROWS * p));
            for ((rows, labels), sims) in tiles.zip(sims.chunks_mut(TILE_ROWS * p)) {
                finder.find(rows, p, labels, sims, &mut buffers);
            }
            assert_eq!((labels, sims), sorted(rows, centroids, dim, p));
            let (first, dim) = (row(centroids, dim, 0), dim);
            for number in 0..finder.centroids() {
                let other = row(centroids, dim, number);
                let square = dot(first, first) + dot(other, other) - 2.0 * dot(first, other);
                assert_eq!(finder.distance(0, number as u32).to_bits(), square.max(0.0).sqrt().to_bits());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn equals_sorting_all_pairs(
            kind in kinds(), seed: u64,
            n in prop::sample::select(&SIZES[1..]), k in prop::sample::select(&SIZES[1..]),
            dim in prop::sample::select(&DIMS[..]), p in 1usize..24,
        ) {
            let n = n.min(257);
            check(&table(kind, n, dim, seed), &table(kind, k, dim, seed ^ 1), dim, p.min(k));
            // Rows against themselves: exact copies on both sides.
            let both = table(kind, k.min(300), dim, seed);
            check(&both, &both, dim, p.min(k.min(300)));
        }
    }

    #[test]
    fn wide_rows_within_the_error_bound_of_each_other() {
        // Perturbed by far less than the kernel's error bound, so that only the exact score can tell them apart.
        let dim = 768;
        let rows = table(Kind::NearCopies, 300, dim, 5);
        check(&rows, &rows[..260 * dim], dim, 7);
    }

    #[test]
    fn rows_wider_than_their_outlines() {
        // More axes than outlines have numbers, so that rests matter; means of a few rows, as centroids are.
        let dim = 400;
        let rows = table(Kind::Random, 500, dim, 11);
        let centroids: Vec<f32> = rows
            .chunks_exact(2 * dim)
            .flat_map(|two| {
                let (a, b) = two.split_at(dim);
                let mut mean: Vec<f32> = a.iter().zip(b).map(|(a, b)| a + 0.5 * b).collect();
                crate::rows::normalize(&mut mean, dim);
                mean
            })
            .collect();
        check(&rows, &centroids, dim, 3);
        check(&rows, &[&centroids[..], &rows[..40 * dim], &vec![0.0; dim]].concat(), dim, 5);
    }

    #[test]
    fn outlines_rule_out_most_centroids() {
        // Rows about 300 centroids whose spectrum decays, as embeddings have it.
        let dim = 512;
        let mut centroids = table(Kind::Random, 300, dim, 1);
        for row in centroids.chunks_exact_mut(dim) {
            row.iter_mut().enumerate().for_each(|(place, value)| *value *= (1.0 + place as f32).powf(-0.6));
        }
        crate::rows::normalize(&mut centroids, dim);
        let noise = table(Kind::Random, 192, dim, 2);
        let near = |(row, noise): (usize, &[f32])| -> Vec<f32> {
            let centroid = &centroids[row % 300 * dim..][..dim];
            let length = crate::rows::dot(noise, noise).sqrt() as f32;
            centroid.iter().zip(noise).map(|(a, b)| a + 0.6 / length * b).collect()
        };
        let mut rows: Vec<f32> = noise.chunks_exact(dim).enumerate().flat_map(near).collect();
        crate::rows::normalize(&mut rows, dim);
        let finder = Finder::with_frame((&centroids[..]).into(), dim, Some(Frame::of(&centroids, dim)));
        let mut buffers = FinderBuffers::default();
        let (mut labels, mut sims) = (vec![0; 192], vec![0.0; 192]);
        finder.find(&rows, 1, &mut labels, &mut sims, &mut buffers);
        assert!(labels.iter().enumerate().all(|(row, &label)| label as usize == row));
        let open = buffers
            .ceilings
            .chunks_exact(192)
            .map(|ceilings| ceilings.iter().zip(&sims).filter(|&(ceiling, sim)| ceiling >= sim).count());
        let open: usize = open.sum();
        assert!(open < 192 * 5 / 2, "{open} of {} panels were looked at again", 192 * 5);
    }

    #[test]
    fn identical_centroids_give_the_lowest_index() {
        let row = table(Kind::Random, 1, 40, 3);
        let centroids = row.repeat(1025);
        let (mut labels, mut sims) = (vec![9; 1], vec![9.0; 1]);
        nearest(&row, &centroids, 40, &mut labels, &mut sims);
        assert_eq!((labels[0], sims[0]), (0, similarity(&row, &row)));
    }

    #[test]
    fn no_rows_and_rows_without_a_direction() {
        nearest(&[], &[], 4, &mut [], &mut []);
        nearest_many(&[], &[], 4, 3, &mut [], &mut []);
        let rows = [0.0, 0.0, f32::NAN, 0.0, f32::INFINITY, 1.0];
        let (mut labels, mut sims) = (vec![9; 3], vec![9.0; 3]);
        nearest(&rows, &[1.0, 0.0, 0.0, 1.0], 2, &mut labels, &mut sims);
        assert_eq!(labels, [0, 0, 0]);
        assert!(sims[0] == 0.0 && sims[1].is_nan() && sims[2] == f32::INFINITY);
        let (mut labels, mut sims) = (vec![9; 6], vec![9.0; 6]);
        nearest_many(&rows, &[1.0, 0.0, 0.0, 1.0], 2, 2, &mut labels, &mut sims);
        assert_eq!(labels[..4], [0, 1, 0, 1]);
        assert_eq!(sims[2], f32::NEG_INFINITY);
    }

    #[test]
    fn rows_that_overflow_the_kernel_are_still_exact() {
        let rows = [3e30f32, -2e30, 1e30, 1e-40, 0.5, 2.0];
        check(&rows, &[1e30, 1.0, -1e30, 3e30, 1e30, 1e20], 2, 3);
    }
}
