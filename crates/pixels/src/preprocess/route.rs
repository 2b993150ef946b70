//! The three ways from bytes to resized samples: a JPEG at full size, a JPEG at reduced size, and everything else.

use super::Preprocess;
use super::geometry::{Axis, height_first};
use crate::formats::{self, Format};
use crate::jpeg::{Colour, Decoder, Opened, Wanted};
use crate::planes::Planes;
use crate::resize::{Level, Order, Resizer, STRIP, Source, Stretch};
use crate::{Limits, PixelError};

/// Buffers that go from image to image, so that nothing is allocated for each.
#[derive(Debug, Default)]
pub struct Scratch {
    interleaved: Vec<u8>,
    planes: Planes,
    jpeg: Decoder,
    /// Some rows of red, green, blue on their way from the decoder to the resizing.
    strip: [Vec<u8>; 3],
    /// Of the image, or of its luma; and of components of another scale.
    resizers: [Resizer; 2],
    /// Resized components of a JPEG.
    small: [Vec<u8>; 4],
    /// Resized red, green, blue, or grey alone.
    result: [Vec<u8>; 3],
    /// Which of `result` are used, 1 or 3.
    channels: usize,
}

impl Scratch {
    /// Resized samples of channel `c`.
    pub(super) fn result(&self, c: usize) -> &[u8] {
        &self.result[c % self.channels]
    }
}

/// The whole of an axis.
fn stretch(axis: &Axis) -> Stretch {
    Stretch { from: axis.from, extent: axis.from as f64, to: axis.to, window: axis.window() }
}

fn order(rows: &Axis, columns: &Axis) -> Order {
    if height_first(rows, columns) { Order::HeightFirst } else { Order::WidthFirst }
}

impl Preprocess {
    /// Any format but JPEG.
    pub(super) fn other(
        &self,
        level: Level,
        format: Format,
        bytes: &[u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<(Axis, Axis), PixelError> {
        let Scratch { planes, interleaved, resizers: [resizer, _], result, channels, .. } = scratch;
        formats::decode(format, bytes, limits, interleaved, planes)?;
        let (rows, columns) = self.axes(planes.height, planes.width);
        let reach = resizer.prepare(level, self.filter, &stretch(&rows), &stretch(&columns));
        *channels = planes.channels;
        for (samples, result) in planes.data.iter().zip(result).take(*channels) {
            let source = Source { samples, stride: planes.width, at: (reach.0.start, reach.1.start) };
            resizer.plane(level, source, order(&rows, &columns), result);
        }
        Ok((rows, columns))
    }

    /// A JPEG with Pillow's samples: rows are made a strip at a time, so that they are still in the cache when they are resized.
    pub(super) fn jpeg_exact(
        &self,
        level: Level,
        bytes: &[u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<(Axis, Axis), PixelError> {
        let opened = Opened::new(bytes, limits)?;
        let (rows, columns) = self.axes(opened.height(), opened.width());
        let Scratch { jpeg, strip, resizers: [resizer, _], result, channels, .. } = scratch;
        let reach = resizer.prepare(level, self.filter, &stretch(&rows), &stretch(&columns));
        let wanted = opened.full(&reach.1, &reach.0);
        jpeg.decode(level, opened, &wanted, limits)?;
        *channels = if jpeg.colour() == Colour::Grey { 1 } else { 3 };
        let width = reach.1.len();
        // Images that are resized height first (rare) are made at once.
        let whole = order(&rows, &columns) == Order::HeightFirst;
        let height = if whole { reach.0.len() } else { STRIP };
        strip.iter_mut().for_each(|plane| plane.resize(height * width, 0));
        for y in reach.0.clone().step_by(height) {
            let n = height.min(reach.0.end - y);
            jpeg.rows(level, y..y + n, &reach.1, strip);
            for (c, samples) in strip.iter().enumerate().take(*channels) {
                if whole {
                    let source = Source { samples, stride: width, at: (0, 0) };
                    resizer.plane(level, source, Order::HeightFirst, &mut result[c]);
                } else {
                    resizer.strip(level, c, samples, width, y - reach.0.start, n);
                }
            }
        }
        if !whole {
            for (c, result) in result.iter_mut().enumerate().take(*channels) {
                resizer.finish(level, c, result);
            }
        }
        Ok((rows, columns))
    }

    /// A JPEG whose components are transformed at the smallest size that is not below the result's, resized each from its own
    /// resolution, and converted to RGB last.
    pub(super) fn jpeg_fast(
        &self,
        level: Level,
        bytes: &[u8],
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<(Axis, Axis), PixelError> {
        let opened = Opened::new(bytes, limits)?;
        let (rows, columns) = self.axes(opened.height(), opened.width());
        let Scratch { jpeg, resizers, small, result, channels, .. } = scratch;
        let mut scales: Vec<(Stretch, Stretch)> = Vec::with_capacity(4);
        let mut wanted = Vec::with_capacity(4);
        for c in 0..opened.components() {
            let (h, v) = opened.subsampling(c);
            let fits = |block: &usize| {
                *block * columns.from >= 8 * h * columns.to && *block * rows.from >= 8 * v * rows.to
            };
            let block = [1, 2, 4].into_iter().find(fits).unwrap_or(8);
            let scale = (reduced(&rows, block, v), reduced(&columns, block, h));
            let other = usize::from(scales.first().is_some_and(|first| *first != scale));
            let (rows, columns) = resizers[other].prepare(level, self.filter, &scale.0, &scale.1);
            wanted.push(Wanted { block, columns, rows });
            scales.push(scale);
        }
        jpeg.decode(level, opened, &wanted, limits)?;
        for (c, scale) in scales.iter().enumerate() {
            let resizer = &mut resizers[usize::from(*scale != scales[0])];
            let reach = resizer.prepare(level, self.filter, &scale.0, &scale.1);
            let plane = jpeg.plane(c);
            let at = (reach.0.start, reach.1.start);
            let source = Source { samples: &plane.samples, stride: plane.stride, at };
            resizer.plane(level, source, Order::WidthFirst, &mut small[c]);
        }
        *channels = if jpeg.colour() == Colour::Grey { 1 } else { 3 };
        result.iter_mut().for_each(|plane| plane.resize(rows.count * columns.count, 0));
        let [red, green, blue] = result;
        let from = [&small[0][..], &small[1], &small[2], &small[3]];
        jpeg.colour().convert(level, from, [red, green, blue]);
        Ok((rows, columns))
    }
}

/// An axis of a component of which one sample stands for `subsampling` of the image's, transformed at `block` samples a block.
fn reduced(axis: &Axis, block: usize, subsampling: usize) -> Stretch {
    Stretch {
        from: (axis.from.div_ceil(subsampling) * block).div_ceil(8),
        extent: (axis.from * block) as f64 / (8 * subsampling) as f64,
        to: axis.to,
        window: axis.window(),
    }
}
