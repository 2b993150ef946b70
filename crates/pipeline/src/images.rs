//! The images of rows, for all who read pixels: the input's own, or those of other tars through the index of `input.images`.
use std::borrow::Cow;

use cribble_core::{Error, Result, Uid};
use cribble_io::{
    Location, Storage,
    source::{Dataset, ImagePlace, LastFile, RowImage, missing_member},
    storage::LocalStorage,
    tar::{BuildOptions, ImageIndex, TarSource, UidEntry, list_tars, shard_file::SampleReader},
};

use crate::StepContext;

/// A file with more bytes is no image that anybody trains on; reading it would break the memory ceiling.
const MOST_BYTES: u64 = 256 << 20;

/// Where pixels come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// The input's own files.
    Own,
    /// The tars of `input.images`, by uid.
    Tars,
}

impl Pixels {
    /// The input's own images first, then those of other tars; `None` where there are neither.
    pub fn of(dataset: &Dataset, images: Option<&str>) -> Option<Self> {
        if dataset.images().is_some() { Some(Self::Own) } else { images.map(|_| Self::Tars) }
    }

    /// What a step's identity says of them: the names and lengths of other tars. The input's own files are in its fingerprint.
    pub fn identity(self, images: Option<&str>) -> Result<String> {
        let (Self::Tars, Some(images)) = (self, images) else { return Ok(String::new()) };
        let mut text = String::new();
        for tar in tars(images)? {
            let length = std::fs::metadata(tar.location.path()).map_or(0, |data| data.len());
            text += &format!("\n{} {length}", tar.name);
        }
        Ok(text)
    }

    /// Where they come from, for people.
    pub fn describe(self, context: &StepContext<'_>) -> Result<String> {
        Ok(match self {
            Self::Own => context.dataset.images().unwrap_or_default().to_string(),
            Self::Tars => {
                let images = context.images.unwrap_or_default();
                format!("{} tars of {images}, by uid", tars(images)?.len())
            }
        })
    }
}

/// Why nothing can be made of a row.
pub struct Fault {
    /// Short and stable: the key of counts.
    pub code: &'static str,
    /// A sentence for a person.
    pub message: String,
}

impl Fault {
    /// A code and its sentence.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The bytes of an image and where they lie, or why there are none.
pub type ImageBytes<'a> = Result<(&'a ImagePlace, Cow<'a, [u8]>), Fault>;

/// Reads a row's image. Fails only when something other than the sample is at fault: a file
/// of its own that is gone or refused is the sample's, a shared one (a tar, a table) is the input's.
pub fn image_bytes<'a>(
    storage: &dyn Storage,
    last: &mut LastFile,
    image: Option<&'a RowImage>,
) -> Result<ImageBytes<'a>> {
    let place = match image {
        Some(RowImage::At(place)) => place,
        Some(RowImage::Missing(why)) => return Ok(Err(Fault::new("no_image", why.as_str()))),
        None => return Ok(Err(Fault::new("no_image", "the row has no image"))),
    };
    match place.read(storage, last, MOST_BYTES) {
        Ok(Some(bytes)) => Ok(Ok((place, bytes))),
        Ok(None) => {
            let message = format!("{}: more than {} MB", place.name, MOST_BYTES >> 20);
            Ok(Err(Fault::new("file_too_large", message)))
        }
        Err(error) if place.length().is_some() => Err(error.into()),
        Err(error) => Ok(Err(Fault::new("no_image", error.to_string()))),
    }
}

/// The tars that `input.images` names.
pub fn tars(images: &str) -> Result<Vec<TarSource>> {
    let sources = list_tars(&LocalStorage, &Location::parse(images)?)?;
    if sources.is_empty() {
        return Err(Error::input(format!("{images}: there is no tar"))
            .with_hint("images = \"…\" in [input] names a tar, or a folder with tars in it"));
    }
    Ok(sources)
}

/// Builds (or completes) the index of the run's tars.
pub fn build_index(context: &StepContext<'_>) -> Result<ImageIndex> {
    let Some(images) = context.images else {
        return Err(Error::bug("images are needed and the input names none"));
    };
    Ok(ImageIndex::build(
        &tars(images)?,
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

/// Opens the index that [`build_index`] made.
pub fn open_index(context: &StepContext<'_>) -> Result<ImageIndex> {
    Ok(ImageIndex::open(&context.run.join("images"))?)
}

/// The images of rows, each with its row: first those that are in no tar, then the others by place, so that a tar is read forwards.
pub struct Located<'a> {
    index: &'a ImageIndex,
    missing: std::vec::IntoIter<(Uid, usize)>,
    found: std::vec::IntoIter<(UidEntry, usize)>,
    open: Option<(u32, SampleReader)>,
}

impl<'a> Located<'a> {
    /// Looks every row up. Of several samples with one uid the first in the tars counts.
    pub fn new(index: &'a ImageIndex, rows: impl Iterator<Item = (Uid, usize)>) -> Result<Self> {
        let (mut missing, mut found) = (Vec::new(), Vec::new());
        for (uid, row) in rows {
            match index.find(uid)?.first() {
                Some(entry) => found.push((*entry, row)),
                None => missing.push((uid, row)),
            }
        }
        found.sort_unstable_by_key(|(entry, row)| (entry.tar, entry.ordinal, *row));
        Ok(Self { index, missing: missing.into_iter(), found: found.into_iter(), open: None })
    }

    fn image(&mut self, entry: UidEntry) -> Result<RowImage> {
        let tar = &self.index.tars()[entry.tar as usize];
        let mut reader = match self.open.take() {
            Some((open, reader)) if open == entry.tar => reader,
            _ => self.index.reader(entry.tar)?,
        };
        reader.seek(entry.record);
        let sample = reader.next_sample()?.filter(|sample| sample.uid == entry.uid);
        self.open = Some((entry.tar, reader));
        let Some(sample) = sample else {
            return Err(Error::input(format!("the image index does not fit {}", tar.path.display()))
                .with_hint("remove the folder 'images' of the run: the index will be built again"));
        };
        Ok(match sample.image() {
            Some(member) => RowImage::At(ImagePlace::member(&Location::local(&tar.path), &sample, member)),
            None => RowImage::Missing(missing_member(&tar.name, &sample)),
        })
    }
}

impl Iterator for Located<'_> {
    type Item = Result<(usize, RowImage)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((uid, row)) = self.missing.next() {
            return Some(Ok((row, RowImage::Missing(format!("no tar of input.images has a sample {uid}")))));
        }
        let (entry, row) = self.found.next()?;
        Some(self.image(entry).map(|image| (row, image)))
    }
}

/// Where the images of some rows of a shard lie, each with its position in `rows`, which ascend. `index` is that of other tars, where the
/// pixels lie there; without it they are the input's own.
pub fn images_of(
    context: &StepContext<'_>,
    index: Option<&ImageIndex>,
    shard: u32,
    rows: &[(usize, Uid)],
) -> Result<Vec<(usize, RowImage)>> {
    if let Some(index) = index {
        return Located::new(index, rows.iter().enumerate().map(|(at, (_, uid))| (*uid, at)))?.collect();
    }
    let (Some(mut reader), Some((last, _))) = (context.dataset.open_images(shard)?, rows.last()) else {
        return Ok(Vec::new());
    };
    let mut wanted = vec![false; last + 1];
    rows.iter().for_each(|(row, _)| wanted[*row] = true);
    let mut images = reader.next(&wanted)?;
    let found = rows.iter().enumerate().map(|(at, (row, _))| Some((at, images[*row].take()?)));
    Ok(found.flatten().collect())
}
