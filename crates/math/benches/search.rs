//! Throughput of the searches: `cargo bench -p cribble-math --bench search`. Items are floating-point operations (two a value of a pair
//! that is asked for), so divan's "item/s" reads as FLOP/s; for `earlier_max` only the n(n−1)/2 pairs count, not what tiles score beside.
use cribble_math::{
    nearest::nearest,
    pairs::earlier_max,
    rows::{SliceRows, normalize},
};
use divan::{Bencher, counter::ItemsCount};

const DIM: usize = 512;

fn main() {
    divan::main();
}

/// Unit rows of a fixed seed.
fn rows(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut rows: Vec<f32> = (0..n * DIM)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        })
        .collect();
    normalize(&mut rows, DIM);
    rows
}

#[divan::bench(args = [100, 500, 5000], sample_count = 5, sample_size = 1)]
fn nearest_16384(bencher: Bencher, k: usize) {
    let (data, centroids) = (rows(16_384, 1), rows(k, 2));
    let (mut labels, mut sims) = (vec![0; 16_384], vec![0.0; 16_384]);
    bencher
        .counter(ItemsCount::new(2 * 16_384 * k * DIM))
        .bench_local(|| nearest(&data, &centroids, DIM, &mut labels, &mut sims));
}

#[divan::bench(args = [500, 3000, 12_000], sample_count = 5, sample_size = 1)]
fn earlier_max_of_cell(bencher: Bencher, n: usize) {
    let data = rows(n, 1);
    bencher
        .counter(ItemsCount::new(n * (n - 1) * DIM))
        .bench_local(|| earlier_max(&SliceRows::new(&data, DIM), None).map(|found| found.len()).unwrap_or(0));
}

/// Half of the rows are copies of one another: the worst case for the exact re-scoring.
#[divan::bench(args = [3000, 12_000], sample_count = 5, sample_size = 1)]
fn earlier_max_of_copies(bencher: Bencher, n: usize) {
    let mut data = rows(n, 1);
    let first = data[..DIM].to_vec();
    data.chunks_exact_mut(DIM).step_by(2).for_each(|row| row.copy_from_slice(&first));
    bencher
        .counter(ItemsCount::new(n * (n - 1) * DIM))
        .bench_local(|| earlier_max(&SliceRows::new(&data, DIM), None).map(|found| found.len()).unwrap_or(0));
}
