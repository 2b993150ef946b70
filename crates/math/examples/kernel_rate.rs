//! Times one kernel on arrays that other programs read too; `bench/assign.py`, `bench/semdedup_step.py` and `bench/quotas.py` run it beside FAISS, SemDeDup
//! and OSQP.
//!
//! ```text
//! kernel_rate nearest THREADS ROWS.npy CENTROIDS.npy LABELS.npy     f32 [n, d], f32 [k, d] → u32 [n]
//! kernel_rate kmeans THREADS ROWS.npy K PASSES TRAIN_ROWS SEED CENTROIDS.npy   f32 [n, d] → f32 [k, d]; then all rows are assigned
//! kernel_rate dedup THREADS ROWS.npy ORDER.npy SIZES.npy EPSILON REMOVED.npy
//!     f16 [n, d]; u32 [n], the rows of one cell after the other, each in the order of its scan; u32 [cells] → u8 [n], by ORDER
//! kernel_rate quotas TARGET BALANCE SHARES.npy SIZES.npy QUOTAS.npy  f64 [k], u64 [k] → u64 [k]
//! ```
//! Prints one JSON object: `read_s`, and `work_s` of the kernel alone. For k-means also `train_s`, `pass_s` (seconds of each pass, seeding in the first) and the mean cosine of all
//! rows to their centroid.
#![allow(clippy::print_stdout)]
use cribble_math::{
    KMeansOptions, Quotas, SliceRows, StoredRows, UnitRows,
    halves::{prefetch, widen},
    kmeans::{IterationStats, train},
    nearest::nearest,
    pairs::earlier_max,
    quota::bounds,
    workers,
};
use half::f16;
use std::{
    error::Error,
    fs::File,
    io::{Read, Write},
    ops::ControlFlow,
    os::unix::fs::FileExt,
    sync::{Mutex, PoisonError},
    time::Instant,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["nearest", threads, rows, centroids, labels] => assign(threads.parse()?, rows, centroids, labels),
        ["kmeans", threads, rows, k, passes, train, seed, centroids] => cluster(
            threads.parse()?,
            rows,
            &generous(k.parse()?, passes.parse()?, seed.parse()?),
            train.parse()?,
            centroids,
        ),
        ["dedup", threads, rows, order, sizes, epsilon, removed] => {
            dedup(threads.parse()?, rows, order, sizes, epsilon.parse()?, removed)
        }
        ["quotas", target, balance, shares, sizes, quotas] => {
            split(target.parse()?, balance.parse()?, shares, sizes, quotas)
        }
        _ => Err("usage: kernel_rate nearest THREADS ROWS CENTROIDS LABELS | kmeans THREADS ROWS K PASSES TRAIN_ROWS SEED CENTROIDS | dedup THREADS ROWS ORDER SIZES EPSILON REMOVED | quotas TARGET BALANCE SHARES SIZES QUOTAS".into()),
    }
}

fn assign(threads: usize, rows: &str, centroids: &str, out: &str) -> Outcome<()> {
    let began = Instant::now();
    let (rows, dim) = read::<f32>(rows, "<f4")?;
    let (centroids, columns) = read::<f32>(centroids, "<f4")?;
    if dim != columns {
        return Err(format!("rows have {dim} values, centroids {columns}").into());
    }
    let n = rows.len() / dim;
    let (mut labels, mut sims) = (vec![0u32; n], vec![0f32; n]);
    let read_s = began.elapsed().as_secs_f64();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let began = Instant::now();
    pool.install(|| nearest(&rows, &centroids, dim, &mut labels, &mut sims));
    let work_s = began.elapsed().as_secs_f64();
    println!("{{\"read_s\": {read_s}, \"work_s\": {work_s}, \"rows\": {n}}}");
    write(out, "<u4", &labels, &[n])
}

/// No ceiling that matters, and as many passes as were asked for.
fn generous(k: usize, iterations: usize, seed: u64) -> KMeansOptions {
    let mut options = KMeansOptions::new(k);
    (options.iterations, options.seed) = (iterations, seed);
    (options.memory_bytes, options.tolerance) = (16 << 30, 0.0);
    options
}

/// Spherical k-means on an even sample of the rows, then all rows to their centroids, both from memory.
fn cluster(threads: usize, rows: &str, options: &KMeansOptions, train_rows: usize, out: &str) -> Outcome<()> {
    let began = Instant::now();
    let (rows, dim) = read::<f32>(rows, "<f4")?;
    let n = rows.len() / dim;
    let taken = train_rows.min(n);
    let sample: Vec<f32> = if taken == n {
        Vec::new()
    } else {
        (0..taken).flat_map(|i| rows[i * n / taken * dim..][..dim].iter().copied()).collect()
    };
    let read_s = began.elapsed().as_secs_f64();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let began = Instant::now();
    let times = Mutex::new(vec![0.0]);
    let note = |_: &IterationStats| {
        times.lock().unwrap_or_else(PoisonError::into_inner).push(began.elapsed().as_secs_f64());
        ControlFlow::Continue(())
    };
    let source = SliceRows::new(if taken == n { &rows } else { &sample }, dim);
    let trained = pool.install(|| train(&source, options, &note))?;
    let train_s = began.elapsed().as_secs_f64();
    let (mut labels, mut sims) = (vec![0u32; n], vec![0f32; n]);
    pool.install(|| nearest(&rows, &trained.centroids, dim, &mut labels, &mut sims));
    let work_s = began.elapsed().as_secs_f64();
    let times = times.into_inner().unwrap_or_else(PoisonError::into_inner);
    let pass_s: Vec<f64> = times.windows(2).map(|two| ((two[1] - two[0]) * 1e3).round() / 1e3).collect();
    let mean = sims.iter().map(|&sim| f64::from(sim)).sum::<f64>() / n as f64;
    println!(
        "{{\"read_s\": {read_s}, \"work_s\": {work_s}, \"train_s\": {train_s}, \"pass_s\": {pass_s:?}, \"mean_cosine\": {mean}, \"rows\": {n}}}"
    );
    write(out, "<f4", &trained.centroids, &[options.k, dim])
}

