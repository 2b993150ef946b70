//! What the kernels in x86 and NEON instructions share: the check of a tile's ranges, and the loops about its sums.
use super::{PANEL, Tile};

/// Where a tile reads and writes; made only by [`places`], which checks the lengths.
pub(super) struct Places {
    pub(super) x: *const u32,
    pub(super) x_stride: usize,
    pub(super) panel: *const u32,
    pub(super) bias: *const f32,
    pub(super) sums: *mut f32,
    pub(super) stride: usize,
    pub(super) depth: usize,
    pub(super) first: bool,
}

/// `x` is `[_, depth]` in 32-bit words (one f32 or two bf16), `panels` `[_, depth, PANEL]` in the same words.
pub(super) fn places(x: &[u32], depth: usize, panels: &[u32], bias: &[f32], tile: &mut Tile<'_>) -> Places {
    assert!(tile.from < tile.to && tile.to <= depth && tile.rows > 0);
    let rows = &x[tile.row * depth + tile.from..(tile.row + tile.rows - 1) * depth + tile.to];
    let panel = &panels[(tile.panel * depth + tile.from) * PANEL..(tile.panel * depth + tile.to) * PANEL];
    let sums = &mut tile.sums[..(tile.rows - 1) * tile.stride + PANEL];
    Places {
        x: rows.as_ptr(),
        x_stride: depth,
        panel: panel.as_ptr(),
        bias: bias[..PANEL].as_ptr(),
        sums: sums.as_mut_ptr(),
        stride: tile.stride,
        depth: tile.to - tile.from,
        first: tile.from == 0,
    }
}

/// Loads a tile's sums: the bias at the first inputs, else what earlier inputs gave.
macro_rules! load_sums {
    ($at:ident, $rows:ident, $parts:literal, $zero:expr, $load:ident, $width:literal, $offset:expr) => {{
        let (from, stride) = if $at.first { ($at.bias, 0) } else { ($at.sums.cast_const(), $at.stride) };
        let mut sums = [[$zero; $parts]; $rows];
        for m in 0..$rows {
            for n in 0..$parts {
                sums[m][n] = $load(from.add(m * stride + $offset + n * $width));
            }
        }
        sums
    }};
}

/// Stores them.
macro_rules! store_sums {
    ($at:ident, $rows:ident, $parts:literal, $sums:ident, $store:ident, $width:literal, $offset:expr) => {
        for m in 0..$rows {
            for n in 0..$parts {
                $store($at.sums.add(m * $at.stride + $offset + n * $width), $sums[m][n]);
            }
        }
    };
}

pub(super) use {load_sums, store_sums};
