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

use cribble_math::{attention, matrix};

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
