//! Small tables written as text, for tests.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, FixedSizeBinaryArray,
    Float64Array, Int32Array, Int64Array, LargeListArray, ListArray, RecordBatch, RecordBatchOptions,
    StringArray, UInt64Array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int8Type, Schema};

/// Columns with their values as text.
#[derive(Default)]
pub struct Table {
    columns: Vec<(String, String)>,
    rows: Vec<Vec<String>>,
}

/// Splits at commas outside quotes.
pub fn split(values: &str) -> Vec<String> {
    let (mut parts, mut quoted) = (vec![String::new()], false);
    for character in values.chars() {
        quoted ^= character == '\'';
        if character == ',' && !quoted {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(character);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}

fn unquoted(value: &str) -> Option<String> {
    (value != "null").then(|| value.trim_matches('\'').replace("''", "'"))
}

impl Table {
    pub fn new(columns: &str) -> Self {
        let columns = columns
            .split(", ")
            .map(|column| {
                let (name, kind) = column.rsplit_once(' ').expect("NAME TYPE");
                (name.trim_matches('"').to_owned(), kind.to_owned())
            })
            .collect();
        Self { columns, rows: Vec::new() }
    }

    pub fn push(&mut self, values: &str) {
        let values = split(values);
        assert_eq!(values.len(), self.columns.len());
        self.rows.push(values);
    }

    pub fn batch(&self) -> RecordBatch {
        if self.columns.is_empty() {
            let one = RecordBatchOptions::new().with_row_count(Some(1));
            return RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &one).unwrap();
        }
        let arrays: Vec<ArrayRef> = (0..self.columns.len())
            .map(|index| {
                let values: Vec<Option<String>> = self.rows.iter().map(|row| unquoted(&row[index])).collect();
                column(&self.columns[index].1, &values)
            })
            .collect();
        let fields: Vec<Field> = self
            .columns
            .iter()
            .zip(&arrays)
            .map(|((name, _), array)| Field::new(name, array.data_type().clone(), true))
            .collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
    }
}

fn parsed<T: std::str::FromStr>(values: &[Option<String>]) -> Vec<Option<T>> {
    values
        .iter()
        .map(|value| {
            value.as_ref().map(|value| value.parse().unwrap_or_else(|_| panic!("cannot read {value}")))
        })
        .collect()
}

fn column(kind: &str, values: &[Option<String>]) -> ArrayRef {
    let text = StringArray::from(values.to_vec());
    let numbers = |to: DataType| cast(&Int64Array::from(parsed::<i64>(values)), &to).unwrap();
    let floats = |to: DataType| cast(&Float64Array::from(parsed::<f64>(values)), &to).unwrap();
    let lengths = || parsed::<usize>(values).into_iter().map(|length| length.unwrap_or(0));
    let nulls = || NullBuffer::from_iter(values.iter().map(Option::is_some));
    let item = || Arc::new(Field::new_list_field(DataType::Int32, true));
    let elements = || Arc::new(Int32Array::from(vec![7; lengths().sum()])) as ArrayRef;
    match kind {
        "bool" => Arc::new(BooleanArray::from(parsed::<bool>(values))),
        "int8" => numbers(DataType::Int8),
        "int32" => numbers(DataType::Int32),
        "int64" => numbers(DataType::Int64),
        "uint32" => numbers(DataType::UInt32),
        "uint64" => Arc::new(UInt64Array::from(parsed::<u64>(values))),
        "float16" => floats(DataType::Float16),
        "float32" => floats(DataType::Float32),
        "float64" => floats(DataType::Float64),
        "decimal" => {
            let scaled =
                parsed::<f64>(values).into_iter().map(|value| value.map(|value| (value * 100.0) as i128));
            Arc::new(scaled.collect::<Decimal128Array>().with_precision_and_scale(10, 2).unwrap())
        }
        "utf8" => Arc::new(text),
        "largeutf8" => cast(&text, &DataType::LargeUtf8).unwrap(),
        "utf8view" => cast(&text, &DataType::Utf8View).unwrap(),
        "dict" => Arc::new(values.iter().map(Option::as_deref).collect::<DictionaryArray<Int8Type>>()),
        "dictint" => {
            let to = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Int32));
            cast(&Int32Array::from(parsed::<i32>(values)), &to).unwrap()
        }
        "null" => new_null_array(&DataType::Null, values.len()),
        "binary" => {
            Arc::new(BinaryArray::from_iter(values.iter().map(|value| value.as_ref().map(String::as_bytes))))
        }
        "date" => Arc::new(Date32Array::from(parsed::<i32>(values))),
        "uid" => {
            let bytes = values
                .iter()
                .map(|value| value.as_ref().map(|hex| u128::from_str_radix(hex, 16).unwrap().to_be_bytes()));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 16).unwrap())
        }
        "list" => {
            Arc::new(ListArray::new(item(), OffsetBuffer::from_lengths(lengths()), elements(), Some(nulls())))
        }
        "largelist" => Arc::new(LargeListArray::new(
            item(),
            OffsetBuffer::from_lengths(lengths()),
            elements(),
            Some(nulls()),
        )),
        "fixedlist" => {
            let elements = Arc::new(Int32Array::from(vec![7; 2 * values.len()]));
            Arc::new(arrow::array::FixedSizeListArray::new(item(), 2, elements, Some(nulls())))
        }
        other => panic!("no column type {other}"),
    }
}
