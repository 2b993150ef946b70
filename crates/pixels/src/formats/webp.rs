//! WebP (lossy, lossless, with alpha; the first frame of an animation) through the `image-webp` crate. Alpha is dropped.

use std::io::{Cursor, ErrorKind};

use image_webp::{DecodingError, WebPDecoder};

use crate::planes::Planes;
use crate::{Limits, PixelError};

const FORMAT: &str = "WebP";

fn refused(error: DecodingError) -> PixelError {
    match error {
        DecodingError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            PixelError::Truncated { format: FORMAT, what: "a chunk" }
        }
        DecodingError::NotEnoughInitData => PixelError::Truncated { format: FORMAT, what: "a chunk" },
        other => PixelError::Corrupt { format: FORMAT, what: other.to_string() },
    }
}

pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    interleaved: &mut Vec<u8>,
    planes: &mut Planes,
) -> Result<(), PixelError> {
    // The container says how long it is.
    let length = bytes.get(4..8).and_then(|b| b.first_chunk::<4>()).map_or(0, |b| u32::from_le_bytes(*b));
    let cut = (bytes.len() as u64) < u64::from(length) + 8;
    let truncated = PixelError::Truncated { format: FORMAT, what: "its container" };
    let refused = |error| if cut { truncated.clone() } else { refused(error) };
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(refused)?;
    let (width, height) = decoder.dimensions();
    limits.check(u64::from(width), u64::from(height))?;
    let Some(size) = decoder.output_buffer_size() else {
        return Err(PixelError::TooManyPixels {
            width: width.into(),
            height: height.into(),
            limit: limits.max_pixels,
        });
    };
    if cut {
        return Err(truncated);
    }
    interleaved.resize(size, 0);
    decoder.read_image(interleaved).map_err(refused)?;
    let (width, height) = (width as usize, height as usize);
    if decoder.has_alpha() {
        planes.take_interleaved::<4>(width, height, interleaved);
    } else {
        planes.take_interleaved::<3>(width, height, interleaved);
    }
    Ok(())
}
