//! Images for encoders: decoding, resizing as PIL does, preprocessing as a checkpoint asks.
//!
//! [`Preprocess`] says what a checkpoint wants and does it: bytes of a JPEG, PNG, WebP, GIF or BMP in, normalised planes out. In
//! [`Mode::Exact`] the samples are those of Pillow 13 to the last bit on everything that `parity/pixels.py` records; [`Mode::Fast`]
//! decodes JPEGs at the smallest scale that is enough.
//!
//! Decided, and the same in all formats: EXIF orientation is not applied and alpha is dropped, as `Image.open(..).convert("RGB")` does
//! before CLIP's preprocessing (transformers' `load_image` turns, and transformers 5 lays what still has alpha on white: neither is
//! done here). Of animations the first frame is taken. Damaged data is an error, also where Pillow goes on with grey.
//!
//! ```
//! use cribble_pixels::{Limits, Mode, Preprocess, Scratch};
//!
//! let text = r#"{"image_processor_type": "CLIPImageProcessor", "size": 8, "crop_size": 8}"#;
//! let preprocess = Preprocess::from_json(text)?;
//! let image = include_bytes!("../tests/vectors/images/rgba.png");
//! let mut values = vec![0.0; 3 * 8 * 8];
//! preprocess.run(image, Mode::Exact, &Limits::default(), &mut Scratch::default(), &mut values)?;
//! # assert!(values.iter().any(|v| *v != 0.0));
//! # Ok::<(), cribble_pixels::PixelError>(())
//! ```
#![warn(missing_docs)]

mod error;
mod formats;
mod jpeg;
mod limits;
mod planes;
mod preprocess;
mod resize;
mod thumbnail;

pub use error::PixelError;
pub use limits::{Limits, Mode};
pub use planes::Rgb;
pub use preprocess::{Preprocess, Scratch};
pub use resize::Filter;
pub use thumbnail::{Fit, fit, fit_file};

/// Decode an image as Pillow's `Image.open(..).convert("RGB")` does: no EXIF orientation, alpha dropped.
///
/// # Errors
/// The image is empty, unknown, damaged or above the limit.
pub fn decode_rgb(bytes: &[u8], limits: &Limits) -> Result<Rgb, PixelError> {
    let mut planes = planes::Planes::default();
    let format = formats::Format::of(bytes)?;
    formats::decode(format, bytes, limits, &mut Vec::new(), &mut planes)?;
    Ok(planes.to_rgb())
}
