//! The samples of one component, at the scale and in the region that is wanted.

use std::ops::Range;

use super::header::Component;
use super::idct::{self, Block};

/// One component's samples.
#[derive(Debug, Default)]
pub(crate) struct Plane {
    /// Samples between rows.
    pub stride: usize,
    pub samples: Vec<u8>,
    /// Samples of the image across and down, at this plane's scale.
    pub width: usize,
    pub height: usize,
    /// Edge of a block: 8, 4, 2 or 1.
    block: usize,
    /// Blocks that are wanted, across and down; others stay as they were.
    wanted: (Range<usize>, Range<usize>),
}

impl Plane {
    /// Make room for a component whose blocks give `block` x `block` samples, of which `columns` and `rows` are wanted.
    pub(super) fn reset(
        &mut self,
        component: &Component,
        block: usize,
        columns: Range<usize>,
        rows: Range<usize>,
    ) {
        let (across, down) = component.blocks;
        self.block = block;
        self.stride = across * block;
        self.width = (component.width * block).div_ceil(8);
        self.height = (component.height * block).div_ceil(8);
        self.wanted = (
            columns.start / block..columns.end.div_ceil(block).min(across),
            rows.start / block..rows.end.div_ceil(block).min(down),
        );
        self.samples.resize(self.stride * down * block, 0);
    }

    /// Transform the dequantised block in column `x` and row `y` of blocks, if it is wanted. `flat`: it has only its mean.
    ///
    /// # Safety
    /// `AVX2` may only be true where the processor has it.
    #[inline(always)]
    pub(super) unsafe fn put<const AVX2: bool>(
        &mut self,
        x: usize,
        y: usize,
        coefficients: &Block,
        flat: bool,
    ) {
        if !self.wanted.0.contains(&x) || !self.wanted.1.contains(&y) {
            return;
        }
        let at = (y * self.stride + x) * self.block;
        let Some(out) = self.samples.get_mut(at..) else { return };
        match (self.block, flat) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the caller answers for AVX2.
            (8, false) if AVX2 => unsafe { idct::x86::full(coefficients, out, self.stride) },
            (8, false) => idct::full(coefficients, out, self.stride),
            (8, true) => idct::flat::<8>(coefficients[0], out, self.stride),
            (4, false) => idct::half(coefficients, out, self.stride),
            (4, true) => idct::flat::<4>(coefficients[0], out, self.stride),
            (2, _) => idct::quarter(coefficients, out, self.stride),
            _ => idct::flat::<1>(coefficients[0], out, self.stride),
        }
    }

    /// Row `y` of the image, rows beyond the last repeated.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.samples[y.min(self.height - 1) * self.stride..][..self.width]
    }
}
