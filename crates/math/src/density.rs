//! The numbers behind density-based pruning: how far a cluster is from others, its complexity, and the shares that follow.
//! Formulas: "Effective pruning of web-scale datasets based on complexity of concept clusters" (Abbas et al. 2024), section 3.
use crate::{nearest::nearest_many, rows::row_count};

/// The softmax could not be formed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SoftmaxError {
    /// A temperature that is not a positive finite number.
    #[error("the temperature is {found}; expected a number above 0")]
    Temperature {
        /// The value given.
        found: f64,
    },
    /// A complexity that is NaN or `+∞`.
    #[error("the complexity of cluster {cluster} is {found}; expected a finite number, or -inf for no share")]
    Complexity {
        /// Its index.
        cluster: usize,
        /// Its value.
        found: f64,
    },
    /// Every complexity is `-∞` (or there is none), so no share can be given.
    #[error("none of the {clusters} clusters may get a share")]
    NoCluster {
        /// How many there are.
        clusters: usize,
    },
}

/// For each centroid (`[k, dim]`, unit length) the mean distance `1 − similarity` to its `neighbors` nearest **other** centroids; to all
/// others when there are fewer; 0 when there is no other or `neighbors` is 0. A centroid is told from its copies by index, so identical
/// centroids count as others at distance 0 (the reference drops the first hit as "itself", whichever it was). Exact; values in [0, 2]
/// up to rounding. The paper uses 20 neighbours.
pub fn d_inter(centroids: &[f32], dim: usize, neighbors: usize) -> Vec<f64> {
    let k = row_count(centroids, dim);
    let others = neighbors.min(k.saturating_sub(1));
    if others == 0 {
        return vec![0.0; k];
    }
    let found = others + 1;
    let mut means = Vec::with_capacity(k);
    // In blocks of rows, so that the lists of the nearest stay small whatever k is.
    for (block, rows) in centroids.chunks(4096 * dim).enumerate() {
        let n = rows.len() / dim;
        let mut labels = vec![0u32; n * found];
        let mut sims = vec![0f32; n * found];
        nearest_many(rows, centroids, dim, found, &mut labels, &mut sims);
        for (row, (labels, sims)) in labels.chunks_exact(found).zip(sims.chunks_exact(found)).enumerate() {
            let itself = (block * 4096 + row) as u32;
            let near = labels.iter().zip(sims).filter(|(label, _)| **label != itself).take(others);
            means.push(near.map(|(_, sim)| 1.0 - f64::from(*sim)).sum::<f64>() / others as f64);
        }
    }
    means
}

/// Complexity of each cluster: `d_inter · d_intra`, where `d_intra` is the mean distance of its members to their centroid. NaN where
/// either is (a cluster without members has no `d_intra`). Panics if the lengths differ.
pub fn complexity(d_inter: &[f64], d_intra: &[f64]) -> Vec<f64> {
    assert_eq!(d_inter.len(), d_intra.len(), "one d_inter and one d_intra a cluster");
    d_inter.iter().zip(d_intra).map(|(inter, intra)| inter * intra).collect()
}

/// Complexities as shares for clusters that may be empty: like [`complexity`], with `-∞` (share 0 in [`softmax`]) where `sizes` is 0.
/// Panics if the lengths differ.
pub fn complexity_of_members(d_inter: &[f64], d_intra: &[f64], sizes: &[u64]) -> Vec<f64> {
    assert_eq!(d_inter.len(), sizes.len(), "one size a cluster");
    let with_size = complexity(d_inter, d_intra).into_iter().zip(sizes);
    with_size.map(|(c, &size)| if size == 0 { f64::NEG_INFINITY } else { c }).collect()
}

