//! The connection to a server: one channel, every call with the key, in the pace that the server allows, again where that may help. Whatever is
//! asynchronous ends here: a runtime of one thread lives inside [`Server`], and its methods block. With the feature `edge` a folder of this machine
//! can stand where the server would: its calls go to Qdrant's embedded library.
//!
//! The calls are the stubs that the official client is generated with, not its `Qdrant` type, which repeats a call at once when the server is
//! unavailable (whatever time it asked for), prints to standard output, and repeats a malformed key in an error.
use std::{path::Path, pin::pin, sync::Arc, time::Duration};

use cribble_core::{Cancel, Error, Result};
use qdrant_client::qdrant::{
    CollectionExistsRequest, CollectionExistsResponse, CollectionOperationResponse, CountPoints,
    CountResponse, CreateCollection, CreateFieldIndexCollection, CreateVectorNameRequest, DeleteCollection,
    DeletePoints, GetCollectionInfoRequest, GetCollectionInfoResponse, GetPoints, GetResponse,
    HealthCheckReply, HealthCheckRequest, PointsOperationResponse, QueryBatchPoints, QueryBatchResponse,
    QueryPoints, QueryResponse, ScrollPoints, ScrollResponse, UpsertPoints,
    collections_client::CollectionsClient, points_client::PointsClient, qdrant_client::QdrantClient,
};
use tokio::{runtime::Runtime, time};
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, ClientTlsConfig, Endpoint},
};

#[cfg(feature = "edge")]
use crate::edge::Edge;
use crate::{
    ApiKey,
    fault::{Fault, backoff},
    pace::Pace,
};

/// How often a stop that the user asked for is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// What a person can do who reaches no server.
const NO_SERVER: &str = "start one (docker run -p 6333:6333 -p 6334:6334 qdrant/qdrant) or give its address with --url; 6334 is the port for gRPC, \
                         6333 the one of the dashboard; without --url, `query` and `pull` work on the run itself";
/// What an address begins with that is a folder for the embedded library.
const EMBEDDED: &str = "edge:";

/// Where a server is and how to treat it.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Its address for gRPC: `http://localhost:6334`; or `edge:FOLDER`, which is no server but a folder that the embedded library keeps.
    pub url: String,
    /// Its key, where it has one.
    pub key: Option<ApiKey>,
    /// The longest wait for an answer.
    pub timeout: Duration,
    /// How often a call is repeated after a fault that may pass.
    pub retries: u32,
    /// Calls in the air, at most.
    pub in_flight: u32,
}

impl ServerOptions {
    /// An address, 60 s, 8 repetitions (about a minute of waits), 4 calls at once, no key.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), key: None, timeout: Duration::from_secs(60), retries: 8, in_flight: 4 }
    }
}

/// A server that has answered.
pub struct Server {
    runtime: Runtime,
    pub(crate) client: Arc<Client>,
    version: String,
    in_flight: u32,
    cancel: &'static Cancel,
}

impl Server {
    /// Connects and asks the server who it is.
    ///
    /// # Errors
    /// The address is none; nobody answers there, or somebody who is no Qdrant; the key is refused; this build has no embedded library.
    pub fn connect(options: &ServerOptions, cancel: &'static Cancel) -> Result<Self> {
        if let Some(folder) = options.url.strip_prefix(EMBEDDED) {
            return Self::embedded(Path::new(folder), options, cancel);
        }
        let url = match options.url.contains("://") {
            true => options.url.clone(),
            false => format!("http://{}", options.url),
        };
        let runtime = runtime()?;
        let endpoint = endpoint(&url, options)?;
        let client = wait(&runtime, cancel, async {
            let channel = endpoint.connect().await.map_err(|error| {
                Error::input(format!("no Qdrant server answers at {url}: {}", root(&error)))
                    .with_hint(NO_SERVER)
            })?;
            let key = options.key.as_ref().map(|key| Ok::<_, Error>((key.clone(), key.header()?)));
            let client = Client {
                transport: Transport::Network(channel),
                url: url.clone(),
                key: key.transpose()?,
                retries: options.retries,
                pace: Pace::new(options.in_flight),
            };
            Ok(Arc::new(client))
        })?;
        let hello = wait(&runtime, cancel, async { Ok(client.health(HealthCheckRequest {}).await) })?;
        let version = match hello {
            Ok(reply) => reply.version,
            Err(fault) if fault.is_lost() => {
                let what = &fault.what;
                return Err(Error::input(format!("what answers at {url} is no Qdrant server: {what}"))
                    .with_hint(NO_SERVER));
            }
            Err(fault) => return Err(fault.error("saying hello", &url)),
        };
        Ok(Self { runtime, client, version, in_flight: options.in_flight.max(1), cancel })
    }

