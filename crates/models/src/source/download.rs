//! Fetching from the Hub: the list of a commit's files, and one file into the cache. Only the standard two requests, made by hand because
//! the usual crate (`hf-hub`) knows neither `HF_HUB_OFFLINE` nor resuming, and brings twice as many crates, one under a licence that we
//! do not take.
use super::{
    hub::{Hub, Progress, is_plain, is_sha256, make_folder},
    io,
};
use crate::{ModelError, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use ureq::{
    Agent, Body,
    http::{Response, StatusCode, Uri, header},
    tls::{Certificate, RootCerts, TlsConfig},
};

/// Redirections that are followed before a file's bytes come.
const MOST_HOPS: usize = 6;
/// Tries of one file: a broken connection goes on where it stopped.
const TRIES: u32 = 4;
/// A message to the user's progress every so many bytes.
const REPORT_EVERY: u64 = 1 << 20;

/// A commit and the names of its files.
#[derive(Debug)]
pub struct Listing {
    pub commit: String,
    pub files: BTreeSet<String>,
}

/// A connection to the Hub.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    hub: Hub,
}

/// Why a download stopped, and whether to try again.
enum Stop {
    Final(ModelError),
    Again(String),
}

impl From<ModelError> for Stop {
    fn from(error: ModelError) -> Self {
        Self::Final(error)
    }
}

