//! Subsampled components brought to full size row by row, as libjpeg's default ("fancy") upsampling does: each new sample is three
//! quarters of the nearer and one quarter of the farther old one, with libjpeg-turbo's roundings (`jdsample.c`). Samplings other than
//! halves are repeated, also there.

use std::ops::Range;

use super::plane::Plane;
use crate::resize::Level;

/// One row of every component at full size.
#[derive(Debug, Default)]
pub(super) struct Columns {
    rows: [Vec<u8>; 4],
    /// Where the wanted columns begin in each row, and how many there are.
    starts: [usize; 4],
    width: usize,
    /// Weighted sums of two rows, with one neighbour on each side.
    sums: Vec<u16>,
}

impl Columns {
    /// Bring columns `columns` of image row `y` of all components to full size.
    pub fn fill(
        &mut self,
        level: Level,
        planes: &[Plane],
        subsampling: &[(usize, usize)],
        y: usize,
        columns: &Range<usize>,
    ) {
        self.width = columns.len();
        for (c, (plane, by)) in planes.iter().zip(subsampling).enumerate() {
            let (h, _) = *by;
            let own = columns.start / h..columns.end.div_ceil(h);
            self.starts[c] = columns.start - own.start * h;
            let out = &mut self.rows[c];
            out.resize(own.len() * h, 0);
            match level {
                Level::Plain => component(plane, *by, y, own, &mut self.sums, out),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: these levels are only made after the processor was asked for AVX2.
                Level::Avx2 | Level::Vnni => unsafe {
                    component_avx2(plane, *by, y, own, &mut self.sums, out)
                },
            }
        }
    }

    /// The rows.
    pub fn rows(&self) -> [&[u8]; 4] {
        std::array::from_fn(|c| {
            self.rows[c].get(self.starts[c]..self.starts[c] + self.width).unwrap_or_default()
        })
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn component_avx2(
    plane: &Plane,
    by: (usize, usize),
    y: usize,
    columns: Range<usize>,
    sums: &mut Vec<u16>,
    out: &mut [u8],
) {
    component(plane, by, y, columns, sums, out);
}

/// Columns `columns` (of the component) of image row `y`.
#[inline(always)]
fn component(
    plane: &Plane,
    by: (usize, usize),
    y: usize,
    columns: Range<usize>,
    sums: &mut Vec<u16>,
    out: &mut [u8],
) {
    let near = plane.row(y / by.1);
    // The other row that a row at half height depends on.
    let far = || plane.row(if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { y / 2 + 1 });
    let wide = plane.width > 2;
    match by {
        (1, 1) => out.copy_from_slice(&near[columns]),
        (1, 2) => {
            let bias = 1 + (y % 2) as u16;
            let pairs = near[columns.clone()].iter().zip(&far()[columns]);
            for (value, (n, f)) in out.iter_mut().zip(pairs) {
                *value = ((3 * u16::from(*n) + u16::from(*f) + bias) >> 2) as u8;
            }
        }
        (2, 1) if wide => {
            with_neighbours(sums, &columns, plane.width, |range, sums| {
                sums.iter_mut().zip(&near[range]).for_each(|(s, n)| *s = u16::from(*n));
            });
            double::<1, 2, 2>(sums, out);
        }
        (2, 2) if wide => {
            let far = far();
            with_neighbours(sums, &columns, plane.width, |range, sums| {
                let pairs = near[range.clone()].iter().zip(&far[range]);
                sums.iter_mut().zip(pairs).for_each(|(s, (n, f))| *s = 3 * u16::from(*n) + u16::from(*f));
            });
            double::<8, 7, 4>(sums, out);
        }
        (h, _) => {
            for (group, sample) in out.chunks_exact_mut(h).zip(&near[columns]) {
                group.fill(*sample);
            }
        }
    }
}

/// Fill `sums` for `columns` and one more on each side; at the edges of the plane the last one is repeated.
#[inline(always)]
fn with_neighbours(
    sums: &mut Vec<u16>,
    columns: &Range<usize>,
    width: usize,
    fill: impl Fn(Range<usize>, &mut [u16]),
) {
    sums.resize(columns.len() + 2, 0);
    let (from, to) = (columns.start.saturating_sub(1), (columns.end + 1).min(width));
    let at = usize::from(columns.start == 0);
    fill(from..to, &mut sums[at..at + to - from]);
    let end = at + to - from;
    sums[0] = sums[usize::from(at == 1)];
    if end < sums.len() {
        sums[end] = sums[end - 1];
    }
}

/// Two samples from each sum but the first and the last: three parts of it and one of the neighbour on that side.
#[inline(always)]
fn double<const LEFT: u16, const RIGHT: u16, const SHIFT: u32>(sums: &[u16], out: &mut [u8]) {
    let (pairs, _) = out.as_chunks_mut::<2>();
    let n = pairs.len();
    let (before, here, after) = (&sums[..n], &sums[1..n + 1], &sums[2..n + 2]);
    for i in 0..n {
        let left = (3 * here[i] + before[i] + LEFT) >> SHIFT;
        let right = (3 * here[i] + after[i] + RIGHT) >> SHIFT;
        pairs[i] = (left | right << 8).to_le_bytes();
    }
}