    #[cfg(feature = "edge")]
    fn embedded(folder: &Path, options: &ServerOptions, cancel: &'static Cancel) -> Result<Self> {
        let client = Client {
            transport: Transport::Embedded(Arc::new(Edge::new(folder))),
            url: options.url.clone(),
            key: None,
            retries: 0,
            pace: Pace::new(options.in_flight),
        };
        let in_flight = options.in_flight.max(1);
        Ok(Self {
            runtime: runtime()?,
            client: Arc::new(client),
            version: "embedded".into(),
            in_flight,
            cancel,
        })
    }

    #[cfg(not(feature = "edge"))]
    fn embedded(folder: &Path, _: &ServerOptions, _: &'static Cancel) -> Result<Self> {
        Err(Error::usage(format!(
            "--url {EMBEDDED}{}: this program was built without Qdrant's embedded library",
            folder.display()
        ))
        .with_hint(
            "build it with `cargo build --release --features qdrant-edge`, or give the address of a server",
        ))
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.client.url
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Calls in the air, at most.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Waits for work, or for the user's wish to stop. Every call is whole or not at all for the server, so work may be dropped anywhere.
    pub(crate) fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        wait(&self.runtime, self.cancel, work)
    }
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Error::input(format!("cannot wait for a network: {error}"))
            .with_hint("the limit of open files may be reached (ulimit -n)")
    })
}

fn wait<T>(runtime: &Runtime, cancel: &Cancel, work: impl Future<Output = Result<T>>) -> Result<T> {
    runtime.block_on(async {
        let mut work = pin!(work);
        loop {
            match time::timeout(LOOK, &mut work).await {
                Ok(done) => return done,
                Err(_) => cancel.check()?,
            }
        }
    })
}

fn endpoint(url: &str, options: &ServerOptions) -> Result<Endpoint> {
    let bad = |what: String| {
        Error::usage(format!("--url {url}: {what}")).with_hint("an address looks like http://localhost:6334")
    };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| bad(root(&error)))?;
    let scheme = endpoint.uri().scheme_str().unwrap_or_default().to_owned();
    let endpoint = endpoint.timeout(options.timeout).connect_timeout(options.timeout.min(LONGEST_CONNECT));
    match scheme.as_str() {
        "http" => Ok(endpoint),
        "https" => endpoint
            .tls_config(ClientTlsConfig::new().with_native_roots())
            .map_err(|error| bad(format!("no encrypted connection can be made: {}", root(&error)))),
        other => Err(bad(format!("'{other}' is neither http nor https"))),
    }
}

const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// What an error is at its bottom: the layers above only say that there is one.
fn root(error: &dyn std::error::Error) -> String {
    let mut bottom = error;
    while let Some(source) = bottom.source() {
        bottom = source;
    }
    bottom.to_string()
}

/// Where calls go.
#[derive(Debug)]
enum Transport {
    Network(Channel),
    #[cfg(feature = "edge")]
    Embedded(Arc<Edge>),
}

/// The calls.
#[derive(Debug)]
pub(crate) struct Client {
    transport: Transport,
    pub url: String,
    key: Option<(ApiKey, MetadataValue<Ascii>)>,
    retries: u32,
    pub pace: Pace,
}

/// One method for each call: its name here, the client that has it, its name there, what goes and what comes.
macro_rules! calls {
    ($($name:ident: $client:ident.$method:ident($request:ty) -> $response:ty;)*) => {
        impl Client {
            $(pub async fn $name(&self, message: $request) -> Result<$response, Fault> {
                match &self.transport {
                    Transport::Network(channel) => {
                        self.call(channel, message, |channel, request| async move {
                            $client::new(channel).max_decoding_message_size(usize::MAX).$method(request).await
                        })
                        .await
                    }
                    #[cfg(feature = "edge")]
                    Transport::Embedded(edge) => here(edge, move |edge| edge.$name(message)).await,
                }
            })*
        }
    };
}

