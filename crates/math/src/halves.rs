//! Half floats to `f32`: what every stored row goes through first.
use half::f16;
#[cfg(not(target_arch = "aarch64"))]
use half::slice::HalfFloatSliceExt;

/// Widens values exactly. Panics if the lengths differ.
pub fn widen(halves: &[f16], out: &mut [f32]) {
    assert_eq!(halves.len(), out.len(), "one value for each half");
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F, and the lengths are equal.
        unsafe { widen_avx512(halves, out) };
        return;
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: every aarch64 processor has NEON; the lengths are equal.
    unsafe {
        widen_neon(halves, out);
    }
    #[cfg(not(target_arch = "aarch64"))]
    halves.convert_to_f32_slice(out);
}

/// Sixteen at a time, twice as many as `half` takes, and without a call for each.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn widen_avx512(halves: &[f16], out: &mut [f32]) {
    use std::arch::x86_64::{_mm256_loadu_si256, _mm512_cvtph_ps, _mm512_storeu_ps};
    let (blocks, tail) = halves.as_chunks::<16>();
    let (wide, rest) = out.split_at_mut(blocks.len() * 16);
    for (block, wide) in blocks.iter().zip(wide.chunks_exact_mut(16)) {
        // SAFETY: both hold sixteen values.
        unsafe {
            _mm512_storeu_ps(wide.as_mut_ptr(), _mm512_cvtph_ps(_mm256_loadu_si256(block.as_ptr().cast())))
        };
    }
    rest.iter_mut().zip(tail).for_each(|(out, half)| *out = half.to_f32());
}

/// Asks the processor to bring a row into its caches, and goes on at once. Rows that lie all over memory are otherwise waited for one by one: two thirds of the time
/// that widening them takes.
pub fn prefetch<T: bytemuck::Pod>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytemuck::cast_slice::<T, u8>(row).chunks(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program could see, and cannot fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// Sixteen at a time. (`half` asks for an extension that this needs not, and takes four.)
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn widen_neon(halves: &[f16], out: &mut [f32]) {
    use std::arch::aarch64::{vcvt_f32_f16, vld1_u16, vreinterpret_f16_u16, vst1q_f32};
    let (blocks, tail) = halves.as_chunks::<16>();
    let (wide, rest) = out.split_at_mut(blocks.len() * 16);
    for (block, wide) in blocks.iter().zip(wide.as_chunks_mut::<16>().0) {
        for at in [0, 4, 8, 12] {
            // SAFETY: both hold sixteen values.
            unsafe {
                let four = vreinterpret_f16_u16(vld1_u16(block.as_ptr().add(at).cast()));
                vst1q_f32(wide.as_mut_ptr().add(at), vcvt_f32_f16(four));
            }
        }
    }
    rest.iter_mut().zip(tail).for_each(|(out, half)| *out = half.to_f32());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_comes_out_as_its_value() {
        let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        for length in [0, 1, 15, 16, 17, 1000, halves.len()] {
            let mut out = vec![9.0; length];
            widen(&halves[..length], &mut out);
            for (out, half) in out.iter().zip(&halves) {
                let same = out.to_bits() == half.to_f32().to_bits();
                assert!(same || (out.is_nan() && half.is_nan()), "{half:?} became {out}");
            }
        }
    }
}
