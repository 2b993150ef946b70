//! Step `referee`: which of several captions fits its image best. The images are vectors already, so only the text encoder runs:
//!
//! ```text
//! score (shard)      → scratch: similarity of each caption, of what the model reads and of the best window
//! threshold (whole)  → scratch: the similarity that policy = "threshold" asks for, and who is above it
//! choose (shard)     → the step's table: similarities, probabilities, caption_best
//! ```
mod choose;
mod names;
mod policy;
mod score;
mod scores;
mod tally;
#[cfg(test)]
mod tests;
mod threshold;

use std::sync::OnceLock;

use arrow::datatypes::DataType;
use cribble_core::{
    Details, EmbedOptions, Error, RefereeDetails, RefereeOptions, RefereePolicy, Result, StepOptions,
    StepSpec,
};
use cribble_io::source::Dataset;
use cribble_models::Encoder;
use cribble_pipeline::{Parallel, PhaseSpec, Provides, Step, StepContext, TaskOutput, Unit, UnitKind};

use crate::{encoder::identity_text, values::from_value};
use names::short;
use tally::Tally;
use threshold::Threshold;

/// The chosen caption, the column that it is from, and its similarity.
const BEST: [&str; 3] = ["caption_best", "caption_best_from", "caption_best_sim"];
/// OpenAI's CLIP was trained up to this and stayed there.
const USUAL_SCALE: f32 = 100.0;

pub struct Referee {
    options: RefereeOptions,
    /// The embed steps before this one.
    embeds: Vec<EmbedOptions>,
    /// The columns that caption and rewrite steps before this one write.
    written: Vec<String>,
    /// The columns of the input that look like captions; known once the input is.
    given: OnceLock<Vec<String>>,
    encoder: OnceLock<Encoder>,
}

impl Referee {
    /// `before` are the recipe's steps before this one: what is left out of the options follows from them.
    pub fn new(options: RefereeOptions, before: &[StepSpec]) -> Self {
        let mut embeds = Vec::new();
        let mut written: Vec<String> = Vec::new();
        for spec in before {
            let column = match &spec.options {
                StepOptions::Embed(embed) => {
                    embeds.push(embed.clone());
                    continue;
                }
                StepOptions::Caption(caption) => caption.clone().resolved().column,
                StepOptions::Rewrite(rewrite) => rewrite.clone().resolved().column,
                _ => continue,
            };
            // A step that writes a column again hides the first, and stands in its place.
            if !written.contains(&column) {
                written.push(column);
            }
        }
        Self { options, embeds, written, given: OnceLock::new(), encoder: OnceLock::new() }
    }

    /// The names of the columns with figures, in the table's order, and their type.
    fn columns(&self) -> Result<Vec<(String, DataType)>> {
        let float = |name: String| (name, DataType::Float32);
        let mut columns = vec![float("sim_original".into()), float("window_sim_original".into())];
        for candidate in self.candidates()? {
            let name = short(&candidate);
            columns.extend(["sim", "window_sim", "prob"].map(|kind| float(format!("{kind}_{name}"))));
        }
        let [best, from, sim] = BEST.map(String::from);
        columns.extend([(best, DataType::Utf8), (from, DataType::Utf8), float(sim)]);
        Ok(columns)
    }

    fn policy(&self) -> String {
        let options = &self.options;
        match options.policy {
            RefereePolicy::Best => format!("the best one, others if better by more than {}", options.margin),
            RefereePolicy::Original => "the original where there is one".into(),
            RefereePolicy::Synthetic => "the best of the others where there is one".into(),
            RefereePolicy::Threshold => format!(
                "the original for the best {} of the rows, else the best of the others that is as similar",
                options.raw_fraction
            ),
            RefereePolicy::Mix => format!(
                "the best of the others with probability {} (seed {}), else the original",
                options.probability, options.seed
            ),
        }
    }
}

impl Step for Referee {
    fn kind(&self) -> &'static str {
        "referee"
    }

    fn check(&self, context: &StepContext<'_>) -> Result<Vec<String>> {
        self.look_at(context.dataset);
        let plan = self.plan(context)?;
        let columns = self.columns()?;
        for (place, (name, _)) in columns.iter().enumerate() {
            if columns[..place].iter().any(|(known, _)| known == name) {
                return Err(Error::usage(format!("two candidates would write one column, {name}"))
                    .with_hint("names that differ in more than caption_, and are not 'original'"));
            }
        }
        if self.options.policy == RefereePolicy::Threshold && self.options.raw_fraction == 0.0 {
            return Err(Error::usage("raw_fraction = 0 leaves no caption to take the threshold from")
                .with_hint("policy = \"synthetic\", with min_sim for a similarity that must be reached"));
        }
        let mut notes = vec![
            self.encoder()?.describe()?,
            format!(
                "compares the images of {} with the captions {}",
                plan.embedding.info.name,
                plan.columns.join(", ")
            ),
            format!("{}: {}", BEST[0], self.policy()),
        ];
        if self.options.min_sim > -1.0 {
            notes.push(format!("drops rows whose {} is below {}", BEST[2], self.options.min_sim));
        }
        Ok(notes)
    }

    fn provides(&self) -> Result<Provides> {
        let columns = self.columns()?;
        let columns: Vec<(&str, DataType)> =
            columns.iter().map(|(name, kind)| (name.as_str(), kind.clone())).collect();
        Ok(Provides::columns(&columns))
    }

    fn identity(&self, dataset: &Dataset, _images: Option<&str>) -> Result<String> {
        self.look_at(dataset);
        identity_text(self.encoder()?.identity()?)
    }

    fn phases(&self) -> Vec<PhaseSpec> {
        let phase = |name, unit, parallel| PhaseSpec { name, unit, parallel };
        let mut phases = vec![
            phase("score", UnitKind::Shard, Parallel::Inner),
            phase("choose", UnitKind::Shard, Parallel::Outer),
        ];
        if self.options.policy == RefereePolicy::Threshold {
            phases.insert(1, phase("threshold", UnitKind::Whole, Parallel::Inner));
        }
        phases
    }

    fn run(&self, context: &StepContext<'_>, phase: &str, unit: Unit) -> Result<TaskOutput> {
        match phase {
            "score" => self.score(context, unit),
            "threshold" => Threshold::find(context, self.options.raw_fraction),
            _ => self.choose(context, unit),
        }
    }

    fn finish(&self, context: &StepContext<'_>, outputs: &[(String, Vec<TaskOutput>)]) -> Result<Details> {
        // The next step has the memory to itself.
        self.encoder()?.close();
        let sum = Tally::sum(outputs)?;
        let threshold = outputs.iter().find(|(name, _)| name == "threshold");
        let threshold = threshold.and_then(|(_, outputs)| outputs.first());
        let threshold: Option<f32> =
            threshold.map(|output| from_value(output.data.clone())).transpose()?.flatten();
        let columns = self.plan(context)?.columns;
        Ok(Details::Referee(RefereeDetails {
            model: self.encoder()?.identity()?.name.clone(),
            policy: self.options.policy.to_string(),
            threshold: threshold.map(f64::from),
            ..sum.details(&columns)
        }))
    }

    fn closing_notes(&self, outputs: &[(String, Vec<TaskOutput>)]) -> Vec<String> {
        let Ok(sum) = Tally::sum(outputs) else { return Vec::new() };
        let mut notes = sum.notes();
        if sum.scale_is_assumed() {
            notes.push(format!(
                "the model has no logit scale: probabilities are at {USUAL_SCALE}, that of OpenAI's CLIP"
            ));
        }
        notes
    }
}
