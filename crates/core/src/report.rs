//! The one report value. Every figure that Cribble prints, in the terminal, in `report.json` and in `report.html`, comes from here, so the
//! three cannot disagree. Task reports add up to step reports: addition is the only way in which they are combined.
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// JSON has no NaN and no infinity: both are written as `null`, and `null` is read back as NaN, so that a report with an undefined
/// figure (the distance to the nearest other centroid where there is only one) can still be read.
pub(crate) fn nan_from_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// The same for a list.
fn nans_from_nulls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

/// A sum that stops at the largest number: a report from elsewhere may hold any figures and must not crash its reader.
fn saturating_sum<'a>(counts: impl Iterator<Item = &'a u64>) -> u64 {
    counts.fold(0, |sum, count| sum.saturating_add(*count))
}

/// What a task, or all tasks of a step, did to the rows they judged. `seen = kept + dropped + errors`, always.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows judged: those that every step before kept.
    pub seen: u64,
    /// Rows that stay.
    pub kept: u64,
    /// Rows dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Rows that could not be judged, by error code; each has a row in `errors.parquet`.
    pub errors: BTreeMap<String, u64>,
}

impl Counts {
    /// All dropped rows.
    pub fn dropped_total(&self) -> u64 {
        saturating_sum(self.dropped.values())
    }
    /// All rows with errors.
    pub fn errors_total(&self) -> u64 {
        saturating_sum(self.errors.values())
    }
    /// Whether seen = kept + dropped + errors.
    pub fn adds_up(&self) -> bool {
        self.seen == saturating_sum([self.kept, self.dropped_total(), self.errors_total()].iter())
    }
    /// Adds the counts of another task.
    pub fn add(&mut self, other: &Self) {
        self.seen += other.seen;
        self.kept += other.kept;
        for (reason, count) in &other.dropped {
            *self.dropped.entry(reason.clone()).or_default() += count;
        }
        for (code, count) in &other.errors {
            *self.errors.entry(code.clone()).or_default() += count;
        }
    }
}

/// What a step did: counts, costs, and what is particular to its kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Folder name of the step, `01-filter`.
    pub step: String,
    /// Kind of the step, `filter`.
    pub kind: String,
    /// Rows seen, kept, dropped by reason, errors by code.
    #[serde(flatten)]
    pub counts: Counts,
    /// Wall-clock seconds of all its tasks' executions, summed over sessions.
    #[serde(deserialize_with = "nan_from_null")]
    pub seconds: f64,
    /// Bytes read from the input and from earlier steps.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Largest resident memory of the process while the step ran, in bytes, as the operating system counts it (0 where it cannot be read).
    pub peak_memory_bytes: u64,
    /// Sentences that must be said aloud: sub-sampling, defaults chosen, relaxed bounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The options of the step as an object, every default written out, for people to read beside the figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<serde_json::Value>,
    /// What is particular to the kind.
    #[serde(default, skip_serializing_if = "Details::is_none")]
    pub details: Details,
}

/// Figures that only one kind of step has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Details {
    /// Nothing beside the counts.
    #[default]
    None,
    /// Of `embed`.
    Embed(EmbedDetails),
    /// Of `dedup`.
    Dedup(DedupDetails),
    /// Of `cluster`.
    Cluster(ClusterDetails),
    /// Of `judge`.
    Judge(crate::JudgeDetails),
    /// Of `prune`.
    Prune(PruneDetails),
    /// Of `caption` and `rewrite`.
    Caption(crate::CaptionDetails),
    /// Of `referee`.
    Referee(crate::RefereeDetails),
}

impl Details {
    /// Whether there is nothing.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// Figures of an `embed` step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EmbedDetails {
    /// What decides the vectors: the model's name, revision, hash, number format and preprocessing.
    pub model: serde_json::Value,
    /// Numbers in a vector.
    pub dim: u64,
    /// Images embedded.
    pub images: u64,
    /// Captions embedded.
    pub texts: u64,
    /// Captions that were longer than the model reads, and were cut.
    pub captions_cut: u64,
    /// Mean cosine of image and caption over the rows kept, where both were embedded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_score: Option<f64>,
    /// Rows by that cosine: [`EmbedDetails::SCORE_BINS`] bins of equal width from −1 to 1. Empty where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<u64>,
    /// The embeddings that were written.
    pub embeddings: Vec<String>,
}

