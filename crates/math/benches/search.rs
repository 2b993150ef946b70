//! Throughput of the searches: `cargo bench -p cribble-math --bench search`. Items are floating-point operations (two a value of a pair
//! that is asked for), so divan's "item/s" reads as FLOP/s; for `earlier_max` only the n(n−1)/2 pairs count, not what tiles score beside.
//! `RAYON_NUM_THREADS` sets the threads, `CRIBBLE_KERNEL` (`avx2`, `portable`) forces a slower kernel. At the end the share that each has of
//! the peak of the kernel's integer instructions on as many threads; what bounds rule out counts as done, so a share may be above 100%.
mod peak;

use cribble_math::{
    KMeansOptions, kmeans,
    nearest::{nearest, nearest_many},
    pairs::{earlier_max, pairs_above},
    rows::{SliceRows, normalize},
    sketch::{Axes, SketchBuffers, suspects},
};
use divan::Bencher;
use peak::Peak;
use std::ops::ControlFlow;

const DIM: usize = 512;

fn main() {
    divan::main();
    peak::report();
}

/// Runs a bench on all threads of the pool, `operations` integer operations each time.
fn bench<R>(bencher: Bencher, name: String, operations: usize, work: impl FnMut() -> R) {
    peak::bench(bencher, name, (Peak::Codes, rayon::current_num_threads()), operations, work);
}

/// Uniform values in [-0.5, 0.5), by a seed.
fn noise(count: usize, seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed;
    (0..count).map(move |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    })
}

/// Unrelated unit rows: the largest similarities lie close together, so many must be scored exactly.
fn unrelated(n: usize, seed: u64) -> Vec<f32> {
    let mut rows: Vec<f32> = noise(n * DIM, seed).collect();
    normalize(&mut rows, DIM);
    rows
}

/// Unit rows like embeddings: a direction in common, around it 2,000 concepts of unlike popularity, around each its rows.
fn concepts(n: usize, seed: u64) -> Vec<f32> {
    let common: Vec<f32> = noise(DIM, 7).collect();
    let middles: Vec<f32> = noise(2000 * DIM, 8).zip(common.iter().cycle()).map(|(v, c)| v + c).collect();
    let mut rows: Vec<f32> = noise(n * DIM, seed).collect();
    let popularity: Vec<f32> = noise(n, seed ^ 5).map(|v| (v + 0.5) * (v + 0.5)).collect();
    for (row, place) in rows.chunks_exact_mut(DIM).zip(popularity) {
        let middle = (place * 2000.0) as usize;
        row.iter_mut().zip(&middles[middle * DIM..]).for_each(|(v, m)| *v = *v * 1.1 + m);
    }
    normalize(&mut rows, DIM);
    rows
}

#[divan::bench(args = [100, 500, 5000], sample_count = 5, sample_size = 1)]
fn nearest_16384_unrelated(bencher: Bencher, k: usize) {
    bench_nearest(bencher, "unrelated", &unrelated(16_384, 1), &unrelated(k, 2));
}

#[divan::bench(args = [100, 500, 5000], sample_count = 5, sample_size = 1)]
fn nearest_16384_concepts(bencher: Bencher, k: usize) {
    bench_nearest(bencher, "concepts", &concepts(16_384, 1), &concepts(k, 2));
}

fn bench_nearest(bencher: Bencher, kind: &str, data: &[f32], centroids: &[f32]) {
    let (n, k) = (data.len() / DIM, centroids.len() / DIM);
    let (mut labels, mut sims) = (vec![0; n], vec![0.0; n]);
    bench(bencher, format!("nearest of {k}, {kind}"), 2 * data.len() * k, || {
        nearest(data, centroids, DIM, &mut labels, &mut sims);
    });
}

#[divan::bench(args = [500, 5000], sample_count = 5, sample_size = 1)]
fn nearest_two_16384_concepts(bencher: Bencher, k: usize) {
    let (data, centroids) = (concepts(16_384, 1), concepts(k, 2));
    let (mut labels, mut sims) = (vec![0; 2 * 16_384], vec![0.0; 2 * 16_384]);
    bench(bencher, format!("two nearest of {k}, concepts"), 2 * data.len() * k, || {
        nearest_many(&data, &centroids, DIM, 2, &mut labels, &mut sims);
    });
}

/// All passes, without the seeding (which is timed with 0 passes): items are the operations of the passes.
#[divan::bench(args = [(500, 0), (500, 10), (1000, 10)], sample_count = 3, sample_size = 1)]
fn kmeans_65536_concepts(bencher: Bencher, (k, passes): (usize, usize)) {
    let data = concepts(65_536, 1);
    let mut options = KMeansOptions::new(k);
    (options.iterations, options.tolerance) = (passes, -1.0);
    bench(bencher, format!("k-means, k = {k}, {passes} passes"), 2 * data.len() * k * passes, || {
        kmeans::train(&SliceRows::new(&data, DIM), &options, &|_| ControlFlow::Continue(())).is_ok()
    });
}

#[divan::bench(args = [500, 3000, 20_000], sample_count = 5, sample_size = 1)]
fn earlier_max_unrelated(bencher: Bencher, n: usize) {
    bench_earlier(bencher, "unrelated", &unrelated(n, 1));
}

#[divan::bench(args = [500, 3000, 20_000], sample_count = 5, sample_size = 1)]
fn earlier_max_concepts(bencher: Bencher, n: usize) {
    bench_earlier(bencher, "concepts", &concepts(n, 1));
}

/// Half of the rows are copies of one another: the worst case for the exact re-scoring.
#[divan::bench(args = [3000, 20_000], sample_count = 5, sample_size = 1)]
fn earlier_max_copies(bencher: Bencher, n: usize) {
    let mut data = unrelated(n, 1);
    let first = data[..DIM].to_vec();
    data.chunks_exact_mut(DIM).step_by(2).for_each(|row| row.copy_from_slice(&first));
    bench_earlier(bencher, "copies", &data);
}

fn bench_earlier(bencher: Bencher, kind: &str, data: &[f32]) {
    let n = data.len() / DIM;
    bench(bencher, format!("earlier_max of {n}, {kind}"), n * (n - 1) * DIM, || {
        earlier_max(&SliceRows::new(data, DIM), None, None, f32::NEG_INFINITY).map_or(0, |found| found.len())
    });
}

#[divan::bench(args = [3000, 20_000], sample_count = 5, sample_size = 1)]
fn pairs_above_concepts(bencher: Bencher, n: usize) {
    let data = concepts(n, 1);
    bench(bencher, format!("pairs_above of {n}, concepts"), n * (n - 1) * DIM, || {
        let mut count = 0;
        let done = pairs_above(&SliceRows::new(&data, DIM), None, None, 0.95, &mut |_, _, _| count += 1);
        (done.is_ok(), count)
    });
}

#[divan::bench(args = [20_000], sample_count = 5, sample_size = 1)]
fn suspects_concepts(bencher: Bencher, n: usize) {
    let data = concepts(n, 1);
    let mut sketches = Vec::new();
    Axes::learn(&data[..1024 * DIM], DIM, 1).sketch(&data, &mut SketchBuffers::default(), &mut sketches);
    bench(bencher, format!("suspects of {n}, concepts"), n * (n - 1) * 64, || {
        suspects(&sketches, None, 0.95).iter().filter(|&&marked| marked).count()
    });
}
