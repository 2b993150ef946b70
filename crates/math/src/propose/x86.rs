//! The kernels in x86 instructions. Each public function is safe: it checks its slices, then runs a body that the caller has found the
//! processor to have. The bodies keep a group's sums in registers and read the panel once.
use super::{
    GROUP, Group, LANES, Scores, Screened,
    codes::{Encoded, MAGIC, step_of},
};
use std::arch::x86_64::*;

/// Checks that every row is as deep as the panel.
fn check(panel: &[u32], words: &[&[u32]; GROUP]) {
    assert!(words.iter().all(|row| row.len() * LANES == panel.len()), "rows and panel differ in depth");
}

/// Codes of 8 bits: rows signed, the panel shifted by 128.
pub(super) fn score_vnni(
    panel: &[u32],
    scale: &[f32; LANES],
    group: &Group<'_>,
    scores: &mut Scores,
) -> [u64; GROUP] {
    check(panel, &group.words);
    // SAFETY: the kernel is chosen only where the processor has AVX-512F and VNNI; `check` has proved the depth.
    unsafe { vnni(panel, scale, group, scores) }
}

/// As [`score_vnni`], the masks alone.
pub(super) fn screen_vnni(panel: &[u32], scale: &[f32; LANES], group: &Screened<'_>) -> [u64; GROUP] {
    check(panel, &group.words);
    // SAFETY: as for `score_vnni`.
    unsafe { screen(panel, scale, group) }
}

/// The dot product of two rows of 8-bit codes, both signed; `start` cancels the shift that makes the source unsigned.
pub(super) fn dot_vnni(target: &[u32], source: &[u32], start: i32) -> i32 {
    assert_eq!(target.len(), source.len(), "rows differ in depth");
    // SAFETY: as for `score_vnni`.
    unsafe { dot_avx512(target, source, start) }
}

/// Codes of 16 bits, two a word.
pub(super) fn score_avx2(
    panel: &[u32],
    scale: &[f32; LANES],
    group: &Group<'_>,
    scores: &mut Scores,
) -> [u64; GROUP] {
    check(panel, &group.words);
    // SAFETY: the kernel is chosen only where the processor has AVX2; `check` has proved the depth.
    let masks = unsafe { avx2(panel, scale, group, scores) };
    for row in 0..GROUP {
        let counted = |lane: usize| {
            if group.counted[row] >> lane & 1 == 1 { scores.rows[row][lane] } else { f32::NEG_INFINITY }
        };
        scores.peaks[row] = (0..LANES).map(counted).fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    }
    masks
}

/// The codes of a row of finite values, and the step: bit for bit those of [`super::codes::encode_plain`].
pub(super) fn encode(row: &[f32], codes: &mut [i8], levels: i32) -> (f32, Encoded) {
    assert_eq!(row.len(), codes.len());
    // SAFETY: the kernel is chosen only where the processor has AVX-512F; the lengths are equal.
    unsafe { encode_avx512(row, codes, levels) }
}

/// The lanes of a mask whose score is not below a floor.
pub(super) fn passing(mask: u64, scores: &[f32; LANES], floor: f32) -> u64 {
    // SAFETY: as for `encode`.
    unsafe { passing_avx512(mask, scores, floor) }
}

/// The lane of the largest score among those of a mask that is not 0.
pub(super) fn strongest(mask: u64, scores: &[f32; LANES]) -> usize {
    // SAFETY: as for `encode`.
    unsafe { strongest_avx512(mask, scores) }
}

// No closures and no helpers in the bodies: those would lack the processor's features, would not be inlined, and the sums would leave
// their registers.

#[target_feature(enable = "avx512f,avx512vnni")]
#[allow(clippy::needless_range_loop)]
unsafe fn vnni(panel: &[u32], scale: &[f32; LANES], group: &Group<'_>, scores: &mut Scores) -> [u64; GROUP] {
    let mut masks = [0; GROUP];
    // SAFETY: `panel` holds LANES words for each word of a row (checked by the caller); `scale` and a row of `scores` hold LANES values.
    unsafe {
        let rows = group.words.map(|row| row.as_ptr());
        let mut sums = [[_mm512_setzero_si512(); 4]; GROUP];
        for m in 0..GROUP {
            sums[m] = [_mm512_set1_epi32(group.start[m]); 4];
        }
        let mut words = panel.as_ptr();
        for k in 0..panel.len() / LANES {
            let sources = [
                _mm512_loadu_si512(words.cast()),
                _mm512_loadu_si512(words.add(16).cast()),
                _mm512_loadu_si512(words.add(32).cast()),
                _mm512_loadu_si512(words.add(48).cast()),
            ];
            for m in 0..GROUP {
                let target = _mm512_set1_epi32(rows[m].add(k).read().cast_signed());
                for n in 0..4 {
                    sums[m][n] = _mm512_dpbusd_epi32(sums[m][n], sources[n], target);
                }
            }
            words = words.add(LANES);
        }
        for m in 0..GROUP {
            let floor = _mm512_set1_ps(group.floor[m]);
            let mut peak = _mm512_set1_ps(f32::NEG_INFINITY);
            for n in 0..4 {
                let by = _mm512_loadu_ps(scale.as_ptr().add(n * 16));
                let score = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[m][n]), by);
                let mask = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(score, floor);
                masks[m] |= u64::from(mask) << (n * 16);
                peak = _mm512_mask_max_ps(peak, (group.counted[m] >> (n * 16)) as u16, peak, score);
                sums[m][n] = _mm512_castps_si512(score);
            }
            scores.peaks[m] = _mm512_reduce_max_ps(peak);
            if masks[m] != 0 {
                for n in 0..4 {
                    _mm512_storeu_si512(scores.rows[m].as_mut_ptr().add(n * 16).cast(), sums[m][n]);
                }
            }
        }
    }
    masks
}

