//! Lengths of vectors on a sample: whether an array is normalised, and whether it has rows that no similarity can be computed of.
use super::{ArrayReport, CheckOptions, blocks::blocks};
use crate::{Dataset, Result};

/// Rows of f16 are of length 1 within about 0.001; what is further off than this was not normalised.
const UNIT_TOLERANCE: f64 = 0.01;

pub(super) fn measure(dataset: &Dataset, options: &CheckOptions) -> Result<Vec<ArrayReport>> {
    let mut reports = Vec::with_capacity(dataset.arrays().len());
    for array in dataset.arrays() {
        let mut report = ArrayReport {
            name: array.name.clone(),
            dim: array.dim,
            dtype: array.dtype.name(),
            sampled: 0,
            zero: 0,
            not_finite: 0,
            unit: 0,
            smallest_norm: f64::INFINITY,
            mean_norm: 0.0,
            largest_norm: 0.0,
        };
        let mut finite = 0u64;
        let mut values = Vec::new();
        for shard in dataset.shards().iter().filter(|shard| shard.rows > 0 && array.dim > 0) {
            let mut reader = dataset.open_array(shard.index, &array.name)?;
            for (first, count) in blocks(shard.index, shard.rows, options.sample, options.seed) {
                values.resize(count as usize * array.dim, 0.0);
                reader.read_f32(first, &mut values)?;
                for row in values.chunks_exact(array.dim) {
                    let norm = norm(row);
                    report.sampled += 1;
                    if !norm.is_finite() {
                        report.not_finite += 1;
                        continue;
                    }
                    finite += 1;
                    report.zero += u64::from(norm == 0.0);
                    report.unit += u64::from((norm - 1.0).abs() <= UNIT_TOLERANCE);
                    report.smallest_norm = report.smallest_norm.min(norm);
                    report.largest_norm = report.largest_norm.max(norm);
                    report.mean_norm += norm;
                }
            }
        }
        report.mean_norm /= finite.max(1) as f64;
        if finite == 0 {
            report.smallest_norm = 0.0;
        }
        reports.push(report);
    }
    Ok(reports)
}

/// Euclidean length, summed in f64: no vector of f32 overflows it.
pub(super) fn norm(row: &[f32]) -> f64 {
    row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}
