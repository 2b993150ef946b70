//! Options of the step `language`.
use serde::{Deserialize, Serialize};

/// Options of a `language` step: the columns `language` and `language_probability` of every caption. It drops nothing: a `filter` does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LanguageOptions {
    /// A fastText model such as `lid.176.bin` or `lid.176.ftz`; empty: the detector inside the program, which knows sixteen languages and
    /// some scripts.
    pub model: String,
    /// The column with the caption; empty: the first of `text`, `caption`, `txt`, `TEXT`, `CAPTION`, `alt_text` that there is.
    pub text: String,
}
