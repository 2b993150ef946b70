//! Resizing whole planes, and planes that arrive a strip of rows at a time.

use std::ops::Range;

use super::passes::{Middle, QuadTaps, STRIP};
use super::{Filter, Level, Taps};

/// A plane, and which row and column of it are the first that matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub samples: &'a [u8],
    pub stride: usize,
    pub at: (usize, usize),
}

/// Which axis is resized first. Samples are rounded in between, so that it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    WidthFirst,
    HeightFirst,
}

/// One axis: samples there are, how many of them the image covers, length after resizing, and the window that is wanted of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stretch {
    pub from: usize,
    pub extent: f64,
    pub to: usize,
    pub window: Range<usize>,
}

/// Resizes planes of one size, one after the other, with the same weights and buffers.
#[derive(Debug, Default)]
pub(crate) struct Resizer {
    taps: Taps,
    /// What the weights were computed for, and what of the source they reach.
    prepared: Option<(Level, Filter, [Stretch; 2])>,
    reach: (Range<usize>, Range<usize>),
    horizontal: QuadTaps,
    vertical: QuadTaps,
    middle: [Middle; 3],
    /// For the other order.
    turned: Vec<u8>,
    turned_result: Vec<u8>,
}

impl Resizer {
    /// Compute the weights, unless they are there already. Returns the rows and columns of the source that matter.
    pub fn prepare(
        &mut self,
        level: Level,
        filter: Filter,
        rows: &Stretch,
        columns: &Stretch,
    ) -> (Range<usize>, Range<usize>) {
        let wanted = (level, filter, [rows.clone(), columns.clone()]);
        if self.prepared.as_ref() == Some(&wanted) {
            return self.reach.clone();
        }
        let Self { taps, horizontal, vertical, .. } = self;
        let reach = [(rows, vertical), (columns, horizontal)].map(|(axis, packed)| {
            taps.compute(filter, axis.from, axis.extent, axis.to, axis.window.clone());
            packed.pack(level, taps);
            taps.reach()
        });
        self.prepared = Some(wanted);
        self.reach = reach.into();
        self.reach.clone()
    }

    /// Take `rows` rows (at most [`STRIP`]) of channel `c`, from row `y` on (a multiple of [`STRIP`], counted from the first that matters).
    /// `strip` begins with the first sample that matters.
    pub fn strip(&mut self, level: Level, c: usize, strip: &[u8], stride: usize, y: usize, rows: usize) {
        if y == 0 {
            self.middle[c].reset(&self.horizontal, &self.vertical);
        }
        self.middle[c].across(level, strip, stride, y, rows, &self.horizontal);
    }

    /// The result of channel `c` after all its strips.
    pub fn finish(&self, level: Level, c: usize, result: &mut Vec<u8>) {
        let width = self.horizontal.outputs();
        result.resize(self.vertical.outputs() * width, 0);
        self.middle[c].down(level, &self.vertical, width, result);
    }

    /// Resize a plane that is there as a whole.
    pub fn plane(&mut self, level: Level, source: Source<'_>, order: Order, result: &mut Vec<u8>) {
        let from = &source.samples[source.at.0 * source.stride + source.at.1..];
        let (rows, columns) = (self.vertical.reach(), self.horizontal.reach());
        if order == Order::WidthFirst {
            for y in (0..rows).step_by(STRIP) {
                self.strip(level, 0, &from[y * source.stride..], source.stride, y, STRIP.min(rows - y));
            }
            return self.finish(level, 0, result);
        }
        // Rare, so it is done by turning the plane and the result.
        self.turned.resize(rows * columns, 0);
        transpose(from, source.stride, (rows, columns), &mut self.turned);
        let middle = &mut self.middle[0];
        middle.reset(&self.vertical, &self.horizontal);
        for x in (0..columns).step_by(STRIP) {
            middle.across(level, &self.turned[x * rows..], rows, x, STRIP.min(columns - x), &self.vertical);
        }
        let (height, width) = (self.vertical.outputs(), self.horizontal.outputs());
        self.turned_result.resize(height * width, 0);
        middle.down(level, &self.horizontal, height, &mut self.turned_result);
        result.resize(height * width, 0);
        transpose(&self.turned_result, height, (width, height), result);
    }
}

