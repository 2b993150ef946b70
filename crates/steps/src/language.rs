//! Step `language`: which language each caption is in, by fastText's model or by the detector inside the program. It judges nothing: its
//! columns are there for `filter`.
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use arrow::{
    array::{Array, ArrayRef, Float32Builder, StringBuilder},
    datatypes::{DataType, Field},
};
use cribble_core::{Error, LanguageOptions, Result};
use cribble_io::source::Dataset;
use cribble_models::{
    language::{Detector, Scratch},
    source::Blob,
};
use cribble_pipeline::{
    Parallel, PhaseSpec, Provides, Step, StepContext, TaskOutput, Unit, UnitKind, Verdicts,
};

use crate::{
    captions::{caption_column, texts},
    values::{from_value, to_value},
};

/// Captions read at once.
const BATCH_ROWS: usize = 8192;
/// Languages named in the report; the rest is summed up.
const MOST_NAMED: usize = 12;
const LANGUAGE: &str = "language";
const PROBABILITY: &str = "language_probability";

pub struct Language {
    options: LanguageOptions,
    detector: OnceLock<Detector>,
}

impl Language {
    pub fn new(options: LanguageOptions) -> Self {
        Self { options, detector: OnceLock::new() }
    }

    fn detector(&self) -> Result<&Detector> {
        if let Some(detector) = self.detector.get() {
            return Ok(detector);
        }
        let detector = match self.options.model.as_str() {
            "" => Detector::embedded(),
            path => Detector::open(path).map_err(|error| {
                Error::input(error.to_string()).with_hint(
                    "model is a fastText model such as lid.176.bin or lid.176.ftz; without it the program's own detector is used",
                )
            })?,
        };
        Ok(self.detector.get_or_init(|| detector))
    }

    fn column(&self, context: &StepContext<'_>) -> Result<String> {
        caption_column(context, &self.options.text, "")
    }
}

impl Step for Language {
    fn kind(&self) -> &'static str {
        "language"
    }

    fn check(&self, context: &StepContext<'_>) -> Result<Vec<String>> {
        let (column, detector) = (self.column(context)?, self.detector()?);
        let by =
            if self.options.model.is_empty() { "the program's own detector" } else { &self.options.model };
        Ok(vec![
            format!("languages of the column {column} by {by}, {} labels", detector.labels().len()),
            format!("columns {LANGUAGE} and {PROBABILITY}; nothing is dropped"),
        ])
    }

    fn provides(&self) -> Result<Provides> {
        Ok(Provides::columns(&[(LANGUAGE, DataType::Utf8), (PROBABILITY, DataType::Float32)]))
    }

    /// The bytes of the model's file.
    fn identity(&self, _dataset: &Dataset, _images: Option<&str>) -> Result<String> {
        if self.options.model.is_empty() {
            return Ok(String::new());
        }
        let hash = Blob::open(self.options.model.as_ref()).and_then(|blob| blob.blake3());
        let hash = hash.map_err(|error| {
            Error::input(error.to_string()).with_hint("model is a fastText model such as lid.176.bin")
        })?;
        Ok(hash.to_string())
    }

    fn phases(&self) -> Vec<PhaseSpec> {
        vec![PhaseSpec { name: "detect", unit: UnitKind::Shard, parallel: Parallel::Outer }]
    }

    fn run(&self, context: &StepContext<'_>, _phase: &str, shard: Unit) -> Result<TaskOutput> {
        let uids = context.uids(shard)?;
        let kept = context.kept(shard, &uids)?;
        let detector = self.detector()?;
        let labels = detector.labels();
        let mut counts = vec![0u64; labels.len()];
        let mut verdicts = Verdicts::new(uids.len());
        let (mut languages, mut probabilities) = (StringBuilder::new(), Float32Builder::new());
        let mut scratch = Scratch::default();
        let mut row = 0;
        for batch in context.columns(shard, &[self.column(context)?], BATCH_ROWS)? {
            context.cancel.check()?;
            let texts = texts(batch?.column(0))?;
            for place in 0..texts.len() {
                let judged = kept[row] && texts.is_valid(place);
                let found = judged.then(|| detector.predict(texts.value(place), &mut scratch));
                if let Some(found) = found {
                    counts[found.label] += 1;
                }
                languages.append_option(found.map(|found| labels[found.label].as_str()));
                probabilities.append_option(found.map(|found| found.probability));
                if kept[row] {
                    verdicts.keep(row);
                }
                row += 1;
            }
        }
        let columns: Vec<(Field, ArrayRef)> = vec![
            (Field::new(LANGUAGE, DataType::Utf8, true), Arc::new(languages.finish())),
            (Field::new(PROBABILITY, DataType::Float32, true), Arc::new(probabilities.finish())),
        ];
        let by_name: BTreeMap<&str, u64> =
            labels.iter().map(String::as_str).zip(counts).filter(|(_, count)| *count > 0).collect();
        Ok(TaskOutput {
            bytes_written: context.write_verdicts(shard, &uids, &verdicts, columns, &[])?,
            counts: verdicts.counts(),
            data: to_value(&by_name)?,
            ..TaskOutput::default()
        })
    }

    fn closing_notes(&self, outputs: &[(String, Vec<TaskOutput>)]) -> Vec<String> {
        let mut sum = BTreeMap::<String, u64>::new();
        for output in outputs.iter().flat_map(|(_, outputs)| outputs) {
            let Ok(part) = from_value::<BTreeMap<String, u64>>(output.data.clone()) else {
                return Vec::new();
            };
            for (language, count) in part {
                *sum.entry(language).or_default() += count;
            }
        }
        let total: u64 = sum.values().sum();
        if total == 0 {
            return vec!["no captions, so no languages".into()];
        }
        let mut sorted: Vec<(String, u64)> = sum.into_iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let share = |count: u64| count as f64 / total as f64 * 100.0;
        let mut parts: Vec<String> = sorted
            .iter()
            .take(MOST_NAMED)
            .map(|(language, count)| format!("{language} {count} ({:.1}%)", share(*count)))
            .collect();
        let rest: u64 = sorted.iter().skip(MOST_NAMED).map(|(_, count)| count).sum();
        if rest > 0 {
            parts.push(format!("{} more languages {rest} ({:.1}%)", sorted.len() - MOST_NAMED, share(rest)));
        }
        vec![format!("languages of {total} captions: {}", parts.join(", "))]
    }
}
