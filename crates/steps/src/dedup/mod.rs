//! Step `dedup`: exact duplicates by hash, then semantic ones inside cells. The way of the data:
//!
//! ```text
//! hash (shard)   → records by hash           match (bucket)  → losers, by shard
//! draw, train    → centroids.npy, axes       assign (shard)  → cells; sketches sorted by cell, visitors included
//! plan (whole)   → cells cut into buckets    pairs (bucket)  → largest earlier similarity, by shard (and edges)
//! components     → representatives, by shard (mode "groups")
//! verdict (shard)→ the step's tables         recall (whole)  → a sample compared with everything
//! ```
//!
//! A row goes to its cells as a sketch of 64 bytes. Sketches rule out nearly all pairs, for good; only rows that may have a near duplicate are
//! read again, from the input, and compared exactly. No vector is copied to a scratch file, and nothing holds more than a bucket.
mod assign;
mod cells;
mod components;
mod exact;
mod gather;
mod pairs;
mod recall;
mod rows;
mod verdict;

use arrow::datatypes::DataType;
use cribble_core::{
    CurvePoint, DedupDetails, DedupMode, DedupOptions, Details, Error, Exact, Keep, Recall, Result,
};
use cribble_pipeline::{
    Parallel, PhaseSpec, Provides, Step, StepContext, TaskOutput, Unit, UnitKind, images,
};

use crate::{best_column::require_number, finder::SharedFinder, values::from_value};

/// ε of the curve in the report, as far as the largest of the recipe, beside those of the recipe.
const GRID: [f64; 17] =
    [0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3];

pub struct Dedup {
    options: DedupOptions,
    finder: SharedFinder,
}

impl Dedup {
    pub fn new(options: DedupOptions) -> Self {
        Self { options, finder: SharedFinder::default() }
    }

    fn is_semantic(&self) -> bool {
        !self.options.embedding.is_empty()
    }

    /// The ε that decides.
    fn epsilon(&self) -> f64 {
        self.options.epsilon.as_slice().first().copied().unwrap_or_default()
    }

    /// The largest ε of the recipe. No similarity below it is recorded: a search that may stop there is several times faster.
    fn reach(&self) -> f64 {
        self.options.epsilon.as_slice().iter().copied().fold(0.0, f64::max)
    }

    /// The similarity below which nothing is recorded.
    fn floor(&self) -> f32 {
        (1.0 - self.reach()) as f32
    }

    /// All ε of the report's curve, ascending.
    fn epsilons(&self) -> Vec<f64> {
        let mut all = GRID.to_vec();
        all.retain(|&epsilon| epsilon <= self.reach());
        all.extend(self.options.epsilon.as_slice());
        all.sort_by(f64::total_cmp);
        all.dedup();
        all
    }

    /// How exact duplicates are found in this input; `None` when they are not sought.
    fn exact(&self, context: &StepContext<'_>) -> Result<Option<exact::Source>> {
        let has_column = context.dataset.schema().field_with_name("sha256").is_ok();
        match self.options.exact {
            Exact::None => Ok(None),
            Exact::Auto => Ok(has_column.then_some(exact::Source::Sha256)),
            Exact::Sha256 if has_column => Ok(Some(exact::Source::Sha256)),
            Exact::Sha256 => Err(Error::usage("exact = \"sha256\": the input has no column 'sha256'")
                .with_hint(
                    "exact = \"bytes\" compares the images themselves, where input.images names tars",
                )),
            Exact::Bytes => Ok(Some(exact::Source::Bytes)),
        }
    }
}

