//! Conversions: Arrow's many column types to our few, implicit coercions, and `CAST`.
//!
//! Own loops instead of Arrow's cast kernel where the meaning differs: Arrow truncates floats to integers, prints `1.0`
//! where SQL prints `1`, and cannot say which row is at fault.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Float64Array, Int64Builder, new_null_array};
use arrow::array::{BooleanArray, Float64Builder, LargeStringArray, LargeStringBuilder, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};

use crate::error::{ExprError, ExprErrorKind};
use crate::plan::Label;
use crate::types::{Target, Type};

/// Brings a column as it was read into the one form that its type has here.
pub(crate) fn normalise(array: &ArrayRef) -> Result<ArrayRef, ExprError> {
    let type_ = Type::of(array.data_type());
    let wanted = type_.data_type();
    if *array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    if let DataType::Dictionary(_, value) = array.data_type() {
        return normalise(&cast(array, value)?);
    }
    Ok(cast(array, &wanted)?)
}

/// Lower-case hexadecimal text of 16 bytes.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}

/// An implicit coercion. `row` maps a place in the array to a row of the batch.
pub(crate) fn coerce_array(
    array: &ArrayRef,
    from: &Type,
    to: &Type,
    row: &dyn Fn(usize) -> usize,
    label: &Label,
) -> Result<ArrayRef, ExprError> {
    match (from, to) {
        (Type::Null, to) => Ok(new_null_array(&to.data_type(), array.len())),
        (Type::Unsigned, Type::Integer) => {
            let values = array.as_primitive::<UInt64Type>();
            let too_large =
                (0..values.len()).find(|&at| values.is_valid(at) && i64::try_from(values.value(at)).is_err());
            match too_large {
                Some(at) => Err(overflow(label, row(at))),
                None => Ok(cast(array, &DataType::Int64)?),
            }
        }
        (Type::Uid, Type::Text) => Ok(to_text(array, from)?),
        (_, to) => Ok(cast(array, &to.data_type())?),
    }
}

pub(crate) fn overflow(label: &Label, row: usize) -> ExprError {
    ExprError::from(ExprErrorKind::Overflow { expression: label.text.to_string(), row }).at(label.position)
}

/// `CAST` and `TRY_CAST`.
pub(crate) fn cast_array(
    array: &ArrayRef,
    from: &Type,
    target: Target,
    lenient: bool,
    row: &dyn Fn(usize) -> usize,
    label: &Label,
) -> Result<ArrayRef, ExprError> {
    if *from == Type::Null {
        return Ok(new_null_array(&target.result().data_type(), array.len()));
    }
    let fail = |at: usize| -> Result<(), ExprError> {
        if lenient {
            return Ok(());
        }
        let shown: String = shown(array, from, at);
        Err(ExprError::from(ExprErrorKind::InvalidCast {
            expression: label.text.to_string(),
            value: shown,
            target: target.name(),
            row: row(at),
        })
        .at(label.position)
        .with_hint("TRY_CAST gives null where the value does not fit"))
    };
    let valid = |at: usize| array.is_valid(at);
    match target {
        Target::Text => to_text(array, from),
        Target::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(array.len());
            for at in 0..array.len() {
                let value = if valid(at) { read_boolean(array, from, at) } else { None };
                if value.is_none() && valid(at) {
                    fail(at)?;
                }
                builder.append_option(value);
            }
            Ok(Arc::new(builder.finish()))
        }
        Target::SmallInt | Target::Int | Target::BigInt => {
            let range = match target {
                Target::SmallInt => i128::from(i16::MIN)..=i128::from(i16::MAX),
                Target::Int => i128::from(i32::MIN)..=i128::from(i32::MAX),
                _ => i128::from(i64::MIN)..=i128::from(i64::MAX),
            };
            let mut builder = Int64Builder::with_capacity(array.len());
            for at in 0..array.len() {
                let whole = if valid(at) { read_whole(array, from, at) } else { None };
                let value =
                    whole.filter(|whole| range.contains(whole)).and_then(|whole| i64::try_from(whole).ok());
                if value.is_none() && valid(at) {
                    fail(at)?;
                }
                builder.append_option(value);
            }
            Ok(Arc::new(builder.finish()))
        }
        Target::Real | Target::Double => {
            let mut builder = Float64Builder::with_capacity(array.len());
            for at in 0..array.len() {
                let value = if valid(at) { read_float(array, from, at) } else { None };
                if value.is_none() && valid(at) {
                    fail(at)?;
                }
                let rounded = if target == Target::Real { value.map(round_to_f32) } else { value };
                builder.append_option(rounded);
            }
            Ok(Arc::new(builder.finish()))
        }
    }
}

