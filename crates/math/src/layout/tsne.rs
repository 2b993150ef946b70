//! t-SNE, exactly: van der Maaten & Hinton, "Visualizing Data using t-SNE", JMLR 9 (2008), sections 3 and 3.4, with the start and the rates of Kobak & Berens,
//! "The art of using t-SNE for single-cell transcriptomics", Nature Communications 10 (2019).
use super::principal::{along, axes};
use crate::{
    functions::softmax,
    random::Random,
    rows::{row_count, similarity},
};
use rayon::prelude::*;
use std::ops::ControlFlow;

/// Passes with exaggerated attraction, and by how much: groups form before they settle.
const EARLY: usize = 250;
const EXAGGERATION: f64 = 12.0;
/// Steps of the bisection for a row's bandwidth, and how near the entropy must come.
const BISECTIONS: usize = 50;
const ENTROPY_ERROR: f64 = 1e-5;
/// Sums of a row are kept in so many parts, in one fixed order that the processor can work on side by side.
const LANES: usize = 16;

/// How rows are laid out.
#[derive(Debug, Clone, PartialEq)]
pub struct Tsne {
    /// About how many neighbours of a row count. Default 30; never more than a third of the rows.
    pub perplexity: f64,
    /// Passes. Default 750.
    pub iterations: usize,
    /// Seeds what little is random: which of two equal rows goes left. Default 0.
    pub seed: u64,
}

impl Default for Tsne {
    fn default() -> Self {
        Self { perplexity: 30.0, iterations: 750, seed: 0 }
    }
}

/// Places of rows `[n, dim]` of unit length on the plane, around 0. Rows are compared by squared Euclidean distance, 2 − 2·cosine. Every value is finite, whatever the
/// rows. The same rows and seed give the same bits for any number of threads. O(n²) time a pass and n² × 4 bytes of memory. `each` hears of every
/// pass, and `None` is returned when it breaks off.
pub fn tsne(
    rows: &[f32],
    dim: usize,
    options: &Tsne,
    each: &dyn Fn(usize) -> ControlFlow<()>,
) -> Option<Vec<[f64; 2]>> {
    let count = row_count(rows, dim);
    if count < 2 {
        return Some(vec![[0.0; 2]; count]);
    }
    let likeness = Likeness::new(rows, dim, options.perplexity);
    let mut state = State::begin(rows, dim, options.seed);
    for pass in 0..options.iterations {
        if each(pass).is_break() {
            return None;
        }
        state.step(&likeness, pass);
    }
    Some(state.x.iter().zip(&state.y).map(|(&x, &y)| [x, y]).collect())
}

/// The joint probabilities p of the paper's equation for symmetric SNE: `[n, n]`, symmetric, zero on the diagonal, their sum 1.
struct Likeness {
    values: Vec<f32>,
    count: usize,
}

impl Likeness {
    fn new(rows: &[f32], dim: usize, perplexity: f64) -> Self {
        let count = row_count(rows, dim);
        let perplexity = perplexity.min((count - 1) as f64 / 3.0).max(1.0);
        let mut values = vec![0.0; count * count];
        values.par_chunks_exact_mut(count).enumerate().for_each_init(Vec::new, |distances, (at, out)| {
            let row = &rows[at * dim..(at + 1) * dim];
            distances.clear();
            let others = rows.chunks_exact(dim).enumerate().filter(|(other, _)| *other != at);
            // Rows without a direction are like nothing, and NaN must not spread.
            distances.extend(others.map(|(_, other)| {
                let distance = 2.0 - 2.0 * similarity(row, other);
                if distance.is_finite() { distance.max(0.0) } else { 2.0 }
            }));
            let found = conditional(distances, perplexity);
            out[..at].copy_from_slice(&found[..at]);
            out[at + 1..].copy_from_slice(&found[at..]);
        });
        for a in 0..count {
            for b in a + 1..count {
                let both = (values[a * count + b] + values[b * count + a]) / (2 * count) as f32;
                values[a * count + b] = both;
                values[b * count + a] = both;
            }
        }
        Self { values, count }
    }

    fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.count..(at + 1) * self.count]
    }
}

/// p of the others given one row: a Gaussian over squared distances, as wide as the perplexity asks for.
fn conditional(distances: &[f32], perplexity: f64) -> Vec<f32> {
    let nearest = distances.iter().copied().fold(f32::INFINITY, f32::min);
    let wanted = perplexity.ln();
    let (mut beta, mut low, mut high) = (1.0f64, 0.0f64, f64::INFINITY);
    let mut shares = Vec::new();
    for _ in 0..BISECTIONS {
        shares.clear();
        shares.extend(distances.iter().map(|distance| nearest - distance));
        softmax(&mut shares, beta as f32);
        // H = ln Z + β·mean distance from the nearest, whose share is 1/Z.
        let mean: f64 =
            shares.iter().zip(distances).map(|(p, d)| f64::from(*p) * f64::from(d - nearest)).sum();
        let largest = f64::from(shares.iter().copied().fold(0.0, f32::max));
        let entropy = beta * mean - largest.ln();
        if (entropy - wanted).abs() < ENTROPY_ERROR {
            break;
        }
        if entropy > wanted {
            low = beta;
            beta = if high.is_finite() { f64::midpoint(low, high) } else { beta * 2.0 };
        } else {
            high = beta;
            beta = f64::midpoint(low, high);
        }
    }
    shares
}

