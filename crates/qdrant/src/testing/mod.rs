//! A server for tests that speaks the official protocol: the messages of `qdrant-client` over gRPC on a port of this machine, points in
//! memory (or, with the feature `edge`, kept by Qdrant's own embedded library), and faults as a script says. Not part of the API; other crates'
//! tests may use it.
//!
//! It does what Qdrant's documentation says, as far as Cribble asks: a point is replaced as a whole, cosine vectors are stored with unit
//! length, lists are in the order of ids, conditions on fields that a point has not are false.
mod api;
mod conditions;
mod data;

use std::{
    net::{Shutdown, SocketAddr},
    os::fd::AsFd,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, sync::oneshot};
use tonic::{codegen::tokio_stream::Stream, transport::Server};

pub use data::{Collection, Data, Id, Point};

/// What the server does with a call.
#[derive(Debug, Clone)]
pub enum Act {
    /// Does it and answers.
    Answer,
    /// The same after a while.
    After(Duration),
    /// Refuses with a status, and with how long to wait.
    Refuse(tonic::Code, &'static str, Option<&'static str>),
    /// Closes all connections without doing it.
    Drop,
    /// Does it and closes all connections, so that nobody learns of it.
    DoAndDrop,
}

/// A call as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its number among the calls of its path, from 0.
    pub number: u64,
    /// Such as `/qdrant.Points/Upsert`.
    pub path: String,
    /// When it came.
    pub at: Instant,
    /// Points that it carries.
    pub points: usize,
}

type Script = Box<dyn Fn(&Seen) -> Act + Send + Sync>;

/// What the threads share.
struct Shared {
    data: Mutex<Data>,
    /// Who has the points instead.
    #[cfg(feature = "edge")]
    edge: Option<crate::edge::Edge>,
    calls: Mutex<Vec<Seen>>,
    script: Mutex<Script>,
    connections: Mutex<Vec<std::net::TcpStream>>,
    /// The key that calls must carry.
    key: Option<String>,
    /// Bytes of a message, at most.
    message_bytes: usize,
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn drop_connections(&self) {
        for connection in lock(&self.connections).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// The server; it stops when dropped.
pub struct FakeQdrant {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct FakeOptions {
    /// The key that calls must carry.
    pub key: Option<String>,
    /// Bytes of a message, at most; 0: no limit.
    pub message_bytes: usize,
    /// Whether named vectors can be added to a collection (Qdrant 1.18).
    pub adds_vectors: bool,
    /// A folder in which Qdrant's embedded library keeps the points instead.
    #[cfg(feature = "edge")]
    pub embedded: Option<std::path::PathBuf>,
}

impl FakeQdrant {
    /// Starts on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(options: FakeOptions) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let message_bytes = if options.message_bytes == 0 { usize::MAX } else { options.message_bytes };
        let shared = Arc::new(Shared {
            #[cfg(feature = "edge")]
            edge: options.embedded.as_deref().map(crate::edge::Edge::new),
            data: Mutex::new(Data { adds_vectors: options.adds_vectors, ..Data::default() }),
            calls: Mutex::default(),
            script: Mutex::new(Box::new(|_| Act::Answer)),
            connections: Mutex::default(),
            key: options.key,
            message_bytes,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let own = shared.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let incoming = Incoming { listener, shared: own.clone() };
                let serving = Server::builder().serve_with_incoming_shutdown(
                    api::Api { shared: own.clone() },
                    incoming,
                    async {
                        let _ = stopped.await;
                        own.drop_connections();
                    },
                );
                let _ = serving.await;
            });
        });
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on calls are treated as `script` says.
    pub fn script(&self, script: impl Fn(&Seen) -> Act + Send + Sync + 'static) {
        *lock(&self.shared.script) = Box::new(script);
    }

    /// From now on all calls are answered, and none is remembered.
    pub fn calm(&self) {
        self.script(|_| Act::Answer);
        lock(&self.shared.calls).clear();
    }

    /// What it holds.
    pub fn data<T>(&self, look: impl FnOnce(&mut Data) -> T) -> T {
        look(&mut lock(&self.shared.data))
    }

    /// The calls of a path so far.
    pub fn calls(&self, path: &str) -> Vec<Seen> {
        lock(&self.shared.calls).iter().filter(|seen| seen.path == path).cloned().collect()
    }
}

impl Drop for FakeQdrant {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Connections as they come; each can be cut later.
struct Incoming {
    listener: tokio::net::TcpListener,
    shared: Arc<Shared>,
}

impl Stream for Incoming {
    type Item = std::io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let stream = ready!(self.listener.poll_accept(context)).map(|(stream, _)| stream);
        if let Ok(stream) = &stream
            && let Ok(copy) = stream.as_fd().try_clone_to_owned()
        {
            lock(&self.shared.connections).push(copy.into());
        }
        Poll::Ready(Some(stream))
    }
}
