//! What can go wrong before a run (`ChatError`) and with one call (`CallError`). No text here ever holds a key.
use std::path::PathBuf;

/// What can be wrong with a key, an endpoint, the settings or the cache folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The key is not where the user said, or is no key.
    #[error("no key from {from}: {what}; {cure}")]
    Key {
        /// The environment variable or the file.
        from: String,
        /// What is wrong with it; never the key.
        what: String,
        /// What to do.
        cure: &'static str,
    },
    /// An address or a setting that cannot be meant.
    #[error("{name}: {what}; {cure}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What is wrong.
        what: String,
        /// What to do.
        cure: &'static str,
    },
    /// The system's root certificates are missing.
    #[error(
        "this machine has no root certificates, so '{endpoint}' cannot be trusted: install ca-certificates, or set SSL_CERT_FILE to a PEM \
         file of them"
    )]
    Certificates {
        /// The address.
        endpoint: String,
    },
    /// A file of the cache cannot be read or written.
    #[error("{}: the cache of answers cannot be used: {source}; free or change the folder and run again", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The result of this crate's constructors.
pub type Result<T, E = ChatError> = std::result::Result<T, E>;

/// Why one call has no answer, after all its retries: names the endpoint, the model and the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint}, model '{model}': {what} ({tries} tries); {cure}")]
pub struct CallError {
    /// The address that was called.
    pub endpoint: String,
    /// The model that was asked for.
    pub model: String,
    /// The HTTP status of the last try, if it came to one.
    pub status: Option<u16>,
    /// How often the call was made.
    pub tries: u32,
    /// What happened, with the beginning of what the server said.
    pub what: String,
    /// What to do.
    pub cure: String,
}
