//! The rows of a finished run as columns: what the input calls a sample, what became of it, and what the steps found out. One shard at a time.
use std::collections::BTreeSet;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    compute::concat,
    datatypes::{Field, Schema, SchemaRef},
};
use cribble_core::{Error, Result, StepOptions, Uid, name_hint};
use cribble_io::{CAPTION_NAMES, is_text, source::Dataset};
use cribble_pipeline::{RunFolder, Selection, check_tables, read_selection};

use crate::columns::{StepColumn, step_columns};

/// Which columns a run's rows have, and how to read them.
pub struct RunRows<'a> {
    run: &'a RunFolder,
    dataset: &'a Dataset,
    input: Vec<String>,
    steps: Vec<StepColumn>,
    schema: SchemaRef,
}

/// All rows of a shard.
pub struct ShardRows {
    /// The samples, in row order.
    pub uids: Vec<Uid>,
    /// What became of each.
    pub selection: Vec<Selection>,
    /// The columns of [`RunRows::schema`].
    pub columns: RecordBatch,
}

impl<'a> RunRows<'a> {
    /// Finds the columns: `key`, `url` and the caption of the input, where it has them; and of the steps `caption_…`, `state_…`, `sim_…`,
    /// `prob_…`, `verdict…`, `language…`, `cluster`, `cluster_…` and the CLIP scores of `embed` steps. `more` are names of further columns, of
    /// the steps or of the input. As everywhere in a run, a step's column hides one of the input.
    ///
    /// # Errors
    /// The run is not finished, or a table of it is gone; one of `more` is nowhere.
    pub fn open(run: &'a RunFolder, dataset: &'a Dataset, more: &[String]) -> Result<Self> {
        finished(run, dataset)?;
        let scores: BTreeSet<String> = run
            .recipe()?
            .steps
            .into_iter()
            .filter_map(|step| match step.options {
                StepOptions::Embed(embed) => Some(embed.score),
                _ => None,
            })
            .collect();
        let all = match dataset.shards().first() {
            Some(shard) => step_columns(run, &shard.name, |_| true)?,
            None => Vec::new(),
        };
        let own = dataset.schema();
        for name in more {
            let is_known = own.index_of(name).is_ok() || all.iter().any(|column| column.field.name() == name);
            if !is_known {
                let known: Vec<&str> = own
                    .fields()
                    .iter()
                    .map(|field| field.name().as_str())
                    .chain(all.iter().map(|column| column.field.name().as_str()))
                    .collect();
                return Err(Error::usage(format!("there is no column '{name}'"))
                    .with_hint(name_hint(name, known.iter().copied())));
            }
        }
        let is_asked = |name: &str| more.iter().any(|wanted| wanted == name);
        let steps: Vec<StepColumn> = all
            .into_iter()
            .filter(|column| {
                let name = column.field.name();
                is_wanted(name) || scores.contains(name) || is_asked(name)
            })
            .collect();
        let input: Vec<String> = ["key", "url"]
            .into_iter()
            .filter(|name| own.index_of(name).is_ok())
            .chain(caption_column(dataset))
            .chain(more.iter().map(String::as_str).filter(|name| own.index_of(name).is_ok()))
            .filter(|name| *name != "uid" && steps.iter().all(|column| column.field.name() != name))
            .fold(Vec::new(), |mut names, name| {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
                names
            });
        let mut fields = Vec::new();
        for name in &input {
            let field = own.field_with_name(name).map_err(|error| Error::bug(error.to_string()))?;
            fields.push(field.clone().with_nullable(true));
        }
        fields.extend(steps.iter().map(|column| column.field.clone().with_nullable(true)));
        Ok(Self { run, dataset, input, steps, schema: Schema::new(fields).into() })
    }

    /// The columns: those of the input, then those of the steps in their order.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns that hold captions: the input's own, and `caption_…` of the steps.
    pub fn captions(&self) -> Vec<&str> {
        let own = caption_column(self.dataset);
        let is_caption = |field: &&Field| {
            let name = field.name().as_str();
            is_text(field.data_type())
                && (own == Some(name) || (name.starts_with("caption_") && name != "caption_best_from"))
        };
        self.schema
            .fields()
            .iter()
            .map(AsRef::as_ref)
            .filter(is_caption)
            .map(|field| field.name().as_str())
            .collect()
    }

    /// Reads a shard, and proves that its rows still are those of the run.
    pub fn read(&self, shard: u32) -> Result<ShardRows> {
        let info = &self.dataset.shards()[shard as usize];
        let uids = self.dataset.uids(shard)?;
        let selection = selection(self.run, &info.name, &uids)?;
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        if !self.input.is_empty() {
            let names: Vec<&str> = self.input.iter().map(String::as_str).collect();
            columns.extend(input_columns(self.dataset, shard, &names)?);
        }
        for column in &self.steps {
            columns.push(column.read(&info.name, &uids)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(uids.len()));
        let columns = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| Error::input(format!("shard {}: {error}", info.name)))?;
        Ok(ShardRows { uids, selection, columns })
    }
}

/// Whether a step's column is part of a row.
fn is_wanted(name: &str) -> bool {
    ["caption_", "state_", "cluster_", "sim_", "prob_", "verdict", "language"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || name == "cluster"
}

/// The column of the input with the captions.
pub(crate) fn caption_column(dataset: &Dataset) -> Option<&'static str> {
    let holds_text =
        |name: &&str| dataset.schema().field_with_name(name).is_ok_and(|field| is_text(field.data_type()));
    CAPTION_NAMES.into_iter().find(holds_text)
}

/// Columns of the input over all rows of a shard.
pub(crate) fn input_columns(dataset: &Dataset, shard: u32, names: &[&str]) -> Result<Vec<ArrayRef>> {
    let batches = dataset.read_columns(shard, names, 65_536)?.collect::<cribble_io::Result<Vec<_>>>()?;
    let schema = dataset.schema();
    let column = |(at, name): (usize, &&str)| {
        let parts: Vec<_> = batches.iter().map(|batch| batch.column(at).as_ref()).collect();
        let fail = |error: arrow::error::ArrowError| Error::bug(format!("{name}: {error}"));
        if parts.is_empty() {
            return Ok(arrow::array::new_empty_array(
                schema.field_with_name(name).map_err(fail)?.data_type(),
            ));
        }
        concat(&parts).map_err(fail)
    };
    names.iter().enumerate().map(column).collect()
}

/// Only a finished run says which rows are kept; and only a whole one, all of it.
pub(crate) fn finished(run: &RunFolder, dataset: &Dataset) -> Result<()> {
    if run.manifest.finished {
        return check_tables(run, dataset);
    }
    Err(Error::input(format!("{} is not finished", run.path().display()))
        .with_hint("run its recipe again with the same --out: what is done is kept"))
}

/// What became of the rows of a shard, after a look whether they still are the input's.
pub(crate) fn selection(run: &RunFolder, shard: &str, uids: &[Uid]) -> Result<Vec<Selection>> {
    let selection = read_selection(run.path(), shard)?;
    if !selection.iter().map(|row| row.uid).eq(uids.iter().copied()) {
        return Err(Error::input(format!("shard {shard} has other samples than the run"))
            .with_hint("the input changed since the run: run again with the same --out"));
    }
    Ok(selection)
}
