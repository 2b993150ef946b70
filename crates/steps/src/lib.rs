//! The steps: filter, language, embed, dedup, cluster, judge, prune, caption, rewrite, referee. One file or folder per step; none looks into
//! another's insides, they meet only through the columns that they write.
#![warn(missing_docs)]
mod best_column;
mod calls;
mod caption;
mod captions;
mod cluster;
mod dedup;
mod embed;
mod encoder;
mod figures;
mod filter;
mod finder;
mod judge;
mod language;
mod order;
#[cfg(test)]
mod parity;
mod prune;
mod referee;
mod rewrite;
mod sample_rows;
mod training;
mod values;

pub use calls::prompt_text;

use cribble_core::{Recipe, Result, StepOptions};
use cribble_pipeline::Step;

/// The steps of a recipe, ready to run. Fails on an expression that cannot be parsed.
pub fn build(recipe: &Recipe) -> Result<Vec<Box<dyn Step>>> {
    recipe
        .steps
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            let step: Result<Box<dyn Step>> = match &spec.options {
                StepOptions::Filter(options) => filter::Filter::new(options).map(|step| Box::new(step) as _),
                StepOptions::Language(options) => Ok(Box::new(language::Language::new(options.clone())) as _),
                StepOptions::Embed(options) => Ok(Box::new(embed::Embed::new(options.clone())) as _),
                StepOptions::Dedup(options) => Ok(Box::new(dedup::Dedup::new(options.clone())) as _),
                StepOptions::Cluster(options) => Ok(Box::new(cluster::Cluster::new(options.clone())) as _),
                StepOptions::Judge(options) => {
                    judge::Judge::new(options.clone()).map(|step| Box::new(step) as _)
                }
                StepOptions::Prune(options) => Ok(Box::new(prune::Prune::new(options.clone())) as _),
                StepOptions::Caption(options) => Ok(Box::new(caption::Caption::new(options.clone())) as _),
                StepOptions::Rewrite(options) => Ok(Box::new(rewrite::Rewrite::new(options.clone())) as _),
                StepOptions::Referee(options) => {
                    Ok(Box::new(referee::Referee::new(options.clone(), &recipe.steps[..index])) as _)
                }
                other => Err(cribble_core::Error::bug(format!("no step for kind {}", other.kind()))),
            };
            step.map_err(|error| error.context(format!("step {} ({})", index + 1, spec.options.kind())))
        })
        .collect()
}
