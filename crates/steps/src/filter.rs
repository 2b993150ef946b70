//! Step `filter`: a SQL condition over the columns of the input and of earlier steps. The condition is judged by its top-level AND parts, so
//! that a dropped row's reason is the first part that is not true, not the whole text.
use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, BooleanArray},
    compute::concat,
    datatypes::Field,
};
use cribble_core::{Error, ErrorKind, FilterOptions, Result};
use cribble_expr::{Bound, ExprError, Expression};
use cribble_pipeline::{Parallel, PhaseSpec, Step, StepContext, TaskOutput, Unit, UnitKind, Verdicts};

/// Rows judged at once: columns of text stay in the megabytes.
const BATCH_ROWS: usize = 32_768;

pub struct Filter {
    parts: Vec<Expression>,
    computed: Vec<(String, Expression)>,
}

impl Filter {
    pub fn new(options: &FilterOptions) -> Result<Self> {
        let condition = Expression::parse(&options.condition)?;
        let computed = options
            .compute
            .iter()
            .map(|(name, text)| {
                let reserved = ["uid", "keep", "reason"].contains(&name.as_str());
                if reserved || name.is_empty() {
                    return Err(Error::usage(format!("compute: '{name}' cannot be the name of a column")));
                }
                let parsed = Expression::parse(text)?;
                Ok((name.clone(), parsed))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { parts: condition.conjuncts(), computed })
    }

    /// The columns that are read, each once.
    fn columns(&self, schema: &arrow::datatypes::Schema) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        for expression in self.parts.iter().chain(self.computed.iter().map(|(_, expression)| expression)) {
            names.extend(expression.bind(schema)?.columns().iter().cloned());
        }
        Ok(names.into_iter().collect())
    }

    fn bind(&self, schema: &arrow::datatypes::Schema) -> Result<(Vec<Bound>, Vec<Bound>)> {
        let condition = |part: &Expression| -> Result<Bound> {
            let bound = part.bind(schema)?;
            bound.check_boolean()?;
            Ok(bound)
        };
        let parts = self.parts.iter().map(condition).collect::<Result<_>>()?;
        let computed = self
            .computed
            .iter()
            .map(|(name, expression)| {
                expression.bind(schema).map_err(|e| Error::from(e).context(format!("compute {name}")))
            })
            .collect::<Result<_>>()?;
        Ok((parts, computed))
    }
}

impl Step for Filter {
    fn kind(&self) -> &'static str {
        "filter"
    }

    fn check(&self, context: &StepContext<'_>) -> Result<Vec<String>> {
        let schema = context.schema()?;
        // The types of columns that an earlier filter computes are known only once it has run: then the check happens in its task.
        let unknown = context.before.iter().any(|step| {
            matches!(&step.options, cribble_core::StepOptions::Filter(filter) if !filter.compute.is_empty())
                && context.shards() > 0
                && !context.table_path(step, 0).exists()
        });
        match self.bind(&schema) {
            Err(_) if unknown => Ok(vec!["its columns are checked once the filter before it has run".into()]),
            Err(error) => Err(error),
            Ok(_) => {
                let names = self.columns(&schema)?;
                Ok(vec![format!(
                    "reads the columns {}",
                    if names.is_empty() { "(none)".into() } else { names.join(", ") }
                )])
            }
        }
    }

    fn phases(&self) -> Vec<PhaseSpec> {
        vec![PhaseSpec { name: "judge", unit: UnitKind::Shard, parallel: Parallel::Outer }]
    }

    fn run(&self, context: &StepContext<'_>, _phase: &str, shard: Unit) -> Result<TaskOutput> {
        let uids = context.uids(shard)?;
        let kept = context.kept(shard, &uids)?;
        let schema = context.schema()?;
        let names = self.columns(&schema)?;
        let reader = context.columns(shard, &names, BATCH_ROWS)?;
        let (parts, computed) = self.bind(&reader.schema())?;
        let reasons: Vec<(Arc<str>, Arc<str>)> = self
            .parts
            .iter()
            .map(|part| (format!("not {}", part.label()).into(), format!("null {}", part.label()).into()))
            .collect();
        let mut verdicts = Verdicts::new(uids.len());
        let mut values: Vec<Vec<ArrayRef>> = vec![Vec::new(); computed.len()];
        let (mut start, mut bytes_read) = (0, 0);
        for batch in reader {
            context.cancel.check()?;
            let batch = batch?;
            bytes_read += batch.get_array_memory_size() as u64;
            let judged: BooleanArray =
                kept[start..start + batch.num_rows()].iter().map(|&keep| Some(keep)).collect();
            let mut open: Vec<bool> = judged.iter().map(|row| row == Some(true)).collect();
            for (part, (not, null)) in parts.iter().zip(&reasons) {
                // Rows that an earlier part dropped are not looked at: `b <> 0 AND a / b > 2` is safe.
                let rows = BooleanArray::from(open.clone());
                let mask = part
                    .mask_where(&batch, &rows)
                    .map_err(|error| self.row_error(context, shard, start, error))?;
                for (row, open) in open.iter_mut().enumerate().filter(|(_, open)| **open) {
                    if mask.is_null(row) || !mask.value(row) {
                        *open = false;
                        verdicts.drop(start + row, if mask.is_null(row) { null } else { not });
                    }
                }
            }
            (0..open.len()).filter(|&row| open[row]).for_each(|row| verdicts.keep(start + row));
            for (bound, arrays) in computed.iter().zip(&mut values) {
                let array = bound.evaluate_where(&batch, &judged);
                arrays.push(array.map_err(|error| self.row_error(context, shard, start, error))?);
            }
            start += batch.num_rows();
        }
        let mut columns = Vec::with_capacity(computed.len());
        for (index, arrays) in values.into_iter().enumerate() {
            let kind = computed[index].output_type();
            let parts: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            let array = if parts.is_empty() {
                arrow::array::new_empty_array(&kind)
            } else {
                concat(&parts).map_err(|error| Error::bug(error.to_string()))?
            };
            columns.push((Field::new(&self.computed[index].0, kind, true), array));
        }
        let bytes_written = context.write_verdicts(shard, &uids, &verdicts, columns, &[])?;
        Ok(TaskOutput { counts: verdicts.counts(), bytes_read, bytes_written, ..TaskOutput::default() })
    }
}

impl Filter {
    /// An error of evaluation (an overflow, a cast that fails) is wrong data, and is said with its place.
    fn row_error(&self, context: &StepContext<'_>, shard: u32, start: usize, error: ExprError) -> Error {
        let place = format!("shard {}, rows from {start}", context.shard_name(shard));
        error.of_kind(ErrorKind::Input).context(place)
    }
}
