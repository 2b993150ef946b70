//! An image on its way to a model: read, proven to be one, made smaller where it is larger than asked for.
use std::{borrow::Cow, sync::Arc};

use cribble_chat::Image;
use cribble_core::{Error, Result};
use cribble_io::{
    Storage,
    source::{ImagePlace, LastFile, RowImage},
};
use cribble_pixels::{Fit, Limits, fit};
use jpeg_encoder::{ColorType, Encoder};

/// A file with more bytes is no image that anybody trains on; reading it would break the memory ceiling.
const MOST_BYTES: u64 = 256 << 20;
/// Of images that were scaled down; DataComp's are stored at 95 and less.
const QUALITY: u8 = 92;

/// An image, or the code and the words that say why there is none.
pub type Picture = Result<Image, (&'static str, String)>;

/// Reads the image of a row for a model. `longest` is the longer side in pixels; 0 sends it as it is. Fails only when something other than
/// the sample is at fault.
pub fn picture(
    storage: &dyn Storage,
    last: &mut LastFile,
    image: Option<&RowImage>,
    longest: u32,
) -> Result<Picture> {
    let place = match image {
        Some(RowImage::At(place)) => place,
        Some(RowImage::Missing(why)) => return Ok(Err(("no_image", why.clone()))),
        None => return Ok(Err(("no_image", "the row has no image".into()))),
    };
    let bytes = match place.read(storage, last, MOST_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            let message = format!("{}: more than {} MB", place.name, MOST_BYTES >> 20);
            return Ok(Err(("file_too_large", message)));
        }
        // A file of its own that is gone is the sample's fault; a shared one (a tar, a table) is the input's.
        Err(error) if place.length().is_some() => return Err(error.into()),
        Err(error) => return Ok(Err(("no_image", error.to_string()))),
    };
    let longest = if longest == 0 { usize::MAX } else { longest as usize };
    match fit(&bytes, longest, &Limits::default()) {
        Ok(Fit::AsItIs(media)) => Ok(Ok(Image::Bytes { media, bytes: bytes_of(bytes) })),
        Ok(Fit::Scaled(rgb)) => {
            let mut jpeg = Vec::new();
            let side = |side: usize| u16::try_from(side).ok();
            let (Some(width), Some(height)) = (side(rgb.width), side(rgb.height)) else {
                return Ok(Err(too_wide(place)));
            };
            let encoded = Encoder::new(&mut jpeg, QUALITY).encode(&rgb.pixels, width, height, ColorType::Rgb);
            encoded.map_err(|error| Error::bug(format!("{}: {error}", place.name)))?;
            Ok(Ok(Image::Bytes { media: "image/jpeg", bytes: jpeg.into() }))
        }
        Err(error) => Ok(Err((error.code(), format!("{}: {error}", place.name)))),
    }
}

fn too_wide(place: &ImagePlace) -> (&'static str, String) {
    ("too_many_pixels", format!("{}: more than 65535 pixels wide or high; give image_size", place.name))
}

fn bytes_of(bytes: Cow<'_, [u8]>) -> Arc<[u8]> {
    match bytes {
        Cow::Borrowed(bytes) => bytes.into(),
        Cow::Owned(bytes) => bytes.into(),
    }
}
