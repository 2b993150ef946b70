//! The language of a caption: fastText's models read by our own reader, and an embedded detector that needs no file.
//!
//! [`Detector::embedded`] costs nothing to start and knows sixteen languages, plus those whose script gives them away.
//! [`LanguageModel::open`] reads fastText's `lid.176.bin` and `lid.176.ftz`, or any other supervised model, and answers as fastText does;
//! [`Detector::open`] puts it behind the same calls. All are `Send + Sync`; each thread brings its own [`Scratch`], and a call allocates only
//! where that has to grow.
//!
//! Sources: Joulin, Grave, Bojanowski, Mikolov, "Bag of Tricks for Efficient Text Classification", EACL 2017 (the classifier, section 2);
//! Joulin et al., "FastText.zip: Compressing text classification models", 2016 (product quantisation, section 3.2; pruning, 3.3);
//! Bojanowski et al., "Enriching Word Vectors with Subword Information", TACL 2017 (character n-grams, section 3.2).
mod dictionary;
mod embedded;
mod file;
mod loss;
mod matrix;
mod model;
mod scripts;

pub use embedded::{Detector, UNDETERMINED};
pub use model::LanguageModel;

/// The answer for one text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Position in the `labels()` of what answered.
    pub label: usize,
    /// How sure it is, from 0 to 1. fastText adds 1e-5 inside each logarithm, so its answers, which we repeat, can be a little above 1.
    pub probability: f32,
}

/// Buffers of one thread, for any number of texts and models.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The mean of the rows of the input matrix, one value for each dimension.
    hidden: Vec<f32>,
    /// A probability for each label.
    outputs: Vec<f32>,
    /// Nodes of the tree that are still to be visited, each with its log-probability.
    nodes: Vec<(usize, f32)>,
    tokens: dictionary::TokenScratch,
    letters: String,
}
