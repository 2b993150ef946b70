//! SigLIP's pooling: one learned query attends to all patches (Zhai et al., Scaling Vision Transformers, section 3.4, "MAP head").
use super::{BlockShape, Buffers, Loader, Mlp, Norm, sized};
use crate::Result;
use cribble_math::{
    attention::{Heads, Rows, attend},
    functions::add,
    matrix::Matrix,
};

/// The attention pooling head.
#[derive(Debug)]
pub(crate) struct AttentionHead {
    /// The learned query after its projection: it is the same for every image.
    query: Vec<f32>,
    keys_values: Matrix,
    out: Matrix,
    norm: Norm,
    mlp: Mlp,
    heads: Heads,
}

impl AttentionHead {
    pub fn load(from: &Loader<'_>, name: &str, shape: &BlockShape) -> Result<Self> {
        let width = shape.width;
        let probe = from.tensor(&format!("{name}.probe"), &[1, 1, width])?;
        let weights = from.tensor(&format!("{name}.attention.in_proj_weight"), &[3 * width, width])?;
        let bias = from.tensor(&format!("{name}.attention.in_proj_bias"), &[3 * width])?;
        let (query_weights, rest) = weights.split_at(width * width);
        let (query_bias, rest_bias) = bias.split_at(width);
        let mut query = vec![0.0; width];
        Matrix::new(query_weights, width, query_bias, from.format).multiply(
            &probe,
            &mut query,
            &mut Default::default(),
        );
        Ok(Self {
            query,
            keys_values: Matrix::new(rest, width, rest_bias, from.format),
            out: from.linear(&format!("{name}.attention.out_proj"), width, width)?,
            norm: from.norm(&format!("{name}.layernorm"), width, shape.epsilon)?,
            mlp: Mlp::load(from, [&format!("{name}.mlp.fc1"), &format!("{name}.mlp.fc2")], shape)?,
            heads: Heads { heads: shape.heads, head_dim: width / shape.heads, causal: false },
        })
    }

    /// `x` is `[n, tokens, width]`; `out` `[n, width]`.
    pub fn apply(&self, x: &[f32], tokens: usize, out: &mut [f32], buffers: &mut Buffers) {
        let width = self.query.len();
        let mut wide = std::mem::take(&mut buffers.wide);
        let rows = x.len() / width;
        let projected = sized(&mut wide, rows * 2 * width);
        self.keys_values.multiply(x, projected, &mut buffers.matrix);
        let mut pooled = vec![0.0; out.len()];
        for (image, pooled) in projected.chunks_exact(tokens * 2 * width).zip(pooled.chunks_exact_mut(width))
        {
            let part = |offset| Rows { data: image, offset, stride: 2 * width, rows: tokens };
            let query = Rows { data: &self.query, offset: 0, stride: width, rows: 1 };
            attend(self.heads, query, part(0), part(width), pooled, &mut buffers.attention);
        }
        self.out.multiply(&pooled, out, &mut buffers.matrix);
        self.norm.apply(out, &mut pooled);
        let mut delta = vec![0.0; out.len()];
        self.mlp.apply(&pooled, &mut delta, &mut wide, buffers);
        add(out, &delta, None);
        buffers.wide = wide;
    }
}
