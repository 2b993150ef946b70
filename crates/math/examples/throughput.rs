//! Measures the kernels once and prints GFLOP/s: `cargo run --profile dev --example throughput -p cribble-math`.
use cribble_math::{
    nearest::nearest,
    pairs::earlier_max,
    rows::{SliceRows, normalize},
};
use std::time::Instant;

fn rows(n: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let mut rows: Vec<f32> = (0..n * dim).map(|_| next()).collect();
    normalize(&mut rows, dim);
    rows
}

fn median(mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[2]
}

fn main() {
    let dim = 512;
    let data = rows(16_384, dim, 1);
    for k in [100, 500, 5000] {
        let centroids = rows(k, dim, 2);
        let (mut labels, mut sims) = (vec![0; 16_384], vec![0.0; 16_384]);
        let time = median(|| nearest(&data, &centroids, dim, &mut labels, &mut sims));
        println!(
            "nearest 16384x{k}x{dim}: {:.1} ms, {:.0} GFLOP/s",
            time * 1e3,
            2.0 * 16_384.0 * (k * dim) as f64 / time / 1e9
        );
    }
    for n in [3000, 12_000] {
        let source = SliceRows::new(&data[..n * dim], dim);
        let time = median(|| {
            earlier_max(&source, None).unwrap();
        });
        println!(
            "earlier_max {n}x{dim}: {:.1} ms, {:.0} GFLOP/s of n(n-1)/2 pairs",
            time * 1e3,
            (n * (n - 1) * dim) as f64 / time / 1e9
        );
    }
}
