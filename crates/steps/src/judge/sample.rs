//! The first phase: one pass over a shard's captions, scores and languages, beside the clusters of its rows.
use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Float32Type, Int32Type},
};
use cribble_core::{Error, Result};
use cribble_models::language::{Detector, Scratch};
use cribble_pipeline::{GlobalRow, StepContext, TaskOutput, Unit};

use super::{
    BATCH_ROWS, Judge,
    gather::{self, Fact, Gathered},
    junk,
};
use crate::captions::{caption_column, texts};

/// Columns with a CLIP score, first choice first.
const SCORES: [&str; 3] = ["clip_score", "clip_l14_similarity_score", "clip_b32_similarity_score"];

impl Judge {
    /// The column with scores: the one that is named, or a known one that there is.
    pub(super) fn score_column(&self, context: &StepContext<'_>) -> Result<Option<String>> {
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

    /// Notes what a shard has to offer of each cluster.
    pub(super) fn sample(&self, context: &StepContext<'_>, shard: Unit) -> Result<TaskOutput> {
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
}
