//! What steps need of an encoder beside the encoder itself: its identity as text, and the similarity of two of its vectors.
use cribble_core::{Error, Result};
use cribble_models::Identity;

/// An identity as part of a step's hash.
pub(crate) fn identity_text(identity: &Identity) -> Result<String> {
    serde_json::to_string(identity).map_err(|error| Error::bug(error.to_string()))
}

/// Sum in f64 of the products of two unit vectors, rounded once.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
}
