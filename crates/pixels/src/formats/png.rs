//! PNG through the `png` crate, to the bytes that Pillow's `convert("RGB")` gives.
//!
//! Alpha and `tRNS` are dropped, not blended. Samples of 16 bits keep their high byte in colour images; grey ones (Pillow's `I;16`) are
//! cut at 255, which is what Pillow's conversion does. Unlike Pillow, a wrong checksum of the pixel data is an error.

use std::io::{Cursor, ErrorKind};

use ::png::{BitDepth, ColorType, Decoder, DecodingError, Transformations};

use crate::planes::Planes;
use crate::{Limits, PixelError};

const FORMAT: &str = "PNG";

fn refused(error: DecodingError) -> PixelError {
    match error {
        DecodingError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            PixelError::Truncated { format: FORMAT, what: "a chunk" }
        }
        DecodingError::IoError(e) => PixelError::Corrupt { format: FORMAT, what: e.to_string() },
        DecodingError::LimitsExceeded => PixelError::Corrupt {
            format: FORMAT,
            what: "a chunk asks for more memory than the image needs".into(),
        },
        other => PixelError::Corrupt { format: FORMAT, what: other.to_string() },
    }
}

pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    interleaved: &mut Vec<u8>,
    planes: &mut Planes,
) -> Result<(), PixelError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    // Text and colour profiles are not used; not reading them spares their decompression.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(refused)?;
    let (width, height) = (header.width as usize, header.height as usize);
    limits.check(width as u64, height as u64)?;
    // Deflate makes at most 1032 bytes of one (RFC 1951: 258 bytes take two bits): what promises more needs no memory to be refused.
    let row = (width as u64 * header.color_type.samples() as u64 * header.bit_depth as u64).div_ceil(8);
    if (bytes.len() as u64).saturating_mul(1032) < row * height as u64 {
        return Err(PixelError::Truncated { format: FORMAT, what: "the pixels" });
    }
    let deep_grey = header.bit_depth == BitDepth::Sixteen && header.color_type == ColorType::Grayscale;
    decoder.set_transformations(if deep_grey {
        Transformations::IDENTITY
    } else {
        Transformations::EXPAND | Transformations::STRIP_16
    });
    let mut reader = decoder.read_info().map_err(refused)?;
    let Some(size) = reader.output_buffer_size() else {
        return Err(PixelError::TooManyPixels {
            width: width as u64,
            height: height as u64,
            limit: limits.max_pixels,
        });
    };
    interleaved.resize(size, 0);
    let frame = reader.next_frame(interleaved).map_err(refused)?;
    let samples = &interleaved[..frame.buffer_size()];
    if deep_grey {
        planes.reset(width, height, 1);
        let (deep, _) = samples.as_chunks::<2>();
        planes.data[0].iter_mut().zip(deep).for_each(|(v, d)| *v = if d[0] == 0 { d[1] } else { 255 });
        return Ok(());
    }
    match frame.color_type {
        ColorType::Grayscale => planes.take_interleaved::<1>(width, height, samples),
        ColorType::GrayscaleAlpha => planes.take_interleaved::<2>(width, height, samples),
        ColorType::Rgb => planes.take_interleaved::<3>(width, height, samples),
        ColorType::Rgba => planes.take_interleaved::<4>(width, height, samples),
        ColorType::Indexed => {
            return Err(PixelError::Corrupt {
                format: FORMAT,
                what: "a palette image has no palette".into(),
            });
        }
    }
    Ok(())
}
