//! Step `judge`: a verdict on each cluster of the last `cluster` step, by a model or by plain rules, from captions (and images) of all shards.
//! The way of the data:
//!
//! ```text
//! sample (shard) → the best few rows of each cluster for every group, and facts of a draw → scratch
//! judge (whole)  → merged, shown to the judge → verdicts.parquet, samples.parquet, the files of the luvdatacomp flow
//! apply (shard)  → the step's table: verdict, cluster_title, cluster_category; keep
//! ```
//!
//! A person's decision on a cluster overrides its verdict; the verdict stays readable beside it.
mod apply;
mod ask;
mod gather;
mod junk;
mod profile;
mod ruling;
mod sample;
mod write;

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use cribble_chat::Stop;
use cribble_core::{
    ChatUsage, ClusterVerdict, Details, Error, ErrorKind, JudgeDetails, JudgeOptions, Result, StepOptions,
    Uid, Unsure,
};
use cribble_io::source::Dataset;
use cribble_pipeline::{
    Decisions, GlobalRow, Parallel, PhaseSpec, Provides, Step, StepContext, StepRef, TaskOutput, Unit,
    UnitKind,
    images::{Pixels, build_index},
};
use serde::{Deserialize, Serialize};

use crate::{
    calls::{Caller, MissingList, Prompt, fail_on_missing, usage_note},
    captions::caption_column,
    sample_rows::Rows,
    values::{from_value, to_value},
};
use ask::{Judgement, Places};
use gather::{Gathered, Sample};
use ruling::Ruling;

/// Rows read at once.
const BATCH_ROWS: usize = 8192;
/// Clusters that the report names; all are in `verdicts.parquet`.
const MOST_REPORTED: usize = 500;
const COLUMNS: [&str; 3] = ["verdict", "cluster_title", "cluster_category"];
/// Name of the judge without a model.
const RULES: &str = "the program's rules";

pub struct Judge {
    options: JudgeOptions,
    caller: Option<Caller>,
    /// Read when the step is built, so that a missing file is a wrong recipe.
    prompt: Option<Prompt>,
}

/// What the judge task leaves for the report.
#[derive(Default, Serialize, Deserialize)]
struct Summed {
    clusters: BTreeMap<String, u64>,
    decided: u64,
    stale: u64,
    verdicts: Vec<ClusterVerdict>,
    usage: Option<ChatUsage>,
}

impl Judge {
    /// Fails on a prompt that cannot be read.
    pub fn new(options: JudgeOptions) -> Result<Self> {
        let prompt = match &options.chat {
            None => None,
            Some(_) => Some(Prompt::load(&options.prompt, &ask::PLACES, ask::NEEDED)?),
        };
        Ok(Self { caller: options.chat.clone().map(Caller::new), prompt, options })
    }

    fn clustering<'a>(context: &'a StepContext<'_>) -> Result<&'a StepRef> {
        context.earlier("cluster").ok_or_else(|| {
            Error::usage("judge needs a cluster step before it")
                .with_hint("add [[step]] kind = \"cluster\" over the embedding of the captions")
        })
    }

    fn judge(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        let mut gathered = Gathered::new(&self.options);
        for shard in 0..context.shards() {
            context.cancel.check()?;
            gathered.merge(&context.scratch(format!("clusters/{shard:08}.parquet")))?;
        }
        let clusters: BTreeMap<u32, Sample> = gathered.finish().collect();
        write::samples(context, &clusters)?;
        let (judged, usage) = match (&self.caller, &self.prompt) {
            (Some(caller), Some(prompt)) => self.by_model(context, caller, prompt, &clusters)?,
            _ => (BTreeMap::new(), None),
        };
        let clustering = Self::clustering(context)?;
        let decisions = Decisions::read(context.run)?;
        let decided = decisions.clusters(&clustering.hash);
        let mut rulings = BTreeMap::new();
        for (&cluster, sample) in &clusters {
            let mut ruling = self.ruling(sample, judged.get(&cluster));
            if let Some(decision) = decided.get(&cluster) {
                ruling.overrule(decision);
            }
            rulings.insert(cluster, ruling);
        }
        self.fail_on_unparsed(context, &rulings)?;
        write::verdicts(context.folder, &rulings)?;
        write::luvdatacomp(context.folder, &clusters, &rulings)?;
        let summed = self.sum_up(&clusters, &rulings, usage, decisions.stale(&clustering.hash) as u64);
        Ok(TaskOutput { data: to_value(&summed)?, ..TaskOutput::default() })
    }

