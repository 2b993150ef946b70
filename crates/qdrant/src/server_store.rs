//! The samples on a server.
use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use cribble_core::{Error, Result, Uid};
use qdrant_client::qdrant::{
    DenseVector, Filter, GetPoints, PointId, Query, QueryPoints, ScrollPoints, SearchParams, VectorInput,
    VectorsOutput, WithVectorsSelector, query::Variant, vector_input, vector_output,
    vectors_output::VectorsOptions, with_vectors_selector::SelectorOptions,
};
use tonic::Code;

use crate::{
    Hit, Near, Payloads, Pulled, Server, Store, VectorSpace,
    filter::{filter, of_run},
    pages::{all_fields, no_fields, no_vectors},
    point::{payload_json, point_id, uid_of},
};

/// Points fetched with their vectors in one call: some 5 MiB with five vectors of 1,024 numbers.
const FETCHED: usize = 256;

/// The points of one run in a collection.
pub struct ServerStore<'a> {
    server: &'a Server,
    collection: String,
    run: String,
    vector: String,
    schema: SchemaRef,
    /// Compare with every vector instead of asking the index.
    exact: bool,
    /// The vectors that the collection has.
    known: Vec<String>,
}

impl<'a> ServerStore<'a> {
    /// The points that the run of `payloads` has in a collection; `vector` is the one that is compared.
    ///
    /// # Errors
    /// There is no such collection, or it has no such vector.
    pub fn open(
        server: &'a Server,
        collection: &str,
        run: &str,
        vector: &str,
        payloads: &Payloads<'_>,
        exact: bool,
    ) -> Result<Self> {
        let known = server.run(async {
            let client = &server.client;
            if !client.has_collection(collection).await? {
                return Err(Error::input(format!("{} has no collection '{collection}'", client.url)).with_hint(
                    "`cribble qdrant push RUN` makes it; --collection names another; without --url the run itself is asked",
                ));
            }
            let known = client.vectors(collection).await?;
            if known.contains_key(vector) {
                return Ok(known.into_keys().collect());
            }
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            Err(Error::input(format!("the collection '{collection}' has no vector '{vector}'"))
                .with_hint(cribble_core::name_hint(vector, names.iter().copied())))
        })?;
        Ok(Self {
            server,
            collection: collection.into(),
            run: run.into(),
            vector: vector.into(),
            schema: payloads.schema().clone(),
            exact,
            known,
        })
    }

    /// The collection.
    pub(crate) fn collection(&self) -> &str {
        &self.collection
    }

    /// The vector that is compared.
    pub(crate) fn vector(&self) -> &str {
        &self.vector
    }

    /// The server.
    pub(crate) fn server(&self) -> &'a Server {
        self.server
    }

    /// How the index is asked.
    pub(crate) fn params(&self) -> SearchParams {
        SearchParams { exact: Some(self.exact), ..SearchParams::default() }
    }

    /// Points of the run for which a condition is true.
    pub(crate) fn filter(&self, condition: Option<&str>) -> Result<Filter> {
        let own = condition.map(|text| filter(text, &self.schema)).transpose()?;
        Ok(of_run(&self.run, own))
    }

    fn names(&self) -> Vec<&str> {
        self.schema.fields().iter().map(|field| field.name().as_str()).collect()
    }

    /// Walks over points in the order of their ids, in pages.
    pub(crate) fn walk(&self, filter: &Filter, visit: &mut dyn FnMut(Vec<Uid>) -> Result<()>) -> Result<()> {
        let client = &self.server.client;
        let mut offset: Option<PointId> = None;
        loop {
            let page = client.page(&self.collection, filter.clone(), offset, no_fields());
            let (points, more) = self.server.run(page)?;
            visit(points.iter().filter_map(|point| uid_of(point.id.as_ref())).collect())?;
            match more {
                Some(more) => offset = Some(more),
                None => return Ok(()),
            }
        }
    }
}

/// The question for the points nearest to something.
pub(crate) fn nearest_query(near: &Near) -> Query {
    let variant = match near {
        Near::Vector(values) => vector_input::Variant::Dense(DenseVector { data: values.clone() }),
        Near::Sample(uid) => vector_input::Variant::Id(point_id(*uid)),
    };
    Query { variant: Some(Variant::Nearest(VectorInput { variant: Some(variant) })) }
}

