//! What can go wrong with an expression, as data: the kind, the place, and the hint stand apart, so that a terminal, a
//! web page and a test can each show them in their own way.
//!
//! One struct around one enum, because every kind shares the source text and the position; the enum is boxed so that the
//! happy path of `Result` stays small.

use std::fmt;
use std::sync::Arc;

use arrow::error::ArrowError;

/// A place in the text of an expression: line and column, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters (not bytes), from 1.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}

/// An expression that could not be parsed, bound to a schema, or evaluated.
///
/// `Display` gives one line without the hint: `text: message (line 1, column 5)`. The rest is read with the methods.
#[derive(Debug)]
pub struct ExprError {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: ExprErrorKind,
    position: Option<Position>,
    text: Arc<str>,
    hint: Option<String>,
}

/// A condition that cannot be read or does not fit its columns is wrong use. Errors of evaluation are wrong data: their callers say so, with the rows.
impl From<ExprError> for cribble_core::Error {
    fn from(error: ExprError) -> Self {
        error.of_kind(cribble_core::ErrorKind::Usage)
    }
}

/// The kinds of failure. Names of types are those of the language: `boolean`, `bigint`, `unsigned bigint`, `double`,
/// `text`, `uid`, `list`, or an Arrow type that the language has no operators for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExprErrorKind {
    /// The text is not an expression of the language.
    #[error("{message}")]
    Syntax {
        /// What was expected and what was found.
        message: String,
    },
    /// A whole expression was read and something follows it.
    #[error("unexpected `{found}` after the end of the expression")]
    TrailingInput {
        /// The first token that is not part of the expression.
        found: String,
    },
    /// The expression is larger or deeper than the stated limit (see [`crate::limits`]).
    #[error("the expression has too many {what}: the limit is {limit}")]
    TooLarge {
        /// What is counted: `bytes`, `terms` or `levels of nesting`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Valid SQL that this language leaves out (subqueries, aggregates, window functions, ...).
    #[error("{what} not supported")]
    Unsupported {
        /// What was met, as the start of a sentence: `subqueries are`.
        what: String,
    },
    /// No column of this name.
    #[error("no column `{name}`")]
    UnknownColumn {
        /// The name as written.
        name: String,
        /// Names that look alike, the closest first; at most three.
        candidates: Vec<String>,
        /// Every column of the schema, in its order.
        valid: Vec<String>,
    },
    /// The name matches several columns when case is ignored, and none exactly.
    #[error("column `{name}` could be any of {}", candidates.join(", "))]
    AmbiguousColumn {
        /// The name as written.
        name: String,
        /// The columns it may mean, in schema order.
        candidates: Vec<String>,
    },
    /// No function of this name.
    #[error("no function `{name}`")]
    UnknownFunction {
        /// The name as written.
        name: String,
        /// Names that look alike, the closest first; at most three.
        candidates: Vec<String>,
        /// Every function of the language, sorted.
        valid: Vec<String>,
    },
    /// `CAST` to a type that the language does not have.
    #[error("no type `{name}` to cast to")]
    UnknownType {
        /// The name as written.
        name: String,
        /// Names that look alike, the closest first; at most three.
        candidates: Vec<String>,
        /// Every type name that `CAST` takes.
        valid: Vec<String>,
    },
    /// A function was called with the wrong number of arguments.
    #[error("`{function}` takes {expected}, not {found}")]
    ArgumentCount {
        /// The function.
        function: &'static str,
        /// What it takes, in words: `2 arguments`.
        expected: String,
        /// How many were given.
        found: usize,
    },
    /// Two operands whose types do not go together.
    #[error("{left} and {right} do not go together in `{expression}`")]
    TypeMismatch {
        /// The sub-expression.
        expression: String,
        /// Type of the left (or first) operand.
        left: String,
        /// Type of the right (or other) operand.
        right: String,
    },
    /// An operand of a type that the operator or function does not take.
    #[error("`{expression}` is {found}, but {context} needs {expected}")]
    WrongType {
        /// The operand.
        expression: String,
        /// Its type.
        found: String,
        /// The types that would do, in words.
        expected: String,
        /// The operator or function that needs it.
        context: String,
    },
    /// A literal that cannot be what it has to be here (a number too large, a uid that is not 32 hex characters, an
    /// escape of two characters).
    #[error("`{literal}` is not {expected}")]
    InvalidLiteral {
        /// The literal as written.
        literal: String,
        /// What was needed.
        expected: String,
    },
    /// A `LIKE` pattern or a regular expression that is not valid.
    #[error("invalid pattern `{pattern}`: {message}")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// Why.
        message: String,
    },
    /// A whole number left the range of 64 bits (or of the type cast to). Never wraps.
    #[error("`{expression}` is out of range in row {row} of the batch")]
    Overflow {
        /// The sub-expression.
        expression: String,
        /// Row of the batch, from 0.
        row: usize,
    },
    /// A value that cannot be cast.
    #[error("{value} in row {row} of the batch cannot become {target} in `{expression}`")]
    InvalidCast {
        /// The sub-expression.
        expression: String,
        /// The value, shortened.
        value: String,
        /// The type cast to.
        target: &'static str,
        /// Row of the batch, from 0.
        row: usize,
    },
    /// The batch does not have the column that the expression was bound to, or has it with another type.
    #[error("the batch has {found} for column `{column}`, but the expression was bound to {expected}")]
    BatchMismatch {
        /// The column.
        column: String,
        /// The Arrow type bound to.
        expected: String,
        /// The Arrow type found, or `nothing`.
        found: String,
    },
    /// A kernel of Arrow refused something that the type check let through: a bug of ours, or memory at its end.
    #[error("Arrow: {0}")]
    Arrow(#[from] ArrowError),
}

