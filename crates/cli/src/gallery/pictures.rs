//! Pictures of samples: found in the index of the tars or among the input's own files, and made small for the page. An image that is missing,
//! damaged or too large is no reason to stop: the page says that there is none.
use std::collections::{BTreeMap, BTreeSet};

use cribble_core::{Cancel, Error, Result, Uid};
use cribble_io::{
    Dataset, Location,
    source::{ImagePlace, LastFile, RowImage},
    tar::ImageIndex,
};
use cribble_pipeline::RunFolder;
use cribble_pixels::{Fit, Limits, fit};
use jpeg_encoder::{ColorType, Encoder};
use rayon::prelude::*;

use super::draw::Place;

/// The longer side of a thumbnail in pixels, and the quality of its JPEG.
const SIDE: usize = 176;
const QUALITY: u8 = 74;
/// A small picture with more bytes (a film of many frames) is made anew.
const AS_IT_IS: usize = 24 << 10;
/// A file with more bytes is no picture that anybody trains on.
const MOST_BYTES: u64 = 64 << 20;
/// Without an index, pictures are sought shard by shard: in no more shards than this, and in fewer where a shard must be read whole.
const MOST_SHARDS: usize = 200;
const MOST_WHOLE_SHARDS: usize = 8;
/// Rows of a shard that are looked at together.
const ROWS: usize = 4096;

/// Calls `make` with the bytes of every image that is found. Returns what it made, and what a reader has to know.
pub fn each<T: Send>(
    dataset: &Dataset,
    run: &RunFolder,
    places: &BTreeSet<Place>,
    cancel: &Cancel,
    make: impl Fn(Uid, &[u8]) -> Result<Option<T>> + Sync,
) -> Result<(BTreeMap<Uid, T>, Vec<String>)> {
    let folder = run.path().join("images");
    if folder.join("tars.json").exists() {
        return Ok((indexed(&ImageIndex::open(&folder)?, dataset, places, cancel, make)?, Vec::new()));
    }
    if dataset.images().is_none() {
        let note = "No pictures: the input has none of its own, and no step read other ones.";
        return Ok((BTreeMap::new(), vec![note.into()]));
    }
    own(dataset, places, cancel, make)
}

