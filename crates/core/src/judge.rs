//! Options of the step `judge`.
use serde::{Deserialize, Serialize};

use crate::{ChatOptions, Error, Result, options::words};

words! {
    /// What becomes of rows about which nobody has said what a step needs to know.
    Unsure {
        /// They stay, and the report counts them.
        #[default]
        Keep = "keep",
        /// They go, with a reason that says so.
        Drop = "drop",
        /// The run ends with exit code 3 and a list; what was answered is kept, the same command goes on.
        Fail = "fail",
    }
}

/// Options of a `judge` step: a verdict on each cluster of the last `cluster` step, from a sample of its captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeOptions {
    /// The column with the caption; empty: the first of `text`, `caption`, `txt`, `TEXT`, `CAPTION`, `alt_text` that there is.
    pub text: String,
    /// Samples nearest to the centroid that the judge sees, of all shards.
    pub nearest: u32,
    /// Samples farthest from it.
    pub farthest: u32,
    /// Samples drawn by a hash of uid and seed.
    pub random: u32,
    /// Of each of these groups, how many are shown with their image; needs a model that sees.
    pub thumbnails: u32,
    /// Longer side of such an image, in pixels.
    pub image_size: u32,
    /// Characters of a caption that the judge sees.
    pub caption_chars: u32,
    /// One of the prompts in the program (`clusters`, `clusters-nearest`), or a file.
    pub prompt: String,
    /// Ask for JSON by a schema, where the server can.
    pub schema: bool,
    /// How often each cluster is judged; the most frequent verdict counts.
    pub votes: u32,
    /// What becomes of clusters whose judge abstained, contradicted itself or wrote what nobody can read.
    pub unparsed: Unsure,
    /// What becomes of clusters without an answer, because calls failed.
    pub missing: Unsure,
    /// Judge without a model: the largest share of captions of a cluster that may repeat an earlier one (1 − distinct / all, numbers aside).
    pub max_repeated: f64,
    /// Judge without a model: the largest share of captions that may be file names, numbers or placeholders.
    pub max_junk: f64,
    /// Judge without a model: the least mean of `score`; −1 to 1, and −1 asks for nothing.
    pub min_score: f64,
    /// Column with the CLIP score; empty: `clip_score` or DataComp's, where there is one.
    pub score: String,
    /// Seed of the random samples.
    pub seed: u64,
    /// The model that judges; without it the program's own rules do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatOptions>,
}

impl Default for JudgeOptions {
    fn default() -> Self {
        Self {
            text: String::new(),
            // luvdatacomp's five and five, and five that are neither: the two ends of a cluster are not its middle.
            nearest: 5,
            farthest: 5,
            random: 5,
            thumbnails: 0,
            image_size: 256,
            caption_chars: 300,
            prompt: "clusters".into(),
            schema: true,
            votes: 1,
            unparsed: Unsure::Keep,
            missing: Unsure::Fail,
            // One sentence fifty times and more. The finer the clusters, the more an honest but poor concept repeats itself, too: the demo's
            // pages of text reach 0.9 in clusters of 40.
            max_repeated: 0.98,
            max_junk: 0.5,
            min_score: -1.0,
            score: String::new(),
            seed: 0,
            chat: None,
        }
    }
}

impl JudgeOptions {
    pub(crate) fn validate(&self) -> Result<()> {
        let fail = |text: String| Err(Error::usage(text));
        if self.nearest == 0 && self.farthest == 0 && self.random == 0 {
            return fail("nearest, farthest and random are all 0: the judge would see nothing".into());
        }
        if [self.nearest, self.farthest, self.random].iter().any(|&count| count > 1000) {
            return fail("more than 1000 samples of one kind do not fit into a question".into());
        }
        if !(1..=99).contains(&self.votes) {
            return Err(Error::usage(format!("votes = {} is outside 1 to 99", self.votes))
                .with_hint("1 is the default"));
        }
        if self.caption_chars == 0 {
            return fail("caption_chars = 0: the judge would see nothing".into());
        }
        if self.thumbnails > 0 && !(16..=4096).contains(&self.image_size) {
            return fail(format!("image_size = {} is outside 16 to 4096", self.image_size));
        }
        for (name, share) in [("max_repeated", self.max_repeated), ("max_junk", self.max_junk)] {
            if !(0.0..=1.0).contains(&share) {
                return fail(format!("{name} = {share} is outside 0 to 1"));
            }
        }
        if !(-1.0..=1.0).contains(&self.min_score) {
            return fail(format!("min_score = {} is outside -1 to 1", self.min_score));
        }
        self.chat.as_ref().map_or(Ok(()), ChatOptions::validate)
    }
}
