//! The expression of the recipe in the README, on a batch shaped like DataComp's metadata, and the errors as a user of it
//! meets them.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float32Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use cribble_expr::{ExprErrorKind, Expression, Position};

fn metadata() -> RecordBatch {
    let boxes = ListArray::from_iter_primitive::<Float64Type, _, _>([
        Some(vec![Some(0.1)]),
        Some(vec![]),
        None,
        Some(vec![]),
        Some(vec![]),
    ]);
    let columns: [(&str, ArrayRef); 7] = [
        ("uid", Arc::new(StringArray::from(vec!["a0", "a1", "a2", "a3", "a4"]))),
        (
            "text",
            Arc::new(StringArray::from(vec![
                Some("a red car"),
                Some("IMG_01.jpg"),
                Some("dog"),
                None,
                Some("x"),
            ])),
        ),
        (
            "original_width",
            Arc::new(Int64Array::from(vec![Some(640), Some(199), Some(800), None, Some(512)])),
        ),
        (
            "original_height",
            Arc::new(Int64Array::from(vec![Some(480), Some(900), Some(600), Some(300), Some(512)])),
        ),
        ("clip_b32_similarity_score", Arc::new(Float32Array::from(vec![0.31, 0.2, 0.15, 0.4, f32::NAN]))),
        (
            "clip_l14_similarity_score",
            Arc::new(Float32Array::from(vec![Some(0.25), Some(0.3), None, Some(0.21), Some(f32::NAN)])),
        ),
        ("face_bboxes", Arc::new(boxes)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

const RECIPE: &str = "least(original_width, original_height) >= 200 AND clip_l14_similarity_score > 0.2";

#[test]
fn the_recipe_keeps_what_it_says() {
    let batch = metadata();
    let expression = Expression::parse(RECIPE).unwrap();
    assert_eq!(expression.columns(), ["original_width", "original_height", "clip_l14_similarity_score"]);
    let bound = expression.bind(&batch.schema()).unwrap();
    assert_eq!(bound.output_type(), DataType::Boolean);
    let mask = bound.mask(&batch).unwrap();
    // Row 1 is too narrow, row 2 has no score (unknown), row 3 no width (least looks at the height), row 4 a NaN.
    assert_eq!(mask.iter().collect::<Vec<_>>(), [Some(true), Some(false), None, Some(true), Some(false)]);
}

#[test]
fn only_the_named_columns_are_needed_in_any_order() {
    let batch = metadata();
    let bound = Expression::parse(RECIPE).unwrap().bind(&batch.schema()).unwrap();
    let narrow = batch.project(&[5, 3, 2]).unwrap();
    assert_eq!(bound.columns(), ["original_width", "original_height", "clip_l14_similarity_score"]);
    assert_eq!(bound.mask(&narrow).unwrap(), bound.mask(&batch).unwrap());
}

#[test]
fn names_are_resolved_to_those_of_the_schema() {
    let batch = metadata();
    let expression =
        Expression::parse("ORIGINAL_WIDTH > 1 AND original_width < 9 AND TEXT LIKE '%'").unwrap();
    assert_eq!(expression.columns(), ["ORIGINAL_WIDTH", "original_width", "TEXT"]);
    assert_eq!(expression.bind(&batch.schema()).unwrap().columns(), ["original_width", "text"]);
}

#[test]
fn a_batch_that_does_not_fit_is_refused() {
    let batch = metadata();
    let bound = Expression::parse(RECIPE).unwrap().bind(&batch.schema()).unwrap();
    let missing = bound.mask(&batch.project(&[2, 3]).unwrap()).unwrap_err();
    assert!(
        matches!(missing.kind(), ExprErrorKind::BatchMismatch { found, .. } if found == "nothing"),
        "{missing}"
    );
    let other = RecordBatch::try_from_iter([
        ("original_width", Arc::new(Float32Array::from(vec![1.0])) as ArrayRef),
        ("original_height", Arc::new(Int64Array::from(vec![1]))),
        ("clip_l14_similarity_score", Arc::new(Float32Array::from(vec![1.0]))),
    ])
    .unwrap();
    let error = bound.mask(&other).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the batch has Float32 for column `original_width`, but the expression was bound to Int64"
    );
}

#[test]
fn an_unknown_column_names_its_neighbours() {
    let schema = metadata().schema();
    let error = Expression::parse("text <> '' AND orignal_width > 1").unwrap().bind(&schema).unwrap_err();
    assert_eq!(error.to_string(), "no column `orignal_width` (line 1, column 16)");
    assert_eq!(error.candidates().first().map(String::as_str), Some("original_width"));
    assert_eq!(error.valid().len(), schema.fields().len());
    assert_eq!(error.hint().as_deref(), Some("did you mean one of `original_width`, `original_height`?"));
    assert_eq!(error.excerpt().as_deref(), Some("text <> '' AND orignal_width > 1\n               ^"));

    let short = Expression::parse("clip_score > 0.3").unwrap().bind(&schema).unwrap_err();
    assert_eq!(short.candidates(), ["clip_b32_similarity_score", "clip_l14_similarity_score"]);
    let far = Expression::parse("zzz").unwrap().bind(&schema).unwrap_err();
    assert_eq!((far.candidates().len(), far.hint()), (0, None));
}

#[test]
fn a_place_counts_lines_and_characters() {
    let schema = metadata().schema();
    let error = Expression::parse("text LIKE 'é%'\n  AND 'ü' = \twidth").unwrap().bind(&schema).unwrap_err();
    assert_eq!(error.position(), Some(Position { line: 2, column: 14 }));
    assert_eq!(error.excerpt().as_deref(), Some("  AND 'ü' = \twidth\n            \t^"));
}

#[test]
fn mismatched_types_name_both_and_the_part_at_fault() {
    let schema = metadata().schema();
    let fault = |text: &str| Expression::parse(text).unwrap().bind(&schema).unwrap_err();
    let error = fault("clip_b32_similarity_score > 0.3 AND original_width > '200'");
    assert_eq!(
        error.to_string(),
        "bigint and text do not go together in `original_width > '200'` (line 1, column 37)"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("without quotes")));
    let error = fault("length(original_width) > 3");
    assert_eq!(error.to_string(), "`original_width` is bigint, but length needs text (line 1, column 8)");
    let error = Expression::parse("leest(1, 2) > 0 OR original_width").unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.candidates()[0].as_str()),
        ("no function `leest` (line 1, column 1)", "least",)
    );
}

