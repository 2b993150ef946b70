//! A chat server for tests: HTTP/1.1 on a port of this machine, one thread a connection, that answers or fails as a script says, and
//! counts. Not part of the API; other crates' tests may use it.
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// What the server does with a call.
#[derive(Debug, Clone)]
pub enum Act {
    /// Answers with a completion of this text, and a count of tokens: bytes by four.
    Say(String),
    /// The same after a while.
    SayAfter(Duration, String),
    /// Answers with a status, more header lines, and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Never answers, until the server stops.
    Hang,
    /// Announces a whole answer, sends half of its bytes, and closes.
    Half,
    /// Announces more bytes than it has: what comes is valid JSON, yet not all.
    Short(String),
    /// Closes without a byte.
    Close,
}

impl Act {
    /// Status 200 with this body: broken JSON, a wrong schema, empty choices.
    pub fn body(body: impl Into<String>) -> Self {
        Self::Status(200, Vec::new(), body.into())
    }
}

/// A call as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its number, from 0.
    pub number: u64,
    /// Its path.
    pub path: String,
    /// Its header `Authorization`.
    pub authorization: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The text of the last message: its content, or its first text part.
    pub fn text(&self) -> String {
        let body = self.json();
        let content =
            body["messages"].as_array().and_then(|messages| messages.last()).map(|last| &last["content"]);
        let text = content.and_then(|content| content.as_str().or_else(|| content[0]["text"].as_str()));
        text.unwrap_or_default().to_string()
    }
}

type Script = Arc<dyn Fn(&Seen) -> Act + Send + Sync>;

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    calls: AtomicU64,
    now: AtomicU64,
    peak: AtomicU64,
    connections: AtomicU64,
    open: Mutex<HashMap<u64, TcpStream>>,
}

/// The server; it stops when dropped.
pub struct FakeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl FakeServer {
    /// Starts on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> std::io::Result<Self> {
        Self::start_at("127.0.0.1:0".parse().map_err(std::io::Error::other)?, script)
    }

    /// Starts on the port of a server that was stopped.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start_at(
        address: SocketAddr,
        script: impl Fn(&Seen) -> Act + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let script: Script = Arc::new(script);
        let own = shared.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = own.connections.fetch_add(1, Ordering::SeqCst);
                if let Ok(copy) = stream.try_clone() {
                    own.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, copy);
                }
                let (shared, script) = (own.clone(), script.clone());
                std::thread::spawn(move || {
                    // A connection that breaks is the client's affair.
                    let _ = serve(&stream, &shared, &script);
                    let _ = stream.shutdown(Shutdown::Both);
                    shared.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
                });
            }
        });
        Ok(Self { address, shared, listener: Some(thread) })
    }

    /// What stands before `/chat/completions`.
    pub fn base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The port, for [`FakeServer::start_at`].
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls that came whole.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// The most calls that were being answered at once.
    pub fn peak(&self) -> u64 {
        self.shared.peak.load(Ordering::SeqCst)
    }

    /// Connections that were made.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Stops: open connections break, new ones are refused.
    pub fn stop(&mut self) {
        let Some(thread) = self.listener.take() else { return };
        self.shared.stopped.store(true, Ordering::SeqCst);
        // One more connection, so that the listener looks at its flag.
        let _ = TcpStream::connect(self.address);
        let _ = thread.join();
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(stream: &TcpStream, shared: &Shared, script: &Script) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(mut seen) = read_call(&mut reader)? {
        seen.number = shared.calls.fetch_add(1, Ordering::SeqCst);
        let now = shared.now.fetch_add(1, Ordering::SeqCst) + 1;
        shared.peak.fetch_max(now, Ordering::SeqCst);
        let goes_on = act(stream, shared, script(&seen));
        shared.now.fetch_sub(1, Ordering::SeqCst);
        if !goes_on? {
            break;
        }
    }
    Ok(())
}

fn read_call(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Seen>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_string();
    let (mut length, mut authorization) = (0, None);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => authorization = Some(value.trim().to_string()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Seen { number: 0, path, authorization, body }))
}

/// Does what the script says; whether the connection goes on.
fn act(mut stream: &TcpStream, shared: &Shared, act: Act) -> std::io::Result<bool> {
    match act {
        Act::Say(text) => stream.write_all(&response(200, &[], &completion(&text)))?,
        Act::SayAfter(wait, text) => {
            std::thread::sleep(wait);
            stream.write_all(&response(200, &[], &completion(&text)))?;
        }
        Act::Status(status, headers, body) => stream.write_all(&response(status, &headers, &body))?,
        Act::Hang => {
            while !shared.stopped.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
            return Ok(false);
        }
        Act::Half => {
            let whole = response(200, &[], &completion("a text that does not arrive"));
            stream.write_all(&whole[..whole.len() - 40])?;
            return Ok(false);
        }
        Act::Short(text) => {
            let blanks = " ".repeat(100);
            let whole = response(200, &[], &(completion(&text) + &blanks));
            stream.write_all(&whole[..whole.len() - blanks.len()])?;
            return Ok(false);
        }
        Act::Close => return Ok(false),
    }
    Ok(true)
}

fn response(status: u16, headers: &[(&'static str, String)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The JSON of an answer with this text.
pub fn completion(text: &str) -> String {
    let choice =
        json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 10, "completion_tokens": text.len().div_ceil(4)});
    json!({"id": "scripted", "object": "chat.completion", "choices": [choice], "usage": usage}).to_string()
}
