//! Sketches: rows on 64 numbers, whose dot products are never below the rows' similarity. An eighth of the arithmetic then rules out almost
//! every pair of a search for near duplicates.
//!
//! With `p` orthonormal axes `Q`, a row splits into its part on the axes `y = Qx` and a rest of length `r`, and by Cauchy-Schwarz
//! `x·x′ ≤ y·y′ + r·r′`. So `z = (y, r)` has unit length like `x`, and `z·z′` is a ceiling of the similarity: a tight one where the axes hold most
//! of what rows of one cell differ in. Embeddings have few such directions (their spectrum decays), and [`Axes::learn`] finds them.
//!
//! A search for the nearest of many centroids has no high threshold and needs more axes: there rows have *outlines* of 192 codes (`outline.rs`), which are not
//! kept.
//!
//! The decision to question: a sketch is always 64 codes of 8 bits, one cache line. More axes would rule out more where a threshold is low,
//! but the rows that are left over are compared by their full codes anyway.
mod axes;
mod outline;
mod screen;
#[cfg(test)]
mod tests;

pub use axes::{Axes, SketchBuffers};
pub(crate) use outline::{Frame, Guess, Outlines};
pub(crate) use screen::Screening;
pub use screen::{near_pairs, suspects};

/// Numbers of a sketch: the parts on the axes and the rest.
pub(crate) const WIDTH: usize = 64;

/// A row's sketch, in codes of a step of its own, with what its error bounds need. The same on every processor, and plain bytes, so that it may
/// lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Sketch {
    codes: [i8; WIDTH],
    /// The value of one step.
    scale: f32,
    /// Length of the sketch, at least.
    length: f32,
    /// Length of what the codes stand for, at least.
    coded: f32,
    /// Length of the difference between sketch and codes, at least; `∞` where nothing is known.
    error: f32,
}
