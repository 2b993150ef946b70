//! How much may be in memory at once: the batch follows from what the model has left of `--memory`. Vectors do not depend on the batch, so this
//! decides cost alone.
use cribble_core::{Error, Result};
use cribble_models::Model;
use cribble_pipeline::{StepContext, resident_memory};

use super::Embed;

/// Bytes of memory that a pixel takes while it is decoded and resized: three as decoded, and as many on the way.
const PIXEL_BYTES: u64 = 6;
/// Pixels that every thread may decode at once; larger images wait for each other.
const CALM_PIXELS: (u64, u64) = (1 << 20, 32 << 20);
/// Fixed costs: buffers of readers and writers, the blocks of results.
const FIXED: u64 = 16 << 20;

/// What fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Samples encoded at once on a thread.
    pub batch: usize,
    /// Images with more pixels than this are decoded one at a time, in the whole process.
    pub calm_pixels: u64,
}

impl Embed {
    /// What fits, settled once, after the model was opened.
    pub(super) fn sizes(&self, context: &StepContext<'_>, model: &Model) -> Result<Sizes> {
        if let Some(sizes) = self.sizes.get() {
            return Ok(*sizes);
        }
        let (image, text) = self.towers()?;
        let (scratch, sample) = thread_bytes(model, image, text)?;
        let used = resident_memory() + FIXED;
        let threads = context.threads as u64;
        let each = context.memory.saturating_sub(used) / threads.max(1);
        let (wished, max_pixels) = (u64::from(self.options.batch), self.options.max_pixels);
        let sizes = fit(each, scratch, sample, wished, max_pixels).ok_or_else(|| {
            let needed = scratch + sample + CALM_PIXELS.0.min(max_pixels) * PIXEL_BYTES;
            Error::input(format!(
                "{} does not fit below --memory: {} MB with the model, {} MB for each of {threads} threads, the ceiling is {} MB",
                self.options.model,
                used.div_ceil(1 << 20),
                needed.div_ceil(1 << 20),
                context.memory >> 20
            ))
            .with_hint("raise --memory, lower --threads, or take a smaller model")
        })?;
        if (sizes.batch as u64) < wished {
            context
                .progress
                .note(&format!("batch = {} instead of {wished}, to stay below --memory", sizes.batch));
        }
        if image && max_pixels.saturating_mul(PIXEL_BYTES) > context.memory.saturating_sub(used) {
            context.progress.note(&format!(
                "an image of max_pixels = {max_pixels} would take more than --memory; lower one or raise the other where such images occur"
            ));
        }
        Ok(*self.sizes.get_or_init(|| sizes))
    }
}

/// Bytes that a thread needs whatever its batch, and those of each sample in it.
fn thread_bytes(model: &Model, image: bool, text: bool) -> Result<(u64, u64)> {
    let (mut scratch, mut sample) = (0, 4096);
    if image {
        let tower = model.images()?;
        let (height, width) = tower.preprocess().size();
        scratch = tower.scratch_bytes();
        sample += 3 * size_of::<f32>() * height * width;
    }
    if text {
        // The two encoders run one after the other on a thread, but each keeps its buffers.
        scratch += model.texts()?.scratch_bytes();
    }
    Ok((scratch as u64, sample as u64))
}

/// Batch and calm pixels for a thread that may use `each` bytes; `None` when not even a batch of one fits.
fn fit(each: u64, scratch: u64, sample: u64, wished: u64, max_pixels: u64) -> Option<Sizes> {
    let left = each.checked_sub(scratch)?;
    // Half for decoding, half for the batch.
    let calm = (left / 2 / PIXEL_BYTES).clamp(CALM_PIXELS.0, CALM_PIXELS.1).min(max_pixels);
    let batch = left.checked_sub(calm * PIXEL_BYTES)? / sample.max(1);
    (batch > 0).then(|| Sizes { batch: batch.min(wished) as usize, calm_pixels: calm })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_shrinks_with_memory_until_nothing_fits() {
        let sizes = |megabytes: u64| fit(megabytes << 20, 20 << 20, 1 << 20, 32, 178_956_970);
        assert_eq!(sizes(2048), Some(Sizes { batch: 32, calm_pixels: 32 << 20 }));
        let tight = sizes(50).unwrap();
        assert!(tight.batch == 15 && tight.calm_pixels * PIXEL_BYTES <= 15 << 20, "{tight:?}");
        assert_eq!((sizes(26), sizes(20), sizes(10)), (None, None, None));
        assert_eq!(fit(1 << 30, 0, 1, 8, 1000), Some(Sizes { batch: 8, calm_pixels: 1000 }));
    }
}
