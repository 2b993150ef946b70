//! An image on its way to a model: read, proven to be one, made smaller where it is larger than asked for.
use cribble_chat::Image;
use cribble_core::Result;
use cribble_io::{
    Storage,
    source::{LastFile, RowImage},
};
use cribble_pipeline::images::{Fault, image_bytes};
use cribble_pixels::{Limits, fit_file};

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
    Ok(match fit_file(&bytes, longest, QUALITY, &Limits::default()) {
        Ok((media, bytes)) => Ok(Image::Bytes { media, bytes: bytes.into_owned().into() }),
        Err(error) => Err(Fault::new(error.code(), format!("{}: {error}", place.name))),
    })
}
