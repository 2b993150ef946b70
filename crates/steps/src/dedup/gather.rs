//! Hashes of image bytes, read from the tars through the image index of the run.
use cribble_core::{Result, Uid};
use cribble_io::{
    source::{LastFile, RowImage},
    storage::LocalStorage,
};
use cribble_pipeline::{
    StepContext, TaskOutput,
    images::{Located, open_index},
};

use super::exact::short_hash;

/// The hash of each kept row's image; `None` where its image is not in the tars: their number is the task's data.
pub fn image_hashes(
    context: &StepContext<'_>,
    uids: &[Uid],
    kept: &[bool],
    output: &mut TaskOutput,
) -> Result<Vec<Option<[u8; 16]>>> {
    let index = open_index(context)?;
    let rows = (0..uids.len()).filter(|&row| kept[row]).map(|row| (uids[row], row));
    let (mut hashes, mut missing, mut last) = (vec![None; uids.len()], 0u64, LastFile::default());
    for image in Located::new(&index, rows)? {
        context.cancel.check()?;
        match image? {
            (_, RowImage::Missing(_)) => missing += 1,
            (row, RowImage::At(place)) => {
                let bytes = place.read(&LocalStorage, &mut last, u64::MAX)?.unwrap_or_default();
                output.bytes_read += bytes.len() as u64;
                hashes[row] = Some(short_hash(&bytes));
            }
        }
    }
    output.data = missing.into();
    Ok(hashes)
}
