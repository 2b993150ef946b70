//! Tars by their headers alone: which members lie where, which of them form a sample, and what uid the sample has.
//! Image data is never read while indexing; a whole-archive read is what makes other resharders slow.
//!
//! - [`scan()`]: one tar → [`TarIndex`] (samples with the byte ranges of their members, and the fault where reading stopped);
//! - [`image_index`]: many tars → files on disk, found again by uid;
//! - [`mod@write`]: tar headers for members whose name changes;
//! - [`img2dataset`]: the side files of img2dataset, for the reconcile table;
//! - [`sorter`]: sorting of fixed-size records within a memory budget.
mod contents;
mod extension;
mod header;
pub mod identity;
pub mod image_index;
pub mod img2dataset;
pub mod record;
pub mod sample;
pub mod scan;
pub mod shard_file;
pub mod sorter;
#[cfg(test)]
mod tests;
pub mod write;

pub use contents::{Fault, FaultKind, Skipped, TarIndex, UidCounts};
pub use identity::{UidSource, hashed_uid};
pub use image_index::{BuildOptions, ImageIndex, IndexedTar, TarSource, UidEntry, list_tars};
pub use record::Packed;
pub use sample::{IMAGE_EXTENSIONS, TarMember, TarSample, split_name};
pub use scan::scan;
pub use sorter::{Sorted, Sorter};

/// Tar's unit: headers are one block, data is padded to whole blocks.
pub const BLOCK: u64 = 512;

/// `size` rounded up to whole blocks, or `None` when that does not fit.
pub const fn padded(size: u64) -> Option<u64> {
    match size.checked_add(BLOCK - 1) {
        Some(sum) => Some(sum / BLOCK * BLOCK),
        None => None,
    }
}
