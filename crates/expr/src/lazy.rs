//! What is evaluated only for some rows: `AND`, `OR`, `CASE`, `coalesce`.
//!
//! A guard must guard: in `CASE WHEN x < 10 THEN x * x END` or `kind = 'n' AND CAST(t AS int) > 3` the part behind the
//! guard never sees the rows that the guard turned away, so it cannot fail on them. Operands that cannot fail are still
//! evaluated over whole columns, which is faster, unless few rows are left.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, BooleanBuilder, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::interleave;
use arrow::compute::kernels::boolean;

use crate::ast::Comparison;
use crate::compare::{booleans, compare};
use crate::error::ExprError;
use crate::evaluate::{evaluate, result};
use crate::frame::Frame;
use crate::plan::{Plan, Value};
use crate::types::Type;

/// `AND` (`conjunction`) or `OR` of any number of operands, from left to right, in three-valued logic.
pub(crate) fn connect(operands: &[Plan], frame: &Frame<'_>, conjunction: bool) -> Result<Value, ExprError> {
    let rows = frame.rows();
    let Some((first, others)) = operands.split_first() else {
        return Ok(Value::scalar(BooleanArray::from(vec![conjunction])));
    };
    let mut known = booleans(&evaluate(first, frame)?, rows);
    for operand in others {
        // False decides an AND, true decides an OR.
        let open =
            BooleanBuffer::collect_bool(rows, |row| known.is_null(row) || known.value(row) == conjunction);
        let left = open.count_set_bits();
        if left == 0 {
            break;
        }
        let next = if left < rows && (operand.fallible || left < rows / 8) {
            let open = BooleanArray::new(open, None);
            let part = frame.select(&open)?;
            let values = booleans(&evaluate(operand, &part)?, part.rows());
            scatter(&values, &open, conjunction)
        } else {
            booleans(&evaluate(operand, frame)?, rows)
        };
        known = if conjunction {
            boolean::and_kleene(&known, &next)?
        } else {
            boolean::or_kleene(&known, &next)?
        };
    }
    Ok(Value { array: Arc::new(known), scalar: false })
}

/// Puts the values of the open rows back into their places, with `filler` in the others.
fn scatter(values: &BooleanArray, open: &BooleanArray, filler: bool) -> BooleanArray {
    let mut builder = BooleanBuilder::with_capacity(open.len());
    let mut next = 0;
    for row in 0..open.len() {
        if open.value(row) {
            builder.append_option(values.is_valid(next).then(|| values.value(next)));
            next += 1;
        } else {
            builder.append_value(filler);
        }
    }
    builder.finish()
}

/// Collects, branch by branch, which value each row gets.
struct Choice<'f, 'a> {
    whole: &'f Frame<'a>,
    /// The rows that have no value yet; `None` until the first branch is done.
    part: Option<Frame<'a>>,
    /// Where the open rows stand in the whole frame.
    open: Vec<usize>,
    pieces: Vec<ArrayRef>,
    /// Piece and place of each row's value. Piece 0 is null.
    chosen: Vec<(usize, usize)>,
}

impl<'f, 'a> Choice<'f, 'a> {
    fn new(frame: &'f Frame<'a>, type_: &Type) -> Self {
        Self {
            whole: frame,
            part: None,
            open: (0..frame.rows()).collect(),
            pieces: vec![new_null_array(&type_.data_type(), 1)],
            chosen: vec![(0, 0); frame.rows()],
        }
    }

    fn rest(&self) -> &Frame<'a> {
        self.part.as_ref().unwrap_or(self.whole)
    }

    /// Gives the open rows where `hit` is set their value; `place` maps the number of the hit to a place in `piece`.
    fn settle(&mut self, hit: &BooleanArray, piece: ArrayRef, place: impl Fn(usize, usize) -> usize) {
        let number = self.pieces.len();
        self.pieces.push(piece);
        let hits = hit.values().set_indices().enumerate();
        for (count, at) in hits {
            self.chosen[self.open[at]] = (number, place(count, at));
        }
    }

    /// Goes on with the rows that were not hit. Returns the mask of them.
    fn narrow(&mut self, hit: &BooleanArray) -> Result<BooleanArray, ExprError> {
        let missed = BooleanArray::new(!hit.values(), None);
        let part = self.rest().select(&missed)?;
        self.open = missed.values().set_indices().map(|at| self.open[at]).collect();
        self.part = Some(part);
        Ok(missed)
    }

    fn finish(self, type_: &Type) -> Result<Value, ExprError> {
        if *type_ == Type::Null {
            return Ok(Value { array: new_null_array(&type_.data_type(), self.whole.rows()), scalar: false });
        }
        let pieces: Vec<&dyn Array> = self.pieces.iter().map(AsRef::as_ref).collect();
        Ok(Value { array: interleave(&pieces, &self.chosen)?, scalar: false })
    }
}

/// Both forms of `CASE`. A branch's result is evaluated for the rows that take it, its condition for those still open.
pub(crate) fn case(
    operand: Option<&Plan>,
    branches: &[(Plan, Plan)],
    otherwise: Option<&Plan>,
    type_: &Type,
    frame: &Frame<'_>,
) -> Result<Value, ExprError> {
    let mut choice = Choice::new(frame, type_);
    let mut compared = match operand {
        Some(plan) => Some((evaluate(plan, frame)?, &plan.type_)),
        None => None,
    };
    for (when, then) in branches {
        if choice.open.is_empty() {
            break;
        }
        let rest = choice.rest();
        let condition = evaluate(when, rest)?;
        let condition = match &compared {
            Some((value, value_type)) => {
                let equal = compare(Comparison::Equal, (value, value_type), (&condition, &when.type_))?;
                booleans(&result(equal, &[value, &condition]), rest.rows())
            }
            None => booleans(&condition, rest.rows()),
        };
        let hit = BooleanArray::new(
            BooleanBuffer::collect_bool(condition.len(), |at| condition.is_valid(at) && condition.value(at)),
            None,
        );
        if hit.has_true() {
            let value = evaluate(then, &rest.select(&hit)?)?;
            choice.settle(&hit, Arc::clone(&value.array), |count, _| value.index(count));
        }
        let missed = choice.narrow(&hit)?;
        if let Some((value, _)) = &mut compared
            && !value.scalar
        {
            value.array = arrow::compute::filter(&value.array, &missed)?;
        }
    }
    if let (Some(otherwise), false) = (otherwise, choice.open.is_empty()) {
        let rest = choice.rest();
        let value = evaluate(otherwise, rest)?;
        let all = BooleanArray::new(BooleanBuffer::new_set(rest.rows()), None);
        choice.settle(&all, Arc::clone(&value.array), |count, _| value.index(count));
    }
    choice.finish(type_)
}

/// The first operand that is not null; later ones are evaluated only for the rows that need them.
pub(crate) fn coalesce(operands: &[Plan], type_: &Type, frame: &Frame<'_>) -> Result<Value, ExprError> {
    let mut choice = Choice::new(frame, type_);
    for operand in operands {
        if choice.open.is_empty() {
            break;
        }
        let rest = choice.rest();
        let value = evaluate(operand, rest)?;
        let known = result(boolean::is_not_null(&value.array)?, &[&value]);
        let known = booleans(&known, rest.rows());
        choice.settle(&known, Arc::clone(&value.array), |_, at| value.index(at));
        choice.narrow(&known)?;
    }
    choice.finish(type_)
}
