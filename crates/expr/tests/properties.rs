//! Random expressions against an interpreter that computes them row by row, one `Option` at a time.
//!
//! The interpreter is the definition of the language in its shortest form: it knows nothing of arrays, scalars or rows
//! that are skipped, so whatever the fast paths do, they have to come to the same.

#![allow(clippy::unwrap_used)]

mod interpreter;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use cribble_expr::{ExprErrorKind, Expression};
use interpreter::{Generator, Kind, Value, matches_like};
use proptest::prelude::*;

const INTEGERS: [Option<i64>; 8] =
    [None, Some(0), Some(1), Some(-1), Some(7), Some(i64::MAX), Some(i64::MIN), Some(1 << 40)];
const FLOATS: [Option<f64>; 9] = [
    None,
    Some(0.0),
    Some(-0.0),
    Some(1.5),
    Some(-7.25),
    Some(f64::NAN),
    Some(f64::INFINITY),
    Some(f64::NEG_INFINITY),
    Some(1e300),
];
const TEXTS: [Option<&str>; 8] =
    [None, Some(""), Some("a"), Some("ab"), Some("Ab"), Some("%a_"), Some("ÀÉ b"), Some("12")];

type Row = (
    Option<i64>,
    Option<i64>,
    Option<f64>,
    Option<f64>,
    Option<&'static str>,
    Option<&'static str>,
    [Option<bool>; 2],
);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let integer = || prop::sample::select(&INTEGERS[..]);
    let float = || prop::sample::select(&FLOATS[..]);
    let text = || prop::sample::select(&TEXTS[..]);
    let boolean = || prop::sample::select(&[None, Some(true), Some(false)][..]);
    let row = (integer(), integer(), float(), float(), text(), text(), [boolean(), boolean()]);
    prop::collection::vec(row, 1..20)
}

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 8] = [
        ("i", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>())),
        ("j", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>())),
        ("d", Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>())),
        ("e", Arc::new(rows.iter().map(|row| row.3).collect::<Float64Array>())),
        ("s", Arc::new(rows.iter().map(|row| row.4).collect::<StringArray>())),
        ("t", Arc::new(rows.iter().map(|row| row.5).collect::<StringArray>())),
        ("p", Arc::new(rows.iter().map(|row| row.6[0]).collect::<BooleanArray>())),
        ("q", Arc::new(rows.iter().map(|row| row.6[1]).collect::<BooleanArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

fn environment(row: &Row) -> Vec<(&'static str, Value)> {
    vec![
        ("i", Value::Integer(row.0)),
        ("j", Value::Integer(row.1)),
        ("d", Value::Float(row.2)),
        ("e", Value::Float(row.3)),
        ("s", Value::Text(row.4.map(str::to_owned))),
        ("t", Value::Text(row.5.map(str::to_owned))),
        ("p", Value::Boolean(row.6[0])),
        ("q", Value::Boolean(row.6[1])),
    ]
}

fn value_at(array: &ArrayRef, row: usize) -> Value {
    let valid = array.is_valid(row);
    match array.data_type() {
        DataType::Boolean => Value::Boolean(valid.then(|| array.as_boolean().value(row))),
        DataType::Int64 => Value::Integer(valid.then(|| array.as_primitive::<Int64Type>().value(row))),
        DataType::Float64 => Value::Float(valid.then(|| array.as_primitive::<Float64Type>().value(row))),
        _ => Value::Text(valid.then(|| array.as_string::<i64>().value(row).to_owned())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_expression_means_what_the_interpreter_says(
        seed in any::<u64>(),
        depth in 1usize..6,
        kind in prop::sample::select(&[Kind::Boolean, Kind::Boolean, Kind::Integer, Kind::Float, Kind::Text][..]),
        rows in rows(),
    ) {
        let expression = Generator::new(seed).make(kind, depth);
        let text = expression.to_string();
        let batch = batch(&rows);
        let bound = Expression::parse(&text).and_then(|parsed| parsed.bind(&batch.schema()))
            .map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        let wanted: Vec<Result<Value, ()>> = rows.iter().map(|row| expression.evaluate(&environment(row))).collect();
        match bound.evaluate(&batch) {
            Ok(values) => {
                for (row, wanted) in wanted.iter().enumerate() {
                    let got = value_at(&values, row);
                    prop_assert!(
                        wanted.as_ref().is_ok_and(|wanted| wanted.same(&got)),
                        "row {row}: wanted {wanted:?}, got {got:?} of {text}"
                    );
                }
            }
            Err(error) => {
                // The row that is named has to be one of those that fail.
                let (ExprErrorKind::Overflow { row, .. } | ExprErrorKind::InvalidCast { row, .. }) = error.kind() else {
                    return Err(TestCaseError::fail(format!("{error}: {text}")));
                };
                prop_assert!(wanted.get(*row).is_some_and(Result::is_err), "{error}: {text} {wanted:?}");
            }
        }
    }

    #[test]
    fn like_matches_what_the_definition_matches(text in "[ab%é]{0,8}", pattern in "[ab%_é]{0,8}") {
        let schema = arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new("t", DataType::Utf8, true)]);
        let array: ArrayRef = Arc::new(StringArray::from(vec![text.as_str()]));
        let batch = RecordBatch::try_new(Arc::new(schema), vec![array]).unwrap();
        let like = |sql: &str| {
            let bound = Expression::parse(sql).unwrap().bind(&batch.schema()).unwrap();
            bound.mask(&batch).unwrap().value(0)
        };
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let wanted = matches_like(&characters(&text), &characters(&pattern));
        prop_assert_eq!(like(&format!("t LIKE '{pattern}'")), wanted);
        prop_assert_eq!(like(&format!("t LIKE CASE WHEN TRUE THEN '{pattern}' END")), wanted);
        prop_assert_eq!(like(&format!("upper(t) ILIKE '{pattern}'")), wanted);
        prop_assert_eq!(like(&format!("t NOT LIKE '{pattern}'")), !wanted);
    }
}
