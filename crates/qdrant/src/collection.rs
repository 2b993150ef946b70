//! The collection: made to fit a run, or found and proven to fit. Nothing here ever removes a collection unless that is asked for by name.
use std::collections::BTreeMap;

use cribble_core::{Error, Result};
use qdrant_client::qdrant::{
    CollectionExistsRequest, CreateCollection, CreateFieldIndexCollection, CreateVectorNameRequest,
    DeleteCollection, DenseVectorCreationConfig, Distance, FieldType, GetCollectionInfoRequest, VectorParams,
    VectorParamsMap, VectorsConfig, create_vector_name_request::VectorConfig, vectors_config::Config,
};
use tonic::Code;

use crate::{VectorSpace, server::Client};

/// What a person can do about a collection that does not fit.
const CURES: &str = "push to another collection with --collection NAME, or make this one anew with --recreate, which removes its points";

/// What is known of the vectors of a collection.
type Known = BTreeMap<String, VectorParams>;

/// How the collection was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// There was none of the name.
    Made,
    /// It was there and fits.
    There,
}

impl Client {
    /// Whether the collection is there.
    pub async fn has_collection(&self, collection: &str) -> Result<bool> {
        let asked = CollectionExistsRequest { collection_name: collection.into() };
        let answer =
            self.exists(asked).await.map_err(|fault| self.error("looking for the collection", &fault))?;
        Ok(answer.result.is_some_and(|found| found.exists))
    }

    /// Makes the collection, or proves that the vectors fit into it. A vector that it lacks is added where the server can do that.
    pub async fn fit(&self, collection: &str, spaces: &[VectorSpace], recreate: bool) -> Result<Found> {
        let mut is_there = self.has_collection(collection).await?;
        if is_there && recreate {
            let asked = DeleteCollection { collection_name: collection.into(), timeout: None };
            self.delete_collection(asked)
                .await
                .map_err(|fault| self.error("removing the collection", &fault))?;
            is_there = false;
        }
        if is_there {
            let known = self.vectors(collection).await?;
            for space in spaces {
                match known.get(&space.name) {
                    Some(params) => check(collection, space, params)?,
                    None => self.add_vector(collection, space, &known).await?,
                }
            }
            return Ok(Found::There);
        }
        let params = |space: &VectorSpace| VectorParams {
            size: space.dim as u64,
            distance: Distance::Cosine.into(),
            ..VectorParams::default()
        };
        let map = spaces.iter().map(|space| (space.name.clone(), params(space))).collect();
        let config = Config::ParamsMap(VectorParamsMap { map });
        let asked = CreateCollection {
            collection_name: collection.into(),
            vectors_config: Some(VectorsConfig { config: Some(config) }),
            ..CreateCollection::default()
        };
        match self.create(asked).await {
            Ok(_) => Ok(Found::Made),
            // Made by a call of ours whose answer was lost, or by somebody else just now: what counts is whether it fits.
            Err(fault) if fault.code == Code::AlreadyExists || fault.what.contains("already exists") => {
                let known = self.vectors(collection).await?;
                for space in spaces {
                    let params = known.get(&space.name).ok_or_else(|| lacks(collection, space, &known))?;
                    check(collection, space, params)?;
                }
                Ok(Found::Made)
            }
            Err(fault) => Err(self.error(&format!("making the collection '{collection}'"), &fault)),
        }
    }

    /// Indexes fields, so that conditions on them are fast. An index that is there already stays.
    pub async fn index(&self, collection: &str, fields: &[(&str, FieldType)]) -> Result<()> {
        for (name, kind) in fields {
            let asked = CreateFieldIndexCollection {
                collection_name: collection.into(),
                wait: Some(true),
                field_name: path(name),
                field_type: Some((*kind).into()),
                ..CreateFieldIndexCollection::default()
            };
            self.create_index(asked)
                .await
                .map_err(|fault| self.error(&format!("indexing the field '{name}'"), &fault))?;
        }
        Ok(())
    }

    /// The named vectors of a collection.
    ///
    /// # Errors
    /// There is no such collection, or it has one vector without a name.
    pub async fn vectors(&self, collection: &str) -> Result<Known> {
        let asked = GetCollectionInfoRequest { collection_name: collection.into() };
        let info = self
            .info(asked)
            .await
            .map_err(|fault| self.error(&format!("looking at the collection '{collection}'"), &fault))?;
        let params = info.result.and_then(|info| info.config).and_then(|config| config.params);
        match params.and_then(|params| params.vectors_config).and_then(|vectors| vectors.config) {
            None => Ok(Known::new()),
            Some(Config::ParamsMap(named)) => Ok(named.map.into_iter().collect()),
            Some(Config::Params(one)) => Err(Error::input(format!(
                "the collection '{collection}' has one vector of {} numbers without a name: a run's vectors have names",
                one.size
            ))
            .with_hint(CURES)),
        }
    }

    async fn add_vector(&self, collection: &str, space: &VectorSpace, known: &Known) -> Result<()> {
        let config = DenseVectorCreationConfig {
            size: space.dim as u64,
            distance: Distance::Cosine.into(),
            ..DenseVectorCreationConfig::default()
        };
        let asked = CreateVectorNameRequest {
            collection_name: collection.into(),
            wait: Some(true),
            vector_name: space.name.clone(),
            vector_config: Some(VectorConfig::DenseConfig(config)),
            ..CreateVectorNameRequest::default()
        };
        match self.create_vector(asked).await {
            Ok(_) => Ok(()),
            // Before version 1.18 vectors are settled when a collection is made.
            Err(fault) if fault.code == Code::Unimplemented => Err(lacks(collection, space, known)),
            Err(fault) => Err(self.error(&format!("adding the vector '{}'", space.name), &fault)),
        }
    }
}

fn lacks(collection: &str, space: &VectorSpace, known: &Known) -> Error {
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let has = if names.is_empty() { "none".into() } else { names.join(", ") };
    Error::input(format!("the collection '{collection}' has no vector '{}' (it has {has})", space.name))
        .with_hint(format!("leave it out with --vectors, {CURES}"))
}

/// Whether a vector of the collection is the run's.
fn check(collection: &str, space: &VectorSpace, params: &VectorParams) -> Result<()> {
    if params.size != space.dim as u64 {
        return Err(Error::input(format!(
            "the collection '{collection}' has vectors '{}' of {} numbers, the run's have {}",
            space.name, params.size, space.dim
        ))
        .with_hint(CURES));
    }
    if params.distance() != Distance::Cosine {
        return Err(Error::input(format!(
            "the collection '{collection}' compares vectors '{}' by {}, a run's are compared by Cosine",
            space.name,
            params.distance().as_str_name()
        ))
        .with_hint(CURES));
    }
    if params.multivector_config.is_some() {
        return Err(Error::input(format!(
            "the collection '{collection}' holds several vectors a point as '{}', a run has one",
            space.name
        ))
        .with_hint(CURES));
    }
    Ok(())
}

/// A field as the server's paths name it: a name with dots or brackets in it needs quotes, else it would be read as a path.
pub(crate) fn path(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if name.chars().all(is_plain) { name.into() } else { format!("\"{name}\"") }
}
