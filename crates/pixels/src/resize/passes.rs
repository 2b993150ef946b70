//! The two passes over samples. `across` turns strips of 16 rows on their side, so that the rows are the lanes of the vectors and no
//! sample needs a shuffle of its own; `down` has the columns as lanes. In between, samples lie in quads of four rows.

use super::Taps;
#[cfg(target_arch = "x86_64")]
use super::kernel::x86::{Avx2, Vnni};
use super::kernel::{Kernel, LANES, Level, Plain, QUADS};

/// Rows of a strip.
pub(crate) const STRIP: usize = LANES;

/// Weights of one axis, cut into quads whose first sample is a multiple of four behind the start of the reach.
#[derive(Debug, Default)]
pub(crate) struct QuadTaps {
    /// First quad of each output.
    first: Vec<u32>,
    /// `[outputs, each]`, packed for a level.
    weights: Vec<[u32; 4]>,
    /// Quads of each output.
    each: usize,
    /// Samples from the first to the last that matter.
    reach: usize,
}

impl QuadTaps {
    /// Pack `taps` for `level`.
    pub fn pack(&mut self, level: Level, taps: &Taps) {
        let reach = taps.reach();
        self.reach = reach.len();
        let place = |o: usize| (taps.start[o] as usize - reach.start, taps.count[o] as usize);
        let outputs = taps.start.len();
        let quads = |o: usize| {
            let (start, count) = place(o);
            (start % 4 + count).div_ceil(4)
        };
        self.each = (0..outputs).map(quads).max().unwrap_or(0);
        self.first.clear();
        self.weights.clear();
        let last = self.quads().saturating_sub(self.each);
        for (o, row) in taps.weights.chunks_exact(taps.stride).enumerate() {
            let (start, count) = place(o);
            // All outputs have the same number of quads; those at the end begin earlier, so that they stay inside.
            let first = (start / 4).min(last);
            self.first.push(first as u32);
            let lead = start - first * 4;
            for q in 0..self.each {
                let weight =
                    |i: usize| (q * 4 + i).checked_sub(lead).filter(|t| *t < count).map_or(0, |t| row[t]);
                self.weights.push(level.pack(std::array::from_fn(weight)));
            }
        }
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.first.len()
    }

    /// Number of source samples that matter.
    pub fn reach(&self) -> usize {
        self.reach
    }

    /// Quads that those samples fill.
    fn quads(&self) -> usize {
        self.reach.div_ceil(4)
    }
}

/// Samples between the passes: quads of four rows, `[rows / 4][stride][4]`, and the turned strip.
#[derive(Debug, Default)]
pub(crate) struct Middle {
    quads: Vec<[u8; 4]>,
    stride: usize,
    turned: Vec<[u8; 4]>,
}

impl Middle {
    /// Make room for what two passes with these weights put between them.
    pub fn reset(&mut self, horizontal: &QuadTaps, vertical: &QuadTaps) {
        self.stride = horizontal.outputs().next_multiple_of(LANES);
        self.quads.resize(vertical.reach().next_multiple_of(STRIP) / 4 * self.stride, [0; 4]);
    }

    /// Resize the width of rows `y..y + rows` (counted from the first that matters, `y` a multiple of [`STRIP`], at most as many rows).
    /// `strip` begins with the first sample that matters of the first of them; rows are `stride` samples apart.
    pub fn across(
        &mut self,
        level: Level,
        strip: &[u8],
        stride: usize,
        y: usize,
        rows: usize,
        taps: &QuadTaps,
    ) {
        turn(strip, stride, rows, taps, &mut self.turned);
        let out = &mut self.quads[y / 4 * self.stride..][..STRIP / 4 * self.stride];
        let turned = self.turned.as_flattened();
        match level {
            Level::Plain => across::<Plain>(turned, taps, self.stride, out),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this level is only made after the processor was asked for AVX2.
            Level::Avx2 => unsafe { across_avx2(turned, taps, self.stride, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this level is only made after the processor was asked for AVX-512 with VNNI.
            Level::Vnni => unsafe { across_vnni(turned, taps, self.stride, out) },
        }
    }

    /// Resize the height; `out` takes `[taps.outputs(), width]`.
    pub fn down(&self, level: Level, taps: &QuadTaps, width: usize, out: &mut [u8]) {
        let from = self.quads.as_flattened();
        match level {
            Level::Plain => down::<Plain>(from, self.stride, taps, width, out),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this level is only made after the processor was asked for AVX2.
            Level::Avx2 => unsafe { down_avx2(from, self.stride, taps, width, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this level is only made after the processor was asked for AVX-512 with VNNI.
            Level::Vnni => unsafe { down_vnni(from, self.stride, taps, width, out) },
        }
    }
}

/// Rows to quads of columns: `[columns / 4][STRIP][4]`. Rows that are not there keep old samples, whose sums nobody reads.
fn turn(strip: &[u8], stride: usize, rows: usize, taps: &QuadTaps, turned: &mut Vec<[u8; 4]>) {
    turned.resize(taps.quads() * STRIP, [0; 4]);
    for r in 0..rows {
        let (quads, rest) = strip[r * stride..][..taps.reach].as_chunks::<4>();
        for (target, quad) in turned.chunks_exact_mut(STRIP).zip(quads) {
            target[r] = *quad;
        }
        if let (false, Some(target)) = (rest.is_empty(), turned.chunks_exact_mut(STRIP).next_back()) {
            target[r] = std::array::from_fn(|i| rest.get(i).copied().unwrap_or(0));
        }
    }
}

#[inline(always)]
fn across<K: Kernel>(turned: &[u8], taps: &QuadTaps, stride: usize, out: &mut [[u8; 4]]) {
    let weights = taps.weights.chunks_exact(taps.each.max(1));
    for (o, (first, weights)) in taps.first.iter().zip(weights).enumerate() {
        let samples = K::sums(&turned[*first as usize * QUADS..], QUADS, weights);
        for (q, quad) in samples.as_chunks::<4>().0.iter().enumerate() {
            out[q * stride + o] = *quad;
        }
    }
}

#[inline(always)]
fn down<K: Kernel>(from: &[u8], stride: usize, taps: &QuadTaps, width: usize, out: &mut [u8]) {
    let weights = taps.weights.chunks_exact(taps.each.max(1));
    for ((first, weights), row) in taps.first.iter().zip(weights).zip(out.chunks_exact_mut(width)) {
        let from = &from[*first as usize * stride * 4..];
        for (x, target) in row.chunks_mut(LANES).enumerate() {
            let samples = K::sums(&from[x * QUADS..], stride * 4, weights);
            target.copy_from_slice(&samples[..target.len()]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn across_avx2(turned: &[u8], taps: &QuadTaps, stride: usize, out: &mut [[u8; 4]]) {
    across::<Avx2>(turned, taps, stride, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn down_avx2(from: &[u8], stride: usize, taps: &QuadTaps, width: usize, out: &mut [u8]) {
    down::<Avx2>(from, stride, taps, width, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn across_vnni(turned: &[u8], taps: &QuadTaps, stride: usize, out: &mut [[u8; 4]]) {
    across::<Vnni>(turned, taps, stride, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn down_vnni(from: &[u8], stride: usize, taps: &QuadTaps, width: usize, out: &mut [u8]) {
    down::<Vnni>(from, stride, taps, width, out);
}