/// Rounding to `real` is what was asked for; a value beyond its range becomes infinite, as in IEEE 754.
fn round_to_f32(value: f64) -> f64 {
    f64::from(value as f32)
}

fn shown(array: &ArrayRef, from: &Type, at: usize) -> String {
    match to_text(&array.slice(at, 1), from) {
        Ok(text) => {
            let text = text.as_string::<i64>();
            let short: String = text.value(0).chars().take(40).collect();
            let more = if short.len() < text.value(0).len() { "…" } else { "" };
            if *from == Type::Text { format!("'{short}{more}'") } else { short }
        }
        Err(_) => from.name(),
    }
}

fn read_boolean(array: &ArrayRef, from: &Type, at: usize) -> Option<bool> {
    match from {
        Type::Boolean => Some(array.as_boolean().value(at)),
        Type::Integer => Some(array.as_primitive::<Int64Type>().value(at) != 0),
        Type::Unsigned => Some(array.as_primitive::<UInt64Type>().value(at) != 0),
        Type::Text => match array.as_string::<i64>().value(at).trim().to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn read_whole(array: &ArrayRef, from: &Type, at: usize) -> Option<i128> {
    match from {
        Type::Boolean => Some(i128::from(array.as_boolean().value(at))),
        Type::Integer => Some(i128::from(array.as_primitive::<Int64Type>().value(at))),
        Type::Unsigned => Some(i128::from(array.as_primitive::<UInt64Type>().value(at))),
        Type::Float => {
            // Halves go to the even neighbour, as in PostgreSQL. Conversion to i128 saturates far outside every range.
            let value = array.as_primitive::<Float64Type>().value(at);
            value.is_finite().then(|| value.round_ties_even() as i128)
        }
        Type::Text => array.as_string::<i64>().value(at).trim().parse::<i64>().ok().map(i128::from),
        _ => None,
    }
}

fn read_float(array: &ArrayRef, from: &Type, at: usize) -> Option<f64> {
    match from {
        Type::Integer => Some(array.as_primitive::<Int64Type>().value(at) as f64),
        Type::Unsigned => Some(array.as_primitive::<UInt64Type>().value(at) as f64),
        Type::Float => Some(array.as_primitive::<Float64Type>().value(at)),
        Type::Text => array.as_string::<i64>().value(at).trim().parse().ok(),
        _ => None,
    }
}

/// The text of every value, in PostgreSQL's forms.
pub(crate) fn to_text(array: &ArrayRef, from: &Type) -> Result<ArrayRef, ExprError> {
    let text = match from {
        Type::Boolean => {
            let values: &BooleanArray = array.as_boolean();
            collect(
                values.iter().map(|value| value.map(|value| if value { "true" } else { "false" }.to_owned())),
            )
        }
        Type::Float => {
            let values: &Float64Array = array.as_primitive();
            collect(values.iter().map(|value| value.map(float_text)))
        }
        Type::Unsigned => {
            let values: &UInt64Array = array.as_primitive();
            collect(values.iter().map(|value| value.map(|value| value.to_string())))
        }
        Type::Uid => collect(array.as_fixed_size_binary().iter().map(|value| value.map(hex))),
        _ => return Ok(cast(array, &DataType::LargeUtf8)?),
    };
    Ok(Arc::new(text))
}

fn collect(values: impl Iterator<Item = Option<String>>) -> LargeStringArray {
    let mut builder = LargeStringBuilder::new();
    values.for_each(|value| builder.append_option(value));
    builder.finish()
}

/// The shortest text that reads back as the same double, with an exponent where PostgreSQL writes one.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..15).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => value.to_string(),
    }
}
