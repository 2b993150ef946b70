//! The two principal axes of a table: where a layout begins, and what tells rows of one cluster apart.
use crate::{random::Random, rows::row_count};

/// Passes of the power iteration. An axis that is not told apart from the next by then serves as well.
const PASSES: usize = 100;

/// Two unit vectors of `dim` values, orthogonal to each other (where `dim` is at least 2): the directions in which rows `[n, dim]` differ most from their mean.
/// By power iteration from a seeded start, the second after the first is taken out; rows that do not differ give the start. The largest value
/// of an axis is positive.
pub(super) fn axes(rows: &[f32], dim: usize, seed: u64) -> [Vec<f64>; 2] {
    let count = row_count(rows, dim);
    let mut mean = vec![0.0; dim];
    for row in rows.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value));
    }
    mean.iter_mut().for_each(|mean| *mean /= count.max(1) as f64);
    let mut random = Random::new(seed, 1);
    let mut start = || (0..dim).map(|_| random.unit() - 0.5).collect::<Vec<f64>>();
    let first = axis(rows, &mean, start(), None);
    let second = axis(rows, &mean, start(), Some(&first));
    [first, second]
}

/// How far each row lies along an axis, from the mean.
pub(super) fn along(rows: &[f32], mean_at: f64, axis: &[f64]) -> Vec<f64> {
    rows.chunks_exact(axis.len()).map(|row| product(row, axis) - mean_at).collect()
}

fn axis(rows: &[f32], mean: &[f64], start: Vec<f64>, without: Option<&[f64]>) -> Vec<f64> {
    let mut axis = start;
    unit(&mut axis, without);
    for _ in 0..PASSES {
        let mean_at: f64 = mean.iter().zip(&axis).map(|(a, b)| a * b).sum();
        let mut next = vec![0.0; axis.len()];
        for (row, at) in rows.chunks_exact(axis.len()).zip(along(rows, mean_at, &axis)) {
            for ((next, value), mean) in next.iter_mut().zip(row).zip(mean) {
                *next += at * (f64::from(*value) - mean);
            }
        }
        if !unit(&mut next, without) {
            break;
        }
        axis = next;
    }
    let largest = axis.iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
    if largest < 0.0 {
        axis.iter_mut().for_each(|value| *value = -*value);
    }
    axis
}

fn product(row: &[f32], axis: &[f64]) -> f64 {
    row.iter().zip(axis).map(|(a, b)| f64::from(*a) * b).sum()
}

/// Takes the direction `without` out and brings the rest to unit length; false where nothing is left.
fn unit(vector: &mut [f64], without: Option<&[f64]>) -> bool {
    if let Some(other) = without {
        let shared: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
        vector.iter_mut().zip(other).for_each(|(value, other)| *value -= shared * other);
    }
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length.is_nan() || length <= 1e-12 {
        return false;
    }
    vector.iter_mut().for_each(|value| *value /= length);
    true
}
