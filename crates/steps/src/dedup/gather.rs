//! Hashes of image bytes, read from the tars through the image index of the run.
use cribble_core::{Error, Result, Uid};
use cribble_io::{
    Location, SourceFile,
    storage::LocalStorage,
    tar::{BuildOptions, ImageIndex, UidEntry, list_tars},
};
use cribble_pipeline::{StepContext, TaskOutput};

use super::exact::short_hash;

/// Extensions that are images, as webdataset's readers know them.
const IMAGES: [&str; 5] = ["jpg", "jpeg", "png", "webp", "gif"];

/// Builds (or completes) the index of the run's tars.
pub fn build_index(context: &StepContext<'_>) -> Result<ImageIndex> {
    let Some(images) = context.images else {
        return Err(Error::bug("images are needed and the input names none"));
    };
    let sources = list_tars(&LocalStorage, &Location::parse(images)?)?;
    Ok(ImageIndex::build(
        &sources,
        &BuildOptions {
            folder: &context.run.join("images"),
            threads: context.threads,
            memory_bytes: (context.memory / 8) as usize,
            read_ahead: 1 << 20,
            on_tar: &|| {},
            stop: &|| context.cancel.is_cancelled(),
        },
    )?)
}

/// The hash of each kept row's image; `None` where its image is not in the tars: their number is the task's data.
pub fn image_hashes(
    context: &StepContext<'_>,
    uids: &[Uid],
    kept: &[bool],
    output: &mut TaskOutput,
) -> Result<Vec<Option<[u8; 16]>>> {
    let index = ImageIndex::open(&context.run.join("images"))?;
    let mut places: Vec<(UidEntry, usize)> = Vec::new();
    let mut missing = 0u64;
    for row in (0..uids.len()).filter(|&row| kept[row]) {
        match index.find(uids[row])?.first() {
            Some(entry) => places.push((*entry, row)),
            None => missing += 1,
        }
    }
    // By place in the tars, so that a tar is read forwards.
    places.sort_unstable_by_key(|(entry, row)| (entry.tar, entry.ordinal, *row));
    let mut hashes = vec![None; uids.len()];
    let mut open: Option<(u32, SourceFile)> = None;
    for (entry, row) in places {
        context.cancel.check()?;
        let sample = index.sample(&entry)?;
        let Some(member) = sample.members.iter().find(|member| {
            IMAGES.iter().any(|image| member.extension.eq_ignore_ascii_case(image.as_bytes()))
        }) else {
            missing += 1;
            continue;
        };
        if open.as_ref().is_none_or(|(tar, _)| *tar != entry.tar) {
            open = Some((entry.tar, SourceFile::open_local(&index.tars()[entry.tar as usize].path)?));
        }
        if let Some((_, file)) = &open {
            let bytes = file.read_range(member.data_offset, member.size as usize)?;
            output.bytes_read += member.size;
            hashes[row] = Some(short_hash(&bytes));
        }
    }
    output.data = missing.into();
    Ok(hashes)
}
