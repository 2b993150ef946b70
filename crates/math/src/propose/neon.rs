//! The kernels in NEON: 8-bit codes with `sdot` where the processor has it, else 16-bit codes with `smlal`, which forms four products an
//! instruction as `smull` and `sadalp` on 8-bit codes would, with sixteen times their precision. Both take the target's code from one lane of a register,
//! so nothing is broadcast. Each public function is safe: it checks its slices, then runs a body that the caller has found the processor to have.
use super::{GROUP, Group, LANES, Scores};
use std::arch::{aarch64::*, asm};

/// Lanes that pass together: with four registers a row, 24 sums of 32 registers. The panel is passed four times.
const PART: usize = 16;

/// What a body takes: a panel, the scale of each of its lanes, the rows of a group, their starts, and where the scores go.
type Body = unsafe fn(&[u32], &[f32; LANES], [&[u32]; GROUP], [i32; GROUP], &mut [[f32; LANES]; GROUP]);

/// 8-bit codes, both signed.
pub(super) fn score_sdot(
    panel: &[u32],
    scale: &[f32; LANES],
    group: &Group<'_>,
    scores: &mut Scores,
) -> [u64; GROUP] {
    score(sdot_scores, panel, scale, group, scores)
}

/// 16-bit codes, two a word.
pub(super) fn score_smlal(
    panel: &[u32],
    scale: &[f32; LANES],
    group: &Group<'_>,
    scores: &mut Scores,
) -> [u64; GROUP] {
    score(smlal_scores, panel, scale, group, scores)
}

fn score(
    body: Body,
    panel: &[u32],
    scale: &[f32; LANES],
    group: &Group<'_>,
    scores: &mut Scores,
) -> [u64; GROUP] {
    assert!(group.words.iter().all(|row| row.len() * LANES == panel.len()), "rows and panel differ in depth");
    // SAFETY: the kernel is chosen only where the processor has the body's instructions; the depth was just checked.
    unsafe { body(panel, scale, group.words, group.start, &mut scores.rows) };
    std::array::from_fn(|row| {
        // SAFETY: every aarch64 processor has NEON.
        unsafe {
            scores.peaks[row] = peak(group.counted[row], &scores.rows[row]);
            not_below(&scores.rows[row], group.floor[row])
        }
    })
}

/// The dot product of two rows of 8-bit codes, both signed.
pub(super) fn dot_sdot(target: &[u32], source: &[u32]) -> i32 {
    assert_eq!(target.len(), source.len(), "rows differ in depth");
    // SAFETY: the kernel is chosen only where the processor has `sdot`.
    unsafe { dot_of_bytes(target, source) }
}

/// The lanes of a mask whose score is not below a floor.
pub(super) fn passing(mask: u64, scores: &[f32; LANES], floor: f32) -> u64 {
    // SAFETY: every aarch64 processor has NEON.
    unsafe { not_below(scores, floor) & mask }
}

/// The lane of the largest score among those of a mask that is not 0.
pub(super) fn strongest(mask: u64, scores: &[f32; LANES]) -> usize {
    // SAFETY: every aarch64 processor has NEON.
    let best = unsafe { not_below(scores, peak(mask, scores)) & mask };
    (if best == 0 { mask } else { best }).trailing_zeros() as usize
}

/// Four registers of a row.
#[inline]
#[target_feature(enable = "neon")]
fn load(part: &[f32; PART]) -> [float32x4_t; 4] {
    let at = part.as_ptr();
    // SAFETY: four times four values.
    unsafe { [vld1q_f32(at), vld1q_f32(at.add(4)), vld1q_f32(at.add(8)), vld1q_f32(at.add(12))] }
}