impl Store for ServerStore<'_> {
    fn nearest(&self, near: &Near, condition: Option<&str>, limit: usize) -> Result<Vec<Hit>> {
        let asked = QueryPoints {
            collection_name: self.collection.clone(),
            query: Some(nearest_query(near)),
            using: Some(self.vector.clone()),
            filter: Some(self.filter(condition)?),
            params: Some(self.params()),
            limit: Some(limit as u64),
            with_payload: Some(all_fields(true)),
            with_vectors: Some(no_vectors()),
            ..QueryPoints::default()
        };
        let client = &self.server.client;
        let answer = self.server.run(async {
            client.query(asked).await.map_err(|fault| match (near, fault.code) {
                (Near::Sample(uid), Code::NotFound | Code::InvalidArgument) => Error::input(format!(
                    "the collection '{}' has no sample {uid} with a vector '{}': {}",
                    self.collection, self.vector, fault.what
                ))
                .with_hint("`cribble qdrant push RUN` sends samples that are missing; without --url the run itself is asked"),
                _ => client.error("asking for the nearest points", &fault),
            })
        })?;
        let names = self.names();
        let hits = answer.result.iter().filter_map(|point| {
            Some(Hit {
                uid: uid_of(point.id.as_ref())?,
                similarity: Some(point.score),
                payload: payload_json(&point.payload, &names),
            })
        });
        let mut hits: Vec<Hit> = hits.collect();
        hits.sort_by(crate::best_first);
        Ok(hits)
    }

    fn matching(&self, condition: Option<&str>, limit: usize) -> Result<Vec<Hit>> {
        let asked = ScrollPoints {
            collection_name: self.collection.clone(),
            filter: Some(self.filter(condition)?),
            limit: Some(u32::try_from(limit).unwrap_or(u32::MAX)),
            with_payload: Some(all_fields(true)),
            with_vectors: Some(no_vectors()),
            ..ScrollPoints::default()
        };
        let client = &self.server.client;
        let answer = self.server.run(async {
            client.scroll(asked).await.map_err(|fault| client.error("listing points", &fault))
        })?;
        let names = self.names();
        let hits = answer.result.iter().filter_map(|point| {
            let payload = payload_json(&point.payload, &names);
            Some(Hit { uid: uid_of(point.id.as_ref())?, similarity: None, payload })
        });
        Ok(hits.collect())
    }

    fn uids(&self, condition: Option<&str>, visit: &mut dyn FnMut(Uid) -> Result<()>) -> Result<()> {
        self.walk(&self.filter(condition)?, &mut |page| page.into_iter().try_for_each(&mut *visit))
    }
    fn has_vector(&self, name: &str) -> bool {
        self.known.iter().any(|known| known == name)
    }

    fn fetch(&self, uids: &[Uid], vectors: &[VectorSpace]) -> Result<Vec<Pulled>> {
        let names = self.names();
        let mut points = Vec::new();
        for uids in uids.chunks(FETCHED) {
            // By name it is an error where the collection lacks one.
            let wanted = SelectorOptions::Enable(true);
            let asked = GetPoints {
                collection_name: self.collection.clone(),
                ids: uids.iter().map(|uid| point_id(*uid)).collect(),
                with_payload: Some(all_fields(true)),
                with_vectors: Some(WithVectorsSelector { selector_options: Some(wanted) }),
                ..GetPoints::default()
            };
            let client = &self.server.client;
            let answer = self.server.run(async {
                client.get(asked).await.map_err(|fault| client.error("fetching points", &fault))
            })?;
            for mut point in answer.result {
                let Some(uid) = uid_of(point.id.as_ref()) else { continue };
                let mut there = dense(point.vectors.take());
                let payload = payload_json(&point.payload, &names);
                // A vector of another size is none of ours: the collection was made by somebody else.
                let own = |space: &VectorSpace| {
                    there.remove(&space.name).filter(|values| values.len() == space.dim)
                };
                points.push(Pulled { uid, payload, vectors: vectors.iter().map(own).collect() });
            }
        }
        points.sort_by_key(|point| point.uid);
        Ok(points)
    }
}

/// The dense vectors of a point, by name.
fn dense(vectors: Option<VectorsOutput>) -> HashMap<String, Vec<f32>> {
    let Some(VectorsOptions::Vectors(named)) = vectors.and_then(|vectors| vectors.vectors_options) else {
        return HashMap::new();
    };
    let dense = named.vectors.into_iter().filter_map(|(name, output)| match output.into_vector() {
        vector_output::Vector::Dense(dense) => Some((name, dense.data)),
        _ => None,
    });
    dense.collect()
}
