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

use crate::sample_rows::{Fault, image_bytes};

/// Of images that were scaled down; DataComp's are stored at 95 and less.
const QUALITY: u8 = 92;

/// An image, or why there is none.
pub type Picture = Result<Image, Fault>;

/// Reads the image of a row for a model. `longest` is the longer side in pixels; 0 sends it as it is. Fails only when something other than
/// the sample is at fault.
pub fn picture(
    storage: &dyn Storage,
    last: &mut LastFile,
    image: Option<&RowImage>,
    longest: u32,
) -> Result<Picture> {
    let (place, bytes) = match image_bytes(storage, last, image)? {
        Ok(read) => read,
        Err(fault) => return Ok(Err(fault)),
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
        Err(error) => Ok(Err(Fault::new(error.code(), format!("{}: {error}", place.name)))),
    }
}

fn too_wide(place: &ImagePlace) -> Fault {
    Fault::new(
        "too_many_pixels",
        format!("{}: more than 65535 pixels wide or high; give image_size", place.name),
    )
}

fn bytes_of(bytes: Cow<'_, [u8]>) -> Arc<[u8]> {
    match bytes {
        Cow::Borrowed(bytes) => bytes.into(),
        Cow::Owned(bytes) => bytes.into(),
    }
}
