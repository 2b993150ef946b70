//! The type check: our tree and a schema in, a typed plan out, before any data is read.
//!
//! Types are strict where SQL engines differ: text is never turned into a number by itself, nor a number into a boolean.
//! What is implicit is only what cannot surprise: whole numbers to double, uid to text, null to anything.

use arrow::datatypes::{DataType, Schema};
use regex::RegexBuilder;

use crate::ast::{Comparison, Kind, Node};
use crate::bind_types::{align, coerce, expect, mismatch};
use crate::error::{ExprError, ExprErrorKind, Position, closest};
use crate::like::Pattern;
use crate::plan::{Label, Operation, Plan};
use crate::types::{Target, Type};

/// What the columns mean, and which of them have been used so far.
pub(crate) struct Scope<'a> {
    pub(crate) schema: &'a Schema,
    /// Columns in order of first use: name in the schema and its Arrow type.
    pub(crate) used: Vec<(String, DataType)>,
}

/// Resolves a name: the exact one first, then the only one that is equal but for case.
pub(crate) fn resolve(schema: &Schema, name: &str) -> Result<usize, ExprErrorKind> {
    if let Ok(index) = schema.index_of(name) {
        return Ok(index);
    }
    let lower = name.to_lowercase();
    let alike: Vec<usize> = (0..schema.fields().len())
        .filter(|&index| schema.field(index).name().to_lowercase() == lower)
        .collect();
    match alike.as_slice() {
        [one] => Ok(*one),
        [] => {
            let valid: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
            let candidates = closest(name, &valid);
            Err(ExprErrorKind::UnknownColumn { name: name.to_owned(), candidates, valid })
        }
        several => {
            let candidates = several.iter().map(|&index| schema.field(index).name().clone()).collect();
            Err(ExprErrorKind::AmbiguousColumn { name: name.to_owned(), candidates })
        }
    }
}

