//! One schema for a dataset whose files were written by different hands: text in its several encodings is text, whole numbers of
//! different widths are `i64`, and a column that was empty in one file takes the type of the others (pandas writes all three).
use crate::{IoError, Result};
use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};
use std::{path::Path, sync::Arc};

/// The type that a column of this type is read as.
fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        other => other.clone(),
    }
}

fn unify(a: &DataType, b: &DataType) -> Option<DataType> {
    let (a, b) = (plain(a), plain(b));
    match (&a, &b) {
        _ if a == b => Some(a),
        (DataType::Null, _) => Some(b),
        (_, DataType::Null) => Some(a),
        _ if a.is_integer() && b.is_integer() => Some(DataType::Int64),
        _ if a.is_numeric() && b.is_numeric() && !decimal(&a) && !decimal(&b) => Some(DataType::Float64),
        _ if a.equals_datatype(&b) => Some(a),
        _ => None,
    }
}

fn decimal(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..)
    )
}

/// Gathers the schemas of the files of a dataset.
#[derive(Default)]
pub(super) struct Gathered {
    fields: Vec<Field>,
    first: Option<std::path::PathBuf>,
}

impl Gathered {
    /// Takes in one more file. Its columns must be those of the first one, in any order, with types that go together.
    pub fn add(&mut self, path: &Path, schema: &Schema) -> Result<()> {
        let Some(first) = &self.first else {
            self.first = Some(path.into());
            self.fields =
                schema.fields().iter().map(|f| Field::new(f.name(), plain(f.data_type()), true)).collect();
            return Ok(());
        };
        let differ = |name: &str, expected: String, found: String| IoError::SchemasDiffer {
            first: first.clone(),
            second: path.into(),
            name: name.into(),
            expected: expected.into(),
            found: found.into(),
        };
        for field in &mut self.fields {
            let Ok(other) = schema.field_with_name(field.name()) else {
                return Err(differ(field.name(), field.data_type().to_string(), "absent".into()));
            };
            let Some(kind) = unify(field.data_type(), other.data_type()) else {
                return Err(differ(
                    field.name(),
                    field.data_type().to_string(),
                    other.data_type().to_string(),
                ));
            };
            field.set_data_type(kind);
        }
        let extra =
            schema.fields().iter().find(|field| !self.fields.iter().any(|have| have.name() == field.name()));
        match extra {
            Some(field) => Err(differ(field.name(), "absent".into(), field.data_type().to_string())),
            None => Ok(()),
        }
    }

    pub fn finish(self) -> SchemaRef {
        Arc::new(Schema::new(self.fields))
    }
}

/// The batch with its columns as the types of `fields`, in the same order.
pub(super) fn conform(batch: &RecordBatch, fields: &[FieldRef], path: &Path) -> Result<RecordBatch> {
    let fail = |source| IoError::Arrow { path: path.into(), source };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(fields.len());
    for (column, field) in batch.columns().iter().zip(fields) {
        let same = column.data_type() == field.data_type();
        columns.push(if same {
            column.clone()
        } else {
            arrow::compute::cast(column, field.data_type()).map_err(fail)?
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields.to_vec())), columns, &options).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(kinds: &[(&str, DataType)]) -> Schema {
        Schema::new(
            kinds.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn types_that_go_together_become_one() {
        let mut gathered = Gathered::default();
        gathered
            .add(
                Path::new("a"),
                &schema(&[("t", DataType::LargeUtf8), ("n", DataType::Null), ("w", DataType::Int32)]),
            )
            .unwrap();
        gathered
            .add(
                Path::new("b"),
                &schema(&[("w", DataType::Int64), ("t", DataType::Utf8View), ("n", DataType::Float32)]),
            )
            .unwrap();
        gathered
            .add(
                Path::new("c"),
                &schema(&[("w", DataType::Float64), ("t", DataType::Utf8), ("n", DataType::Float32)]),
            )
            .unwrap();
        let kinds: Vec<_> = gathered.finish().fields().iter().map(|f| f.data_type().clone()).collect();
        assert_eq!(kinds, [DataType::Utf8, DataType::Float32, DataType::Float64]);
    }

    #[test]
    fn columns_that_do_not_go_together_are_named() {
        for other in [
            &[("t", DataType::Int32)][..],
            &[("u", DataType::Utf8)],
            &[("t", DataType::Utf8), ("u", DataType::Utf8)],
        ] {
            let mut gathered = Gathered::default();
            gathered.add(Path::new("a"), &schema(&[("t", DataType::Utf8)])).unwrap();
            let error = gathered.add(Path::new("b"), &schema(other)).unwrap_err().to_string();
            assert!(error.starts_with("b: column '"), "{error}");
        }
    }
}