// The first half of `vnni` once more: a shared part would have to hand on 24 registers.
#[target_feature(enable = "avx512f,avx512vnni")]
#[allow(clippy::needless_range_loop)]
unsafe fn screen(panel: &[u32], scale: &[f32; LANES], group: &Screened<'_>) -> [u64; GROUP] {
    let mut masks = [0; GROUP];
    // SAFETY: as in `vnni`.
    unsafe {
        let rows = group.words.map(|row| row.as_ptr());
        let mut sums = [[_mm512_setzero_si512(); 4]; GROUP];
        for m in 0..GROUP {
            sums[m] = [_mm512_set1_epi32(group.start[m]); 4];
        }
        let mut words = panel.as_ptr();
        for k in 0..panel.len() / LANES {
            let sources = [
                _mm512_loadu_si512(words.cast()),
                _mm512_loadu_si512(words.add(16).cast()),
                _mm512_loadu_si512(words.add(32).cast()),
                _mm512_loadu_si512(words.add(48).cast()),
            ];
            for m in 0..GROUP {
                let target = _mm512_set1_epi32(rows[m].add(k).read().cast_signed());
                for n in 0..4 {
                    sums[m][n] = _mm512_dpbusd_epi32(sums[m][n], sources[n], target);
                }
            }
            words = words.add(LANES);
        }
        let by = [
            _mm512_loadu_ps(scale.as_ptr()),
            _mm512_loadu_ps(scale.as_ptr().add(16)),
            _mm512_loadu_ps(scale.as_ptr().add(32)),
            _mm512_loadu_ps(scale.as_ptr().add(48)),
        ];
        for m in 0..GROUP {
            let floor = _mm512_set1_ps(group.floor[m]);
            for n in 0..4 {
                let score = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[m][n]), by[n]);
                let mask = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(score, floor);
                masks[m] |= u64::from(mask) << (n * 16);
            }
        }
    }
    masks
}

#[target_feature(enable = "avx2")]
#[allow(clippy::needless_range_loop)]
unsafe fn avx2(panel: &[u32], scale: &[f32; LANES], group: &Group<'_>, scores: &mut Scores) -> [u64; GROUP] {
    let mut masks = [0; GROUP];
    // Sixteen registers: two of eight sums a row and pass, so the panel is passed four times.
    for part in (0..LANES).step_by(16) {
        // SAFETY: as in `vnni`, for 16 of the panel's lanes.
        unsafe {
            let rows = group.words.map(|row| row.as_ptr());
            let mut sums = [[_mm256_setzero_si256(); 2]; GROUP];
            for m in 0..GROUP {
                sums[m] = [_mm256_set1_epi32(group.start[m]); 2];
            }
            let mut words = panel.as_ptr().add(part);
            for k in 0..panel.len() / LANES {
                let sources = [_mm256_loadu_si256(words.cast()), _mm256_loadu_si256(words.add(8).cast())];
                for m in 0..GROUP {
                    let target = _mm256_set1_epi32(rows[m].add(k).read().cast_signed());
                    for n in 0..2 {
                        sums[m][n] = _mm256_add_epi32(sums[m][n], _mm256_madd_epi16(sources[n], target));
                    }
                }
                words = words.wrapping_add(LANES);
            }
            for m in 0..GROUP {
                let floor = _mm256_set1_ps(group.floor[m]);
                for n in 0..2 {
                    let by = _mm256_loadu_ps(scale.as_ptr().add(part + n * 8));
                    let score = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[m][n]), by);
                    let mask = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NLT_UQ>(score, floor));
                    masks[m] |= u64::from(mask.cast_unsigned()) << (part + n * 8);
                    _mm256_storeu_ps(scores.rows[m].as_mut_ptr().add(part + n * 8), score);
                }
            }
        }
    }
    masks
}