/// SemDeDup's step as our own dedup does it for the rows that it has fetched, here all of them.
fn dedup(threads: usize, rows: &str, order: &str, sizes: &str, epsilon: f64, out: &str) -> Outcome<()> {
    let began = Instant::now();
    let (rows, dim) = read::<f16>(rows, "<f2")?;
    let (order, _) = read::<u32>(order, "<u4")?;
    let (sizes, _) = read::<u32>(sizes, "<u4")?;
    let read_s = began.elapsed().as_secs_f64();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let began = Instant::now();
    let mut rest = &order[..];
    let mut cells = Vec::new();
    for &size in &sizes {
        let (cell, after) =
            rest.split_at_checked(size as usize).ok_or("sizes add up to more than the rows")?;
        cells.push(cell);
        rest = after;
    }
    let floor = (1.0 - epsilon) as f32;
    let removed: Result<Vec<Vec<u8>>, cribble_math::PairsError> = pool.install(|| {
        let work = |(): &mut (), cell: usize| {
            let cell = UnitRows(CellRows { rows: &rows, order: cells[cell], dim });
            let earlier = earlier_max(&cell, None, None, floor)?;
            Ok(earlier.iter().map(|by| u8::from(by.is_removed(epsilon))).collect())
        };
        workers::map(cells.len(), work).into_iter().collect()
    });
    let work_s = began.elapsed().as_secs_f64();
    println!("{{\"read_s\": {read_s}, \"work_s\": {work_s}, \"rows\": {}}}", order.len());
    write(out, "|u1", &removed?.concat(), &[order.len()])
}

/// The rows of a cell, where they lie.
struct CellRows<'a> {
    rows: &'a [f16],
    order: &'a [u32],
    dim: usize,
}

impl CellRows<'_> {
    fn halves(&self, row: usize) -> &[f16] {
        let start = self.order[row] as usize * self.dim;
        &self.rows[start..start + self.dim]
    }
}

impl StoredRows for CellRows<'_> {
    fn rows(&self) -> usize {
        self.order.len()
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn widen(&self, row: usize, out: &mut [f32]) {
        widen(self.halves(row), out);
    }

    fn expect(&self, row: usize) {
        prefetch(self.halves(row));
    }
}

fn split(target: u64, balance: f64, shares: &str, sizes: &str, out: &str) -> Outcome<()> {
    let began = Instant::now();
    let (share, _) = read::<f64>(shares, "<f8")?;
    let (sizes, _) = read::<u64>(sizes, "<u8")?;
    let read_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let limits = bounds(&sizes, target, balance);
    let quota = Quotas::solve(target, &share, &limits.lower, &sizes)?.quota;
    let work_s = began.elapsed().as_secs_f64();
    println!("{{\"read_s\": {read_s}, \"work_s\": {work_s}, \"clusters\": {}}}", sizes.len());
    write(out, "<u8", &quota, &[quota.len()])
}

/// The values of a little-endian array in C order, and the length of its last axis.
fn read<T: bytemuck::Pod>(path: &str, kind: &str) -> Outcome<(Vec<T>, usize)> {
    let mut file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    let mut start = [0u8; 10];
    file.read_exact(&mut start)?;
    if start[..8] != *b"\x93NUMPY\x01\x00" {
        return Err(format!("{path}: expected npy of version 1.0").into());
    }
    let mut header = vec![0u8; usize::from(u16::from_le_bytes([start[8], start[9]]))];
    file.read_exact(&mut header)?;
    let header = String::from_utf8(header)?;
    if !header.contains(kind) || header.contains("'fortran_order': True") {
        return Err(format!("{path}: expected {kind} in C order, found {header}").into());
    }
    let shape =
        header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')')).map_or("", |part| part.0);
    let axes: Vec<&str> = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty()).collect();
    let axes: Vec<usize> = axes.into_iter().map(str::parse).collect::<Result<_, _>>()?;
    let mut values = vec![T::zeroed(); axes.iter().product()];
    read_parts(&file, 10 + header.len() as u64, bytemuck::cast_slice_mut(&mut values))?;
    Ok((values, axes.last().copied().unwrap_or(1)))
}

/// Reads a range of a file, in two halves at once: most of the time goes into pages that are touched for the first time.
fn read_parts(file: &File, start: u64, out: &mut [u8]) -> std::io::Result<()> {
    let (first, second) = out.split_at_mut(out.len() / 2);
    let middle = start + first.len() as u64;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| file.read_exact_at(first, start));
        file.read_exact_at(second, middle)?;
        reader.join().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))
    })
}

/// Writes an array.
fn write<T: bytemuck::Pod>(path: &str, kind: &str, values: &[T], shape: &[usize]) -> Outcome<()> {
    let axes: String = shape.iter().map(|axis| format!("{axis},")).collect();
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({axes}), }}");
    let mut file = File::create(path)?;
    // 10 bytes before the header, a multiple of 64 together, the last a line break.
    file.write_all(b"\x93NUMPY\x01\x00\x76\x00")?;
    writeln!(file, "{header:<117}")?;
    Ok(file.write_all(bytemuck::cast_slice(values))?)
}
