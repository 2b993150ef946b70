//! The kernels in x86 instructions. Each public function is safe: it checks its slices, then runs a body that the caller has found the
//! processor to have. The bodies keep a tile's sums in registers and read the panel once.
use super::{PANEL, Tile};
use std::arch::x86_64::*;

/// Where a tile reads and writes; made only by [`places`], which checks the lengths.
struct Places {
    x: *const u32,
    x_stride: usize,
    panel: *const u32,
    bias: *const f32,
    sums: *mut f32,
    stride: usize,
    depth: usize,
    first: bool,
}

/// `x` is `[_, depth]` in 32-bit words (one f32 or two bf16), `panels` `[_, depth, PANEL]` in the same words.
fn places(x: &[u32], depth: usize, panels: &[u32], bias: &[f32], tile: &mut Tile<'_>) -> Places {
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

/// Runs a body for the tile's number of rows.
macro_rules! for_rows {
    ($rows:expr, $body:ident, $places:expr) => {
        match $rows {
            1 => $body::<1>($places),
            2 => $body::<2>($places),
            3 => $body::<3>($places),
            4 => $body::<4>($places),
            5 => $body::<5>($places),
            _ => $body::<6>($places),
        }
    };
}

/// One tile in f32 with AVX-512F.
pub(super) fn f32_tile_avx512(x: &[f32], inputs: usize, panels: &[f32], bias: &[f32], mut tile: Tile<'_>) {
    assert!(tile.rows <= super::ROWS);
    let places = places(bytemuck::cast_slice(x), inputs, bytemuck::cast_slice(panels), bias, &mut tile);
    // SAFETY: the kernel is chosen only where the processor has AVX-512F; `places` has checked every range that the body touches.
    unsafe { for_rows!(tile.rows, avx512, places) }
}

/// One tile in f32 with AVX2 and FMA.
pub(super) fn f32_tile_avx2(x: &[f32], inputs: usize, panels: &[f32], bias: &[f32], mut tile: Tile<'_>) {
    assert!(tile.rows <= super::ROWS);
    let places = places(bytemuck::cast_slice(x), inputs, bytemuck::cast_slice(panels), bias, &mut tile);
    // SAFETY: the kernel is chosen only where the processor has AVX2 and FMA; `places` has checked every range that the body touches.
    unsafe { for_rows!(tile.rows, avx2, places) }
}

/// One tile in bf16 with AVX-512 BF16; `x` and `panels` hold pairs, `depth` of them in a row.
pub(super) fn bf16_tile(x: &[u32], depth: usize, panels: &[u32], bias: &[f32], mut tile: Tile<'_>) {
    assert!(tile.rows <= super::ROWS);
    let places = places(x, depth, panels, &bias[tile.panel * PANEL..], &mut tile);
    // SAFETY: the kernel is chosen only where the processor has AVX-512F and AVX512-BF16; `places` has checked every range.
    unsafe { for_rows!(tile.rows, avx512_bf16, places) }
}

#[target_feature(enable = "avx512f")]
unsafe fn avx512<const M: usize>(at: Places) {
    // SAFETY: `places` proved that M rows of `depth` words, `depth` panel rows and M rows of PANEL sums lie behind the pointers.
    unsafe {
        let mut sums = start::<M>(&at);
        for k in 0..at.depth {
            let row = at.panel.add(k * PANEL).cast::<f32>();
            let weights = [0, 16, 32, 48].map(|place| _mm512_loadu_ps(row.add(place)));
            for (m, sums) in sums.iter_mut().enumerate() {
                let value = _mm512_set1_ps(at.x.add(m * at.x_stride + k).cast::<f32>().read());
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = _mm512_fmadd_ps(value, weights, *sum);
                }
            }
        }
        finish(&at, sums);
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn avx512_bf16<const M: usize>(at: Places) {
    // SAFETY: as in `avx512`; a word of `x` and of the panel is a pair of bf16. `__m512bh` and `__m512i` are the same 512 bits.
    unsafe {
        let mut sums = start::<M>(&at);
        for k in 0..at.depth {
            let row = at.panel.add(k * PANEL);
            let weights = [0, 16, 32, 48].map(|place| {
                std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(row.add(place).cast()))
            });
            for (m, sums) in sums.iter_mut().enumerate() {
                let pair = _mm512_set1_epi32(at.x.add(m * at.x_stride + k).read().cast_signed());
                let pair = std::mem::transmute::<__m512i, __m512bh>(pair);
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = _mm512_dpbf16_ps(*sum, pair, weights);
                }
            }
        }
        finish(&at, sums);
    }
}

