//! Sums over the rows of a shard, and over the shards in their order.
use cribble_core::{EmbedDetails, REFEREE_LEVELS, RefereeCaption, RefereeDetails, RefereePair, Result};
use cribble_pipeline::TaskOutput;
use serde::{Deserialize, Serialize};

use super::{
    policy::probability,
    scores::{Fit, Scale},
};
use crate::values::from_value;

/// Of one column of captions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Column {
    rows: u64,
    chosen: u64,
    sim: f64,
    window: f64,
    cut: u64,
    bins: Vec<u64>,
}

/// Of two columns: rows with both, and wins of each at the levels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Pair {
    rows: u64,
    wins: [[u64; REFEREE_LEVELS.len()]; 2],
}

/// All sums.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    scale: Scale,
    columns: Vec<Column>,
    /// For each first column each second one after it.
    pairs: Vec<Pair>,
    kept: u64,
    /// Of the chosen captions of the rows kept.
    after: f64,
}

/// Two columns in the order of [`Tally::pairs`].
fn pairs_of(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..columns).flat_map(move |first| (first + 1..columns).map(move |second| (first, second)))
}

fn mean(sum: f64, rows: u64) -> f64 {
    if rows == 0 { 0.0 } else { sum / rows as f64 }
}

impl Tally {
    pub fn new(columns: usize, scale: Scale) -> Self {
        let column = || Column { bins: vec![0; EmbedDetails::SCORE_BINS], ..Column::default() };
        Self {
            scale,
            columns: (0..columns).map(|_| column()).collect(),
            pairs: pairs_of(columns).map(|_| Pair::default()).collect(),
            ..Self::default()
        }
    }

    /// Enters a row: its fits, the caption that was chosen, whether it is kept.
    pub fn add(&mut self, fits: &[Option<Fit>], chosen: Option<usize>, is_kept: bool) {
        for (place, (column, fit)) in self.columns.iter_mut().zip(fits).enumerate() {
            let Some(fit) = fit else { continue };
            column.rows += 1;
            column.chosen += u64::from(chosen == Some(place));
            column.sim += f64::from(fit.sim);
            column.window += f64::from(fit.window);
            column.cut += u64::from(fit.is_cut);
            column.bins[EmbedDetails::score_bin(fit.sim)] += 1;
            if is_kept && chosen == Some(place) {
                self.kept += 1;
                self.after += f64::from(fit.sim);
            }
        }
        for ((first, second), pair) in pairs_of(fits.len()).zip(&mut self.pairs) {
            let (Some(first), Some(second)) = (fits[first], fits[second]) else { continue };
            pair.rows += 1;
            for (wins, (of, other)) in pair.wins.iter_mut().zip([(first, second), (second, first)]) {
                let probability = f64::from(probability(self.scale.value, of.sim, other.sim));
                for (count, level) in wins.iter_mut().zip(REFEREE_LEVELS) {
                    *count += u64::from(probability > level);
                }
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for (column, other) in self.columns.iter_mut().zip(&other.columns) {
            column.rows += other.rows;
            column.chosen += other.chosen;
            column.sim += other.sim;
            column.window += other.window;
            column.cut += other.cut;
            column.bins.iter_mut().zip(&other.bins).for_each(|(sum, part)| *sum += part);
        }
        for (pair, other) in self.pairs.iter_mut().zip(&other.pairs) {
            pair.rows += other.rows;
            let counts = pair.wins.iter_mut().flatten().zip(other.wins.iter().flatten());
            counts.for_each(|(sum, part)| *sum += part);
        }
        self.kept += other.kept;
        self.after += other.after;
    }

    /// The sum of what the tasks of phase `choose` left.
    pub fn sum(outputs: &[(String, Vec<TaskOutput>)]) -> Result<Self> {
        let mut sum: Option<Self> = None;
        for output in outputs.iter().filter(|(name, _)| name == "choose").flat_map(|(_, outputs)| outputs) {
            let part: Self = from_value(output.data.clone())?;
            match &mut sum {
                Some(sum) => sum.merge(&part),
                None => sum = Some(part),
            }
        }
        Ok(sum.unwrap_or_default())
    }

    pub fn scale_is_assumed(&self) -> bool {
        self.scale.is_assumed
    }

    /// Sentences for the report.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some((original, others)) = self.columns.split_first() {
            let replaced: u64 = others.iter().map(|column| column.chosen).sum();
            notes.push(format!(
                "{replaced} captions were replaced or filled in, {} stayed; mean similarity {:.4} before, {:.4} after",
                original.chosen,
                mean(original.sim, original.rows),
                mean(self.after, self.kept)
            ));
        }
        let cut: u64 = self.columns.iter().map(|column| column.cut).sum();
        if cut > 0 {
            notes.push(format!(
                "{cut} captions are longer than the model reads: sim_… is of what it reads, window_sim_… of the best part"
            ));
        }
        notes
    }

    /// The figures; `names` are those of the columns, the original first. Model, policy and threshold are not known here.
    pub fn details(&self, names: &[String]) -> RefereeDetails {
        let caption = |(name, column): (&String, &Column)| RefereeCaption {
            column: name.clone(),
            rows: column.rows,
            chosen: column.chosen,
            mean_sim: mean(column.sim, column.rows),
            mean_window_sim: mean(column.window, column.rows),
            cut: column.cut,
            sims: column.bins.clone(),
        };
        let pair = |((first, second), pair): ((usize, usize), &Pair)| RefereePair {
            first: names[first].clone(),
            second: names[second].clone(),
            rows: pair.rows,
            first_wins: pair.wins[0].to_vec(),
            second_wins: pair.wins[1].to_vec(),
        };
        RefereeDetails {
            logit_scale: f64::from(self.scale.value),
            captions: names.iter().zip(&self.columns).map(caption).collect(),
            pairs: pairs_of(names.len()).zip(&self.pairs).map(pair).collect(),
            mean_before: self.columns.first().map_or(0.0, |column| mean(column.sim, column.rows)),
            mean_after: mean(self.after, self.kept),
            ..RefereeDetails::default()
        }
    }
}
