//! The kernels against each other and against f64 sums, at every kind of edge.
use super::*;
use proptest::prelude::*;

fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

fn exact(x: &[f32], w: &[f32], bias: &[f32], inputs: usize) -> Vec<f64> {
    let outputs = w.len() / inputs;
    x.chunks_exact(inputs)
        .flat_map(|row| {
            (0..outputs).map(move |o| {
                let products = row.iter().zip(&w[o * inputs..]).map(|(a, b)| f64::from(*a) * f64::from(*b));
                products.sum::<f64>() + bias.get(o).map_or(0.0, |&b| f64::from(b))
            })
        })
        .collect()
}

/// The chains by definition, each step given.
fn chains(x: &[f32], w: &[f32], bias: &[f32], inputs: usize, step: fn(f32, f32, f32) -> f32) -> Vec<f32> {
    let outputs = w.len() / inputs;
    let chain = |row: &[f32], o: usize| {
        let start = bias.get(o).copied().unwrap_or(0.0);
        row.iter().zip(&w[o * inputs..]).fold(start, |sum, (&a, &b)| step(sum, a, b))
    };
    x.chunks_exact(inputs).flat_map(|row| (0..outputs).map(move |o| chain(row, o))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_f32_kernel_is_the_chain_by_definition(
        rows in 1usize..20, inputs in 1usize..300, outputs in 1usize..200, seed: u64, biased: bool,
    ) {
        let (x, w) = (values(rows * inputs, seed), values(outputs * inputs, seed ^ 5));
        let bias = if biased { values(outputs, seed ^ 9) } else { Vec::new() };
        let run = |kernel| {
            let mut y = vec![f32::NAN; rows * outputs];
            let matrix = Matrix::with_kernel(&w, inputs, &bias, Format::F32, kernel);
            matrix.multiply(&x, &mut y, &mut Scratch::default());
            y
        };
        let plain = run(Kernel::Portable);
        let error = (inputs as f64 + 1.0) * 2f64.powi(-23);
        for (found, true_value) in plain.iter().zip(exact(&x, &w, &bias, inputs)) {
            prop_assert!((f64::from(*found) - true_value).abs() <= error * (inputs as f64 + 1.0));
        }
        for kernel in Kernel::available(Format::F32) {
            let fuses = kernel != Kernel::Portable || portable::FUSES;
            let step = if fuses { |sum, a: f32, b| a.mul_add(b, sum) } else { |sum, a, b| sum + a * b };
            let (found, expected) = (run(kernel), chains(&x, &w, &bias, inputs, step));
            prop_assert!(found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{kernel:?}");
        }
    }

    #[test]
    fn every_bf16_kernel_sums_the_rounded_products(
        rows in 1usize..20, inputs in 1usize..300, outputs in 1usize..200, seed: u64,
    ) {
        let (x, w) = (values(rows * inputs, seed), values(outputs * inputs, seed ^ 5));
        let bias = values(outputs, seed ^ 9);
        let round = |values: &[f32]| values.iter().map(|&v| round_bf16(v)).collect::<Vec<f32>>();
        let expected = exact(&round(&x), &round(&w), &bias, inputs);
        for kernel in Kernel::available(Format::Bf16) {
            let mut y = vec![f32::NAN; rows * outputs];
            Matrix::with_kernel(&w, inputs, &bias, Format::Bf16, kernel).multiply(&x, &mut y, &mut Scratch::default());
            for (found, expected) in y.iter().zip(&expected) {
                // Products of bf16 are exact in f32; each of the sums is rounded once, `vdpbf16ps` twice.
                let error = 2.0 * (inputs as f64 + 2.0) * 2f64.powi(-24) * (inputs as f64 + 1.0);
                prop_assert!((f64::from(*found) - expected).abs() <= error, "{kernel:?}: {found} {expected}");
            }
        }
    }

    #[test]
    fn a_row_does_not_see_its_neighbours(rows in 2usize..30, seed: u64, bf16: bool) {
        let (inputs, outputs) = (200, 130);
        let format = if bf16 { Format::Bf16 } else { Format::F32 };
        let matrix = Matrix::new(&values(outputs * inputs, seed), inputs, &[], format);
        let x = values(rows * inputs, seed ^ 77);
        let mut together = vec![0.0; rows * outputs];
        matrix.multiply(&x, &mut together, &mut Scratch::default());
        for (row, expected) in x.chunks_exact(inputs).zip(together.chunks_exact(outputs)) {
            let mut alone = vec![0.0; outputs];
            matrix.multiply(row, &mut alone, &mut Scratch::default());
            prop_assert_eq!(&alone[..], expected);
        }
    }
}

#[test]
fn an_activation_in_the_tile_is_one_after_it() {
    for (outputs, inputs) in [(64, 40), (130, 300), (5, 1)] {
        let matrix = Matrix::new(&values(outputs * inputs, 4), inputs, &values(outputs, 6), Format::F32);
        let x = values(13 * inputs, 8);
        let (mut after, mut inside) = (vec![0.0; 13 * outputs], vec![0.0; 13 * outputs]);
        matrix.multiply(&x, &mut after, &mut Scratch::default());
        Activation::Gelu.apply(&mut after);
        matrix.multiply_activated(&x, Activation::Gelu, &mut inside, &mut Scratch::default());
        assert_eq!(inside, after);
    }
}

#[test]
fn nothing_is_a_product_too() {
    let matrix = Matrix::new(&[1.0, 2.0], 2, &[], Format::Bf16);
    matrix.multiply(&[], &mut [], &mut Scratch::default());
    assert_eq!((matrix.inputs(), matrix.outputs()), (2, 1));
}