/// A tile's sums before its inputs: the bias at the first inputs, else what earlier inputs gave.
#[target_feature(enable = "avx512f")]
unsafe fn start<const M: usize>(at: &Places) -> [[__m512; 4]; M] {
    let (from, stride) = if at.first { (at.bias, 0) } else { (at.sums.cast_const(), at.stride) };
    std::array::from_fn(|m| {
        // SAFETY: `places` proved PANEL values behind the bias and behind each of the M rows of sums.
        [0, 16, 32, 48].map(|place| unsafe { _mm512_loadu_ps(from.add(m * stride + place)) })
    })
}

#[target_feature(enable = "avx512f")]
unsafe fn finish<const M: usize>(at: &Places, sums: [[__m512; 4]; M]) {
    for (m, sums) in sums.into_iter().enumerate() {
        for (n, sum) in sums.into_iter().enumerate() {
            // SAFETY: as in `start`.
            unsafe { _mm512_storeu_ps(at.sums.add(m * at.stride + n * 16), sum) };
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const M: usize>(at: Places) {
    // Sixteen registers: two of eight values a row and pass, so the panel is passed four times.
    for part in (0..PANEL).step_by(16) {
        // SAFETY: as in `avx512`, for 16 of the panel's outputs.
        unsafe {
            let (from, stride) = if at.first { (at.bias, 0) } else { (at.sums.cast_const(), at.stride) };
            let mut sums: [[__m256; 2]; M] = std::array::from_fn(|m| {
                [0, 8].map(|place| _mm256_loadu_ps(from.add(m * stride + part + place)))
            });
            for k in 0..at.depth {
                let row = at.panel.add(k * PANEL + part).cast::<f32>();
                let weights = [_mm256_loadu_ps(row), _mm256_loadu_ps(row.add(8))];
                for (m, sums) in sums.iter_mut().enumerate() {
                    let value = _mm256_set1_ps(at.x.add(m * at.x_stride + k).cast::<f32>().read());
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = _mm256_fmadd_ps(value, weights, *sum);
                    }
                }
            }
            for (m, sums) in sums.into_iter().enumerate() {
                for (n, sum) in sums.into_iter().enumerate() {
                    _mm256_storeu_ps(at.sums.add(m * at.stride + part + n * 8), sum);
                }
            }
        }
    }
}

/// Rounds rows of f32 to bf16 (nearest, ties to even) and lays neighbouring inputs in pairs; an odd row is filled with 0.
pub(super) fn to_pairs(x: &[f32], inputs: usize, pairs: &mut Vec<u32>) {
    let depth = inputs.div_ceil(2);
    let rows = x.len() / inputs;
    // Only the length matters: every word is written below.
    pairs.resize(rows * depth, 0);
    if inputs.is_multiple_of(2) {
        // SAFETY: pairs are packed only where the processor has AVX512-BF16.
        unsafe { round_all(x, pairs) };
        return;
    }
    for (row, pairs) in x.chunks_exact(inputs).zip(pairs.chunks_exact_mut(depth)) {
        for (values, pair) in row.chunks(2).zip(pairs) {
            let bits = |place: usize| {
                u32::from(half::bf16::from_f32(values.get(place).copied().unwrap_or(0.0)).to_bits())
            };
            *pair = bits(0) | bits(1) << 16;
        }
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn round_all(x: &[f32], pairs: &mut [u32]) {
    let (blocks, rest) = x.as_chunks::<32>();
    let (out, out_rest) = pairs.split_at_mut(blocks.len() * 16);
    for (block, out) in blocks.iter().zip(out.as_chunks_mut::<16>().0) {
        // SAFETY: 32 values are read, 16 words written; `__m512bh` is 512 bits.
        unsafe {
            let low = _mm512_loadu_ps(block.as_ptr());
            let high = _mm512_loadu_ps(block.as_ptr().add(16));
            let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), both);
        }
    }
    for (values, pair) in rest.chunks_exact(2).zip(out_rest) {
        let bits = |place: usize| u32::from(half::bf16::from_f32(values[place]).to_bits());
        *pair = bits(0) | bits(1) << 16;
    }
}
