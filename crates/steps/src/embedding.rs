//! Embeddings as the arithmetic wants them: blocks of unit f32 rows, whatever the file holds. Rows without a direction are named, not hidden.
use cribble_core::{Error, ErrorKind, Result};
use cribble_io::ArrayReader;
use cribble_math::{RowState, rows::normalize};
use cribble_pipeline::{Embedding, StepContext};

use crate::read_ahead::read_ahead;

/// Code of a row whose vector is zero.
pub const ZERO: &str = "zero_vector";
/// Code of a row whose vector has a value that is NaN or infinite.
pub const NOT_FINITE: &str = "not_finite_vector";

/// The code and sentence of a row that has no direction; `None` for a good one.
pub fn fault(state: RowState, embedding: &str) -> Option<(&'static str, String)> {
    match state {
        RowState::Unit => None,
        RowState::Zero => {
            Some((ZERO, format!("the vector in '{embedding}' is all zeros: it has no direction")))
        }
        RowState::NotFinite => {
            Some((NOT_FINITE, format!("the vector in '{embedding}' has a value that is NaN or infinite")))
        }
    }
}

/// Rows of a block: about 16 MiB of f32, at most 8,192 rows.
pub fn block_rows(dim: usize) -> usize {
    ((16 << 20) / (4 * dim.max(1))).clamp(64, 8192)
}

/// Opens an embedding's rows of a shard and proves that there is one of its dimension for each row, of a float type.
pub fn open_shard(context: &StepContext<'_>, embedding: &Embedding, shard: u32) -> Result<ArrayReader> {
    let (rows, dim) = (context.rows(shard), embedding.info.dim);
    let reader = context.open_embedding(embedding, shard)?;
    let (name, shard_name) = (&embedding.info.name, context.shard_name(shard));
    if reader.rows() != rows as u64 || reader.dim() != dim {
        let found = format!("[{}, {}]", reader.rows(), reader.dim());
        return Err(Error::input(format!(
            "shard {shard_name}: '{name}' is {found}, expected [{rows}, {dim}]"
        ))
        .with_hint("`cribble check` lists the shards whose arrays do not fit"));
    }
    if !reader.dtype().is_float() {
        let found = reader.dtype().name();
        return Err(Error::input(format!("shard {shard_name}: '{name}' is {found}, not f16, f32 or f64")));
    }
    Ok(reader)
}

/// Rows between two wanted ones that are read along rather than asked around.
const GAP: u32 = 4;
/// Most rows of one read.
const SPAN: u32 = 4096;

/// Reads rows of a shard, which ascend and are all different, as they are stored, into `out`; neighbours together.
pub fn read_rows(
    context: &StepContext<'_>,
    reader: &mut ArrayReader,
    rows: &[u32],
    out: &mut [u8],
) -> Result<()> {
    let row_bytes = out.len().checked_div(rows.len()).unwrap_or(0);
    let (mut start, mut span) = (0, Vec::new());
    while start < rows.len() {
        context.cancel.check()?;
        let from = rows[start];
        let near = |pair: &&[u32]| pair[1] - pair[0] <= GAP && pair[1] - from < SPAN;
        let end = start + 1 + rows[start..].windows(2).take_while(near).count();
        span.resize((rows[end - 1] - from + 1) as usize * row_bytes, 0);
        reader.read_raw(u64::from(from), &mut span)?;
        for (row, out) in rows[start..end].iter().zip(out[start * row_bytes..].chunks_exact_mut(row_bytes)) {
            let at = (row - from) as usize * row_bytes;
            out.copy_from_slice(&span[at..at + row_bytes]);
        }
        start = end;
    }
    Ok(())
}

/// Calls `visit(first row, unit rows, states)` for the blocks of a shard, in order. Memory: three blocks at most.
pub fn for_blocks(
    context: &StepContext<'_>,
    embedding: &Embedding,
    shard: u32,
    mut visit: impl FnMut(usize, &[f32], &[RowState]) -> Result<()>,
) -> Result<()> {
    let rows = context.rows(shard);
    let dim = embedding.info.dim;
    let mut reader = open_shard(context, embedding, shard)?;
    let block = block_rows(dim);
    let blocks = (0..rows).step_by(block).map(|start| start..rows.min(start + block));
    read_ahead(
        blocks,
        |block, values| {
            values.resize(block.len() * dim, 0.0);
            Ok(reader.read_f32(block.start as u64, values)?)
        },
        |block, values| {
            context.cancel.check()?;
            let states = normalize(values, dim);
            visit(block.start, values, &states)
        },
    )
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
