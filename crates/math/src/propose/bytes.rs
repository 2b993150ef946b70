//! Codes of 8 bits whatever codes the kernel prefers: the same on every processor, and so are the scores by them.
use super::{
    Kernel,
    codes::{Codes, Facts, LONGEST_ROW, encode},
};
use crate::rows::row_count;
use rayon::prelude::*;

impl Codes {
    /// Sketches as rows of `N` values: their codes, and scale, length, coded length and error.
    pub(crate) fn of_sketches<'a, const N: usize>(
        kernel: Kernel,
        sketches: impl ExactSizeIterator<Item = (&'a [i8; N], [f32; 4])>,
    ) -> Self {
        let depth = N.div_ceil(kernel.codes_per_word());
        let mut words = vec![0u32; sketches.len() * depth];
        let facts = sketches.zip(words.chunks_exact_mut(depth)).map(|(sketch, words)| {
            let (codes, [scale, length, coded, error]) = sketch;
            widen(kernel, codes, words);
            let sum: i32 = codes.iter().map(|&code| i32::from(code)).sum();
            // No similarity is computed from a sketch.
            Facts { scale, length, coded, error, start: -kernel.shift() * sum, ..Facts::unknown(f64::NAN) }
        });
        let facts = facts.collect();
        Self { words, facts, depth, kernel: Some(kernel) }
    }

    /// Rows `[n, dim]` as directions, in parallel: the scale of each is one over the length of its codes, so that a score times the target's scale is the
    /// cosine of the codes, exactly 1 up to rounding for copies. A row that has no codes (zeros, NaN, far too long or short) has the scale 0.
    pub(crate) fn directions(kernel: Kernel, rows: &[f32], dim: usize) -> Self {
        let mut codes = Self::default();
        codes.set_len(kernel, row_count(rows, dim), dim);
        let depth = codes.depth;
        let encoded = rows.par_chunks_exact(dim).zip(codes.words.par_chunks_exact_mut(depth));
        let direct = |bytes: &mut Vec<i8>, (row, words): (&[f32], &mut [u32])| {
            bytes.resize(dim, 0);
            if dim > LONGEST_ROW {
                words.fill(0);
                return Facts::ZERO;
            }
            encode_bytes(row, bytes);
            widen(kernel, bytes, words);
            let steps = |code: &i8| i32::from(*code);
            let square: u64 = bytes.iter().map(|code| u64::from(steps(code).pow(2).unsigned_abs())).sum();
            let scale = if square == 0 { 0.0 } else { (1.0 / (square as f64).sqrt()) as f32 };
            let start = -kernel.shift() * bytes.iter().map(steps).sum::<i32>();
            Facts { scale, start, ..Facts::unknown(f64::NAN) }
        };
        encoded.with_min_len(64).map_init(Vec::new, direct).collect_into_vec(&mut codes.facts);
        codes
    }
}

/// Writes codes of 8 bits as the kernel reads them; words beyond them are zero.
fn widen(kernel: Kernel, codes: &[i8], words: &mut [u32]) {
    words.fill(0);
    if kernel.codes_per_word() == 4 {
        bytemuck::cast_slice_mut::<u32, i8>(words)[..codes.len()].copy_from_slice(codes);
    } else {
        let wide = bytemuck::cast_slice_mut::<u32, i16>(words).iter_mut();
        wide.zip(codes).for_each(|(wide, &code)| *wide = i16::from(code));
    }
}

/// The codes of a row of any length in 8 bits.
pub(crate) fn encode_bytes(row: &[f32], codes: &mut [i8]) -> Facts {
    encode(Kernel::best(), row, codes, 127)
}
