//! Filters, evaluated point by point.
use qdrant_client::qdrant::{
    Condition, FieldCondition, Filter, Range, Value, condition::ConditionOneOf, r#match::MatchValue,
    value::Kind,
};
use tonic::Status;

use super::data::{Id, Point};

/// Whether a filter is true for a point.
pub fn holds(filter: &Filter, id: Id, point: &Point) -> Result<bool, Status> {
    let each = |conditions: &[Condition]| {
        conditions.iter().map(|one| condition(one, id, point)).collect::<Result<Vec<_>, _>>()
    };
    if filter.min_should.is_some() {
        return Err(Status::unimplemented("min_should"));
    }
    let should = each(&filter.should)?;
    Ok(each(&filter.must)?.into_iter().all(|is_true| is_true)
        && !each(&filter.must_not)?.into_iter().any(|is_true| is_true)
        && (should.is_empty() || should.into_iter().any(|is_true| is_true)))
}

fn condition(condition: &Condition, id: Id, point: &Point) -> Result<bool, Status> {
    match condition.condition_one_of.as_ref() {
        Some(ConditionOneOf::Field(condition)) => field(condition, point),
        Some(ConditionOneOf::IsEmpty(condition)) => {
            let value = point.payload.get(&unquoted(&condition.key)).and_then(|value| value.kind.as_ref());
            Ok(match value {
                None | Some(Kind::NullValue(_)) => true,
                Some(Kind::ListValue(list)) => list.values.is_empty(),
                Some(_) => false,
            })
        }
        Some(ConditionOneOf::HasId(condition)) => {
            let ids = condition.has_id.iter().map(Id::of).collect::<Result<Vec<_>, _>>()?;
            Ok(ids.contains(&id))
        }
        Some(ConditionOneOf::HasVector(condition)) => Ok(point.vectors.contains_key(&condition.has_vector)),
        Some(ConditionOneOf::Filter(filter)) => holds(filter, id, point),
        other => Err(Status::invalid_argument(format!("a condition that the test server lacks: {other:?}"))),
    }
}

/// A field's path, which is a name in quotes where it is no plain one.
fn unquoted(key: &str) -> String {
    key.trim_matches('"').to_owned()
}

fn field(condition: &FieldCondition, point: &Point) -> Result<bool, Status> {
    let Some(value) = point.payload.get(&unquoted(&condition.key)) else { return Ok(false) };
    if let Some(wanted) = &condition.r#match {
        let wanted =
            wanted.match_value.as_ref().ok_or_else(|| Status::invalid_argument("a match without a value"))?;
        return matches(wanted, value);
    }
    if let Some(range) = &condition.range {
        return Ok(inside(range, value));
    }
    Err(Status::invalid_argument(format!("a field condition that the test server lacks: {condition:?}")))
}

fn matches(wanted: &MatchValue, value: &Value) -> Result<bool, Status> {
    let kind = value.kind.as_ref();
    Ok(match wanted {
        MatchValue::Keyword(text) => matches!(kind, Some(Kind::StringValue(found)) if found == text),
        MatchValue::Integer(whole) => matches!(kind, Some(Kind::IntegerValue(found)) if found == whole),
        MatchValue::Boolean(truth) => matches!(kind, Some(Kind::BoolValue(found)) if found == truth),
        MatchValue::Keywords(any) => {
            matches!(kind, Some(Kind::StringValue(found)) if any.strings.contains(found))
        }
        MatchValue::Integers(any) => {
            matches!(kind, Some(Kind::IntegerValue(found)) if any.integers.contains(found))
        }
        other => {
            return Err(Status::invalid_argument(format!("a match that the test server lacks: {other:?}")));
        }
    })
}

fn inside(range: &Range, value: &Value) -> bool {
    let number = match value.kind {
        Some(Kind::IntegerValue(whole)) => whole as f64,
        Some(Kind::DoubleValue(number)) => number,
        _ => return false,
    };
    range.lt.is_none_or(|bound| number < bound)
        && range.lte.is_none_or(|bound| number <= bound)
        && range.gt.is_none_or(|bound| number > bound)
        && range.gte.is_none_or(|bound| number >= bound)
}
