//! The centroids of a step, read and prepared once for all of its shards: the axes, codes and panels of many centroids take longer than the rows of
//! a small shard.
use std::sync::{Arc, Mutex, PoisonError};

use cribble_core::Result;
use cribble_math::nearest::Finder;
use cribble_pipeline::{StepContext, vectors::read_centroids};

/// A finder over a step's `centroids.npy`, made on first use. A step has one for its life; the file does not change once it is written.
#[derive(Default)]
pub struct SharedFinder(Mutex<Option<Arc<Finder<'static>>>>);

impl SharedFinder {
    /// The finder; `None` where there is no centroid.
    pub fn get(&self, context: &StepContext<'_>, dim: usize) -> Result<Option<Arc<Finder<'static>>>> {
        let made = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(finder) = &*made() {
            return Ok(Some(finder.clone()));
        }
        // Not under the lock: it runs in parallel, and a thread that waits for its parts may take up another shard, which comes here too. Threads that
        // come at the same time make it twice, and one of them is kept.
        let centroids = read_centroids(&context.folder.join("centroids.npy"), dim)?;
        if centroids.is_empty() {
            return Ok(None);
        }
        let rows = usize::try_from(context.kept_rows()?).unwrap_or(usize::MAX);
        let finder = Arc::new(Finder::new(centroids, dim, rows));
        Ok(Some(made().get_or_insert(finder).clone()))
    }
}
