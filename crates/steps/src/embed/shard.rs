//! One shard: blocks of rows are cut into batches, the batches go to the threads, and their vectors are appended in row order. Memory is a block
//! of vectors and a batch of pixels a thread, however many rows the shard has.
use std::{collections::BTreeMap, sync::Arc, sync::Mutex};

use arrow::{
    array::{ArrayRef, Float32Builder, Int32Builder},
    datatypes::{DataType, Field},
};
use cribble_core::{PixelMode, Result, Uid};
use cribble_io::npy::{ElementType, NpyWriter};
use cribble_models::Model;
use cribble_pipeline::{ErrorRow, StepContext, TaskOutput, Verdicts};
use cribble_pixels::Mode;
use half::f16;
use rayon::prelude::*;

use super::{
    Embed, Plan, TOKENS_CUT, Tally,
    batch::{Encoders, Outcome},
    memory::Sizes,
};
use crate::{
    sample_rows::{Rows, Sample, block_end},
    values::to_value,
};

/// Batches a thread in a block: at its end threads wait for the last one, so more batches waste less.
const BATCHES: usize = 16;
/// The same where a block holds the bytes of its images.
const BATCHES_WITH_BYTES: usize = 2;

/// The array of one tower, growing row by row.
struct Output {
    file: NpyWriter,
    zero: Vec<f16>,
}

impl Output {
    fn create(context: &StepContext<'_>, name: &str, shard: u32, dim: usize) -> Result<Self> {
        let path = context.embedding_folder(name).join(format!("{}.npy", context.shard_name(shard)));
        let file = NpyWriter::create(path, ElementType::F16, Some(dim as u64))?;
        Ok(Self { file, zero: vec![f16::ZERO; dim] })
    }

    fn push(&mut self, vector: Option<&[f16]>) -> Result<()> {
        Ok(self.file.write(vector.unwrap_or(&self.zero))?)
    }
}

/// What the step's table gets, row by row.
struct Columns {
    verdicts: Verdicts,
    scores: Float32Builder,
    cuts: Int32Builder,
    errors: Vec<ErrorRow>,
    tally: Tally,
    codes: BTreeMap<&'static str, Arc<str>>,
}

impl Embed {
    pub(super) fn embed(&self, context: &StepContext<'_>, shard: u32) -> Result<TaskOutput> {
        let uids = context.uids(shard)?;
        let kept = context.kept(shard, &uids)?;
        let label = format!("{} ({} of {})", context.shard_name(shard), shard + 1, context.shards());
        // A task of many minutes: its samples are counted below the count of tasks.
        context.progress.begin(&label, kept.iter().filter(|&&kept| kept).count() as u64, "samples");
        let output = self.embed_rows(context, shard, &uids, &kept);
        context.progress.end();
        output
    }

    fn embed_rows(
        &self,
        context: &StepContext<'_>,
        shard: u32,
        uids: &[Uid],
        kept: &[bool],
    ) -> Result<TaskOutput> {
        let plan = self.plan(context)?;
        let model = self.model()?;
        let sizes = self.sizes(context, &model)?;
        let encoders = self.encoders(context, &plan, &model, sizes)?;
        let output = |wanted: bool, name: String| {
            wanted.then(|| Output::create(context, &name, shard, model.dim())).transpose()
        };
        let mut images = output(plan.image.is_some(), self.options.image_name())?;
        let mut texts = output(plan.text.is_some(), self.options.text_name())?;
        let mut rows = Rows::open(context, plan.image, plan.text.as_deref(), shard)?;
        let batches = if rows.hold_bytes() { BATCHES_WITH_BYTES } else { BATCHES };
        let mut columns = Columns::new(uids.len());
        let (mut start, mut bytes_read) = (0, 0);
        while start < uids.len() {
            let block = start..block_end(kept, start, context.threads * sizes.batch * batches);
            let samples = rows.next(start, &uids[block.clone()], &kept[block.clone()])?;
            let mut done = encode(context, &encoders, samples, sizes.batch)?.into_iter().peekable();
            for row in block.clone() {
                let outcome = done.next_if(|outcome| outcome.row == row);
                bytes_read += outcome.as_ref().map_or(0, |outcome| outcome.bytes);
                let vectors = outcome.as_ref().and_then(|outcome| outcome.result.as_ref().ok());
                if let Some(output) = &mut images {
                    output.push(vectors.map(|vectors| vectors.image.as_slice()))?;
                }
                if let Some(output) = &mut texts {
                    output.push(vectors.map(|vectors| vectors.text.as_slice()))?;
                }
                columns.push(context, shard, uids, row, outcome);
            }
            start = block.end;
        }
        let mut bytes_written = 0;
        for output in images.into_iter().chain(texts) {
            bytes_written += output.file.finish()? * (model.dim() * size_of::<f16>()) as u64;
        }
        let mut output = columns.finish(self, context, shard, uids, &plan)?;
        output.bytes_read += bytes_read;
        output.bytes_written += bytes_written;
        Ok(output)
    }