#[target_feature(enable = "avx512f")]
#[allow(clippy::needless_range_loop)]
unsafe fn encode_avx512(row: &[f32], codes: &mut [i8], levels: i32) -> (f32, Encoded) {
    let (blocks, tail) = row.as_chunks::<16>();
    let rest_mask = (1u16 << tail.len()) - 1;
    // SAFETY: masked loads and stores touch only the tail's values; the others whole blocks.
    unsafe {
        let last = _mm512_maskz_loadu_ps(rest_mask, tail.as_ptr());
        let mut largest = [_mm512_abs_ps(last); 4];
        for (i, block) in blocks.iter().enumerate() {
            largest[i % 4] = _mm512_max_ps(largest[i % 4], _mm512_abs_ps(_mm512_loadu_ps(block.as_ptr())));
        }
        let (a, b) = (_mm512_max_ps(largest[0], largest[1]), _mm512_max_ps(largest[2], largest[3]));
        let step = step_of(_mm512_reduce_max_ps(_mm512_max_ps(a, b)) / levels as f32);
        let (steps_of, by, magic) = (_mm512_set1_ps(1.0 / step), _mm512_set1_ps(step), _mm512_set1_ps(MAGIC));
        let mut sum = [_mm512_setzero_si512(); 4];
        let (mut squares, mut error) = ([_mm512_setzero_ps(); 4], [_mm512_setzero_ps(); 4]);
        for start in (0..row.len()).step_by(LANES) {
            for n in 0..4 {
                let at = start + n * 16;
                let left = row.len().saturating_sub(at).min(16);
                if left == 0 {
                    break;
                }
                let mask = ((1u32 << left) - 1) as u16;
                let value = _mm512_maskz_loadu_ps(mask, row.as_ptr().add(at));
                let shifted = _mm512_add_ps(_mm512_mul_ps(value, steps_of), magic);
                let steps = _mm512_sub_ps(shifted, magic);
                // The product is exact, so fused or not is the same.
                let rest = _mm512_fnmadd_ps(steps, by, value);
                let code = _mm512_sub_epi32(_mm512_castps_si512(shifted), _mm512_castps_si512(magic));
                _mm512_mask_cvtepi32_storeu_epi8(codes.as_mut_ptr().add(at), mask, code);
                sum[n] = _mm512_add_epi32(sum[n], code);
                squares[n] = _mm512_add_ps(squares[n], _mm512_mul_ps(steps, steps));
                error[n] = _mm512_add_ps(error[n], _mm512_mul_ps(rest, rest));
            }
        }
        let sum: [i32; LANES] = std::mem::transmute(sum);
        let squares: [f32; LANES] = std::mem::transmute(squares);
        let error: [f32; LANES] = std::mem::transmute(error);
        (step, Encoded::of(sum, squares, error))
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn dot_avx512(target: &[u32], source: &[u32], start: i32) -> i32 {
    let shift = _mm512_set1_epi32(0x8080_8080u32.cast_signed());
    let mut sums = [_mm512_setzero_si512(); 2];
    let (blocks, tail) = target.as_chunks::<16>();
    // SAFETY: masked loads touch only the tail's words; the others whole blocks. The rows are equally long (checked by the caller).
    unsafe {
        for (i, block) in blocks.iter().enumerate() {
            let other = _mm512_xor_si512(_mm512_loadu_si512(source.as_ptr().add(i * 16).cast()), shift);
            sums[i % 2] = _mm512_dpbusd_epi32(sums[i % 2], other, _mm512_loadu_si512(block.as_ptr().cast()));
        }
        let mask = (1u16 << tail.len()) - 1;
        let from = source.as_ptr().add(blocks.len() * 16).cast();
        let other = _mm512_xor_si512(_mm512_maskz_loadu_epi32(mask, from), shift);
        let last = _mm512_maskz_loadu_epi32(mask, tail.as_ptr().cast());
        sums[0] = _mm512_dpbusd_epi32(sums[0], other, last);
    }
    start + _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
}

#[target_feature(enable = "avx512f")]
unsafe fn passing_avx512(mask: u64, scores: &[f32; LANES], floor: f32) -> u64 {
    let floor = _mm512_set1_ps(floor);
    let mut passing = 0;
    for n in 0..4 {
        // SAFETY: `scores` holds four times 16 values.
        let score = unsafe { _mm512_loadu_ps(scores.as_ptr().add(n * 16)) };
        passing |= u64::from(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(score, floor)) << (n * 16);
    }
    passing & mask
}

#[target_feature(enable = "avx512f")]
unsafe fn strongest_avx512(mask: u64, scores: &[f32; LANES]) -> usize {
    let mut largest = _mm512_set1_ps(f32::NEG_INFINITY);
    for n in 0..4 {
        // SAFETY: `scores` holds four times 16 values.
        let score = unsafe { _mm512_loadu_ps(scores.as_ptr().add(n * 16)) };
        largest = _mm512_mask_max_ps(largest, (mask >> (n * 16)) as u16, largest, score);
    }
    // SAFETY: the processor has what this function was compiled for.
    let best = unsafe { passing_avx512(mask, scores, _mm512_reduce_max_ps(largest)) };
    (if best == 0 { mask } else { best }).trailing_zeros() as usize
}
