//! Products of activations with fixed weights, `y = x Wᵀ + b`: what an encoder spends its time on.
//!
//! Weights are packed once into panels of [`PANEL`] outputs, so that a product reads them in one forward stream; activations are read
//! as they lie. Each element of the result is one chain of fused multiply-adds over the inputs in ascending order, started at the bias,
//! whatever the number of rows, the tile and the instruction set. So a row's result does not depend on the rows beside it, and in
//! [`Format::F32`] every kernel gives the same bits: but where the target has no fused multiply-adds (x86 without AVX2), the portable
//! kernel forms the same chain with rounded products. Emulating fused ones there (through f64, with a check for
//! results half way between two f32) would take some four times as many instructions, by count, for the last bits of an embedding. Products of bf16 are exact in f32, so [`Format::Bf16`] sees no difference.
//!
//! The decision to question: this stands in place of the `gemm` crate. That one packs both sides at every call and chooses its order of sums by
//! the shape of the whole product; here the weights are the same for millions of images, and bf16 (two products per lane and
//! instruction) is not in it.

/// Runs a body for the tile's number of rows.
macro_rules! for_rows {
    ($rows:expr, $body:ident, $($argument:expr),+) => {
        match $rows {
            1 => $body::<1>($($argument),+),
            2 => $body::<2>($($argument),+),
            3 => $body::<3>($($argument),+),
            4 => $body::<4>($($argument),+),
            5 => $body::<5>($($argument),+),
            _ => $body::<6>($($argument),+),
        }
    };
}

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod places;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::functions::Activation;
use half::bf16;
use std::sync::OnceLock;

/// Outputs of one panel: four 512-bit registers.
pub const PANEL: usize = 64;
/// Most rows of one tile: with four registers a row, 24 accumulators of 32 registers.
pub(crate) const ROWS: usize = 6;
/// Inputs per pass in bytes of one panel row: 128 × 256 bytes are 32 KiB, which stay in the first-level cache while the rows pass by.
const DEPTH: usize = 128;

/// The number format of a product's factors. Sums are f32 in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 32-bit floats.
    F32,
    /// bfloat16: both factors rounded to nearest, ties to even.
    Bf16,
}

/// The instructions that a product uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Loops that the compiler vectorises for the target.
    Portable,
    /// AVX2 and FMA, f32.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512F, f32.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 BF16: `vdpbf16ps`, pairs of products.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// NEON, f32.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Kernel {
    /// The fastest kernel for a format, as far as `CRIBBLE_KERNEL` (`avx2` or `portable`) allows. Settled once in a process.
    pub(crate) fn best(format: Format) -> Self {
        static BEST: OnceLock<[Kernel; 2]> = OnceLock::new();
        let [f32, bf16] = BEST.get_or_init(|| {
            let limit = std::env::var("CRIBBLE_KERNEL").unwrap_or_default();
            [Format::F32, Format::Bf16].map(|format| {
                let allowed = |kernel: &Self| match limit.as_str() {
                    "portable" => *kernel == Self::Portable,
                    #[cfg(target_arch = "x86_64")]
                    "avx2" => matches!(kernel, Self::Avx2 | Self::Portable),
                    _ => true,
                };
                Self::available(format).into_iter().find(allowed).unwrap_or(Self::Portable)
            })
        });
        match format {
            Format::F32 => *f32,
            Format::Bf16 => *bf16,
        }
    }

    /// Every kernel that this processor has for a format, fastest first.
    pub(crate) fn available(format: Format) -> Vec<Self> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if format == Format::Bf16
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bf16")
            {
                kernels.push(Self::Avx512Bf16);
            }
            if is_x86_feature_detected!("avx512f") {
                kernels.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kernels.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        kernels.push(Self::Neon);
        let _ = format;
        kernels.push(Self::Portable);
        kernels
    }
}

/// Whether this processor multiplies bfloat16 itself. Elsewhere [`Format::Bf16`] rounds the factors and multiplies them as f32.
pub fn has_native_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return Kernel::best(Format::Bf16) == Kernel::Avx512Bf16;
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Panels of weights: f32 values, or bf16 values in pairs of neighbouring inputs.
enum Panels {
    F32(Vec<f32>),
    #[cfg(target_arch = "x86_64")]
    Pairs(Vec<u32>),
}

