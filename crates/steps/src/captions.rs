//! The column with the captions, found or named, and its texts: for every step that reads them.
use arrow::{
    array::{ArrayRef, AsArray, StringArray},
    compute::cast,
    datatypes::{DataType, Schema},
};
use cribble_core::{Error, Result, name_hint};
use cribble_io::{CAPTION_NAMES, is_text};
use cribble_pipeline::StepContext;

/// A column of captions, whatever width of text it has.
pub fn texts(column: &ArrayRef) -> Result<StringArray> {
    let column = cast(column, &DataType::Utf8).map_err(|error| Error::input(format!("captions: {error}")))?;
    Ok(column.as_string().clone())
}

/// The column that the option named `option` asks for, if there is one of that name and it holds text.
pub fn text_column(context: &StepContext<'_>, option: &str, wanted: &str) -> Result<String> {
    let schema = context.schema()?;
    let texts = texts_of(&schema);
    match (texts.contains(&wanted), schema.field_with_name(wanted)) {
        (true, _) => Ok(wanted.into()),
        (false, Ok(field)) => Err(Error::usage(format!(
            "{option} = \"{wanted}\": the column is {}, not text",
            field.data_type()
        ))
        .with_hint(name_hint(wanted, texts))),
        (false, Err(_)) => Err(Error::usage(format!("{option} = \"{wanted}\": there is no such column"))
            .with_hint(name_hint(wanted, texts))),
    }
}

/// The column `wanted`, or the first known name that there is where that is empty. `without` is what a recipe could say to need none.
pub fn caption_column(context: &StepContext<'_>, wanted: &str, without: &str) -> Result<String> {
    if !wanted.is_empty() {
        return text_column(context, "text", wanted);
    }
    let schema = context.schema()?;
    let texts = texts_of(&schema);
    CAPTION_NAMES.into_iter().find(|name| texts.contains(name)).map(Into::into).ok_or_else(|| {
        let or = if without.is_empty() { String::new() } else { format!(", or {without}") };
        Error::usage(format!("no column with captions was found: none of {}", CAPTION_NAMES.join(", ")))
            .with_hint(if texts.is_empty() {
                format!("there is no column with text{or}")
            } else {
                format!("set text = \"…\" (--text-column) to one of {}{or}", texts.join(", "))
            })
    })
}

fn texts_of(schema: &Schema) -> Vec<&str> {
    let fields = schema.fields().iter().filter(|field| is_text(field.data_type()) && field.name() != "uid");
    fields.map(|field| field.name().as_str()).collect()
}