/// The lanes whose score is not below a floor; NaN is not.
#[inline]
#[target_feature(enable = "neon")]
fn not_below(scores: &[f32; LANES], floor: f32) -> u64 {
    let floor = vdupq_n_f32(floor);
    // SAFETY: sixteen values.
    let bits = unsafe { vld1q_u8([1u8, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128].as_ptr()) };
    let mut below = 0;
    for (n, part) in scores.as_chunks::<PART>().0.iter().enumerate() {
        let [a, b, c, d] = load(part).map(|score| vmovn_u32(vcltq_f32(score, floor)));
        let bytes = vcombine_u8(vmovn_u16(vcombine_u16(a, b)), vmovn_u16(vcombine_u16(c, d)));
        let set = vandq_u8(bytes, bits);
        let (low, high) = (vaddv_u8(vget_low_u8(set)), vaddv_u8(vget_high_u8(set)));
        below |= u64::from(u16::from_le_bytes([low, high])) << (n * PART);
    }
    !below
}

/// The largest score of a mask's lanes, `-∞` if there is none. NaN is not looked at.
#[inline]
#[target_feature(enable = "neon")]
fn peak(mask: u64, scores: &[f32; LANES]) -> f32 {
    let lowest = vdupq_n_f32(f32::NEG_INFINITY);
    let mut largest = [lowest; 4];
    for (n, part) in scores.as_chunks::<PART>().0.iter().enumerate() {
        let lanes = vdupq_n_u32((mask >> (n * PART)) as u32);
        for (place, (score, largest)) in load(part).into_iter().zip(&mut largest).enumerate() {
            // SAFETY: four values.
            let bits = unsafe { vld1q_u32([1u32, 2, 4, 8].map(|bit| bit << (4 * place)).as_ptr()) };
            *largest = vmaxnmq_f32(*largest, vbslq_f32(vtstq_u32(lanes, bits), score, lowest));
        }
    }
    vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(largest[0], largest[1]), vmaxnmq_f32(largest[2], largest[3])))
}

/// Writes 16 lanes of scores: sums times scales. The places hold 16 values.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store(sums: [int32x4_t; 4], scale: *const f32, scores: *mut f32) {
    for (n, sum) in sums.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { vst1q_f32(scores.add(n * 4), vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(scale.add(n * 4)))) };
    }
}

