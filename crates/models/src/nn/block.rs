//! One transformer block over a batch of sequences that lie one after the other: `[rows, width]` with the lengths beside.
use super::{Buffers, Loader, Norm, sized};
use crate::Result;
use cribble_math::{
    attention::{Heads, Rows, attend},
    functions::{Activation, add},
    matrix::Matrix,
};

/// Where the norms stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NormPlace {
    /// Before attention and MLP (CLIP, SigLIP, DINOv2).
    Before,
    /// After the sum with the residual (BERT).
    After,
}

/// The sizes of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockShape {
    pub width: usize,
    pub heads: usize,
    /// Inner width of the MLP.
    pub inner: usize,
    pub activation: Activation,
    pub causal: bool,
    pub epsilon: f32,
    pub norms: NormPlace,
    /// The MLP's inner layer has twice the outputs: one half is the gate of the other (SwiGLU).
    pub gated: bool,
}

/// What a family calls the tensors of a block.
pub(crate) struct TensorNames {
    pub norm1: String,
    /// Queries, keys, values: three layers, or one bare `in_proj` with all three.
    pub qkv: Vec<String>,
    pub out: String,
    pub norm2: String,
    pub inner: String,
    pub outer: String,
    /// Layer scales after attention and after the MLP.
    pub scales: Option<[String; 2]>,
}

/// The MLP of a block.
#[derive(Debug)]
pub(crate) struct Mlp {
    inner: Matrix,
    outer: Matrix,
    activation: Activation,
    gated: bool,
}

impl Mlp {
    pub fn load(from: &Loader<'_>, names: [&str; 2], shape: &BlockShape) -> Result<Self> {
        let inner = if shape.gated { 2 * shape.inner } else { shape.inner };
        Ok(Self {
            inner: from.linear(names[0], shape.width, inner)?,
            outer: from.linear(names[1], shape.inner, shape.width)?,
            activation: shape.activation,
            gated: shape.gated,
        })
    }

    /// `[rows, width]` to `[rows, width]`.
    pub fn apply(&self, x: &[f32], out: &mut [f32], wide: &mut Vec<f32>, scratch: &mut Buffers) {
        let rows = x.len() / self.inner.inputs();
        let wide = sized(wide, rows * self.inner.outputs());
        if !self.gated {
            self.inner.multiply_activated(x, self.activation, wide, &mut scratch.matrix);
            self.outer.multiply(wide, out, &mut scratch.matrix);
            return;
        }
        self.inner.multiply(x, wide, &mut scratch.matrix);
        let half = self.inner.outputs() / 2;
        let gated = sized(&mut scratch.delta, rows * half);
        for (row, gated) in wide.chunks_exact_mut(2 * half).zip(gated.chunks_exact_mut(half)) {
            let (gate, value) = row.split_at_mut(half);
            self.activation.apply(gate);
            gated.iter_mut().zip(gate).zip(value).for_each(|((to, gate), value)| *to = *gate * *value);
        }
        let gated = std::mem::take(&mut scratch.delta);
        self.outer.multiply(&gated[..rows * half], out, &mut scratch.matrix);
        scratch.delta = gated;
    }
}

/// A transformer block.
#[derive(Debug)]
pub(crate) struct Block {
    norm1: Norm,
    qkv: Matrix,
    out: Matrix,
    norm2: Norm,
    mlp: Mlp,
    scales: Option<[Vec<f32>; 2]>,
    heads: Heads,
    norms: NormPlace,
}

impl Block {
    pub fn load(from: &Loader<'_>, names: &TensorNames, shape: &BlockShape) -> Result<Self> {
        let width = shape.width;
        let qkv = match names.qkv.as_slice() {
            [joined] => {
                from.bare(&format!("{joined}_weight"), &format!("{joined}_bias"), width, 3 * width)?
            }
            three => from.joined(&three.iter().map(String::as_str).collect::<Vec<_>>(), width, width)?,
        };
        let scales = match &names.scales {
            Some([first, second]) => Some([from.tensor(first, &[width])?, from.tensor(second, &[width])?]),
            None => None,
        };
        Ok(Self {
            norm1: from.norm(&names.norm1, width, shape.epsilon)?,
            qkv,
            out: from.linear(&names.out, width, width)?,
            norm2: from.norm(&names.norm2, width, shape.epsilon)?,
            mlp: Mlp::load(from, [&names.inner, &names.outer], shape)?,
            scales,
            heads: Heads { heads: shape.heads, head_dim: width / shape.heads, causal: shape.causal },
            norms: shape.norms,
        })
    }

    /// Runs the block on `x`, `[sum of lengths, width]`; rows of one sequence see only each other.
    pub fn apply(&self, x: &mut [f32], lengths: &[usize], buffers: &mut Buffers) {
        let mut normed = std::mem::take(&mut buffers.normed);
        let mut wide = std::mem::take(&mut buffers.wide);
        let mut mixed = std::mem::take(&mut buffers.mixed);
        let scale = |place: usize| self.scales.as_ref().map(|scales| scales[place].as_slice());
        let normed_rows = sized(&mut normed, x.len());
        match self.norms {
            NormPlace::Before => self.norm1.apply(x, normed_rows),
            NormPlace::After => normed_rows.copy_from_slice(x),
        }
        let mixed_rows = sized(&mut mixed, x.len());
        self.attention(normed_rows, lengths, mixed_rows, &mut wide, buffers);
        self.out.multiply(mixed_rows, normed_rows, &mut buffers.matrix);
        add(x, normed_rows, scale(0));
        match self.norms {
            NormPlace::Before => self.norm2.apply(x, normed_rows),
            NormPlace::After => {
                self.norm1.apply(x, normed_rows);
                x.copy_from_slice(normed_rows);
            }
        }
        self.mlp.apply(normed_rows, mixed_rows, &mut wide, buffers);
        add(x, mixed_rows, scale(1));
        if self.norms == NormPlace::After {
            self.norm2.apply(x, normed_rows);
            x.copy_from_slice(normed_rows);
        }
        (buffers.normed, buffers.wide, buffers.mixed) = (normed, wide, mixed);
    }

    fn attention(
        &self,
        x: &[f32],
        lengths: &[usize],
        out: &mut [f32],
        wide: &mut Vec<f32>,
        buffers: &mut Buffers,
    ) {
        let width = self.heads.heads * self.heads.head_dim;
        let rows = x.len() / width;
        let qkv = sized(wide, rows * 3 * width);
        self.qkv.multiply(x, qkv, &mut buffers.matrix);
        let mut first = 0;
        for &len in lengths {
            let part = |place: usize| Rows {
                data: &qkv[first * 3 * width..],
                offset: place * width,
                stride: 3 * width,
                rows: len,
            };
            let out = &mut out[first * width..(first + len) * width];
            attend(self.heads, part(0), part(1), part(2), out, &mut buffers.attention);
            first += len;
        }
    }
}