/// Where the rows are, and how they move.
struct State {
    x: Vec<f64>,
    y: Vec<f64>,
    speed: [Vec<f64>; 2],
    gain: [Vec<f64>; 2],
    rate: f64,
}

/// What pulls and pushes a row: Σ p·q·(y − y'), Σ q²·(y − y'), and Σ q, where q = 1 / (1 + |y − y'|²).
struct Forces {
    pull: [f64; 2],
    push: [f64; 2],
    sum: f64,
}

impl State {
    /// Along the two principal axes, so small that only their order counts.
    fn begin(rows: &[f32], dim: usize, seed: u64) -> Self {
        let count = row_count(rows, dim);
        let [first, second] = axes(rows, dim, seed);
        let mut random = Random::new(seed, 2);
        let mut place = |axis: &[f64]| {
            let mut values = along(rows, 0.0, axis);
            values.iter_mut().for_each(|value| *value = if value.is_finite() { *value } else { 0.0 });
            centre(&mut values);
            let deviation = (values.iter().map(|value| value * value).sum::<f64>() / count as f64).sqrt();
            let scale = if deviation > 1e-12 { 1e-4 / deviation } else { 0.0 };
            // Equal rows must not stay on one spot.
            values.iter().map(|value| value * scale + 1e-6 * (random.unit() - 0.5)).collect::<Vec<f64>>()
        };
        let (x, y) = (place(&first), place(&second));
        let rate = (count as f64 / EXAGGERATION / 4.0).max(50.0);
        let of = |value: f64| [vec![value; count], vec![value; count]];
        Self { x, y, speed: of(0.0), gain: of(1.0), rate }
    }

    /// Gradient descent with momentum and a gain for each coordinate.
    fn step(&mut self, likeness: &Likeness, pass: usize) {
        let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
        let (x, y) = (narrow(&self.x), narrow(&self.y));
        let forces: Vec<Forces> =
            (0..x.len()).into_par_iter().map(|at| forces(at, &x, &y, likeness.row(at))).collect();
        let total: f64 = forces.iter().map(|forces| forces.sum).sum();
        let (exaggeration, momentum) = if pass < EARLY { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        for (axis, places) in [&mut self.x, &mut self.y].into_iter().enumerate() {
            let moving = self.speed[axis].iter_mut().zip(&mut self.gain[axis]);
            for ((place, (speed, gain)), forces) in places.iter_mut().zip(moving).zip(&forces) {
                let gradient =
                    4.0 * (exaggeration * forces.pull[axis] - forces.push[axis] / total.max(1e-12));
                *gain = if (gradient > 0.0) == (*speed > 0.0) { *gain * 0.8 } else { *gain + 0.2 }.max(0.01);
                *speed = momentum * *speed - self.rate * *gain * gradient;
                *place += *speed;
            }
            centre(places);
        }
    }
}

fn centre(values: &mut [f64]) {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter_mut().for_each(|value| *value -= mean);
}

fn forces(at: usize, x: &[f32], y: &[f32], likeness: &[f32]) -> Forces {
    let (own_x, own_y) = (x[at], y[at]);
    let mut sums = [[0.0f32; LANES]; 5];
    let mut add = |lane: usize, x: f32, y: f32, p: f32| {
        let (dx, dy) = (own_x - x, own_y - y);
        let q = 1.0 / (1.0 + dx * dx + dy * dy);
        let (pull, push) = (p * q, q * q);
        sums[0][lane] += pull * dx;
        sums[1][lane] += pull * dy;
        sums[2][lane] += push * dx;
        sums[3][lane] += push * dy;
        sums[4][lane] += q;
    };
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let (ps, p_rest) = likeness.as_chunks::<LANES>();
    for ((x, y), p) in xs.iter().zip(ys).zip(ps) {
        for lane in 0..LANES {
            add(lane, x[lane], y[lane], p[lane]);
        }
    }
    for (lane, ((x, y), p)) in x_rest.iter().zip(y_rest).zip(p_rest).enumerate() {
        add(lane, *x, *y, *p);
    }
    let [pull_x, pull_y, push_x, push_y, sum] =
        sums.map(|lanes| lanes.iter().map(|&value| f64::from(value)).sum::<f64>());
    // A row is its own nearest neighbour with q = 1, which does not count.
    Forces { pull: [pull_x, pull_y], push: [push_x, push_y], sum: sum - 1.0 }
}
