//! Samples to look at, beside the figures of a [`crate::RunReport`]: what `gallery.json` of a run holds. Every sample is told of once and named
//! by its uid wherever it is shown, because the same one may be dropped, far from its centroid and the worst of all scores.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The samples of a run that its page shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gallery {
    /// Version of this structure.
    pub schema_version: u32,
    /// What the drawing depended on, beside the uids.
    pub seed: u64,
    /// Every sample that is shown, by uid (32 hexadecimal characters).
    pub samples: BTreeMap<String, GallerySample>,
    /// Random samples of each step and reason; those of what was kept come last, without a step.
    #[serde(default)]
    pub strips: Vec<Strip>,
    /// Clusters with the ends of their range.
    #[serde(default)]
    pub clusters: Vec<ClusterCard>,
    /// How many clusters there are, shown or not.
    #[serde(default)]
    pub clusters_in_all: u64,
    /// Groups of duplicates.
    #[serde(default)]
    pub groups: Vec<DuplicateGroup>,
    /// Captions before and after.
    #[serde(default)]
    pub captions: Vec<CaptionChange>,
    /// The ends of the scores.
    #[serde(default)]
    pub scores: Vec<ScoreEnds>,
    /// What a reader of the samples has to know, such as why there are no pictures.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GallerySample {
    /// Its caption in the input, where there is one; very long ones are cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The step that dropped it, or none when it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The sample it duplicates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<String>,
    /// Its similarity to the most similar earlier sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_sim: Option<f32>,
    /// Its cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<u32>,
    /// Cosine of image and caption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// A thumbnail as a `data:` URL, where pixels were at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Samples drawn from those with one fate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Strip {
    /// Folder of the step that dropped them; none for those that were kept.
    pub step: Option<String>,
    /// Why, or the code of an error.
    pub reason: Option<String>,
    /// How many there are.
    pub rows: u64,
    /// Those that are shown, in random order.
    pub uids: Vec<String>,
}

/// One cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterCard {
    /// Folder of the step that made it.
    pub step: String,
    /// Its number.
    pub cluster: u32,
    /// Rows in it.
    pub size: u64,
    /// Of these, rows that the whole run kept.
    pub kept: u64,
    /// What pruning allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// The judge's name for it, empty where none judged.
    #[serde(default)]
    pub title: String,
    /// The judge's subject of it.
    #[serde(default)]
    pub category: String,
    /// The judge's verdict.
    #[serde(default)]
    pub verdict: String,
    /// Whether its rows stayed after the verdict; none where none judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<bool>,
    /// Why the judge said so.
    #[serde(default)]
    pub reason: String,
    /// Its samples nearest to the centroid, the nearest first, with their similarity.
    pub nearest: Vec<(String, f32)>,
    /// Its farthest samples, the farthest first.
    pub farthest: Vec<(String, f32)>,
}

/// Duplicates of one sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DuplicateGroup {
    /// Folder of the step that found them.
    pub step: String,
    /// The sample that stands for them all.
    pub leader: String,
    /// Rows that were dropped for it, or for one that was dropped for it, as far as they were followed: at least so many.
    pub dropped: u64,
    /// Of these, random ones, with their similarity where the step compared vectors.
    pub members: Vec<(String, Option<f32>)>,
}

/// A caption before and after a step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CaptionChange {
    /// Folder of the step.
    pub step: String,
    /// The column with the new one.
    pub column: String,
    /// The sample.
    pub uid: String,
    /// The caption of before.
    pub before: String,
    /// The new one.
    pub after: String,
    /// Cosine of the image and the old one, where a referee compared them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_sim: Option<f32>,
    /// Cosine of the image and the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_sim: Option<f32>,
}

/// The samples at both ends of a score.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreEnds {
    /// The column.
    pub column: String,
    /// Rows that have one.
    pub rows: u64,
    /// The lowest, ascending.
    pub lowest: Vec<(String, f32)>,
    /// The highest, descending.
    pub highest: Vec<(String, f32)>,
}
