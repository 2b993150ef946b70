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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_of_a_bent_line_is_found_in_any_order() {
        // Falls steeply down to k = 80, then hardly: two straight lines on log k.
        let dist =
            |k: f64| if k <= 80.0 { 0.6 - 0.1 * (k / 10.0).log2() } else { 0.3 - 0.01 * (k / 80.0).log2() };
        let ks = [10usize, 20, 40, 80, 160, 320, 640];
        let mut points: Vec<(usize, f64)> = ks.iter().map(|&k| (k, dist(k as f64))).collect();
        assert_eq!(choose(&points), Some(3));
        points.reverse();
        assert_eq!(choose(&points), Some(3));
    }

    #[test]
    fn the_scale_of_the_distance_does_not_matter() {
        let points = [(1usize, 9.0), (2, 4.0), (4, 3.0), (8, 2.9)];
        let scaled = points.map(|(k, d)| (k, d * 1e-3 + 5.0));
        assert_eq!(choose(&points), choose(&scaled));
        assert_eq!(choose(&points), Some(1));
    }

    #[test]
    fn without_an_elbow_the_lowest_distance_wins() {
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&[(5, 0.3)]), Some(0));
        assert_eq!(choose(&[(5, 0.3), (9, 0.2)]), Some(1));
        assert_eq!(choose(&[(9, 0.2), (5, 0.2)]), Some(1));
        // Straight on log k, and bulging above the chord.
        assert_eq!(choose(&[(1, 3.0), (10, 2.0), (100, 1.0)]), Some(2));
        assert_eq!(choose(&[(1, 3.0), (10, 2.9), (100, 1.0)]), Some(2));
        assert_eq!(choose(&[(7, 0.5), (7, 0.4), (7, 0.6)]), Some(1));
        assert_eq!(choose(&[(1, 0.5), (2, 0.5), (4, 0.5)]), Some(0));
    }

    #[test]
    fn points_without_a_value_are_left_out() {
        assert_eq!(choose(&[(0, 0.1), (5, f64::NAN), (9, f64::INFINITY)]), None);
        assert_eq!(choose(&[(0, 0.1), (5, f64::NAN), (9, 0.7)]), Some(2));
    }
}
