//! `+ - * / %` and the minus sign. Whole numbers never wrap: leaving 64 bits is an error that names the row.
//!
//! Division by zero is null, for whole numbers and doubles alike (as in DuckDB and SQLite; PostgreSQL stops with an error):
//! one image without a height must not end a run over a billion rows, and null drops the row with a reason of its own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::error::ArrowError;

use crate::ast::Arithmetic;
use crate::cast::overflow;
use crate::error::ExprError;
use crate::evaluate::{result, rows_of};
use crate::frame::Frame;
use crate::plan::{Label, Value};
use crate::types::Type;

pub(crate) fn arithmetic(
    operator: Arithmetic,
    left: &Value,
    right: &Value,
    type_: &Type,
    frame: &Frame<'_>,
    label: &Label,
) -> Result<Value, ExprError> {
    let whole = *type_ == Type::Integer;
    let done = match operator {
        Arithmetic::Add => numeric::add(left, right),
        Arithmetic::Subtract => numeric::sub(left, right),
        Arithmetic::Multiply => numeric::mul(left, right),
        Arithmetic::Divide if whole => return divide_whole(i64::checked_div, left, right, frame, label),
        // The only overflow of % is the smallest number by -1, whose remainder is 0.
        Arithmetic::Remainder if whole => {
            return divide_whole(|a, b| Some(a.checked_rem(b).unwrap_or(0)), left, right, frame, label);
        }
        Arithmetic::Divide => return divide_float(|a, b| a / b, left, right),
        Arithmetic::Remainder => return divide_float(|a, b| a % b, left, right),
    };
    match done {
        Ok(array) => Ok(value(array, left, right)),
        Err(ArrowError::ArithmeticOverflow(_)) => {
            let checked = match operator {
                Arithmetic::Add => i64::checked_add,
                Arithmetic::Subtract => i64::checked_sub,
                _ => i64::checked_mul,
            };
            each::<Int64Type>(left, right, |at, a, b| match checked(a, b) {
                None => Err(overflow(label, frame.row(at))),
                some => Ok(some),
            })
        }
        Err(other) => Err(other.into()),
    }
}

fn value(array: ArrayRef, left: &Value, right: &Value) -> Value {
    Value { array, scalar: left.scalar && right.scalar }
}

fn each<T: ArrowPrimitiveType>(
    left: &Value,
    right: &Value,
    operation: impl Fn(usize, T::Native, T::Native) -> Result<Option<T::Native>, ExprError>,
) -> Result<Value, ExprError> {
    let (first, second) = (left.array.as_primitive::<T>(), right.array.as_primitive::<T>());
    let rows = rows_of(&[left, right]);
    let mut builder = PrimitiveArray::<T>::builder(rows);
    for at in 0..rows {
        let (one, two) = (left.index(at), right.index(at));
        if first.is_valid(one) && second.is_valid(two) {
            builder.append_option(operation(at, first.value(one), second.value(two))?);
        } else {
            builder.append_null();
        }
    }
    Ok(value(Arc::new(builder.finish()), left, right))
}

fn divide_whole(
    operation: impl Fn(i64, i64) -> Option<i64>,
    left: &Value,
    right: &Value,
    frame: &Frame<'_>,
    label: &Label,
) -> Result<Value, ExprError> {
    each::<Int64Type>(left, right, |at, a, b| match (b, operation(a, b)) {
        (0, _) => Ok(None),
        (_, None) => Err(overflow(label, frame.row(at))),
        (_, some) => Ok(some),
    })
}

fn divide_float(
    operation: impl Fn(f64, f64) -> f64,
    left: &Value,
    right: &Value,
) -> Result<Value, ExprError> {
    each::<Float64Type>(left, right, |_, a, b| Ok((b != 0.0).then(|| operation(a, b))))
}

pub(crate) fn negate(inner: &Value, frame: &Frame<'_>, label: &Label) -> Result<Value, ExprError> {
    match numeric::neg(&inner.array) {
        Ok(array) => Ok(Value { array, scalar: inner.scalar }),
        Err(ArrowError::ArithmeticOverflow(_)) => Err(overflow(label, frame.row(smallest(inner)))),
        Err(other) => Err(other.into()),
    }
}

/// The first row that holds the number which has no positive twin.
fn smallest(inner: &Value) -> usize {
    let numbers = inner.array.as_primitive::<Int64Type>();
    (0..numbers.len()).find(|&at| numbers.is_valid(at) && numbers.value(at) == i64::MIN).unwrap_or(0)
}

pub(crate) fn absolute(inner: &Value, frame: &Frame<'_>, label: &Label) -> Result<Value, ExprError> {
    if let Some(numbers) = inner.array.as_primitive_opt::<Float64Type>() {
        return Ok(result(numbers.unary::<_, Float64Type>(f64::abs), &[inner]));
    }
    let numbers = inner.array.as_primitive::<Int64Type>();
    let positive = numbers.try_unary::<_, Int64Type, ()>(|number| number.checked_abs().ok_or(()));
    match positive {
        Ok(array) => Ok(result(array, &[inner])),
        Err(()) => Err(overflow(label, frame.row(smallest(inner)))),
    }
}