impl EmbedDetails {
    /// Bins of `scores`: 0.02 wide, so that a threshold can be read off.
    pub const SCORE_BINS: usize = 100;

    /// The bin of a cosine.
    pub fn score_bin(score: f32) -> usize {
        let place = (f64::from(score) + 1.0) / 2.0 * Self::SCORE_BINS as f64;
        (place.max(0.0) as usize).min(Self::SCORE_BINS - 1)
    }
}

/// Figures of a `dedup` step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DedupDetails {
    /// The ε that the verdicts follow: similar means similarity > 1 − ε.
    #[serde(deserialize_with = "nan_from_null")]
    pub epsilon: f64,
    /// Number of cells (clusters inside which pairs are sought).
    pub cells: u64,
    /// Nearest cells searched per row (1: its own only).
    pub probe: u64,
    /// Rows in the largest cell, visitors included.
    pub largest_cell: u64,
    /// Row pairs compared.
    pub pairs_compared: u64,
    /// Groups of duplicates (rows that some dropped row names in `duplicate_of`).
    pub groups: u64,
    /// Rows that the semantic rule would keep at each ε, ascending in ε: for every ε of the recipe and for a fixed grid below
    /// the largest of them. Exact for the
    /// `greedy` mode; for `groups` it is the greedy figure, an upper bound on what is dropped.
    pub curve: Vec<CurvePoint>,
    /// How many of the duplicates that brute force finds for sampled rows the cells found too.
    pub recall: Option<Recall>,
}

/// One point of the ε curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Threshold: similar means similarity > 1 − ε.
    #[serde(deserialize_with = "nan_from_null")]
    pub epsilon: f64,
    /// Rows kept by the semantic rule at this ε.
    pub kept: u64,
}

/// Recall on a brute-force sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// Rows drawn and compared with every earlier row of the whole input.
    pub sampled: u64,
    /// Of these, rows with an earlier row above 1 − ε.
    pub duplicates: u64,
    /// Of these, rows for which the cells found one too.
    pub found: u64,
}

/// Figures of a `cluster` step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterDetails {
    /// The k that was used.
    pub k: u64,
    /// Rows that k-means was trained on.
    pub train_rows: u64,
    /// Rows that could have been used.
    pub available_rows: u64,
    /// Dimension of the embedding.
    pub dim: u64,
    /// Mean similarity of all rows to their centroid.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_sim: f64,
    /// Clusters without a row.
    pub empty: u64,
    /// One point for each k tried, ascending in k; none where only one was given.
    pub elbow: Vec<ElbowPoint>,
    /// Mean similarity after each iteration of the chosen k, on the training rows.
    #[serde(deserialize_with = "nans_from_nulls")]
    pub iterations: Vec<f64>,
    /// Per cluster, in order: size and complexity.
    pub clusters: Vec<ClusterFigures>,
}

/// One k that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ElbowPoint {
    /// Number of clusters.
    pub k: u64,
    /// Mean cosine distance of the training rows to their centroid.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean_dist: f64,
    /// Whether it was chosen.
    pub chosen: bool,
}

/// Figures of one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClusterFigures {
    /// Rows in it.
    pub size: u64,
    /// Mean distance of its rows to the centroid.
    #[serde(deserialize_with = "nan_from_null")]
    pub d_intra: f64,
    /// Mean distance of its centroid to the nearest other centroids.
    #[serde(deserialize_with = "nan_from_null")]
    pub d_inter: f64,
    /// d_inter · d_intra.
    #[serde(deserialize_with = "nan_from_null")]
    pub complexity: f64,
}

/// Figures of a `prune` step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PruneDetails {
    /// `density`, `prototypes` or `random`.
    pub method: String,
    /// One entry for each fraction or count of the recipe, in its order; the verdicts follow the first.
    pub targets: Vec<PruneTarget>,
    /// Per cluster, in order, for the first target: what it had and what it may keep.
    pub quotas: Vec<QuotaFigures>,
}

/// One size that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PruneTarget {
    /// As the recipe names it, `0.3` or `100000`.
    pub label: String,
    /// Rows to keep.
    pub target: u64,
    /// Rows kept: always the target.
    pub kept: u64,
    /// The water level λ of the projection.
    #[serde(deserialize_with = "nan_from_null")]
    pub lambda: f64,
    /// The subset file in the run folder.
    pub subset: String,
}