/// A fixed matrix of weights `[outputs, inputs]`, packed, with its kernel chosen.
pub struct Matrix {
    inputs: usize,
    outputs: usize,
    panels: Panels,
    bias: Vec<f32>,
    format: Format,
    kernel: Kernel,
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix({} x {}, {:?}, {:?})", self.outputs, self.inputs, self.format, self.kernel)
    }
}

/// Buffers of one thread for [`Matrix::multiply`].
#[derive(Debug, Default)]
pub struct Scratch {
    #[cfg(target_arch = "x86_64")]
    pairs: Vec<u32>,
    rounded: Vec<f32>,
}

impl Matrix {
    /// Packs `weights`, `[outputs, inputs]` row-major, and a bias of `outputs` values or of none (then 0).
    pub fn new(weights: &[f32], inputs: usize, bias: &[f32], format: Format) -> Self {
        Self::with_kernel(weights, inputs, bias, format, Kernel::best(format))
    }

    pub(crate) fn with_kernel(
        weights: &[f32],
        inputs: usize,
        bias: &[f32],
        format: Format,
        kernel: Kernel,
    ) -> Self {
        assert!(inputs > 0 && weights.len().is_multiple_of(inputs), "weights are no [outputs, {inputs}]");
        let outputs = weights.len() / inputs;
        assert!(bias.is_empty() || bias.len() == outputs, "a bias of {} for {outputs} outputs", bias.len());
        let mut padded = vec![0.0; outputs.div_ceil(PANEL) * PANEL];
        padded[..bias.len()].copy_from_slice(bias);
        let panels = match kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Bf16 => Panels::Pairs(pack_pairs(weights, inputs)),
            _ => {
                let mut panels = Vec::new();
                pack(weights, inputs, &mut panels);
                if format == Format::Bf16 {
                    panels.iter_mut().for_each(|value| *value = round_bf16(*value));
                }
                Panels::F32(panels)
            }
        };
        Self { inputs, outputs, panels, bias: padded, format, kernel }
    }

    /// Values in a row of `x`.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Values in a row of `y`.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> usize {
        self.bias.len() * 4
            + match &self.panels {
                Panels::F32(values) => values.len() * 4,
                #[cfg(target_arch = "x86_64")]
                Panels::Pairs(values) => values.len() * 4,
            }
    }

    /// `y = x Wᵀ + b` on the calling thread: `x` is `[rows, inputs]`, `y` `[rows, outputs]`, both row-major. Old values of `y` are not read.
    pub fn multiply(&self, x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        self.multiply_then(x, y, scratch, |_| ());
    }

    /// As [`Matrix::multiply`], then the activation of every value, while a tile is still in the first-level cache.
    pub fn multiply_activated(
        &self,
        x: &[f32],
        activation: Activation,
        y: &mut [f32],
        scratch: &mut Scratch,
    ) {
        self.multiply_then(x, y, scratch, |values| activation.apply(values));
    }

    fn multiply_then(&self, x: &[f32], y: &mut [f32], scratch: &mut Scratch, then: impl Fn(&mut [f32])) {
        let rows = x.len() / self.inputs;
        assert!(x.len() == rows * self.inputs && y.len() == rows * self.outputs, "x and y differ in rows");
        match &self.panels {
            Panels::F32(panels) => {
                let weights = Packed { panels, bias: Some(&self.bias), outputs: self.outputs };
                let mut x = x;
                if self.format == Format::Bf16 {
                    scratch.rounded.clear();
                    scratch.rounded.extend(x.iter().map(|&value| round_bf16(value)));
                    x = &scratch.rounded;
                }
                product(self.kernel, x, self.inputs, &weights, y, then);
            }
            #[cfg(target_arch = "x86_64")]
            Panels::Pairs(panels) => {
                let depth = self.inputs.div_ceil(2);
                x86::to_pairs(x, self.inputs, &mut scratch.pairs);
                let run = |tile: Tile<'_>| x86::bf16_tile(&scratch.pairs, depth, panels, &self.bias, tile);
                blocks(rows, depth, self.outputs, y, run, then);
            }
        }
    }
}

fn round_bf16(value: f32) -> f32 {
    bf16::from_f32(value).to_f32()
}

/// Packs `[outputs, inputs]` into panels: panel `p` holds, for each input, the weights of outputs `64 p ..`, zeros beyond the last.
pub(crate) fn pack(weights: &[f32], inputs: usize, panels: &mut Vec<f32>) {
    let outputs = weights.len() / inputs;
    panels.clear();
    panels.resize(outputs.div_ceil(PANEL) * PANEL * inputs, 0.0);
    for (output, row) in weights.chunks_exact(inputs).enumerate() {
        let panel = &mut panels[output / PANEL * PANEL * inputs..];
        for (input, &value) in row.iter().enumerate() {
            panel[input * PANEL + output % PANEL] = value;
        }
    }
}

