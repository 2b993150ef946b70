//! Phase `score`: a shard's captions through the text encoder, block by block on all threads. What a caption scores does not depend on what
//! else is in its batch, so neither batch nor threads are to be seen in the result.
use arrow::array::{Array, StringArray};
use cribble_core::{Error, Result};
use cribble_math::RowState;
use cribble_models::{TextTower, Tokens};
use cribble_pipeline::{
    StepContext, TaskOutput, resident_memory,
    vectors::{block_rows, fault, for_blocks},
};
use rayon::prelude::*;

use super::{
    Referee, USUAL_SCALE,
    scores::{Fault, Fit, Scale, Scores},
};
use crate::{captions::texts, encoder::cosine};

/// Rows of a piece of work.
const PIECE_ROWS: usize = 32;
/// Texts encoded at once on a thread.
const BATCH: usize = 64;
/// Windows of one caption that are looked at, some 10,000 tokens of CLIP: what is longer is no caption, and must not cost a night.
const MOST_WINDOWS: usize = 256;
/// Fixed costs: buffers of readers and writers, blocks of vectors and captions.
const FIXED: u64 = 64 << 20;

impl Referee {
    pub(super) fn score(&self, context: &StepContext<'_>, shard: u32) -> Result<TaskOutput> {
        let uids = context.uids(shard)?;
        let kept = context.kept(shard, &uids)?;
        let label = format!("{} ({} of {})", context.shard_name(shard), shard + 1, context.shards());
        context.progress.begin(&label, kept.iter().filter(|&&kept| kept).count() as u64, "samples");
        let output = self.score_rows(context, shard, &kept);
        context.progress.end();
        output
    }

    fn score_rows(&self, context: &StepContext<'_>, shard: u32, kept: &[bool]) -> Result<TaskOutput> {
        let plan = self.plan(context)?;
        let model = self.encoder()?.open()?;
        let tower = model.texts()?;
        self.require_room(context, tower)?;
        let mut scores = Scores::new(kept.len(), plan.columns.len());
        let mut captions =
            context.columns(shard, &plan.columns, block_rows(plan.embedding.info.dim).min(kept.len()))?;
        let mut bytes_read = 0;
        for_blocks(context, &plan.embedding, shard, |start, vectors, states| {
            let batch = captions.next().ok_or_else(|| Error::bug("captions end before the rows do"))??;
            if batch.num_rows() != states.len() {
                return Err(Error::bug("blocks of captions and of vectors differ"));
            }
            bytes_read += (batch.get_array_memory_size() + size_of_val(vectors)) as u64;
            let block = Block {
                tower,
                dim: plan.embedding.info.dim,
                embedding: &plan.embedding.info.name,
                vectors,
                states,
                names: &plan.columns,
                captions: batch.columns().iter().map(texts).collect::<Result<_>>()?,
            };
            let rows: Vec<usize> = (0..states.len()).filter(|&row| kept[start + row]).collect();
            let done = rows.par_chunks(PIECE_ROWS).with_max_len(1).map(|rows| {
                context.cancel.check()?;
                let scored = block.score(rows)?;
                context.progress.advance(rows.len() as u64);
                Ok(scored)
            });
            for (&row, scored) in rows.iter().zip(done.collect::<Result<Vec<_>>>()?.into_iter().flatten()) {
                scores.set(start + row, scored);
            }
            Ok(())
        })?;
        scores.write(context, shard)?;
        let scale = model.logit_scale();
        Scale { value: scale.unwrap_or(USUAL_SCALE), is_assumed: scale.is_none() }.write(context)?;
        Ok(TaskOutput { bytes_read, ..TaskOutput::default() })
    }

    fn require_room(&self, context: &StepContext<'_>, tower: &TextTower) -> Result<()> {
        let (used, each) = (resident_memory() + FIXED, tower.scratch_bytes() as u64);
        if context.memory.saturating_sub(used) / context.threads.max(1) as u64 >= each {
            return Ok(());
        }
        Err(Error::input(format!(
            "{} does not fit below --memory: {} MB with the model, {} MB for each of {} threads, the ceiling is {} MB",
            self.encoder()?.name(),
            used.div_ceil(1 << 20),
            each.div_ceil(1 << 20),
            context.threads,
            context.memory >> 20
        ))
        .with_hint("raise --memory, lower --threads, or take a smaller model"))
    }
}

