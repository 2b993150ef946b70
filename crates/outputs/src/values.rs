//! Values of Arrow columns as JSON and as text, for outputs that people and scripts read.
use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Float16Type, Float32Type, Float64Type},
    util::display::array_value_to_string,
};
use cribble_core::{Error, Result};
use serde_json::{Map, Number, Value};

/// The value of a row. Null, NaN and infinities are null; numbers keep their shortest digits (an f32 of 0.3 is 0.3); lists and structs keep their shape;
/// whatever JSON has no word for (dates, bytes) becomes text.
pub fn json(column: &dyn Array, row: usize) -> Result<Value> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let list =
        |values: &dyn Array| -> Result<Vec<Value>> { (0..values.len()).map(|at| json(values, at)).collect() };
    Ok(match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        // Shortest digits of the narrow type, not of its f64.
        DataType::Float16 => float(column.as_primitive::<Float16Type>().value(row).to_string()),
        DataType::Float32 => float(column.as_primitive::<Float32Type>().value(row).to_string()),
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row).to_string()),
        kind if kind.is_integer() => {
            let digits = text(column, row)?;
            let number =
                digits.parse::<u64>().map(Number::from).or_else(|_| digits.parse::<i64>().map(Into::into));
            number.map_or(Value::String(digits), Value::Number)
        }
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).into(),
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::List(_) => Value::Array(list(&column.as_list::<i32>().value(row))?),
        DataType::LargeList(_) => Value::Array(list(&column.as_list::<i64>().value(row))?),
        DataType::FixedSizeList(..) => Value::Array(list(&column.as_fixed_size_list().value(row))?),
        DataType::Struct(fields) => {
            let parts = fields.iter().zip(column.as_struct().columns());
            let members = parts.map(|(field, part)| Ok((field.name().clone(), json(part, row)?)));
            Value::Object(members.collect::<Result<Map<_, _>>>()?)
        }
        _ => text(column, row)?.into(),
    })
}

fn float(digits: String) -> Value {
    digits.parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

/// The value of a row as text; empty where it is null.
pub(crate) fn text(column: &dyn Array, row: usize) -> Result<String> {
    array_value_to_string(column, row).map_err(|error| Error::bug(format!("a value without text: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        ArrayRef, BinaryArray, Float32Array, Int64Array, ListArray, StringArray, StructArray, UInt64Array,
    };
    use arrow::datatypes::{Field, Int32Type};
    use serde_json::json as value;
    use std::sync::Arc;

    #[test]
    fn every_kind_of_value_has_its_json() {
        let all = |column: &dyn Array| {
            Value::Array((0..column.len()).map(|row| json(column, row).unwrap()).collect())
        };
        let floats = Float32Array::from(vec![Some(0.3), None, Some(f32::NAN), Some(1e30), Some(-2.0)]);
        assert_eq!(all(&floats), value!([0.3, null, null, 1e30, -2.0]));
        assert_eq!(all(&Int64Array::from(vec![i64::MIN, 0])), value!([i64::MIN, 0]));
        assert_eq!(all(&UInt64Array::from(vec![u64::MAX])), value!([u64::MAX]));
        assert_eq!(all(&StringArray::from(vec![Some("a\"\n"), None])), value!(["a\"\n", null]));
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
        assert_eq!(all(&lists), value!([[1, null], null]));
        let part: ArrayRef = Arc::new(floats.slice(0, 2));
        let parts = StructArray::from(vec![(Arc::new(Field::new("x", DataType::Float32, true)), part)]);
        assert_eq!(all(&parts), value!([{"x": 0.3}, {"x": null}]));
        assert_eq!(all(&BinaryArray::from(vec![&b"\x01\xff"[..]])), value!(["01ff"]));
    }
}
