//! From the SQL parser's tree to ours: everything that the language does not have is refused here, by name.
//!
//! Left-leaning chains are walked in a loop, not by recursion: the parser builds them without a limit on their depth.

use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DateTimeField, Expr, Spanned, TrimWhereField, UnaryOperator,
    Value,
};

use crate::ast::{Arithmetic, Comparison, Kind, Node};
use crate::error::{ExprError, ExprErrorKind, Position};
use crate::functions::Function;
use crate::limits::MAX_DEPTH;
use crate::lower_names::{call, target};
use crate::parse::{position, too_deep, unsupported};

/// Turns one parsed expression into our tree. `depth` is the number of levels above it.
pub(crate) fn lower(expression: &Expr, depth: usize) -> Result<Node, ExprError> {
    if depth > MAX_DEPTH {
        return Err(too_deep().into());
    }
    let below = |inner: &Expr| lower(inner, depth + 1);
    let boxed = |inner: &Expr| lower(inner, depth + 1).map(Box::new);
    // Only leaves and names are asked for their place: a span of an inner node is found by walking all of it.
    let (kind, place) = match expression {
        // Parentheses have been counted as tokens, and make no node.
        Expr::Nested(inner) => return lower(inner, depth),
        Expr::Identifier(name) => {
            let quoted = name.quote_style.is_some();
            (Kind::Column { name: name.value.clone(), quoted }, position(name.span.start))
        }
        Expr::CompoundIdentifier(parts) => {
            let name: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
            (
                Kind::Column { name: name.join("."), quoted: false },
                parts.first().and_then(|part| position(part.span.start)),
            )
        }
        Expr::Value(value) => {
            let place = position(value.span.start);
            (literal(&value.value, false).map_err(|error| error.at(place))?, place)
        }
        Expr::TypedString(typed) => {
            let place = position(typed.value.span.start);
            let inner =
                Node::new(literal(&typed.value.value, false).map_err(|error| error.at(place))?, place);
            let target = target(&typed.data_type, place)?;
            (Kind::Cast { inner: Box::new(inner), target, lenient: false }, place)
        }
        Expr::BinaryOp { .. } => return chain(expression, depth),
        Expr::UnaryOp { op, expr } => return unary(*op, expr, depth),
        Expr::IsNull(inner) => (Kind::IsNull { negated: false, inner: boxed(inner)? }, None),
        Expr::IsNotNull(inner) => (Kind::IsNull { negated: true, inner: boxed(inner)? }, None),
        Expr::IsUnknown(inner) => (Kind::IsUnknown { negated: false, inner: boxed(inner)? }, None),
        Expr::IsNotUnknown(inner) => (Kind::IsUnknown { negated: true, inner: boxed(inner)? }, None),
        Expr::IsTrue(inner) => (Kind::IsTruth { negated: false, truth: true, inner: boxed(inner)? }, None),
        Expr::IsNotTrue(inner) => (Kind::IsTruth { negated: true, truth: true, inner: boxed(inner)? }, None),
        Expr::IsFalse(inner) => (Kind::IsTruth { negated: false, truth: false, inner: boxed(inner)? }, None),
        Expr::IsNotFalse(inner) => {
            (Kind::IsTruth { negated: true, truth: false, inner: boxed(inner)? }, None)
        }
        Expr::IsDistinctFrom(left, right) => {
            (Kind::Distinct { negated: false, left: boxed(left)?, right: boxed(right)? }, None)
        }
        Expr::IsNotDistinctFrom(left, right) => {
            (Kind::Distinct { negated: true, left: boxed(left)?, right: boxed(right)? }, None)
        }
        Expr::InList { expr, list, negated } => {
            let list = list.iter().map(below).collect::<Result<Vec<_>, _>>()?;
            (Kind::In { negated: *negated, value: boxed(expr)?, list }, None)
        }
        Expr::Between { expr, negated, low, high } => (
            Kind::Between { negated: *negated, value: boxed(expr)?, low: boxed(low)?, high: boxed(high)? },
            None,
        ),
        Expr::Like { any: true, .. } | Expr::ILike { any: true, .. } => {
            return Err(unsupported("LIKE ANY is", None).with_hint("join several LIKE with OR"));
        }
        Expr::Like { negated, expr, pattern, escape_char, .. } => {
            (like(*negated, false, boxed(expr)?, boxed(pattern)?, escape_char.as_deref())?, None)
        }
        Expr::ILike { negated, expr, pattern, escape_char, .. } => {
            (like(*negated, true, boxed(expr)?, boxed(pattern)?, escape_char.as_deref())?, None)
        }
        Expr::Case { case_token, operand, conditions, else_result, .. } => {
            let branches = conditions
                .iter()
                .map(|when| Ok((below(&when.condition)?, below(&when.result)?)))
                .collect::<Result<Vec<_>, ExprError>>()?;
            let operand = operand.as_deref().map(boxed).transpose()?;
            let otherwise = else_result.as_deref().map(boxed).transpose()?;
            (Kind::Case { operand, branches, otherwise }, position(case_token.0.span.start))
        }
        Expr::Cast { kind, expr, data_type, format: None } => {
            let inner = boxed(expr)?;
            let place = inner.position;
            let lenient = matches!(kind, CastKind::TryCast | CastKind::SafeCast);
            (Kind::Cast { inner, target: target(data_type, place)?, lenient }, place)
        }
        Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
            (Kind::Call { function: Function::Ceil, arguments: vec![below(expr)?] }, None)
        }
        Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
            (Kind::Call { function: Function::Floor, arguments: vec![below(expr)?] }, None)
        }
        Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
            let function = match trim_where {
                None | Some(TrimWhereField::Both) => Function::Trim,
                Some(TrimWhereField::Leading) => Function::TrimStart,
                Some(TrimWhereField::Trailing) => Function::TrimEnd,
            };
            let mut arguments = vec![below(expr)?];
            for extra in trim_what.as_deref().into_iter().chain(trim_characters.iter().flatten()) {
                arguments.push(below(extra)?);
            }
            function.check_count(arguments.len())?;
            (Kind::Call { function, arguments }, None)
        }
        Expr::Function(function) => return call(function, depth),
        other => {
            let place = position(other.span().start);
            return Err(refused(other, place));
        }
    };
    finish(kind, place)
}

