//! The typed tree that is evaluated: every operand has the type that its kernel takes, coercions are nodes of their own.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Datum, FixedSizeBinaryArray, Float64Array, Int64Array, LargeStringArray,
    NullArray, UInt64Array,
};
use arrow::buffer::Buffer;
use regex::Regex;

use crate::ast::{Arithmetic, Comparison, Node};
use crate::error::Position;
use crate::functions::Function;
use crate::like::Pattern;
use crate::types::{Target, Type};

/// A column of values, or one value that stands for every row.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    /// As long as the rows at hand, or one long.
    pub(crate) array: ArrayRef,
    pub(crate) scalar: bool,
}

impl Value {
    pub(crate) fn scalar(array: impl Array + 'static) -> Self {
        Self { array: Arc::new(array), scalar: true }
    }

    /// Where row `row` stands in the array.
    pub(crate) fn index(&self, row: usize) -> usize {
        if self.scalar { 0 } else { row }
    }
}

impl Datum for Value {
    fn get(&self) -> (&dyn Array, bool) {
        (&self.array, self.scalar)
    }
}

/// The text and place of a sub-expression, kept where evaluation can fail.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) text: Arc<str>,
    pub(crate) position: Option<Position>,
}

impl Label {
    pub(crate) fn of(node: &Node) -> Self {
        Self { text: node.excerpt().into(), position: node.position }
    }
}

/// The constants of an `IN` list. Only asked for membership, so the order of the sets reaches no output.
#[derive(Debug)]
pub(crate) enum Constants {
    /// Whole numbers, wide enough for both `bigint` and `unsigned bigint`.
    Whole(HashSet<i128>),
    /// Bits of floats; `-0.0` is stored as `0.0`, NaN is left out: it equals nothing.
    Float(HashSet<u64>),
    Text(HashSet<String>),
    Uid(HashSet<[u8; 16]>),
    Boolean(HashSet<bool>),
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) operation: Operation,
    pub(crate) type_: Type,
    /// Whether some row could make it fail. Decides if `AND` and `OR` may evaluate it where they need not.
    pub(crate) fallible: bool,
}

#[derive(Debug)]
pub(crate) enum Operation {
    /// Index among the columns that the expression reads.
    Column(usize),
    Literal(Value),
    Coerce {
        inner: Box<Plan>,
        label: Label,
    },
    Negate {
        inner: Box<Plan>,
        label: Label,
    },
    Arithmetic {
        operator: Arithmetic,
        left: Box<Plan>,
        right: Box<Plan>,
        label: Label,
    },
    Compare(Comparison, Box<Plan>, Box<Plan>),
    Distinct {
        negated: bool,
        left: Box<Plan>,
        right: Box<Plan>,
    },
    And(Vec<Plan>),
    Or(Vec<Plan>),
    Not(Box<Plan>),
    IsNull {
        negated: bool,
        inner: Box<Plan>,
    },
    IsTruth {
        negated: bool,
        truth: bool,
        inner: Box<Plan>,
    },
    In {
        negated: bool,
        value: Box<Plan>,
        constants: Constants,
        has_null: bool,
        others: Vec<Plan>,
    },
    Between {
        negated: bool,
        value: Box<Plan>,
        low: Box<Plan>,
        high: Box<Plan>,
    },
    Like {
        negated: bool,
        value: Box<Plan>,
        pattern: Pattern,
    },
    /// `LIKE` with a pattern that differs by row.
    LikeEach {
        negated: bool,
        fold_case: bool,
        escape: Option<char>,
        value: Box<Plan>,
        pattern: Box<Plan>,
        label: Label,
    },
    Matches {
        value: Box<Plan>,
        regex: Box<Regex>,
    },
    Concat(Box<Plan>, Box<Plan>),
    Case {
        operand: Option<Box<Plan>>,
        branches: Vec<(Plan, Plan)>,
        otherwise: Option<Box<Plan>>,
    },
    Coalesce(Vec<Plan>),
    Cast {
        inner: Box<Plan>,
        target: Target,
        lenient: bool,
        label: Label,
    },
    Call {
        function: Function,
        arguments: Vec<Plan>,
        label: Label,
    },
}

