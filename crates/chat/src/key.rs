//! An API key: read from an environment variable or a file that the user names, sent in one header, and shown nowhere.
use crate::{ChatError, Result};
use std::{borrow::Cow, fmt, path::Path};
use ureq::http::HeaderValue;

/// What stands in the place of a key that a server repeats to us.
const HIDDEN: &str = "[key hidden]";
/// Placeholders such as `EMPTY` and `none`, which local servers ask for, are no secrets and are ordinary words of an answer.
const SECRET_FROM: usize = 8;

/// A key. `Debug` shows where it came from, never what it is; there is no way to read it back.
#[derive(Clone)]
pub struct Key {
    text: String,
    from: String,
}

impl Key {
    /// The key in the environment variable `name`.
    ///
    /// # Errors
    /// [`ChatError::Key`] when it is not set, empty, or holds what no header can.
    pub fn from_env(name: &str) -> Result<Self> {
        let from = format!("environment variable {name}");
        match std::env::var(name) {
            Ok(text) => Self::new(&text, from),
            Err(std::env::VarError::NotPresent) => Err(bad(from, "it is not set")),
            Err(_) => Err(bad(from, "it is not text")),
        }
    }

    /// The key in a file: its first line that is not empty.
    ///
    /// # Errors
    /// [`ChatError::Key`] when the file cannot be read or holds no key.
    pub fn from_file(path: &Path) -> Result<Self> {
        let from = format!("file {}", path.display());
        match std::fs::read(path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
                Self::new(line, from)
            }
            Err(error) => Err(bad(from, error.to_string())),
        }
    }

    fn new(text: &str, from: String) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(bad(from, "it is empty"));
        }
        // The excluded signs would be escaped in JSON, so that a repeated key would no longer be found and hidden.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
            return Err(bad(from, "it holds a space, a quote, a backslash or a sign beyond ASCII"));
        }
        Ok(Self { text: text.into(), from })
    }

    /// The header that carries the key, marked so that the transport does not log it.
    pub(crate) fn header(&self) -> Result<HeaderValue> {
        let value = HeaderValue::try_from(format!("Bearer {}", self.text));
        let mut value = value.map_err(|_| bad(self.from.clone(), "it fits in no header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// `text` without the key: servers repeat it in their complaints.
    pub(crate) fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.text.len() >= SECRET_FROM && text.contains(&self.text) {
            true => Cow::Owned(text.replace(&self.text, HIDDEN)),
            false => Cow::Borrowed(text),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(from {})", self.from)
    }
}

fn bad(from: String, what: impl Into<String>) -> ChatError {
    ChatError::Key {
        from,
        what: what.into(),
        cure: "put the key there, as one line, or name another place; a local server without keys needs none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "sk-test-0123456789";

    #[test]
    fn a_key_is_read_from_a_file_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, format!("\n  {SECRET}\n")).unwrap();
        let key = Key::from_file(&path).unwrap();
        assert!(format!("{key:?}").starts_with("Key(from file "));
        assert!(!format!("{key:?} {:?}", key.header().unwrap()).contains(SECRET));
        assert_eq!(key.header().unwrap().to_str().unwrap(), format!("Bearer {SECRET}"));
        assert_eq!(key.hide(&format!("bad key {SECRET}!")), format!("bad key {HIDDEN}!"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for content in ["", "\n \n", "two words-of-a-secret", "quo\"te-of-a-secret", "é-of-a-secret"] {
            std::fs::write(&path, content).unwrap();
            let error = Key::from_file(&path).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("of-a-secret"), "{error}");
        }
        let error = Key::from_env("CRIBBLE_CHAT_NO_SUCH_VARIABLE").unwrap_err();
        assert!(error.to_string().contains("CRIBBLE_CHAT_NO_SUCH_VARIABLE: it is not set"), "{error}");
    }

    #[test]
    fn placeholders_are_no_secrets() {
        assert_eq!(Key::new("EMPTY", "a test".into()).unwrap().hide("EMPTY frames"), "EMPTY frames");
    }
}