/// `rows` x `columns` samples to `columns` x `rows`.
fn transpose(from: &[u8], stride: usize, (rows, columns): (usize, usize), to: &mut [u8]) {
    for (y, row) in from.chunks(stride).take(rows).enumerate() {
        for (x, sample) in row[..columns].iter().enumerate() {
            to[x * rows + y] = *sample;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One axis by the formula, in f64 but for the rounding between the axes.
    fn axis(filter: Filter, from: &[Vec<u8>], to: usize) -> Vec<Vec<u8>> {
        let length = from.len();
        if length == to {
            return from.to_vec();
        }
        let scale = length as f64 / to as f64;
        let mut out = Vec::new();
        for o in 0..to {
            let centre = (o as f64 + 0.5) * scale;
            let weight = |i: usize| filter.at((i as f64 - centre + 0.5) / scale.max(1.0));
            let reach = 3.0 * scale.max(1.0) + 1.0;
            let near = (centre - reach).max(0.0) as usize..((centre + reach) as usize + 1).min(length);
            let sum: f64 = near.clone().map(weight).sum();
            let value = |x: usize| near.clone().map(|i| weight(i) / sum * f64::from(from[i][x])).sum::<f64>();
            out.push((0..from[0].len()).map(|x| (value(x) + 0.5).clamp(0.0, 255.0) as u8).collect());
        }
        out
    }

    fn turned(rows: &[Vec<u8>]) -> Vec<Vec<u8>> {
        (0..rows[0].len()).map(|x| rows.iter().map(|row| row[x]).collect()).collect()
    }

    #[test]
    fn resizing_is_the_formula_at_every_level_and_in_both_orders() {
        let mut state = 3u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let filters = [Filter::Lanczos, Filter::Bilinear, Filter::Bicubic, Filter::Box, Filter::Hamming];
        let (mut resizer, mut result, mut first) = (Resizer::default(), Vec::new(), Vec::new());
        let (mut values, mut different) = (0, 0);
        for round in 0..60 {
            let filter = filters[round % filters.len()];
            let [width, height, to_width, to_height] = std::array::from_fn(|_| 1 + random(90) as usize);
            let samples: Vec<u8> = (0..width * height).map(|_| random(256) as u8).collect();
            let rows: Vec<Vec<u8>> = samples.chunks(width).map(<[u8]>::to_vec).collect();
            let stretch = |from, to| Stretch { from, extent: from as f64, to, window: to / 4..to - to / 5 };
            let (down, across) = (stretch(height, to_height), stretch(width, to_width));
            for order in [Order::WidthFirst, Order::HeightFirst] {
                let whole = match order {
                    Order::WidthFirst => {
                        axis(filter, &turned(&axis(filter, &turned(&rows), to_width)), to_height)
                    }
                    Order::HeightFirst => {
                        turned(&axis(filter, &turned(&axis(filter, &rows, to_height)), to_width))
                    }
                };
                for level in Level::all() {
                    let reach = resizer.prepare(*level, filter, &down, &across);
                    let source =
                        Source { samples: &samples, stride: width, at: (reach.0.start, reach.1.start) };
                    resizer.plane(*level, source, order, &mut result);
                    if *level == Level::Plain {
                        first.clone_from(&result);
                    }
                    assert_eq!(
                        result, first,
                        "{level:?} {filter:?} {width}x{height} to {to_width}x{to_height}"
                    );
                }
                let want: Vec<u8> =
                    down.window.clone().flat_map(|y| whole[y][across.window.clone()].to_vec()).collect();
                assert_eq!(result.len(), want.len());
                for (got, want) in result.iter().zip(&want) {
                    assert!(got.abs_diff(*want) <= 1, "{filter:?} {order:?}: {got} for {want}");
                    different += usize::from(got != want);
                }
                values += want.len();
            }
        }
        // Weights of 22 bits move a value across a half now and then, most often where simple weights make it a half exactly.
        assert!(values > 50_000 && different * 100 < values, "{different} of {values}");
    }
}
