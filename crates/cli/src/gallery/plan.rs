//! What to look for in a run: which reasons, which clusters, which columns. Everything here comes from the report and the recipe; nothing is read.
use std::{collections::BTreeMap, path::PathBuf};

use arrow::datatypes::{DataType, Schema};
use cribble_core::{Details, Recipe, Result, RunReport, StepOptions, Uid};
use cribble_io::{CAPTION_NAMES, Dataset};
use cribble_pipeline::{DECISION, Fate, RunFolder, TableSchema};

use super::draw::SEED;

/// Samples of one reason, and of what was kept.
pub const PER_REASON: usize = 12;
pub const KEPT: usize = 24;
/// Reasons shown, the most frequent ones.
const MOST_REASONS: usize = 40;
/// Clusters shown: the largest ones, then random ones.
const LARGEST: usize = 20;
const CLUSTERS: usize = 60;
/// Scores of datasets of others, best first.
const SCORES: [&str; 3] = ["clip_l14_similarity_score", "clip_b32_similarity_score", "clip_score"];

/// A column of a step or of the input.
#[derive(Debug, Clone)]
pub struct Column {
    /// The step's place in the run; none for the input.
    pub step: Option<usize>,
    pub name: String,
}

/// A step that made captions.
#[derive(Debug)]
pub struct Captions {
    pub folder: String,
    /// The new ones.
    pub after: Column,
    /// Those of before.
    pub before: Column,
    /// Their similarities to the image, where a referee compared them.
    pub sims: Option<(Column, Column)>,
}

/// All of it.
pub struct Plan {
    /// How many samples of each fate.
    pub fates: BTreeMap<Fate, usize>,
    /// The clustering that is shown, and the clusters of it.
    pub clustering: Option<(usize, Vec<u32>)>,
    /// Steps that found duplicates.
    pub dedups: Vec<usize>,
    pub score: Option<Column>,
    pub captions: Vec<Captions>,
    /// The captions of the input.
    pub text: Option<String>,
}

/// The tables of a step.
pub fn table(run: &RunFolder, step: usize, shard: &str) -> PathBuf {
    run.step_folder(step).join(format!("{shard}.parquet"))
}

impl Plan {
    pub fn new(dataset: &Dataset, run: &RunFolder, recipe: &Recipe, report: &RunReport) -> Result<Self> {
        let of_kind = |kind: &str| {
            let steps = run.manifest.steps.iter().enumerate();
            steps.filter(|(_, step)| step.kind == kind).map(|(place, _)| place).collect::<Vec<_>>()
        };
        let schema = dataset.schema();
        let text = CAPTION_NAMES.into_iter().find(|name| {
            schema.field_with_name(name).is_ok_and(|field| *field.data_type() == DataType::Utf8)
        });
        Ok(Self {
            fates: fates(report),
            clustering: of_kind("cluster").last().and_then(|&step| Some((step, clusters(report, step)?))),
            dedups: of_kind("dedup"),
            score: score(dataset, run, recipe)?,
            captions: captions(recipe, run, schema, text),
            text: text.map(str::to_owned),
        })
    }
}

/// How many to show of each reason that occurred, the most frequent reasons first.
fn fates(report: &RunReport) -> BTreeMap<Fate, usize> {
    let mut reasons: Vec<(u64, Fate)> = Vec::new();
    for step in &report.steps {
        for (reason, &rows) in step.counts.dropped.iter().chain(&step.counts.errors) {
            reasons.push((rows, (Some(step.step.as_str().into()), Some(reason.as_str().into()))));
        }
    }
    if let Some(&rows) = report.selection.dropped_by.get(DECISION) {
        reasons.push((rows, (Some(DECISION.into()), None)));
    }
    reasons.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut fates: BTreeMap<Fate, usize> =
        reasons.into_iter().take(MOST_REASONS).map(|(_, fate)| (fate, PER_REASON)).collect();
    fates.insert((None, None), KEPT);
    fates
}

/// The clusters of a step that are shown: the largest, and random ones of the others. Empty ones have nothing to show.
fn clusters(report: &RunReport, step: usize) -> Option<Vec<u32>> {
    let Details::Cluster(details) = &report.steps.get(step)?.details else { return None };
    let figures = details.clusters.iter().enumerate().filter(|(_, one)| one.size > 0);
    let mut sizes: Vec<(u64, u32)> = figures.map(|(number, one)| (one.size, number as u32)).collect();
    sizes.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let rest = sizes.split_off(sizes.len().min(LARGEST));
    let mut random: Vec<u32> = rest.into_iter().map(|(_, number)| number).collect();
    random.sort_by_key(|&number| (Uid(u128::from(number)).mix(SEED), number));
    Some(sizes.into_iter().map(|(_, number)| number).chain(random).take(CLUSTERS).collect())
}

