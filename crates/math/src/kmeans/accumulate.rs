//! Fixed-point sums of member rows and the centroids they give.
//!
//! The decision to question: values are rounded to multiples of 2⁻³⁰. Each row adds at most 2⁻³¹ of error to a coordinate of the sum, so the
//! mean is within 5e-10, far below the 6e-8 of an `f32`; and 2³³ unit rows fit a sum.
use crate::rows::dot;
use gemm_common::pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// One unit of the sums.
const SCALE: f64 = (1u64 << 30) as f64;

/// A label of [`Sums::add`] that belongs to no cluster.
pub(super) const NO_CLUSTER: u32 = u32::MAX;

/// Sums `[k, dim]` in units of 2⁻³⁰ and the number of rows in each.
pub(super) struct Sums {
    values: Vec<i64>,
    pub counts: Vec<u64>,
    dim: usize,
    starts: Vec<usize>,
    order: Vec<u32>,
}

impl Sums {
    pub(super) fn new(k: usize, dim: usize) -> Self {
        Self { values: vec![0; k * dim], counts: vec![0; k], dim, starts: vec![0; k + 1], order: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.values.fill(0);
        self.counts.fill(0);
    }

    /// Adds each row of a block to the sum of its label, in parallel over clusters; rows of [`NO_CLUSTER`] are left out.
    pub(super) fn add(&mut self, rows: &[f32], labels: &[u32]) {
        // A counting sort brings the rows of a cluster together, so that each sum has one writer.
        self.starts.fill(0);
        for &label in labels.iter().filter(|&&label| label != NO_CLUSTER) {
            self.starts[label as usize + 1] += 1;
        }
        for cluster in 0..self.counts.len() {
            self.counts[cluster] += self.starts[cluster + 1] as u64;
            self.starts[cluster + 1] += self.starts[cluster];
        }
        self.order.clear();
        self.order.resize(self.starts[self.counts.len()], 0);
        let mut next = self.starts.clone();
        for (row, &label) in labels.iter().enumerate().filter(|(_, label)| **label != NO_CLUSTER) {
            self.order[next[label as usize]] = row as u32;
            next[label as usize] += 1;
        }
        let (starts, order, dim) = (&self.starts, &self.order, self.dim);
        self.values.par_chunks_exact_mut(dim).with_min_len(16).enumerate().for_each(|(cluster, sum)| {
            for &row in &order[starts[cluster]..starts[cluster + 1]] {
                add_row(sum, &rows[row as usize * dim..(row as usize + 1) * dim]);
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

/// Adds `round(value · 2³⁰)` of each value, ties to even.
fn add_row(sum: &mut [i64], row: &[f32]) {
    Arch::new().dispatch(AddRow { sum, row });
}

struct AddRow<'a> {
    sum: &'a mut [i64],
    row: &'a [f32],
}

impl NullaryFnOnce for AddRow<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        // Adding 1.5 · 2⁵² leaves the rounded integer in the low bits of the f64: conversion and rounding in one addition that every
        // instruction set has. Right for |value| below 2²¹, which unit rows are by far.
        const MAGIC: f64 = (3u64 << 51) as f64;
        for (sum, value) in self.sum.iter_mut().zip(self.row) {
            let bits = (f64::from(*value) * SCALE + MAGIC).to_bits();
            *sum = sum.wrapping_add(bits.wrapping_sub(MAGIC.to_bits()) as i64);
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
        add_row(&mut sum, &row);
        for (sum, value) in sum.iter().zip(&row) {
            assert_eq!(*sum, 5 + (f64::from(*value) * SCALE).round_ties_even() as i64);
        }
    }

    #[test]
    fn rows_that_cancel_out_leave_the_centroid() {
        let mut sums = Sums::new(2, 2);
        sums.add(&[1.0, 0.0, -1.0, 0.0, 0.6, 0.8, 0.0, 1.0], &[0, 0, 1, NO_CLUSTER]);
        let mut centroids = vec![0.0, 1.0, 1.0, 0.0];
        sums.centroids_into(&mut centroids);
        assert_eq!(centroids, [0.0, 1.0, 0.6, 0.8]);
        assert_eq!(sums.counts, [2, 1]);
    }
}
