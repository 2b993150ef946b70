//! Uncompressed BMP: 8-bit palette, 24 and 32 bits, rows from either end. Rare in data sets, and small enough to read here.

use crate::planes::Planes;
use crate::{Limits, PixelError};

const FORMAT: &str = "BMP";
const CUT: PixelError = PixelError::Truncated { format: FORMAT, what: "the header" };

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, PixelError> {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(CUT)?;
    Ok(u32::from_le_bytes(*four))
}

pub(super) fn decode(bytes: &[u8], limits: &Limits, planes: &mut Planes) -> Result<(), PixelError> {
    let pixels_at = u32_at(bytes, 10)? as usize;
    let header = u32_at(bytes, 14)? as usize;
    if header < 40 {
        return Err(PixelError::Unsupported { format: FORMAT, what: format!("a header of {header} bytes") });
    }
    let (width, height) = (u32_at(bytes, 18)? as i32, u32_at(bytes, 22)? as i32);
    let upwards = height > 0;
    let bits = u32_at(bytes, 26)? >> 16;
    let compression = u32_at(bytes, 30)?;
    limits.check(u64::from(width.unsigned_abs()), u64::from(height.unsigned_abs()))?;
    if width <= 0 || height == 0 {
        return Err(PixelError::Corrupt { format: FORMAT, what: format!("{width} x {height} pixels") });
    }
    if compression != 0 || !matches!(bits, 8 | 24 | 32) {
        let what = format!("{bits} bits a pixel with compression {compression}");
        return Err(PixelError::Unsupported { format: FORMAT, what });
    }
    let (width, height) = (width as usize, height.unsigned_abs() as usize);
    let bytes_each = bits as usize / 8;
    let stride = (width * bytes_each).next_multiple_of(4);
    let rest = bytes.get(pixels_at..).unwrap_or_default();
    // The padding of the last row may be missing.
    if rest.len() < stride * (height - 1) + width * bytes_each {
        return Err(PixelError::Truncated { format: FORMAT, what: "the pixels" });
    }
    let palette = bytes.get(14 + header..pixels_at).unwrap_or_default().as_chunks::<4>().0;
    planes.reset(width, height, 3);
    let [red, green, blue] = &mut planes.data;
    for y in 0..height {
        let row = &rest[y * stride..][..width * bytes_each];
        let target = width * if upwards { height - 1 - y } else { y };
        for (x, pixel) in row.chunks_exact(bytes_each).enumerate() {
            let bgr = match pixel {
                [index] => palette.get(usize::from(*index)).map_or([0; 3], |p| [p[0], p[1], p[2]]),
                [b, g, r, ..] => [*b, *g, *r],
                _ => [0; 3],
            };
            (blue[target + x], green[target + x], red[target + x]) = (bgr[0], bgr[1], bgr[2]);
        }
    }
    Ok(())
}