calls! {
    health: QdrantClient.health_check(HealthCheckRequest) -> HealthCheckReply;
    exists: CollectionsClient.collection_exists(CollectionExistsRequest) -> CollectionExistsResponse;
    info: CollectionsClient.get(GetCollectionInfoRequest) -> GetCollectionInfoResponse;
    create: CollectionsClient.create(CreateCollection) -> CollectionOperationResponse;
    delete_collection: CollectionsClient.delete(DeleteCollection) -> CollectionOperationResponse;
    create_index: PointsClient.create_field_index(CreateFieldIndexCollection) -> PointsOperationResponse;
    create_vector: PointsClient.create_vector_name(CreateVectorNameRequest) -> PointsOperationResponse;
    get: PointsClient.get(GetPoints) -> GetResponse;
    scroll: PointsClient.scroll(ScrollPoints) -> ScrollResponse;
    count: PointsClient.count(CountPoints) -> CountResponse;
    query: PointsClient.query(QueryPoints) -> QueryResponse;
    query_batch: PointsClient.query_batch(QueryBatchPoints) -> QueryBatchResponse;
    upsert: PointsClient.upsert(UpsertPoints) -> PointsOperationResponse;
    delete: PointsClient.delete(DeletePoints) -> PointsOperationResponse;
}

/// A call of the embedded library, on a thread where it may take its time.
#[cfg(feature = "edge")]
async fn here<R: Send + 'static>(
    edge: &Arc<Edge>,
    call: impl FnOnce(&Edge) -> Result<R, Status> + Send + 'static,
) -> Result<R, Fault> {
    let edge = edge.clone();
    let done = tokio::task::spawn_blocking(move || call(&edge)).await;
    let answer = done.unwrap_or_else(|error| Err(Status::internal(format!("the embedded library: {error}"))));
    answer.map_err(|status| Fault::of(&status, str::to_owned))
}

impl Client {
    /// Leaves a collection as it is best found: a server sees to that by itself, the embedded library is asked to write everything to disk and to
    /// build its indexes.
    pub async fn settle(
        &self,
        #[cfg_attr(not(feature = "edge"), expect(unused_variables, reason = "a server settles by itself"))]
        collection: &str,
    ) -> Result<()> {
        match &self.transport {
            Transport::Network(_) => Ok(()),
            #[cfg(feature = "edge")]
            Transport::Embedded(edge) => {
                let name = collection.to_owned();
                let settled = here(edge, move |edge| edge.settle(&name)).await;
                settled.map_err(|fault| self.error(&format!("indexing '{collection}'"), &fault))
            }
        }
    }

    /// A call, repeated while its fault may pass. All calls that we make may be repeated: the same one twice leaves what one leaves.
    async fn call<M: Clone, R, F>(
        &self,
        channel: &Channel,
        message: M,
        send: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<R, Fault>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let mut retry = 0;
        loop {
            let pass = self.pace.enter().await;
            let mut request = Request::new(message.clone());
            if let Some((_, header)) = &self.key {
                request.metadata_mut().insert("api-key", header.clone());
            }
            let answer = send(channel.clone(), request).await;
            drop(pass);
            let fault = match answer {
                Ok(response) => {
                    self.pace.answered();
                    return Ok(response.into_inner());
                }
                Err(status) => Fault::of(&status, |text| self.hide(text)),
            };
            if !fault.passes || retry == self.retries {
                return Err(fault);
            }
            let pause = backoff(retry, fault.wait);
            if matches!(fault.code, Code::Unavailable | Code::ResourceExhausted) {
                self.pace.push_back(pause, !fault.broken);
            } else {
                time::sleep(pause).await;
            }
            retry += 1;
        }
    }

    fn hide(&self, text: &str) -> String {
        match &self.key {
            Some((key, _)) => key.hide(text).into_owned(),
            None => text.to_owned(),
        }
    }

    /// A fault as a person should read it.
    pub fn error(&self, doing: &str, fault: &Fault) -> Error {
        fault.error(doing, &self.url)
    }
}
