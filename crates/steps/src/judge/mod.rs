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
mod ask;
mod gather;
mod junk;
mod profile;
mod write;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, StringBuilder},
    datatypes::{DataType, Field, Float32Type, Int32Type},
};
use cribble_chat::verdict::Verdict;
use cribble_core::{
    ChatUsage, ClusterVerdict, Details, Error, ErrorKind, JudgeDetails, JudgeOptions, Result, Uid, Unsure,
};
use cribble_io::source::Dataset;
use cribble_models::language::{Detector, Scratch};
use cribble_pipeline::{
    Decided, Decisions, GlobalRow, Parallel, PhaseSpec, Provides, Step, StepContext, StepRef, TaskOutput,
    Unit, UnitKind, Verdicts, read_column,
};
use serde::{Deserialize, Serialize};

use crate::{
    calls::{Caller, MissingList, Prompt, fail_on_missing, usage_note},
    captions::{caption_column, texts},
    images::build_index,
    sample_rows::{Pixels, Rows},
    values::{from_value, to_value},
};
use ask::{Judgement, Places};
use gather::{Fact, Gathered, Sample};
use profile::Profile;

/// Rows read at once.
const BATCH_ROWS: usize = 8192;
/// Clusters that the report names; all are in `verdicts.parquet`.
const MOST_REPORTED: usize = 500;
/// Columns with a CLIP score, first choice first.
const SCORES: [&str; 3] = ["clip_score", "clip_l14_similarity_score", "clip_b32_similarity_score"];
const COLUMNS: [&str; 3] = ["verdict", "cluster_title", "cluster_category"];
/// Name of the judge without a model.
const RULES: &str = "the program's rules";

pub struct Judge {
    options: JudgeOptions,
    caller: Option<Caller>,
    /// Read when the step is built, so that a missing file is a wrong recipe.
    prompt: Option<Prompt>,
}

