//! Which format the bytes are, and the decoders of every format but JPEG.

mod bmp;
mod gif;
mod png;
mod webp;

use crate::planes::Planes;
use crate::{Limits, PixelError};

/// A format that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
}

impl Format {
    /// The format by the first bytes. Names and extensions are not asked: on the web they lie.
    pub fn of(bytes: &[u8]) -> Result<Self, PixelError> {
        match bytes {
            [] => Err(PixelError::EmptyImage),
            [0xff, 0xd8, 0xff, ..] => Ok(Self::Jpeg),
            [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Ok(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Self::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(Self::Gif),
            [b'B', b'M', ..] => Ok(Self::Bmp),
            _ => {
                let start: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
                Err(PixelError::UnknownFormat { start: start.join(" ") })
            }
        }
    }
}

/// Decode anything but a JPEG to grey or RGB planes.
pub(crate) fn decode(
    format: Format,
    bytes: &[u8],
    limits: &Limits,
    interleaved: &mut Vec<u8>,
    planes: &mut Planes,
) -> Result<(), PixelError> {
    match format {
        Format::Png => png::decode(bytes, limits, interleaved, planes),
        Format::WebP => webp::decode(bytes, limits, interleaved, planes),
        Format::Gif => gif::decode(bytes, limits, interleaved, planes),
        Format::Bmp => bmp::decode(bytes, limits, planes),
        Format::Jpeg => crate::jpeg::decode(bytes, limits, planes),
    }
}
