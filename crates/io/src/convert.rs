//! From this crate's errors to the one that reaches a person: wrong data or a machine that refused, with the hint kept.
use crate::IoError;
use cribble_core::{Error, ErrorKind};

impl From<IoError> for Error {
    fn from(error: IoError) -> Self {
        let hint = error.hint();
        let wrapped = Self::wrap(ErrorKind::Input, error);
        match hint {
            Some(hint) => wrapped.with_hint(hint),
            None => wrapped,
        }
    }
}