/// Adds to each sum the products of four codes of a source with the target's. Not among the stable intrinsics yet.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot(mut sum: int32x4_t, source: int8x16_t, target: f32) -> int32x4_t {
    // SAFETY: registers alone. The target's four codes come as the `f32` of their bits, which is where a load of four bytes puts them.
    unsafe {
        asm!("sdot {sum:v}.4s, {source:v}.16b, {target:v}.4b[0]", sum = inout(vreg) sum, source = in(vreg) source,
            target = in(vreg) target, options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

#[target_feature(enable = "neon,dotprod")]
#[allow(clippy::needless_range_loop)]
unsafe fn sdot_scores(
    panel: &[u32],
    scale: &[f32; LANES],
    words: [&[u32]; GROUP],
    start: [i32; GROUP],
    scores: &mut [[f32; LANES]; GROUP],
) {
    for part in (0..LANES).step_by(PART) {
        // SAFETY: `panel` holds LANES words for each word of a row (checked by the caller); `scale` and a row of `scores` hold LANES values.
        unsafe {
            let rows = words.map(|row| row.as_ptr().cast::<f32>());
            let mut sums = start.map(|start| [vdupq_n_s32(start); 4]);
            for k in 0..panel.len() / LANES {
                let at = panel.as_ptr().add(k * LANES + part).cast::<i8>();
                let sources =
                    [vld1q_s8(at), vld1q_s8(at.add(16)), vld1q_s8(at.add(32)), vld1q_s8(at.add(48))];
                for m in 0..GROUP {
                    let target = rows[m].add(k).read();
                    for n in 0..4 {
                        sums[m][n] = sdot(sums[m][n], sources[n], target);
                    }
                }
            }
            for m in 0..GROUP {
                store(sums[m], scale.as_ptr().add(part), scores[m].as_mut_ptr().add(part));
            }
        }
    }
}

/// Adds to the sums of eight lanes the products of their two codes (first those of all lanes, then the second ones) with the target's. In the compiler's
/// hands the target took three instructions, and one sum lived on the stack.
#[inline]
#[target_feature(enable = "neon")]
fn smlal([mut low, mut high]: [int32x4_t; 2], codes: int16x8x2_t, target: f32) -> [int32x4_t; 2] {
    // SAFETY: registers alone. The target's two codes come as the `f32` of their bits.
    unsafe {
        asm!(
            "smlal {low:v}.4s, {first:v}.4h, {target:v}.h[0]",
            "smlal2 {high:v}.4s, {first:v}.8h, {target:v}.h[0]",
            "smlal {low:v}.4s, {second:v}.4h, {target:v}.h[1]",
            "smlal2 {high:v}.4s, {second:v}.8h, {target:v}.h[1]",
            low = inout(vreg) low, high = inout(vreg) high, first = in(vreg) codes.0, second = in(vreg) codes.1,
            target = in(vreg_low16) target, options(pure, nomem, nostack, preserves_flags)
        );
    }
    [low, high]
}

#[target_feature(enable = "neon")]
#[allow(clippy::needless_range_loop)]
unsafe fn smlal_scores(
    panel: &[u32],
    scale: &[f32; LANES],
    words: [&[u32]; GROUP],
    start: [i32; GROUP],
    scores: &mut [[f32; LANES]; GROUP],
) {
    for part in (0..LANES).step_by(PART) {
        // SAFETY: as in `sdot_scores`.
        unsafe {
            let rows = words.map(|row| row.as_ptr().cast::<f32>());
            let mut sums = start.map(|start| [vdupq_n_s32(start); 4]);
            for k in 0..panel.len() / LANES {
                let at = panel.as_ptr().add(k * LANES + part).cast::<i16>();
                // First codes of eight lanes, then their second ones.
                let sources = [vld2q_s16(at), vld2q_s16(at.add(16))];
                for m in 0..GROUP {
                    let target = rows[m].add(k).read();
                    for n in 0..2 {
                        let low_and_high = [sums[m][2 * n], sums[m][2 * n + 1]];
                        [sums[m][2 * n], sums[m][2 * n + 1]] = smlal(low_and_high, sources[n], target);
                    }
                }
            }
            for m in 0..GROUP {
                store(sums[m], scale.as_ptr().add(part), scores[m].as_mut_ptr().add(part));
            }
        }
    }
}

#[target_feature(enable = "neon,dotprod")]
fn dot_of_bytes(target: &[u32], source: &[u32]) -> i32 {
    let mut sums = [vdupq_n_s32(0); 2];
    let ((blocks, tail), (others, rest)) = (target.as_chunks::<8>(), source.as_chunks::<8>());
    for (block, other) in blocks.iter().zip(others) {
        let (a, b) = (block.as_ptr().cast::<i8>(), other.as_ptr().cast::<i8>());
        for (n, sum) in sums.iter_mut().enumerate() {
            // SAFETY: eight words are twice sixteen codes.
            *sum = unsafe { sdot_all(*sum, vld1q_s8(a.add(16 * n)), vld1q_s8(b.add(16 * n))) };
        }
    }
    let codes = bytemuck::cast_slice::<u32, i8>;
    let last: i32 = codes(tail).iter().zip(codes(rest)).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
    last + vaddvq_s32(vaddq_s32(sums[0], sums[1]))
}

/// As [`sdot`], each source with its own target.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot_all(mut sum: int32x4_t, source: int8x16_t, target: int8x16_t) -> int32x4_t {
    // SAFETY: registers alone.
    unsafe {
        asm!("sdot {sum:v}.4s, {source:v}.16b, {target:v}.16b", sum = inout(vreg) sum, source = in(vreg) source,
            target = in(vreg) target, options(pure, nomem, nostack, preserves_flags));
    }
    sum
}
