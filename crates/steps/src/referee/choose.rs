//! Phase `choose`: the step's table of a shard.
use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, Float32Builder, StringBuilder},
    datatypes::Field,
};
use cribble_core::{Error, RefereePolicy, Result};
use cribble_pipeline::{StepContext, TaskOutput, Verdicts};

use super::{
    BEST, Referee,
    policy::{choose, probability},
    scores::{Fit, Scale, Scores},
    tally::Tally,
    threshold::Threshold,
};
use crate::{captions::texts, values::to_value};

/// Captions read at once.
const BATCH_ROWS: usize = 8192;

impl Referee {
    pub(super) fn choose(&self, context: &StepContext<'_>, shard: u32) -> Result<TaskOutput> {
        let uids = context.uids(shard)?;
        let plan = self.plan(context)?;
        let scores = Scores::read(context, shard, plan.columns.len())?;
        if scores.rows.len() != uids.len() {
            return Err(Error::bug(format!("{}: scores of other rows", context.shard_name(shard))));
        }
        let scale = Scale::read(context)?;
        let threshold = match self.options.policy {
            RefereePolicy::Threshold => Threshold::read(context)?,
            _ => Threshold::default(),
        };
        let originals = scores.rows.iter().map(|row| row.as_ref()?.as_ref().ok()?[0].map(|fit| fit.sim));
        let is_top = threshold.tops(shard, originals);
        let below: Arc<str> =
            threshold.value.map_or_else(String::new, |value| format!("below the threshold {value}")).into();
        let poor: Arc<str> = format!("{} < {}", BEST[2], self.options.min_sim).into();
        let mut codes: BTreeMap<String, Arc<str>> = BTreeMap::new();
        let mut verdicts = Verdicts::new(uids.len());
        let (mut errors, mut tally) = (Vec::new(), Tally::new(plan.columns.len(), scale));
        let (mut chosen, mut figures) = (vec![None; uids.len()], Figures::new(plan.columns.len()));
        for (row, scored) in scores.rows.iter().enumerate() {
            let fits = match scored {
                Some(Ok(fits)) => Some(fits),
                Some(Err(fault)) => {
                    let code = codes.entry(fault.code.clone()).or_insert_with(|| fault.code.as_str().into());
                    verdicts.error(row, code);
                    errors.push(context.error_row(uids[row], shard, row, &fault.code, &fault.message));
                    None
                }
                // An earlier step dropped the row.
                None => None,
            };
            figures.push(fits.map(Vec::as_slice), scale);
            let Some(fits) = fits else { continue };
            let sims: Vec<Option<f32>> = fits.iter().map(|fit| fit.map(|fit| fit.sim)).collect();
            let place = choose(&self.options, &sims, uids[row], is_top[row], threshold.value);
            chosen[row] = place.and_then(|place| Some((place, sims[place]?)));
            match chosen[row] {
                None => verdicts.drop(row, &below),
                Some((_, sim)) if self.options.min_sim > -1.0 && f64::from(sim) < self.options.min_sim => {
                    verdicts.drop(row, &poor);
                }
                Some(_) => verdicts.keep(row),
            }
            tally.add(fits, place, verdicts.state(row) == Some(true));
        }
        let mut columns = figures.finish();
        columns.extend(best(context, shard, &plan.columns, &chosen)?);
        let fields = self.columns()?.into_iter().map(|(name, kind)| Field::new(name, kind, true));
        let columns = fields.zip(columns).collect();
        Ok(TaskOutput {
            bytes_written: context.write_verdicts(shard, &uids, &verdicts, columns, &errors)?,
            counts: verdicts.counts(),
            data: to_value(&tally)?,
            ..TaskOutput::default()
        })
    }
}

/// The columns with figures, row by row.
struct Figures {
    /// Of each caption: similarity, that of its best window, and, but for the original, its probability.
    captions: Vec<[Float32Builder; 3]>,
}

impl Figures {
    fn new(columns: usize) -> Self {
        Self { captions: (0..columns).map(|_| std::array::from_fn(|_| Float32Builder::new())).collect() }
    }

    fn push(&mut self, fits: Option<&[Option<Fit>]>, scale: Scale) {
        let original = fits.and_then(|fits| fits[0]);
        for (place, [sim, window, prob]) in self.captions.iter_mut().enumerate() {
            let fit = fits.and_then(|fits| fits[place]);
            sim.append_option(fit.map(|fit| fit.sim));
            window.append_option(fit.map(|fit| fit.window));
            let both = fit.zip(original);
            prob.append_option(both.map(|(fit, original)| probability(scale.value, fit.sim, original.sim)));
        }
    }

    fn finish(self) -> Vec<ArrayRef> {
        let arrays = self
            .captions
            .into_iter()
            .enumerate()
            .flat_map(|(place, builders)| builders.into_iter().take(if place == 0 { 2 } else { 3 }));
        arrays.map(|mut builder| Arc::new(builder.finish()) as ArrayRef).collect()
    }
}

/// `caption_best`, `caption_best_from` and `caption_best_sim`.
fn best(
    context: &StepContext<'_>,
    shard: u32,
    names: &[String],
    chosen: &[Option<(usize, f32)>],
) -> Result<[ArrayRef; 3]> {
    let (mut captions, mut from) = (StringBuilder::new(), StringBuilder::new());
    let mut rows = chosen.iter();
    for batch in context.columns(shard, names, BATCH_ROWS)? {
        context.cancel.check()?;
        let batch = batch?;
        let columns = batch.columns().iter().map(texts).collect::<Result<Vec<_>>>()?;
        for (row, choice) in rows.by_ref().take(batch.num_rows()).enumerate() {
            captions.append_option(choice.map(|(place, _)| columns[place].value(row)));
            from.append_option(choice.map(|(place, _)| names[place].as_str()));
        }
    }
    let mut sims = Float32Builder::with_capacity(chosen.len());
    chosen.iter().for_each(|choice| sims.append_option(choice.map(|(_, sim)| sim)));
    Ok([Arc::new(captions.finish()), Arc::new(from.finish()), Arc::new(sims.finish())])
}
