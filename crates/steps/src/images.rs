//! The images of rows whose pixels lie in other tars than the rows do: the index of `input.images`, shared by every step that reads pixels.
use cribble_core::{Error, Result, Uid};
use cribble_io::{
    Location,
    source::{ImagePlace, RowImage, missing_member},
    storage::LocalStorage,
    tar::{BuildOptions, ImageIndex, TarSource, UidEntry, list_tars, shard_file::SampleReader},
};
use cribble_pipeline::StepContext;

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