/// The last word on a cluster, and everything that led to it.
pub struct Ruling {
    size: u64,
    /// `acceptable`, `unacceptable`, `abstained`, `unparsed`, `missing`.
    verdict: &'static str,
    keep: bool,
    /// What `keep` says as a verdict.
    keep_word: Option<Verdict>,
    reason: String,
    title: String,
    category: String,
    language: String,
    flags: Vec<String>,
    votes: u32,
    agreement: f64,
    answers: Vec<String>,
    decided_by: Option<String>,
    profile: Profile,
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

fn word(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Acceptable) => "acceptable",
        Some(Verdict::Unacceptable) => "unacceptable",
        Some(Verdict::Abstained) => "abstained",
        Some(Verdict::Unparsed) => "unparsed",
        None => "missing",
    }
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

    /// The column with scores: the one that is named, or a known one that there is.
    fn score_column(&self, context: &StepContext<'_>) -> Result<Option<String>> {
        let schema = context.schema()?;
        let is_f32 = |name: &str| {
            schema.field_with_name(name).is_ok_and(|field| field.data_type() == &DataType::Float32)
        };
        let wanted = self.options.score.as_str();
        if wanted.is_empty() {
            return Ok(SCORES.into_iter().find(|name| is_f32(name)).map(Into::into));
        }
        if is_f32(wanted) {
            return Ok(Some(wanted.into()));
        }
        Err(Error::usage(format!("score = \"{wanted}\": there is no such column of 32-bit floats"))
            .with_hint(cribble_core::name_hint(
                wanted,
                schema.fields().iter().map(|field| field.name().as_str()),
            )))
    }

    fn sample(&self, context: &StepContext<'_>, shard: Unit) -> Result<TaskOutput> {
        let uids = context.uids(shard)?;
        let kept = context.kept(shard, &uids)?;
        let step = Self::clustering(context)?;
        let clusters = context.step_column(step, shard, &uids, "cluster")?;
        let sims = context.step_column(step, shard, &uids, "centroid_sim")?;
        let (Some(clusters), Some(sims)) =
            (clusters.as_primitive_opt::<Int32Type>(), sims.as_primitive_opt::<Float32Type>())
        else {
            return Err(Error::bug(format!("{}: cluster and centroid_sim have other types", step.name)));
        };
        let mut names = vec![caption_column(context, &self.options.text, "")?];
        let score = self.score_column(context)?;
        names.extend(score.clone());
        let has_language = context
            .schema()?
            .field_with_name("language")
            .is_ok_and(|field| field.data_type() == &DataType::Utf8);
        if has_language {
            names.push("language".into());
        }
        let detector = Detector::embedded();
        let scratch = std::cell::RefCell::new(Scratch::default());
        let most = self.options.caption_chars as usize;
        let mut gathered = Gathered::new(&self.options);
        let mut row = 0;
        for batch in context.columns(shard, &names, BATCH_ROWS)? {
            context.cancel.check()?;
            let batch = batch?;
            let captions = texts(batch.column(0))?;
            let scores = score.as_ref().and_then(|_| batch.column(1).as_primitive_opt::<Float32Type>());
            let languages = has_language.then(|| texts(batch.column(names.len() - 1))).transpose()?;
            for place in 0..batch.num_rows() {
                let here = row + place;
                if !kept[here] || clusters.is_null(here) || sims.is_null(here) {
                    continue;
                }
                let caption = captions.is_valid(place).then(|| captions.value(place));
                let language = || match &languages {
                    Some(known) if known.is_valid(place) => known.value(place).to_owned(),
                    _ => caption.map_or_else(String::new, |caption| {
                        detector.labels()[detector.predict(caption, &mut scratch.borrow_mut()).label].clone()
                    }),
                };
                let fact = || Fact {
                    form: caption.map(junk::form),
                    junk: caption.is_some_and(junk::is_junk),
                    language: language(),
                    score: scores.filter(|scores| scores.is_valid(place)).map(|scores| scores.value(place)),
                };
                gathered.add(
                    clusters.value(here) as u32,
                    GlobalRow::new(shard, here as u32),
                    uids[here],
                    sims.value(here),
                    || caption.map(|caption| gather::shown(caption, most)),
                    fact,
                );
            }
            row += batch.num_rows();
        }
        gathered.write(&context.scratch(format!("clusters/{shard:08}.parquet")))?;
        Ok(TaskOutput::default())
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
                ruling.keep = decision.verdict == Decided::Keep;
                ruling.keep_word =
                    Some(if ruling.keep { Verdict::Acceptable } else { Verdict::Unacceptable });
                ruling.decided_by = Some(decision.reason());
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
        if !asked.missing.is_empty() && self.options.missing == Unsure::Fail {
            return Err(fail_on_missing(&asked.missing, "clusters", &path, &asked.summary));
        }
        Ok((asked.found, Some(asked.usage)))
    }

    /// What becomes of a cluster, before a person has a say.
    fn ruling(&self, sample: &Sample, judgement: Option<&Judgement>) -> Ruling {
        let profile = Profile::of(&sample.facts);
        let mut ruling = Ruling {
            size: sample.size,
            verdict: word(None),
            keep: true,
            keep_word: None,
            reason: String::new(),
            title: profile::title(sample),
            category: String::new(),
            language: profile.languages.first().map(|(name, _)| name.clone()).unwrap_or_default(),
            flags: Vec::new(),
            votes: 0,
            agreement: 0.0,
            answers: Vec::new(),
            decided_by: None,
            profile,
        };
        let verdict = match (&self.caller, judgement) {
            (None, _) => {
                let (verdict, reason, flags) = ruling.profile.judge(&self.options);
                (ruling.reason, ruling.flags, ruling.votes, ruling.agreement) = (reason, flags, 1, 1.0);
                Some(verdict)
            }
            (Some(_), None) => None,
            (Some(_), Some(judgement)) => {
                let reading = judgement.reading.clone();
                ruling.reason = reading.reason.unwrap_or_default();
                ruling.title = reading.title.unwrap_or(ruling.title);
                ruling.category = reading.category.unwrap_or_default();
                ruling.language = reading.language.unwrap_or(ruling.language);
                ruling.flags = reading.flags;
                (ruling.votes, ruling.agreement) = (judgement.votes, judgement.agreement);
                ruling.answers.clone_from(&judgement.answers);
                judgement.verdict
            }
        };
        ruling.verdict = word(verdict);
        ruling.keep_word = verdict;
        ruling.keep = match verdict {
            Some(Verdict::Acceptable) => true,
            Some(Verdict::Unacceptable) => false,
            Some(Verdict::Abstained | Verdict::Unparsed) => self.options.unparsed == Unsure::Keep,
            None => self.options.missing == Unsure::Keep,
        };
        ruling
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

    fn sum_up(
        &self,
        clusters: &BTreeMap<u32, Sample>,
        rulings: &BTreeMap<u32, Ruling>,
        usage: Option<ChatUsage>,
        stale: u64,
    ) -> Summed {
        let mut summed = Summed { usage, stale, ..Summed::default() };
        for ruling in rulings.values() {
            *summed.clusters.entry(ruling.verdict.into()).or_default() += 1;
            summed.decided += u64::from(ruling.decided_by.is_some());
        }
        // Where not all fit: those with a decision, then the largest.
        let mut order: Vec<u32> = rulings.keys().copied().collect();
        order.sort_by_key(|cluster| {
            let ruling = &rulings[cluster];
            (ruling.decided_by.is_none(), std::cmp::Reverse(ruling.size), *cluster)
        });
        order.truncate(MOST_REPORTED);
        order.sort_unstable();
        summed.verdicts = order
            .into_iter()
            .map(|cluster| {
                let ruling = &rulings[&cluster];
                ClusterVerdict {
                    cluster,
                    size: ruling.size,
                    verdict: ruling.verdict.into(),
                    keep: ruling.keep,
                    title: ruling.title.clone(),
                    category: ruling.category.clone(),
                    reason: ruling.reason.clone(),
                    flags: ruling.flags.clone(),
                    agreement: ruling.agreement,
                    decided_by: ruling.decided_by.clone(),
                    nearest: clusters[&cluster].shown[0]
                        .iter()
                        .take(3)
                        .filter_map(|m| m.caption.clone())
                        .collect(),
                }
            })
            .collect();
        summed
    }

    fn apply(&self, context: &StepContext<'_>, shard: Unit) -> Result<TaskOutput> {
        let table = Table::read(context)?;
        let uids = context.uids(shard)?;
        let kept = context.kept(shard, &uids)?;
        let clusters = context.step_column(Self::clustering(context)?, shard, &uids, "cluster")?;
        let clusters = clusters.as_primitive::<Int32Type>();
        let mut verdicts = Verdicts::new(uids.len());
        let mut columns = COLUMNS.map(|_| StringBuilder::new());
        let mut rows = BTreeMap::<String, u64>::new();
        for row in 0..uids.len() {
            let said =
                (kept[row] && clusters.is_valid(row)).then(|| table.0.get(&clusters.value(row))).flatten();
            let Some(said) = said else {
                columns.iter_mut().for_each(StringBuilder::append_null);
                if kept[row] {
                    return Err(Error::bug(format!(
                        "row {row} of {} has no verdict",
                        context.shard_name(shard)
                    )));
                }
                continue;
            };
            let [verdict, title, category] = &mut columns;
            verdict.append_value(&said.verdict);
            title.append_option(said.title.as_deref());
            category.append_option(said.category.as_deref());
            *rows.entry(said.verdict.clone()).or_default() += 1;
            match said.keep {
                true => verdicts.keep(row),
                false => verdicts.drop(row, &said.reason),
            }
        }
        let columns: Vec<(Field, ArrayRef)> = COLUMNS
            .into_iter()
            .zip(&mut columns)
            .map(|(name, column)| {
                (Field::new(name, DataType::Utf8, true), Arc::new(column.finish()) as ArrayRef)
            })
            .collect();
        Ok(TaskOutput {
            bytes_written: context.write_verdicts(shard, &uids, &verdicts, columns, &[])?,
            counts: verdicts.counts().clone(),
            data: to_value(&rows)?,
            ..TaskOutput::default()
        })
    }
}

