//! The captions of one shard, row by row, until all are there; then the step's table, and the sums for the report. `caption` and `rewrite`
//! differ in what they ask and agree in everything here.
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use arrow::{
    array::{Array, ArrayRef, StringBuilder},
    datatypes::{DataType, Field},
};
use cribble_chat::{Outcome, Stop, Summary};
use cribble_core::{
    CaptionDetails, CaptionExample, CaptionOptions, ChatUsage, Error, Result, RewriteOptions, Uid, Unsure,
};
use cribble_models::language::{Detector, Scratch, UNDETERMINED};
use cribble_pipeline::{StepContext, StepRef, TaskOutput, Verdicts};
use serde::{Deserialize, Serialize};

use super::text::{self, Clean};
use crate::{
    calls::{MissingList, add_usage, fail_on_missing, usage_note},
    captions::texts,
    values::{from_value, to_value},
};

/// The call failed, and nobody answered.
pub const MISSING: &str = "missing";
/// Reason of rows that `missing = "drop"` drops.
const NO_ANSWER: &str = "no caption was made";
/// Before and after, in the report.
const EXAMPLES: usize = 12;
/// Rows of captions read at once, when examples are looked up.
const BATCH_ROWS: usize = 4096;

/// What a column of new captions must be.
pub struct Column {
    pub name: String,
    pub strip: bool,
    min_chars: u32,
    max_chars: u32,
    language: String,
    missing: Unsure,
    detector: OnceLock<Detector>,
}

impl From<&CaptionOptions> for Column {
    fn from(options: &CaptionOptions) -> Self {
        Self {
            name: options.column.clone(),
            strip: options.strip_lead_in,
            min_chars: options.min_chars,
            max_chars: options.max_chars,
            language: options.language.clone(),
            missing: options.missing,
            detector: OnceLock::new(),
        }
    }
}

impl From<&RewriteOptions> for Column {
    fn from(options: &RewriteOptions) -> Self {
        Self {
            name: options.column.clone(),
            strip: options.strip_lead_in,
            min_chars: options.min_chars,
            max_chars: options.max_chars,
            language: options.language.clone(),
            missing: options.missing,
            detector: OnceLock::new(),
        }
    }
}

impl Column {
    /// The two columns of the step's table: the caption, and what became of the row.
    pub fn fields(&self) -> [(String, DataType); 2] {
        [(self.name.clone(), DataType::Utf8), (self.state(), DataType::Utf8)]
    }

    /// The column that says what became of a row: `state_vlm` beside `caption_vlm`. Not `caption_…`: what is called so is a caption.
    fn state(&self) -> String {
        format!("state_{}", self.name.strip_prefix("caption_").unwrap_or(&self.name))
    }

    /// The name is free and the language one that the detector knows.
    pub fn check(&self, context: &StepContext<'_>) -> Result<String> {
        let mut hidden = Vec::new();
        for (name, _) in self.fields() {
            let of_step = |step: &StepRef| step.provides.columns.iter().any(|field| field.name() == &name);
            if context.dataset.schema().field_with_name(&name).is_ok() {
                // Tars that an earlier run wrote have its captions; a second run of the recipe makes them again, from known answers.
                hidden.push(name.clone());
            }
            if context.before.iter().any(of_step) {
                return Err(Error::usage(format!("there is a column {name} already"))
                    .with_hint("give this one a name of its own: column = \"…\" (--column)"));
            }
        }
        let mut note = format!(
            "columns {} and {}; captions of {} to {} characters",
            self.name,
            self.state(),
            self.min_chars,
            self.max_chars
        );
        if !hidden.is_empty() {
            note += &format!("; {} of the input is not used", hidden.join(" and "));
        }
        if !self.language.is_empty() {
            let labels = self.detector().labels();
            if !labels.contains(&self.language) {
                return Err(Error::usage(format!(
                    "language = \"{}\" is none that can be told",
                    self.language
                ))
                .with_hint(format!("the detector tells {}", labels.join(", "))));
            }
            note += &format!(" in {}", self.language);
        }
        Ok(note)
    }

    fn detector(&self) -> &Detector {
        self.detector.get_or_init(Detector::embedded)
    }

