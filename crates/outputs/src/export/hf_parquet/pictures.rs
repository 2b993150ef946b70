//! The pictures of a shard's rows: first where they lie, then, a group at a time, their bytes.
use std::{borrow::Cow, path::Path};

use cribble_core::{Error, Result, Uid};
use cribble_io::{
    source::{ImagePlace, ImageReader, LastFile, RowImage},
    tar::{BuildOptions, ImageIndex},
};
use cribble_pipeline::{
    StepContext,
    images::{Fault, Located, Pixels, build_index, image_bytes, tars},
};
use rayon::prelude::*;

/// Rows whose places are found together.
const ROWS: usize = 4096;
/// The same where places carry their bytes.
const ROWS_WITH_BYTES: usize = 32;

/// Where a run's pictures are.
pub struct Pictures<'a> {
    context: &'a StepContext<'a>,
    index: Option<ImageIndex>,
}

impl<'a> Pictures<'a> {
    /// Opens them. For the run's own tars its index is built or completed, as every search with pictures does; for others one is made in `state`.
    pub fn open(context: &'a StepContext<'a>, pixels: Pixels, is_runs: bool, state: &Path) -> Result<Self> {
        let index = match (pixels, context.images) {
            (Pixels::Own, _) | (_, None) => None,
            (Pixels::Tars, Some(_)) if is_runs => Some(build_index(context)?),
            (Pixels::Tars, Some(images)) => Some(ImageIndex::build(
                &tars(images)?,
                &BuildOptions {
                    folder: &state.join("images"),
                    threads: context.threads,
                    memory_bytes: (context.memory / 8) as usize,
                    read_ahead: 1 << 20,
                    on_tar: &|| {},
                    stop: &|| context.cancel.is_cancelled(),
                },
            )?),
        };
        Ok(Self { context, index })
    }

    /// The places of a shard's pictures, row by row from the first on.
    pub fn of_shard(&self, shard: u32) -> Result<ShardPictures<'_>> {
        let source = match &self.index {
            Some(index) => Source::Tars(index),
            None => {
                let reader = self.context.dataset.open_images(shard)?;
                Source::Own(reader.ok_or_else(|| Error::bug("the input's images are gone"))?)
            }
        };
        Ok(ShardPictures { source, row: 0 })
    }

    /// Reads pictures, in the order given; a fault is the row's own.
    pub fn read(&self, places: &[(usize, ImagePlace)]) -> Result<Vec<Result<Vec<u8>, Fault>>> {
        let read =
            |last: &mut LastFile, (_, place): &(usize, ImagePlace)| -> Result<Result<Vec<u8>, Fault>> {
                self.context.cancel.check()?;
                let image = RowImage::At(place.clone());
                let bytes = image_bytes(self.context.dataset.storage(), last, Some(&image))?;
                Ok(bytes.map(|(_, bytes)| Cow::into_owned(bytes)).and_then(|bytes| {
                    if bytes.is_empty() {
                        Err(Fault::new("empty_file", format!("{}: not a single byte", place.name)))
                    } else {
                        Ok(bytes)
                    }
                }))
            };
        places.par_iter().map_init(LastFile::default, read).collect()
    }
}

/// The places of one shard's pictures.
pub struct ShardPictures<'a> {
    source: Source<'a>,
    row: usize,
}

enum Source<'a> {
    Own(ImageReader),
    Tars(&'a ImageIndex),
}

impl ShardPictures<'_> {
    /// The wanted ones among the next rows, with their row; `None` after the last.
    pub fn next(&mut self, uids: &[Uid], wanted: &[bool]) -> Result<Option<Vec<(usize, RowImage)>>> {
        let start = self.row;
        if start == uids.len() {
            return Ok(None);
        }
        let rows = match &self.source {
            Source::Own(reader) if reader.holds_bytes() => ROWS_WITH_BYTES,
            _ => ROWS,
        };
        self.row = uids.len().min(start + rows);
        let wanted_here = &wanted[start..self.row];
        Ok(Some(match &mut self.source {
            Source::Own(reader) => {
                let images = reader.next(wanted_here)?.into_iter().enumerate();
                images.filter_map(|(at, image)| Some((start + at, image?))).collect()
            }
            Source::Tars(index) => {
                let rows = (start..self.row).filter(|&row| wanted[row]).map(|row| (uids[row], row));
                let mut images = Located::new(index, rows)?.collect::<Result<Vec<_>>>()?;
                images.sort_unstable_by_key(|(row, _)| *row);
                images
            }
        }))
    }
}

/// What a picture's file name ends in, by its first bytes.
pub fn extension(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xd8, ..] => "jpg",
        [0x89, b'P', b'N', b'G', ..] => "png",
        [b'G', b'I', b'F', b'8', ..] => "gif",
        [b'B', b'M', ..] => "bmp",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        [b'I', b'I', 0x2a, 0, ..] | [b'M', b'M', 0, 0x2a, ..] => "tif",
        _ => "bin",
    }
}
