//! The cache of the Hugging Face Hub, laid out as `huggingface_hub` does, so that a checkpoint that Python has fetched is here and the
//! other way round: `models--OWNER--NAME/refs/REVISION` holds a commit, `snapshots/COMMIT/FILE` links to `blobs/ETAG`, and
//! `.no_exist/COMMIT/FILE` remembers that a file is not there.
//!
//! A revision that is cached is used as it is: the Hub is not asked for a newer one, so that a run that is resumed next week
//! has the model that it began with. Files that the cached commit lacks are fetched for that commit.
use super::{
    download::{Client, Listing},
    io,
};
use crate::{ModelError, Result};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// How far a download is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The file's name in the repository.
    pub file: &'a str,
    /// Bytes that are here.
    pub done: u64,
    /// Bytes of the file, where the server says.
    pub total: Option<u64>,
}

/// What is done with [`Progress`].
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// How the Hub and its cache are reached.
#[derive(Clone)]
pub struct Hub {
    /// The folder of the cache.
    pub cache: PathBuf,
    /// The server, without a slash at the end.
    pub endpoint: String,
    /// The access token, sent to that server alone.
    pub token: Option<String>,
    /// Never ask the network.
    pub offline: bool,
    /// Told about every MiB of a download.
    pub progress: Option<OnProgress>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        // The token stays out of logs.
        f.debug_struct("Hub")
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// The settings of the environment, with the names and defaults of `huggingface_hub`: `HF_HUB_CACHE` (else `HF_HOME/hub`, else
    /// `~/.cache/huggingface/hub`), `HF_ENDPOINT`, `HF_TOKEN` (else the file `HF_TOKEN_PATH`, else `HF_HOME/token`), `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// [`ModelError::Source`] where neither these nor `HOME` say where the cache is.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// [`Hub::from_env`] with any function from names to values.
    pub(super) fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = variable("HOME").map(PathBuf::from);
        let folder = |name: &str| {
            let value = variable(name)?;
            Some(match (value.strip_prefix("~/"), &home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => value.into(),
            })
        };
        let root = folder("HF_HOME")
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("huggingface")))
            .or_else(|| Some(home.as_ref()?.join(".cache/huggingface")));
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(root.as_ref()?.join("hub")))
            .ok_or_else(|| {
                ModelError::Source("no place for the Hugging Face cache: set HF_HOME or HF_HUB_CACHE".into())
            })?;
        let token = variable("HF_TOKEN").or_else(|| variable("HUGGING_FACE_HUB_TOKEN")).or_else(|| {
            let file = folder("HF_TOKEN_PATH").or_else(|| Some(root.as_ref()?.join("token")))?;
            std::fs::read_to_string(file).ok()
        });
        let offline = variable("HF_HUB_OFFLINE").or_else(|| variable("TRANSFORMERS_OFFLINE"));
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        Ok(Self {
            cache,
            endpoint: endpoint.trim_end_matches('/').into(),
            token: token.map(|token| token.trim().to_string()).filter(|token| !token.is_empty()),
            offline: offline
                .is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())),
            progress: None,
        })
    }
}

/// One commit of one repository.
#[derive(Debug)]
pub struct Repo {
    id: String,
    commit: String,
    /// `models--OWNER--NAME` in the cache.
    folder: PathBuf,
    hub: Hub,
    client: OnceLock<Client>,
    listing: OnceLock<Listing>,
}

impl Repo {
    /// Finds the commit of `owner/name[@revision]`: in the cache, else by asking the Hub.
    pub fn open(name: &str, hub: &Hub) -> Result<Self> {
        let (id, revision) = parse(name)?;
        let folder = hub.cache.join(format!("models--{}", id.replace('/', "--")));
        let mut repo = Self {
            id: id.into(),
            commit: String::new(),
            folder,
            hub: hub.clone(),
            client: OnceLock::new(),
            listing: OnceLock::new(),
        };
        if let Some(commit) = repo.cached(revision) {
            repo.commit = commit;
            return Ok(repo);
        }
        if hub.offline {
            return Err(ModelError::Source(format!(
                "'{name}' is neither a folder nor in the cache {} (no {}), and HF_HUB_OFFLINE or --offline forbids to download it; fetch it \
                 where there is a network: huggingface-cli download {id}{}, with HF_HOME or HF_HUB_CACHE set to a folder that this \
                 machine sees",
                hub.cache.display(),
                repo.folder.join("refs").join(revision).display(),
                if revision == "main" { String::new() } else { format!(" --revision {revision}") },
            )));
        }
        let listing = repo.client()?.listing(&repo.id, revision)?;
        if !is_plain(&listing.commit) {
            return Err(ModelError::Source(format!("{}: the Hub answered with a strange commit", repo.id)));
        }
        repo.commit.clone_from(&listing.commit);
        if revision != repo.commit {
            write_atomically(&repo.folder.join("refs").join(revision), repo.commit.as_bytes())?;
        }
        make_folder(&repo.snapshot())?;
        let _ = repo.listing.set(listing);
        Ok(repo)
    }