impl Plan {
    pub(crate) fn new(operation: Operation, type_: Type) -> Self {
        let own = match &operation {
            Operation::Coerce { inner, .. } => inner.type_ == Type::Unsigned && type_ == Type::Integer,
            Operation::Negate { .. } | Operation::Arithmetic { .. } => type_ == Type::Integer,
            Operation::Cast { lenient, .. } => !lenient,
            Operation::LikeEach { .. } => true,
            Operation::Call { function: Function::Abs, .. } => type_ == Type::Integer,
            _ => false,
        };
        let fallible = own || operation.children().iter().any(|child| child.fallible);
        Self { operation, type_, fallible }
    }

    pub(crate) fn literal(value: Value, type_: Type) -> Self {
        Self::new(Operation::Literal(value), type_)
    }

    pub(crate) fn null() -> Self {
        Self::literal(Value::scalar(NullArray::new(1)), Type::Null)
    }

    pub(crate) fn boolean(value: bool) -> Self {
        Self::literal(Value::scalar(BooleanArray::from(vec![value])), Type::Boolean)
    }

    pub(crate) fn integer(value: i64) -> Self {
        Self::literal(Value::scalar(Int64Array::from(vec![value])), Type::Integer)
    }

    pub(crate) fn unsigned(value: u64) -> Self {
        Self::literal(Value::scalar(UInt64Array::from(vec![value])), Type::Unsigned)
    }

    pub(crate) fn float(value: f64) -> Self {
        Self::literal(Value::scalar(Float64Array::from(vec![value])), Type::Float)
    }

    pub(crate) fn text(value: &str) -> Self {
        Self::literal(Value::scalar(LargeStringArray::from(vec![value])), Type::Text)
    }

    pub(crate) fn uid(value: [u8; 16]) -> Self {
        Self::literal(Value::scalar(FixedSizeBinaryArray::new(16, Buffer::from(&value), None)), Type::Uid)
    }

    /// The text, if this is a text literal.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match (&self.operation, &self.type_) {
            (Operation::Literal(value), Type::Text) => value
                .array
                .as_any()
                .downcast_ref::<LargeStringArray>()
                .filter(|array| array.is_valid(0))
                .map(|array| array.value(0)),
            _ => None,
        }
    }

    pub(crate) fn as_literal(&self) -> Option<&Value> {
        match &self.operation {
            Operation::Literal(value) => Some(value),
            _ => None,
        }
    }
}

impl Operation {
    fn children(&self) -> Vec<&Plan> {
        match self {
            Self::Column(_) | Self::Literal(_) => Vec::new(),
            Self::Coerce { inner, .. }
            | Self::Negate { inner, .. }
            | Self::Not(inner)
            | Self::IsNull { inner, .. }
            | Self::IsTruth { inner, .. }
            | Self::Cast { inner, .. }
            | Self::Like { value: inner, .. }
            | Self::Matches { value: inner, .. } => vec![inner],
            Self::Arithmetic { left, right, .. }
            | Self::Compare(_, left, right)
            | Self::Distinct { left, right, .. }
            | Self::Concat(left, right)
            | Self::LikeEach { value: left, pattern: right, .. } => vec![left, right],
            Self::And(operands)
            | Self::Or(operands)
            | Self::Coalesce(operands)
            | Self::Call { arguments: operands, .. } => operands.iter().collect(),
            Self::In { value, others, .. } => std::iter::once(&**value).chain(others).collect(),
            Self::Between { value, low, high, .. } => vec![value, low, high],
            Self::Case { operand, branches, otherwise } => operand
                .as_deref()
                .into_iter()
                .chain(branches.iter().flat_map(|(when, then)| [when, then]))
                .chain(otherwise.as_deref())
                .collect(),
        }
    }
}
