//! Typed columns out of text and json, whose types are guessed from the first rows. A later value that does not fit its column is null:
//! web data has such cells, and one of them must not stop a run.
use arrow::{
    array::{ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder},
    datatypes::DataType,
};
use serde_json::Value;
use std::sync::Arc;

/// What a column holds, as far as its first values tell. Ordered from nothing known to anything possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Unknown,
    Bool,
    Int,
    Float,
    Text,
}

impl Kind {
    /// The kind that holds values of both.
    pub fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, kind) | (kind, Self::Unknown) => kind,
            (Self::Int, Self::Float) | (Self::Float, Self::Int) => Self::Float,
            (a, b) if a == b => a,
            _ => Self::Text,
        }
    }

    /// The kind of a csv field. Numbers that would lose their looks (`007`, `+1`, `1_000`) are text: they are names.
    pub fn of_text(text: &str) -> Self {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let looks_numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
        let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        match text {
            "" => Self::Unknown,
            _ if !looks_numeric || padded => Self::Text,
            _ if text.parse::<i64>().is_ok() => Self::Int,
            _ if text.parse::<f64>().is_ok() => Self::Float,
            _ => Self::Text,
        }
    }

    /// The kind of a json value; lists and objects become their json text.
    pub fn of_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Unknown,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Int,
            Value::Number(_) => Self::Float,
            _ => Self::Text,
        }
    }

    pub fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text | Self::Unknown => DataType::Utf8,
        }
    }
}

/// A column being filled.
pub(super) enum Cells {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
}

impl Cells {
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Int => Self::Int(Int64Builder::new()),
            Kind::Float => Self::Float(Float64Builder::new()),
            Kind::Text | Kind::Unknown => Self::Text(StringBuilder::new()),
        }
    }

    /// Appends a text; an empty one is null unless the column is text.
    pub fn push_text(&mut self, text: Option<&str>) {
        match self {
            Self::Bool(cells) => cells.append_option(text.and_then(|t| t.parse().ok())),
            Self::Int(cells) => cells.append_option(text.and_then(|t| t.parse().ok())),
            Self::Float(cells) => cells.append_option(text.and_then(|t| t.parse().ok())),
            Self::Text(cells) => cells.append_option(text),
        }
    }

    pub fn push_json(&mut self, value: Option<&Value>) {
        match (self, value) {
            (Self::Bool(cells), value) => cells.append_option(value.and_then(Value::as_bool)),
            (Self::Int(cells), value) => cells.append_option(value.and_then(Value::as_i64)),
            (Self::Float(cells), value) => cells.append_option(value.and_then(Value::as_f64)),
            (Self::Text(cells), None | Some(Value::Null)) => cells.append_null(),
            (Self::Text(cells), Some(Value::String(text))) => cells.append_value(text),
            (Self::Text(cells), Some(other)) => cells.append_value(other.to_string()),
        }
    }

    /// The column so far; filling begins anew.
    pub fn take(&mut self) -> ArrayRef {
        match self {
            Self::Bool(cells) => Arc::new(cells.finish()),
            Self::Int(cells) => Arc::new(cells.finish()),
            Self::Float(cells) => Arc::new(cells.finish()),
            Self::Text(cells) => Arc::new(cells.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_guessed_without_harming_names() {
        let kinds = |texts: &[&str]| texts.iter().map(|t| Kind::of_text(t)).fold(Kind::Unknown, Kind::with);
        assert_eq!(kinds(&["1", "-20", ""]), Kind::Int);
        assert_eq!(kinds(&["1", "0.5", "1e-3"]), Kind::Float);
        for text in ["007", "nan", "inf", "+1", "1,5", "1 ", "--1", "2024-01-01"] {
            assert_eq!(kinds(&[text]), Kind::Text, "{text}");
        }
        assert_eq!(kinds(&["1", "x"]), Kind::Text);
        assert_eq!(Kind::Bool.with(Kind::Int), Kind::Text);
    }

    #[test]
    fn values_that_do_not_fit_are_null() {
        let mut cells = Cells::new(Kind::Int);
        cells.push_text(Some("5"));
        cells.push_text(Some("x"));
        cells.push_json(Some(&serde_json::json!(2.5)));
        let column = cells.take();
        assert_eq!((column.len(), column.null_count()), (3, 2));
        let mut cells = Cells::new(Kind::Text);
        cells.push_json(Some(&serde_json::json!([1, 2])));
        let column = cells.take();
        assert_eq!(arrow::array::AsArray::as_string::<i32>(&column).value(0), "[1,2]");
    }
}
