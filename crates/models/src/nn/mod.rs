//! The parts that all the encoders are made of: linear layers, norms, transformer blocks, patches, pooling heads.
mod block;
mod head;
mod load;
mod patches;
mod positions;

pub(crate) use block::{Block, BlockShape, Mlp, NormPlace, TensorNames};
pub(crate) use head::AttentionHead;
pub(crate) use load::{Loader, Norm};
pub(crate) use patches::Patches;
pub(crate) use positions::{Interpolation, resize_positions};

use cribble_math::{
    attention,
    matrix::{self, Matrix},
};
use std::cell::RefCell;

/// Rows (tokens of all samples) that go through a block together: enough to feed the kernels, few enough for the caches.
pub(crate) const ROWS: usize = 512;

thread_local! {
    pub(crate) static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Bytes of scratch for so many rows: tokens, patches, normed and mixed are one width each, the MLP's inner layer and its narrow copy about
/// four each.
pub(crate) fn scratch_bytes(rows: usize, width: usize) -> usize {
    rows * width * size_of::<f32>() * 12
}

/// Buffers of one thread, reused from batch to batch: fresh memory is slow to touch.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub matrix: matrix::Scratch,
    pub attention: attention::Scratch,
    pub normed: Vec<f32>,
    pub wide: Vec<f32>,
    pub mixed: Vec<f32>,
    pub delta: Vec<f32>,
}

/// A slice of `len` values of a buffer, whatever they were.
pub(crate) fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Appends rows to `out`, projected where there is a projection.
pub(crate) fn project(
    projection: Option<&Matrix>,
    rows: Vec<f32>,
    out: &mut Vec<f32>,
    buffers: &mut Buffers,
) {
    match projection {
        None => out.extend(rows),
        Some(matrix) => {
            let from = out.len();
            out.resize(from + rows.len() / matrix.inputs() * matrix.outputs(), 0.0);
            matrix.multiply(&rows, &mut out[from..], &mut buffers.matrix);
        }
    }
}

/// To unit length; a vector without direction (zero, not finite) becomes zero.
pub(crate) fn normalise(vector: &mut [f32]) {
    let squares: f64 = vector.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    let by = 1.0 / squares.sqrt();
    if by.is_finite() && by > 0.0 {
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) * by) as f32);
    } else {
        vector.fill(0.0);
    }
}
