//! The language, case by case: the tables in `tests/cases/*.txt`.
//!
//! `EXPRESSION => VALUES` gives one value for each row of the table above it (without a table, one row).
//! Values: `null`, `true`, `1` (bigint), `1u` (unsigned), `1.0` (double), `'text'`, `u'hex'` (uid). `!Kind@line:column` is
//! an error of that kind, the place being optional. `table NAME TYPE, …` starts a new table, `row VALUES` adds to it.

#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use cribble_expr::{ExprError, Expression};
use support::{Table, split};

fn rendered(array: &ArrayRef) -> String {
    let mut text = String::new();
    for row in 0..array.len() {
        if row > 0 {
            text.push_str(", ");
        }
        if array.data_type() == &DataType::Null || array.is_null(row) {
            text.push_str("null");
            continue;
        }
        match array.data_type() {
            DataType::Boolean => write!(text, "{}", array.as_boolean().value(row)),
            DataType::Int64 => write!(text, "{}", array.as_primitive::<Int64Type>().value(row)),
            DataType::UInt64 => write!(text, "{}u", array.as_primitive::<UInt64Type>().value(row)),
            DataType::Float64 => write!(text, "{:?}", array.as_primitive::<Float64Type>().value(row)),
            DataType::LargeUtf8 => {
                write!(text, "'{}'", array.as_string::<i64>().value(row).replace('\'', "''"))
            }
            DataType::FixedSizeBinary(16) => {
                let hex: String = array
                    .as_fixed_size_binary()
                    .value(row)
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                write!(text, "u'{hex}'")
            }
            other => write!(text, "<{other}>"),
        }
        .unwrap();
    }
    text
}

/// Doubles may be written in any form: `1e300` and the hundreds of digits that it stands for are the same value.
fn expected(values: &str) -> String {
    let same = |value: &str| match value.parse::<f64>() {
        Ok(number) if value.contains(['.', 'e', 'N', 'i']) => format!("{number:?}"),
        _ => value.to_owned(),
    };
    split(values).iter().map(|value| same(value)).collect::<Vec<_>>().join(", ")
}

fn outcome(text: &str, table: &Table) -> Result<ArrayRef, ExprError> {
    let batch = table.batch();
    let bound = Expression::parse(text)?.bind(&batch.schema())?;
    let values = bound.evaluate(&batch)?;
    assert_eq!(values.len(), batch.num_rows(), "{text}");
    assert_eq!(values.data_type(), &bound.output_type(), "{text}");
    let mask = bound.mask(&batch);
    assert_eq!(mask.is_ok(), matches!(bound.output_type(), DataType::Boolean | DataType::Null), "{text}");
    // Any part of a batch gives the same part of the values: no row depends on another, nor on an array's offset.
    for row in 0..batch.num_rows() {
        let alone = bound.evaluate(&batch.slice(row, 1))?;
        assert_eq!(rendered(&alone), rendered(&values.slice(row, 1)), "{text} on row {row} alone");
    }
    assert_eq!(bound.evaluate(&batch.slice(0, 0))?.len(), 0, "{text}");
    Ok(values)
}

fn found(result: &Result<ArrayRef, ExprError>, with_place: bool) -> String {
    match result {
        Ok(values) => rendered(values),
        Err(error) => {
            let kind = format!("{:?}", error.kind());
            let kind = kind.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
            match error.position() {
                Some(place) if with_place => format!("!{kind}@{}:{}", place.line, place.column),
                _ => format!("!{kind}"),
            }
        }
    }
}

fn run(cases: &str) -> (usize, Vec<String>) {
    let mut table = Table::default();
    let (mut count, mut failures) = (0, Vec::new());
    for line in cases.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(columns) = line.strip_prefix("table ") {
            table = Table::new(columns);
        } else if let Some(values) = line.strip_prefix("row ") {
            table.push(values);
        } else {
            let (text, wanted) = line.rsplit_once(" => ").unwrap_or_else(|| panic!("no ` => ` in {line}"));
            let wanted = if wanted.starts_with('!') { wanted.to_owned() } else { expected(wanted) };
            let result = outcome(text, &table);
            let got = found(&result, wanted.contains('@'));
            count += 1;
            if got != wanted {
                let message = result.err().map(|error| error.to_string()).unwrap_or_default();
                failures.push(format!("{text}\n  wanted {wanted}\n  got    {got} {message}"));
            }
        }
    }
    (count, failures)
}

fn check(cases: &str, least: usize) {
    let (count, failures) = run(cases);
    assert!(failures.is_empty(), "{} of {count} cases:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= least, "only {count} cases were read");
}

#[test]
fn logic() {
    check(include_str!("cases/logic.txt"), 120);
}

#[test]
fn numbers() {
    check(include_str!("cases/numbers.txt"), 200);
}

#[test]
fn text() {
    check(include_str!("cases/text.txt"), 120);
}

#[test]
fn columns() {
    check(include_str!("cases/columns.txt"), 130);
}

#[test]
fn errors() {
    check(include_str!("cases/errors.txt"), 80);
}
