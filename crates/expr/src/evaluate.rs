//! The walk over a typed plan: each node's operands become values, a kernel makes of them the value of the node.
//!
//! A value is a column or a scalar, and scalars stay scalars until a kernel needs rows: a literal is never spread out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, LargeStringBuilder, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::boolean;
use arrow::compute::take;

use crate::arithmetic::{arithmetic, negate};
use crate::ast::Comparison;
use crate::calls::call;
use crate::cast::{cast_array, coerce_array};
use crate::compare::{booleans, compare, contained, distinct, negate_if};
use crate::error::{ExprError, ExprErrorKind};
use crate::frame::Frame;
use crate::lazy::{case, coalesce, connect};
use crate::like::Pattern;
use crate::plan::{Label, Operation, Plan, Value};
use crate::types::Type;

impl Value {
    /// The value as a column of `rows` rows.
    pub(crate) fn expand(&self, rows: usize) -> Result<ArrayRef, ExprError> {
        if !self.scalar {
            return Ok(Arc::clone(&self.array));
        }
        Ok(take(&self.array, &UInt64Array::from(vec![0; rows]), None)?)
    }
}

/// A result of operands: a scalar if all of them were.
pub(crate) fn result(array: impl Array + 'static, operands: &[&Value]) -> Value {
    Value { array: Arc::new(array), scalar: operands.iter().all(|operand| operand.scalar) }
}

/// The number of results of operands: one if all are scalars.
pub(crate) fn rows_of(operands: &[&Value]) -> usize {
    operands.iter().find(|operand| !operand.scalar).map_or(1, |operand| operand.array.len())
}

pub(crate) fn evaluate(plan: &Plan, frame: &Frame<'_>) -> Result<Value, ExprError> {
    let row = |at: usize| frame.row(at);
    match &plan.operation {
        Operation::Column(index) => Ok(Value { array: frame.column(*index)?, scalar: false }),
        Operation::Literal(value) => Ok(value.clone()),
        Operation::Coerce { inner, label } => {
            let value = evaluate(inner, frame)?;
            let array = coerce_array(&value.array, &inner.type_, &plan.type_, &row, label)?;
            Ok(Value { array, scalar: value.scalar })
        }
        Operation::Negate { inner, label } => negate(&evaluate(inner, frame)?, frame, label),
        Operation::Arithmetic { operator, left, right, label } => {
            let (left, right) = (evaluate(left, frame)?, evaluate(right, frame)?);
            arithmetic(*operator, &left, &right, &plan.type_, frame, label)
        }
        Operation::Compare(operator, left, right) => compared(*operator, left, right, frame),
        Operation::Distinct { negated, left, right } => {
            let values = (evaluate(left, frame)?, evaluate(right, frame)?);
            let array = distinct((&values.0, &left.type_), (&values.1, &right.type_))?;
            Ok(result(negate_if(*negated, array)?, &[&values.0, &values.1]))
        }
        Operation::And(operands) => connect(operands, frame, true),
        Operation::Or(operands) => connect(operands, frame, false),
        Operation::Not(inner) => {
            let value = evaluate(inner, frame)?;
            Ok(result(boolean::not(value.array.as_boolean())?, &[&value]))
        }
        Operation::IsNull { negated, inner } => {
            let value = evaluate(inner, frame)?;
            Ok(result(negate_if(*negated, boolean::is_null(&value.array)?)?, &[&value]))
        }
        Operation::IsTruth { negated, truth, inner } => {
            let value = evaluate(inner, frame)?;
            let array = value.array.as_boolean();
            let is = BooleanBuffer::collect_bool(array.len(), |at| {
                array.is_valid(at) && array.value(at) == *truth
            });
            Ok(result(negate_if(*negated, BooleanArray::new(is, None))?, &[&value]))
        }
        Operation::In { negated, value, constants, has_null, others } => {
            let searched = evaluate(value, frame)?;
            let mut found = result(contained(&searched, constants, *has_null), &[&searched]);
            for other in others {
                let item = evaluate(other, frame)?;
                let equal = compare(Comparison::Equal, (&searched, &value.type_), (&item, &other.type_))?;
                let rows = rows_of(&[&found, &item]);
                let either = boolean::or_kleene(
                    &booleans(&found, rows),
                    &booleans(&result(equal, &[&searched, &item]), rows),
                )?;
                found = result(either, &[&found, &item]);
            }
            let scalar = found.scalar;
            Ok(Value { array: Arc::new(negate_if(*negated, found.array.as_boolean().clone())?), scalar })
        }
        Operation::Between { negated, value, low, high } => {
            let middle = evaluate(value, frame)?;
            let (lowest, highest) = (evaluate(low, frame)?, evaluate(high, frame)?);
            let above = compare(Comparison::GreaterOrEqual, (&middle, &value.type_), (&lowest, &low.type_))?;
            let below = compare(Comparison::LessOrEqual, (&middle, &value.type_), (&highest, &high.type_))?;
            let rows = rows_of(&[&middle, &lowest, &highest]);
            let above = booleans(&result(above, &[&middle, &lowest]), rows);
            let below = booleans(&result(below, &[&middle, &highest]), rows);
            let within = negate_if(*negated, boolean::and_kleene(&above, &below)?)?;
            Ok(result(within, &[&middle, &lowest, &highest]))
        }
        Operation::Like { negated, value, pattern } => {
            let value = evaluate(value, frame)?;
            let matches = test_text(&value, |text| pattern.matches(text) != *negated);
            Ok(result(matches, &[&value]))
        }
        Operation::LikeEach { negated, fold_case, escape, value, pattern, label } => {
            let (value, pattern) = (evaluate(value, frame)?, evaluate(pattern, frame)?);
            like_each((*negated, *fold_case, *escape), &value, &pattern, label)
        }
        Operation::Matches { value, regex } => {
            let value = evaluate(value, frame)?;
            Ok(result(test_text(&value, |text| regex.is_match(text)), &[&value]))
        }
        Operation::Concat(left, right) => {
            let (left, right) = (evaluate(left, frame)?, evaluate(right, frame)?);
            let (first, second) = (left.array.as_string::<i64>(), right.array.as_string::<i64>());
            let mut builder = LargeStringBuilder::new();
            for at in 0..rows_of(&[&left, &right]) {
                let (one, two) = (left.index(at), right.index(at));
                let both = first.is_valid(one) && second.is_valid(two);
                builder.append_option(both.then(|| [first.value(one), second.value(two)].concat()));
            }
            Ok(result(builder.finish(), &[&left, &right]))
        }
        Operation::Case { operand, branches, otherwise } => {
            case(operand.as_deref(), branches, otherwise.as_deref(), &plan.type_, frame)
        }
        Operation::Coalesce(operands) => coalesce(operands, &plan.type_, frame),
        Operation::Cast { inner, target, lenient, label } => {
            let value = evaluate(inner, frame)?;
            let array = cast_array(&value.array, &inner.type_, *target, *lenient, &row, label)?;
            Ok(Value { array, scalar: value.scalar })
        }
        Operation::Call { function, arguments, label } => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                values.push((evaluate(argument, frame)?, &argument.type_));
            }
            call(*function, &values, frame, label)
        }
    }
}

