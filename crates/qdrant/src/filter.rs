//! A condition as the server's filter. A leaf is true only where the field has a value, as in SQL: what Qdrant calls `must_not` would be true
//! for points without the field, so it always stands beside a look whether the field is there.
use arrow::datatypes::Schema;
use cribble_core::{Error, ErrorKind, Result, Uid};
use cribble_expr::{Comparison, Condition, ExprError, Expression, Literal};
use qdrant_client::qdrant::{
    Condition as Clause, Filter, Range, RepeatedIntegers, RepeatedStrings, r#match::MatchValue,
};

use crate::{
    collection::path,
    point::{RUN, point_id},
};

/// A condition on the fields of `schema`, as text, turned into a filter.
///
/// # Errors
/// The text is no condition, names a field that does not exist, or is more than a filter can say; each with its place in the text.
pub fn filter(text: &str, schema: &Schema) -> Result<Filter> {
    let condition = Expression::parse(text).and_then(|parsed| parsed.condition(schema));
    Ok(Filter::must([clause(&condition.map_err(expression_error)?, schema)?]))
}

/// Looks whether a condition can be asked, of a server or of the run, before anybody is asked.
///
/// # Errors
/// It cannot.
pub fn check_condition(text: &str, schema: &Schema, of_server: bool) -> Result<()> {
    if of_server {
        return filter(text, schema).map(drop);
    }
    let bound = Expression::parse(text).and_then(|parsed| parsed.bind(schema));
    bound.and_then(|bound| bound.check_boolean()).map_err(expression_error)
}

/// The points of a run, and of them those for which a filter is true.
pub(crate) fn of_run(run: &str, more: Option<Filter>) -> Filter {
    let own = Clause::matches(RUN, run.to_owned());
    Filter::must(std::iter::once(own).chain(more.map(Clause::from)))
}

/// An error of the language as the program's.
pub(crate) fn expression_error(error: ExprError) -> Error {
    let hint = error.hint();
    let listed = error.valid().join(", ");
    let wrapped = Error::wrap(ErrorKind::Usage, error).context("--where");
    match hint {
        Some(hint) => wrapped.with_hint(hint),
        None if !listed.is_empty() => wrapped.with_hint(format!("there are: {listed}")),
        None => wrapped
            .with_hint("docs/expressions.md has the language, docs/qdrant.md what of it a server knows"),
    }
}

fn clause(condition: &Condition, schema: &Schema) -> Result<Clause> {
    let each =
        |parts: &[Condition]| parts.iter().map(|part| clause(part, schema)).collect::<Result<Vec<_>>>();
    match condition {
        Condition::All(parts) => Ok(Filter::must(each(parts)?).into()),
        Condition::Any(parts) => Ok(Filter::should(each(parts)?).into()),
        Condition::IsNull { column, negated: false } => Ok(Clause::is_empty(path(column))),
        Condition::IsNull { column, negated: true } => {
            Ok(Filter::must_not([Clause::is_empty(path(column))]).into())
        }
        Condition::Compare { column, comparison: Comparison::Equal, value } => {
            one_of(column, std::slice::from_ref(value), schema)
        }
        Condition::Compare { column, comparison: Comparison::NotEqual, value } => {
            Ok(without(column, one_of(column, std::slice::from_ref(value), schema)?))
        }
        Condition::Compare { column, comparison, value } => range(column, *comparison, value),
        Condition::In { column, negated: false, values } => one_of(column, values, schema),
        Condition::In { column, negated: true, values } => {
            Ok(without(column, one_of(column, values, schema)?))
        }
    }
}

/// The field has a value, and not this one.
fn without(column: &str, clause: Clause) -> Clause {
    Filter::must_not([Clause::is_empty(path(column)), clause]).into()
}

/// The field has one of the values.
fn one_of(column: &str, values: &[Literal], schema: &Schema) -> Result<Clause> {
    if column == "uid" {
        return uids(values);
    }
    let is_whole = schema.field_with_name(column).is_ok_and(|field| field.data_type().is_integer());
    let key = path(column);
    let (mut texts, mut wholes, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        match value {
            Literal::Text(text) => texts.push(text.clone()),
            Literal::Boolean(value) => rest.push(Clause::matches(key.clone(), *value)),
            Literal::Integer(value) if is_whole => wholes.push(*value),
            number => {
                let at = Some(double(column, number)?);
                rest.push(Clause::range(key.clone(), Range { gte: at, lte: at, ..Range::default() }));
            }
        }
    }
    match texts.len() {
        0 => {}
        1 => rest.extend(texts.pop().map(|text| Clause::matches(key.clone(), text))),
        _ => {
            let any = MatchValue::Keywords(RepeatedStrings { strings: texts });
            rest.push(Clause::matches(key.clone(), any));
        }
    }
    match wholes.len() {
        0 => {}
        1 => rest.extend(wholes.pop().map(|whole| Clause::matches(key.clone(), whole))),
        _ => {
            let any = MatchValue::Integers(RepeatedIntegers { integers: wholes });
            rest.push(Clause::matches(key, any));
        }
    }
    Ok(match rest.len() {
        1 => rest.swap_remove(0),
        _ => Filter::should(rest).into(),
    })
}

/// Points have their uid as id, which is faster than any field.
fn uids(values: &[Literal]) -> Result<Clause> {
    let id = |value: &Literal| match value {
        Literal::Text(text) => text.parse::<Uid>().map(point_id).map_err(|error| {
            Error::usage(format!("--where: {error}"))
                .with_hint("`cribble why` finds a sample by the beginning of its uid")
        }),
        _ => Err(Error::usage("--where: a uid is compared with '32 hexadecimal characters'")),
    };
    Ok(Clause::has_id(values.iter().map(id).collect::<Result<Vec<_>>>()?))
}

fn range(column: &str, comparison: Comparison, value: &Literal) -> Result<Clause> {
    let at = Some(double(column, value)?);
    let range = match comparison {
        Comparison::Less => Range { lt: at, ..Range::default() },
        Comparison::LessOrEqual => Range { lte: at, ..Range::default() },
        Comparison::Greater => Range { gt: at, ..Range::default() },
        _ => Range { gte: at, ..Range::default() },
    };
    Ok(Clause::range(path(column), range))
}

fn double(column: &str, value: &Literal) -> Result<f64> {
    match value {
        Literal::Integer(value) => Ok(*value as f64),
        Literal::Float(value) => Ok(*value),
        Literal::Boolean(_) | Literal::Text(_) => Err(Error::usage(format!(
            "--where: a server orders numbers, and '{column}' is compared with none"
        ))
        .with_hint(
            "=, <>, IN and IS NULL work on texts; without --url any condition does, on the run itself",
        )),
    }
}
