//! Qdrant's embedded library in place of a server: the calls of [`Client`](crate::server::Client), answered by shards in a folder of this machine.
//! A collection is a folder with the files that Qdrant itself writes. Everything above the calls is the same for both, so that what is true
//! of a server is true here; only [`Edge::settle`] is new, because nobody optimizes in the background.
//!
//! Behind the feature `edge`: the library takes minutes to build.
mod convert;
mod filter;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use qdrant_client::qdrant::{self as proto, points_selector::PointsSelectorOneOf, vectors_config::Config};
use qdrant_edge::{
    CountRequest, CreateIndex, CreateVectorName, EdgeConfigBuilder, EdgeShard, FieldIndexOperations,
    OperationError, PayloadFieldSchema, PointInsertOperations, PointOperations, QueryRequest, ScrollRequest,
    UpdateOperation, VectorNameOperations, WithPayloadInterface, WithVector,
};
use tonic::Status;

type Answer<T> = Result<T, Status>;

/// The file that a shard's folder has from its first moment on.
const CONFIG: &str = "edge_config.json";
/// What Qdrant does not allow in the name of a collection either.
const NOT_IN_NAMES: [char; 9] = ['<', '>', ':', '"', '/', '\\', '|', '?', '*'];

/// A folder of collections.
#[derive(Debug)]
pub(crate) struct Edge {
    folder: PathBuf,
    open: Mutex<HashMap<String, Arc<EdgeShard>>>,
}