/// As [`pack`], in bf16, two neighbouring inputs in one 32-bit word, the first in the low half. An odd number of inputs is filled with 0.
#[cfg(target_arch = "x86_64")]
fn pack_pairs(weights: &[f32], inputs: usize) -> Vec<u32> {
    let (outputs, depth) = (weights.len() / inputs, inputs.div_ceil(2));
    let mut panels = vec![0u32; outputs.div_ceil(PANEL) * PANEL * depth];
    for (output, row) in weights.chunks_exact(inputs).enumerate() {
        let panel = &mut panels[output / PANEL * PANEL * depth..];
        for (pair, values) in row.chunks(2).enumerate() {
            let bits =
                |place: usize| u32::from(bf16::from_f32(values.get(place).copied().unwrap_or(0.0)).to_bits());
            panel[pair * PANEL + output % PANEL] = bits(0) | bits(1) << 16;
        }
    }
    panels
}

/// f32 panels of `outputs` outputs, and a bias as long as the panels are wide; none is zeros.
pub(crate) struct Packed<'a> {
    pub panels: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub outputs: usize,
}

/// The product of f32 rows with panels that the caller may have packed itself (for attention, whose "weights" change).
pub(crate) fn product(
    kernel: Kernel,
    x: &[f32],
    inputs: usize,
    weights: &Packed<'_>,
    y: &mut [f32],
    then: impl Fn(&mut [f32]),
) {
    const ZEROS: [f32; PANEL] = [0.0; PANEL];
    let panels = weights.panels;
    let run = |tile: Tile<'_>| {
        let bias = weights.bias.map_or(&ZEROS[..], |bias| &bias[tile.panel * PANEL..][..PANEL]);
        match kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 | Kernel::Avx512Bf16 => x86::f32_tile_avx512(x, inputs, panels, bias, tile),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => x86::f32_tile_avx2(x, inputs, panels, bias, tile),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon => neon::f32_tile(x, inputs, panels, bias, tile),
            Kernel::Portable => portable::f32_tile(x, inputs, panels, bias, tile),
        }
    };
    blocks(x.len() / inputs, inputs, weights.outputs, y, run, then);
}

/// One step of a product: `rows` rows from `row`, one panel, inputs `from .. to`, into `sums`, whose rows are `stride` apart.
pub(crate) struct Tile<'a> {
    row: usize,
    rows: usize,
    panel: usize,
    from: usize,
    to: usize,
    /// Starts at the tile's first element; holds `(rows - 1) * stride + PANEL` values or more.
    sums: &'a mut [f32],
    stride: usize,
}

/// Cuts a product into tiles: for each panel, for each run of inputs that fits the cache, all rows. `then` gets each row of a tile whose
/// sums are complete.
fn blocks(
    rows: usize,
    depth: usize,
    outputs: usize,
    y: &mut [f32],
    run: impl Fn(Tile<'_>),
    then: impl Fn(&mut [f32]),
) {
    for panel in 0..outputs.div_ceil(PANEL) {
        let width = (outputs - panel * PANEL).min(PANEL);
        for from in (0..depth).step_by(DEPTH) {
            let to = (from + DEPTH).min(depth);
            for row in (0..rows).step_by(ROWS) {
                let count = (rows - row).min(ROWS);
                let first = row * outputs + panel * PANEL;
                if width == PANEL {
                    run(Tile { row, rows: count, panel, from, to, sums: &mut y[first..], stride: outputs });
                } else {
                    // The last panel is not full: sum beside the result, then copy what is real.
                    let mut sums = [0.0; ROWS * PANEL];
                    for r in 0..count {
                        sums[r * PANEL..][..width].copy_from_slice(&y[first + r * outputs..][..width]);
                    }
                    run(Tile { row, rows: count, panel, from, to, sums: &mut sums, stride: PANEL });
                    for r in 0..count {
                        y[first + r * outputs..][..width].copy_from_slice(&sums[r * PANEL..][..width]);
                    }
                }
                if to == depth {
                    (0..count).for_each(|r| then(&mut y[first + r * outputs..][..width]));
                }
            }
        }
    }
}
