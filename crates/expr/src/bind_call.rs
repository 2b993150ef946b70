//! The type check of function calls and of `IN` lists.

use std::collections::HashSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, UInt64Type};

use crate::ast::{Comparison, Kind, Node};
use crate::bind::{Scope, regular_expression};
use crate::bind_types::{align, expect};
use crate::error::{ExprError, ExprErrorKind};
use crate::functions::Function;
use crate::plan::{Constants, Label, Operation, Plan, Value};
use crate::types::Type;

impl Scope<'_> {
    pub(crate) fn call(
        &mut self,
        node: &Node,
        function: Function,
        nodes: &[Node],
    ) -> Result<Plan, ExprError> {
        function.check_count(nodes.len())?;
        let name = function.name();
        let (arguments, type_) = match function {
            Function::Least | Function::Greatest => {
                let plans = self.bind_all(nodes)?;
                let plans = align(plans, node, false)?;
                let type_ = plans.first().map_or(Type::Null, |plan| plan.type_.clone());
                (plans, type_)
            }
            Function::Coalesce => {
                let plans = self.bind_all(nodes)?;
                let plans = align(plans, node, false)?;
                let type_ = plans.first().map_or(Type::Null, |plan| plan.type_.clone());
                return Ok(Plan::new(Operation::Coalesce(plans), type_));
            }
            Function::NullIf => {
                let plans = self.bind_compared(nodes.iter())?;
                let plans = align(plans, node, true)?;
                // Aligned for comparison the two may still differ in sign; the result is of the first one's type.
                let type_ = plans.first().map_or(Type::Null, |plan| plan.type_.clone());
                (plans, type_)
            }
            Function::Abs | Function::Floor | Function::Ceil => {
                let plan = self.number(&nodes[0], name)?;
                let type_ = plan.type_.clone();
                (vec![plan], type_)
            }
            Function::Round => {
                let plan = self.number(&nodes[0], name)?;
                let type_ = plan.type_.clone();
                let mut arguments = vec![plan];
                if let Some(digits) = nodes.get(1) {
                    arguments.push(self.whole(digits, name)?);
                }
                // Digits after the point of a whole number change nothing, and before the point need a double.
                let type_ = if arguments.len() == 2 { Type::Float } else { type_ };
                if arguments.len() == 2 {
                    let plan = arguments.swap_remove(0);
                    let plan = expect(plan, &Type::Float, &nodes[0], name)?;
                    arguments.insert(0, plan);
                }
                (arguments, type_)
            }
            Function::Sqrt | Function::Ln | Function::Log10 | Function::Exp => {
                (vec![self.double(&nodes[0], name)?], Type::Float)
            }
            Function::Power => {
                (vec![self.double(&nodes[0], name)?, self.double(&nodes[1], name)?], Type::Float)
            }
            Function::IsNan | Function::IsFinite => (vec![self.double(&nodes[0], name)?], Type::Boolean),
            Function::Length | Function::OctetLength | Function::WordCount => {
                (vec![self.text(&nodes[0], name)?], Type::Integer)
            }
            Function::Lower | Function::Upper | Function::Trim | Function::TrimStart | Function::TrimEnd => {
                let plans =
                    nodes.iter().map(|argument| self.text(argument, name)).collect::<Result<Vec<_>, _>>()?;
                (plans, Type::Text)
            }
            Function::StartsWith | Function::EndsWith | Function::Contains => {
                (vec![self.text(&nodes[0], name)?, self.text(&nodes[1], name)?], Type::Boolean)
            }
            Function::RegexpLike => return self.regexp_like(nodes),
            Function::Cardinality => (vec![self.list(&nodes[0], name)?], Type::Integer),
            Function::ArrayLength => {
                if let Some(dimension) = nodes.get(1)
                    && !matches!(dimension.kind, Kind::Integer(1))
                {
                    let kind = ExprErrorKind::Unsupported { what: "another dimension than 1 is".to_owned() };
                    return Err(ExprError::from(kind).at(dimension.position));
                }
                (vec![self.list(&nodes[0], name)?], Type::Integer)
            }
        };
        Ok(Plan::new(Operation::Call { function, arguments, label: Label::of(node) }, type_))
    }

    fn whole(&mut self, node: &Node, context: &str) -> Result<Plan, ExprError> {
        let plan = self.bind(node)?;
        expect(plan, &Type::Integer, node, context)
    }

    fn double(&mut self, node: &Node, context: &str) -> Result<Plan, ExprError> {
        let plan = self.bind(node)?;
        expect(plan, &Type::Float, node, context)
    }

    fn list(&mut self, node: &Node, context: &str) -> Result<Plan, ExprError> {
        let plan = self.bind(node)?;
        if matches!(plan.type_, Type::List(_)) {
            return Ok(plan);
        }
        let found = plan.type_.name();
        let error = ExprError::from(ExprErrorKind::WrongType {
            expression: node.excerpt(),
            found,
            expected: "a list".to_owned(),
            context: context.to_owned(),
        })
        .at(node.position);
        let textual = matches!(plan.type_, Type::Text | Type::Uid);
        Err(if textual {
            error.with_hint("of text, length(text) gives the number of characters")
        } else {
            error
        })
    }

    /// The pattern has to be a literal: it is compiled once, and a mistake in it is told before any data is read.
    fn regexp_like(&mut self, nodes: &[Node]) -> Result<Plan, ExprError> {
        let value = Box::new(self.text(&nodes[0], "regexp_like")?);
        let mut literals = Vec::with_capacity(2);
        for argument in &nodes[1..] {
            match &argument.kind {
                Kind::Text(text) => literals.push(text.as_str()),
                Kind::Null => return Ok(Plan::literal(Plan::null_of(&Type::Boolean), Type::Boolean)),
                _ => {
                    let what = "a pattern of regexp_like that is not a literal is".to_owned();
                    let error = ExprError::from(ExprErrorKind::Unsupported { what }).at(argument.position);
                    return Err(error.with_hint("LIKE, contains and starts_with take another column"));
                }
            }
        }
        let (pattern, flags) = match literals.as_slice() {
            [pattern] => (*pattern, ""),
            [pattern, flags] => (*pattern, *flags),
            _ => return Ok(Plan::null()),
        };
        let regex = Box::new(regular_expression(pattern, flags, nodes[1].position)?);
        Ok(Plan::new(Operation::Matches { value, regex }, Type::Boolean))
    }

    /// `IN`: the constants become a set, everything else is compared one by one.
    pub(crate) fn bind_in(
        &mut self,
        node: &Node,
        negated: bool,
        value: &Node,
        list: &[Node],
    ) -> Result<Plan, ExprError> {
        let plans = self.bind_compared(std::iter::once(value).chain(list))?;
        let mut plans = align(plans, node, true)?.into_iter();
        let Some(value) = plans.next().map(Box::new) else {
            return Ok(Plan::null());
        };
        let mut constants = Constants::empty(&value.type_);
        let mut has_null = false;
        let mut others = Vec::new();
        for plan in plans {
            match plan.as_literal() {
                Some(literal) if literal.array.logical_null_count() > 0 => has_null = true,
                Some(literal) => constants.add(literal, &plan.type_),
                None => others.push(plan),
            }
        }
        let operation = Operation::In { negated, value, constants, has_null, others };
        Ok(Plan::new(operation, Type::Boolean))
    }
}