fn indexed<T: Send>(
    index: &ImageIndex,
    dataset: &Dataset,
    places: &BTreeSet<Place>,
    cancel: &Cancel,
    make: impl Fn(Uid, &[u8]) -> Result<Option<T>> + Sync,
) -> Result<BTreeMap<Uid, T>> {
    let mut found: Vec<(Uid, ImagePlace)> = Vec::new();
    for place in places {
        let Some(entry) = index.find(place.uid)?.into_iter().next() else { continue };
        let sample = index.sample(&entry)?;
        let Some(member) = sample.image() else { continue };
        let tar = Location::local(&index.tars()[entry.tar as usize].path);
        found.push((place.uid, ImagePlace::member(&tar, &sample, member)));
    }
    let make = |(uid, place): &(Uid, ImagePlace)| {
        cancel.check()?;
        Ok(read(dataset, &mut LastFile::default(), place, |bytes| make(*uid, bytes))?
            .map(|made| (*uid, made)))
    };
    Ok(found.par_iter().map(make).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Reads one image; none where it is gone or too large.
fn read<T>(
    dataset: &Dataset,
    last: &mut LastFile,
    place: &ImagePlace,
    make: impl FnOnce(&[u8]) -> Result<Option<T>>,
) -> Result<Option<T>> {
    match place.read(dataset.storage(), last, MOST_BYTES) {
        Ok(Some(bytes)) => make(&bytes),
        Ok(None) | Err(_) => Ok(None),
    }
}

fn own<T: Send>(
    dataset: &Dataset,
    places: &BTreeSet<Place>,
    cancel: &Cancel,
    make: impl Fn(Uid, &[u8]) -> Result<Option<T>> + Sync,
) -> Result<(BTreeMap<Uid, T>, Vec<String>)> {
    let mut shards: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
    for place in places {
        shards.entry(place.shard).or_default().push(*place);
    }
    let holds_bytes = match shards.keys().next() {
        Some(&shard) => dataset.open_images(shard)?.is_some_and(|reader| reader.holds_bytes()),
        None => false,
    };
    let mut shards: Vec<(u32, Vec<Place>)> = shards.into_iter().collect();
    // Where most samples are, so that the fewest go without a picture.
    shards.sort_by_key(|(shard, places)| (std::cmp::Reverse(places.len()), *shard));
    let most = if holds_bytes { MOST_WHOLE_SHARDS } else { MOST_SHARDS };
    let mut notes = Vec::new();
    if shards.len() > most {
        let left_out = shards.split_off(most).len();
        notes.push(format!("Pictures are from {most} shards; {left_out} others were not read for them."));
    }
    let of_shard = |(shard, places): &(u32, Vec<Place>)| -> Result<Vec<(Uid, T)>> {
        cancel.check()?;
        let Some(mut reader) = dataset.open_images(*shard)? else { return Ok(Vec::new()) };
        let (mut made, mut last) = (Vec::new(), LastFile::default());
        let rows: BTreeMap<usize, Uid> = places.iter().map(|place| (place.row as usize, place.uid)).collect();
        let end = rows.keys().next_back().map_or(0, |row| row + 1);
        for start in (0..end).step_by(ROWS) {
            let wanted: Vec<bool> =
                (start..end.min(start + ROWS)).map(|row| rows.contains_key(&row)).collect();
            for (at, image) in reader.next(&wanted)?.into_iter().enumerate() {
                if let (Some(RowImage::At(place)), Some(&uid)) = (image, rows.get(&(start + at)))
                    && let Some(one) = read(dataset, &mut last, &place, |bytes| make(uid, bytes))?
                {
                    made.push((uid, one));
                }
            }
        }
        Ok(made)
    };
    let made = shards.par_iter().map(of_shard).collect::<Result<Vec<_>>>()?;
    Ok((made.into_iter().flatten().collect(), notes))
}

/// The picture as a small `data:` URL; none where it is damaged.
pub fn thumbnail(bytes: &[u8]) -> Result<Option<String>> {
    for side in [SIDE, SIDE / 2] {
        match fit(bytes, side, &Limits::default()) {
            Ok(Fit::AsItIs(media)) if bytes.len() <= AS_IT_IS => return Ok(Some(data_url(media, bytes))),
            Ok(Fit::AsItIs(_)) => {}
            Ok(Fit::Scaled(rgb)) => {
                let side = |side: usize| u16::try_from(side).map_err(|error| Error::bug(error.to_string()));
                let mut jpeg = Vec::new();
                let encoder = Encoder::new(&mut jpeg, QUALITY);
                let made = encoder.encode(&rgb.pixels, side(rgb.width)?, side(rgb.height)?, ColorType::Rgb);
                made.map_err(|error| Error::bug(format!("a thumbnail: {error}")))?;
                return Ok(Some(data_url("image/jpeg", &jpeg)));
            }
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

fn data_url(media: &str, bytes: &[u8]) -> String {
    format!("data:{media};base64,{}", base64(bytes))
}

/// RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for piece in bytes.chunks(3) {
        let group = piece
            .iter()
            .enumerate()
            .fold(0u32, |sum, (place, &byte)| sum | u32::from(byte) << (16 - 8 * place));
        for place in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= piece.len() { letter as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_vectors_of_its_standard() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[255, 254, 253]), "//79");
    }

    #[test]
    fn large_pictures_become_small_and_damaged_ones_none() {
        let noise: Vec<u8> =
            (0..640 * 480 * 3u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut jpeg = Vec::new();
        Encoder::new(&mut jpeg, 95).encode(&noise, 640, 480, ColorType::Rgb).unwrap();
        let url = thumbnail(&jpeg).unwrap().unwrap();
        assert!(
            url.starts_with("data:image/jpeg;base64,/9j/") && url.len() < jpeg.len() / 8,
            "{}",
            url.len()
        );
        assert_eq!(thumbnail(&jpeg[..200]).unwrap(), None);
        assert_eq!(thumbnail(b"no picture").unwrap(), None);
    }
}