impl Scope<'_> {
    pub(crate) fn bind(&mut self, node: &Node) -> Result<Plan, ExprError> {
        self.bind_kind(node).map_err(|error| error.at(node.position))
    }

    fn boxed(&mut self, node: &Node) -> Result<Box<Plan>, ExprError> {
        self.bind(node).map(Box::new)
    }

    pub(crate) fn bind_all<'n>(
        &mut self,
        nodes: impl IntoIterator<Item = &'n Node>,
    ) -> Result<Vec<Plan>, ExprError> {
        nodes.into_iter().map(|node| self.bind(node)).collect()
    }

    fn bind_kind(&mut self, node: &Node) -> Result<Plan, ExprError> {
        match &node.kind {
            Kind::Column { name, quoted } => self.column(name).map_err(|error| {
                let lost = *quoted && error.candidates().is_empty();
                if lost {
                    error.with_hint("double quotes are for names; text is written '…'")
                } else {
                    error
                }
            }),
            Kind::Null => Ok(Plan::null()),
            Kind::Boolean(value) => Ok(Plan::boolean(*value)),
            Kind::Integer(value) => Ok(Plan::integer(*value)),
            Kind::Unsigned(value) => Ok(Plan::unsigned(*value)),
            Kind::Float(value) => Ok(Plan::float(*value)),
            Kind::Text(text) => Ok(Plan::text(text)),
            Kind::Negate(inner) => {
                let plan = self.number(inner, "unary -")?;
                let type_ = plan.type_.clone();
                Ok(Plan::new(Operation::Negate { inner: Box::new(plan), label: Label::of(node) }, type_))
            }
            Kind::Not(inner) => {
                let inner = self.boolean(inner, "NOT")?;
                Ok(Plan::new(Operation::Not(Box::new(inner)), Type::Boolean))
            }
            Kind::And(operands) => {
                let operands = self.booleans(operands, "AND")?;
                Ok(Plan::new(Operation::And(operands), Type::Boolean))
            }
            Kind::Or(operands) => {
                let operands = self.booleans(operands, "OR")?;
                Ok(Plan::new(Operation::Or(operands), Type::Boolean))
            }
            Kind::Arithmetic(operator, left, right) => {
                let left = self.number(left, operator.symbol())?;
                let right = self.number(right, operator.symbol())?;
                let type_ = match left.type_.common(&right.type_) {
                    Some(Type::Float) => Type::Float,
                    _ => Type::Integer,
                };
                let label = Label::of(node);
                let left = Box::new(coerce(left, &type_, &label)?);
                let right = Box::new(coerce(right, &type_, &label)?);
                Ok(Plan::new(Operation::Arithmetic { operator: *operator, left, right, label }, type_))
            }
            Kind::Compare(operator, left, right) => self.compare(node, *operator, left, right),
            Kind::Distinct { negated, left, right } => {
                let (left, right) = self.pair(node, left, right)?;
                Ok(Plan::new(Operation::Distinct { negated: *negated, left, right }, Type::Boolean))
            }
            Kind::Concat(left, right) => self.concat(node, left, right),
            Kind::IsNull { negated, inner } => {
                let inner = self.boxed(inner)?;
                Ok(Plan::new(Operation::IsNull { negated: *negated, inner }, Type::Boolean))
            }
            Kind::IsUnknown { negated, inner } => {
                let inner = Box::new(self.boolean(inner, "IS UNKNOWN")?);
                Ok(Plan::new(Operation::IsNull { negated: *negated, inner }, Type::Boolean))
            }
            Kind::IsTruth { negated, truth, inner } => {
                let word = if *truth { "IS TRUE" } else { "IS FALSE" };
                let inner = Box::new(self.boolean(inner, word)?);
                Ok(Plan::new(Operation::IsTruth { negated: *negated, truth: *truth, inner }, Type::Boolean))
            }
            Kind::In { negated, value, list } => self.bind_in(node, *negated, value, list),
            Kind::Between { negated, value, low, high } => {
                let plans = self.bind_compared([&**value, &**low, &**high].into_iter())?;
                let mut plans = align(plans, node, true)?.into_iter().map(Box::new);
                let (Some(value), Some(low), Some(high)) = (plans.next(), plans.next(), plans.next()) else {
                    return Ok(Plan::null());
                };
                Ok(Plan::new(Operation::Between { negated: *negated, value, low, high }, Type::Boolean))
            }
            Kind::Like { negated, fold_case, value, pattern, escape } => {
                let value = Box::new(self.text(value, "LIKE")?);
                let place = pattern.position;
                let pattern = Box::new(self.text(pattern, "LIKE")?);
                let operation = match pattern.as_text() {
                    Some(text) => {
                        let compiled = Pattern::new(text, *fold_case, *escape)
                            .map_err(|message| invalid_pattern(text, message, place))?;
                        Operation::Like { negated: *negated, value, pattern: compiled }
                    }
                    None => Operation::LikeEach {
                        negated: *negated,
                        fold_case: *fold_case,
                        escape: *escape,
                        value,
                        pattern,
                        label: Label::of(node),
                    },
                };
                Ok(Plan::new(operation, Type::Boolean))
            }
            Kind::Case { operand, branches, otherwise } => {
                self.case(node, operand.as_deref(), branches, otherwise.as_deref())
            }
            Kind::Cast { inner, target, lenient } => self.cast(node, inner, *target, *lenient),
            Kind::Call { function, arguments } => self.call(node, *function, arguments),
        }
    }

    fn column(&mut self, name: &str) -> Result<Plan, ExprError> {
        let field = self.schema.field(resolve(self.schema, name)?);
        let known = self.used.iter().position(|(used, _)| used == field.name());
        let index = known.unwrap_or_else(|| {
            self.used.push((field.name().clone(), field.data_type().clone()));
            self.used.len() - 1
        });
        Ok(Plan::new(Operation::Column(index), Type::of(field.data_type())))
    }

    fn boolean(&mut self, node: &Node, context: &str) -> Result<Plan, ExprError> {
        let plan = self.bind(node)?;
        expect(plan, &Type::Boolean, node, context)
    }

    fn booleans(&mut self, nodes: &[Node], context: &str) -> Result<Vec<Plan>, ExprError> {
        nodes.iter().map(|node| self.boolean(node, context)).collect()
    }

    pub(crate) fn text(&mut self, node: &Node, context: &str) -> Result<Plan, ExprError> {
        let plan = self.bind(node)?;
        expect(plan, &Type::Text, node, context)
    }

    /// Integer or Float; a null is an integer, an unsigned number becomes one.
    pub(crate) fn number(&mut self, node: &Node, context: &str) -> Result<Plan, ExprError> {
        let plan = self.bind(node)?;
        match plan.type_ {
            Type::Float => Ok(plan),
            _ => expect(plan, &Type::Integer, node, context),
        }
    }

    fn pair(&mut self, node: &Node, left: &Node, right: &Node) -> Result<(Box<Plan>, Box<Plan>), ExprError> {
        let plans = self.bind_compared([left, right].into_iter())?;
        let mut plans = align(plans, node, true)?.into_iter().map(Box::new);
        match (plans.next(), plans.next()) {
            (Some(left), Some(right)) => Ok((left, right)),
            _ => Ok((Box::new(Plan::null()), Box::new(Plan::null()))),
        }
    }

    fn compare(
        &mut self,
        node: &Node,
        operator: Comparison,
        left: &Node,
        right: &Node,
    ) -> Result<Plan, ExprError> {
        let chained = matches!(left.kind, Kind::Compare(..));
        let (left, right) = self.pair(node, left, right).map_err(|error| {
            let chain = chained && matches!(error.kind(), ExprErrorKind::TypeMismatch { .. });
            if chain { error.with_hint("comparisons do not chain: write 1 < x AND x < 3") } else { error }
        })?;
        Ok(Plan::new(Operation::Compare(operator, left, right), Type::Boolean))
    }

    /// `||` takes text and, beside text, anything that has a text form.
    fn concat(&mut self, node: &Node, left: &Node, right: &Node) -> Result<Plan, ExprError> {
        let plans = (self.bind(left)?, self.bind(right)?);
        let textual = |plan: &Plan| matches!(plan.type_, Type::Text | Type::Uid | Type::Null);
        if !(textual(&plans.0) || textual(&plans.1)) {
            return Err(mismatch(node, &plans.0.type_, &plans.1.type_)
                .with_hint("one side of || has to be text: CAST(… AS text)"));
        }
        let mut sides = Vec::with_capacity(2);
        for (plan, side) in [(plans.0, left), (plans.1, right)] {
            let plain = plan.type_.is_number() || plan.type_ == Type::Boolean;
            let plan = if plain { cast_to_text(plan, side) } else { expect(plan, &Type::Text, side, "||")? };
            sides.push(Box::new(plan));
        }
        match (sides.pop(), sides.pop()) {
            (Some(right), Some(left)) => Ok(Plan::new(Operation::Concat(left, right), Type::Text)),
            _ => Ok(Plan::null()),
        }
    }

    fn case(
        &mut self,
        node: &Node,
        operand: Option<&Node>,
        branches: &[(Node, Node)],
        otherwise: Option<&Node>,
    ) -> Result<Plan, ExprError> {
        let (operand, conditions) = match operand {
            None => {
                let nodes = branches.iter().map(|(when, _)| self.boolean(when, "WHEN"));
                (None, nodes.collect::<Result<Vec<_>, _>>()?)
            }
            Some(operand) => {
                let nodes = std::iter::once(operand).chain(branches.iter().map(|(when, _)| when));
                let plans = self.bind_compared(nodes)?;
                let mut plans = align(plans, node, true)?.into_iter();
                (plans.next().map(Box::new), plans.collect())
            }
        };
        let results = self.bind_all(branches.iter().map(|(_, then)| then).chain(otherwise))?;
        let mut results = align(results, node, false)?;
        let type_ = results.first().map_or(Type::Null, |first| first.type_.clone());
        let otherwise = otherwise.and_then(|_| results.pop()).map(Box::new);
        let branches = conditions.into_iter().zip(results).collect();
        Ok(Plan::new(Operation::Case { operand, branches, otherwise }, type_))
    }

    fn cast(&mut self, node: &Node, inner: &Node, target: Target, lenient: bool) -> Result<Plan, ExprError> {
        let plan = self.bind(inner)?;
        let result = target.result();
        let possible = match (&plan.type_, &result) {
            (Type::Null, _) | (Type::Text, _) => true,
            (Type::Boolean, to) => !matches!(to, Type::Float),
            (from, Type::Boolean) => from.is_whole(),
            (from, Type::Integer | Type::Float) => from.is_number(),
            (Type::Uid, Type::Text) => true,
            (Type::Other(data_type), Type::Text) => data_type.is_temporal(),
            (from, Type::Text) => from.is_number(),
            _ => false,
        };
        if !possible {
            return Err(ExprErrorKind::WrongType {
                expression: inner.excerpt(),
                found: plan.type_.name(),
                expected: "another type".to_owned(),
                context: format!("CAST AS {}", target.name()),
            }
            .into());
        }
        let operation = Operation::Cast { inner: Box::new(plan), target, lenient, label: Label::of(node) };
        Ok(Plan::new(operation, result))
    }
}

