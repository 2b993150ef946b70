//! The part of the type check that makes operands agree: common types, implicit coercions, uids written as text.

use crate::ast::Node;
use crate::cast::coerce_array;
use crate::error::{ExprError, ExprErrorKind};
use crate::plan::{Label, Operation, Plan, Value};
use crate::types::Type;

pub(crate) fn mismatch(node: &Node, left: &Type, right: &Type) -> ExprError {
    let error = ExprError::from(ExprErrorKind::TypeMismatch {
        expression: node.excerpt(),
        left: left.name(),
        right: right.name(),
    })
    .at(node.position);
    let pair = [left, right];
    if pair.contains(&&Type::Text) && pair.iter().any(|type_| type_.is_number()) {
        error.with_hint("write numbers without quotes; text that holds a number needs CAST(… AS double)")
    } else if pair.contains(&&Type::Boolean) && pair.iter().any(|type_| type_.is_number()) {
        error.with_hint("a number is not a truth value: compare it, as in x <> 0")
    } else if pair.iter().any(|type_| matches!(type_, Type::List(_))) {
        error.with_hint("of a list, cardinality(list) gives the number of elements")
    } else if pair.iter().any(|type_| matches!(type_, Type::Other(data_type) if data_type.is_temporal())) {
        error.with_hint("CAST(column AS text) gives ISO text to compare")
    } else {
        error
    }
}

/// The plan as a value of type `to`, if that needs no explicit cast.
pub(crate) fn expect(plan: Plan, to: &Type, node: &Node, context: &str) -> Result<Plan, ExprError> {
    let fits = match (&plan.type_, to) {
        (from, to) if from == to => true,
        (Type::Null, _) | (Type::Uid, Type::Text) | (Type::Unsigned, Type::Integer) => true,
        (from, Type::Float) => from.is_whole(),
        _ => false,
    };
    if fits {
        return coerce(plan, to, &Label::of(node));
    }
    let error = ExprError::from(ExprErrorKind::WrongType {
        expression: node.excerpt(),
        found: plan.type_.name(),
        expected: if *to == Type::Integer { "a number".to_owned() } else { to.name() },
        context: context.to_owned(),
    })
    .at(node.position);
    Err(match (&plan.type_, to) {
        (from, Type::Boolean) if from.is_number() => {
            error.with_hint("a number is not a truth value: compare it, as in x <> 0")
        }
        (Type::List(_), _) => error.with_hint("of a list, cardinality(list) gives the number of elements"),
        (Type::Text, Type::Integer | Type::Float) => {
            error.with_hint("use CAST(… AS double) or CAST(… AS bigint)")
        }
        (_, Type::Text) => error.with_hint("use CAST(… AS text)"),
        _ => error,
    })
}

/// Inserts an implicit coercion; literals are converted at once.
pub(crate) fn coerce(plan: Plan, to: &Type, label: &Label) -> Result<Plan, ExprError> {
    if plan.type_ == *to {
        return Ok(plan);
    }
    if let Operation::Literal(value) = &plan.operation {
        let array = coerce_array(&value.array, &plan.type_, to, &|row| row, label)?;
        return Ok(Plan::literal(Value { array, scalar: true }, to.clone()));
    }
    Ok(Plan::new(Operation::Coerce { inner: Box::new(plan), label: label.clone() }, to.clone()))
}

/// 32 hexadecimal characters of either case.
fn parse_uid(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

/// Brings operands to one type. Under `compare`, text literals beside a uid are read as uids, and whole numbers may stay
/// of mixed signedness (they are compared exactly).
pub(crate) fn align(mut plans: Vec<Plan>, node: &Node, compare: bool) -> Result<Vec<Plan>, ExprError> {
    if compare && plans.iter().any(|plan| plan.type_ == Type::Uid) {
        for plan in &mut plans {
            if let Some(text) = plan.as_text() {
                *plan = parse_uid(text).map(Plan::uid).ok_or_else(|| {
                    let literal = format!("'{text}'");
                    ExprErrorKind::InvalidLiteral {
                        literal,
                        expected: "a uid: 32 hexadecimal characters".to_owned(),
                    }
                })?;
            }
        }
    }
    let mut common = Type::Null;
    for plan in &plans {
        if !plan.type_.is_plain() {
            let other = plans.iter().map(|other| &other.type_).find(|other| **other != plan.type_);
            return Err(mismatch(node, &plan.type_, other.unwrap_or(&plan.type_)));
        }
        common = common.common(&plan.type_).ok_or_else(|| mismatch(node, &common, &plan.type_))?;
    }
    if compare && common == Type::Null {
        common = Type::Boolean;
    }
    let keep_sign = compare && common == Type::Integer;
    let label = Label::of(node);
    plans
        .into_iter()
        .map(|plan| match plan.type_ {
            Type::Unsigned if keep_sign => Ok(plan),
            _ => coerce(plan, &common, &label),
        })
        .collect()
}
