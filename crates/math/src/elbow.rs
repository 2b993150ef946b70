//! Which number of clusters to choose from a sweep.
//!
//! The decision to question: the curve is read on the logarithm of k, because mean distance falls about evenly with every doubling
//! of k; on k itself the largest k of a wide sweep would flatten everything before it.

/// The index of the chosen point of a sweep of `(k, mean_dist)`, given in any order.
///
/// Rule: sort by k; scale `ln k` and mean distance to [0, 1] each; draw the chord from the first to the last point; choose the point
/// farthest below it (the knee of Satopää et al., "Finding a 'Kneedle' in a Haystack", 2011, with S = 0 and no smoothing). Ties go to the
/// smaller k. Where no point lies below the chord (by more than 1e-9), where all points have one k, and with one or two points, there is no
/// elbow: the point of lowest mean distance is chosen, ties to the smaller k. Points with k = 0 or a mean distance that is not finite are
/// left out; `None` if none is left.
pub fn choose(points: &[(usize, f64)]) -> Option<usize> {
    let mut order: Vec<usize> =
        (0..points.len()).filter(|&i| points[i].0 > 0 && points[i].1.is_finite()).collect();
    order.sort_by(|&a, &b| {
        points[a].0.cmp(&points[b].0).then(points[a].1.total_cmp(&points[b].1)).then(a.cmp(&b))
    });
    let (first, last) = (*order.first()?, *order.last()?);
    let lowest = order.iter().copied().reduce(|a, b| if points[b].1 < points[a].1 { b } else { a });
    let x = |i: usize| (points[i].0 as f64).ln();
    let y = |i: usize| points[i].1;
    let highest_dist = order.iter().map(|&i| y(i)).fold(f64::NEG_INFINITY, f64::max);
    let lowest_dist = order.iter().map(|&i| y(i)).fold(f64::INFINITY, f64::min);
    let (width, height) = (x(last) - x(first), highest_dist - lowest_dist);
    if order.len() < 3 || width <= 0.0 || height <= 0.0 {
        return lowest;
    }
    let mut chosen = None;
    let mut deepest = 1e-9;
    for &i in &order {
        let along = (x(i) - x(first)) / width;
        let chord = y(first) + along * (y(last) - y(first));
        let depth = (chord - y(i)) / height;
        if depth > deepest {
            deepest = depth;
            chosen = Some(i);
        }
    }
    chosen.or(lowest)
}