fn cast_to_text(plan: Plan, node: &Node) -> Plan {
    let label = Label::of(node);
    // A number always has a text form: the cast cannot fail, and saying so keeps `AND` and `OR` on their fast path.
    let operation = Operation::Cast { inner: Box::new(plan), target: Target::Text, lenient: true, label };
    Plan::new(operation, Type::Text)
}

pub(crate) fn invalid_pattern(pattern: &str, message: impl ToString, place: Option<Position>) -> ExprError {
    let (pattern, message) = (pattern.to_owned(), message.to_string());
    ExprError::from(ExprErrorKind::InvalidPattern { pattern, message }).at(place)
}

/// Compiles a regular expression with flags out of `imsxc`; the last of `i` and `c` wins.
pub(crate) fn regular_expression(
    pattern: &str,
    flags: &str,
    place: Option<Position>,
) -> Result<regex::Regex, ExprError> {
    let mut builder = RegexBuilder::new(pattern);
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'c' => builder.case_insensitive(false),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            _ => {
                let expected = "made of the flags i, c, m, s and x".to_owned();
                return Err(ExprErrorKind::InvalidLiteral { literal: format!("'{flags}'"), expected }.into());
            }
        };
    }
    builder.build().map_err(|error| {
        let message = match error {
            // The library draws several lines; the last one says what is wrong.
            regex::Error::Syntax(message) => {
                message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
            other => other.to_string(),
        };
        invalid_pattern(pattern, message, place)
    })
}
