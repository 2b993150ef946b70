//! The axes of sketches: learnt from a sample, and applied to rows.
use super::{Sketch, WIDTH};
use crate::{
    matrix::{Format, Matrix, Scratch},
    propose::encode_bytes,
    random::Random,
    rows::{dot, row_count},
};

/// Rounds of subspace iteration. The axes need not be exact: whatever they are, the bound holds.
const ROUNDS: usize = 5;

/// Directions `[p, dim]` that rows are sketched on, `p` at most 63.
#[derive(Debug)]
pub struct Axes {
    values: Vec<f32>,
    dim: usize,
    /// The axes, shrunk so that no singular value is above 1: then `x·x′ − Qx·Qx′` is a positive semidefinite form, which Cauchy-Schwarz needs.
    matrix: Matrix,
}

/// Buffers of one thread for [`Axes::sketch`].
#[derive(Debug, Default)]
pub struct SketchBuffers {
    parts: Vec<f32>,
    product: Scratch,
}

impl Axes {
    /// Takes axes `[p, dim]` as they are. Panics if they are no whole number of rows or more than 63.
    pub fn new(values: Vec<f32>, dim: usize) -> Self {
        let count = row_count(&values, dim);
        assert!(count < WIDTH, "{count} axes; a sketch has room for {}", WIDTH - 1);
        // ‖QQᵀ − I‖ in the Frobenius norm bounds how far a squared singular value is above 1.
        let mut excess = 0.0;
        for (i, a) in values.chunks_exact(dim).enumerate() {
            for (j, b) in values.chunks_exact(dim).enumerate() {
                excess += (dot(a, b) - if i == j { 1.0 } else { 0.0 }).powi(2);
            }
        }
        let shrink = 1.0 / (1.0 + excess.sqrt() + 1e-6).sqrt();
        let shrunk: Vec<f32> = values.iter().map(|&value| (f64::from(value) * shrink) as f32).collect();
        Self { matrix: Matrix::new(&shrunk, dim, &[], Format::F32), values, dim }
    }

    /// The axes along which the rows `[n, dim]` spread most, about the origin: the leading singular vectors, by subspace iteration from a
    /// start drawn with `seed`. Give it the differences between rows and the centroids of their cells. No rows give no axes.
    pub fn learn(differences: &[f32], dim: usize, seed: u64) -> Self {
        let n = row_count(differences, dim);
        let count = if n == 0 { 0 } else { dim.min(WIDTH - 1) };
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

    /// The axes `[p, dim]`, for [`Axes::new`].
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Appends the sketches of the rows `[n, dim]`, which have unit length, on the calling thread.
    pub fn sketch(&self, rows: &[f32], buffers: &mut SketchBuffers, out: &mut Vec<Sketch>) {
        let (n, axes) = (row_count(rows, self.dim), self.matrix.outputs());
        buffers.parts.resize(n * axes, 0.0);
        if axes > 0 {
            self.matrix.multiply(rows, &mut buffers.parts, &mut buffers.product);
        }
        // A chain of `dim` fused multiply-adds is within dim · 2⁻²⁴ of the product of the lengths, an eighth more covers the second order.
        let each = self.dim as f64 * 2f64.powi(-24) * 1.125;
        for (place, row) in rows.chunks_exact(self.dim).enumerate() {
            let parts = &buffers.parts[place * axes..(place + 1) * axes];
            let square = dot(row, row);
            let error = (axes as f64).sqrt() * each * square.sqrt();
            let on_axes = dot(parts, parts);
            // At least the rest, whatever the rounding of the parts was.
            let rest = (square - on_axes + 2.0 * error * square.sqrt()).max(0.0).sqrt();
            let mut numbers = [0f32; WIDTH];
            numbers[..axes].copy_from_slice(parts);
            numbers[WIDTH - 1] = (rest as f32).next_up();
            spread(&mut numbers);
            out.push(Sketch::of(&numbers, error));
        }
    }
}

impl Sketch {
    /// Codes of numbers that are each known up to a difference of length `error` together.
    fn of(numbers: &[f32; WIDTH], error: f64) -> Self {
        let mut codes = [0i8; WIDTH];
        let facts = encode_bytes(numbers, &mut codes);
        // 1e-6 of the length covers `spread`: seven roundings of a relative 2⁻²⁴, and the rest's.
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

/// The Walsh-Hadamard transform, an orthonormal change of axes: no single number then stands out and makes all steps coarse.
fn spread(numbers: &mut [f32; WIDTH]) {
    let mut half = 1;
    while half < WIDTH {
        for start in (0..WIDTH).step_by(2 * half) {
            for place in start..start + half {
                let (a, b) = (numbers[place], numbers[place + half]);
                (numbers[place], numbers[place + half]) = (a + b, a - b);
            }
        }
        half *= 2;
    }
    numbers.iter_mut().for_each(|number| *number /= (WIDTH as f32).sqrt());
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