impl Client {
    pub fn new(hub: &Hub) -> Result<Self> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .accept_encoding("identity")
            .user_agent(concat!("cribble/", env!("CARGO_PKG_VERSION")));
        if hub.endpoint.starts_with("https:") {
            // The system's certificates: they include a company's own, and are under no licence of ours.
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                return Err(ModelError::Source(
                    "this machine has no root certificates, so the Hugging Face Hub cannot be trusted: install ca-certificates, or set \
                     SSL_CERT_FILE to a PEM file of them"
                        .into(),
                ));
            }
            let certificates: Vec<_> =
                found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
            let tls = TlsConfig::builder()
                .root_certs(RootCerts::new_with_certs(&certificates))
                .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
            config = config.tls_config(tls.build());
        }
        Ok(Self { agent: config.build().new_agent(), hub: hub.clone() })
    }

    /// The commit that a revision means, and its files.
    pub fn listing(&self, id: &str, revision: &str) -> Result<Listing> {
        #[derive(Deserialize)]
        struct Answer {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let address =
            format!("{}/api/models/{id}/revision/{}", self.hub.endpoint, revision.replace('/', "%2F"));
        let (mut response, _) = self.get(&address, 0)?;
        self.check(&response, id, &format!("revision '{revision}'"))?;
        let answer = response.body_mut().read_to_vec().map_err(|error| self.broken(&address, &error))?;
        let answer: Answer = serde_json::from_slice(&answer).map_err(|error| {
            ModelError::Source(format!("{address} answered with something strange: {error}"))
        })?;
        let files = answer.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        Ok(Listing { commit: answer.sha, files })
    }

    /// Fetches a file into `blobs` of the repository's cache folder and links `link` to it.
    pub fn fetch(&self, id: &str, commit: &str, file: &str, folder: &Path, link: &Path) -> Result<()> {
        let mut tries = 0;
        loop {
            match self.try_fetch(id, commit, file, folder, link) {
                Ok(()) => return Ok(()),
                Err(Stop::Final(error)) => return Err(error),
                Err(Stop::Again(why)) => {
                    tries += 1;
                    if tries == TRIES {
                        return Err(ModelError::Source(format!(
                            "{id}: '{file}' could not be downloaded in {TRIES} tries: {why}; run again to go on where it stopped"
                        )));
                    }
                    std::thread::sleep(Duration::from_millis(250 << tries));
                }
            }
        }
    }

    fn try_fetch(&self, id: &str, commit: &str, file: &str, folder: &Path, link: &Path) -> Result<(), Stop> {
        let name: Vec<String> = file.split('/').map(escaped).collect();
        let address = format!("{}/{id}/resolve/{commit}/{}", self.hub.endpoint, name.join("/"));
        let (response, facts) = self.get(&address, 0).map_err(|error| Stop::Again(error.to_string()))?;
        self.check(&response, id, &format!("file '{file}'"))?;
        let tag = facts.tag.filter(|tag| is_plain(tag)).ok_or_else(|| {
            ModelError::Source(format!(
                "{address} has no ETag, so the cache could not name it; is HF_ENDPOINT right?"
            ))
        })?;
        let blobs = folder.join("blobs");
        make_folder(&blobs)?;
        let blob = blobs.join(&tag);
        // The same lock file as Python's, so that two processes, of whichever kind, never write one blob.
        let locks = self.hub.cache.join(".locks").join(folder.file_name().unwrap_or_default());
        make_folder(&locks)?;
        let lock = open(&locks.join(format!("{tag}.lock")))?;
        lock.lock().map_err(io(&locks))?;
        if !blob.exists() {
            let partial = blobs.join(format!("{tag}.incomplete"));
            self.save(response, &address, file, facts.size, &partial)?;
            verify(&partial, &tag, file)?;
            std::fs::rename(&partial, &blob).map_err(io(&blob))?;
        }
        point(link, &blob, file).map_err(Stop::Final)
    }

    /// Writes a body to `partial`, or goes on with it.
    fn save(
        &self,
        mut response: Response<Body>,
        address: &str,
        file: &str,
        size: Option<u64>,
        partial: &Path,
    ) -> Result<(), Stop> {
        let mut output = open(partial)?;
        let mut done = output.metadata().map_err(io(partial))?.len();
        if done > 0 && size.is_some_and(|size| done < size) {
            let (again, _) = self.get(address, done).map_err(|error| Stop::Again(error.to_string()))?;
            response = again;
        }
        if response.status() != StatusCode::PARTIAL_CONTENT {
            done = 0;
        }
        output.set_len(done).map_err(io(partial))?;
        output.seek(SeekFrom::Start(done)).map_err(io(partial))?;
        let length = response.headers().get(header::CONTENT_LENGTH);
        let length: Option<u64> = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let total = size.or_else(|| Some(length? + done));
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 17];
        let mut told = done;
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Stop::Again(error.to_string())),
            };
            output.write_all(&buffer[..read]).map_err(io(partial))?;
            done += read as u64;
            if let Some(progress) = &self.hub.progress
                && (done - told >= REPORT_EVERY || Some(done) == total)
            {
                told = done;
                progress(Progress { file, done, total });
            }
        }
        output.sync_all().map_err(io(partial))?;
        match total {
            Some(total) if done < total => Err(Stop::Again(format!("it ended at byte {done} of {total}"))),
            Some(total) if done > total => {
                let _ = std::fs::remove_file(partial);
                Err(Stop::Again(format!("{done} bytes came, {total} were announced")))
            }
            _ => Ok(()),
        }
    }

    /// A GET from byte `from` on. Redirections are followed by hand: the token goes to the Hub alone, and what the Hub says of the file
    /// (its hash, its size) stands in the answers that redirect.
    fn get(&self, address: &str, from: u64) -> Result<(Response<Body>, Facts)> {
        let mut address: Uri = address.parse().map_err(|_| {
            ModelError::Source(format!(
                "'{address}' is no address; is HF_ENDPOINT ({}) right?",
                self.hub.endpoint
            ))
        })?;
        let home = address.authority().cloned();
        let mut facts = Facts::default();
        for _ in 0..MOST_HOPS {
            let at_home = address.authority() == home.as_ref();
            let mut request = self.agent.get(&address);
            if let (Some(token), true) = (&self.hub.token, at_home) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            let response = request.call().map_err(|error| self.broken(&address.to_string(), &error))?;
            if at_home {
                facts.learn(&response);
            }
            if !response.status().is_redirection() {
                return Ok((response, facts));
            }
            let next = response.headers().get(header::LOCATION).and_then(|next| next.to_str().ok());
            address = next.and_then(|next| joined(&address, next)).ok_or_else(|| {
                ModelError::Source(format!("{address} redirects to nowhere; is HF_ENDPOINT right?"))
            })?;
        }
        Err(ModelError::Source(format!("{address}: more than {MOST_HOPS} redirections")))
    }

    /// Turns a status that is no success into what the user can do.
    fn check(&self, response: &Response<Body>, id: &str, what: &str) -> Result<(), Stop> {
        let status = response.status();
        let say = |text: String| Stop::Final(ModelError::Source(text));
        Err(match status.as_u16() {
            200..=299 => return Ok(()),
            401 | 403 => say(format!(
                "{id}: the Hub refuses ({status}): there is no such model, or it is private or gated; accept its licence at \
                 {}/{id} and set HF_TOKEN",
                self.hub.endpoint
            )),
            404 => say(format!("{id}: the Hub at {} has no such model or no {what}", self.hub.endpoint)),
            408 | 429 | 500..=599 => Stop::Again(format!("{} answered {status}", self.hub.endpoint)),
            _ => say(format!("{id}: {} answered {status} for {what}", self.hub.endpoint)),
        })
    }

    fn broken(&self, address: &str, error: &ureq::Error) -> ModelError {
        let text = error.to_string();
        let cure = match text.contains("certificate") {
            true => "; behind a proxy that opens connections, set SSL_CERT_FILE to its certificate",
            false => "",
        };
        ModelError::Source(format!("cannot reach {address}: {text}{cure}"))
    }
}