impl ExprError {
    pub(crate) fn new(kind: ExprErrorKind) -> Self {
        Self { inner: Box::new(Inner { kind, position: None, text: Arc::from(""), hint: None }) }
    }

    pub(crate) fn at(mut self, position: Option<Position>) -> Self {
        self.inner.position = self.inner.position.or(position);
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    pub(crate) fn in_text(mut self, text: &Arc<str>) -> Self {
        self.inner.text = Arc::clone(text);
        self
    }

    /// The program's error, with the hint as its cure.
    #[must_use]
    pub fn of_kind(self, kind: cribble_core::ErrorKind) -> cribble_core::Error {
        let hint = self.hint();
        let wrapped = cribble_core::Error::wrap(kind, self);
        match hint {
            Some(hint) => wrapped.with_hint(hint),
            None => wrapped,
        }
    }

    /// What went wrong.
    pub fn kind(&self) -> &ExprErrorKind {
        &self.inner.kind
    }

    /// The text of the whole expression.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// Where, if known: the start of the sub-expression, or of the token, that is at fault.
    pub fn position(&self) -> Option<Position> {
        self.inner.position
    }

    /// What the writer may do about it, as one sentence without a full stop.
    pub fn hint(&self) -> Option<String> {
        if let Some(hint) = &self.inner.hint {
            return Some(hint.clone());
        }
        if let ExprErrorKind::AmbiguousColumn { .. } = self.kind() {
            return Some("write the name in the case of the column that you mean".to_owned());
        }
        match self.candidates() {
            [] => None,
            [one] => Some(format!("did you mean `{one}`?")),
            several => Some(format!("did you mean one of `{}`?", several.join("`, `"))),
        }
    }

    /// Names that look like the one that was not found, the closest first.
    pub fn candidates(&self) -> &[String] {
        match self.kind() {
            ExprErrorKind::UnknownColumn { candidates, .. }
            | ExprErrorKind::AmbiguousColumn { candidates, .. }
            | ExprErrorKind::UnknownFunction { candidates, .. }
            | ExprErrorKind::UnknownType { candidates, .. } => candidates,
            _ => &[],
        }
    }

    /// Every name that would have been valid in the place of the one that was not found.
    pub fn valid(&self) -> &[String] {
        match self.kind() {
            ExprErrorKind::UnknownColumn { valid, .. }
            | ExprErrorKind::UnknownFunction { valid, .. }
            | ExprErrorKind::UnknownType { valid, .. } => valid,
            _ => &[],
        }
    }

    /// The line of the text at fault and a line with a caret under the place, for a terminal.
    /// `None` where the position is not known. Tabs before the caret are kept so that the columns line up.
    pub fn excerpt(&self) -> Option<String> {
        let position = self.position()?;
        let line = self.text().split('\n').nth(usize::try_from(position.line).ok()?.checked_sub(1)?)?;
        let before = usize::try_from(position.column).ok()?.saturating_sub(1);
        let indent: String =
            line.chars().take(before).map(|character| if character == '\t' { '\t' } else { ' ' }).collect();
        Some(format!("{line}\n{indent}^"))
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.inner.kind)?;
        match self.inner.position {
            Some(position) => write!(formatter, " ({position})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ExprError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.kind.source()
    }
}

impl From<ExprErrorKind> for ExprError {
    fn from(kind: ExprErrorKind) -> Self {
        Self::new(kind)
    }
}

impl From<ArrowError> for ExprError {
    fn from(error: ArrowError) -> Self {
        Self::new(ExprErrorKind::Arrow(error))
    }
}

/// The names closest to `name`, best first, at most three; ties keep the order of `valid`.
///
/// Jaro-Winkler on lower case, and at least 0.8: that forgives a slip, and does not offer `key` to someone who wrote
/// `url`. Beside it, a name of which only words were left out (`clip_score` for `clip_l14_similarity_score`).
pub(crate) fn closest(name: &str, valid: &[String]) -> Vec<String> {
    let lower = name.to_lowercase();
    let mut scored: Vec<(f64, &String)> = valid
        .iter()
        .map(|candidate| {
            let other = candidate.to_lowercase();
            let has_words = lower.split(['_', ' ', '.']).all(|word| word.len() > 1 && other.contains(word));
            let alike = strsim::jaro_winkler(&lower, &other);
            (if has_words { alike.max(0.85) } else { alike }, candidate)
        })
        .filter(|(score, _)| *score >= 0.8)
        .collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    scored.into_iter().take(3).map(|(_, candidate)| candidate.clone()).collect()
}