/// Size and quota of one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QuotaFigures {
    /// Rows that the cluster had.
    pub size: u64,
    /// Share of the target before bounds (softmax of the complexity).
    #[serde(deserialize_with = "nan_from_null")]
    pub share: f64,
    /// Rows it keeps.
    pub quota: u64,
}

/// The whole run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Version of this structure.
    pub schema_version: u32,
    /// Version of the program that wrote it.
    pub program_version: String,
    /// What was read.
    pub input: InputReport,
    /// The steps, in order.
    pub steps: Vec<StepReport>,
    /// What is left.
    pub selection: SelectionReport,
    /// How much of what was planted was found; only for pools with known truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<serde_json::Value>,
    /// Wall-clock seconds of the session that finished the run.
    #[serde(deserialize_with = "nan_from_null")]
    pub seconds: f64,
    /// Largest resident memory of the process, in bytes.
    pub peak_memory_bytes: u64,
    /// The ceiling it was given, in bytes.
    pub memory_limit_bytes: u64,
    /// Threads it was given.
    pub threads: u64,
}

/// What a run read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InputReport {
    /// As the recipe names it.
    pub path: String,
    /// The layout that was detected.
    pub layout: String,
    /// Number of shards.
    pub shards: u64,
    /// Number of rows.
    pub rows: u64,
    /// blake3 of what identifies the input, hexadecimal.
    pub fingerprint: String,
}

/// What a run left.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SelectionReport {
    /// Rows of the input.
    pub seen: u64,
    /// Rows kept by every step.
    pub kept: u64,
    /// Rows dropped, by the step that dropped them (folder name), errors included; `decision` where a person did.
    pub dropped_by: BTreeMap<String, u64>,
    /// Rows on which a person decided, whatever the steps had said.
    #[serde(default)]
    pub decided: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_and_add_up() {
        let mut a = Counts { seen: 3, kept: 1, ..Counts::default() };
        a.dropped.insert("twin".into(), 2);
        let mut b = Counts { seen: 2, kept: 0, ..Counts::default() };
        b.dropped.insert("twin".into(), 1);
        b.errors.insert("bad".into(), 1);
        assert!(a.adds_up() && b.adds_up());
        a.add(&b);
        assert_eq!((a.seen, a.kept, a.dropped["twin"], a.errors["bad"]), (5, 1, 3, 1));
        assert!(a.adds_up());
    }

    #[test]
    fn figures_that_are_no_numbers_survive_json() {
        let figures = ClusterFigures { size: 3, d_intra: 0.1, d_inter: f64::NAN, complexity: f64::INFINITY };
        let cluster = ClusterDetails {
            iterations: vec![0.5, f64::NAN],
            clusters: vec![figures],
            ..ClusterDetails::default()
        };
        let step =
            StepReport { details: Details::Cluster(cluster), seconds: f64::NAN, ..StepReport::default() };
        let text = serde_json::to_string(&step).unwrap();
        let back: StepReport = serde_json::from_str(&text).unwrap();
        let Details::Cluster(cluster) = back.details else { panic!("{text}") };
        assert!(back.seconds.is_nan() && cluster.iterations[1].is_nan());
        assert!(cluster.clusters[0].d_inter.is_nan() && cluster.clusters[0].complexity.is_nan());
        assert_eq!(
            (cluster.clusters[0].size, cluster.clusters[0].d_intra, cluster.iterations[0]),
            (3, 0.1, 0.5)
        );
    }

    #[test]
    fn sums_do_not_overflow() {
        let mut counts = Counts { seen: u64::MAX, kept: u64::MAX, ..Counts::default() };
        counts.dropped.insert("a".into(), u64::MAX);
        counts.dropped.insert("b".into(), 1);
        assert_eq!(counts.dropped_total(), u64::MAX);
        assert!(counts.adds_up());
    }

    #[test]
    fn a_report_survives_json() {
        let report = RunReport {
            steps: vec![StepReport {
                details: Details::Dedup(DedupDetails::default()),
                ..StepReport::default()
            }],
            ..RunReport::default()
        };
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<RunReport>(&text).unwrap(), report);
    }
}
