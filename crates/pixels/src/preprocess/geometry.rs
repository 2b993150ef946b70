//! Sizes after resizing and offsets of crops, with the rounding of each library.

use serde::Serialize;

/// What the image is resized to, as (height, width) where two numbers are given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Resize {
    /// Not at all.
    None,
    /// The shorter edge becomes this long, the longer one `int(size * long / short)` (transformers and torchvision).
    Shortest(usize),
    /// Exactly this, whatever the aspect.
    Exact(usize, usize),
    /// The largest size of the same aspect inside this, each edge rounded (open_clip's `ResizeKeepRatio`, `longest=1`).
    Fit(usize, usize),
}

/// How an odd margin is halved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CropRounding {
    /// transformers: towards minus infinity, also when the margin is negative.
    Down,
    /// torchvision: half to even for a crop, towards the top left for padding.
    HalfEven,
}

impl Resize {
    /// (height, width) of the resized image. Both are at least 1.
    pub fn apply(self, height: usize, width: usize) -> (usize, usize) {
        match self {
            Self::None => (height, width),
            Self::Exact(h, w) => (h, w),
            Self::Shortest(size) => {
                // Python divides the integers' product to the nearest f64 and truncates; both are below 2^53 here.
                let long = |long: usize, short: usize| ((size * long) as f64 / short as f64) as usize;
                if width <= height { (long(height, width), size) } else { (size, long(width, height)) }
            }
            Self::Fit(h, w) => {
                let ratio = (height as f64 / h as f64).max(width as f64 / w as f64);
                let edge = |length: usize| ((length as f64 / ratio).round_ties_even() as usize).max(1);
                (edge(height), edge(width))
            }
        }
    }
}

impl CropRounding {
    /// Position in the resized axis of the first output position; negative where the output is padded.
    pub fn offset(self, length: usize, crop: usize) -> i64 {
        let margin = length as i64 - crop as i64;
        match self {
            Self::Down => margin.div_euclid(2),
            Self::HalfEven if margin >= 0 => (margin as f64 / 2.0).round_ties_even() as i64,
            Self::HalfEven => -(-margin / 2),
        }
    }
}

/// One axis of an image on its way to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Length of the source.
    pub from: usize,
    /// Length after resizing.
    pub to: usize,
    /// First position of the resized axis that is wanted.
    pub first: usize,
    /// Number of positions wanted.
    pub count: usize,
    /// Where they begin in the output; what is before and behind them is padding.
    pub at: usize,
}

impl Axis {
    /// The axis of `from` samples, resized to `to`, cut or padded to `crop`.
    pub fn new(from: usize, to: usize, crop: usize, rounding: CropRounding) -> Self {
        let offset = rounding.offset(to, crop);
        let first = offset.max(0) as usize;
        let at = (-offset).max(0) as usize;
        Self { from, to, first, count: (to - first).min(crop - at), at }
    }

    /// The wanted positions.
    pub fn window(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }
}

/// Whether Pillow resizes the height before the width, which rounds in another order: since Pillow 13 (pull request 9549) where the
/// height shrinks by more than twice as many pixels as the width.
pub(crate) fn height_first(rows: &Axis, columns: &Axis) -> bool {
    let shrinks = |axis: &Axis| axis.from as i64 - axis.to as i64;
    shrinks(rows) > 0 && shrinks(rows) > 2 * shrinks(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_offsets_are_those_of_the_libraries() {
        // Each by hand from the Python expressions quoted above.
        assert_eq!(Resize::Shortest(224).apply(517, 333), (347, 224));
        assert_eq!(Resize::Shortest(224).apply(1, 500), (224, 112_000));
        assert_eq!(Resize::Fit(224, 224).apply(517, 333), (224, 144));
        assert_eq!(Resize::Fit(224, 224).apply(1, 500), (1, 224));
        assert_eq!(CropRounding::Down.offset(347, 224), 61);
        assert_eq!(CropRounding::HalfEven.offset(347, 224), 62);
        assert_eq!(CropRounding::HalfEven.offset(225, 224), 0);
        assert_eq!(CropRounding::Down.offset(223, 224), -1);
        assert_eq!(CropRounding::HalfEven.offset(223, 224), 0);
        let axis = Axis::new(10, 5, 8, CropRounding::Down);
        assert_eq!((axis.first, axis.count, axis.at), (0, 5, 2));
    }
}
