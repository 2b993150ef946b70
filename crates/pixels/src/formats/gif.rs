//! The first frame of a GIF through the `gif` crate, on a canvas as Pillow lays it.
//!
//! The canvas is the logical screen, grown where the frame is larger; outside the frame it holds the transparent index, else 0.
//! Transparency is dropped. Indices without a colour are grey ramps, as in Pillow's fresh palettes.

use std::io::{Cursor, ErrorKind};

use ::gif::{ColorOutput, DecodeOptions, DecodingError};

use crate::planes::Planes;
use crate::{Limits, PixelError};

const FORMAT: &str = "GIF";

fn refused(bytes: &[u8], error: DecodingError) -> PixelError {
    let truncated = PixelError::Truncated { format: FORMAT, what: "the first frame" };
    match error {
        DecodingError::UnexpectedEof => truncated,
        // The compressed data ends early, and the trailer is missing too.
        DecodingError::Format(_) if bytes.last() != Some(&0x3b) => truncated,
        DecodingError::Io(e) if e.kind() == ErrorKind::UnexpectedEof => truncated,
        other => PixelError::Corrupt { format: FORMAT, what: other.to_string() },
    }
}

pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    interleaved: &mut Vec<u8>,
    planes: &mut Planes,
) -> Result<(), PixelError> {
    let refused = |error| refused(bytes, error);
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(&refused)?;
    let screen = (usize::from(decoder.width()), usize::from(decoder.height()));
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.next_frame_info().map_err(&refused)?;
    let Some(frame) = frame else {
        return Err(PixelError::Corrupt { format: FORMAT, what: "it holds no frame".into() });
    };
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
    let (width, height) = (screen.0.max(left + frame_width), screen.1.max(top + frame_height));
    limits.check(width as u64, height as u64)?;
    if width == 0 || height == 0 || frame_width == 0 || frame_height == 0 {
        return Err(PixelError::Corrupt { format: FORMAT, what: "the first frame has no pixels".into() });
    }
    let palette = frame.palette.clone().or(global);
    let ground = frame.transparent.unwrap_or(0);
    interleaved.resize(frame_width * frame_height, 0);
    decoder.read_into_buffer(interleaved).map_err(&refused)?;

    let mut colours: [[u8; 3]; 256] = std::array::from_fn(|i| [i as u8; 3]);
    let stored = palette.unwrap_or_default();
    for (colour, entry) in colours.iter_mut().zip(stored.as_chunks::<3>().0) {
        *colour = *entry;
    }
    planes.reset(width, height, 3);
    for (c, plane) in planes.data.iter_mut().enumerate() {
        plane.fill(colours[usize::from(ground)][c]);
        for (y, row) in interleaved.chunks_exact(frame_width).enumerate() {
            let target = &mut plane[(top + y) * width + left..][..frame_width];
            target.iter_mut().zip(row).for_each(|(v, index)| *v = colours[usize::from(*index)][c]);
        }
    }
    Ok(())
}