/// The column of scores: of the last step that wrote one, else of the input.
fn score(dataset: &Dataset, run: &RunFolder, recipe: &Recipe) -> Result<Option<Column>> {
    for (step, spec) in recipe.steps.iter().enumerate().rev() {
        if let StepOptions::Embed(options) = &spec.options
            && has_column(dataset, run, step, &options.score)?
        {
            return Ok(Some(Column { step: Some(step), name: options.score.clone() }));
        }
    }
    let schema = dataset.schema();
    let known = SCORES
        .into_iter()
        .find(|name| schema.field_with_name(name).is_ok_and(|field| field.data_type().is_floating()));
    Ok(known.map(|name| Column { step: None, name: name.into() }))
}

fn has_column(dataset: &Dataset, run: &RunFolder, step: usize, name: &str) -> Result<bool> {
    let Some(shard) = dataset.shards().first() else { return Ok(false) };
    Ok(TableSchema::read(&table(run, step, &shard.name))?.0.field_with_name(name).is_ok())
}

/// The steps that made captions, with what they replace.
fn captions(recipe: &Recipe, run: &RunFolder, schema: &Schema, text: Option<&str>) -> Vec<Captions> {
    let mut found: Vec<Captions> = Vec::new();
    for (step, spec) in recipe.steps.iter().enumerate() {
        let (before, after) = match &spec.options {
            StepOptions::Caption(options) => {
                let Some(text) = text else { continue };
                (text.to_owned(), options.clone().resolved().column)
            }
            StepOptions::Rewrite(options) => {
                let options = options.clone().resolved();
                // Left open, it is the captions of the input.
                let before = Some(options.text).filter(|name| !name.is_empty()).or(text.map(str::to_owned));
                let Some(before) = before else { continue };
                (before, options.column)
            }
            _ => continue,
        };
        // What is rewritten may be the work of a step before.
        let of_step =
            found.iter().rev().find(|made| made.after.name == before).and_then(|made| made.after.step);
        let before_is_known = of_step.is_some() || schema.field_with_name(&before).is_ok();
        if !before_is_known {
            continue;
        }
        found.push(Captions {
            folder: run.manifest.steps.get(step).map(|step| step.folder.clone()).unwrap_or_default(),
            after: Column { step: Some(step), name: after },
            before: Column { step: of_step, name: before },
            sims: None,
        });
    }
    for (step, spec) in recipe.steps.iter().enumerate() {
        let StepOptions::Referee(_) = &spec.options else { continue };
        for made in found.iter_mut().filter(|made| made.after.step < Some(step)) {
            // The referee's names: `original` for the input's own, else the column without `caption_`.
            let name = |column: &Column| match column.step {
                None => "sim_original".to_owned(),
                Some(_) => {
                    let name = &column.name;
                    format!("sim_{}", name.strip_prefix("caption_").unwrap_or(name))
                }
            };
            let sim = |column: &Column| Column { step: Some(step), name: name(column) };
            made.sims = Some((sim(&made.before), sim(&made.after)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use cribble_core::{ClusterDetails, ClusterFigures, StepReport};

    #[test]
    fn the_most_frequent_reasons_are_looked_for() {
        let mut step = StepReport { step: "01-filter".into(), ..StepReport::default() };
        for number in 0..60u64 {
            step.counts.dropped.insert(format!("reason {number:02}"), number);
        }
        step.counts.errors.insert("bad".into(), 1000);
        let fates = fates(&RunReport { steps: vec![step], ..RunReport::default() });
        let has = |reason: &str| fates.contains_key(&(Some("01-filter".into()), Some(reason.into())));
        assert_eq!((fates.len(), fates[&(None, None)]), (MOST_REASONS + 1, KEPT));
        assert!(has("bad") && has("reason 59") && !has("reason 00"));
    }

    #[test]
    fn clusters_are_the_largest_and_random_ones() {
        let of = |size| ClusterFigures { size, d_intra: 0.0, d_inter: 0.0, complexity: 0.0 };
        let details = ClusterDetails { clusters: (0..5000).map(of).collect(), ..ClusterDetails::default() };
        let step = StepReport { details: Details::Cluster(details), ..StepReport::default() };
        let report = RunReport { steps: vec![step], ..RunReport::default() };
        let chosen = clusters(&report, 0).unwrap();
        assert_eq!(chosen[..3], [4999, 4998, 4997]);
        assert!(chosen.len() == CLUSTERS && !chosen.contains(&0), "cluster 0 is empty");
        assert!(chosen[LARGEST..].iter().any(|&number| number < 2500), "not only large ones");
        assert_eq!(clusters(&report, 1), None);
    }
}