/// Evaluates a comparison of two plans.
fn compared(operator: Comparison, left: &Plan, right: &Plan, frame: &Frame<'_>) -> Result<Value, ExprError> {
    let values = (evaluate(left, frame)?, evaluate(right, frame)?);
    let array = compare(operator, (&values.0, &left.type_), (&values.1, &right.type_))?;
    Ok(result(array, &[&values.0, &values.1]))
}

/// A test of each text; null stays null.
pub(crate) fn test_text(value: &Value, test: impl Fn(&str) -> bool) -> BooleanArray {
    let texts = value.array.as_string::<i64>();
    let values = BooleanBuffer::collect_bool(texts.len(), |at| texts.is_valid(at) && test(texts.value(at)));
    BooleanArray::new(values, texts.nulls().cloned())
}

/// `LIKE` with another pattern in each row. Equal patterns in a run of rows are compiled once.
fn like_each(
    (negated, fold_case, escape): (bool, bool, Option<char>),
    value: &Value,
    pattern: &Value,
    label: &Label,
) -> Result<Value, ExprError> {
    let (texts, patterns) = (value.array.as_string::<i64>(), pattern.array.as_string::<i64>());
    let mut compiled: Option<(&str, Pattern)> = None;
    let mut results = Vec::with_capacity(texts.len());
    for at in 0..rows_of(&[value, pattern]) {
        let (text, wanted) = (value.index(at), pattern.index(at));
        if texts.is_null(text) || patterns.is_null(wanted) {
            results.push(None);
            continue;
        }
        let source = patterns.value(wanted);
        if compiled.as_ref().is_none_or(|(known, _)| *known != source) {
            let new = Pattern::new(source, fold_case, escape).map_err(|message| {
                let kind =
                    ExprErrorKind::InvalidPattern { pattern: source.to_owned(), message: message.to_owned() };
                ExprError::from(kind).at(label.position)
            })?;
            compiled = Some((source, new));
        }
        results.push(compiled.as_ref().map(|(_, like)| like.matches(texts.value(text)) != negated));
    }
    Ok(result(BooleanArray::from(results), &[value, pattern]))
}

/// The whole expression over a batch: `rows` values, also for an expression without columns.
pub(crate) fn evaluate_rows(plan: &Plan, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef, ExprError> {
    if rows == 0 {
        // Nothing is evaluated, so that an overflow between constants is no error of an empty batch.
        return Ok(arrow::array::new_empty_array(&plan.type_.data_type()));
    }
    let value = evaluate(plan, &Frame::whole(columns, rows))?;
    if plan.type_ == Type::Null {
        return Ok(arrow::array::new_null_array(&plan.type_.data_type(), rows));
    }
    value.expand(rows)
}

/// The expression over the open rows of a batch; null for the others.
pub(crate) fn evaluate_selected(
    plan: &Plan,
    columns: &[ArrayRef],
    open: &BooleanArray,
) -> Result<ArrayRef, ExprError> {
    let part = Frame::whole(columns, open.len()).select(open)?;
    let (rows, type_) = (part.rows(), plan.type_.data_type());
    if rows == 0 || plan.type_ == Type::Null {
        return Ok(arrow::array::new_null_array(&type_, open.len()));
    }
    let values = evaluate(plan, &part)?;
    let mut places = 0..rows as u64;
    let place = |row: usize| if open.is_valid(row) && open.value(row) { places.next() } else { None };
    let places: UInt64Array = (0..open.len()).map(place).collect();
    Ok(take(&values.expand(rows)?, &places, None)?)
}
