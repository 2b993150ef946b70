//! The nearest centroids of rows, exactly: the largest similarities, ties to the lower index.
use crate::{
    rows::row_count,
    scan::{Best, Panel, for_tiles, squares},
};

/// For each row of `rows` (`[n, dim]`) the centroid (`[k, dim]`) of largest similarity, ties to the lower index, into `labels` and the
/// similarity into `sims` (`n` each). Exact: equal to scoring all pairs with [`crate::rows::similarity`]. A row whose similarities are all NaN
/// (it holds NaN) gets label 0 and NaN. Works in parallel in the current rayon pool; allocates O(n + k) and a tile of scores per thread.
/// Panics if `k` is 0 while `n` is not, or a length contradicts the shapes.
pub fn nearest(rows: &[f32], centroids: &[f32], dim: usize, labels: &mut [u32], sims: &mut [f32]) {
    let n = row_count(rows, dim);
    assert!(labels.len() == n && sims.len() == n, "one label and one similarity a row");
    if n == 0 {
        return;
    }
    let k = row_count(centroids, dim);
    assert!(k > 0 && u32::try_from(k).is_ok(), "centroids are numbered from 0 in 32 bits");
    let row_squares = squares(rows, dim);
    let centroid_squares = squares(centroids, dim);
    let mut best = vec![Best::NONE; n];
    for_tiles(
        Panel { rows, squares: &row_squares, dim },
        Panel { rows: centroids, squares: &centroid_squares, dim },
        &mut best,
        1,
        |_, _| k,
        |tile, _, best| {
            let width = tile.sources.len();
            for (target, best) in best.iter_mut().enumerate() {
                tile.compete(target, width, best, |source| (tile.first_source + source) as u64, None);
            }
        },
    );
    for ((best, label), sim) in best.iter().zip(labels).zip(sims) {
        let found = best.index != u64::MAX;
        *label = if found { best.index as u32 } else { 0 };
        *sim = if found { best.sim } else { f32::NAN };
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
    assert!(u32::try_from(k).is_ok(), "centroids are numbered from 0 in 32 bits");
    let row_squares = squares(rows, dim);
    let centroid_squares = squares(centroids, dim);
    let mut lists = vec![Vec::<Best>::with_capacity(p); n];
    for_tiles(
        Panel { rows, squares: &row_squares, dim },
        Panel { rows: centroids, squares: &centroid_squares, dim },
        &mut lists,
        1,
        |_, _| k,
        |tile, _, lists| {
            let mut spare = Vec::new();
            for (target, list) in lists.iter_mut().enumerate() {
                tile.gather(target, p, list, &mut spare);
            }
        },
    );
    for ((list, labels), sims) in lists.iter().zip(labels.chunks_exact_mut(p)).zip(sims.chunks_exact_mut(p)) {
        for ((best, label), sim) in list.iter().zip(labels).zip(sims) {
            *label = best.index as u32;
            *sim = best.sim;
        }
    }
}