impl Plan {
    /// A typed null.
    pub(crate) fn null_of(type_: &Type) -> Value {
        Value { array: arrow::array::new_null_array(&type_.data_type(), 1), scalar: true }
    }
}

impl Constants {
    fn empty(type_: &Type) -> Self {
        match type_ {
            Type::Integer | Type::Unsigned => Self::Whole(HashSet::new()),
            Type::Float => Self::Float(HashSet::new()),
            Type::Text => Self::Text(HashSet::new()),
            Type::Uid => Self::Uid(HashSet::new()),
            _ => Self::Boolean(HashSet::new()),
        }
    }

    /// Adds a literal that is not null. The type check has made its type fit the set.
    fn add(&mut self, literal: &Value, type_: &Type) {
        let array = &literal.array;
        match self {
            Self::Whole(set) => {
                set.insert(match type_ {
                    Type::Unsigned => i128::from(array.as_primitive::<UInt64Type>().value(0)),
                    _ => i128::from(array.as_primitive::<Int64Type>().value(0)),
                });
            }
            Self::Float(set) => {
                set.extend(float_key(array.as_primitive::<Float64Type>().value(0)));
            }
            Self::Text(set) => {
                set.insert(array.as_string::<i64>().value(0).to_owned());
            }
            Self::Uid(set) => {
                set.extend(<[u8; 16]>::try_from(array.as_fixed_size_binary().value(0)).ok());
            }
            Self::Boolean(set) => {
                set.insert(array.as_boolean().value(0));
            }
        }
    }
}

/// What stands for a float in a set: equal floats have equal keys, NaN has none.
pub(crate) fn float_key(value: f64) -> Option<u64> {
    // Adding zero turns -0.0 into 0.0 and leaves everything else as it is.
    (!value.is_nan()).then(|| (value + 0.0).to_bits())
}

/// The comparison that decides `least` and `greatest`: whether a later value takes the place of an earlier one.
pub(crate) fn winner(function: Function) -> Comparison {
    if function == Function::Least { Comparison::Less } else { Comparison::Greater }
}
