//! Time of exact quotas: `cargo bench -p cribble-math --bench quota`. The target is a millisecond at 50,000 clusters. There is hardly any
//! arithmetic: items are bytes of the input (share and both bounds), the peak is that of reading them once.
mod peak;

use cribble_math::{Quotas, density::softmax, quota::bounds};
use divan::Bencher;
use peak::Peak;

fn main() {
    divan::main();
    peak::report();
}

#[divan::bench(args = [500, 5000, 50_000], sample_count = 20, sample_size = 1)]
fn density(bencher: Bencher, k: usize) {
    let sizes: Vec<u64> = (0..k as u64).map(|j| (j * 7919) % 4001).collect();
    let complexity: Vec<f64> = (0..k).map(|j| ((j * 104_729) % 1000) as f64 / 2000.0).collect();
    let target = sizes.iter().sum::<u64>() * 3 / 10;
    let limits = bounds(&sizes, target, 0.0);
    let share = softmax(&complexity, 0.1).unwrap_or_default();
    peak::bench(bencher, format!("density {k}"), (Peak::Read(24 * k), 1), 24 * k, || {
        Quotas::solve(target, &share, &limits.lower, &sizes).map(|q| q.lambda).unwrap_or(f64::NAN)
    });
}