/// Builds the node, refuses it when it is too deep, and gives it the place of its first child when it has none.
pub(crate) fn finish(kind: Kind, place: Option<Position>) -> Result<Node, ExprError> {
    let place = place.or_else(|| kind.children().first().and_then(|child| child.position));
    let node = Node::new(kind, place);
    if node.depth > MAX_DEPTH {
        return Err(ExprError::from(too_deep()).at(place));
    }
    Ok(node)
}

fn refused(expression: &Expr, place: Option<Position>) -> ExprError {
    match expression {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
            unsupported("subqueries are", place)
        }
        Expr::SimilarTo { .. } | Expr::RLike { .. } => {
            unsupported("SIMILAR TO, RLIKE and REGEXP are", place).with_hint("use regexp_like(text, pattern)")
        }
        Expr::AnyOp { .. } | Expr::AllOp { .. } => unsupported("ANY and ALL are", place)
            .with_hint("use IN (…), or comparisons joined with AND or OR"),
        Expr::Tuple(_) => {
            unsupported("rows of several values are", place).with_hint("compare them one by one")
        }
        Expr::Interval(_) | Expr::Extract { .. } | Expr::AtTimeZone { .. } => {
            unsupported("dates and times are", place)
                .with_hint("CAST(column AS text) gives ISO text to compare")
        }
        Expr::Substring { .. } | Expr::Position { .. } | Expr::Overlay { .. } => {
            unsupported("substring, position and overlay are", place)
                .with_hint("starts_with, ends_with, contains, LIKE and regexp_like look inside text")
        }
        Expr::Collate { .. } => unsupported("collations are", place),
        Expr::Wildcard(_) | Expr::QualifiedWildcard(_, _) => unsupported("`*` is", place),
        Expr::JsonAccess { .. } | Expr::CompoundFieldAccess { .. } => {
            unsupported("looking inside a value is", place)
        }
        _ => unsupported("this form of expression is", place),
    }
}

/// A left-leaning chain of binary operators: `a + b - c`, `a AND b AND c`.
fn chain(expression: &Expr, depth: usize) -> Result<Node, ExprError> {
    let mut steps = Vec::new();
    let mut leftmost = expression;
    while let Expr::BinaryOp { left, op, right } = leftmost {
        steps.push((op, right));
        leftmost = left;
    }
    let mut result = lower(leftmost, depth + 1)?;
    for (operator, right) in steps.into_iter().rev() {
        let right = lower(right, depth + 1)?;
        result = finish(binary(operator, result, right)?, None)?;
    }
    Ok(result)
}

