//! The rows that the seeds of k-means are chosen among.
use super::{
    KMeansError,
    pass::{Plan, read},
};
use crate::{random::Random, rows::RowSource};

/// A sample of the rows that are not all zero, `[s, dim]`, in order, and the number of rows drawn: one at a random place of each of
/// `plan.sample_rows` equal parts of the source. If all of those are zero, the first rows that are not.
pub(super) fn sample(
    source: &dyn RowSource,
    plan: &Plan,
    seed: u64,
) -> Result<(Vec<f32>, usize), KMeansError> {
    let (n, dim, wanted) = (source.len(), source.dim(), plan.sample_rows);
    let mut random = Random::new(seed, 1);
    let part = |i: usize| (i as u128 * n as u128 / wanted as u128) as usize;
    let picks: Vec<usize> =
        (0..wanted).map(|i| part(i) + random.below((part(i + 1) - part(i)) as u64) as usize).collect();
    let mut rows = Vec::with_capacity(wanted * dim);
    let mut keep = |row: &[f32]| {
        if row.iter().any(|v| *v != 0.0) {
            rows.extend_from_slice(row);
        }
    };
    if let Some(all) = source.as_slice() {
        picks.iter().for_each(|&pick| keep(&all[pick * dim..(pick + 1) * dim]));
    } else if n / wanted > 32 {
        let mut row = vec![0.0; dim];
        for pick in picks {
            read(source, pick, &mut row)?;
            keep(&row);
        }
    } else {
        // Dense enough that reading everything in long runs is quicker than many short reads. Small blocks: they come beside the sample.
        let mut picks = picks.into_iter().peekable();
        let mut block = Vec::new();
        for start in (0..n).step_by(256) {
            let end = (start + 256).min(n);
            block.resize((end - start) * dim, 0.0);
            read(source, start, &mut block)?;
            while let Some(pick) = picks.next_if(|pick| *pick < end) {
                keep(&block[(pick - start) * dim..(pick - start + 1) * dim]);
            }
        }
    }
    if rows.is_empty() {
        first_rows(source, wanted, &mut rows)?;
    }
    Ok((rows, wanted))
}

/// The first rows that are not zero, at most `most`.
fn first_rows(source: &dyn RowSource, most: usize, rows: &mut Vec<f32>) -> Result<(), KMeansError> {
    let (n, dim) = (source.len(), source.dim());
    let mut block = Vec::new();
    for start in (0..n).step_by(256) {
        block.resize(256.min(n - start) * dim, 0.0);
        read(source, start, &mut block)?;
        for row in block.chunks_exact(dim).filter(|row| row.iter().any(|v| *v != 0.0)) {
            if rows.len() < most * dim {
                rows.extend_from_slice(row);
            }
        }
    }
    if rows.is_empty() { Err(KMeansError::NoDirection { rows: n }) } else { Ok(()) }
}
