//! Comparisons: `= <> < <= > >=`, `IS DISTINCT FROM` and membership in an `IN` list.
//!
//! Floats have loops of their own. Arrow compares them in IEEE 754 total order, where NaN equals itself and lies above
//! infinity, and -0.0 lies below 0.0; here NaN equals nothing and zeros are equal, as in NumPy and in every processor.

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::{boolean, cmp};
use arrow::datatypes::{Float64Type, Int64Type, UInt64Type};

use crate::ast::Comparison;
use crate::bind_call::float_key;
use crate::error::ExprError;
use crate::plan::{Constants, Value};
use crate::types::Type;

/// The number of results of two operands, and where the nulls are.
fn shape(left: &Value, right: &Value) -> (usize, Option<NullBuffer>) {
    let rows = if left.scalar { right.array.len() } else { left.array.len() };
    let nulls = |value: &Value| match value.scalar {
        false => value.array.logical_nulls(),
        true if value.array.is_null(0) => Some(NullBuffer::new_null(rows)),
        true => None,
    };
    (rows, NullBuffer::union(nulls(left).as_ref(), nulls(right).as_ref()))
}

fn loop_over<T: Copy>(
    left: &Value,
    right: &Value,
    read: (impl Fn(usize) -> T, impl Fn(usize) -> T),
    test: impl Fn(T, T) -> bool,
) -> BooleanArray {
    let (rows, nulls) = shape(left, right);
    let values = match (left.scalar, right.scalar) {
        (false, false) => BooleanBuffer::collect_bool(rows, |row| test(read.0(row), read.1(row))),
        (false, true) => {
            let right = read.1(0);
            BooleanBuffer::collect_bool(rows, |row| test(read.0(row), right))
        }
        (true, _) => {
            let (left, scalar) = (read.0(0), right.scalar);
            BooleanBuffer::collect_bool(rows, |row| test(left, read.1(if scalar { 0 } else { row })))
        }
    };
    BooleanArray::new(values, nulls)
}

fn floats(left: &Value, right: &Value, test: impl Fn(f64, f64) -> bool) -> BooleanArray {
    let values = (
        left.array.as_primitive::<Float64Type>().values(),
        right.array.as_primitive::<Float64Type>().values(),
    );
    loop_over(left, right, (|row| values.0[row], |row| values.1[row]), test)
}

/// Whole numbers of different signedness, compared exactly.
fn mixed(left: &Value, right: &Value, test: impl Fn(i128, i128) -> bool) -> BooleanArray {
    let read = |value: &Value, row: usize| match value.array.as_primitive_opt::<UInt64Type>() {
        Some(unsigned) => i128::from(unsigned.value(row)),
        None => i128::from(value.array.as_primitive::<Int64Type>().value(row)),
    };
    loop_over(left, right, (|row| read(left, row), |row| read(right, row)), test)
}

/// Compares two operands of one type, or of the two whole types. Null where either is null.
pub(crate) fn compare(
    operator: Comparison,
    left: (&Value, &Type),
    right: (&Value, &Type),
) -> Result<BooleanArray, ExprError> {
    let ((left, left_type), (right, right_type)) = (left, right);
    if left_type != right_type {
        return Ok(match operator {
            Comparison::Equal => mixed(left, right, |a, b| a == b),
            Comparison::NotEqual => mixed(left, right, |a, b| a != b),
            Comparison::Less => mixed(left, right, |a, b| a < b),
            Comparison::LessOrEqual => mixed(left, right, |a, b| a <= b),
            Comparison::Greater => mixed(left, right, |a, b| a > b),
            Comparison::GreaterOrEqual => mixed(left, right, |a, b| a >= b),
        });
    }
    if *left_type == Type::Float {
        return Ok(match operator {
            Comparison::Equal => floats(left, right, |a, b| a == b),
            Comparison::NotEqual => floats(left, right, |a, b| a != b),
            Comparison::Less => floats(left, right, |a, b| a < b),
            Comparison::LessOrEqual => floats(left, right, |a, b| a <= b),
            Comparison::Greater => floats(left, right, |a, b| a > b),
            Comparison::GreaterOrEqual => floats(left, right, |a, b| a >= b),
        });
    }
    Ok(match operator {
        Comparison::Equal => cmp::eq(left, right)?,
        Comparison::NotEqual => cmp::neq(left, right)?,
        Comparison::Less => cmp::lt(left, right)?,
        Comparison::LessOrEqual => cmp::lt_eq(left, right)?,
        Comparison::Greater => cmp::gt(left, right)?,
        Comparison::GreaterOrEqual => cmp::gt_eq(left, right)?,
    })
}

/// `IS DISTINCT FROM`: `<>` with nulls equal to each other and to nothing else. Never null.
pub(crate) fn distinct(left: (&Value, &Type), right: (&Value, &Type)) -> Result<BooleanArray, ExprError> {
    let unequal = compare(Comparison::NotEqual, left, right)?;
    let (left, right) = (left.0, right.0);
    let values = BooleanBuffer::collect_bool(unequal.len(), |row| {
        let nulls = (left.array.is_null(left.index(row)), right.array.is_null(right.index(row)));
        match nulls {
            (false, false) => unequal.value(row),
            (left, right) => left != right,
        }
    });
    Ok(BooleanArray::new(values, None))
}

/// Whether each value is in the set: true, or else null if the value is null or the list holds a null, or else false.
pub(crate) fn contained(value: &Value, constants: &Constants, has_null: bool) -> BooleanArray {
    let array = &value.array;
    let found = BooleanBuffer::collect_bool(array.len(), |row| match constants {
        Constants::Whole(set) => set.contains(&match array.as_primitive_opt::<UInt64Type>() {
            Some(unsigned) => i128::from(unsigned.value(row)),
            None => i128::from(array.as_primitive::<Int64Type>().value(row)),
        }),
        Constants::Float(set) => {
            float_key(array.as_primitive::<Float64Type>().value(row)).is_some_and(|key| set.contains(&key))
        }
        Constants::Text(set) => array.is_valid(row) && set.contains(array.as_string::<i64>().value(row)),
        Constants::Uid(set) => set.contains(array.as_fixed_size_binary().value(row)),
        Constants::Boolean(set) => set.contains(&array.as_boolean().value(row)),
    });
    let known = array.logical_nulls();
    let nulls = match has_null {
        false => known,
        true => NullBuffer::union(known.as_ref(), Some(&NullBuffer::new(found.clone()))),
    };
    BooleanArray::new(found, nulls)
}

/// The value as a boolean array of `rows` rows.
pub(crate) fn booleans(value: &Value, rows: usize) -> BooleanArray {
    let array = value.array.as_boolean();
    if !value.scalar {
        return array.clone();
    }
    match array.is_valid(0) {
        true => BooleanArray::new(
            if array.value(0) { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) },
            None,
        ),
        false => BooleanArray::new_null(rows),
    }
}

/// `NOT` where `negated` is set.
pub(crate) fn negate_if(negated: bool, array: BooleanArray) -> Result<BooleanArray, ExprError> {
    if negated { Ok(boolean::not(&array)?) } else { Ok(array) }
}
