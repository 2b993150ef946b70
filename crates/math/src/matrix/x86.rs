//! The kernels in x86 instructions. Each public function is safe: it checks its slices, then runs a body that the caller has found the
//! processor to have. The bodies keep a tile's sums in registers and read the panel once.
use super::{
    PANEL, Tile,
    places::{Places, load_sums, places, store_sums},
};
use std::arch::x86_64::*;

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

// No closures and no helpers in the bodies below: those would lack the processor's features, would not be inlined, and the sums would leave
// their registers (measured: a seventh of an encoder's time).

#[target_feature(enable = "avx512f")]
#[allow(clippy::needless_range_loop)]
unsafe fn avx512<const M: usize>(at: Places) {
    // SAFETY: `places` proved that M rows of `depth` words, `depth` panel rows and M rows of PANEL sums lie behind the pointers.
    unsafe {
        let mut sums = load_sums!(at, M, 4, _mm512_setzero_ps(), _mm512_loadu_ps, 16, 0);
        for k in 0..at.depth {
            let row = at.panel.add(k * PANEL).cast::<f32>();
            let weights = [
                _mm512_loadu_ps(row),
                _mm512_loadu_ps(row.add(16)),
                _mm512_loadu_ps(row.add(32)),
                _mm512_loadu_ps(row.add(48)),
            ];
            for m in 0..M {
                let value = _mm512_set1_ps(at.x.add(m * at.x_stride + k).cast::<f32>().read());
                for n in 0..4 {
                    sums[m][n] = _mm512_fmadd_ps(value, weights[n], sums[m][n]);
                }
            }
        }
        store_sums!(at, M, 4, sums, _mm512_storeu_ps, 16, 0);
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
#[allow(clippy::needless_range_loop)]
unsafe fn avx512_bf16<const M: usize>(at: Places) {
    // SAFETY: as in `avx512`; a word of `x` and of the panel is a pair of bf16. `__m512bh` and `__m512i` are the same 512 bits.
    unsafe {
        let mut sums = load_sums!(at, M, 4, _mm512_setzero_ps(), _mm512_loadu_ps, 16, 0);
        for k in 0..at.depth {
            let row = at.panel.add(k * PANEL);
            let weights: [__m512bh; 4] = std::mem::transmute([
                _mm512_loadu_si512(row.cast()),
                _mm512_loadu_si512(row.add(16).cast()),
                _mm512_loadu_si512(row.add(32).cast()),
                _mm512_loadu_si512(row.add(48).cast()),
            ]);
            for m in 0..M {
                let pair = _mm512_set1_epi32(at.x.add(m * at.x_stride + k).read().cast_signed());
                let pair = std::mem::transmute::<__m512i, __m512bh>(pair);
                for n in 0..4 {
                    sums[m][n] = _mm512_dpbf16_ps(sums[m][n], pair, weights[n]);
                }
            }
        }
        store_sums!(at, M, 4, sums, _mm512_storeu_ps, 16, 0);
    }
}

#[target_feature(enable = "avx2,fma")]
#[allow(clippy::needless_range_loop)]
unsafe fn avx2<const M: usize>(at: Places) {
    // Sixteen registers: two of eight values a row and pass, so the panel is passed four times.
    for part in (0..PANEL).step_by(16) {
        // SAFETY: as in `avx512`, for 16 of the panel's outputs.
        unsafe {
            let mut sums = load_sums!(at, M, 2, _mm256_setzero_ps(), _mm256_loadu_ps, 8, part);
            for k in 0..at.depth {
                let row = at.panel.add(k * PANEL + part).cast::<f32>();
                let weights = [_mm256_loadu_ps(row), _mm256_loadu_ps(row.add(8))];
                for m in 0..M {
                    let value = _mm256_set1_ps(at.x.add(m * at.x_stride + k).cast::<f32>().read());
                    for n in 0..2 {
                        sums[m][n] = _mm256_fmadd_ps(value, weights[n], sums[m][n]);
                    }
                }
            }
            store_sums!(at, M, 2, sums, _mm256_storeu_ps, 8, part);
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
