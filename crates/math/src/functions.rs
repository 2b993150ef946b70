//! The functions between an encoder's products, over whole slices: activations, softmax, layer normalisation.
//!
//! The exponential is our own, without branches, so that the loops vectorise: `2ⁿ · p(r)` with `r = x − n ln 2` in two parts and a
//! polynomial of degree 6 (the usual range reduction; Muller, Elementary Functions, 3rd ed., section 11). Its largest relative error
//! over −87 to 88 is below 3e-7 (tested). Each element's bits depend on that element (or its row) alone.
use pulp::{Arch, NullaryFnOnce};

const MAGIC: f32 = (3u32 << 22) as f32;

/// `eˣ`, 0 below −87.3 and the largest finite power above 88.3; NaN stays NaN.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.3, 88.3);
    // Adding 1.5 · 2²³ rounds to a whole number and leaves it in the low bits. (`as i32` would be one element at a time on x86.)
    let shifted = clamped * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    // ln 2 in two parts: the first has 9 zero bits at its end, so n times it is exact.
    let r = n.mul_add(-0.693_359_4, clamped);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = 1.388_888_9e-3f32;
    let p = p.mul_add(r, 8.333_334e-3);
    let p = p.mul_add(r, 4.166_666_8e-2);
    let p = p.mul_add(r, 1.666_666_7e-1);
    let p = p.mul_add(r, 0.5);
    let p = p.mul_add(r, 1.0);
    let p = p.mul_add(r, 1.0);
    // 2ⁿ from its bits: n is between -126 and 127.
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127) << 23);
    let value = p * power;
    if x < -87.3 { 0.0 } else { value }
}

/// The error function to 1.5e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / 0.327_591_1f32.mul_add(a, 1.0);
    let p = 1.061_405_4f32;
    let p = p.mul_add(t, -1.453_152_1);
    let p = p.mul_add(t, 1.421_413_8);
    let p = p.mul_add(t, -0.284_496_72);
    let p = p.mul_add(t, 0.254_829_6);
    (1.0 - p * t * exp(-a * a)).copysign(x)
}

/// An activation function, named as Hugging Face configs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · σ(1.702 x)`: OpenAI's CLIP.
    QuickGelu,
    /// `x · Φ(x)` by the error function.
    Gelu,
    /// `x · Φ(x)` by the hyperbolic tangent (`gelu_pytorch_tanh`, `gelu_new`): SigLIP.
    GeluTanh,
    /// `x · σ(x)`: the gate of SwiGLU.
    Silu,
}

impl Activation {
    /// The function for a name in a config; `None` where we have none.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "quick_gelu" => Some(Self::QuickGelu),
            "gelu" => Some(Self::Gelu),
            "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Some(Self::GeluTanh),
            "silu" | "swish" => Some(Self::Silu),
            _ => None,
        }
    }

    /// Replaces every value by its activation.
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Self::QuickGelu => each(
                values,
                #[inline(always)]
                |x| x / (1.0 + exp(-1.702 * x)),
            ),
            Self::Gelu => each(
                values,
                #[inline(always)]
                |x| 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
            ),
            Self::GeluTanh => each(
                values,
                #[inline(always)]
                |x| {
                    // (1 + tanh u) / 2 is the sigmoid of 2u.
                    let u = 0.797_884_6 * x * (0.044_715 * x).mul_add(x, 1.0);
                    x / (1.0 + exp(-2.0 * u))
                },
            ),
            Self::Silu => each(
                values,
                #[inline(always)]
                |x| x / (1.0 + exp(-x)),
            ),
        }
    }
}

struct Each<'a, F>(&'a mut [f32], F);

impl<F: Fn(f32) -> f32> NullaryFnOnce for Each<'_, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for value in self.0 {
            *value = (self.1)(*value);
        }
    }
}

fn each(values: &mut [f32], function: impl Fn(f32) -> f32) {
    Arch::new().dispatch(Each(values, function));
}

/// `values` become `exp(scale · (v − max))` over their sum. `values` must not be empty.
pub fn softmax(values: &mut [f32], scale: f32) {
    Arch::new().dispatch(Softmax(values, scale));
}

struct Softmax<'a>(&'a mut [f32], f32);

/// Lanes of the sums below: part of their definition, since the order of additions decides the last bit.
const LANES: usize = 16;

#[inline(always)]
fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (blocks, tail) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] += term(block[lane]);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(tail) {
        *lane += term(value);
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

impl NullaryFnOnce for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self(values, scale) = self;
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let (blocks, tail) = values.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                lanes[lane] = if block[lane] > lanes[lane] { block[lane] } else { lanes[lane] };
            }
        }
        let largest = lanes.iter().chain(tail).copied().fold(f32::NEG_INFINITY, f32::max);
        for value in values.iter_mut() {
            *value = exp((*value - largest) * scale);
        }
        let total = 1.0
            / sum(
                values,
                #[inline(always)]
                |value| value,
            );
        for value in values.iter_mut() {
            *value *= total;
        }
    }
}

/// Layer normalisation of rows: `(x − mean) / √(variance + ε) · scale + shift`, written to `out`. `x` and `out` are `[n, d]` with d the
/// length of `scale` and `shift`; the variance is the mean of squares (not n − 1), as in the encoders.
pub fn layer_norm(x: &[f32], scale: &[f32], shift: &[f32], epsilon: f32, out: &mut [f32]) {
    assert!(x.len() == out.len() && scale.len() == shift.len() && x.len().is_multiple_of(scale.len()));
    for (x, out) in x.chunks_exact(scale.len()).zip(out.chunks_exact_mut(scale.len())) {
        Arch::new().dispatch(LayerNorm { x, scale, shift, epsilon, out });
    }
}

