//! An order in which like centroids stand together: what rules one of a panel out then rules out most of them.
use crate::{
    propose::LANES,
    rows::{row_count, similarity},
};
use rayon::prelude::*;

/// Centroids panel by panel: the first that is left and those most like it.
pub(crate) fn by_likeness(centroids: &[f32], dim: usize) -> Vec<u32> {
    let mut left: Vec<u32> = (0..row_count(centroids, dim) as u32).collect();
    let mut order = Vec::with_capacity(left.len());
    while left.len() > LANES {
        let row = |place: u32| &centroids[place as usize * dim..(place as usize + 1) * dim];
        let first = row(left[0]);
        let mut likeness: Vec<(f32, u32)> =
            left.par_iter().map(|&other| (similarity(first, row(other)), other)).collect();
        likeness.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        order.extend(likeness[..LANES].iter().map(|pair| pair.1));
        left = likeness[LANES..].iter().map(|pair| pair.1).collect();
        left.sort_unstable();
    }
    order.extend(left);
    order
}
