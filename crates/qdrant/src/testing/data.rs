//! Collections in memory.
use std::collections::{BTreeMap, HashMap};

use cribble_core::Uid;
use qdrant_client::qdrant as proto;
use qdrant_client::qdrant::{
    Distance, Filter, PointId, QueryPoints, ScoredPoint, Value, VectorParams, WithPayloadSelector,
    create_vector_name_request::VectorConfig, point_id::PointIdOptions, points_selector::PointsSelectorOneOf,
    query::Variant, vector, vector_input, vector_output, vectors::VectorsOptions, vectors_config::Config,
    vectors_output, with_payload_selector::SelectorOptions, with_vectors_selector,
};
use tonic::Status;

use super::conditions::holds;

/// The id of a point, in the order of lists: numbers before UUIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// A number.
    Number(u64),
    /// A UUID.
    Uuid(Uid),
}

impl Id {
    /// As the protocol writes it.
    pub fn of(id: &PointId) -> Result<Self, Status> {
        match &id.point_id_options {
            Some(PointIdOptions::Num(number)) => Ok(Self::Number(*number)),
            Some(PointIdOptions::Uuid(uuid)) => {
                let is_uuid = uuid.len() == 36 && uuid.chars().filter(|c| *c == '-').count() == 4;
                let uid = uuid.replace('-', "").parse().ok().filter(|_| is_uuid);
                uid.map(Self::Uuid)
                    .ok_or_else(|| Status::invalid_argument(format!("Unable to parse UUID: {uuid}")))
            }
            None => Err(Status::invalid_argument("No ID options provided")),
        }
    }

    fn given(id: Option<&PointId>) -> Result<Self, Status> {
        Self::of(id.ok_or_else(|| Status::invalid_argument("Expected point id"))?)
    }

    fn proto(self) -> PointId {
        match self {
            Self::Number(number) => PointId { point_id_options: Some(PointIdOptions::Num(number)) },
            Self::Uuid(uid) => crate::point_id(uid),
        }
    }
}

/// A point.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Point {
    /// Its payload.
    pub payload: HashMap<String, Value>,
    /// Its vectors by name, of unit length.
    pub vectors: BTreeMap<String, Vec<f32>>,
}

/// A collection.
#[derive(Debug, Clone, Default)]
pub struct Collection {
    /// Its vectors by name.
    pub vectors: BTreeMap<String, VectorParams>,
    /// One vector without a name, instead.
    pub unnamed: Option<VectorParams>,
    /// Its points.
    pub points: BTreeMap<Id, Point>,
    /// Indexed fields.
    pub indexed: BTreeMap<String, i32>,
}

impl Collection {
    /// The point of a sample.
    pub fn sample(&self, uid: Uid) -> Option<&Point> {
        self.points.get(&Id::Uuid(uid))
    }
}

/// All that the server holds.
#[derive(Debug, Default)]
pub struct Data {
    /// Its collections.
    pub collections: BTreeMap<String, Collection>,
    /// Whether named vectors can be added to a collection.
    pub adds_vectors: bool,
    /// Once: the first point of a collection vanishes just before it is counted.
    pub vanish: bool,
}

type Answer<T> = Result<T, Status>;

fn done() -> Answer<proto::PointsOperationResponse> {
    Ok(proto::PointsOperationResponse::default())
}

fn params(config: Option<proto::VectorsConfig>) -> (BTreeMap<String, VectorParams>, Option<VectorParams>) {
    match config.and_then(|config| config.config) {
        None => (BTreeMap::new(), None),
        Some(Config::Params(one)) => (BTreeMap::new(), Some(one)),
        Some(Config::ParamsMap(named)) => (named.map.into_iter().collect(), None),
    }
}