struct LayerNorm<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    epsilon: f32,
    out: &'a mut [f32],
}

impl NullaryFnOnce for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let share = 1.0 / self.x.len() as f32;
        let mean = sum(
            self.x,
            #[inline(always)]
            |x| x,
        ) * share;
        let variance = sum(
            self.x,
            #[inline(always)]
            |x| (x - mean) * (x - mean),
        ) * share;
        let by = 1.0 / (variance + self.epsilon).sqrt();
        for (((out, x), scale), shift) in self.out.iter_mut().zip(self.x).zip(self.scale).zip(self.shift) {
            *out = ((x - mean) * by).mul_add(*scale, *shift);
        }
    }
}

/// `to += from`, or `to += weight · from` element by element where weights (one per column) are given.
pub fn add(to: &mut [f32], from: &[f32], weights: Option<&[f32]>) {
    match weights {
        None => to.iter_mut().zip(from).for_each(|(to, from)| *to += from),
        Some(weights) => {
            for (to, from) in to.chunks_exact_mut(weights.len()).zip(from.chunks_exact(weights.len())) {
                to.iter_mut().zip(from).zip(weights).for_each(|((to, from), by)| *to += from * by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(from: f32, to: f32, count: usize) -> Vec<f32> {
        (0..=count).map(|i| from + (to - from) * i as f32 / count as f32).collect()
    }

    #[test]
    fn exponentials_are_within_their_error() {
        let mut worst = 0f64;
        for x in grid(-87.0, 88.0, 2_000_000) {
            let true_value = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) / true_value - 1.0).abs());
        }
        assert!(worst < 3e-7, "{worst}");
        assert_eq!((exp(-1000.0), exp(f32::NEG_INFINITY), exp(0.0)), (0.0, 0.0, 1.0));
        assert!(exp(1e9).is_finite() && exp(f32::NAN).is_nan());
    }

    /// erf by its series in f64: enough terms for |x| ≤ 6.
    fn true_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        if x.abs() > 5.0 { x.signum() } else { sum * 2.0 / std::f64::consts::PI.sqrt() }
    }

    #[test]
    fn activations_follow_their_definitions() {
        type Definition = fn(f64) -> f64;
        let definitions: [(&str, Definition); 4] = [
            ("quick_gelu", |x| x / (1.0 + (-1.702 * x).exp())),
            ("gelu", |x| 0.5 * x * (1.0 + true_erf(x / 2f64.sqrt()))),
            ("gelu_pytorch_tanh", |x| {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
            }),
            ("silu", |x| x / (1.0 + (-x).exp())),
        ];
        for (name, definition) in definitions {
            let inputs = grid(-30.0, 30.0, 60_000);
            let mut found = inputs.clone();
            Activation::from_name(name).unwrap().apply(&mut found);
            for (x, found) in inputs.iter().zip(found) {
                let expected = definition(f64::from(*x));
                let error = (f64::from(found) - expected).abs();
                assert!(error <= 1e-6 * expected.abs().max(1.0), "{name}({x}) = {found}, not {expected}");
            }
        }
        assert_eq!(Activation::from_name("relu6"), None);
    }

    #[test]
    fn softmax_sums_to_one_and_survives_large_values() {
        for n in [1, 15, 16, 17, 100] {
            let values = grid(-400.0, 900.0, n);
            let mut found = values.clone();
            softmax(&mut found, 0.125);
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers: Vec<f64> = values.iter().map(|v| (f64::from(v - largest) * 0.125).exp()).collect();
            let total: f64 = powers.iter().sum();
            for (found, power) in found.iter().zip(powers) {
                assert!((f64::from(*found) - power / total).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn rows_are_normalised_each_for_itself() {
        for d in [1, 7, 16, 33, 768] {
            let x = grid(-3.0, 50.0, 2 * d - 1);
            let (scale, shift) = (grid(0.5, 2.0, d - 1), grid(-1.0, 1.0, d - 1));
            let mut out = vec![0.0; 2 * d];
            // One value: its own mean, so only the shift is left. `grid(.., 0)` has one value, the first.
            if d == 1 {
                layer_norm(&x, &[2.0], &[-1.0], 1e-5, &mut out);
                assert_eq!(out, [-1.0, -1.0]);
                continue;
            }
            layer_norm(&x, &scale, &shift, 1e-5, &mut out);
            for (x, out) in x.chunks_exact(d).zip(out.chunks_exact(d)) {
                let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / d as f64;
                let variance = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / d as f64;
                for i in 0..d {
                    let expected = (f64::from(x[i]) - mean) / (variance + 1e-5).sqrt() * f64::from(scale[i])
                        + f64::from(shift[i]);
                    assert!((f64::from(out[i]) - expected).abs() < 1e-4, "{} {expected}", out[i]);
                }
            }
        }
    }

    #[test]
    fn addition_takes_weights_per_column() {
        let mut to = vec![1.0, 2.0, 3.0, 4.0];
        add(&mut to, &[1.0; 4], None);
        add(&mut to, &[1.0; 4], Some(&[10.0, 0.0]));
        assert_eq!(to, [12.0, 3.0, 14.0, 5.0]);
    }
}
