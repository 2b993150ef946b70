//! Centroids: trained with the step's ceiling and cancellation, written and read as `.npy`.
use std::{ops::ControlFlow, path::Path};

use cribble_core::{Error, ErrorKind, Result};
use cribble_io::{
    SourceFile,
    npy::{ElementType, NpyFile, NpyWriter},
};
use cribble_math::{KMeansOptions, RowSource, kmeans};

use super::math_error;
use crate::StepContext;

/// Trains centroids with the step's ceiling and cancellation, reporting each iteration.
pub fn train_centroids(
    context: &StepContext<'_>,
    rows: &dyn RowSource,
    k: u64,
    iterations: u32,
    tolerance: f64,
    seed: u64,
) -> Result<kmeans::KMeans> {
    let mut options = KMeansOptions::new(k as usize);
    options.iterations = iterations as usize;
    options.tolerance = tolerance;
    options.seed = seed;
    options.memory_bytes = (context.memory / 2) as usize;
    kmeans::train(rows, &options, &|_| {
        if context.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .map_err(|error| match error {
        kmeans::KMeansError::Cancelled { .. } => Error::interrupted(),
        // The rows' source listens too, and may be the first to notice.
        kmeans::KMeansError::Source { .. } if context.cancel.is_cancelled() => Error::interrupted(),
        kmeans::KMeansError::Memory { .. } => {
            Error::wrap(ErrorKind::Input, error).with_hint("raise --memory or lower k")
        }
        other => math_error(other),
    })
}

/// Writes `[k, dim]` f32 as `.npy`.
pub fn write_centroids(path: &Path, centroids: &[f32], dim: usize) -> Result<()> {
    let mut file = NpyWriter::create(path, ElementType::F32, Some(dim as u64))?;
    file.write(centroids)?;
    file.finish()?;
    Ok(())
}

/// Reads centroids back, `[k, dim]`.
pub fn read_centroids(path: &Path, dim: usize) -> Result<Vec<f32>> {
    let file = NpyFile::open(SourceFile::open_local(path)?)?;
    file.expect(ElementType::F32, dim as u64)?;
    Ok(file.read_all::<f32>()?)
}
