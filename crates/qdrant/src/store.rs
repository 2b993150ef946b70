//! Questions to a set of samples, wherever it lies: on a server or in the run folder itself. Both give the same answers to the same question,
//! but that a server's index may miss a neighbour.
use cribble_core::{Result, Uid};
use serde_json::{Map, Value};

use crate::{Pulled, VectorSpace};

/// What the nearest samples are sought to.
#[derive(Debug, Clone, PartialEq)]
pub enum Near {
    /// A vector of unit length.
    Vector(Vec<f32>),
    /// The vector of a sample, which is not among the answers itself.
    Sample(Uid),
}

/// A sample that answers a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The sample.
    pub uid: Uid,
    /// Cosine with what was asked for; `None` where only a condition was.
    pub similarity: Option<f32>,
    /// Its payload, without fields that have no value.
    pub payload: Map<String, Value>,
}

/// A set of samples.
pub trait Store {
    /// The most similar samples, best first, equal ones by uid. Of equal ones at the limit, a run gives the first rows, and a server those that it
    /// meets first. `condition` is in the language of `filter` steps, on the fields of the payload.
    ///
    /// # Errors
    /// The condition is none, or names a field that does not exist; no sample has the uid, or it has no such vector; the vector is of another
    /// size.
    fn nearest(&self, near: &Near, condition: Option<&str>, limit: usize) -> Result<Vec<Hit>>;

    /// Samples for which a condition is true, at most `limit`.
    ///
    /// # Errors
    /// The condition is none, or names a field that does not exist.
    fn matching(&self, condition: Option<&str>, limit: usize) -> Result<Vec<Hit>>;

    /// The uids of all samples for which a condition is true, in any order, each as often as it stands there.
    ///
    /// # Errors
    /// As [`Store::matching`]; what `visit` returns.
    fn uids(&self, condition: Option<&str>, visit: &mut dyn FnMut(Uid) -> Result<()>) -> Result<()>;

    /// Whether samples have vectors of this name here.
    fn has_vector(&self, name: &str) -> bool;

    /// Some samples with their vectors, in the order of `uids`, which ascend and are all different. Samples that are not there are left out.
    ///
    /// # Errors
    /// The samples cannot be read.
    fn fetch(&self, uids: &[Uid], vectors: &[VectorSpace]) -> Result<Vec<Pulled>>;
}
