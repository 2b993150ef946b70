//! What goes into the library and what comes out of it, from and to the messages of the protocol.
use std::collections::HashMap;

use qdrant_client::qdrant::{
    self as proto, FieldType, PointStruct, RetrievedPoint, ScoredPoint, VectorParams, WithPayloadSelector,
    WithVectorsSelector, point_id::PointIdOptions, vector, vector_output, vectors::VectorsOptions,
    vectors_output, with_payload_selector, with_vectors_selector,
};
use qdrant_edge::{
    Distance, EdgeVectorParams, EdgeVectorParamsBuilder, NamedQuery, Payload, PayloadSchemaType, PointId,
    PointStructPersisted, QueryEnum, Record, ScoringQuery, SearchParams, VectorInternal, VectorNameConfig,
    VectorPersisted, VectorStructInternal, VectorStructPersisted, WithPayloadInterface, WithVector,
};
use serde_json::json;
use tonic::Status;

use super::Answer;
use crate::point::{json as json_of, value};

/// The path of a field.
pub fn path<T: std::str::FromStr>(text: &str) -> Answer<T> {
    text.parse().map_err(|_| Status::invalid_argument(format!("{text} is no path of a field")))
}

pub fn id(id: &proto::PointId) -> Answer<PointId> {
    let wrong = || Status::invalid_argument("a point is named by a number or a UUID");
    match id.point_id_options.as_ref().ok_or_else(wrong)? {
        PointIdOptions::Num(number) => Ok(PointId::NumId(*number)),
        PointIdOptions::Uuid(text) => text.parse().map_err(|()| wrong()),
    }
}

pub fn ids(ids: &[proto::PointId]) -> Answer<Vec<PointId>> {
    ids.iter().map(id).collect()
}

pub fn point_id(id: PointId) -> proto::PointId {
    let options = match id {
        PointId::NumId(number) => PointIdOptions::Num(number),
        PointId::Uuid(uuid) => PointIdOptions::Uuid(uuid.to_string()),
    };
    proto::PointId { point_id_options: Some(options) }
}

fn distance(distance: proto::Distance) -> Answer<Distance> {
    match distance {
        proto::Distance::Cosine => Ok(Distance::Cosine),
        other => {
            Err(Status::invalid_argument(format!("vectors are not compared by {} here", other.as_str_name())))
        }
    }
}

pub fn edge_params(params: &VectorParams) -> Answer<EdgeVectorParams> {
    Ok(EdgeVectorParamsBuilder::new(params.size as usize, distance(params.distance())?).build())
}

/// A vector that is added later; the library names only the JSON of its parameters to those who use it.
pub fn vector_config(config: &proto::DenseVectorCreationConfig) -> Answer<VectorNameConfig> {
    let dense = json!({ "size": config.size, "distance": distance(config.distance())? });
    serde_json::from_value(json!({ "dense": dense }))
        .map_err(|error| Status::invalid_argument(format!("a vector: {error}")))
}

pub fn params(params: &EdgeVectorParams) -> VectorParams {
    let distance = match params.distance {
        Distance::Cosine => proto::Distance::Cosine,
        Distance::Euclid => proto::Distance::Euclid,
        Distance::Dot => proto::Distance::Dot,
        Distance::Manhattan => proto::Distance::Manhattan,
    };
    VectorParams {
        size: params.size as u64,
        distance: distance.into(),
        multivector_config: params.multivector_config.map(|_| proto::MultiVectorConfig::default()),
        ..VectorParams::default()
    }
}

pub fn field_type(kind: FieldType) -> Answer<PayloadSchemaType> {
    Ok(match kind {
        FieldType::Keyword => PayloadSchemaType::Keyword,
        FieldType::Integer => PayloadSchemaType::Integer,
        FieldType::Float => PayloadSchemaType::Float,
        FieldType::Bool => PayloadSchemaType::Bool,
        other => {
            let name = other.as_str_name();
            return Err(Status::invalid_argument(format!("fields are not indexed as {name} here")));
        }
    })
}