    /// The commit of a revision in the cache, where its snapshot is there too.
    fn cached(&self, revision: &str) -> Option<String> {
        let known = |commit: &str| is_plain(commit) && self.folder.join("snapshots").join(commit).is_dir();
        let written = std::fs::read_to_string(self.folder.join("refs").join(revision)).ok();
        let commit = written.map_or_else(|| revision.to_string(), |commit| commit.trim().to_string());
        known(&commit).then_some(commit)
    }

    pub fn commit(&self) -> &str {
        &self.commit
    }

    pub fn describe(&self) -> String {
        let short = self.commit.get(..8).unwrap_or(&self.commit);
        format!("{} (commit {short}, in {})", self.id, self.folder.display())
    }

    /// The folder of the commit's files.
    pub fn snapshot(&self) -> PathBuf {
        self.folder.join("snapshots").join(&self.commit)
    }

    fn absent(&self, file: &str) -> PathBuf {
        self.folder.join(".no_exist").join(&self.commit).join(file)
    }

    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(&self.hub)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Whether the commit has a file; asks the Hub for the list where the cache does not know and the network is allowed.
    pub fn has(&self, file: &str) -> Result<bool> {
        if self.snapshot().join(file).exists() {
            return Ok(true);
        }
        if self.hub.offline || self.absent(file).exists() {
            return Ok(false);
        }
        let listing = match self.listing.get() {
            Some(listing) => listing,
            None => {
                let listing = self.client()?.listing(&self.id, &self.commit).map_err(|error| {
                    ModelError::Source(format!(
                        "whether {} has '{file}', which the cache {} lacks, is not known: {error}; HF_HUB_OFFLINE=1 goes on with what the \
                         cache has",
                        self.id,
                        self.hub.cache.display()
                    ))
                })?;
                self.listing.get_or_init(|| listing)
            }
        };
        let has = listing.files.contains(file);
        if !has {
            // Only a note for the next time: a cache that cannot be written is no reason to stop.
            let _ = write_atomically(&self.absent(file), b"");
        }
        Ok(has)
    }

    /// The path of a file in the cache, fetched where it must be; `None` where the commit has none (offline: where the cache has none).
    pub fn locate(&self, file: &str) -> Result<Option<PathBuf>> {
        let path = self.snapshot().join(file);
        if path.exists() {
            return Ok(Some(path));
        }
        if !self.has(file)? {
            return Ok(None);
        }
        self.client()?.fetch(&self.id, &self.commit, file, &self.folder, &path)?;
        Ok(Some(path))
    }
}

/// `owner/name` and the revision (`main` unless said).
fn parse(name: &str) -> Result<(&str, &str)> {
    let wrong = || {
        ModelError::Source(format!(
            "there is no folder '{name}', and it is no name on the Hugging Face Hub either (owner/name or owner/name@revision)"
        ))
    };
    let text = name.strip_prefix("hf-hub:").unwrap_or(name);
    let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
    let (owner, repository) = id.split_once('/').ok_or_else(wrong)?;
    let revision_is_plain = !revision.is_empty() && revision.split('/').all(is_plain);
    let plain = is_plain(owner) && is_plain(repository) && !id.contains("--") && revision_is_plain;
    if plain { Ok((id, revision)) } else { Err(wrong()) }
}

/// Whether a text is safe as one part of a path and of an address: letters, digits, `-`, `_`, `.`, not beginning with a dot.
pub fn is_plain(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 128 && !text.starts_with('.') && text.chars().all(allowed)
}

/// The SHA-256 that names a blob of the cache, where it does (small files are named by git's hash).
pub fn sha256_name(target: &Path) -> Option<&str> {
    let name = target.file_name()?.to_str()?;
    is_sha256(name).then_some(name)
}

pub fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

pub fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(io(path))
}

/// Writes a small file under a temporary name, then renames: another process sees all of it or nothing.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}-{}.tmp", std::process::id(), WRITTEN.fetch_add(1, Relaxed)));
    std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path)).map_err(io(path))
}