impl Edge {
    /// The collections in `folder`, which need not be there yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), open: Mutex::default() }
    }

    fn path(&self, collection: &str) -> Answer<PathBuf> {
        let is_bad = |c: char| c.is_control() || NOT_IN_NAMES.contains(&c);
        if collection.is_empty() || collection.starts_with('.') || collection.contains(is_bad) {
            return Err(Status::invalid_argument(format!(
                "'{collection}' cannot be the name of a collection"
            )));
        }
        Ok(self.folder.join(collection))
    }

    fn is_there(&self, collection: &str) -> Answer<bool> {
        Ok(self.path(collection)?.join(CONFIG).is_file())
    }

    /// The shard of a collection, opened at its first use and kept: its files belong to one process at a time.
    fn shard(&self, collection: &str) -> Answer<Arc<EdgeShard>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shard) = open.get(collection) {
            return Ok(shard.clone());
        }
        if !self.is_there(collection)? {
            return Err(Status::not_found(format!("there is no collection '{collection}'")));
        }
        let shard = Arc::new(EdgeShard::load(&self.path(collection)?, None).map_err(status)?);
        open.insert(collection.into(), shard.clone());
        Ok(shard)
    }

    fn update(&self, collection: &str, operation: UpdateOperation) -> Answer<proto::PointsOperationResponse> {
        self.shard(collection)?.update(operation).map_err(status)?;
        Ok(proto::PointsOperationResponse::default())
    }

    /// Writes everything to disk and builds the indexes that a server would build by itself.
    pub fn settle(&self, collection: &str) -> Answer<()> {
        let shard = self.shard(collection)?;
        shard.optimize().map_err(status)?;
        shard.flush();
        Ok(())
    }

    pub fn health(&self, _: proto::HealthCheckRequest) -> Answer<proto::HealthCheckReply> {
        Ok(proto::HealthCheckReply { title: "qdrant-edge".into(), version: "embedded".into(), commit: None })
    }

    pub fn exists(&self, asked: proto::CollectionExistsRequest) -> Answer<proto::CollectionExistsResponse> {
        let exists = self.is_there(&asked.collection_name)?;
        let result = Some(proto::CollectionExists { exists });
        Ok(proto::CollectionExistsResponse { result, ..Default::default() })
    }

    pub fn info(&self, asked: proto::GetCollectionInfoRequest) -> Answer<proto::GetCollectionInfoResponse> {
        let shard = self.shard(&asked.collection_name)?;
        let config = shard.config();
        let map = config.vectors.iter().map(|(name, params)| (name.clone(), convert::params(params)));
        let named = proto::VectorParamsMap { map: map.collect() };
        let params = proto::CollectionParams {
            vectors_config: Some(proto::VectorsConfig { config: Some(Config::ParamsMap(named)) }),
            ..Default::default()
        };
        let config = proto::CollectionConfig { params: Some(params), ..Default::default() };
        let result = Some(proto::CollectionInfo { config: Some(config), ..Default::default() });
        Ok(proto::GetCollectionInfoResponse { result, ..Default::default() })
    }

    pub fn create(&self, asked: proto::CreateCollection) -> Answer<proto::CollectionOperationResponse> {
        let name = asked.collection_name;
        if self.is_there(&name)? {
            return Err(Status::already_exists(format!("the collection '{name}' already exists")));
        }
        let Some(Config::ParamsMap(named)) = asked.vectors_config.and_then(|config| config.config) else {
            return Err(Status::invalid_argument("vectors have names"));
        };
        let vectors = named.map.into_iter().map(|(name, params)| Ok((name, convert::edge_params(&params)?)));
        let config = EdgeConfigBuilder::new().vectors(vectors.collect::<Answer<_>>()?).build();
        let path = self.path(&name)?;
        fs::create_dir_all(&path).map_err(|error| failed(&path, &error))?;
        let shard = EdgeShard::new(&path, config).map_err(status)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(name, Arc::new(shard));
        Ok(proto::CollectionOperationResponse { result: true, time: 0.0 })
    }

    pub fn delete_collection(
        &self,
        asked: proto::DeleteCollection,
    ) -> Answer<proto::CollectionOperationResponse> {
        let name = asked.collection_name;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        let is_there = self.is_there(&name)?;
        if is_there {
            let path = self.path(&name)?;
            fs::remove_dir_all(&path).map_err(|error| failed(&path, &error))?;
        }
        Ok(proto::CollectionOperationResponse { result: is_there, time: 0.0 })
    }

    pub fn create_index(
        &self,
        asked: proto::CreateFieldIndexCollection,
    ) -> Answer<proto::PointsOperationResponse> {
        let index = CreateIndex {
            field_name: convert::path(&asked.field_name)?,
            field_schema: Some(PayloadFieldSchema::FieldType(convert::field_type(asked.field_type())?)),
        };
        let operation = FieldIndexOperations::CreateIndex(index);
        self.update(&asked.collection_name, UpdateOperation::FieldIndexOperation(operation))
    }

    pub fn create_vector(
        &self,
        asked: proto::CreateVectorNameRequest,
    ) -> Answer<proto::PointsOperationResponse> {
        let Some(proto::create_vector_name_request::VectorConfig::DenseConfig(config)) = asked.vector_config
        else {
            return Err(Status::invalid_argument("only dense vectors are added here"));
        };
        let config = convert::vector_config(&config)?;
        let create = CreateVectorName { vector_name: asked.vector_name, config };
        let operation = VectorNameOperations::CreateVectorName(create);
        self.update(&asked.collection_name, UpdateOperation::VectorNameOperation(operation))
    }

    pub fn upsert(&self, asked: proto::UpsertPoints) -> Answer<proto::PointsOperationResponse> {
        let points = asked.points.into_iter().map(convert::point).collect::<Answer<Vec<_>>>()?;
        let operation = PointOperations::UpsertPoints(PointInsertOperations::PointsList(points));
        self.update(&asked.collection_name, UpdateOperation::PointOperation(operation))
    }

    pub fn delete(&self, asked: proto::DeletePoints) -> Answer<proto::PointsOperationResponse> {
        let Some(PointsSelectorOneOf::Points(list)) =
            asked.points.and_then(|points| points.points_selector_one_of)
        else {
            return Err(Status::invalid_argument("points are removed by their ids here"));
        };
        let operation = PointOperations::DeletePoints { ids: convert::ids(&list.ids)? };
        self.update(&asked.collection_name, UpdateOperation::PointOperation(operation))
    }

    pub fn get(&self, asked: proto::GetPoints) -> Answer<proto::GetResponse> {
        let payload = convert::with_payload(asked.with_payload.as_ref())?;
        let vectors = convert::with_vector(asked.with_vectors.as_ref());
        let shard = self.shard(&asked.collection_name)?;
        let records =
            shard.retrieve(&convert::ids(&asked.ids)?, Some(payload), Some(vectors)).map_err(status)?;
        let result = records.into_iter().map(convert::record).collect();
        Ok(proto::GetResponse { result, ..Default::default() })
    }

    pub fn scroll(&self, asked: proto::ScrollPoints) -> Answer<proto::ScrollResponse> {
        let request = ScrollRequest {
            offset: asked.offset.as_ref().map(convert::id).transpose()?,
            limit: asked.limit.map(|limit| limit as usize),
            filter: filter::filter(asked.filter.as_ref())?,
            with_payload: Some(convert::with_payload(asked.with_payload.as_ref())?),
            with_vector: convert::with_vector(asked.with_vectors.as_ref()),
            order_by: None,
        };
        let (records, next) = self.shard(&asked.collection_name)?.scroll(request).map_err(status)?;
        Ok(proto::ScrollResponse {
            next_page_offset: next.map(convert::point_id),
            result: records.into_iter().map(convert::record).collect(),
            ..Default::default()
        })
    }

    pub fn count(&self, asked: proto::CountPoints) -> Answer<proto::CountResponse> {
        let filter = filter::filter(asked.filter.as_ref())?;
        let request = CountRequest { filter, exact: asked.exact.unwrap_or(true) };
        let count = self.shard(&asked.collection_name)?.count(request).map_err(status)? as u64;
        Ok(proto::CountResponse { result: Some(proto::CountResult { count }), ..Default::default() })
    }

    pub fn query(&self, asked: proto::QueryPoints) -> Answer<proto::QueryResponse> {
        let shard = self.shard(&asked.collection_name)?;
        let found = shard.query(question(&shard, asked)?).map_err(status)?;
        Ok(proto::QueryResponse {
            result: found.into_iter().map(convert::scored).collect(),
            ..Default::default()
        })
    }

    pub fn query_batch(&self, asked: proto::QueryBatchPoints) -> Answer<proto::QueryBatchResponse> {
        let shard = self.shard(&asked.collection_name)?;
        let answer = |asked| {
            let found = shard.query(question(&shard, asked)?).map_err(status)?;
            Ok(proto::BatchResult { result: found.into_iter().map(convert::scored).collect() })
        };
        let result = asked.query_points.into_iter().map(answer).collect::<Answer<_>>()?;
        Ok(proto::QueryBatchResponse { result, ..Default::default() })
    }
}

