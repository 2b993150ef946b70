//! The f32 kernel in NEON, which every aarch64 processor has. The public function is safe: it checks its slices.
use super::{
    PANEL, Tile,
    places::{Places, load_sums, places, store_sums},
};
use std::arch::aarch64::*;

/// One tile in f32.
pub(super) fn f32_tile(x: &[f32], inputs: usize, panels: &[f32], bias: &[f32], mut tile: Tile<'_>) {
    assert!(tile.rows <= super::ROWS);
    let places = places(bytemuck::cast_slice(x), inputs, bytemuck::cast_slice(panels), bias, &mut tile);
    // SAFETY: every aarch64 processor has NEON; `places` has checked every range that the body touches.
    unsafe { for_rows!(tile.rows, rows, places) }
}

#[target_feature(enable = "neon")]
#[allow(clippy::needless_range_loop)]
unsafe fn rows<const M: usize>(at: Places) {
    // Thirty-two registers: four of four values a row and pass, so the panel is passed four times.
    for part in (0..PANEL).step_by(16) {
        // SAFETY: `places` proved that M rows of `depth` words, `depth` panel rows and M rows of PANEL sums lie behind the pointers.
        unsafe {
            let mut sums = load_sums!(at, M, 4, vdupq_n_f32(0.0), vld1q_f32, 4, part);
            for k in 0..at.depth {
                let row = at.panel.add(k * PANEL + part).cast::<f32>();
                let weights =
                    [vld1q_f32(row), vld1q_f32(row.add(4)), vld1q_f32(row.add(8)), vld1q_f32(row.add(12))];
                for m in 0..M {
                    let value = at.x.add(m * at.x_stride + k).cast::<f32>().read();
                    for n in 0..4 {
                        sums[m][n] = vfmaq_n_f32(sums[m][n], weights[n], value);
                    }
                }
            }
            store_sums!(at, M, 4, sums, vst1q_f32, 4, part);
        }
    }
}
