//! Resizing planes of 8-bit samples as Pillow does: weights in fixed point, one axis after the other, rounded to 8 bits in between.
//!
//! Only what reaches the wanted window of the output is computed. All arithmetic is in integers, so every level (plain Rust, AVX2,
//! AVX-512) gives the same bytes.

mod filter;
mod kernel;
mod passes;
mod plane;

pub use filter::Filter;
pub(crate) use filter::Taps;
pub(crate) use kernel::Level;
pub(crate) use passes::STRIP;
pub(crate) use plane::{Order, Resizer, Source, Stretch};