fn binary(operator: &BinaryOperator, left: Node, right: Node) -> Result<Kind, ExprError> {
    let place = left.position;
    let arithmetic = |operator, left, right| Ok(Kind::Arithmetic(operator, Box::new(left), Box::new(right)));
    let compare = |operator, left, right| Ok(Kind::Compare(operator, Box::new(left), Box::new(right)));
    match operator {
        BinaryOperator::And => Ok(match left {
            // Only a chain is flattened on the left; parentheses on the right keep their node.
            Node { kind: Kind::And(mut operands), .. } => {
                operands.push(right);
                Kind::And(operands)
            }
            first => Kind::And(vec![first, right]),
        }),
        BinaryOperator::Or => Ok(match left {
            Node { kind: Kind::Or(mut operands), .. } => {
                operands.push(right);
                Kind::Or(operands)
            }
            first => Kind::Or(vec![first, right]),
        }),
        BinaryOperator::Plus => arithmetic(Arithmetic::Add, left, right),
        BinaryOperator::Minus => arithmetic(Arithmetic::Subtract, left, right),
        BinaryOperator::Multiply => arithmetic(Arithmetic::Multiply, left, right),
        BinaryOperator::Divide => arithmetic(Arithmetic::Divide, left, right),
        BinaryOperator::Modulo => arithmetic(Arithmetic::Remainder, left, right),
        BinaryOperator::Eq => compare(Comparison::Equal, left, right),
        BinaryOperator::NotEq => compare(Comparison::NotEqual, left, right),
        BinaryOperator::Lt => compare(Comparison::Less, left, right),
        BinaryOperator::LtEq => compare(Comparison::LessOrEqual, left, right),
        BinaryOperator::Gt => compare(Comparison::Greater, left, right),
        BinaryOperator::GtEq => compare(Comparison::GreaterOrEqual, left, right),
        BinaryOperator::StringConcat => Ok(Kind::Concat(Box::new(left), Box::new(right))),
        other => {
            let error = unsupported(format!("the operator `{other}` is"), place);
            Err(match other {
                BinaryOperator::BitwiseXor => error.with_hint("powers are written power(x, y)"),
                BinaryOperator::PGRegexMatch
                | BinaryOperator::PGRegexIMatch
                | BinaryOperator::PGRegexNotMatch
                | BinaryOperator::PGRegexNotIMatch => error.with_hint("use regexp_like(text, pattern, 'i')"),
                BinaryOperator::Spaceship => error.with_hint("use IS NOT DISTINCT FROM"),
                _ => error,
            })
        }
    }
}

fn unary(operator: UnaryOperator, inner: &Expr, depth: usize) -> Result<Node, ExprError> {
    match (operator, inner) {
        // The smallest bigint has no positive twin, so the sign is read with the number.
        (UnaryOperator::Minus, Expr::Value(value)) if matches!(value.value, Value::Number(_, _)) => {
            let place = position(value.span.start)
                .map(|start| Position { column: start.column.saturating_sub(1).max(1), ..start });
            finish(literal(&value.value, true).map_err(|error| error.at(place))?, place)
        }
        (UnaryOperator::Minus, inner) => finish(Kind::Negate(Box::new(lower(inner, depth + 1)?)), None),
        (UnaryOperator::Not, inner) => finish(Kind::Not(Box::new(lower(inner, depth + 1)?)), None),
        (UnaryOperator::Plus, inner) => {
            let inner = lower(inner, depth + 1)?;
            match inner.kind {
                Kind::Text(_) | Kind::Boolean(_) => Err(unsupported("a sign before this is", inner.position)),
                _ => Ok(inner),
            }
        }
        (other, inner) => {
            Err(unsupported(format!("the operator `{other}` is"), position(inner.span().start)))
        }
    }
}

fn literal(value: &Value, negative: bool) -> Result<Kind, ExprError> {
    match value {
        Value::Null => Ok(Kind::Null),
        Value::Boolean(value) => Ok(Kind::Boolean(*value)),
        Value::SingleQuotedString(text) => Ok(Kind::Text(text.clone())),
        Value::Number(digits, false) => number(digits, negative),
        other => Err(unsupported(format!("the literal `{other}` is"), None)
            .with_hint("text is written '…' with '' for a quote; numbers are decimal")),
    }
}

fn number(digits: &str, negative: bool) -> Result<Kind, ExprError> {
    let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
    let invalid =
        |expected: &str| ExprErrorKind::InvalidLiteral { literal: signed.clone(), expected: expected.into() };
    if digits.contains(['.', 'e', 'E']) {
        return match signed.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Kind::Float(value)),
            Ok(_) => Err(invalid("within the range of double").into()),
            Err(_) => Err(invalid("a number").into()),
        };
    }
    if let Ok(value) = signed.parse() {
        return Ok(Kind::Integer(value));
    }
    signed.parse().map(Kind::Unsigned).map_err(|_| {
        ExprError::from(invalid("within 64 bits")).with_hint("with a decimal point it is a double")
    })
}

fn like(
    negated: bool,
    fold_case: bool,
    value: Box<Node>,
    pattern: Box<Node>,
    escape: Option<&Expr>,
) -> Result<Kind, ExprError> {
    let escape = match escape {
        None => Some('\\'),
        Some(expression) => {
            let wrong = |literal: String| ExprErrorKind::InvalidLiteral {
                literal,
                expected: "one character, or '' for no escape".to_owned(),
            };
            let place = position(expression.span().start);
            let Expr::Value(written) = expression else {
                return Err(unsupported("an ESCAPE that is not a literal is", place));
            };
            let Value::SingleQuotedString(text) = &written.value else {
                return Err(ExprError::from(wrong(written.to_string())).at(place));
            };
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (None, _) => None,
                (Some(one), None) => Some(one),
                _ => return Err(ExprError::from(wrong(format!("'{text}'"))).at(place)),
            }
        }
    };
    Ok(Kind::Like { negated, fold_case, value, pattern, escape })
}