#[test]
fn a_condition_has_to_be_boolean() {
    let batch = metadata();
    let bound = Expression::parse("original_width + 1").unwrap().bind(&batch.schema()).unwrap();
    assert_eq!(bound.output_type(), DataType::Int64);
    assert_eq!(bound.evaluate(&batch).unwrap().len(), 5);
    let error = bound.mask(&batch).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`original_width + 1` is bigint, but a condition needs boolean (line 1, column 1)"
    );
    assert!(bound.check_boolean().is_err());
    let unknown = Expression::parse("NULL").unwrap().bind(&batch.schema()).unwrap();
    assert_eq!(unknown.mask(&batch).unwrap().null_count(), 5);
}

#[test]
fn errors_of_evaluation_name_the_row_of_the_batch_behind_a_guard_too() {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    let column: ArrayRef =
        Arc::new(Int64Array::from(vec![Some(1), None, Some(5), Some(i64::MAX), Some(i64::MAX)]));
    let batch = RecordBatch::try_new(schema, vec![column]).unwrap();
    for (text, row) in [
        ("a + 1 > 0", 3),
        ("a > 1 AND a * 2 > 0", 3),
        ("CASE WHEN a < 3 THEN 0 WHEN a > 9 THEN a + 1 END = 0", 3),
        ("coalesce(nullif(a, 9223372036854775807), a - 5 + 6) = 0", 3),
        ("CAST(CASE WHEN a > 3 THEN 'x' || a END AS int) = 1", 2),
    ] {
        let error = Expression::parse(text).unwrap().bind(&batch.schema()).unwrap().mask(&batch).unwrap_err();
        let found = match error.kind() {
            ExprErrorKind::Overflow { row, .. } | ExprErrorKind::InvalidCast { row, .. } => *row,
            other => panic!("{other:?}"),
        };
        assert_eq!(found, row, "{text}: {error}");
    }
}

#[test]
fn one_bound_expression_serves_many_threads() {
    let batch = metadata();
    let bound = Expression::parse(RECIPE).unwrap().bind(&batch.schema()).unwrap();
    let wanted = bound.mask(&batch).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(bound.mask(&batch).unwrap(), wanted));
        }
    });
}

/// The examples of the user's reference are expressions of the language. Blank lines part them.
#[test]
fn the_examples_of_the_reference_parse() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/expressions.md")).unwrap();
    let examples: Vec<&str> = page
        .split("```sql\n")
        .skip(1)
        .filter_map(|part| part.split("```").next())
        .flat_map(|block| block.split("\n\n"))
        .collect();
    assert!(examples.len() >= 6, "{examples:?}");
    for example in examples {
        assert!(Expression::parse(example).is_ok(), "{example}: {:?}", Expression::parse(example));
    }
}

/// Parts of a conjunction judged one by one, as the filter step does to give each dropped row its reason.
#[test]
fn parts_see_only_the_rows_that_are_still_open() {
    let batch = metadata();
    let whole = Expression::parse("text LIKE 'a%' AND CAST('1' || left_out AS int) = 1").unwrap();
    let columns: [(&str, ArrayRef); 2] = [
        ("text", Arc::clone(batch.column_by_name("text").unwrap())),
        ("left_out", Arc::new(StringArray::from(vec![Some(""), Some("x"), Some("y"), None, Some("z")]))),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let bound = |expression: &Expression| expression.bind(&batch.schema()).unwrap();
    let mut open = arrow::array::BooleanArray::from(vec![true; 5]);
    for part in whole.conjuncts() {
        let mask = bound(&part).mask_where(&batch, &open).unwrap();
        open = mask.iter().map(|value| Some(value == Some(true))).collect();
    }
    assert_eq!(open.iter().flatten().collect::<Vec<_>>(), [true, false, false, false, false]);
    let last = bound(&whole.conjuncts()[1]);
    assert!(last.mask(&batch).is_err());
    // The row in an error is that of the batch, not of the selection; rows that are not open are null.
    let some = arrow::array::BooleanArray::from(vec![Some(true), None, Some(false), Some(true), Some(true)]);
    let error = last.mask_where(&batch, &some).unwrap_err();
    assert!(matches!(error.kind(), ExprErrorKind::InvalidCast { row: 4, .. }), "{error}");
    let fewer = arrow::array::BooleanArray::from(vec![true, false, false, true, false]);
    let mask = last.mask_where(&batch, &fewer).unwrap();
    assert_eq!(mask.iter().collect::<Vec<_>>(), [Some(true), None, None, None, None]);
    let none = arrow::array::BooleanArray::from(vec![false; 5]);
    assert_eq!(last.mask_where(&batch, &none).unwrap().null_count(), 5);
    assert!(last.mask_where(&batch, &none.slice(0, 3)).is_err());
    let constant = bound(&Expression::parse("1 + 1").unwrap());
    assert_eq!(constant.evaluate_where(&batch, &fewer).unwrap().null_count(), 3);
}
