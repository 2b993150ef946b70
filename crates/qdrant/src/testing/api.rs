//! From a path to what the data does: messages are decoded, faults played, answers encoded.
use std::{convert::Infallible, pin::Pin, sync::Arc, time::Instant};

use qdrant_client::qdrant as proto;
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    codegen::{Context, Poll, Service, http},
    server::{Grpc, UnaryService},
};
use tonic_prost::ProstCodec;

use super::{Act, Data, Seen, Shared, lock};
#[cfg(feature = "edge")]
use crate::edge::Edge;

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

/// All services at once.
#[derive(Clone)]
pub struct Api {
    pub shared: Arc<Shared>,
}

/// One method: a message in, a message out.
struct Method<M, R> {
    shared: Arc<Shared>,
    path: String,
    points: fn(&M) -> usize,
    work: fn(&mut Data, M) -> Result<R, Status>,
    #[cfg(feature = "edge")]
    embedded: fn(&Edge, M) -> Result<R, Status>,
}

impl<M: Send + 'static, R: Send + 'static> UnaryService<M> for Method<M, R> {
    type Response = R;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, Status>> + Send>>;

    fn call(&mut self, request: Request<M>) -> Self::Future {
        let (shared, path, work) = (self.shared.clone(), self.path.clone(), self.work);
        #[cfg(feature = "edge")]
        let embedded = self.embedded;
        let given = request.metadata().get("api-key").and_then(|key| key.to_str().ok()).map(String::from);
        let message = request.into_inner();
        let points = (self.points)(&message);
        Box::pin(async move {
            // As careless as a server can be: it repeats the key.
            if shared.key.is_some() && given != shared.key {
                return Err(Status::unauthenticated(format!(
                    "Invalid API key or JWT: {}",
                    given.unwrap_or_default()
                )));
            }
            let seen = {
                let mut calls = lock(&shared.calls);
                let number = calls.iter().filter(|seen| seen.path == path).count() as u64;
                let seen = Seen { number, path, at: Instant::now(), points };
                calls.push(seen.clone());
                seen
            };
            let act = (lock(&shared.script))(&seen);
            let work = |message| {
                #[cfg(feature = "edge")]
                if let Some(edge) = &shared.edge {
                    return embedded(edge, message).map(Response::new);
                }
                work(&mut lock(&shared.data), message).map(Response::new)
            };
            match act {
                Act::Answer => work(message),
                Act::After(pause) => {
                    tokio::time::sleep(pause).await;
                    work(message)
                }
                Act::Refuse(code, text, wait) => {
                    let mut status = Status::new(code, text);
                    if let Some(wait) = wait.and_then(|wait| wait.parse().ok()) {
                        status.metadata_mut().insert("retry-after", wait);
                    }
                    Err(status)
                }
                Act::Drop => {
                    shared.drop_connections();
                    Err(Status::new(Code::Internal, "nobody will read this"))
                }
                Act::DoAndDrop => {
                    let done = work(message);
                    shared.drop_connections();
                    done
                }
            }
        })
    }
}

/// One line for each method: its path, its messages, who does it, and how many points a call carries.
macro_rules! methods {
    ($($path:literal: $request:ident -> $response:ident = $method:ident, $points:expr;)*) => {
        impl Service<http::Request<Body>> for Api {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = Answer;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<Body>) -> Answer {
                let (shared, path) = (self.shared.clone(), request.uri().path().to_owned());
                match path.as_str() {
                    $($path => Box::pin(async move {
                        let codec = ProstCodec::<proto::$response, proto::$request>::default();
                        let limit = shared.message_bytes;
                        let method: Method<proto::$request, proto::$response> = Method {
                            shared,
                            path,
                            points: $points,
                            work: Data::$method,
                            #[cfg(feature = "edge")]
                            embedded: Edge::$method,
                        };
                        Ok(Grpc::new(codec).max_decoding_message_size(limit).unary(method, request).await)
                    }),)*
                    _ => Box::pin(async move { Ok(Status::unimplemented(path).into_http()) }),
                }
            }
        }
    };
}

methods! {
    "/qdrant.Qdrant/HealthCheck": HealthCheckRequest -> HealthCheckReply = health, |_| 0;
    "/qdrant.Collections/CollectionExists": CollectionExistsRequest -> CollectionExistsResponse = exists, |_| 0;
    "/qdrant.Collections/Get": GetCollectionInfoRequest -> GetCollectionInfoResponse = info, |_| 0;
    "/qdrant.Collections/Create": CreateCollection -> CollectionOperationResponse = create, |_| 0;
    "/qdrant.Collections/Delete": DeleteCollection -> CollectionOperationResponse = delete_collection, |_| 0;
    "/qdrant.Points/CreateFieldIndex": CreateFieldIndexCollection -> PointsOperationResponse = create_index, |_| 0;
    "/qdrant.Points/CreateVectorName": CreateVectorNameRequest -> PointsOperationResponse = create_vector, |_| 0;
    "/qdrant.Points/Get": GetPoints -> GetResponse = get, |m| m.ids.len();
    "/qdrant.Points/Scroll": ScrollPoints -> ScrollResponse = scroll, |_| 0;
    "/qdrant.Points/Count": CountPoints -> CountResponse = count, |_| 0;
    "/qdrant.Points/Query": QueryPoints -> QueryResponse = query, |_| 0;
    "/qdrant.Points/QueryBatch": QueryBatchPoints -> QueryBatchResponse = query_batch, |m| m.query_points.len();
    "/qdrant.Points/Upsert": UpsertPoints -> PointsOperationResponse = upsert, |m| m.points.len();
    "/qdrant.Points/Delete": DeletePoints -> PointsOperationResponse = delete, |_| 0;
}
