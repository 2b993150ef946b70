//! What the functions compute. Null in, null out, except where the function is about nulls.

use arrow::array::{
    Array, AsArray, BooleanArray, Float64Array, Int64Array, LargeStringArray, LargeStringBuilder,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::{nullif, zip};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use crate::arithmetic::absolute;
use crate::ast::Comparison;
use crate::bind_call::winner;
use crate::compare::{booleans, compare};
use crate::error::ExprError;
use crate::evaluate::{result, rows_of, test_text};
use crate::frame::Frame;
use crate::functions::Function;
use crate::plan::{Label, Value};
use crate::types::Type;

/// Calls a function with evaluated arguments. The type check has made sure of their number and types.
pub(crate) fn call(
    function: Function,
    arguments: &[(Value, &Type)],
    frame: &Frame<'_>,
    label: &Label,
) -> Result<Value, ExprError> {
    let Some(((first, first_type), others)) = arguments.split_first() else {
        return Ok(Value::scalar(arrow::array::NullArray::new(1)));
    };
    let second = others.first().map_or(first, |(value, _)| value);
    match function {
        Function::Least | Function::Greatest => extreme(function, first, others, first_type),
        // `coalesce` and `regexp_like` have operations of their own.
        Function::Coalesce | Function::RegexpLike => Ok(first.clone()),
        Function::NullIf => {
            let second_type = others.first().map_or(*first_type, |(_, type_)| type_);
            let equal = compare(Comparison::Equal, (first, first_type), (second, second_type))?;
            let rows = rows_of(&[first, second]);
            let equal = booleans(&result(equal, &[first, second]), rows);
            let array = nullif::nullif(&first.expand(rows)?, &equal)?;
            Ok(Value { array, scalar: first.scalar && second.scalar })
        }
        Function::Abs => absolute(first, frame, label),
        Function::Floor => Ok(whole_or(first, f64::floor)),
        Function::Ceil => Ok(whole_or(first, f64::ceil)),
        Function::Round if others.is_empty() => Ok(whole_or(first, f64::round)),
        Function::Round => Ok(round_to(first, second)),
        Function::Sqrt => Ok(whole_or(first, f64::sqrt)),
        Function::Ln => Ok(whole_or(first, f64::ln)),
        Function::Log10 => Ok(whole_or(first, f64::log10)),
        Function::Exp => Ok(whole_or(first, f64::exp)),
        Function::Power => Ok(power(first, second)),
        Function::IsNan => Ok(test_float(first, f64::is_nan)),
        Function::IsFinite => Ok(test_float(first, f64::is_finite)),
        Function::Length => Ok(count_in(first, |text| text.chars().count())),
        Function::OctetLength => Ok(count_in(first, str::len)),
        Function::WordCount => Ok(count_in(first, words)),
        Function::Lower => Ok(map_text(first, |text| text.to_lowercase())),
        Function::Upper => Ok(map_text(first, |text| text.to_uppercase())),
        Function::Trim | Function::TrimStart | Function::TrimEnd => Ok(trim(function, first, others)),
        Function::StartsWith => Ok(test_texts(first, second, |text, part| text.starts_with(part))),
        Function::EndsWith => Ok(test_texts(first, second, |text, part| text.ends_with(part))),
        Function::Contains => Ok(test_texts(first, second, |text, part| text.contains(part))),
        Function::Cardinality | Function::ArrayLength => lengths(first),
    }
}

/// `least` and `greatest`: nulls are passed over, a NaN wins (it must not let a sample slip through a threshold).
fn extreme(
    function: Function,
    first: &Value,
    others: &[(Value, &Type)],
    type_: &Type,
) -> Result<Value, ExprError> {
    let mut best = first.clone();
    if *type_ == Type::Null {
        return Ok(best);
    }
    for (next, _) in others {
        let wins = compare(winner(function), (next, type_), (&best, type_))?;
        let floats = next.array.as_primitive_opt::<Float64Type>();
        let take_next = BooleanBuffer::collect_bool(wins.len(), |row| {
            let (at, held) = (next.index(row), best.index(row));
            next.array.is_valid(at)
                && (best.array.is_null(held)
                    || wins.value(row)
                    || floats.is_some_and(|floats| floats.value(at).is_nan()))
        });
        let array = zip::zip(&BooleanArray::new(take_next, None), next, &best)?;
        best = Value { array, scalar: next.scalar && best.scalar };
    }
    Ok(best)
}

/// A function of a double; a whole number stays what it is (rounding changes nothing, the others were given doubles).
fn whole_or(value: &Value, operation: impl Fn(f64) -> f64) -> Value {
    match value.array.as_primitive_opt::<Float64Type>() {
        Some(floats) => result(floats.unary::<_, Float64Type>(operation), &[value]),
        None => value.clone(),
    }
}

fn test_float(value: &Value, test: impl Fn(f64) -> bool) -> Value {
    let floats = value.array.as_primitive::<Float64Type>();
    let values = BooleanBuffer::collect_bool(floats.len(), |at| test(floats.value(at)));
    result(BooleanArray::new(values, floats.nulls().cloned()), &[value])
}

fn round_to(value: &Value, digits: &Value) -> Value {
    let (floats, places) =
        (value.array.as_primitive::<Float64Type>(), digits.array.as_primitive::<Int64Type>());
    let rounded: Float64Array = (0..rows_of(&[value, digits]))
        .map(|row| {
            let (at, place) = (value.index(row), digits.index(row));
            (floats.is_valid(at) && places.is_valid(place))
                .then(|| round_digits(floats.value(at), places.value(place)))
        })
        .collect();
    result(rounded, &[value, digits])
}

/// Halves away from zero, at a decimal place. Through the decimal text, because `x * 100` is not exact.
fn round_digits(value: f64, digits: i64) -> f64 {
    if !value.is_finite() || digits > 340 {
        return value;
    }
    if digits < -310 {
        return 0.0;
    }
    let scale = 10f64.powi(i32::try_from(digits.abs()).unwrap_or(i32::MAX));
    let rounded = if digits >= 0 { (value * scale).round() / scale } else { (value / scale).round() * scale };
    // Beyond the range of the scale the digits asked for lie below the precision of the value.
    if rounded.is_finite() { rounded } else { value }
}

fn power(base: &Value, exponent: &Value) -> Value {
    let (bases, exponents) =
        (base.array.as_primitive::<Float64Type>(), exponent.array.as_primitive::<Float64Type>());
    let powers: Float64Array = (0..rows_of(&[base, exponent]))
        .map(|row| {
            let (at, power) = (base.index(row), exponent.index(row));
            (bases.is_valid(at) && exponents.is_valid(power))
                .then(|| bases.value(at).powf(exponents.value(power)))
        })
        .collect();
    result(powers, &[base, exponent])
}

fn count_in(value: &Value, count: impl Fn(&str) -> usize) -> Value {
    let texts = value.array.as_string::<i64>();
    let counts: Int64Array =
        texts.iter().map(|text| text.map(|text| i64::try_from(count(text)).unwrap_or(i64::MAX))).collect();
    result(counts, &[value])
}

/// Words as Python's `str.split()` sees them, which DataComp's basic filter counts: Unicode white space and the four
/// ASCII separators that Python adds to it.
fn words(text: &str) -> usize {
    let separates = |character: char| character.is_whitespace() || ('\x1c'..='\x1f').contains(&character);
    text.split(separates).filter(|word| !word.is_empty()).count()
}

fn map_text(value: &Value, map: impl Fn(&str) -> String) -> Value {
    let texts: LargeStringArray = value.array.as_string::<i64>().iter().map(|text| text.map(&map)).collect();
    result(texts, &[value])
}

/// Trims spaces, or any of the given characters. The bounds of slices, so nothing is copied but the result.
fn trim(function: Function, value: &Value, others: &[(Value, &Type)]) -> Value {
    let space = Value::scalar(LargeStringArray::from(vec![" "]));
    let set = others.first().map_or(&space, |(set, _)| set);
    let (texts, sets) = (value.array.as_string::<i64>(), set.array.as_string::<i64>());
    let mut builder = LargeStringBuilder::new();
    for row in 0..rows_of(&[value, set]) {
        let (at, with) = (value.index(row), set.index(row));
        if texts.is_null(at) || sets.is_null(with) {
            builder.append_null();
            continue;
        }
        let cut = |character: char| sets.value(with).contains(character);
        builder.append_value(match function {
            Function::TrimStart => texts.value(at).trim_start_matches(cut),
            Function::TrimEnd => texts.value(at).trim_end_matches(cut),
            _ => texts.value(at).trim_matches(cut),
        });
    }
    result(builder.finish(), &[value, set])
}

fn test_texts(value: &Value, part: &Value, test: impl Fn(&str, &str) -> bool) -> Value {
    let parts = part.array.as_string::<i64>();
    if part.scalar && parts.is_valid(0) {
        let part = parts.value(0);
        return result(test_text(value, |text| test(text, part)), &[value]);
    }
    let texts = value.array.as_string::<i64>();
    let results: BooleanArray = (0..rows_of(&[value, part]))
        .map(|row| {
            let (at, with) = (value.index(row), part.index(row));
            (texts.is_valid(at) && parts.is_valid(with)).then(|| test(texts.value(at), parts.value(with)))
        })
        .collect();
    result(results, &[value, part])
}

/// The number of elements of each list; an empty list has 0.
fn lengths(value: &Value) -> Result<Value, ExprError> {
    let array = &value.array;
    let length = |at: usize| match array.data_type() {
        DataType::List(_) => i64::from(array.as_list::<i32>().value_length(at)),
        DataType::LargeList(_) => array.as_list::<i64>().value_length(at),
        _ => i64::from(array.as_fixed_size_list().value_length()),
    };
    let lengths: Int64Array = (0..array.len()).map(|at| array.is_valid(at).then(|| length(at))).collect();
    Ok(result(lengths, &[value]))
}