    /// Lengths and language. What is too short for the detector to tell is let pass.
    fn judge(&self, clean: Clean, scratch: &mut Scratch) -> Result<Clean, &'static str> {
        let chars = clean.text.chars().count();
        if chars < self.min_chars as usize {
            return Err(text::TOO_SHORT);
        }
        if chars > self.max_chars as usize {
            return Err(text::TOO_LONG);
        }
        if !self.language.is_empty() {
            let detector = self.detector();
            let found = &detector.labels()[detector.predict(&clean.text, scratch).label];
            if *found != self.language && found != UNDETERMINED {
                return Err(text::WRONG_LANGUAGE);
            }
        }
        Ok(clean)
    }
}

/// The captions of a shard, in the making.
pub struct Sheet<'a> {
    column: &'a Column,
    /// Of each row that was asked for: the caption, or the word for why not.
    rows: Vec<Option<Result<Clean, &'static str>>>,
    /// Why answers are missing, by row.
    unanswered: BTreeMap<usize, String>,
    scratch: Scratch,
}

impl<'a> Sheet<'a> {
    pub fn new(column: &'a Column, rows: usize) -> Self {
        let rows = std::iter::repeat_with(|| None).take(rows).collect();
        Self { column, rows, unanswered: BTreeMap::new(), scratch: Scratch::default() }
    }

    /// A row that has no caption, and the word for why.
    pub fn without(&mut self, row: usize, state: &'static str) {
        self.rows[row] = Some(Err(state));
    }

    /// A caption, or why there is none.
    pub fn put(&mut self, row: usize, clean: Result<Clean, &'static str>) {
        self.rows[row] = Some(clean.and_then(|clean| self.column.judge(clean, &mut self.scratch)));
    }

    /// What the model said of a row.
    pub fn answer(&mut self, row: usize, outcome: Outcome) {
        match outcome {
            Outcome::Answered(answers) => {
                let clean = answers.first().ok_or(text::EMPTY).and_then(|answer| {
                    text::from_answer(&answer.text, answer.finish.as_deref(), self.column.strip)
                });
                self.put(row, clean);
            }
            Outcome::Missing { why, .. } => {
                self.without(row, MISSING);
                self.unanswered.insert(row, why.to_string());
            }
        }
    }

    /// Writes the list of what is missing, and fails where the recipe will not do without. A server that refuses every call (no key, no
    /// such model) is a failure whatever the recipe says: going on would leave no row with a caption.
    pub fn settle(
        &self,
        context: &StepContext<'_>,
        shard: u32,
        uids: &[Uid],
        summary: &Summary,
    ) -> Result<()> {
        let mut list = MissingList::default();
        for (&row, why) in &self.unanswered {
            list.push(uids[row].to_string(), why.clone());
        }
        let path = list.write(context, Some(shard), "uid")?;
        let fails = self.column.missing == Unsure::Fail || matches!(summary.stop, Some(Stop::Refused(_)));
        if list.is_empty() || !fails {
            Ok(())
        } else {
            Err(fail_on_missing(&list, "samples", &path, summary))
        }
    }

    /// The step's table of the shard. `original` is the column that examples are shown with.
    pub fn write(
        self,
        context: &StepContext<'_>,
        shard: u32,
        uids: &[Uid],
        original: Option<&str>,
        usage: Option<ChatUsage>,
    ) -> Result<TaskOutput> {
        let mut verdicts = Verdicts::new(uids.len());
        let (mut captions, mut states) = (StringBuilder::new(), StringBuilder::new());
        let mut tally = Tally { usage, ..Tally::default() };
        let no_answer: Arc<str> = NO_ANSWER.into();
        for (row, entry) in self.rows.iter().enumerate() {
            let caption = entry.as_ref().and_then(|entry| entry.as_ref().ok());
            let state = entry.as_ref().map(|entry| *entry.as_ref().err().unwrap_or(&text::OK));
            captions.append_option(caption.map(|clean| clean.text.as_str()));
            states.append_option(state);
            match state {
                // An earlier step dropped the row.
                None => continue,
                Some(MISSING) if self.column.missing == Unsure::Drop => verdicts.drop(row, &no_answer),
                Some(_) => verdicts.keep(row),
            }
            tally.add(state.unwrap_or_default(), caption);
        }
        tally.examples = self.examples(context, shard, uids, original)?;
        let arrays: [ArrayRef; 2] = [Arc::new(captions.finish()), Arc::new(states.finish())];
        let fields = self.column.fields().map(|(name, kind)| Field::new(name, kind, true));
        let columns = fields.into_iter().zip(arrays).collect();
        Ok(TaskOutput {
            bytes_written: context.write_verdicts(shard, uids, &verdicts, columns, &[])?,
            counts: verdicts.counts(),
            data: to_value(&tally)?,
            ..TaskOutput::default()
        })
    }

