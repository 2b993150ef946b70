//! The seeds of k-means: a sample of the rows, and k-means++ on it (Arthur and Vassilvitskii 2007).
//!
//! The decision to question: k-means++ draws one seed after another, each time against all rows, which is slow for thousands of seeds. Here
//! seeds are drawn in batches from distances that lag behind, and each draw is accepted with probability new weight / old weight. That is
//! rejection sampling: the seeds have exactly the distribution of k-means++, while the distances are brought up to date a batch at a time
//! at the speed of the matrix kernel. The cost is that of one pass over the sample.
use super::{
    KMeansError,
    pass::{Plan, SAME_DIST, read},
};
use crate::{
    nearest::nearest_of,
    propose::Codes,
    random::Random,
    rows::{RowSource, similarity},
};

/// Seeds drawn before the distances are brought up to date: at most an eighth of those there are, and this.
const MOST_BATCH: usize = 1024;

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

/// The weight of a row in the draw: its distance in units of 2⁻³⁰, 0 for (nearly) copies of a seed. Integers, so that sums are exact.
fn weight(sim: f32) -> u64 {
    let dist = 1.0 - sim;
    if dist < SAME_DIST { 0 } else { (f64::from(dist) * (1u64 << 30) as f64) as u64 }
}

/// `k` seeds `[k, dim]` among the sample's rows (at least one). Where the sample has fewer distinct rows, the remaining seeds are copies of the
/// first: no row will be nearest to them, for ties go to the lower index.
pub(super) fn seed(sample: &[f32], dim: usize, k: usize, seed: u64) -> Vec<f32> {
    let n = sample.len() / dim;
    let row = |i: usize| &sample[i * dim..(i + 1) * dim];
    let mut random = Random::new(seed, 2);
    let mut seeds: Vec<f32> = Vec::with_capacity(k * dim);
    seeds.extend_from_slice(row(random.below(n as u64) as usize));
    let mut nearest_sim = vec![f32::NEG_INFINITY; n];
    let (mut labels, mut sims) = (vec![0u32; n], vec![0f32; n]);
    let mut upto = vec![0u64; n];
    let codes = Codes::new(sample, dim);
    let mut updated = 0;
    loop {
        nearest_of(codes.of(sample), &seeds[updated * dim..], &mut labels, &mut sims);
        updated = seeds.len() / dim;
        if updated == k {
            break;
        }
        let mut total = 0;
        for ((best, sim), upto) in nearest_sim.iter_mut().zip(&sims).zip(&mut upto) {
            *best = best.max(*sim);
            total += weight(*best);
            *upto = total;
        }
        if total == 0 {
            break;
        }
        let batch = (updated / 8).clamp(1, MOST_BATCH).min(k - updated);
        // The first draw is always accepted; a batch that keeps being refused is too large for what is left.
        for _ in 0..2 * batch {
            let draw = random.below(total);
            let pick = upto.partition_point(|&upto| upto <= draw);
            let fresh = seeds[updated * dim..].chunks_exact(dim).map(|seed| similarity(row(pick), seed));
            let now = weight(fresh.fold(nearest_sim[pick], f32::max));
            if random.below(weight(nearest_sim[pick])) < now {
                seeds.extend_from_slice(row(pick));
            }
            if seeds.len() / dim == updated + batch {
                break;
            }
        }
    }
    for _ in updated..k {
        seeds.extend_from_within(..dim);
    }
    seeds
}
