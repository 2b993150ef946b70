//! Products of activations with weights at the sizes of ViT-B/32 (512 rows) on one thread, in GFLOP/s: items are multiplications and
//! additions. At the end every shape's share of the peak: `cargo bench -p cribble-math --bench matrix`.
mod peak;

use cribble_math::matrix::{Format, Matrix, Scratch};
use divan::Bencher;
use peak::Peak;

fn main() {
    divan::main();
    peak::report();
}

const SHAPES: [(usize, usize); 3] = [(768, 768), (768, 3072), (3072, 768)];

#[divan::bench(args = SHAPES)]
fn f32(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
    run(bencher, shape, Format::F32);
}

#[divan::bench(args = SHAPES)]
fn bf16(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
    run(bencher, shape, Format::Bf16);
}

fn run(bencher: Bencher<'_, '_>, (inputs, outputs): (usize, usize), format: Format) {
    let rows = 512;
    let values =
        |count: usize| (0..count).map(|i| (i * 7919 % 1009) as f32 / 1009.0 - 0.5).collect::<Vec<_>>();
    let matrix = Matrix::new(&values(inputs * outputs), inputs, &[], format);
    let (x, mut y, mut scratch) = (values(rows * inputs), vec![0.0; rows * outputs], Scratch::default());
    let peak = if format == Format::Bf16 { Peak::Bf16 } else { Peak::F32 };
    let operations = 2 * rows * inputs * outputs;
    peak::bench(bencher, format!("{format:?} {inputs} x {outputs}"), (peak, 1), operations, || {
        matrix.multiply(&x, &mut y, &mut scratch);
    });
}
