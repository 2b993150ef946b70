//! Scaled dot-product attention of one sequence on the calling thread (Vaswani et al., Attention Is All You Need, section 3.2).
//!
//! Keys and values are packed as [`crate::matrix`] packs weights, so both products run on its kernels, in f32 whatever the format of the
//! rest: they are a hundredth of an encoder's work, and the softmax between them is where narrow numbers would hurt.
use crate::{
    functions::softmax,
    matrix::{Format, Kernel, PANEL, Packed, pack, product},
};

/// Rows inside wider rows: row `i` is `data[i * stride + offset ..]`.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// All values.
    pub data: &'a [f32],
    /// Where the first row starts.
    pub offset: usize,
    /// From row to row.
    pub stride: usize,
    /// Number of rows.
    pub rows: usize,
}

impl<'a> Rows<'a> {
    fn row(&self, row: usize, from: usize, len: usize) -> &'a [f32] {
        &self.data[row * self.stride + self.offset + from..][..len]
    }
}

/// The shape of an attention: `heads` of `head_dim` values each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Number of heads.
    pub heads: usize,
    /// Values of one head.
    pub head_dim: usize,
    /// Row i attends to rows 0 ..= i only.
    pub causal: bool,
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub struct Scratch {
    queries: Vec<f32>,
    gathered: Vec<f32>,
    panels: Vec<f32>,
    scores: Vec<f32>,
    mixed: Vec<f32>,
}

/// The attention of queries over keys and values, `softmax(Q Kᵀ / √head_dim) V` for each head; `out` is `[queries, heads * head_dim]`.
/// Keys and values have the same number of rows; with `causal`, queries too.
pub fn attend(heads: Heads, q: Rows<'_>, k: Rows<'_>, v: Rows<'_>, out: &mut [f32], scratch: &mut Scratch) {
    let Heads { heads, head_dim, causal } = heads;
    let width = heads * head_dim;
    assert!(k.rows == v.rows && out.len() == q.rows * width && (!causal || q.rows == k.rows));
    if q.rows == 0 || k.rows == 0 {
        return;
    }
    let kernel = Kernel::best(Format::F32);
    let scale = 1.0 / (head_dim as f32).sqrt();
    scratch.scores.resize(q.rows * k.rows, 0.0);
    scratch.mixed.resize(q.rows * head_dim, 0.0);
    for head in 0..heads {
        let at = head * head_dim;
        gather(&mut scratch.queries, q, at, head_dim);
        gather(&mut scratch.gathered, k, at, head_dim);
        pack(&scratch.gathered, head_dim, &mut scratch.panels);
        let keys = Packed { panels: &scratch.panels, bias: None, outputs: k.rows };
        product(kernel, &scratch.queries, head_dim, &keys, &mut scratch.scores, |_| ());
        for (row, scores) in scratch.scores.chunks_exact_mut(k.rows).enumerate() {
            let seen = if causal { row + 1 } else { k.rows };
            softmax(&mut scores[..seen], scale);
            scores[seen..].fill(0.0);
        }
        // Values are `[inputs, outputs]` already: each panel takes 64 columns of every row.
        let panels = head_dim.div_ceil(PANEL);
        scratch.panels.clear();
        scratch.panels.resize(panels * PANEL * v.rows, 0.0);
        for row in 0..v.rows {
            for (panel, columns) in v.row(row, at, head_dim).chunks(PANEL).enumerate() {
                scratch.panels[(panel * v.rows + row) * PANEL..][..columns.len()].copy_from_slice(columns);
            }
        }
        let values = Packed { panels: &scratch.panels, bias: None, outputs: head_dim };
        product(kernel, &scratch.scores, k.rows, &values, &mut scratch.mixed, |_| ());
        for (row, mixed) in scratch.mixed.chunks_exact(head_dim).enumerate() {
            out[row * width + at..][..head_dim].copy_from_slice(mixed);
        }
    }
}

fn gather(to: &mut Vec<f32>, from: Rows<'_>, at: usize, len: usize) {
    to.clear();
    for row in 0..from.rows {
        to.extend_from_slice(from.row(row, at, len));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(heads: Heads, q: Rows<'_>, k: Rows<'_>, v: Rows<'_>) -> Vec<f64> {
        let Heads { heads, head_dim, causal } = heads;
        let mut out = vec![0f64; q.rows * heads * head_dim];
        for (i, head) in (0..q.rows).flat_map(|i| (0..heads).map(move |head| (i, head))) {
            let seen = if causal { i + 1 } else { k.rows };
            let weights: Vec<f64> = (0..seen)
                .map(|j| {
                    let (a, b) = (q.row(i, head * head_dim, head_dim), k.row(j, head * head_dim, head_dim));
                    let dot: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    (dot / (head_dim as f64).sqrt()).exp()
                })
                .collect();
            let total: f64 = weights.iter().sum();
            for (j, weight) in weights.iter().enumerate() {
                for (d, value) in v.row(j, head * head_dim, head_dim).iter().enumerate() {
                    out[(i * heads + head) * head_dim + d] += weight / total * f64::from(*value);
                }
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn attention_is_its_formula(
            heads in 1usize..4, head_dim in 1usize..90, rows in 1usize..80, causal: bool, seed: u64,
        ) {
            let width = heads * head_dim;
            let mut state = seed | 1;
            let data: Vec<f32> = (0..rows * 3 * width).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 40) as f32 / 8_388_608.0 - 1.0
            }).collect();
            let part = |offset| Rows { data: &data, offset, stride: 3 * width, rows };
            let heads = Heads { heads, head_dim, causal };
            let mut out = vec![f32::NAN; rows * width];
            let (q, k, v) = (part(0), part(width), part(2 * width));
            attend(heads, q, k, v, &mut out, &mut Scratch::default());
            for (found, expected) in out.iter().zip(plain(heads, q, k, v)) {
                prop_assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
            }
        }
    }
}