    fn encoders<'a>(
        &self,
        context: &'a StepContext<'_>,
        plan: &Plan,
        model: &'a Model,
        sizes: Sizes,
    ) -> Result<Encoders<'a>> {
        Ok(Encoders {
            storage: context.dataset.storage(),
            images: plan.image.map(|_| model.images()).transpose()?,
            texts: plan.text.as_ref().map(|_| model.texts()).transpose()?,
            dim: model.dim(),
            mode: match self.options.preprocess {
                PixelMode::Exact => Mode::Exact,
                PixelMode::Fast => Mode::Fast,
            },
            max_pixels: self.options.max_pixels,
            calm_pixels: sizes.calm_pixels,
            huge: Mutex::new(()),
            desks: Mutex::new(Vec::new()),
        })
    }
}

/// The samples of a block on all threads; the outcomes by row.
fn encode(
    context: &StepContext<'_>,
    encoders: &Encoders<'_>,
    samples: Vec<Sample>,
    batch: usize,
) -> Result<Vec<Outcome>> {
    let done = samples
        .par_chunks(even(samples.len(), batch, context.threads))
        .with_max_len(1)
        .map(|samples| {
            context.cancel.check()?;
            let outcomes = encoders.embed(samples)?;
            context.progress.advance(samples.len() as u64);
            Ok(outcomes)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut done: Vec<Outcome> = done.into_iter().flatten().collect();
    done.sort_unstable_by_key(|outcome| outcome.row);
    Ok(done)
}

impl Columns {
    fn new(rows: usize) -> Self {
        Self {
            verdicts: Verdicts::new(rows),
            scores: Float32Builder::with_capacity(rows),
            cuts: Int32Builder::with_capacity(rows),
            errors: Vec::new(),
            tally: Tally::default(),
            codes: BTreeMap::new(),
        }
    }

    fn push(
        &mut self,
        context: &StepContext<'_>,
        shard: u32,
        uids: &[Uid],
        row: usize,
        outcome: Option<Outcome>,
    ) {
        let (mut score, mut cut) = (None, None);
        match outcome.map(|outcome| outcome.result) {
            // An earlier step dropped the row.
            None => {}
            Some(Ok(vectors)) => {
                self.verdicts.keep(row);
                (score, cut) = (vectors.score, Some(vectors.cut as i32));
                self.tally.images += u64::from(!vectors.image.is_empty());
                self.tally.texts += u64::from(!vectors.text.is_empty());
                self.tally.cut += u64::from(vectors.cut > 0);
                if let Some(score) = vectors.score {
                    self.tally.add_score(score);
                }
            }
            Some(Err(fault)) => {
                let code = self.codes.entry(fault.code).or_insert_with(|| fault.code.into());
                self.verdicts.error(row, code);
                self.errors.push(context.error_row(uids[row], shard, row, fault.code, fault.message));
            }
        }
        self.scores.append_option(score);
        self.cuts.append_option(cut);
    }

    fn finish(
        mut self,
        step: &Embed,
        context: &StepContext<'_>,
        shard: u32,
        uids: &[Uid],
        plan: &Plan,
    ) -> Result<TaskOutput> {
        let mut columns: Vec<(Field, ArrayRef)> = Vec::new();
        if plan.image.is_some() && plan.text.is_some() {
            let field = Field::new(&step.options.score, DataType::Float32, true);
            columns.push((field, Arc::new(self.scores.finish())));
        }
        if plan.text.is_some() {
            columns.push((Field::new(TOKENS_CUT, DataType::Int32, true), Arc::new(self.cuts.finish())));
        }
        Ok(TaskOutput {
            bytes_written: context.write_verdicts(shard, uids, &self.verdicts, columns, &self.errors)?,
            counts: self.verdicts.counts(),
            data: to_value(&self.tally)?,
            ..TaskOutput::default()
        })
    }
}

/// Samples of a batch: so that a last or small block still has work for every thread.
fn even(samples: usize, batch: usize, threads: usize) -> usize {
    let rounds = samples.div_ceil(batch * threads).max(1);
    samples.div_ceil(rounds * threads).clamp(1, batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_even() {
        assert_eq!((even(1024, 32, 2), even(40, 32, 2), even(3, 32, 2), even(0, 32, 2)), (32, 20, 2, 1));
        assert_eq!((even(65, 32, 2), even(1, 1, 16)), (17, 1));
    }
}
