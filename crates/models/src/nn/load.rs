//! From named tensors to layers.
use crate::{Result, weights::Weights};
use cribble_math::{
    functions::layer_norm,
    matrix::{Format, Matrix},
};

/// Reads layers from weights, in one number format.
pub(crate) struct Loader<'a> {
    pub weights: &'a Weights,
    pub format: Format,
}

impl Loader<'_> {
    /// A tensor of a shape, as f32.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.weights.tensor(name, shape)
    }

    /// A tensor that a checkpoint may leave out: then an empty one.
    pub fn optional(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        if self.weights.has(name) { self.tensor(name, shape) } else { Ok(Vec::new()) }
    }

    /// A single number that a checkpoint may leave out.
    pub fn scalar(&self, name: &str, shape: &[usize]) -> Result<Option<f32>> {
        Ok(self.optional(name, shape)?.first().copied())
    }

    /// `{name}.weight` `[outputs, inputs]` with `{name}.bias` where there is one.
    pub fn linear(&self, name: &str, inputs: usize, outputs: usize) -> Result<Matrix> {
        self.joined(&[name], inputs, outputs)
    }

    /// Several linear layers over the same inputs, their outputs one after the other (queries, keys, values).
    pub fn joined(&self, names: &[&str], inputs: usize, outputs: usize) -> Result<Matrix> {
        let (mut weights, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weights.extend(self.tensor(&format!("{name}.weight"), &[outputs, inputs])?);
            bias.extend(self.optional(&format!("{name}.bias"), &[outputs])?);
            // One layer of several may be without.
            bias.resize(weights.len() / inputs, 0.0);
        }
        Ok(Matrix::new(&weights, inputs, &bias, self.format))
    }

    /// A bare tensor `[outputs, inputs]` and perhaps its bias, as `nn.MultiheadAttention` names its input projection.
    pub fn bare(&self, weight: &str, bias: &str, inputs: usize, outputs: usize) -> Result<Matrix> {
        let weights = self.tensor(weight, &[outputs, inputs])?;
        Ok(Matrix::new(&weights, inputs, &self.optional(bias, &[outputs])?, self.format))
    }

    /// A bare tensor `[inputs, outputs]` that multiplies from the right, as open_clip stores its projections.
    pub fn transposed(&self, name: &str, inputs: usize, outputs: usize) -> Result<Matrix> {
        let tensor = self.tensor(name, &[inputs, outputs])?;
        let mut weights = vec![0.0; inputs * outputs];
        for (input, row) in tensor.chunks_exact(outputs).enumerate() {
            for (output, &value) in row.iter().enumerate() {
                weights[output * inputs + input] = value;
            }
        }
        Ok(Matrix::new(&weights, inputs, &[], self.format))
    }

    /// `{name}.weight` and `{name}.bias`, both `[width]`.
    pub fn norm(&self, name: &str, width: usize, epsilon: f32) -> Result<Norm> {
        Ok(Norm {
            scale: self.tensor(&format!("{name}.weight"), &[width])?,
            shift: self.tensor(&format!("{name}.bias"), &[width])?,
            epsilon,
        })
    }
}

/// A layer normalisation.
#[derive(Debug)]
pub(crate) struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    /// Normalises the rows of `x` into `out`.
    pub fn apply(&self, x: &[f32], out: &mut [f32]) {
        layer_norm(x, &self.scale, &self.shift, self.epsilon, out);
    }

    /// Normalises the rows of `x` where they are.
    pub fn apply_in_place(&self, x: &mut [f32], spare: &mut Vec<f32>) {
        let out = super::sized(spare, x.len());
        self.apply(x, out);
        x.copy_from_slice(out);
    }
}