/// Shares `P_j = exp(c_j/τ) / Σ exp(c_l/τ)`, summing to 1. The largest value is subtracted first, so nothing overflows, and as τ goes to 0
/// the whole share goes to the largest `c` (equal parts among equal ones). `-∞` gives share 0. The paper's best temperature is 0.1.
pub fn softmax(c: &[f64], temperature: f64) -> Result<Vec<f64>, SoftmaxError> {
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(SoftmaxError::Temperature { found: temperature });
    }
    if let Some(cluster) = c.iter().position(|v| v.is_nan() || *v == f64::INFINITY) {
        return Err(SoftmaxError::Complexity { cluster, found: c[cluster] });
    }
    let top = c.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return Err(SoftmaxError::NoCluster { clusters: c.len() });
    }
    let mut shares: Vec<f64> = c.iter().map(|v| ((v - top) / temperature).exp()).collect();
    let sum: f64 = shares.iter().sum();
    for share in &mut shares {
        *share /= sum;
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rows::similarity,
        testing::{kinds, table},
    };
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn d_inter_equals_sorting_all_others(kind in kinds(), seed: u64, k in 1usize..90, dim in 1usize..40, l in 0usize..30) {
            let centroids = table(kind, k, dim, seed);
            let row = |j: usize| &centroids[j * dim..(j + 1) * dim];
            let found = d_inter(&centroids, dim, l);
            for (j, found) in found.iter().enumerate() {
                let mut sims: Vec<f32> = (0..k).filter(|&i| i != j).map(|i| similarity(row(j), row(i))).collect();
                sims.sort_by(|a, b| b.total_cmp(a));
                sims.truncate(l);
                let mean = sims.iter().map(|s| 1.0 - f64::from(*s)).sum::<f64>() / sims.len() as f64;
                let expected = if sims.is_empty() { 0.0 } else { mean };
                prop_assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            }
        }

        #[test]
        fn softmax_adds_up_and_keeps_the_order(c in prop::collection::vec(-50.0f64..50.0, 1..40), t in 0.01f64..20.0) {
            let shares = softmax(&c, t).unwrap();
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (a, x) in c.iter().zip(&shares) {
                for (b, y) in c.iter().zip(&shares) {
                    prop_assert!(a < b || x >= y);
                }
            }
        }
    }

    #[test]
    fn copies_of_a_centroid_are_others_at_no_distance() {
        let centroids = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        assert_eq!(d_inter(&centroids, 2, 1), [0.0, 0.0, 1.0]);
        assert_eq!(d_inter(&centroids, 2, 20), [0.5, 0.5, 1.0]);
        assert_eq!(d_inter(&[1.0, 0.0], 2, 20), [0.0]);
        assert!(d_inter(&[], 2, 20).is_empty());
    }

    #[test]
    fn softmax_of_the_golden_case() {
        let shares = softmax(&[0.2, 0.3, 0.4], 0.1).unwrap();
        for (share, expected) in shares.iter().zip([0.0900, 0.2447, 0.6652]) {
            assert!((share - expected).abs() < 5e-5);
        }
    }

    #[test]
    fn extreme_temperatures_and_empty_clusters() {
        assert_eq!(softmax(&[1.0, 3.0, 3.0, 2.0], 1e-12).unwrap(), [0.0, 0.5, 0.5, 0.0]);
        assert_eq!(softmax(&[1e300, 0.0], 1e-300).unwrap(), [1.0, 0.0]);
        let c = complexity_of_members(&[0.5, 0.5, 0.4], &[f64::NAN, 0.2, 0.5], &[0, 3, 4]);
        assert_eq!(c, [f64::NEG_INFINITY, 0.1, 0.2]);
        assert_eq!(softmax(&c, 1e-9).unwrap(), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn what_has_no_softmax_is_an_error() {
        for found in [0.0, -1.0, f64::INFINITY] {
            assert_eq!(softmax(&[1.0], found), Err(SoftmaxError::Temperature { found }));
        }
        assert!(matches!(softmax(&[1.0], f64::NAN), Err(SoftmaxError::Temperature { .. })));
        assert!(matches!(softmax(&[1.0, f64::NAN], 0.1), Err(SoftmaxError::Complexity { cluster: 1, .. })));
        assert_eq!(softmax(&[], 0.1), Err(SoftmaxError::NoCluster { clusters: 0 }));
        assert_eq!(softmax(&[f64::NEG_INFINITY], 0.1), Err(SoftmaxError::NoCluster { clusters: 1 }));
    }
}