    /// The first captions, with what they replace.
    fn examples(
        &self,
        context: &StepContext<'_>,
        shard: u32,
        uids: &[Uid],
        original: Option<&str>,
    ) -> Result<Vec<CaptionExample>> {
        let made = self.rows.iter().enumerate().filter_map(|(row, entry)| {
            let clean = entry.as_ref()?.as_ref().ok()?;
            Some((
                row,
                CaptionExample {
                    uid: uids[row].to_string(),
                    after: clean.text.clone(),
                    ..CaptionExample::default()
                },
            ))
        });
        let mut examples: Vec<(usize, CaptionExample)> = made.take(EXAMPLES).collect();
        let (Some(original), Some(&(last, _))) = (original, examples.last()) else {
            return Ok(examples.into_iter().map(|(_, example)| example).collect());
        };
        let mut start = 0;
        for batch in context.columns(shard, &[original.into()], BATCH_ROWS)? {
            let texts = texts(batch?.column(0))?;
            for (row, example) in &mut examples {
                if let Some(at) = row.checked_sub(start).filter(|&at| at < texts.len() && texts.is_valid(at))
                {
                    example.before = texts.value(at).into();
                }
            }
            start += texts.len();
            if start > last {
                break;
            }
        }
        Ok(examples.into_iter().map(|(_, example)| example).collect())
    }
}

/// Sums of a shard, for the report.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Tally {
    states: BTreeMap<String, u64>,
    stripped: u64,
    chars: u64,
    words: u64,
    examples: Vec<CaptionExample>,
    usage: Option<ChatUsage>,
}

impl Tally {
    fn add(&mut self, state: &str, caption: Option<&Clean>) {
        *self.states.entry(state.into()).or_default() += 1;
        if let Some(Clean { text, stripped }) = caption {
            self.stripped += u64::from(*stripped);
            self.chars += text.chars().count() as u64;
            self.words += text.split_whitespace().count() as u64;
        }
    }

    fn merge(&mut self, part: Self) {
        part.states.into_iter().for_each(|(state, rows)| *self.states.entry(state).or_default() += rows);
        self.stripped += part.stripped;
        self.chars += part.chars;
        self.words += part.words;
        let room = EXAMPLES - self.examples.len();
        self.examples.extend(part.examples.into_iter().take(room));
        if let Some(usage) = part.usage {
            add_usage(self.usage.get_or_insert_default(), &usage);
        }
    }
}

/// The report's figures, from the tasks of `phase`.
pub fn details(
    outputs: &[(String, Vec<TaskOutput>)],
    phase: &str,
    column: &Column,
    by: &str,
    prompt: &str,
) -> Result<CaptionDetails> {
    let mut sum = Tally::default();
    for output in outputs.iter().filter(|(name, _)| name == phase).flat_map(|(_, outputs)| outputs) {
        sum.merge(from_value(output.data.clone())?);
    }
    let made = sum.states.get(text::OK).copied().unwrap_or_default();
    let mean = |sum: u64| if made > 0 { sum as f64 / made as f64 } else { 0.0 };
    Ok(CaptionDetails {
        column: column.name.clone(),
        by: by.into(),
        prompt: prompt.into(),
        stripped: sum.stripped,
        mean_chars: mean(sum.chars),
        mean_words: mean(sum.words),
        states: sum.states,
        examples: sum.examples,
        usage: sum.usage,
    })
}

/// Sentences for the report.
pub fn notes(details: &CaptionDetails) -> Vec<String> {
    let rows: u64 = details.states.values().sum();
    let made = details.states.get(text::OK).copied().unwrap_or_default();
    let mut note = format!("{made} of {rows} rows have a caption by {} in {}", details.by, details.column);
    let mut others: Vec<(&str, u64)> = details
        .states
        .iter()
        .filter(|(state, _)| *state != text::OK)
        .map(|(state, &rows)| (state.as_str(), rows))
        .collect();
    others.sort_by_key(|&(_, rows)| std::cmp::Reverse(rows));
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(|(state, rows)| format!("{state} {rows}")).collect();
        note += &format!("; {}", others.join(", "));
    }
    let mut notes = vec![note];
    if details.stripped > 0 {
        notes.push(format!(
            "{} began with an opening such as \"The image shows\", which was taken away",
            details.stripped
        ));
    }
    notes.extend(details.usage.as_ref().map(usage_note));
    notes
}
