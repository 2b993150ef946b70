//! What a step says of itself before it has run: what its files depend on beside its options, and what later steps will find of it.
use arrow::datatypes::{DataType, Field};
use cribble_core::{Recipe, Result};
use cribble_io::source::{ArrayInfo, Dataset};

use crate::Step;

/// What later steps find of a step. The names are part of the run folder's format.
#[derive(Debug, Clone, Default)]
pub struct Provides {
    /// The own columns of its tables, as far as they are known before it has run.
    pub columns: Vec<Field>,
    /// Its embeddings, each in `embeddings/NAME/` of the run folder.
    pub embeddings: Vec<ArrayInfo>,
}

impl Provides {
    /// Columns, all nullable, and no embeddings.
    pub fn columns(columns: &[(&str, DataType)]) -> Self {
        let columns = columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
        Self { columns, embeddings: Vec::new() }
    }
}

/// What a run folder must know of a step beside its options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepFacts {
    /// Part of the step's hash; empty for steps whose options say everything.
    pub identity: String,
    /// Folders below `embeddings/` that belong to it.
    pub embeddings: Vec<String>,
    /// Whether a person's decisions on clusters are part of its verdicts, and so of its hash.
    pub takes_decisions: bool,
}

/// The facts of every step. This is where a model's files are read for the first time.
pub fn step_facts(recipe: &Recipe, steps: &[Box<dyn Step>], dataset: &Dataset) -> Result<Vec<StepFacts>> {
    let facts = |step: &dyn Step| -> Result<StepFacts> {
        Ok(StepFacts {
            identity: step.identity(dataset, recipe.input.images.as_deref())?,
            embeddings: step.provides()?.embeddings.into_iter().map(|array| array.name).collect(),
            takes_decisions: step.takes_decisions(),
        })
    };
    let place = |index: usize, step: &dyn Step| format!("step {} ({})", index + 1, step.kind());
    let each = steps.iter().enumerate();
    each.map(|(index, step)| facts(&**step).map_err(|error| error.context(place(index, &**step)))).collect()
}
