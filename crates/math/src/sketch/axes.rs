//! The axes of sketches: learnt from a sample, and applied to rows.
//!
//! The decision to question: rows are multiplied with the axes in bfloat16, twice to four times as fast as in `f32`. The axes lose nothing, for
//! any axes will do; a row loses `e = x − x̂` of a length that is summed up for each row, and no axis makes it longer: `‖Qx − Qx̂‖ ≤ ‖e‖`. That is less than
//! the codes of 8 bits leave out afterwards.
use super::{Sketch, WIDTH};
use crate::{
    matrix::{Format, Matrix, Scratch},
    propose::encode_bytes,
    random::Random,
    rows::{dot, row_count},
};
use half::bf16;
use pulp::{Arch, NullaryFnOnce};

/// Rounds of subspace iteration. The axes need not be exact: whatever they are, the bound holds.
const ROUNDS: usize = 4;

/// Directions `[p, dim]` that rows are sketched on: at most 63 for [`Axes::sketch`].
#[derive(Debug)]
pub struct Axes {
    values: Vec<f32>,
    dim: usize,
    /// The axes in bfloat16, shrunk so that no singular value is above 1: then `x·x′ − Qx·Qx′` is a positive semidefinite form, which Cauchy-Schwarz needs.
    matrix: Matrix,
}

/// Buffers of one thread for [`Axes::sketch`].
#[derive(Debug, Default)]
pub struct SketchBuffers {
    parts: Vec<f32>,
    numbers: Vec<f32>,
    product: Scratch,
}

impl Axes {
    /// Takes axes `[p, dim]` as they are. Panics if they are no whole number of rows.
    pub fn new(values: Vec<f32>, dim: usize) -> Self {
        row_count(&values, dim);
        // Rounded here, so that the product rounds nothing; and shrunk by what ‖QQᵀ − I‖, in the Frobenius norm, may make a squared singular value
        // exceed 1: first by more than rounding can add again.
        let round = |by: f32| values.iter().map(move |value| bf16::from_f32(value * by).to_f32());
        let excess = excess(&round(1.0).collect::<Vec<f32>>(), dim);
        let shrink = 1.0 / (1.0 + excess as f32).sqrt() * (1.0 - 2f32.powi(-7));
        let axes: Vec<f32> = round(shrink).collect();
        let matrix = Matrix::new(&axes, dim, &[], Format::Bf16);
        Self { matrix, values, dim }
    }

    /// The axes along which the rows `[n, dim]` spread most, about the origin: the leading singular vectors, by subspace iteration from a
    /// start drawn with `seed`. Give it the differences between rows and the centroids of their cells. No rows give no axes.
    pub fn learn(differences: &[f32], dim: usize, seed: u64) -> Self {
        Self::leading(differences, dim, WIDTH - 1, seed)
    }

    /// As [`Axes::learn`], at most so many.
    pub(super) fn leading(differences: &[f32], dim: usize, most: usize, seed: u64) -> Self {
        let n = row_count(differences, dim);
        let count = if n == 0 { 0 } else { dim.min(most) };
        let mut random = Random::new(seed, 7);
        let mut axes: Vec<f32> =
            (0..count * dim).map(|_| (random.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect();
        orthonormalize(&mut axes, dim);
        if count == 0 {
            return Self::new(axes, dim);
        }
        let columns = Matrix::new(&transpose(differences, dim), n, &[], Format::F32);
        let (mut parts, mut scratch) = (vec![0.0; n * count], Scratch::default());
        for _ in 0..ROUNDS {
            Matrix::new(&axes, dim, &[], Format::F32).multiply(differences, &mut parts, &mut scratch);
            columns.multiply(&transpose(&parts, count), &mut axes, &mut scratch);
            orthonormalize(&mut axes, dim);
        }
        Self::new(axes, dim)
    }

    /// Values in a row.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// The axes `[p, dim]`, for [`Axes::new`].
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Appends the sketches of the rows `[n, dim]`, which have unit length, on the calling thread. Panics if there are more than 63 axes.
    pub fn sketch(&self, rows: &[f32], buffers: &mut SketchBuffers, out: &mut Vec<Sketch>) {
        self.measure(rows, WIDTH, buffers, |_, numbers, error| out.push(Sketch::of(numbers, error)));
    }

    /// Hands out for each row of `[n, dim]` its place, its parts on the axes with the length of its rest behind them, as `width` numbers (a
    /// multiple of 64 above that of the axes) on other axes, and how long the difference to the true ones is at most. Values that overflow give
    /// numbers or differences that are not finite.
    pub(super) fn measure(
        &self,
        rows: &[f32],
        width: usize,
        buffers: &mut SketchBuffers,
        mut each: impl FnMut(usize, &[f32], f64),
    ) {
        let (n, axes) = (row_count(rows, self.dim), self.matrix.outputs());
        assert!(axes < width, "{axes} axes; there is room for {}", width - 1);
        buffers.parts.resize(n * axes, 0.0);
        if axes > 0 {
            self.matrix.multiply(rows, &mut buffers.parts, &mut buffers.product);
        }
        // A chain of `dim` fused multiply-adds is within dim · 2⁻²⁴ of the product of the lengths, an eighth more covers the second order.
        let each_part = self.dim as f64 * 2f64.powi(-24) * 1.125;
        for (place, row) in rows.chunks_exact(self.dim).enumerate() {
            let parts = &buffers.parts[place * axes..(place + 1) * axes];
            let Lengths { square, lost } = Arch::new().dispatch(Measure { row });
            let error = (axes as f64).sqrt() * each_part * square.sqrt() + lost.sqrt();
            let on_axes = dot(parts, parts);
            // At least the rest, whatever the error of the parts is.
            let rest = (square - on_axes + 2.0 * error * square.sqrt()).max(0.0).sqrt();
            buffers.numbers.clear();
            buffers.numbers.resize(width, 0.0);
            let (blocks, _) = buffers.numbers.as_chunks_mut::<SPREAD>();
            // Neighbouring axes go to different blocks, for the leading ones hold most.
            let count = blocks.len();
            for (first, block) in blocks.iter_mut().enumerate() {
                let parts = parts.iter().skip(first).step_by(count);
                block.iter_mut().zip(parts).for_each(|(number, part)| *number = *part);
            }
            blocks[(width - 1) % count][SPREAD - 1] = (rest as f32).next_up();
            blocks.iter_mut().for_each(|numbers| Arch::new().dispatch(Spread { numbers }));
            each(place, &buffers.numbers, error);
        }
    }
}

/// How much a squared singular value of the axes can be above 1, at most.
fn excess(axes: &[f32], dim: usize) -> f64 {
    let mut square = 0.0;
    for (i, a) in axes.chunks_exact(dim).enumerate() {
        for (j, b) in axes.chunks_exact(dim).enumerate() {
            square += (dot(a, b) - if i == j { 1.0 } else { 0.0 }).powi(2);
        }
    }
    square.sqrt() + 1e-9
}

/// The squared length of a row and of what bfloat16 leaves out of it, each at least.
struct Lengths {
    square: f64,
    lost: f64,
}

struct Measure<'a> {
    row: &'a [f32],
}

impl NullaryFnOnce for Measure<'_> {
    type Output = Lengths;