impl Step for Dedup {
    fn kind(&self) -> &'static str {
        "dedup"
    }

    fn check(&self, context: &StepContext<'_>) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        let exact = self.exact(context)?;
        match exact {
            Some(exact::Source::Sha256) => notes.push("exact duplicates by the column sha256".into()),
            Some(exact::Source::Bytes) => {
                exact::require_images(context)?;
                notes.push("exact duplicates by the bytes of the images".into());
            }
            None => {}
        }
        if let Keep::Best(column) = &self.options.keep {
            require_number(context, column)?;
        }
        if self.is_semantic() {
            let embedding = context.embedding(&self.options.embedding)?;
            notes.push(format!(
                "embedding {} [n, {}], similarity > 1 - {}, mode {}, keep {}, cells {}, probe {}",
                embedding.info.name,
                embedding.info.dim,
                self.epsilon(),
                self.options.mode,
                self.options.keep,
                self.options.cells,
                self.options.probe
            ));
        } else if exact.is_none() {
            return Err(Error::usage(
                "no embedding is named and the input has no column 'sha256': nothing to compare",
            )
            .with_hint("set embedding = \"…\"; `cribble check INPUT` lists the arrays"));
        } else if matches!(self.options.keep, Keep::Hard | Keep::Easy) {
            notes.push("without an embedding the first of equal samples stays".into());
        }
        Ok(notes)
    }

    fn provides(&self) -> Result<Provides> {
        let duplicate_of = ("duplicate_of", DataType::FixedSizeBinary(16));
        Ok(if self.is_semantic() {
            let float = DataType::Float32;
            let columns = [
                ("cell", DataType::Int32),
                ("centroid_dist", float.clone()),
                ("max_sim", float),
                duplicate_of,
            ];
            Provides::columns(&columns)
        } else {
            Provides::columns(&[duplicate_of])
        })
    }

    fn phases(&self) -> Vec<PhaseSpec> {
        let phase = |name, unit, parallel| PhaseSpec { name, unit, parallel };
        let mut phases = Vec::new();
        if self.options.exact == Exact::Bytes {
            phases.push(phase("index", UnitKind::Whole, Parallel::Inner));
        }
        if self.options.exact != Exact::None {
            phases.push(phase("hash", UnitKind::Shard, Parallel::Outer));
            phases.push(phase("match", UnitKind::Bucket, Parallel::Inner));
        }
        if self.is_semantic() {
            phases.push(phase("draw", UnitKind::Whole, Parallel::Inner));
            phases.push(phase("train", UnitKind::Whole, Parallel::Inner));
            phases.push(phase("assign", UnitKind::Shard, Parallel::Overlapped));
            phases.push(phase("plan", UnitKind::Whole, Parallel::Inner));
            phases.push(phase("pairs", UnitKind::Bucket, Parallel::Inner));
            if self.options.mode == DedupMode::Groups {
                phases.push(phase("components", UnitKind::Whole, Parallel::Inner));
            }
        }
        phases.push(phase("verdict", UnitKind::Shard, Parallel::Outer));
        if self.is_semantic() {
            phases.push(phase("recall", UnitKind::Whole, Parallel::Inner));
        }
        phases
    }

    fn buckets(&self, context: &StepContext<'_>, phase: &str) -> Result<u32> {
        if phase == "match" { exact::buckets(context) } else { Ok(cells::Plan::read(context)?.buckets()) }
    }

    fn run(&self, context: &StepContext<'_>, phase: &str, unit: Unit) -> Result<TaskOutput> {
        match phase {
            "index" => images::build_index(context).map(|_| TaskOutput::default()),
            "hash" => self.hash(context, unit),
            "match" => self.match_hashes(context, unit),
            "draw" => self.draw(context),
            "train" => self.train(context),
            "assign" => self.assign(context, unit),
            "plan" => self.plan(context),
            "pairs" => self.pairs(context, unit),
            "components" => self.components(context),
            "recall" => self.recall(context),
            _ => self.verdict(context, unit),
        }
    }

    fn finish(&self, context: &StepContext<'_>, outputs: &[(String, Vec<TaskOutput>)]) -> Result<Details> {
        let data = |phase: &str| {
            let outputs =
                outputs.iter().find(|(name, _)| name == phase).map(|(_, outputs)| outputs.as_slice());
            outputs.unwrap_or_default().iter().map(|output| output.data.clone()).collect::<Vec<_>>()
        };
        let mut details = DedupDetails {
            epsilon: self.epsilon(),
            probe: u64::from(self.options.probe),
            ..DedupDetails::default()
        };
        if let Some(value) = data("plan").into_iter().next() {
            let summary: cells::Summary = from_value(value)?;
            details.cells = summary.cells;
            details.largest_cell = summary.largest_cell;
            details.probe = summary.probe;
        }
        for value in data("pairs") {
            details.pairs_compared += from_value::<u64>(value)?;
        }
        let epsilons = self.epsilons();
        let (mut judged, mut removed) = (0u64, vec![0u64; epsilons.len()]);
        let mut groups = std::collections::BTreeSet::new();
        for value in data("verdict") {
            let part: verdict::Tally = from_value(value)?;
            judged += part.judged;
            removed.iter_mut().zip(&part.removed).for_each(|(sum, count)| *sum += count);
        }
        for shard in 0..context.shards() {
            let path = context.folder.join(format!("{}.parquet", context.shard_name(shard)));
            groups.extend(verdict::named_originals(&path)?);
        }
        details.groups = groups.len() as u64;
        if self.is_semantic() {
            details.curve = epsilons
                .iter()
                .zip(removed)
                .map(|(&epsilon, removed)| CurvePoint { epsilon, kept: judged - removed })
                .collect();
        }
        if let Some(value) = data("recall").into_iter().next() {
            details.recall = from_value::<Option<Recall>>(value)?;
        }
        Ok(Details::Dedup(details))
    }

    fn closing_notes(&self, outputs: &[(String, Vec<TaskOutput>)]) -> Vec<String> {
        let hashed = outputs.iter().filter(|(name, _)| name == "hash").flat_map(|(_, outputs)| outputs);
        let missing: u64 = hashed.filter_map(|output| output.data.as_u64()).sum();
        if missing == 0 {
            return Vec::new();
        }
        vec![format!("{missing} samples have no image in the tars and were not compared by bytes")]
    }
}
