//! Encoders of images and captions in the process: CLIP, SigLIP, DINOv2 and BERT checkpoints as Hugging Face and open_clip store them.
//!
//! [`Model::open`] takes a folder, a Hub name or `builtin:demo-clip`. [`ImageTower::encode`] and [`TextTower::encode`] run on the calling
//! thread and give each sample the same bits whatever stands beside it in the batch, so callers spread batches over threads as they
//! like. Vectors are L2-normalised f32.
#![warn(missing_docs)]
mod encoder;
mod error;
mod families;
mod image_tower;
pub mod language;
mod model;
mod nn;
pub mod source;
mod text_tower;
pub mod tokenize;
pub mod weights;

pub use encoder::{Encoder, Towers};
pub use error::{ModelError, Result};
pub use image_tower::ImageTower;
pub use model::{Device, Dtype, Identity, Model, ModelOptions};
pub use text_tower::TextTower;
pub use tokenize::{Tokenizer, TokenizerKind, Tokens};
