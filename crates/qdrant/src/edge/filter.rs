//! Filters of the protocol as the library's, by way of the JSON that Qdrant's REST interface documents: the same words for every version.
use qdrant_client::qdrant::{
    Condition, FieldCondition, Filter as Asked, PointId, condition::ConditionOneOf, r#match::MatchValue,
    point_id::PointIdOptions,
};
use qdrant_edge::Filter;
use serde_json::{Map, Value, json};
use tonic::Status;

/// A filter, where there is one.
pub fn filter(asked: Option<&Asked>) -> Result<Option<Filter>, Status> {
    asked.map(|asked| read(filter_json(asked)?)).transpose()
}

/// A filter that is true for everything that `filter` is true for, but not for a point.
pub fn all_but(filter: Option<Filter>, id: &PointId) -> Result<Filter, Status> {
    let without = json!({ "must_not": [{ "has_id": [id_json(id)?] }] });
    let without = read(without)?;
    Ok(match filter {
        Some(filter) => filter.merge(&without),
        None => without,
    })
}

fn read(value: Value) -> Result<Filter, Status> {
    serde_json::from_value(value).map_err(|error| Status::invalid_argument(format!("a filter: {error}")))
}

fn filter_json(filter: &Asked) -> Result<Value, Status> {
    if filter.min_should.is_some() {
        return Err(lacks("min_should"));
    }
    let mut parts = Map::new();
    for (name, clauses) in
        [("must", &filter.must), ("should", &filter.should), ("must_not", &filter.must_not)]
    {
        if !clauses.is_empty() {
            parts.insert(name.into(), clauses.iter().map(clause).collect::<Result<_, _>>()?);
        }
    }
    Ok(parts.into())
}

fn clause(condition: &Condition) -> Result<Value, Status> {
    match condition.condition_one_of.as_ref() {
        Some(ConditionOneOf::Field(field)) => field_json(field),
        Some(ConditionOneOf::IsEmpty(empty)) => Ok(json!({ "is_empty": { "key": empty.key } })),
        Some(ConditionOneOf::HasId(has)) => {
            let ids = has.has_id.iter().map(id_json).collect::<Result<Vec<_>, _>>()?;
            Ok(json!({ "has_id": ids }))
        }
        Some(ConditionOneOf::HasVector(has)) => Ok(json!({ "has_vector": has.has_vector })),
        Some(ConditionOneOf::Filter(filter)) => filter_json(filter),
        _ => Err(lacks("this condition")),
    }
}

fn field_json(field: &FieldCondition) -> Result<Value, Status> {
    let key = &field.key;
    if let Some(range) = &field.range {
        let range = json!({ "lt": range.lt, "gt": range.gt, "lte": range.lte, "gte": range.gte });
        return Ok(json!({ "key": key, "range": range }));
    }
    let wanted = match field.r#match.as_ref().and_then(|wanted| wanted.match_value.as_ref()) {
        Some(MatchValue::Keyword(text)) => json!({ "value": text }),
        Some(MatchValue::Integer(whole)) => json!({ "value": whole }),
        Some(MatchValue::Boolean(value)) => json!({ "value": value }),
        Some(MatchValue::Keywords(texts)) => json!({ "any": texts.strings }),
        Some(MatchValue::Integers(wholes)) => json!({ "any": wholes.integers }),
        _ => return Err(lacks("this comparison")),
    };
    Ok(json!({ "key": key, "match": wanted }))
}

fn id_json(id: &PointId) -> Result<Value, Status> {
    match id.point_id_options.as_ref() {
        Some(PointIdOptions::Uuid(uuid)) => Ok(uuid.as_str().into()),
        Some(PointIdOptions::Num(number)) => Ok((*number).into()),
        None => Err(Status::invalid_argument("a point without an id")),
    }
}

fn lacks(what: &str) -> Status {
    Status::unimplemented(format!("{what} is not known to the embedded library"))
}
