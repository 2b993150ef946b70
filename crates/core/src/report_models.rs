//! The report's figures of the steps with models in the loop: what a judge said of clusters, what captions were written, which of them
//! fits its image.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::report::nan_from_null;

/// What the calls of a step took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatUsage {
    /// Requests sent, retries included.
    pub calls: u64,
    /// Answers that came by a call.
    pub answered: u64,
    /// Answers that were known already, from this run or an earlier one.
    pub cached: u64,
    /// Requests that repeated one.
    pub retries: u64,
    /// Answers given up.
    pub failed: u64,
    /// Tokens of the questions.
    pub input_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// Money, in the currency of the prices; 0 without prices.
    #[serde(deserialize_with = "nan_from_null")]
    pub cost: f64,
    /// Median seconds of a call that was answered.
    #[serde(deserialize_with = "nan_from_null")]
    pub p50_seconds: f64,
    /// Seconds within which 95 of 100 were.
    #[serde(deserialize_with = "nan_from_null")]
    pub p95_seconds: f64,
}

/// Figures of a `judge` step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgeDetails {
    /// The model, or `embedded rules`.
    pub by: String,
    /// The prompt: its name and its version; empty for the rules.
    pub prompt: String,
    /// Votes for each cluster.
    pub votes: u64,
    /// Clusters by verdict.
    pub clusters: BTreeMap<String, u64>,
    /// Rows by verdict.
    pub rows: BTreeMap<String, u64>,
    /// Clusters whose verdict a person decided.
    pub decided: u64,
    /// Per cluster with rows, in order.
    pub verdicts: Vec<ClusterVerdict>,
    /// What the calls took; none for the rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ChatUsage>,
}

/// What was said of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterVerdict {
    /// The cluster.
    pub cluster: u32,
    /// Rows in it.
    pub size: u64,
    /// `acceptable`, `unacceptable`, `abstained`, `unparsed`, `missing`.
    pub verdict: String,
    /// Whether its rows stay.
    pub keep: bool,
    /// A name for it.
    pub title: String,
    /// Its subject.
    pub category: String,
    /// Why.
    pub reason: String,
    /// Warnings such as `repetitive`.
    pub flags: Vec<String>,
    /// Share of the votes that said so.
    #[serde(deserialize_with = "nan_from_null")]
    pub agreement: f64,
    /// Who decided otherwise, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// The captions nearest to its centroid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<String>,
}

/// Figures of a `caption` or `rewrite` step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CaptionDetails {
    /// The column that was written.
    pub column: String,
    /// The model, or `rules`.
    pub by: String,
    /// The prompt: its name and its version; empty for the rules.
    pub prompt: String,
    /// Rows by what became of them: `ok`, or why there is no caption (`refused`, `too_short`, `no_image`, `missing`, …).
    pub states: BTreeMap<String, u64>,
    /// Captions from which an opening such as "This image showcases" was taken.
    pub stripped: u64,
    /// Mean number of characters of the new captions.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_chars: f64,
    /// Mean number of words.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_words: f64,
    /// The first of them, with what they replace.
    pub examples: Vec<CaptionExample>,
    /// What the calls took; none for the rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ChatUsage>,
}

/// A caption before and after.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CaptionExample {
    /// The sample.
    pub uid: String,
    /// The original.
    pub before: String,
    /// The new one.
    pub after: String,
}

/// Probabilities above which wins are counted (as the captioning data engine does).
pub const REFEREE_LEVELS: [f64; 4] = [0.5, 0.7, 0.8, 0.9];

/// Figures of a `referee` step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RefereeDetails {
    /// The model that compared.
    pub model: String,
    /// What it multiplies similarities by before the softmax.
    #[serde(deserialize_with = "nan_from_null")]
    pub logit_scale: f64,
    /// How `caption_best` was chosen.
    pub policy: String,
    /// `threshold`: the similarity that had to be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The original first, then the candidates in order.
    pub captions: Vec<RefereeCaption>,
    /// Original against each candidate, then the candidates against each other.
    pub pairs: Vec<RefereePair>,
    /// Mean similarity of the original captions of all rows judged.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_before: f64,
    /// Mean similarity of the chosen captions of all rows kept.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_after: f64,
}

/// Figures of one column of captions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RefereeCaption {
    /// The column.
    pub column: String,
    /// Rows that have one.
    pub rows: u64,
    /// Rows in which it became `caption_best`.
    pub chosen: u64,
    /// Mean similarity of the part that the model reads.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_sim: f64,
    /// Mean similarity of the best window.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_window_sim: f64,
    /// Captions longer than the model reads.
    pub cut: u64,
    /// Rows by similarity, in bins as [`crate::EmbedDetails::SCORE_BINS`].
    pub sims: Vec<u64>,
}

/// Two columns of captions against each other: softmax over their two similarities.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RefereePair {
    /// One column.
    pub first: String,
    /// The other.
    pub second: String,
    /// Rows that have both.
    pub rows: u64,
    /// Rows in which the first has a probability above each of [`REFEREE_LEVELS`].
    pub first_wins: Vec<u64>,
    /// The same for the second.
    pub second_wins: Vec<u64>,
}
