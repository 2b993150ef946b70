//! Borders between cells: which rows can have a near duplicate on the other side at all.
//!
//! Cells are the regions nearest to one of several centroids, so between two of them runs a plane, and a pair across it is at least as far apart as
//! either of its rows is from the plane. Rows of unit length with `x·y ≥ floor` are at most `√(2 − 2·floor)` apart.
/// What the rounding of rows to unit length and of similarities to `f32` can add to a squared distance of rows.
const SQUARE_MARGIN: f64 = 1e-5;
/// What it can add to a difference of two similarities.
const GAP_MARGIN: f64 = 1e-6;

/// How far rows are apart that have a wanted similarity.
#[derive(Debug, Clone, Copy)]
pub struct Reach(f64);

impl Reach {
    /// Of unit rows whose similarity is at least `floor`.
    pub fn of(floor: f32) -> Self {
        Self(((2.0 - 2.0 * f64::from(floor)).max(0.0) + SQUARE_MARGIN).sqrt())
    }

    /// Whether a unit row may have such a similarity with a row of another cell, whose centroid is `between` away from its own
    /// ([`crate::nearest::Finder::distance`]). `gap` is how much more similar it is to its own centroid. False is proof: with `u = own − other`, the row has
    /// `x·u = gap` and the other one `y·u ≤ 0`, so `gap ≤ (x − y)·u ≤ |x − y|·|u|`. True for a gap that is NaN.
    pub fn crosses(self, gap: f32, between: f64) -> bool {
        let is_beyond = f64::from(gap) > self.0 * between + GAP_MARGIN;
        !is_beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        nearest::{Finder, nearest_many},
        rows::{dot, row, similarity},
        testing::{DIMS, kinds, table},
    };
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn no_pair_across_a_border_is_ruled_out(
            kind in kinds(), seed: u64, k in 2usize..9, dim in prop::sample::select(&DIMS[..]), floor in 0.0f32..1.0,
        ) {
            let (n, p) = (150, 2);
            let rows = table(kind, n, dim, seed);
            // Centroids of any length, some of them rows.
            let mut centroids = table(kind, k, dim, seed.wrapping_add(1));
            centroids[..dim].copy_from_slice(row(&rows, dim, 0));
            centroids[dim..2 * dim].iter_mut().for_each(|value| *value *= 0.5);
            let (mut cells, mut sims) = (vec![0; n * p], vec![0.0; n * p]);
            nearest_many(&rows, &centroids, dim, p, &mut cells, &mut sims);
            let (reach, finder) = (Reach::of(floor), Finder::new(&centroids[..], dim, n));
            for x in 0..n {
                let (own, other) = (cells[x * p], cells[x * p + 1]);
                if reach.crosses(sims[x * p] - sims[x * p + 1], finder.distance(own, other)) {
                    continue;
                }
                for y in (0..n).filter(|&y| cells[y * p] == other) {
                    let sim = similarity(row(&rows, dim, x), row(&rows, dim, y));
                    // Rows without a direction take no part in a search.
                    let is_row = |at: usize| (similarity(row(&rows, dim, at), row(&rows, dim, at)) - 1.0).abs() < 1e-5;
                    prop_assert!(!(sim >= floor && is_row(x) && is_row(y)), "rows {x} and {y}: {sim} >= {floor}");
                }
            }
        }
    }

    #[test]
    fn rows_deep_in_their_cell_stay_there_and_rows_at_the_border_do_not() {
        let finder = Finder::new(&[1.0, 0.0, 0.0, 1.0][..], 2, 1);
        let (reach, between) = (Reach::of(0.95), finder.distance(0, 1));
        assert_eq!(between, dot(&[1.0, -1.0], &[1.0, -1.0]).sqrt());
        let at = |degrees: f32| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            reach.crosses(cos - sin, between)
        };
        // arccos 0.95 is 18.2 degrees, and the border stands at 45.
        assert!(at(45.0) && at(30.0) && !at(20.0) && !at(0.0));
        assert!(reach.crosses(f32::NAN, between));
        assert!(Reach::of(-1.0).crosses(1.0, between), "any two rows have a similarity of -1 or more");
    }
}
