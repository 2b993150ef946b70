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
}

impl<M: Send + 'static, R: Send + 'static> UnaryService<M> for Method<M, R> {
    type Response = R;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, Status>> + Send>>;

    fn call(&mut self, request: Request<M>) -> Self::Future {
        let (shared, path, work) = (self.shared.clone(), self.path.clone(), self.work);
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
            let work = |message| work(&mut lock(&shared.data), message).map(Response::new);
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

/// One line for each method: its path, its messages, what the data does, and how many points a call carries.
macro_rules! methods {
    ($($path:literal: $request:ident -> $response:ident = $work:expr, $points:expr;)*) => {
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
                        let method: Method<proto::$request, proto::$response> =
                            Method { shared, path, points: $points, work: $work };
                        Ok(Grpc::new(codec).max_decoding_message_size(limit).unary(method, request).await)
                    }),)*
                    _ => Box::pin(async move { Ok(Status::unimplemented(path).into_http()) }),
                }
            }
        }
    };
}

methods! {
    "/qdrant.Qdrant/HealthCheck": HealthCheckRequest -> HealthCheckReply = |_, _| Ok(proto::HealthCheckReply {
        title: "a test".into(), version: "1.20.0-test".into(), commit: None,
    }), |_| 0;
    "/qdrant.Collections/CollectionExists": CollectionExistsRequest -> CollectionExistsResponse = Data::exists, |_| 0;
    "/qdrant.Collections/Get": GetCollectionInfoRequest -> GetCollectionInfoResponse = Data::info, |_| 0;
    "/qdrant.Collections/Create": CreateCollection -> CollectionOperationResponse = Data::create, |_| 0;
    "/qdrant.Collections/Delete": DeleteCollection -> CollectionOperationResponse = Data::remove, |_| 0;
    "/qdrant.Points/CreateFieldIndex": CreateFieldIndexCollection -> PointsOperationResponse = Data::index, |_| 0;
    "/qdrant.Points/CreateVectorName": CreateVectorNameRequest -> PointsOperationResponse = Data::add_vector, |_| 0;
    "/qdrant.Points/Get": GetPoints -> GetResponse = Data::get, |m| m.ids.len();
    "/qdrant.Points/Scroll": ScrollPoints -> ScrollResponse = Data::scroll, |_| 0;
    "/qdrant.Points/Count": CountPoints -> CountResponse = Data::count, |_| 0;
    "/qdrant.Points/Query": QueryPoints -> QueryResponse = Data::query, |_| 0;
    "/qdrant.Points/QueryBatch": QueryBatchPoints -> QueryBatchResponse = Data::query_batch, |m| m.query_points.len();
    "/qdrant.Points/Upsert": UpsertPoints -> PointsOperationResponse = Data::upsert, |m| m.points.len();
    "/qdrant.Points/Delete": DeletePoints -> PointsOperationResponse = Data::delete, |_| 0;
}