/// A question as the library takes it. That for the neighbours of a point is one for those of its vector, without itself, as a server makes it.
fn question(shard: &EdgeShard, asked: proto::QueryPoints) -> Answer<QueryRequest> {
    use proto::{query::Variant, vector_input};
    let using = asked.using.unwrap_or_default();
    let mut filter = filter::filter(asked.filter.as_ref())?;
    let vector = match asked.query.and_then(|query| query.variant) {
        Some(Variant::Nearest(proto::VectorInput { variant: Some(vector_input::Variant::Dense(dense)) })) => {
            dense.data
        }
        Some(Variant::Nearest(proto::VectorInput { variant: Some(vector_input::Variant::Id(id)) })) => {
            let without_itself = filter::all_but(filter, &id)?;
            filter = Some(without_itself);
            vector_of(shard, &id, &using)?
        }
        _ => return Err(Status::invalid_argument("only the nearest of a vector or a point are found here")),
    };
    Ok(QueryRequest {
        query: Some(convert::nearest(vector, using)),
        filter,
        score_threshold: asked.score_threshold.map(Into::into),
        params: asked.params.map(|params| convert::search_params(&params)),
        with_vector: convert::with_vector(asked.with_vectors.as_ref()),
        with_payload: convert::with_payload(asked.with_payload.as_ref())?,
        limit: asked.limit.unwrap_or(10) as usize,
        offset: 0,
        prefetches: Vec::new(),
    })
}

fn vector_of(shard: &EdgeShard, id: &proto::PointId, using: &str) -> Answer<Vec<f32>> {
    let (payload, vector) = (WithPayloadInterface::Bool(false), WithVector::Selector(vec![using.to_owned()]));
    let point = shard.retrieve(&[convert::id(id)?], Some(payload), Some(vector)).map_err(status)?.pop();
    let point = point.ok_or_else(|| Status::not_found("there is no such point"))?;
    let vector = point.vector.and_then(|vectors| convert::dense(vectors).remove(using));
    vector.ok_or_else(|| Status::not_found(format!("the point has no vector '{using}'")))
}

fn failed(path: &Path, error: &std::io::Error) -> Status {
    Status::internal(format!("{}: {error}", path.display()))
}

/// What the library says, as a server would.
fn status(error: OperationError) -> Status {
    use OperationError as E;
    let text = error.to_string();
    match error {
        E::PointIdError { .. } => Status::not_found(text),
        E::WrongVectorDimension { .. }
        | E::VectorNameNotExists { .. }
        | E::TypeError { .. }
        | E::TypeInferenceError { .. }
        | E::ValidationError { .. }
        | E::WrongSparse
        | E::WrongMulti => Status::invalid_argument(text),
        _ => Status::internal(text),
    }
}
