//! The names in an expression that are not columns: functions and the types of `CAST`.
//!
//! Apart from the rest of the translation because here the SQL parser offers dozens of variants, most of which are there
//! to be refused with a sentence of their own.

use sqlparser::ast::{
    DataType, ExactNumberInfo, Function as SqlFunction, FunctionArg, FunctionArgExpr, FunctionArguments,
};

use crate::ast::{Kind, Node};
use crate::error::{ExprError, ExprErrorKind, Position, closest};
use crate::functions::Function;
use crate::lower::{finish, lower};
use crate::parse::{position, unsupported};
use crate::types::Target;

/// A call of a function of the language.
pub(crate) fn call(call: &SqlFunction, depth: usize) -> Result<Node, ExprError> {
    let first = call.name.0.first().and_then(|part| part.as_ident());
    let place = first.and_then(|name| position(name.span.start));
    let name = match (call.name.0.as_slice(), first) {
        ([_], Some(name)) => name.value.as_str(),
        _ => return Err(unsupported(format!("the function `{}` is", call.name), place)),
    };
    if call.over.is_some() {
        return Err(
            unsupported("window functions are", place).with_hint("an expression sees one row at a time")
        );
    }
    let function = Function::find(name).map_err(|error| error.at(place))?;
    let list = match &call.args {
        FunctionArguments::List(list) => list,
        FunctionArguments::None => {
            return Err(unsupported(format!("`{name}` without parentheses is"), place));
        }
        FunctionArguments::Subquery(_) => return Err(unsupported("subqueries are", place)),
    };
    let plain = list.duplicate_treatment.is_none()
        && list.clauses.is_empty()
        && matches!(call.parameters, FunctionArguments::None)
        && call.filter.is_none()
        && call.null_treatment.is_none()
        && call.within_group.is_empty();
    if !plain {
        return Err(unsupported("DISTINCT, FILTER, ORDER BY and the like inside a function are", place));
    }
    let mut arguments = Vec::with_capacity(list.args.len());
    for argument in &list.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) = argument else {
            return Err(unsupported("named arguments and `*` are", place));
        };
        arguments.push(lower(expression, depth + 1)?);
    }
    function.check_count(arguments.len()).map_err(|error| error.at(place))?;
    finish(Kind::Call { function, arguments }, place)
}

/// The type named in a `CAST`.
pub(crate) fn target(data_type: &DataType, place: Option<Position>) -> Result<Target, ExprError> {
    let target = match data_type {
        DataType::SmallInt(None) | DataType::Int2(None) | DataType::Int16 => Target::SmallInt,
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) | DataType::Int32 => Target::Int,
        DataType::BigInt(None) | DataType::Int8(None) | DataType::Int64 => Target::BigInt,
        DataType::Real | DataType::Float4 | DataType::Float32 => Target::Real,
        DataType::Float(ExactNumberInfo::None)
        | DataType::Double(ExactNumberInfo::None)
        | DataType::DoublePrecision
        | DataType::Float8
        | DataType::Float64 => Target::Double,
        DataType::Text
        | DataType::Varchar(None)
        | DataType::CharVarying(None)
        | DataType::CharacterVarying(None)
        | DataType::String(None) => Target::Text,
        DataType::Bool | DataType::Boolean => Target::Boolean,
        other => return Err(unknown(other, place)),
    };
    Ok(target)
}

fn unknown(data_type: &DataType, place: Option<Position>) -> ExprError {
    let name = data_type.to_string().to_lowercase();
    let valid: Vec<String> = Target::NAMES.iter().map(|&name| name.to_owned()).collect();
    let plain = name.split('(').next().unwrap_or_default().trim();
    let candidates = match data_type {
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => vec!["double".to_owned()],
        DataType::TinyInt(_) | DataType::Int16 => vec!["smallint".to_owned()],
        DataType::Char(_) | DataType::Character(_) => vec!["text".to_owned()],
        _ => closest(plain, &valid),
    };
    ExprError::from(ExprErrorKind::UnknownType { name, candidates, valid }).at(place)
}
