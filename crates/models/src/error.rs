//! What can go wrong with a checkpoint: each error names the file and what to do.
use cribble_core::{Error, ErrorKind};
use std::path::PathBuf;

/// An error of this crate. Pictures have their own: [`cribble_pixels::PixelError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file of the checkpoint could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something that the checkpoint must have is not there.
    #[error("{place}: {what} is missing; {cure}")]
    Missing {
        /// The folder, repository or file.
        place: String,
        /// What was looked for.
        what: String,
        /// What to do.
        cure: String,
    },
    /// A file is there but does not hold what it must.
    #[error("{place}: {what}")]
    Malformed {
        /// The file.
        place: String,
        /// What is wrong, and with which key or tensor.
        what: String,
    },
    /// An architecture that no encoder of ours implements.
    #[error(
        "{place}: model_type '{found}' is not supported; supported are clip, siglip, siglip2 with a fixed resolution, dinov2, dinov2_with_registers, bert, and open_clip checkpoints of these shapes"
    )]
    Unsupported {
        /// The config file.
        place: String,
        /// The `model_type` or the part that is not known.
        found: String,
    },
    /// A tensor of another shape than the config says.
    #[error(
        "{place}: tensor '{tensor}' has shape {found:?}, the config asks for {expected:?}; config.json and the weights are not of one checkpoint"
    )]
    Shape {
        /// The weights file.
        place: String,
        /// The tensor's name.
        tensor: String,
        /// As the file has it.
        found: Vec<usize>,
        /// As the config asks.
        expected: Vec<usize>,
    },
    /// The model has no tower of this kind.
    #[error("{model} has no {tower} encoder; {cure}")]
    NoTower {
        /// The model's name.
        model: String,
        /// `image` or `text`.
        tower: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// A model name that cannot be found.
    #[error("{0}")]
    Source(String),
    /// A device or a number format that this machine does not have.
    #[error("{0}")]
    Device(String),
}

/// The result of this crate's functions.
pub type Result<T, E = ModelError> = std::result::Result<T, E>;

impl From<ModelError> for Error {
    /// What the recipe asks of a model that cannot do it is wrong use, all else is wrong or missing files.
    fn from(error: ModelError) -> Self {
        let (message, hint) = match &error {
            ModelError::Missing { place, what, cure } => (format!("{place}: {what} is missing"), cure.clone()),
            ModelError::NoTower { model, tower, cure } => {
                return Error::usage(format!("{model} has no {tower} encoder")).with_hint(*cure);
            }
            ModelError::Unsupported { .. } => {
                (error.to_string(), "docs/embed.md lists the families and what their folders must hold".into())
            }
            ModelError::Malformed { .. } | ModelError::Shape { .. } => {
                (error.to_string(), "fetch the model again, or name another".into())
            }
            _ => (
                error.to_string(),
                "a model is a folder, a Hub name (owner/name or owner/name@revision) or builtin:demo-clip; without a network it must be in the cache of Hugging Face already"
                    .into(),
            ),
        };
        // The message of the source would repeat itself below ours; its own source (what the system said) is part of the message.
        Error::new(ErrorKind::Input, message).with_hint(hint)
    }
}
