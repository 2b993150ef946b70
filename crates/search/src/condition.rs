//! Which rows may be found: a condition in SQL over the columns of the input and of the complete steps, and over what became of the row.
use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use cribble_core::{Error, ErrorKind, Result};
use cribble_expr::{Bound, Expression};
use cribble_pipeline::{RunView, Selection, StepContext};

use crate::Of;

/// Rows judged at once, as in the filter step.
const BATCH_ROWS: usize = 32_768;
/// Whether the run keeps the row.
const KEPT: &str = "kept";
/// The step that dropped it, and why: text, null where it is kept.
const DROPPED_BY: &str = "dropped_by";
const REASON: &str = "reason";

/// Decides shard by shard which rows may be found.
pub(crate) struct Rows<'a> {
    view: &'a RunView,
    context: &'a StepContext<'a>,
    of: Of,
    condition: Option<Condition>,
}

struct Condition {
    bound: Bound,
    /// The columns that it reads, as its batches have them.
    schema: SchemaRef,
    /// Those of them that are read from tables.
    stored: Vec<String>,
    /// Whether it asks if a row is kept, and for more of its fate.
    asks_kept: bool,
    asks_why: bool,
}

impl<'a> Rows<'a> {
    /// Reads the condition and checks it against the columns that there are.
    pub fn new(view: &'a RunView, context: &'a StepContext<'a>, text: Option<&str>, of: Of) -> Result<Self> {
        let condition = text.map(|text| Condition::new(context, text)).transpose()?;
        Ok(Self { view, context, of, condition })
    }

    /// Whether every row may be found.
    pub fn are_all(&self) -> bool {
        self.of == Of::All && self.condition.is_none()
    }

    /// One flag a row of a shard; `None` where all may be found.
    pub fn wanted(&self, shard: u32) -> Result<Option<Vec<bool>>> {
        if self.are_all() {
            return Ok(None);
        }
        let asks = self.condition.as_ref().is_some_and(|condition| condition.asks_kept);
        let kept = if asks || self.of != Of::All { self.view.kept(shard)? } else { Vec::new() };
        let mut wanted = match self.of {
            Of::All => vec![true; self.context.rows(shard)],
            Of::Kept => kept.clone(),
            Of::Dropped => kept.iter().map(|kept| !kept).collect(),
        };
        if let Some(condition) = &self.condition {
            condition.narrow(self.view, self.context, shard, &kept, &mut wanted)?;
        }
        Ok(Some(wanted))
    }
}

impl Condition {
    fn new(context: &StepContext<'_>, text: &str) -> Result<Self> {
        let known = context.schema()?;
        let own = [(KEPT, DataType::Boolean), (DROPPED_BY, DataType::Utf8), (REASON, DataType::Utf8)];
        let fields = known.fields().iter().filter(|field| own.iter().all(|(name, _)| field.name() != name));
        let mut fields: Vec<Field> = fields.map(|field| field.as_ref().clone()).collect();
        fields.extend(own.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)));
        let all = Schema::new(fields);
        let expression = Expression::parse(text)?;
        let bound = expression.bind(&all).map_err(|error| {
            let error = Error::from(error);
            if error.hint().is_some() { error } else { error.with_hint(columns_of(&all)) }
        })?;
        let names: Vec<String> = bound.columns().to_vec();
        let fields = names
            .iter()
            .map(|name| all.field_with_name(name).cloned().map_err(|error| Error::bug(error.to_string())));
        let schema = Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?));
        let bound = expression.bind(&schema)?;
        bound.check_boolean()?;
        let is_own = |name: &String| own.iter().any(|(own, _)| own == name);
        Ok(Self {
            bound,
            schema,
            asks_kept: names.iter().any(|name| name == KEPT),
            asks_why: names.iter().any(|name| name == DROPPED_BY || name == REASON),
            stored: names.into_iter().filter(|name| !is_own(name)).collect(),
        })
    }

    /// Takes away the flags of rows for which it is not true.
    fn narrow(
        &self,
        view: &RunView,
        context: &StepContext<'_>,
        shard: u32,
        kept: &[bool],
        wanted: &mut [bool],
    ) -> Result<()> {
        let mut start = 0;
        for batch in context.columns(shard, &self.stored, BATCH_ROWS)? {
            context.cancel.check()?;
            let stored = batch?;
            let rows = start..start + stored.num_rows();
            let fates = if self.asks_why {
                let rows: Vec<u64> = rows.clone().map(|row| row as u64).collect();
                view.outcomes(shard, &rows)?
            } else {
                Vec::new()
            };
            let batch = self.complete(&stored, kept.get(rows.clone()).unwrap_or_default(), &fates)?;
            let open = BooleanArray::from(wanted[rows.clone()].to_vec());
            let mask = self.bound.mask_where(&batch, &open).map_err(|error| {
                error
                    .of_kind(ErrorKind::Input)
                    .context(format!("shard {}, rows from {start}", context.shard_name(shard)))
            })?;
            for (place, wanted) in wanted[rows.clone()].iter_mut().enumerate() {
                *wanted &= mask.is_valid(place) && mask.value(place);
            }
            start = rows.end;
        }
        Ok(())
    }

    /// The batch with the columns that no table has.
    fn complete(&self, stored: &RecordBatch, kept: &[bool], fates: &[Selection]) -> Result<RecordBatch> {
        let column = |field: &Arc<Field>| -> Result<ArrayRef> {
            Ok(match field.name().as_str() {
                KEPT => Arc::new(BooleanArray::from(kept.to_vec())),
                DROPPED_BY => {
                    Arc::new(fates.iter().map(|fate| fate.dropped_by.as_deref()).collect::<StringArray>())
                }
                REASON => Arc::new(fates.iter().map(|fate| fate.reason.as_deref()).collect::<StringArray>()),
                name => stored
                    .column_by_name(name)
                    .cloned()
                    .ok_or_else(|| Error::bug(format!("the column {name} was not read")))?,
            })
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(stored.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| Error::bug(format!("columns of a condition: {error}")))
    }
}

fn columns_of(schema: &Schema) -> String {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    format!("the columns are {}", names.join(", "))
}