impl From<Stop> for ModelError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Final(error) => error,
            Stop::Again(why) => Self::Source(format!("{why}; try again later")),
        }
    }
}

/// What the Hub says of a file.
#[derive(Default)]
struct Facts {
    /// The name of its blob: SHA-256 of large files, git's hash of small ones.
    tag: Option<String>,
    size: Option<u64>,
    linked: bool,
}

impl Facts {
    fn learn(&mut self, response: &Response<Body>) {
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let bare = |tag: &str| tag.trim_start_matches("W/").trim_matches('"').to_string();
        if let Some(tag) = text("x-linked-etag") {
            self.tag = Some(bare(tag));
            self.size = text("x-linked-size").and_then(|size| size.parse().ok());
            self.linked = true;
        } else if let (Some(tag), false) = (text("etag"), self.linked) {
            self.tag = Some(bare(tag));
        }
    }
}

/// The address that a `Location` means: whole, or of the same server.
fn joined(from: &Uri, next: &str) -> Option<Uri> {
    if !next.starts_with('/') || next.starts_with("//") {
        return next.parse().ok().filter(|next: &Uri| matches!(next.scheme_str(), Some("http" | "https")));
    }
    Uri::builder()
        .scheme(from.scheme()?.clone())
        .authority(from.authority()?.clone())
        .path_and_query(next)
        .build()
        .ok()
}

/// A part of a path as an address writes it.
fn escaped(part: &str) -> String {
    part.bytes().fold(String::new(), |mut text, byte| {
        match byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            true => text.push(byte.into()),
            false => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

fn open(path: &Path) -> Result<File> {
    File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(io(path))
}

/// Large files are named by their SHA-256: what does not have it is thrown away.
fn verify(partial: &Path, tag: &str, file: &str) -> Result<(), Stop> {
    if !is_sha256(tag) {
        return Ok(());
    }
    let mut hasher = Sha256::new();
    std::io::copy(&mut open(partial)?, &mut hasher).map_err(io(partial))?;
    let found = format!("{:x}", hasher.finalize());
    if found == tag {
        return Ok(());
    }
    let _ = std::fs::remove_file(partial);
    Err(Stop::Again(format!("'{file}' arrived damaged: SHA-256 {found}, expected {tag}")))
}

/// Links a snapshot's file to its blob by a relative path, as `huggingface_hub` does; on a file system without links the blob moves there.
fn point(link: &Path, blob: &Path, file: &str) -> Result<()> {
    let parent = link.parent().unwrap_or(link);
    make_folder(parent)?;
    // From `snapshots/COMMIT/` up two, and one more for each folder in the file's name.
    let mut target: PathBuf = std::iter::repeat_n("..", 2 + file.matches('/').count()).collect();
    target.push("blobs");
    target.push(blob.file_name().unwrap_or_default());
    let mut temporary = link.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    // Left by a process that was killed, if at all: the caller holds the lock.
    let _ = std::fs::remove_file(&temporary);
    let made =
        std::os::unix::fs::symlink(&target, &temporary).and_then(|()| std::fs::rename(&temporary, link));
    made.or_else(|_| std::fs::rename(blob, link)).map_err(io(link))
}
