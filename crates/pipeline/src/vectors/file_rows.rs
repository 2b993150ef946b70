//! Unit rows in a scratch file, as k-means and the pair search read them, and how an error of ours finds its way through the arithmetic.
use std::{fs::File, os::unix::fs::FileExt, path::Path};

use cribble_core::{Error, ErrorKind, Result};
use cribble_math::{RowSource, SourceError};

use crate::StepContext;

/// Unit f32 rows in a scratch file.
pub struct FileRows<'a> {
    file: File,
    rows: usize,
    dim: usize,
    context: &'a StepContext<'a>,
}

impl<'a> FileRows<'a> {
    /// Opens a file of `[rows, dim]` little-endian f32.
    pub fn open(context: &'a StepContext<'a>, path: &Path, dim: usize) -> Result<Self> {
        let io = |error: std::io::Error| Error::wrap(ErrorKind::Input, error).context(path.display());
        let file = File::open(path).map_err(io)?;
        let rows = file.metadata().map_err(io)?.len() as usize / (4 * dim);
        Ok(Self { file, rows, dim, context })
    }
}

impl RowSource for FileRows<'_> {
    fn len(&self) -> usize {
        self.rows
    }
    fn dim(&self) -> usize {
        self.dim
    }
    fn read(&self, start: usize, out: &mut [f32]) -> Result<(), SourceError> {
        self.context.cancel.check().map_err(|error| SourceError::new(ReadFailure::from(error)))?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(out);
        self.file.read_exact_at(bytes, (start * self.dim * 4) as u64).map_err(SourceError::new)?;
        for value in out {
            *value = f32::from_bits(u32::from_le(value.to_bits()));
        }
        Ok(())
    }
}

/// An error of the arithmetic: a failed read keeps its own kind and words.
pub fn math_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(known) = inner.downcast_ref::<ReadFailure>() {
            let mut kept = Error::new(known.kind, known.message.clone());
            if let Some(hint) = &known.hint {
                kept = kept.with_hint(hint.clone());
            }
            return kept;
        }
        source = inner.source();
    }
    Error::wrap(ErrorKind::Input, error)
}

/// An error on its way through the arithmetic, which knows nothing of ours.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ReadFailure {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl From<Error> for ReadFailure {
    fn from(error: Error) -> Self {
        Self { kind: error.kind(), message: error.message().into(), hint: error.hint().map(Into::into) }
    }
}