    fn by_model(
        &self,
        context: &StepContext<'_>,
        caller: &Caller,
        prompt: &Prompt,
        clusters: &BTreeMap<u32, Sample>,
    ) -> Result<(BTreeMap<u32, Judgement>, Option<ChatUsage>)> {
        let places =
            if self.options.thumbnails > 0 { self.places(context, clusters)? } else { Places::new() };
        let asked = ask::ask(context, &self.options, caller, prompt, clusters, &places)?;
        let path = asked.missing.write(context, None, "cluster")?;
        // A server that refuses every call (no key, no such model) is no lack of answers but a wrong recipe.
        let refused = matches!(asked.summary.stop, Some(Stop::Refused(_)));
        if !asked.missing.is_empty() && (refused || self.options.missing == Unsure::Fail) {
            return Err(fail_on_missing(&asked.missing, "clusters", &path, &asked.summary));
        }
        Ok((asked.found, Some(asked.usage)))
    }

    /// Under `unparsed = "fail"` an answer without a verdict ends the run; a person's decision settles it.
    fn fail_on_unparsed(&self, context: &StepContext<'_>, rulings: &BTreeMap<u32, Ruling>) -> Result<()> {
        if self.options.unparsed != Unsure::Fail {
            return Ok(());
        }
        let mut unsure = MissingList::default();
        let open = |ruling: &&Ruling| {
            ruling.decided_by.is_none() && matches!(ruling.verdict, "unparsed" | "abstained")
        };
        for (cluster, ruling) in rulings.iter().filter(|(_, ruling)| open(ruling)) {
            let answer = ruling.answers.first().map_or(ruling.reason.as_str(), String::as_str);
            unsure.push(cluster.to_string(), format!("{}: {answer}", ruling.verdict));
        }
        if unsure.is_empty() {
            return Ok(());
        }
        let path = unsure.write(context, None, "cluster")?;
        let message =
            format!("{} clusters have no verdict that can be read, see {}", unsure.len(), path.display());
        Err(Error::new(ErrorKind::Incomplete, message).with_hint(
            "decide them with `cribble decide RUN --cluster N --verdict keep|drop`, or set unparsed to keep or drop",
        ))
    }
}

impl Judge {
    /// Where the images are of the samples that are shown with one. Places only: an image is read when its question is asked.
    fn places(&self, context: &StepContext<'_>, clusters: &BTreeMap<u32, Sample>) -> Result<Places> {
        let pixels = self.pixels(context)?;
        if pixels == Pixels::Tars {
            build_index(context)?;
        }
        let mut wanted: Vec<(GlobalRow, Uid)> = clusters
            .values()
            .flat_map(|sample| &sample.shown)
            .flat_map(|members| members.iter().take(self.options.thumbnails as usize))
            .map(|member| (member.row, member.uid))
            .collect();
        wanted.sort_unstable_by_key(|(row, _)| row.0);
        wanted.dedup();
        let mut places = Places::new();
        for of_shard in wanted.chunk_by(|a, b| a.0.shard() == b.0.shard()) {
            context.cancel.check()?;
            let shard = of_shard[0].0.shard();
            let uids = context.uids(shard)?;
            let mut mask = vec![false; uids.len()];
            of_shard.iter().for_each(|(row, _)| mask[row.row() as usize] = true);
            let mut rows = Rows::open(context, Some(pixels), None, shard)?;
            for start in (0..uids.len()).step_by(BATCH_ROWS) {
                let block = start..uids.len().min(start + BATCH_ROWS);
                for sample in rows.next(start, &uids[block.clone()], &mask[block])? {
                    if let Some(image) = sample.image {
                        places.insert(GlobalRow::new(shard, sample.row as u32), image);
                    }
                }
            }
        }
        Ok(places)
    }

    fn pixels(&self, context: &StepContext<'_>) -> Result<Pixels> {
        Pixels::of(context.dataset, context.images).ok_or_else(|| {
            Error::usage("thumbnails are asked for, and the input has no images").with_hint(
                "set images = \"…\" in [input] (--images) to the tars with the pixels, or thumbnails = 0",
            )
        })
    }
}

