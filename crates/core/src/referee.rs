//! Options of the step `referee`: which of several captions fits its image best, by CLIP.
use serde::{Deserialize, Serialize};

use crate::{EncoderDtype, Error, Result, options::words};

words! {
    /// Which caption becomes `caption_best`.
    RefereePolicy {
        /// The one with the highest similarity to the image; a synthetic one must be better by `margin`.
        #[default]
        Best = "best",
        /// The original, always: only the scores are wanted.
        Original = "original",
        /// The best synthetic one, where there is one.
        Synthetic = "synthetic",
        /// The original for the `raw_fraction` with the highest similarity; for the others the best synthetic one, if it reaches the
        /// similarity of the last of these, else the row goes (Nguyen et al., NeurIPS 2023).
        Threshold = "threshold",
        /// The best synthetic one with `probability`, by a hash of uid and seed, else the original.
        Mix = "mix",
    }
}

/// Options of a `referee` step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefereeOptions {
    /// The CLIP-like model whose text encoder reads the captions; empty: that of the last `embed` step with images and captions.
    pub model: String,
    /// The embedding of the images, of the same model; empty: that of the same `embed` step.
    pub embedding: String,
    /// The column with the original caption; empty: the first of `text`, `caption`, `txt`, `TEXT`, `CAPTION`, `alt_text` that there is.
    pub text: String,
    /// The columns with the other captions; empty: all `caption_…` of the steps before.
    pub candidates: Vec<String>,
    /// Which caption becomes `caption_best`.
    pub policy: RefereePolicy,
    /// `best`: how much higher the similarity of a synthetic caption must be than the original's.
    pub margin: f64,
    /// `threshold`: share of the rows that keep their original caption whatever the others say.
    pub raw_fraction: f64,
    /// `mix`: how often the synthetic caption is taken.
    pub probability: f64,
    /// Rows whose chosen caption has a lower similarity go; −1: none does.
    pub min_sim: f64,
    /// Number format of the encoder.
    pub dtype: EncoderDtype,
    /// Seed of `mix`.
    pub seed: u64,
}

impl Default for RefereeOptions {
    fn default() -> Self {
        Self {
            model: String::new(),
            embedding: String::new(),
            text: String::new(),
            candidates: Vec::new(),
            policy: RefereePolicy::Best,
            margin: 0.0,
            // The best of Nguyen et al. on DataComp medium.
            raw_fraction: 0.3,
            probability: 0.5,
            min_sim: -1.0,
            dtype: EncoderDtype::Auto,
            seed: 0,
        }
    }
}

impl RefereeOptions {
    pub(crate) fn validate(&self) -> Result<()> {
        let within = |name: &str, value: f64, low: f64| {
            if (low..=1.0).contains(&value) {
                Ok(())
            } else {
                Err(Error::usage(format!("{name} = {value} is outside {low} to 1")))
            }
        };
        within("margin", self.margin, -1.0)?;
        within("raw_fraction", self.raw_fraction, 0.0)?;
        within("probability", self.probability, 0.0)?;
        within("min_sim", self.min_sim, -1.0)?;
        let mut names = self.candidates.clone();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::usage(format!("candidates name '{}' twice", twice[0])));
        }
        Ok(())
    }
}