/// What of a payload is asked for.
fn chosen(payload: &HashMap<String, Value>, asked: Option<&WithPayloadSelector>) -> HashMap<String, Value> {
    match asked.and_then(|asked| asked.selector_options.as_ref()) {
        Some(SelectorOptions::Enable(true)) => payload.clone(),
        Some(SelectorOptions::Include(include)) => payload
            .iter()
            .filter(|(name, _)| include.fields.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        _ => HashMap::new(),
    }
}

/// The vectors of a point, where they are asked for.
fn shown(point: &Point, asked: Option<&proto::WithVectorsSelector>) -> Option<proto::VectorsOutput> {
    let asked = asked.and_then(|asked| asked.selector_options.as_ref());
    if asked != Some(&with_vectors_selector::SelectorOptions::Enable(true)) {
        return None;
    }
    let vectors = point.vectors.iter().map(|(name, values)| {
        let dense = vector_output::Vector::Dense(proto::DenseVector { data: values.clone() });
        (name.clone(), proto::VectorOutput { vector: Some(dense), ..Default::default() })
    });
    let named = proto::NamedVectorsOutput { vectors: vectors.collect() };
    Some(proto::VectorsOutput { vectors_options: Some(vectors_output::VectorsOptions::Vectors(named)) })
}

impl Data {
    fn collection(&mut self, name: &str) -> Answer<&mut Collection> {
        let missing = || Status::not_found(format!("Not found: Collection `{name}` doesn't exist!"));
        self.collections.get_mut(name).ok_or_else(missing)
    }

    pub fn health(&mut self, _: proto::HealthCheckRequest) -> Answer<proto::HealthCheckReply> {
        Ok(proto::HealthCheckReply { title: "a test".into(), version: "1.20.0-test".into(), commit: None })
    }

    pub fn exists(
        &mut self,
        asked: proto::CollectionExistsRequest,
    ) -> Answer<proto::CollectionExistsResponse> {
        let exists = self.collections.contains_key(&asked.collection_name);
        let result = Some(proto::CollectionExists { exists });
        Ok(proto::CollectionExistsResponse { result, ..Default::default() })
    }

    pub fn info(
        &mut self,
        asked: proto::GetCollectionInfoRequest,
    ) -> Answer<proto::GetCollectionInfoResponse> {
        let collection = self.collection(&asked.collection_name)?;
        let config = match &collection.unnamed {
            Some(one) => Config::Params(*one),
            None => {
                let map = collection.vectors.iter().map(|(name, params)| (name.clone(), *params)).collect();
                Config::ParamsMap(proto::VectorParamsMap { map })
            }
        };
        let params = proto::CollectionParams {
            vectors_config: Some(proto::VectorsConfig { config: Some(config) }),
            ..Default::default()
        };
        let config = proto::CollectionConfig { params: Some(params), ..Default::default() };
        let result = Some(proto::CollectionInfo { config: Some(config), ..Default::default() });
        Ok(proto::GetCollectionInfoResponse { result, ..Default::default() })
    }

    pub fn create(&mut self, asked: proto::CreateCollection) -> Answer<proto::CollectionOperationResponse> {
        let name = asked.collection_name;
        if self.collections.contains_key(&name) {
            return Err(Status::invalid_argument(format!(
                "Wrong input: Collection `{name}` already exists!"
            )));
        }
        let (vectors, unnamed) = params(asked.vectors_config);
        self.collections.insert(name, Collection { vectors, unnamed, ..Collection::default() });
        Ok(proto::CollectionOperationResponse { result: true, time: 0.0 })
    }

    pub fn delete_collection(
        &mut self,
        asked: proto::DeleteCollection,
    ) -> Answer<proto::CollectionOperationResponse> {
        let result = self.collections.remove(&asked.collection_name).is_some();
        Ok(proto::CollectionOperationResponse { result, time: 0.0 })
    }

    pub fn create_index(
        &mut self,
        asked: proto::CreateFieldIndexCollection,
    ) -> Answer<proto::PointsOperationResponse> {
        let kind = asked.field_type.ok_or_else(|| Status::invalid_argument("field_type is missing"))?;
        self.collection(&asked.collection_name)?.indexed.insert(asked.field_name, kind);
        done()
    }

    pub fn create_vector(
        &mut self,
        asked: proto::CreateVectorNameRequest,
    ) -> Answer<proto::PointsOperationResponse> {
        if !self.adds_vectors {
            return Err(Status::unimplemented(""));
        }
        let Some(VectorConfig::DenseConfig(config)) = asked.vector_config else {
            return Err(Status::invalid_argument("no dense vector"));
        };
        let params = VectorParams { size: config.size, distance: config.distance, ..VectorParams::default() };
        self.collection(&asked.collection_name)?.vectors.insert(asked.vector_name, params);
        done()
    }

    pub fn upsert(&mut self, asked: proto::UpsertPoints) -> Answer<proto::PointsOperationResponse> {
        let collection = self.collection(&asked.collection_name)?;
        // All or nothing.
        let mut ready = Vec::new();
        for point in asked.points {
            let id = Id::given(point.id.as_ref())?;
            let vectors = match point.vectors.and_then(|vectors| vectors.vectors_options) {
                Some(VectorsOptions::Vectors(named)) => named.vectors,
                _ => return Err(Status::invalid_argument("Wrong input: Not existing vector name error: ")),
            };
            let mut stored = Point { payload: point.payload, vectors: BTreeMap::new() };
            for (name, vector) in vectors {
                let Some(vector::Vector::Dense(dense)) = vector.vector else {
                    return Err(Status::invalid_argument("Wrong input: not a dense vector"));
                };
                let params = collection.vectors.get(&name).ok_or_else(|| {
                    Status::invalid_argument(format!("Wrong input: Not existing vector name error: {name}"))
                })?;
                if dense.data.len() as u64 != params.size {
                    return Err(Status::invalid_argument(format!(
                        "Wrong input: Vector dimension error: expected dim: {}, got {}",
                        params.size,
                        dense.data.len()
                    )));
                }
                let mut values = dense.data;
                if params.distance() == Distance::Cosine {
                    cribble_math::rows::normalize(&mut values, params.size as usize);
                }
                stored.vectors.insert(name, values);
            }
            ready.push((id, stored));
        }
        collection.points.extend(ready);
        done()
    }

    pub fn delete(&mut self, asked: proto::DeletePoints) -> Answer<proto::PointsOperationResponse> {
        let collection = self.collection(&asked.collection_name)?;
        match asked.points.and_then(|points| points.points_selector_one_of) {
            Some(PointsSelectorOneOf::Points(list)) => {
                for id in &list.ids {
                    collection.points.remove(&Id::of(id)?);
                }
                done()
            }
            _ => Err(Status::invalid_argument("points are removed by their ids here")),
        }
    }

    pub fn get(&mut self, asked: proto::GetPoints) -> Answer<proto::GetResponse> {
        let collection = self.collection(&asked.collection_name)?;
        let mut result = Vec::new();
        for id in &asked.ids {
            let id = Id::of(id)?;
            if let Some(point) = collection.points.get(&id) {
                let payload = chosen(&point.payload, asked.with_payload.as_ref());
                let vectors = shown(point, asked.with_vectors.as_ref());
                result.push(proto::RetrievedPoint {
                    id: Some(id.proto()),
                    payload,
                    vectors,
                    ..Default::default()
                });
            }
        }
        // Like Qdrant, in no order that a caller may build on.
        result.reverse();
        Ok(proto::GetResponse { result, ..Default::default() })
    }

    fn those(&mut self, collection: &str, filter: Option<Filter>) -> Answer<Vec<(Id, &Point)>> {
        let filter = filter.unwrap_or_default();
        let mut found = Vec::new();
        for (id, point) in &self.collection(collection)?.points {
            if holds(&filter, *id, point)? {
                found.push((*id, point));
            }
        }
        Ok(found)
    }

    pub fn scroll(&mut self, asked: proto::ScrollPoints) -> Answer<proto::ScrollResponse> {
        let from = asked.offset.as_ref().map(Id::of).transpose()?;
        let limit = asked.limit.unwrap_or(10) as usize;
        let mut found = self.those(&asked.collection_name, asked.filter)?;
        found.retain(|(id, _)| from.is_none_or(|from| *id >= from));
        let next_page_offset = found.get(limit).map(|(id, _)| id.proto());
        let page = found.into_iter().take(limit).map(|(id, point)| proto::RetrievedPoint {
            id: Some(id.proto()),
            payload: chosen(&point.payload, asked.with_payload.as_ref()),
            vectors: shown(point, asked.with_vectors.as_ref()),
            ..Default::default()
        });
        Ok(proto::ScrollResponse { next_page_offset, result: page.collect(), ..Default::default() })
    }

    pub fn count(&mut self, asked: proto::CountPoints) -> Answer<proto::CountResponse> {
        if asked.exact != Some(true) {
            return Err(Status::invalid_argument("a count that is not exact"));
        }
        if std::mem::take(&mut self.vanish) {
            self.collection(&asked.collection_name)?.points.pop_first();
        }
        let count = self.those(&asked.collection_name, asked.filter)?.len() as u64;
        Ok(proto::CountResponse { result: Some(proto::CountResult { count }), ..Default::default() })
    }

    fn search(&mut self, asked: QueryPoints) -> Answer<Vec<ScoredPoint>> {
        let using = asked.using.unwrap_or_default();
        let collection = self.collection(&asked.collection_name)?;
        let Some(params) = collection.vectors.get(&using) else {
            let text = format!("Wrong input: Not existing vector name error: {using}");
            return Err(Status::invalid_argument(text));
        };
        let near = match asked.query.and_then(|query| query.variant) {
            Some(Variant::Nearest(input)) => input.variant,
            _ => return Err(Status::invalid_argument("only the nearest are found here")),
        };
        let (mut sought, itself) = match near {
            Some(vector_input::Variant::Dense(dense)) => (dense.data, None),
            Some(vector_input::Variant::Id(id)) => {
                let id = Id::of(&id)?;
                let point = collection
                    .points
                    .get(&id)
                    .ok_or_else(|| Status::not_found(format!("Not found: No point with id {id:?} found")))?;
                let vector = point.vectors.get(&using).ok_or_else(|| {
                    Status::invalid_argument(format!("Wrong input: Vector with name {using} not found"))
                })?;
                (vector.clone(), Some(id))
            }
            _ => return Err(Status::invalid_argument("only dense vectors and ids are sought here")),
        };
        if sought.len() as u64 != params.size {
            let text = format!(
                "Wrong input: Vector dimension error: expected dim: {}, got {}",
                params.size,
                sought.len()
            );
            return Err(Status::invalid_argument(text));
        }
        let dim = sought.len();
        cribble_math::rows::normalize(&mut sought, dim);
        let mut found = Vec::new();
        for (id, point) in self.those(&asked.collection_name, asked.filter)? {
            let Some(vector) = point.vectors.get(&using).filter(|_| itself != Some(id)) else { continue };
            let score = cribble_math::rows::dot(&sought, vector) as f32;
            if asked.score_threshold.is_none_or(|least| score >= least) {
                let payload = chosen(&point.payload, asked.with_payload.as_ref());
                found.push(ScoredPoint { id: Some(id.proto()), payload, score, ..Default::default() });
            }
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(asked.limit.unwrap_or(10) as usize);
        Ok(found)
    }

    pub fn query(&mut self, asked: QueryPoints) -> Answer<proto::QueryResponse> {
        Ok(proto::QueryResponse { result: self.search(asked)?, ..Default::default() })
    }

    pub fn query_batch(&mut self, asked: proto::QueryBatchPoints) -> Answer<proto::QueryBatchResponse> {
        let searches = asked.query_points.into_iter();
        let result = searches
            .map(|query| Ok(proto::BatchResult { result: self.search(query)? }))
            .collect::<Answer<_>>()?;
        Ok(proto::QueryBatchResponse { result, ..Default::default() })
    }
}
