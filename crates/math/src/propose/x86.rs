//! The kernels in x86 instructions. Each public function is safe: it checks its slices, then runs a body that the caller has found the
//! processor to have. The bodies keep a group's sums in registers and read the panel once.
use super::{GROUP, Group, LANES, Scores};
use std::arch::x86_64::*;

/// Checks that every row is as deep as the panel.
fn check(panel: &[u32], group: &Group<'_>) {
    assert!(group.words.iter().all(|row| row.len() * LANES == panel.len()), "rows and panel differ in depth");
}

/// Codes of 8 bits: rows signed, the panel shifted by 128.
pub(super) fn score_vnni(
    panel: &[u32],
    scale: &[f32; LANES],
    group: &Group<'_>,
    scores: &mut Scores,
) -> [u64; GROUP] {
    check(panel, group);
    // SAFETY: the kernel is chosen only where the processor has AVX-512F and VNNI; `check` has proved the depth.
    unsafe { vnni(panel, scale, group, scores) }
}

/// Codes of 16 bits, two a word.
pub(super) fn score_avx2(
    panel: &[u32],
    scale: &[f32; LANES],
    group: &Group<'_>,
    scores: &mut Scores,
) -> [u64; GROUP] {
    check(panel, group);
    // SAFETY: the kernel is chosen only where the processor has AVX2; `check` has proved the depth.
    unsafe { avx2(panel, scale, group, scores) }
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
            for n in 0..4 {
                let by = _mm512_loadu_ps(scale.as_ptr().add(n * 16));
                let score = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[m][n]), by);
                let mask = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(score, floor);
                masks[m] |= u64::from(mask) << (n * 16);
                sums[m][n] = _mm512_castps_si512(score);
            }
            if masks[m] != 0 {
                for n in 0..4 {
                    _mm512_storeu_si512(scores[m].as_mut_ptr().add(n * 16).cast(), sums[m][n]);
                }
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
                    _mm256_storeu_ps(scores[m].as_mut_ptr().add(part + n * 8), score);
                }
            }
        }
    }
    masks
}