impl Step for Judge {
    fn kind(&self) -> &'static str {
        "judge"
    }

    fn check(&self, context: &StepContext<'_>) -> Result<Vec<String>> {
        let clustering = Self::clustering(context)?;
        let column = caption_column(context, &self.options.text, "")?;
        let options = &self.options;
        let shown = format!(
            "of each cluster of {}: {} nearest, {} farthest and {} random captions of the column {column}",
            clustering.name, options.nearest, options.farthest, options.random
        );
        let mut notes = vec![shown];
        match (&self.caller, &self.prompt) {
            (Some(caller), Some(prompt)) => {
                let asked = format!("prompt {}, {} votes a cluster", prompt.name(), options.votes);
                notes.push(asked);
                let clusters = match &clustering.options {
                    StepOptions::Cluster(cluster) => cluster.k.as_slice().iter().max().copied().unwrap_or(0),
                    _ => 0,
                };
                let most = clusters * u64::from(options.votes);
                notes.extend(caller.check("a question a cluster and vote", most)?);
                if options.thumbnails > 0 {
                    notes.push(format!("images from {}", self.pixels(context)?.describe(context)?));
                }
            }
            _ => notes.push(format!(
                "judged by {RULES}: at most {} repeated, at most {} junk{}",
                options.max_repeated,
                options.max_junk,
                match self.score_column(context)? {
                    Some(score) => format!(", mean {score} at least {}", options.min_score),
                    None => String::new(),
                }
            )),
        }
        notes.push(format!("abstained and unparsed: {}, missing: {}", options.unparsed, options.missing));
        Ok(notes)
    }

    fn provides(&self) -> Result<Provides> {
        Ok(Provides::columns(&COLUMNS.map(|name| (name, DataType::Utf8))))
    }

    /// The prompt, word for word; where images are shown from other tars, those.
    fn identity(&self, dataset: &Dataset, images: Option<&str>) -> Result<String> {
        let mut identity = self.prompt.as_ref().map_or_else(String::new, |prompt| prompt.text().to_owned());
        if let (true, Some(pixels)) = (self.options.thumbnails > 0, Pixels::of(dataset, images)) {
            identity += &pixels.identity(images)?;
        }
        Ok(identity)
    }

    fn takes_decisions(&self) -> bool {
        true
    }

    fn phases(&self) -> Vec<PhaseSpec> {
        let phase = |name, unit, parallel| PhaseSpec { name, unit, parallel };
        vec![
            phase("sample", UnitKind::Shard, Parallel::Outer),
            phase("judge", UnitKind::Whole, Parallel::Inner),
            phase("apply", UnitKind::Shard, Parallel::Outer),
        ]
    }

    fn run(&self, context: &StepContext<'_>, phase: &str, unit: Unit) -> Result<TaskOutput> {
        match phase {
            "sample" => self.sample(context, unit),
            "judge" => self.judge(context),
            _ => self.apply(context, unit),
        }
    }

    fn finish(&self, _context: &StepContext<'_>, outputs: &[(String, Vec<TaskOutput>)]) -> Result<Details> {
        if let Some(caller) = &self.caller {
            caller.close();
        }
        let summed = summed(outputs)?;
        let mut rows = BTreeMap::<String, u64>::new();
        for output in outputs.iter().filter(|(name, _)| name == "apply").flat_map(|(_, outputs)| outputs) {
            for (verdict, count) in from_value::<BTreeMap<String, u64>>(output.data.clone())? {
                *rows.entry(verdict).or_default() += count;
            }
        }
        Ok(Details::Judge(JudgeDetails {
            by: self.options.chat.as_ref().map_or(RULES, |chat| &chat.model).into(),
            prompt: self.prompt.as_ref().map(|prompt| prompt.name().to_owned()).unwrap_or_default(),
            votes: self.options.votes.into(),
            clusters: summed.clusters,
            rows,
            decided: summed.decided,
            verdicts: summed.verdicts,
            usage: summed.usage,
        }))
    }

    fn closing_notes(&self, outputs: &[(String, Vec<TaskOutput>)]) -> Vec<String> {
        let Ok(summed) = summed(outputs) else { return Vec::new() };
        let total: u64 = summed.clusters.values().sum();
        let each = |(verdict, count): (&String, &u64)| format!("{count} {verdict}");
        let by = self.options.chat.as_ref().map_or(RULES, |chat| &chat.model);
        let mut notes = vec![format!(
            "{total} clusters judged by {by}: {}",
            summed.clusters.iter().map(each).collect::<Vec<_>>().join(", ")
        )];
        if summed.decided > 0 {
            let follow = if summed.decided == 1 { "cluster follows" } else { "clusters follow" };
            notes.push(format!("{} {follow} a person's decision", summed.decided));
        }
        if summed.stale > 0 {
            notes.push(format!(
                "{} decisions in decisions.jsonl are on clusters of another clustering and were not followed",
                summed.stale
            ));
        }
        if total > MOST_REPORTED as u64 {
            notes.push(format!(
                "the report names {MOST_REPORTED} of {total} clusters; all are in verdicts.parquet"
            ));
        }
        notes.extend(summed.usage.as_ref().map(usage_note));
        notes
    }
}

fn summed(outputs: &[(String, Vec<TaskOutput>)]) -> Result<Summed> {
    let output = outputs.iter().find(|(name, _)| name == "judge").and_then(|(_, outputs)| outputs.first());
    output.map_or_else(|| Ok(Summed::default()), |output| from_value(output.data.clone()))
}
