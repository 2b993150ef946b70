//! Small pictures of hits, inside the report itself, for pages.
use std::{collections::BTreeMap, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use cribble_core::{Asked, Result, SearchReport, Uid};
use cribble_io::source::LastFile;
use cribble_pipeline::{
    Place, RunView, StepContext,
    images::{Pixels, build_index, image_bytes, images_of},
};
use cribble_pixels::{Limits, fit_file};

use crate::hits::uid_of;

/// Hits of which a page shows pictures, at most: more would make it too large to send.
pub const MOST_PICTURES: usize = 500;
/// Longer side of a picture, in pixels.
const LONGEST: usize = 320;
const QUALITY: u8 = 82;
/// An image that is small enough to be left as it is, but has more bytes, is left out.
const MOST_BYTES: usize = 400_000;

/// Adds the pictures of the first [`MOST_PICTURES`] hits, and that of what was asked. An image that cannot be read is left out; where the run
/// has none, a note says so. Where pixels lie in other tars, their index is built or completed in the run.
pub fn add_pictures(view: &RunView, context: &StepContext<'_>, report: &mut SearchReport) -> Result<()> {
    if let Asked::Image { file } = &report.query {
        report.picture = std::fs::read(Path::new(file)).ok().and_then(|bytes| data_url(&bytes));
    }
    let Some(pixels) = Pixels::of(&view.dataset, context.images) else {
        report.notes.push(
            "the run knows no images: set images in [input] of its recipe to the tars with the pixels".into(),
        );
        return Ok(());
    };
    let index = if pixels == Pixels::Tars { Some(build_index(context)?) } else { None };
    /// Where a picture goes: to a hit, or to what was asked.
    type To = Option<usize>;
    let mut wanted = BTreeMap::<u32, Vec<(usize, Uid, To)>>::new();
    for (place, hit) in report.hits.iter().enumerate().take(MOST_PICTURES) {
        if let Some(shard) = view.shard(&hit.shard) {
            wanted.entry(shard).or_default().push((hit.row as usize, uid_of(hit)?, Some(place)));
        }
    }
    if let Asked::Sample { uid, .. } = &report.query {
        let place = Place::find(&view.run, uid)?;
        if let Some(shard) = view.shard(&place.shard) {
            wanted.entry(shard).or_default().push((place.row, place.uid, None));
        }
    }
    let mut last = LastFile::default();
    for (shard, mut rows) in wanted {
        context.cancel.check()?;
        rows.sort_unstable();
        let places: Vec<(usize, Uid)> = rows.iter().map(|(row, uid, _)| (*row, *uid)).collect();
        for (at, image) in images_of(context, index.as_ref(), shard, &places)? {
            let Ok((_, bytes)) = image_bytes(view.dataset.storage(), &mut last, Some(&image))? else {
                continue;
            };
            let url = data_url(&bytes);
            match rows[at].2 {
                Some(hit) => report.hits[hit].picture = url,
                None => report.picture = url,
            }
        }
    }
    Ok(())
}

/// A small picture as a URL that needs no network; `None` for what is no picture.
fn data_url(bytes: &[u8]) -> Option<String> {
    let (media, small) = fit_file(bytes, LONGEST, QUALITY, &Limits::default()).ok()?;
    (small.len() <= MOST_BYTES).then(|| format!("data:{media};base64,{}", STANDARD.encode(&small)))
}
