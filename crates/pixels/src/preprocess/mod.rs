//! From the bytes of an image to the values that an encoder takes.

mod config;
mod geometry;
mod route;

use serde::Serialize;

use crate::formats::Format;
use crate::resize::{Filter, Level};
use crate::{Limits, Mode, PixelError};
use geometry::{Axis, CropRounding, Resize};
pub use route::Scratch;

/// What a checkpoint wants done to an image: resize, crop, scale, normalise.
///
/// Serialises to the same bytes for the same treatment, wherever it was configured, so that it can go into a hash.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preprocess {
    resize: Resize,
    filter: Filter,
    /// (height, width) of the output.
    output: (usize, usize),
    rounding: CropRounding,
    /// Sample value where the resized image is smaller than the output.
    fill: u8,
    /// Factor of a sample before normalisation, usually 1/255.
    scale: f64,
    mean: [f32; 3],
    std: [f32; 3],
}

impl Preprocess {
    /// (height, width) of the output.
    pub fn size(&self) -> (usize, usize) {
        self.output
    }

    /// Decode `bytes` and write `[3, height, width]` (red, green, blue planes, normalised) to `out`.
    ///
    /// EXIF orientation is **not** applied: the loaders that CLIP models were trained and evaluated with
    /// (`Image.open(..).convert("RGB")`) ignore it too. Alpha is dropped, not blended.
    ///
    /// # Errors
    /// The image is empty, unknown, damaged or above the limit, or `out` has a wrong length. `out` is then unspecified.
    pub fn run(
        &self,
        bytes: &[u8],
        mode: Mode,
        limits: &Limits,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), PixelError> {
        self.run_at(Level::best(), bytes, mode, limits, scratch, out)
    }

    fn run_at(
        &self,
        level: Level,
        bytes: &[u8],
        mode: Mode,
        limits: &Limits,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), PixelError> {
        let (height, width) = self.output;
        if out.len() != 3 * height * width {
            return Err(PixelError::OutputSize { needed: 3 * height * width, given: out.len() });
        }
        let (rows, columns) = match (Format::of(bytes)?, mode) {
            (Format::Jpeg, Mode::Exact) => self.jpeg_exact(level, bytes, limits, scratch)?,
            (Format::Jpeg, Mode::Fast) => self.jpeg_fast(level, bytes, limits, scratch)?,
            (format, _) => self.other(level, format, bytes, limits, scratch)?,
        };
        for (c, plane) in out.chunks_exact_mut(height * width).enumerate() {
            self.normalise(c, &rows, &columns, scratch.result(c), plane);
        }
        Ok(())
    }

    /// The vertical and the horizontal axis for an image of that size.
    fn axes(&self, height: usize, width: usize) -> (Axis, Axis) {
        let (to_height, to_width) = self.resize.apply(height, width);
        (
            Axis::new(height, to_height, self.output.0, self.rounding),
            Axis::new(width, to_width, self.output.1, self.rounding),
        )
    }

    /// Samples of channel `c` to values, with padding around them.
    fn normalise(&self, c: usize, rows: &Axis, columns: &Axis, samples: &[u8], plane: &mut [f32]) {
        // As both libraries: scaled to f32 first, then (x - mean) / std in f32.
        let values: [f32; 256] =
            std::array::from_fn(|v| ((v as f64 * self.scale) as f32 - self.mean[c]) / self.std[c]);
        let (height, width) = self.output;
        if (rows.count, columns.count) != (height, width) {
            plane.fill(values[usize::from(self.fill)]);
        }
        let targets = plane.chunks_exact_mut(width).skip(rows.at);
        for (target, row) in targets.zip(samples.chunks_exact(columns.count)) {
            for (value, sample) in target[columns.at..].iter_mut().zip(row) {
                *value = values[usize::from(*sample)];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/images/");

    fn to_50() -> Preprocess {
        Preprocess::open_clip(50, [0.5; 3], [0.5; 3], "bicubic", "shortest").expect("a right configuration")
    }

    #[test]
    fn all_levels_give_the_same_values_for_every_recorded_image() {
        let mut compared = 0;
        for entry in std::fs::read_dir(FOLDER).expect("the recorded images") {
            let path = entry.expect("an entry").path();
            let bytes = std::fs::read(&path).expect("an image");
            for mode in [Mode::Exact, Mode::Fast] {
                let mut first: Option<Vec<f32>> = None;
                for level in Level::all() {
                    let mut out = vec![0.0; 3 * 50 * 50];
                    let (limits, mut scratch) = (Limits::default(), Scratch::default());
                    let done = to_50().run_at(*level, &bytes, mode, &limits, &mut scratch, &mut out);
                    assert_eq!(done, Ok(()), "{path:?}");
                    assert_eq!(first.get_or_insert_with(|| out.clone()), &out, "{path:?} {mode:?} {level:?}");
                }
                compared += 1;
            }
        }
        assert!(compared >= 130, "only {compared}");
    }

    #[test]
    fn scratch_keeps_nothing_of_the_image_before() {
        let mut used = Scratch::default();
        for name in [
            "size-333x517.jpg",
            "grey.jpg",
            "cmyk.jpg",
            "rgba.png",
            "size-7x3.jpg",
            "sampling-440.jpg",
            "l.png",
            "size-17x33.jpg",
            "sampling-420-progressive.jpg",
        ] {
            let bytes = std::fs::read(format!("{FOLDER}{name}")).expect("a recorded image");
            for mode in [Mode::Exact, Mode::Fast] {
                let [mut a, mut b] = [vec![0.0; 7500], vec![1.0; 7500]];
                to_50().run(&bytes, mode, &Limits::default(), &mut used, &mut a).expect("decodes");
                to_50()
                    .run(&bytes, mode, &Limits::default(), &mut Scratch::default(), &mut b)
                    .expect("decodes");
                assert!(a == b, "{name} {mode:?}");
            }
        }
    }
}
