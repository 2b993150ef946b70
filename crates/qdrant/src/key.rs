//! The server's API key: read from an environment variable or a file that the user names, sent with every call, and shown nowhere.
use std::{borrow::Cow, fmt, path::Path};

use cribble_core::{Error, Result};
use tonic::metadata::{Ascii, MetadataValue};

/// What stands in the place of a key that a server repeats to us.
const HIDDEN: &str = "[key hidden]";

/// A key. `Debug` shows where it came from, never what it is; there is no way to read it back.
#[derive(Clone)]
pub struct ApiKey {
    text: String,
    from: String,
}

impl ApiKey {
    /// The key in the environment variable `name`.
    ///
    /// # Errors
    /// It is not set, empty, or holds what no header can.
    pub fn from_env(name: &str) -> Result<Self> {
        let from = format!("environment variable {name}");
        match std::env::var(name) {
            Ok(text) => Self::new(&text, from),
            Err(std::env::VarError::NotPresent) => Err(bad(&from, "it is not set")),
            Err(std::env::VarError::NotUnicode(_)) => Err(bad(&from, "it is not text")),
        }
    }

    /// The key in a file: its first line that is not empty.
    ///
    /// # Errors
    /// The file cannot be read or holds no key.
    pub fn from_file(path: &Path) -> Result<Self> {
        let from = format!("file {}", path.display());
        let bytes = std::fs::read(path).map_err(|error| bad(&from, &error.to_string()))?;
        let text = String::from_utf8_lossy(&bytes);
        Self::new(text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default(), from)
    }

    fn new(text: &str, from: String) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(bad(&from, "it is empty"));
        }
        // The official client repeats a malformed key in its error; here it never gets that far.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad(&from, "it holds a space or a sign beyond ASCII"));
        }
        Ok(Self { text: text.into(), from })
    }

    /// The value of the header `api-key`, marked so that the transport does not log it.
    pub(crate) fn header(&self) -> Result<MetadataValue<Ascii>> {
        let mut value: MetadataValue<Ascii> =
            self.text.parse().map_err(|_| bad(&self.from, "it fits in no header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// `text` without the key: servers repeat it in their complaints.
    pub(crate) fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match text.contains(&self.text) {
            true => Cow::Owned(text.replace(&self.text, HIDDEN)),
            false => Cow::Borrowed(text),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey(from {})", self.from)
    }
}

fn bad(from: &str, what: &str) -> Error {
    Error::usage(format!("no key in {from}: {what}"))
        .with_hint("put the server's API key there, as one line; a server without keys needs none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "\n  qd-0123456789 \n").unwrap();
        let key = ApiKey::from_file(&path).unwrap();
        assert_eq!(key.header().unwrap().to_str().unwrap(), "qd-0123456789");
        assert!(!format!("{key:?} {:?}", key.header().unwrap()).contains("0123456789"));
        assert_eq!(key.hide("wrong key qd-0123456789!"), "wrong key [key hidden]!");
        for content in ["", "two words-of-a-secret", "é-of-a-secret"] {
            std::fs::write(&path, content).unwrap();
            let error = ApiKey::from_file(&path).unwrap_err();
            assert!(!format!("{error} {:?}", error.hint()).contains("of-a-secret"), "{error}");
        }
        let error = ApiKey::from_env("CRIBBLE_NO_SUCH_VARIABLE").unwrap_err();
        assert!(error.to_string().contains("CRIBBLE_NO_SUCH_VARIABLE: it is not set"), "{error}");
    }
}