/// `verdicts.parquet` as rows need it.
struct Table(BTreeMap<i32, Said>);

struct Said {
    verdict: String,
    title: Option<String>,
    category: Option<String>,
    keep: bool,
    reason: Arc<str>,
}

impl Table {
    fn read(context: &StepContext<'_>) -> Result<Self> {
        let path = context.folder.join(write::VERDICTS);
        let text = |name: &str| -> Result<Vec<Option<String>>> {
            let column = texts(&read_column(&path, name)?)?;
            Ok(column.iter().map(|text| text.map(str::to_owned)).collect())
        };
        let (clusters, keep) = (read_column(&path, "cluster")?, read_column(&path, "keep")?);
        let (clusters, keep) = (clusters.as_primitive::<Int32Type>(), keep.as_boolean());
        let (verdicts, titles, categories, decided) =
            (text("verdict")?, text("title")?, text("category")?, text("decided_by")?);
        let mut rows = BTreeMap::new();
        let all = verdicts.into_iter().zip(titles).zip(categories).zip(decided);
        for (at, (((verdict, title), category), decided)) in all.enumerate() {
            let verdict = verdict.unwrap_or_default();
            let reason = decided.unwrap_or_else(|| format!("cluster judged {verdict}"));
            let said = Said { keep: keep.value(at), reason: reason.into(), verdict, title, category };
            rows.insert(clusters.value(at), said);
        }
        Ok(Self(rows))
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
                notes.extend(caller.check("a question a cluster")?);
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
            notes.push(format!("{} clusters follow a person's decision", summed.decided));
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
