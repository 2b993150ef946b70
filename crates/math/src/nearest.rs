//! The nearest centroids of rows, exactly: the largest similarities, ties to the lower index.
use crate::{
    propose::{Codes, Kernel, Panels, Rows},
    rows::row_count,
    scan::{Best, Hunt, Largest, Several, Sources, TARGET_TILE, search, search_here},
};
use rayon::prelude::*;
use std::sync::Arc;

/// Rows that [`Finder::find`] takes best: what one thread then holds stays in its second-level cache.
pub const TILE_ROWS: usize = TARGET_TILE;

/// Centroids that rows are looked up in, block after block: coded and packed once. For callers that hand out the rows to threads themselves
/// and do more with each tile while it is in the cache.
pub struct Finder<'a> {
    centroids: &'a [f32],
    dim: usize,
    codes: Codes,
    panels: Arc<Panels>,
}

/// Buffers of one thread for [`Finder::find`].
#[derive(Default)]
pub struct FinderBuffers {
    codes: Codes,
    hunts: Vec<Hunt>,
    lists: Vec<Vec<Best>>,
    best: Vec<Best>,
}

impl<'a> Finder<'a> {
    /// Prepares centroids `[k, dim]`. Panics if there is none.
    pub fn new(centroids: &'a [f32], dim: usize) -> Self {
        let k = row_count(centroids, dim);
        assert!(k > 0 && u32::try_from(k).is_ok(), "centroids are numbered from 0 in 32 bits");
        let codes = Codes::new(centroids, dim);
        let panels = Arc::new(Panels::pack(codes.of(centroids)));
        Self { centroids, dim, codes, panels }
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
        buffers.codes.fill_here(Kernel::best(), rows, self.dim);
        let targets = buffers.codes.of(rows);
        let sources = Sources::packed(self.codes.of(self.centroids), self.panels.clone());
        if p == 1 {
            buffers.best.clear();
            buffers.best.resize(n, Best::NONE);
            search_here(&any(), targets, &sources, &mut buffers.best, &mut buffers.hunts);
            hand_out_best(&buffers.best, labels, sims);
        } else {
            assert!(p > 0 && p <= self.codes.len(), "asked for the {p} nearest of {}", self.codes.len());
            buffers.lists.resize_with(n.max(buffers.lists.len()), Vec::new);
            let lists = &mut buffers.lists[..n];
            lists.iter_mut().for_each(Vec::clear);
            search_here(&Several { most: p }, targets, &sources, lists, &mut buffers.hunts);
            hand_out_lists(lists, p, labels, sims);
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
        Finder::new(centroids, dim).find_all(rows, 1, labels, sims);
    }
}

/// As [`nearest`], for rows whose codes are there already.
pub(crate) fn nearest_of(rows: Rows<'_>, centroids: &[f32], labels: &mut [u32], sims: &mut [f32]) {
    let codes = Codes::new(centroids, rows.dim());
    let mut best = vec![Best::NONE; rows.len()];
    search(&any(), rows, &Sources::new(codes.of(centroids)), &mut best);
    hand_out_best(&best, labels, sims);
}

/// Every source competes.
fn any() -> Largest<impl Fn(usize) -> usize, impl Fn(usize, usize) -> bool, impl Fn(usize) -> u64> {
    Largest { limit: |_| usize::MAX, admits: |_, _| true, index: |source| source as u64 }
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
    Finder::new(centroids, dim).find_all(rows, p, labels, sims);
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
        // Buffers that held something before must not matter.
        let mut buffers = FinderBuffers::default();
        for p in [p, 1, p] {
            let (mut labels, mut sims) = (vec![9; n * p], vec![9.0; n * p]);
            let tiles = rows.chunks(TILE_ROWS * dim).zip(labels.chunks_mut(TILE_ROWS * p));
            for ((rows, labels), sims) in tiles.zip(sims.chunks_mut(TILE_ROWS * p)) {
                Finder::new(centroids, dim).find(rows, p, labels, sims, &mut buffers);
            }
            assert_eq!((labels, sims), sorted(rows, centroids, dim, p));
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
