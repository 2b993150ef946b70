//! The column of `keep = "best:COLUMN"`: checked before anything runs, then read as numbers.
use arrow::{
    array::AsArray,
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use cribble_core::{Error, Keep, Result};
use cribble_pipeline::StepContext;

/// The values of the column of `Keep::Best`, as f64; `None` for other ways to keep.
pub(crate) fn best_values(
    context: &StepContext<'_>,
    shard: u32,
    keep: &Keep,
) -> Result<Option<Vec<Option<f64>>>> {
    let Keep::Best(column) = keep else { return Ok(None) };
    let mut values = Vec::with_capacity(context.rows(shard));
    for batch in context.columns(shard, std::slice::from_ref(column), 65_536)? {
        let array = cast(batch?.column(0), &DataType::Float64)
            .map_err(|error| Error::usage(format!("'{column}': {error}")))?;
        values.extend(array.as_primitive::<Float64Type>().iter());
    }
    Ok(Some(values))
}

/// Refuses a column of `Keep::Best` that is missing or no number.
pub(crate) fn require_number(context: &StepContext<'_>, column: &str) -> Result<()> {
    let schema = context.schema()?;
    let field = schema.field_with_name(column).map_err(|_| {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        Error::usage(format!("keep = \"best:{column}\": there is no column '{column}'"))
            .with_hint(cribble_core::name_hint(column, names.iter().copied()))
    })?;
    if field.data_type().is_numeric() {
        Ok(())
    } else {
        Err(Error::usage(format!(
            "keep = \"best:{column}\": '{column}' is {}, not a number",
            field.data_type()
        )))
    }
}
