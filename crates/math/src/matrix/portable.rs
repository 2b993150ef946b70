//! The plain twin of the kernels, in nothing but arrays: 24 sums stay in registers while a panel passes by, and the loop over the outputs becomes
//! vector instructions for any target. (On the oldest x86-64 with its 16 registers of four lanes, 48 sums did not stay.)
use super::{PANEL, Tile};

/// Rows and outputs whose sums are formed together.
const TOGETHER: usize = 3;
const PART: usize = 8;

/// Whether every processor of the target multiplies and adds in one instruction with one rounding. Elsewhere that would be a call of the C library for
/// each product (measured on x86-64: 0.8 GFLOP/s), so there the product is rounded too.
pub(super) const FUSES: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// One step of a chain.
#[inline(always)]
pub(super) fn add_product(sum: f32, a: f32, b: f32) -> f32 {
    if FUSES { a.mul_add(b, sum) } else { sum + a * b }
}

/// One tile in f32.
pub(super) fn f32_tile(x: &[f32], inputs: usize, panels: &[f32], bias: &[f32], tile: Tile<'_>) {
    let Tile { row, rows, panel, from, to, sums, stride } = tile;
    let panel = panels[panel * PANEL * inputs..][from * PANEL..to * PANEL].as_chunks::<PANEL>().0;
    let bias = (from == 0).then_some(bias);
    for first in (0..rows).step_by(TOGETHER) {
        let x = &x[(row + first) * inputs + from..];
        let sums = &mut sums[first * stride..];
        match rows - first {
            1 => chains::<1>(x, inputs, panel, bias, sums, stride),
            2 => chains::<2>(x, inputs, panel, bias, sums, stride),
            _ => chains::<TOGETHER>(x, inputs, panel, bias, sums, stride),
        }
    }
}

/// Of `M` rows of `x`, `inputs` apart, with a panel; from the bias or, without one, from the old sums.
fn chains<const M: usize>(
    x: &[f32],
    inputs: usize,
    panel: &[[f32; PANEL]],
    bias: Option<&[f32]>,
    sums: &mut [f32],
    stride: usize,
) {
    let rows: [&[f32]; M] = std::array::from_fn(|m| &x[m * inputs..][..panel.len()]);
    for part in (0..PANEL).step_by(PART) {
        let mut chains: [[f32; PART]; M] = std::array::from_fn(|m| {
            let start = bias.map_or_else(|| &sums[m * stride + part..], |bias| &bias[part..]);
            std::array::from_fn(|output| start[output])
        });
        for (k, weights) in panel.iter().enumerate() {
            let weights = &weights[part..part + PART];
            for (chain, row) in chains.iter_mut().zip(rows) {
                for (sum, &weight) in chain.iter_mut().zip(weights) {
                    *sum = add_product(*sum, row[k], weight);
                }
            }
        }
        for (m, chain) in chains.iter().enumerate() {
            sums[m * stride + part..][..PART].copy_from_slice(chain);
        }
    }
}
