//! Resampling filters and their fixed-point weights, computed by Pillow's formulas.
//!
//! Source: Pillow `src/libImaging/Resample.c` (`precompute_coeffs`, `normalize_coeffs_8bpc`): weights are computed in f64, divided
//! by their sum and rounded to 22 fractional bits. What follows is our own text of those formulas.

use serde::{Deserialize, Serialize};

/// Fractional bits of a weight: 32 bits less 8 for the sample and 2 for overshoot, as in Pillow.
pub(crate) const WEIGHT_BITS: u32 = 22;

/// A resampling filter, by Pillow's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The nearest pixel, no smoothing.
    Nearest,
    /// Windowed sinc, three lobes.
    Lanczos,
    /// Triangle.
    Bilinear,
    /// Cubic convolution with a = -0.5.
    Bicubic,
    /// Mean of the covered pixels.
    Box,
    /// Hamming-windowed sinc, one lobe.
    Hamming,
}

impl Filter {
    /// The filter with Pillow's number (`PIL.Image.Resampling`), 0 to 5.
    pub(crate) fn from_pil(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Nearest,
            1 => Self::Lanczos,
            2 => Self::Bilinear,
            3 => Self::Bicubic,
            4 => Self::Box,
            5 => Self::Hamming,
            _ => return None,
        })
    }

    /// Radius in output pixels.
    fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.0,
            Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// Value at a distance of `x` output pixels.
    pub(crate) fn at(self, x: f64) -> f64 {
        use std::f64::consts::PI;
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
        let d = x.abs();
        match self {
            Self::Nearest => 0.0,
            Self::Box => f64::from(x > -0.5 && x <= 0.5),
            Self::Bilinear => (1.0 - d).max(0.0),
            Self::Hamming if d == 0.0 => 1.0,
            Self::Hamming if d >= 1.0 => 0.0,
            Self::Hamming => sinc(d) * (0.54 + 0.46 * (d * PI).cos()),
            Self::Bicubic if d < 1.0 => ((1.5 * d) - 2.5) * d * d + 1.0,
            Self::Bicubic if d < 2.0 => -0.5 * (((d - 5.0) * d + 8.0) * d - 4.0),
            Self::Bicubic => 0.0,
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

/// For each output position of a window: the first source position and the weights of the run that starts there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Taps {
    /// First source position of each output.
    pub start: Vec<u32>,
    /// Number of weights of each output that are not padding; at least 1.
    pub count: Vec<u32>,
    /// `[outputs, stride]`, fixed point with [`WEIGHT_BITS`]; zero after the run.
    pub weights: Vec<i32>,
    /// Weights a row.
    pub stride: usize,
}

impl Taps {
    /// Weights for outputs `window` (in pixels of the resized axis) of an axis resized from `from` to `to` pixels. `extent` is the
    /// part of the source that the output shows, from 0: `from`, or less where the last sample lies partly outside the image.
    ///
    /// Equal lengths give the identity, whatever the filter, as Pillow then skips the pass.
    pub fn compute(
        &mut self,
        filter: Filter,
        from: usize,
        extent: f64,
        to: usize,
        window: std::ops::Range<usize>,
    ) {
        self.start.clear();
        self.count.clear();
        self.weights.clear();
        if extent == to as f64 || filter == Filter::Nearest {
            self.stride = 1;
            self.pick(from, extent, to, window);
            return;
        }
        let scale = extent / to as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        self.stride = (support.ceil() as usize * 2 + 1).min(from);
        self.weights.resize(self.stride * window.len(), 0);
        let mut exact = vec![0f64; self.stride];
        let inverse = 1.0 / stretch;
        for (out, row) in window.zip(self.weights.chunks_exact_mut(self.stride)) {
            let centre = (out as f64 + 0.5) * scale;
            // `as` saturates, so that a negative bound becomes 0, as in the formula.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let exact = &mut exact[..end - first];
            let mut sum = 0.0;
            for (i, weight) in exact.iter_mut().enumerate() {
                *weight = filter.at(((i + first) as f64 - centre + 0.5) * inverse);
                sum += *weight;
            }
            let unit = f64::from(1u32 << WEIGHT_BITS);
            for (fixed, weight) in row.iter_mut().zip(exact.iter()) {
                let normal = if sum == 0.0 { *weight } else { *weight / sum };
                *fixed = (normal * unit + 0.5f64.copysign(normal)) as i32;
            }
            // Zeros at either end of a run change nothing and are left out.
            let lead = row.iter().take_while(|w| **w == 0).count().min(exact.len() - 1);
            row.rotate_left(lead);
            let kept = row.iter().rposition(|w| *w != 0).map_or(1, |last| last + 1);
            self.start.push((first + lead) as u32);
            self.count.push(kept as u32);
        }
    }

    /// One source position per output: the identity, or the nearest neighbour.
    fn pick(&mut self, from: usize, extent: f64, to: usize, window: std::ops::Range<usize>) {
        let step = extent / to as f64;
        // Pillow adds up the step, pixel by pixel; a product would round differently.
        let mut at = step * 0.5;
        for out in 0..window.end {
            if out >= window.start {
                let nearest =
                    if extent == to as f64 { out.min(from - 1) } else { (at as usize).min(from - 1) };
                self.start.push(nearest as u32);
                self.count.push(1);
                self.weights.push(1 << WEIGHT_BITS);
            }
            at += step;
        }
    }

    /// Source positions that some output needs.
    pub fn reach(&self) -> std::ops::Range<usize> {
        let first = self.start.iter().min().map_or(0, |s| *s as usize);
        let end = self.start.iter().zip(&self.count).map(|(s, n)| (s + n) as usize).max().unwrap_or(0);
        first..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_every_output_sum_to_one() {
        let mut taps = Taps::default();
        for filter in [Filter::Lanczos, Filter::Bilinear, Filter::Bicubic, Filter::Box, Filter::Hamming] {
            for (from, to) in [(1, 7), (7, 3), (500, 224), (224, 500), (3, 1), (1000, 17)] {
                taps.compute(filter, from, from as f64, to, 0..to);
                for (out, row) in taps.weights.chunks_exact(taps.stride).enumerate() {
                    let sum: i32 = row.iter().sum();
                    assert!(
                        (sum - (1 << WEIGHT_BITS)).abs() <= row.len() as i32,
                        "{filter:?} {from}->{to} at {out}: {sum}"
                    );
                    assert!((taps.start[out] + taps.count[out]) as usize <= from);
                }
            }
        }
    }

    #[test]
    fn a_window_is_a_part_of_the_whole() {
        let (mut whole, mut part) = (Taps::default(), Taps::default());
        for filter in [Filter::Nearest, Filter::Bicubic] {
            whole.compute(filter, 333, 333.0, 224, 0..224);
            part.compute(filter, 333, 333.0, 224, 50..60);
            assert_eq!(part.start, whole.start[50..60]);
            assert_eq!(part.weights, whole.weights[50 * whole.stride..60 * whole.stride]);
        }
    }
}
