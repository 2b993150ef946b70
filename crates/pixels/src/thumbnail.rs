//! Images made smaller for people and for models on a server: the whole picture, its longer side cut down to a length.
use crate::{
    Filter, Limits, PixelError, Rgb,
    formats::{self, Format},
    planes::Planes,
    resize::{Level, Order, Resizer, Source, Stretch},
};
use jpeg_encoder::{ColorType, Encoder, EncodingError};
use std::borrow::Cow;

/// What [`fit`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It is small enough already; its media type, such as `image/png`.
    AsItIs(&'static str),
    /// It was scaled down.
    Scaled(Rgb),
}

/// Decodes an image (so that a damaged one is found) and scales it down, by Pillow's bicubic filter, until neither side is longer than
/// `longest` pixels (at least 1). Both sides keep their ratio, rounded, and are at least 1.
///
/// # Errors
/// The image is empty, unknown, damaged or above the limit.
pub fn fit(bytes: &[u8], longest: usize, limits: &Limits) -> Result<Fit, PixelError> {
    let format = Format::of(bytes)?;
    let mut planes = Planes::default();
    formats::decode(format, bytes, limits, &mut Vec::new(), &mut planes)?;
    let (width, height) = (planes.width, planes.height);
    let longer = width.max(height);
    if longer <= longest.max(1) && format != Format::Bmp {
        return Ok(Fit::AsItIs(match format {
            Format::Jpeg => "image/jpeg",
            Format::Png => "image/png",
            Format::WebP => "image/webp",
            Format::Gif | Format::Bmp => "image/gif",
        }));
    }
    let scaled = |side: usize| {
        let exact = side as f64 * longest.max(1).min(longer) as f64 / longer as f64;
        (exact.round() as usize).max(1)
    };
    let (to_width, to_height) = (scaled(width), scaled(height));
    let stretch = |from: usize, to: usize| Stretch { from, extent: from as f64, to, window: 0..to };
    let level = Level::best();
    let mut resizer = Resizer::default();
    let reach =
        resizer.prepare(level, Filter::Bicubic, &stretch(height, to_height), &stretch(width, to_width));
    let mut small =
        Planes { width: to_width, height: to_height, channels: planes.channels, ..Planes::default() };
    for (samples, result) in planes.data.iter().zip(&mut small.data).take(planes.channels) {
        let source = Source { samples, stride: width, at: (reach.0.start, reach.1.start) };
        resizer.plane(level, source, Order::WidthFirst, result);
    }
    Ok(Fit::Scaled(small.to_rgb()))
}

/// A picture as pages and models on servers take it: its media type and its bytes. Those that were given where [`fit`] leaves it as it is,
/// else a JPEG of the quality (1 to 100).
///
/// # Errors
/// As [`fit`]; [`PixelError::TooLong`] where a side of the JPEG would be above 65,535.
pub fn fit_file<'a>(
    bytes: &'a [u8],
    longest: usize,
    quality: u8,
    limits: &Limits,
) -> Result<(&'static str, Cow<'a, [u8]>), PixelError> {
    let Rgb { width, height, pixels } = match fit(bytes, longest, limits)? {
        Fit::AsItIs(media) => return Ok((media, Cow::Borrowed(bytes))),
        Fit::Scaled(rgb) => rgb,
    };
    let too_long = PixelError::TooLong { width, height };
    let (Ok(wide), Ok(high)) = (u16::try_from(width), u16::try_from(height)) else { return Err(too_long) };
    let mut jpeg = Vec::new();
    let encoded = Encoder::new(&mut jpeg, quality).encode(&pixels, wide, high, ColorType::Rgb);
    // Into memory and with all pixels there, nothing else can go wrong.
    encoded.map_err(|_: EncodingError| too_long)?;
    Ok(("image/jpeg", Cow::Owned(jpeg)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A BMP of 24 bits: a ramp from left to right.
    fn bmp(width: usize, height: usize) -> Vec<u8> {
        let stride = (width * 3).next_multiple_of(4);
        let mut bytes = b"BM".to_vec();
        bytes.extend((54 + stride * height).to_le_bytes()[..4].iter());
        bytes.extend([0; 4]);
        bytes.extend(54u32.to_le_bytes());
        bytes.extend(40u32.to_le_bytes());
        bytes.extend((width as u32).to_le_bytes());
        bytes.extend((height as u32).to_le_bytes());
        bytes.extend([1, 0, 24, 0]);
        bytes.extend([0; 24]);
        for _ in 0..height {
            let mut row: Vec<u8> = (0..width).flat_map(|x| [(x * 255 / width.max(2)) as u8; 3]).collect();
            row.resize(stride, 0);
            bytes.extend(row);
        }
        bytes
    }

    #[test]
    fn the_longer_side_is_cut_down_and_small_images_stay() {
        let fit =
            |width, height, longest| match fit(&bmp(width, height), longest, &Limits::default()).unwrap() {
                Fit::Scaled(rgb) => {
                    assert_eq!(rgb.pixels.len(), rgb.width * rgb.height * 3);
                    (rgb.width, rgb.height, rgb.pixels)
                }
                Fit::AsItIs(media) => panic!("{media}"),
            };
        let (width, height, pixels) = fit(100, 50, 20);
        assert_eq!((width, height), (20, 10));
        assert!(pixels[0] < 20 && pixels[19 * 3] > 230);
        assert_eq!(fit(300, 1, 30).1, 1);
        // A BMP is no format of the web: it is made anew even where it is small enough.
        let (width, height, pixels) = fit(8, 4, 20);
        assert_eq!((width, height, pixels[7 * 3]), (8, 4, 223));
        let png = include_bytes!("../tests/vectors/images/rgba.png");
        assert_eq!(super::fit(png, 4096, &Limits::default()).unwrap(), Fit::AsItIs("image/png"));
        let (large, wide) = (bmp(100, 50), bmp(70_000, 1));
        let (media, bytes) = fit_file(&large, 20, 90, &Limits::default()).unwrap();
        let small = crate::decode_rgb(&bytes, &Limits::default()).unwrap();
        assert_eq!((media, small.width, small.height), ("image/jpeg", 20, 10));
        assert_eq!(
            fit_file(png, 4096, 90, &Limits::default()).unwrap(),
            ("image/png", Cow::Borrowed(&png[..]))
        );
        let wide = fit_file(&wide, 70_000, 90, &Limits::default());
        assert!(matches!(wide, Err(PixelError::TooLong { width: 70_000, height: 1 })));
        assert!(super::fit(&png[..60], 4096, &Limits::default()).is_err());
    }
}
