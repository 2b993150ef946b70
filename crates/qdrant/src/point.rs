//! A sample as a point: its id, its payload, and the hash that decides whether it is sent again.
use std::collections::HashMap;

use cribble_core::Uid;
use qdrant_client::qdrant::{
    DenseVector, ListValue, NamedVectors, PointId, PointStruct, Struct, Value, Vector, Vectors,
    point_id::PointIdOptions, value::Kind, vector, vectors::VectorsOptions,
};
use serde_json::{Map, Number, Value as Json};

/// Payload field with the name of the run that the point is from.
pub const RUN: &str = "run";
/// Payload field with the hash of everything that the point was made of.
pub const CONTENT: &str = "content_hash";
/// Part of the hash: points that another version of this program sent are sent again when this changes.
const VERSION: &str = "cribble point 1";

/// The id of a sample's point: its uid, written as a UUID.
pub fn point_id(uid: Uid) -> PointId {
    let hex = uid.to_string();
    let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    PointId { point_id_options: Some(PointIdOptions::Uuid(uuid)) }
}

/// The uid of a point; `None` for the number of a point that is none of ours.
pub fn uid_of(id: Option<&PointId>) -> Option<Uid> {
    match id?.point_id_options.as_ref()? {
        PointIdOptions::Uuid(uuid) => uuid.replace('-', "").parse().ok(),
        PointIdOptions::Num(_) => None,
    }
}

/// A sample, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub uid: Uid,
    /// 32 hexadecimal characters.
    pub content: String,
    pub point: PointStruct,
}

impl Sample {
    /// From a payload without nulls, of which `run` is a part, and the vectors that the sample has.
    pub fn new(uid: Uid, payload: Map<String, Json>, vectors: &[(&str, &[f32])]) -> Self {
        let content = content(&payload, vectors);
        let mut fields: HashMap<String, Value> =
            payload.into_iter().map(|(name, json)| (name, value(json))).collect();
        fields.insert(CONTENT.into(), value(Json::from(content.as_str())));
        let vectors = vectors.iter().map(|&(name, values)| {
            let dense = vector::Vector::Dense(DenseVector { data: values.to_vec() });
            (name.to_owned(), Vector { vector: Some(dense), ..Vector::default() })
        });
        let named = VectorsOptions::Vectors(NamedVectors { vectors: vectors.collect() });
        let point = PointStruct {
            id: Some(point_id(uid)),
            payload: fields,
            vectors: Some(Vectors { vectors_options: Some(named) }),
        };
        Self { uid, content, point }
    }
}

/// The hash of a point: its payload as JSON, and the name and the bits of each vector.
fn content(payload: &Map<String, Json>, vectors: &[(&str, &[f32])]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(VERSION.as_bytes());
    for (name, json) in payload {
        part(name.as_bytes());
        part(json.to_string().as_bytes());
    }
    for (name, values) in vectors {
        part(name.as_bytes());
        part(bytemuck::cast_slice(values));
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// A JSON value as the protocol has it. Whole numbers beyond 64 signed bits become doubles.
pub(crate) fn value(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(value),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Kind::IntegerValue(whole),
            None => Kind::DoubleValue(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => Kind::ListValue(ListValue { values: values.into_iter().map(value).collect() }),
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields.into_iter().map(|(name, json)| (name, value(json))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

/// A value of the protocol as JSON.
pub(crate) fn json(value: &Value) -> Json {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::Bool(*value),
        Some(Kind::IntegerValue(whole)) => Json::from(*whole),
        Some(Kind::DoubleValue(number)) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Some(Kind::StringValue(text)) => Json::from(text.as_str()),
        Some(Kind::ListValue(list)) => list.values.iter().map(json).collect(),
        Some(Kind::StructValue(fields)) => {
            let mut named: Vec<_> = fields.fields.iter().collect();
            named.sort_by_key(|(name, _)| name.as_str());
            named.into_iter().map(|(name, value)| (name.clone(), json(value))).collect()
        }
    }
}

/// A payload as JSON, in the order of `names`; what else the point has comes after, by name.
pub(crate) fn payload_json(payload: &HashMap<String, Value>, names: &[&str]) -> Map<String, Json> {
    let mut rest: Vec<&str> =
        payload.keys().map(String::as_str).filter(|name| !names.contains(name)).collect();
    rest.sort_unstable();
    let ordered = names.iter().copied().chain(rest);
    ordered.filter_map(|name| Some((name.to_owned(), json(payload.get(name)?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json as made;

    #[test]
    fn a_uid_is_a_uuid_and_comes_back() {
        let uid: Uid = "0123456789abcdeffedcba9876543210".parse().unwrap();
        let id = point_id(uid);
        let uuid = PointIdOptions::Uuid("01234567-89ab-cdef-fedc-ba9876543210".into());
        assert_eq!(id.point_id_options, Some(uuid));
        assert_eq!(uid_of(Some(&id)), Some(uid));
        assert_eq!(uid_of(Some(&PointId { point_id_options: Some(PointIdOptions::Num(7)) })), None);
        assert_eq!(uid_of(None), None);
    }

    #[test]
    fn values_come_back_as_they_were() {
        let all = made!({
            "a": null, "b": true, "c": -3, "d": 0.3, "e": "x\"y", "f": [1, ["z"]], "g": {"h": 1e30},
        });
        assert_eq!(json(&value(all.clone())), all);
        assert_eq!(json(&value(made!(u64::MAX))), made!(u64::MAX as f64));
    }

    #[test]
    fn the_hash_knows_every_part() {
        let of = |payload: Json, vectors: &[(&str, &[f32])]| {
            let Json::Object(payload) = payload else { panic!("no object") };
            Sample::new(Uid(1), payload, vectors).content
        };
        let first = of(made!({"caption": "a"}), &[("b", &[1.0, 0.0])]);
        assert_eq!(first, of(made!({"caption": "a"}), &[("b", &[1.0, 0.0])]));
        assert_eq!(first.len(), 32);
        for other in [
            of(made!({"caption": "b"}), &[("b", &[1.0, 0.0])]),
            of(made!({"captio": "na"}), &[("b", &[1.0, 0.0])]),
            of(made!({"caption": "a", "x": 1}), &[("b", &[1.0, 0.0])]),
            of(made!({"caption": "a"}), &[("c", &[1.0, 0.0])]),
            of(made!({"caption": "a"}), &[("b", &[1.0, -0.0])]),
            of(made!({"caption": "a"}), &[]),
        ] {
            assert_ne!(first, other);
        }
    }
}
