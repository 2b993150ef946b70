//! Where the files of a checkpoint come from: a folder, the cache of the Hugging Face Hub (filled by download where that is allowed), or
//! the program itself. Whoever builds a model asks for files by name and never learns which of the three it was.
mod blob;
mod builtin;
mod download;
mod hub;

pub use blob::Blob;
pub use hub::{Hub, OnProgress, Progress};

use crate::{ModelError, Result};
use hub::Repo;
use std::path::{Component, Path, PathBuf};

/// Most bytes of a file that is read whole (configs, tokenizers). Gemma's tokenizer, the largest, has 35 MB.
const MOST_READ: u64 = 256 << 20;

/// The files of one checkpoint.
#[derive(Debug)]
pub struct Source {
    name: String,
    at: At,
}

#[derive(Debug)]
enum At {
    Folder(PathBuf),
    Hub(Box<Repo>),
    Builtin(&'static builtin::Builtin),
}

impl Source {
    /// Finds a checkpoint by name, with the settings of the environment (see [`Hub::from_env`]).
    ///
    /// `name` is a folder, `owner/name` or `owner/name@revision` on the Hub (`hf-hub:` before it, as open_clip writes, is allowed), or
    /// `builtin:demo-clip`. A folder wins over a Hub name that reads the same. `offline` is the user's word; `None` leaves it to
    /// `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// [`ModelError::Source`] says what was looked for, where, and what to do.
    pub fn open(name: &str, offline: Option<bool>) -> Result<Self> {
        let mut hub = Hub::from_env()?;
        hub.offline = offline.unwrap_or(hub.offline);
        Self::open_with(name, &hub)
    }

    /// [`Source::open`] with settings of one's own.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open_with(name: &str, hub: &Hub) -> Result<Self> {
        let at = if let Some(builtin) = name.strip_prefix("builtin:") {
            At::Builtin(builtin::find(builtin)?)
        } else if Path::new(name).is_dir() {
            At::Folder(name.into())
        } else {
            At::Hub(Box::new(Repo::open(name, hub)?))
        };
        Ok(Self { name: name.into(), at })
    }

    /// The name as the user gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The checkpoint in a message: the folder, the Hub's name with the commit, or `builtin:…`.
    pub fn describe(&self) -> String {
        match &self.at {
            At::Folder(folder) => folder.display().to_string(),
            At::Hub(repo) => repo.describe(),
            At::Builtin(builtin) => format!("builtin:{}", builtin.name),
        }
    }

    /// The commit of a checkpoint from the Hub.
    pub fn revision(&self) -> Option<&str> {
        match &self.at {
            At::Hub(repo) => Some(repo.commit()),
            At::Folder(_) | At::Builtin(_) => None,
        }
    }

    /// A file in a message: where it is, or would be.
    pub fn place(&self, file: &str) -> String {
        match &self.at {
            At::Folder(folder) => folder.join(file).display().to_string(),
            At::Hub(repo) => repo.snapshot().join(file).display().to_string(),
            At::Builtin(builtin) => format!("builtin:{}/{file}", builtin.name),
        }
    }

    /// Whether the checkpoint has a file. Nothing is downloaded but, once, the list of the repository's files.
    ///
    /// # Errors
    /// [`ModelError::Source`] where the Hub must be asked and does not answer.
    pub fn has(&self, file: &str) -> Result<bool> {
        checked(file)?;
        match &self.at {
            At::Folder(folder) => Ok(folder.join(file).exists()),
            At::Hub(repo) => repo.has(file),
            At::Builtin(builtin) => Ok(builtin.file(file).is_some()),
        }
    }

    /// Where a file lies on disk, downloaded first where it must be; `None` where the checkpoint has no such file, or is built in.
    fn path(&self, file: &str) -> Result<Option<PathBuf>> {
        checked(file)?;
        match &self.at {
            At::Folder(folder) => Ok(Some(folder.join(file)).filter(|path| path.exists())),
            At::Hub(repo) => repo.locate(file),
            At::Builtin(_) => Ok(None),
        }
    }

    /// Opens a file for reading by range; `None` where the checkpoint has no such file.
    ///
    /// # Errors
    /// [`ModelError::Source`] for a failed download, [`ModelError::Io`] for a cache that cannot be written or a file that cannot be opened.
    pub fn blob(&self, file: &str) -> Result<Option<Blob>> {
        if let At::Builtin(builtin) = &self.at {
            return Ok(builtin.file(file).map(|bytes| Blob::memory(self.place(file), bytes)));
        }
        self.path(file)?.map(|path| Blob::open(&path)).transpose()
    }

    /// Reads a small file whole (configs, tokenizers); `None` where the checkpoint has no such file.
    ///
    /// # Errors
    /// As [`Source::blob`], and [`ModelError::Malformed`] above 256 MiB.
    pub fn read(&self, file: &str) -> Result<Option<Vec<u8>>> {
        let Some(blob) = self.blob(file)? else { return Ok(None) };
        if blob.len() > MOST_READ {
            return Err(ModelError::Malformed {
                place: self.place(file),
                what: format!("{} bytes, at most {MOST_READ} are read", blob.len()),
            });
        }
        let mut bytes = vec![0; blob.len() as usize];
        blob.read_at(0, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// The identity of a file: `sha256:…` where the Hub's cache names it so (nothing is read), else `blake3:…` of its bytes. `None` where
    /// there is no such file.
    ///
    /// # Errors
    /// As [`Source::blob`].
    pub fn digest(&self, file: &str) -> Result<Option<String>> {
        if let (At::Hub(_), Some(path)) = (&self.at, self.path(file)?)
            && let Some(sha256) = std::fs::read_link(&path).ok().as_deref().and_then(hub::sha256_name)
        {
            return Ok(Some(format!("sha256:{sha256}")));
        }
        let Some(blob) = self.blob(file)? else { return Ok(None) };
        Ok(Some(format!("blake3:{}", blob.blake3()?)))
    }

    /// One identity of several files: the digest itself of one, else `blake3:…` over their names and digests in the order given. A file
    /// that is not there counts as such.
    ///
    /// # Errors
    /// As [`Source::digest`].
    pub fn digests(&self, files: &[&str]) -> Result<String> {
        if let [file] = files
            && let Some(digest) = self.digest(file)?
        {
            return Ok(digest);
        }
        let mut hasher = blake3::Hasher::new();
        for file in files {
            let digest = self.digest(file)?.unwrap_or_default();
            hasher.update(format!("{file}\0{digest}\n").as_bytes());
        }
        Ok(format!("blake3:{}", hasher.finalize()))
    }
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> ModelError {
    move |source| ModelError::Io { path: path.into(), source }
}

/// Names of files can come from a checkpoint (the index of its shards), and must not lead out of its folder.
fn checked(file: &str) -> Result<()> {
    let path = Path::new(file);
    let inside = !file.is_empty()
        && !file.contains(['\\', '\0'])
        && path.components().all(|part| matches!(part, Component::Normal(_)));
    match inside {
        true => Ok(()),
        false => Err(ModelError::Source(format!("'{file}' is no name of a file inside a checkpoint"))),
    }
}

#[cfg(test)]
mod tests;
