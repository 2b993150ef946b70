//! The plain twin of the kernels: the definition of what they compute. The inner loop runs over a panel's outputs, so it vectorises.
use super::{PANEL, ROWS, Tile};

/// One tile in f32.
pub(super) fn f32_tile(x: &[f32], inputs: usize, panels: &[f32], bias: &[f32], tile: Tile<'_>) {
    let panel = &panels[tile.panel * PANEL * inputs..][tile.from * PANEL..tile.to * PANEL];
    debug_assert!(tile.rows <= ROWS);
    for r in 0..tile.rows {
        let sums = &mut tile.sums[r * tile.stride..][..PANEL];
        if tile.from == 0 {
            sums.copy_from_slice(bias);
        }
        let row = &x[(tile.row + r) * inputs..][tile.from..tile.to];
        for (value, weights) in row.iter().zip(panel.as_chunks::<PANEL>().0) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = value.mul_add(*weight, *sum);
            }
        }
    }
}