/// Rows whose images and captions are at hand.
struct Block<'a> {
    tower: &'a TextTower,
    dim: usize,
    embedding: &'a str,
    /// Unit rows of the images.
    vectors: &'a [f32],
    states: &'a [RowState],
    names: &'a [String],
    captions: Vec<StringArray>,
}

/// A window of a caption that waits for the encoder.
struct Waiting {
    place: usize,
    column: usize,
    is_first: bool,
}

/// What a row's captions score; none for columns without a caption.
pub type Scored = Result<Vec<Option<Fit>>, Fault>;

impl Block<'_> {
    /// Scores rows of the block, in their order. Fails only when something other than a row is at fault.
    fn score(&self, rows: &[usize]) -> Result<Vec<Scored>> {
        let mut scored: Vec<Scored> = rows.iter().map(|&row| self.begin(row)).collect();
        let (mut waiting, mut tokens) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        for (place, &row) in rows.iter().enumerate() {
            for column in 0..self.captions.len() {
                if !matches!(&scored[place], Ok(fits) if fits[column].is_some()) {
                    continue;
                }
                let windows = match self.tower.tokenizer().windows(self.captions[column].value(row)) {
                    Ok(windows) => windows,
                    Err(error) => {
                        scored[place] =
                            Err(Fault::new("bad_caption", format!("{}: {error}", self.names[column])));
                        break;
                    }
                };
                if let (Ok(fits), Some(first)) = (&mut scored[place], windows.first()) {
                    fits[column] = Some(Fit { is_cut: first.cut > 0, ..Fit::NONE });
                }
                for (window, text) in windows.into_iter().take(MOST_WINDOWS).enumerate() {
                    waiting.push(Waiting { place, column, is_first: window == 0 });
                    tokens.push(text);
                    if tokens.len() == BATCH {
                        self.encode(rows, &mut waiting, &mut tokens, &mut scored)?;
                    }
                }
            }
        }
        self.encode(rows, &mut waiting, &mut tokens, &mut scored)?;
        Ok(scored)
    }

    /// A row before its captions are read: an error, or a place for each caption that there is. A blank caption is none.
    fn begin(&self, row: usize) -> Scored {
        if let Some((code, message)) = fault(self.states[row], self.embedding) {
            return Err(Fault::new(code, message));
        }
        let has = |column: &StringArray| column.is_valid(row) && !column.value(row).trim().is_empty();
        let fits: Vec<Option<Fit>> =
            self.captions.iter().map(|column| has(column).then_some(Fit::NONE)).collect();
        if fits.iter().all(Option::is_none) {
            return Err(Fault::new("no_caption", format!("no caption in {}", self.names.join(", "))));
        }
        Ok(fits)
    }

    /// Encodes what waits, and enters the cosines.
    fn encode(
        &self,
        rows: &[usize],
        waiting: &mut Vec<Waiting>,
        tokens: &mut Vec<Tokens>,
        scored: &mut [Scored],
    ) -> Result<()> {
        let vectors = self.tower.encode(tokens)?;
        if vectors.len() != waiting.len() * self.dim {
            return Err(Error::bug(format!("{} numbers for {} texts", vectors.len(), waiting.len())));
        }
        tokens.clear();
        for (window, vector) in waiting.drain(..).zip(vectors.chunks_exact(self.dim)) {
            let row = rows[window.place];
            let Ok(fits) = &mut scored[window.place] else { continue };
            // The encoder answers with zeros where it came to no finite numbers.
            if vector.iter().all(|&value| value == 0.0) {
                let name = &self.names[window.column];
                let message = format!("{name}: the encoder gave a vector without a direction");
                scored[window.place] = Err(Fault::new("zero_vector", message));
                continue;
            }
            let image = &self.vectors[row * self.dim..(row + 1) * self.dim];
            if let Some(fit) = &mut fits[window.column] {
                fit.add(cosine(image, vector), window.is_first);
            }
        }
        Ok(())
    }
}
