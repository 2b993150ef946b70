//! The one error type that reaches a person. Libraries below have their own typed errors; each turns into this one by saying whose
//! fault it is (`ErrorKind`, which fixes the exit code) and, where there is a cure, a hint. Hints are data, so that the terminal, JSON and
//! tests see the same text.
use std::fmt;

/// Whose fault an error is. The kind fixes the exit code of the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The data that was read is wrong, or the machine refused (disk full, no permission): exit code 1.
    Input,
    /// The recipe or the command line is wrong: exit code 2.
    Usage,
    /// The work finished, but failures are above the tolerance or samples are missing: exit code 3.
    Incomplete,
    /// Our own bug: exit code 4.
    Bug,
    /// Interrupted by the user, resumable: exit code 130.
    Interrupted,
}

impl ErrorKind {
    /// The exit code of the binary for this kind.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Input => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Bug => 4,
            Self::Interrupted => 130,
        }
    }
}

/// An error with its kind, what happened and where (file, shard, row), what was expected, and how to cure it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything above the low-level crates.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }
    /// Wrong data or a machine that refused.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }
    /// A wrong recipe or command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }
    /// A state that must not be: our bug.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }
    /// Interrupted by the user.
    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "interrupted")
    }
    /// Wraps a lower error: its text becomes the message, it stays reachable as the source.
    pub fn wrap(kind: ErrorKind, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { kind, message: source.to_string(), hint: None, source: Some(Box::new(source)) }
    }
    /// Adds the cure.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// Puts what was being done in front of the message: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
    /// What happened, without the hint.
    pub fn message(&self) -> &str {
        &self.message
    }
    /// The cure, where one is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The source's own text is already the message, so a chain printer continues below it.
        self.source.as_ref().and_then(|source| source.source())
    }
}

/// The candidates closest to a mistyped name, best first, at most three: those within a third of its length in edits.
pub fn did_you_mean<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = (found.chars().count() / 3).max(1) + 1;
    let lower = found.to_lowercase();
    let mut near: Vec<(usize, &str)> = candidates
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|&(distance, _)| distance <= limit)
        .collect();
    near.sort();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// The hint for a mistyped name: `did you mean 'x'?`, else the list of what there is.
pub fn name_hint<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let near = did_you_mean(found, candidates.clone());
    if near.is_empty() {
        let all: Vec<&str> = candidates.into_iter().collect();
        if all.is_empty() { "there are none here".into() } else { format!("there are: {}", all.join(", ")) }
    } else {
        format!("did you mean '{}'?", near.join("' or '"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let codes = [
            ErrorKind::Input,
            ErrorKind::Usage,
            ErrorKind::Incomplete,
            ErrorKind::Bug,
            ErrorKind::Interrupted,
        ];
        assert_eq!(codes.map(ErrorKind::exit_code), [1, 2, 3, 4, 130]);
    }

    #[test]
    fn near_names_are_suggested_and_far_ones_listed() {
        assert_eq!(did_you_mean("epsilonn", ["epsilon", "mode", "keep"]), ["epsilon"]);
        assert_eq!(name_hint("zzzzzz", ["epsilon", "mode"]), "there are: epsilon, mode");
    }

    #[test]
    fn context_goes_in_front_and_the_hint_stays() {
        let error = Error::input("no such file").with_hint("make it").context("shard 3");
        assert_eq!(error.to_string(), "shard 3: no such file");
        assert_eq!(error.hint(), Some("make it"));
    }
}