    #[inline(always)]
    fn call(self) -> Lengths {
        const LANES: usize = 64;
        let (mut square, mut lost) = ([0f32; LANES], [0f32; LANES]);
        let mut add = |values: &[f32; LANES]| {
            for lane in 0..LANES {
                let value = values[lane];
                // To nearest, ties to even, as the product rounds.
                let bits = value.to_bits();
                let rounded = f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000);
                square[lane] += value * value;
                lost[lane] += (value - rounded) * (value - rounded);
            }
        };
        let (blocks, tail) = self.row.as_chunks::<LANES>();
        blocks.iter().for_each(&mut add);
        let mut last = [0f32; LANES];
        last[..tail.len()].copy_from_slice(tail);
        add(&last);
        // A lane sums up dim / 64 products: 1e-4 is room for rows of a hundred thousand values.
        let sum = |lanes: [f32; LANES]| lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>() * (1.0 + 1e-4);
        Lengths { square: sum(square), lost: sum(lost) }
    }
}

impl Sketch {
    /// Codes of numbers that are each known up to a difference of length `error` together.
    fn of(numbers: &[f32], error: f64) -> Self {
        let mut codes = [0i8; WIDTH];
        let facts = encode_bytes(numbers, &mut codes);
        // 1e-6 of the length covers `Spread`: seven roundings of a relative 2⁻²⁴, and the rest's.
        let error = ((error + 1e-6 * f64::from(facts.length)) as f32).next_up();
        Self {
            codes,
            scale: facts.scale,
            length: facts.length + error,
            coded: facts.coded,
            error: facts.error + error,
        }
    }

    pub(super) fn codes(&self) -> &[i8; WIDTH] {
        &self.codes
    }

    /// Scale, length, coded length and error.
    pub(super) fn bounds(&self) -> [f32; 4] {
        [self.scale, self.length, self.coded, self.error]
    }
}

/// Numbers that change axes together.
const SPREAD: usize = 64;

/// The Walsh-Hadamard transform, an orthonormal change of axes: no single number then stands out and makes all steps coarse.
struct Spread<'a> {
    numbers: &'a mut [f32; SPREAD],
}

impl NullaryFnOnce for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let mut half = 1;
        while half < SPREAD {
            for start in (0..SPREAD).step_by(2 * half) {
                for place in start..start + half {
                    let (a, b) = (self.numbers[place], self.numbers[place + half]);
                    (self.numbers[place], self.numbers[place + half]) = (a + b, a - b);
                }
            }
            half *= 2;
        }
        self.numbers.iter_mut().for_each(|number| *number /= (SPREAD as f32).sqrt());
    }
}

/// `[n, width]` → `[width, n]`.
fn transpose(values: &[f32], width: usize) -> Vec<f32> {
    let n = values.len() / width;
    (0..width).flat_map(|column| (0..n).map(move |row| values[row * width + column])).collect()
}

/// Makes rows orthonormal, in order (Gram-Schmidt, twice over, in `f64`). A row that the former ones span becomes zeros.
fn orthonormalize(rows: &mut [f32], dim: usize) {
    for place in 0..row_count(rows, dim) {
        let (before, rest) = rows.split_at_mut(place * dim);
        let row = &mut rest[..dim];
        let original = dot(row, row).sqrt();
        for _ in 0..2 {
            for other in before.chunks_exact(dim) {
                let share = dot(row, other);
                row.iter_mut()
                    .zip(other)
                    .for_each(|(a, b)| *a = (f64::from(*a) - share * f64::from(*b)) as f32);
            }
        }
        let length = dot(row, row).sqrt();
        let keeps = length > 1e-5 * original && length.is_finite();
        row.iter_mut()
            .for_each(|value| *value = if keeps { (f64::from(*value) / length) as f32 } else { 0.0 });
    }
}