pub fn point(point: PointStruct) -> Answer<PointStructPersisted> {
    let named = match point.vectors.and_then(|vectors| vectors.vectors_options) {
        Some(VectorsOptions::Vectors(named)) => named.vectors,
        _ => return Err(Status::invalid_argument("vectors have names")),
    };
    let dense = |(name, vector): (String, proto::Vector)| match vector.vector {
        Some(vector::Vector::Dense(dense)) => Ok((name, VectorPersisted::Dense(dense.data))),
        _ => Err(Status::invalid_argument(format!("'{name}' is no dense vector"))),
    };
    let fields = point.payload.iter().map(|(name, value)| (name.clone(), json_of(value)));
    Ok(PointStructPersisted {
        id: id(&point.id.unwrap_or_default())?,
        vector: VectorStructPersisted::Named(named.into_iter().map(dense).collect::<Answer<_>>()?),
        payload: Some(Payload(fields.collect())),
    })
}

pub fn with_payload(asked: Option<&WithPayloadSelector>) -> Answer<WithPayloadInterface> {
    use with_payload_selector::SelectorOptions;
    match asked.and_then(|asked| asked.selector_options.as_ref()) {
        None => Ok(WithPayloadInterface::Bool(false)),
        Some(SelectorOptions::Enable(enable)) => Ok(WithPayloadInterface::Bool(*enable)),
        Some(SelectorOptions::Include(fields)) => {
            let paths = fields.fields.iter().map(|field| path(field)).collect::<Answer<_>>()?;
            Ok(WithPayloadInterface::Fields(paths))
        }
        Some(SelectorOptions::Exclude(_)) => Err(Status::unimplemented("fields are named, not left out")),
    }
}

pub fn with_vector(asked: Option<&WithVectorsSelector>) -> WithVector {
    use with_vectors_selector::SelectorOptions;
    match asked.and_then(|asked| asked.selector_options.as_ref()) {
        None => WithVector::Bool(false),
        Some(SelectorOptions::Enable(enable)) => WithVector::Bool(*enable),
        Some(SelectorOptions::Include(names)) => WithVector::Selector(names.names.clone()),
    }
}

/// The points nearest to a vector; the library makes it a unit vector where vectors are compared by cosine.
pub fn nearest(vector: Vec<f32>, using: String) -> ScoringQuery {
    let query = NamedQuery { query: VectorInternal::Dense(vector), using: Some(using) };
    ScoringQuery::Vector(QueryEnum::Nearest(query))
}

pub fn search_params(params: &proto::SearchParams) -> SearchParams {
    SearchParams {
        exact: params.exact.unwrap_or_default(),
        hnsw_ef: params.hnsw_ef.map(|ef| ef as usize),
        ..SearchParams::default()
    }
}

/// The dense vectors of a point, by name.
pub fn dense(vectors: VectorStructInternal) -> HashMap<String, Vec<f32>> {
    let VectorStructInternal::Named(named) = vectors else { return HashMap::new() };
    let dense = named.into_iter().filter_map(|(name, vector)| match vector {
        VectorInternal::Dense(values) => Some((name, values)),
        _ => None,
    });
    dense.collect()
}

pub fn record(record: Record) -> RetrievedPoint {
    let vectors = record.vector.map(|vectors| {
        let named = dense(vectors).into_iter().map(|(name, data)| {
            let dense = vector_output::Vector::Dense(proto::DenseVector { data });
            (name, proto::VectorOutput { vector: Some(dense), ..Default::default() })
        });
        let named = proto::NamedVectorsOutput { vectors: named.collect() };
        proto::VectorsOutput { vectors_options: Some(vectors_output::VectorsOptions::Vectors(named)) }
    });
    RetrievedPoint {
        id: Some(point_id(record.id)),
        payload: payload(record.payload),
        vectors,
        ..Default::default()
    }
}

pub fn scored(point: qdrant_edge::ScoredPoint) -> ScoredPoint {
    ScoredPoint {
        id: Some(point_id(point.id)),
        payload: payload(point.payload),
        score: point.score,
        ..Default::default()
    }
}

fn payload(payload: Option<Payload>) -> HashMap<String, proto::Value> {
    payload.into_iter().flat_map(|payload| payload.0).map(|(name, json)| (name, value(json))).collect()
}
