//! What this machine does at most, measured in the same run as the kernels: chains of one instruction on registers, as many at once as its
//! latency asks for, with nothing to load. A kernel's share of that peak says how much of its time goes into anything else. Every bench
//! ends with [`report`], which prints rate, peak and share of what ran.
#![allow(clippy::print_stdout)]
#![allow(dead_code)] // No bench needs every peak.
use divan::{Bencher, counter::ItemsCount};
use std::{hint::black_box, sync::Mutex, time::Instant};

/// Chains that do not wait for one another: above latency times instructions a cycle, below the number of registers.
const CHAINS: usize = 12;
/// Steps of every chain in one burst: about a millisecond.
const STEPS: usize = 1 << 18;
const BURSTS: usize = 30;

/// The instructions that a kernel is measured against: the fastest of this processor that `CRIBBLE_KERNEL` leaves, as in the library.
#[derive(Clone, Copy)]
pub enum Peak {
    /// Multiplications and additions of integer codes: VNNI on 8 bits, AVX2 on 16, else plain code.
    Codes,
    /// Of f32: AVX-512, AVX2 with FMA, else plain code.
    F32,
    /// Of bf16, where the processor has them; else of f32.
    Bf16,
    /// Bytes read once, as many as given.
    Read(usize),
}

struct Row {
    name: String,
    peak: Peak,
    rate: f64,
    most: f64,
}

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

/// Runs a bench of `operations` operations that work on `threads` threads, and then the peak of as many.
pub fn bench<R>(
    bencher: Bencher<'_, '_>,
    name: String,
    (peak, threads): (Peak, usize),
    operations: usize,
    mut work: impl FnMut() -> R,
) {
    let mut best = f64::INFINITY;
    bencher.counter(ItemsCount::new(operations)).bench_local(|| {
        let began = Instant::now();
        let result = work();
        best = best.min(began.elapsed().as_secs_f64());
        result
    });
    if operations > 0 && best.is_finite() {
        let row = Row { name, peak, rate: operations as f64 / best, most: peak.measure(threads) };
        ROWS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(row);
    }
}

/// Prints the fastest run of every bench beside the peak.
pub fn report() {
    let rows = ROWS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for Row { name, peak, rate, most } in rows.iter() {
        let unit = match peak {
            Peak::Codes => "GOP/s",
            Peak::F32 | Peak::Bf16 => "GFLOP/s",
            Peak::Read(_) => "GB/s",
        };
        let share = 100.0 * rate / most;
        println!(
            "{name:<36} {:>8.1} {unit:<7} of {:>8.1}, {share:>5.1}% of the peak",
            rate / 1e9,
            most / 1e9
        );
    }
}

impl Peak {
    /// Operations a second of `threads` threads at once: of each its best burst.
    fn measure(self, threads: usize) -> f64 {
        let best = || {
            let rates = (0..BURSTS).map(|_| {
                let began = Instant::now();
                let operations = self.burst();
                operations as f64 / began.elapsed().as_secs_f64()
            });
            rates.fold(0.0, f64::max)
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(best)).collect();
            running.into_iter().map(|thread| thread.join().unwrap_or(f64::NAN)).sum()
        })
    }

    /// One burst; the number of its operations.
    fn burst(self) -> usize {
        if let Self::Read(bytes) = self {
            let values = vec![1u64; bytes.div_ceil(8)];
            black_box(black_box(&values).iter().copied().fold(0, u64::wrapping_add));
            return 8 * values.len();
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = x86::burst(self) {
            return lanes * 2 * CHAINS * STEPS;
        }
        match self {
            Self::Codes => plain_codes(),
            _ => plain_f32(),
        }
    }
}

/// Sums of products of 16-bit codes as the portable kernel forms them.
fn plain_codes() -> usize {
    let (mut a, mut b, mut sums) = ([3i16; 64], [5i16; 64], [0i32; 64]);
    for _ in 0..STEPS {
        for ((sum, &a), &b) in sums.iter_mut().zip(black_box(&mut a).iter()).zip(black_box(&mut b).iter()) {
            *sum = sum.wrapping_add(i32::from(a) * i32::from(b));
        }
    }
    black_box(sums);
    2 * 64 * STEPS
}

fn plain_f32() -> usize {
    let (a, b, mut sums) = (black_box(0.999f32), black_box(0.5f32), [0f32; 48]);
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = *sum * a + b;
        }
    }
    black_box(sums);
    2 * 48 * STEPS
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAINS, Peak, STEPS};
    use std::{
        arch::{asm, x86_64::*},
        hint::black_box,
    };

    /// Runs the chains of the fastest instruction; how many products it forms. `None` where only plain code is left.
    pub fn burst(peak: Peak) -> Option<usize> {
        let limit = std::env::var("CRIBBLE_KERNEL").unwrap_or_default();
        let wide = limit != "avx2" && limit != "portable" && is_x86_feature_detected!("avx512f");
        let narrow = limit != "portable" && is_x86_feature_detected!("avx2");
        // SAFETY: each is run only where the processor has what it was compiled for.
        unsafe {
            match peak {
                Peak::Codes if wide && is_x86_feature_detected!("avx512vnni") => vnni(),
                Peak::Codes if narrow => avx2_codes(),
                Peak::Bf16 if wide && is_x86_feature_detected!("avx512bf16") => bf16(),
                Peak::F32 | Peak::Bf16 if wide => fma512(),
                Peak::F32 | Peak::Bf16 if narrow && is_x86_feature_detected!("fma") => fma256(),
                _ => return None,
            }
        }
        .into()
    }

    /// A function that runs the chains of `$step`, from `$start` with two operands `$operand`.
    macro_rules! chains {
        ($name:ident, $features:literal, $lanes:literal, $start:expr, $operand:expr, |$sum:ident, $a:ident, $b:ident| $step:expr) => {
            #[target_feature(enable = $features)]
            fn $name() -> usize {
                let ($a, $b, mut sums) = (black_box($operand), black_box($operand), [$start; CHAINS]);
                for _ in 0..STEPS {
                    for sum in &mut sums {
                        let $sum = *sum;
                        *sum = $step;
                    }
                }
                black_box(sums);
                $lanes
            }
        };
    }

    chains!(vnni, "avx512f,avx512vnni", 64, _mm512_setzero_si512(), _mm512_set1_epi8(3), |sum, a, b| {
        _mm512_dpbusd_epi32(sum, a, b)
    });
    chains!(avx2_codes, "avx2", 16, _mm256_setzero_si256(), _mm256_set1_epi16(3), |sum, a, b| {
        // The products do not depend on the sum: in Rust they would be formed once for all chains and steps.
        let product: __m256i;
        // SAFETY: registers alone.
        unsafe {
            asm!("vpmaddwd {p}, {a}, {b}", p = lateout(ymm_reg) product, a = in(ymm_reg) a, b = in(ymm_reg) b,
                options(nomem, nostack, preserves_flags));
        }
        _mm256_add_epi32(sum, product)
    });
    chains!(
        bf16,
        "avx512f,avx512bf16",
        32,
        _mm512_setzero_ps(),
        _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5), _mm512_set1_ps(0.5)),
        |sum, a, b| _mm512_dpbf16_ps(sum, a, b)
    );
    chains!(fma512, "avx512f", 16, _mm512_setzero_ps(), _mm512_set1_ps(0.5), |sum, a, b| _mm512_fmadd_ps(
        sum, a, b
    ));
    chains!(fma256, "avx2,fma", 8, _mm256_setzero_ps(), _mm256_set1_ps(0.5), |sum, a, b| _mm256_fmadd_ps(
        sum, a, b
    ));
}
