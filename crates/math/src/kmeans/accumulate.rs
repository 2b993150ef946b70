//! Fixed-point sums of member rows and the centroids they give.
//!
//! The decision to question: values are rounded to multiples of 2⁻³⁰. Each row adds at most 2⁻³¹ of error to a coordinate of the sum, so the
//! mean is within 5e-10, far below the 6e-8 of an `f32`; and 2³³ unit rows fit a sum.
use crate::rows::dot;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// One unit of the sums.
const SCALE: f64 = (1u64 << 30) as f64;

/// The label of a row that belongs to no cluster.
pub(super) const NO_CLUSTER: u32 = u32::MAX;

/// A row of a block that joins a cluster or leaves it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub row: u32,
    pub cluster: u32,
    pub joins: bool,
}

/// Sums `[k, dim]` in units of 2⁻³⁰ and the number of rows in each.
pub(super) struct Sums {
    values: Vec<i64>,
    pub counts: Vec<u64>,
    dim: usize,
    starts: Vec<usize>,
    order: Vec<(u32, bool)>,
}

impl Sums {
    pub(super) fn new(k: usize, dim: usize) -> Self {
        Self { values: vec![0; k * dim], counts: vec![0; k], dim, starts: vec![0; k + 1], order: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.values.fill(0);
        self.counts.fill(0);
    }

    /// Adds rows of a block to the sums of the clusters they join and takes them from those they leave, in parallel over clusters.
    /// Integer sums: a row that is taken away leaves no trace.
    pub(super) fn change(&mut self, rows: &[f32], changes: &[Change]) {
        // A counting sort brings the rows of a cluster together, so that each sum has one writer.
        self.starts.fill(0);
        for change in changes {
            let (cluster, one) = (change.cluster as usize, if change.joins { 1 } else { u64::MAX });
            self.starts[cluster + 1] += 1;
            self.counts[cluster] = self.counts[cluster].wrapping_add(one);
        }
        for cluster in 0..self.counts.len() {
            self.starts[cluster + 1] += self.starts[cluster];
        }
        self.order.clear();
        self.order.resize(changes.len(), (0, false));
        let mut next = self.starts.clone();
        for change in changes {
            let place = &mut next[change.cluster as usize];
            self.order[*place] = (change.row, change.joins);
            *place += 1;
        }
        let (starts, order, dim) = (&self.starts, &self.order, self.dim);
        self.values.par_chunks_exact_mut(dim).with_min_len(16).enumerate().for_each(|(cluster, sum)| {
            for &(row, joins) in &order[starts[cluster]..starts[cluster + 1]] {
                add_row(sum, &rows[row as usize * dim..(row as usize + 1) * dim], joins);
            }
        });
    }

    /// Replaces each centroid by the normalised mean of its rows; those without rows, or whose mean has no direction, stay as they are.
    pub(super) fn centroids_into(&self, centroids: &mut [f32]) {
        let dim = self.dim;
        // Rounding alone can give the mean this length.
        let noise = (dim as f64).sqrt() / SCALE;
        let sums = self.values.par_chunks_exact(dim).zip(&self.counts).with_min_len(16);
        centroids.par_chunks_exact_mut(dim).zip(sums).for_each(|(centroid, (sum, &count))| {
            if count == 0 {
                return;
            }
            let mean = |v: i64| v as f64 / SCALE / count as f64;
            let length = sum.iter().map(|&v| mean(v) * mean(v)).sum::<f64>().sqrt();
            if length > noise {
                for (value, &v) in centroid.iter_mut().zip(sum) {
                    *value = (mean(v) / length) as f32;
                }
                debug_assert!((dot(centroid, centroid) - 1.0).abs() < 1e-5);
            }
        });
    }
}

/// Adds `round(value · 2³⁰)` of each value, ties to even, or takes it away.
fn add_row(sum: &mut [i64], row: &[f32], joins: bool) {
    // Adding 1.5 · 2⁵² leaves the rounded integer in the low bits of the f64: conversion and rounding in one addition that every
    // instruction set has. Right for |value| below 2²¹, which unit rows are by far. Rounding is symmetric, so the sign can go first.
    Arch::new().dispatch(AddRow { sum, row, scale: if joins { SCALE } else { -SCALE } });
}

struct AddRow<'a> {
    sum: &'a mut [i64],
    row: &'a [f32],
    scale: f64,
}

impl NullaryFnOnce for AddRow<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        const MAGIC: f64 = (3u64 << 51) as f64;
        for (sum, value) in self.sum.iter_mut().zip(self.row) {
            let bits = (f64::from(*value) * self.scale + MAGIC).to_bits();
            *sum = sum.wrapping_add(bits.wrapping_sub(MAGIC.to_bits()).cast_signed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_the_unit_and_added() {
        let row: Vec<f32> = (0..67).map(|i| (i as f32 - 33.0) / 35.0).collect();
        let mut sum = vec![5i64; 67];
        add_row(&mut sum, &row, true);
        for (sum, value) in sum.iter().zip(&row) {
            assert_eq!(*sum, 5 + (f64::from(*value) * SCALE).round_ties_even() as i64);
        }
        add_row(&mut sum, &row, false);
        assert_eq!(sum, vec![5; 67]);
    }

    #[test]
    fn rows_that_cancel_out_leave_the_centroid() {
        let mut sums = Sums::new(2, 2);
        let joins = |row, cluster| Change { row, cluster, joins: true };
        let rows = [1.0, 0.0, -1.0, 0.0, 0.6, 0.8, 0.0, 1.0];
        sums.change(&rows, &[joins(0, 0), joins(3, 1), joins(1, 0), joins(2, 1)]);
        sums.change(&rows, &[Change { row: 3, cluster: 1, joins: false }]);
        let mut centroids = vec![0.0, 1.0, 1.0, 0.0];
        sums.centroids_into(&mut centroids);
        assert_eq!(centroids, [0.0, 1.0, 0.6, 0.8]);
        assert_eq!(sums.counts, [2, 1]);
    }
}
