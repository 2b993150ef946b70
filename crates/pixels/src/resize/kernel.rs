//! The inner step of resizing: sixteen weighted sums of 8-bit samples, four samples at a time, exact in 32-bit integers.
//!
//! Samples come as **quads**: 64 bytes hold four successive samples of sixteen lanes (`[lane][4]`). Weights have up to 23 bits and a sign,
//! more than the multipliers for small integers take, so each level cuts them into parts whose sums are put together at the end. All
//! levels compute the same sums (modulo 2^32, which no real sum reaches) and so give the same samples.

use super::filter::WEIGHT_BITS;

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;
/// Bytes of the quads of all lanes.
pub(crate) const QUADS: usize = 4 * LANES;
/// Half a unit, for rounding.
const HALF: i32 = 1 << (WEIGHT_BITS - 1);

/// Which instructions may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// What the target has by default.
    Plain,
    /// AVX2, BMI and LZCNT, as every x86-64-v3 processor has.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Also AVX-512 (F, BW, VL) and its dot products of bytes (VNNI).
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl Level {
    /// The best level of this processor.
    pub fn best() -> Self {
        Self::all().last().copied().unwrap_or(Self::Plain)
    }

    /// All levels of this processor, the best one last.
    #[cfg(target_arch = "x86_64")]
    pub fn all() -> &'static [Self] {
        use std::arch::is_x86_feature_detected as has;
        if !(has!("avx2") && has!("bmi1") && has!("bmi2") && has!("lzcnt")) {
            return &[Self::Plain];
        }
        if !(has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512vnni")) {
            return &[Self::Plain, Self::Avx2];
        }
        &[Self::Plain, Self::Avx2, Self::Vnni]
    }

    /// All levels of this processor, the best one last.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn all() -> &'static [Self] {
        &[Self::Plain]
    }

    /// Four weights in the parts that this level multiplies with.
    pub fn pack(self, weights: [i32; 4]) -> [u32; 4] {
        match self {
            Self::Plain => weights.map(|w| w as u32),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                // 15 low bits without a sign and the rest with one; samples 0 and 2, then 1 and 3.
                let pair = |a: i32, b: i32| (a as u32 & 0xffff) | (b as u32) << 16;
                let [low, high] = [weights.map(|w| w & 0x7fff), weights.map(|w| w >> 15)];
                [pair(low[0], low[2]), pair(low[1], low[3]), pair(high[0], high[2]), pair(high[1], high[3])]
            }
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => {
                // Three digits to the base of 256, from -128 to 127.
                let mut rest = weights;
                let mut digit = || {
                    let low = rest.map(|r| r as i8);
                    rest = std::array::from_fn(|i| (rest[i] - i32::from(low[i])) >> 8);
                    u32::from_le_bytes(low.map(|d| d as u8))
                };
                [digit(), digit(), digit(), 0]
            }
        }
    }
}

/// The arithmetic of one level.
pub(super) trait Kernel {
    /// Sixteen sums of quads times weights, rounded to samples. Quads lie `step` bytes apart in `data`.
    fn sums(data: &[u8], step: usize, weights: &[[u32; 4]]) -> [u8; LANES];
}

/// Plain Rust.
pub(super) struct Plain;

impl Kernel for Plain {
    #[inline(always)]
    fn sums(data: &[u8], step: usize, weights: &[[u32; 4]]) -> [u8; LANES] {
        let mut sums = [HALF; LANES];
        for (i, weights) in weights.iter().enumerate() {
            let Some(quads) = data[i * step..].first_chunk::<QUADS>() else { break };
            let (quads, _) = quads.as_chunks::<4>();
            for (sum, quad) in sums.iter_mut().zip(quads) {
                for (weight, sample) in weights.iter().zip(quad) {
                    *sum += *weight as i32 * i32::from(*sample);
                }
            }
        }
        sums.map(|sum| (sum >> WEIGHT_BITS).clamp(0, 255) as u8)
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    //! The same with intrinsics. The callers have the features enabled, so that all of this is inlined into them.

    use std::arch::x86_64::*;

    use super::{HALF, Kernel, LANES, QUADS, WEIGHT_BITS};

    /// AVX2: sums of products of 16-bit pairs.
    pub(in crate::resize) struct Avx2;

    impl Kernel for Avx2 {
        #[inline(always)]
        fn sums(data: &[u8], step: usize, weights: &[[u32; 4]]) -> [u8; LANES] {
            let mut out = [0; LANES];
            // SAFETY: only code behind `Level::Avx2` gets here, which is made after the processor was asked for AVX2. Loads are
            // from arrays of 64 bytes, the store is to one of 16.
            unsafe {
                let (mut low, mut high) = ([_mm256_set1_epi32(HALF); 2], [_mm256_setzero_si256(); 2]);
                let bytes = _mm256_set1_epi32(0x00ff_00ff);
                for (i, weights) in weights.iter().enumerate() {
                    let Some(quads) = data[i * step..].first_chunk::<QUADS>() else { break };
                    let [a, b, c, d] = weights.map(|w| _mm256_set1_epi32(w as i32));
                    for half in 0..2 {
                        let quads = _mm256_loadu_si256(quads.as_ptr().cast::<__m256i>().add(half));
                        let (even, odd) = (_mm256_and_si256(quads, bytes), _mm256_srli_epi16(quads, 8));
                        let sum = _mm256_add_epi32(_mm256_madd_epi16(even, a), _mm256_madd_epi16(odd, b));
                        low[half] = _mm256_add_epi32(low[half], sum);
                        let sum = _mm256_add_epi32(_mm256_madd_epi16(even, c), _mm256_madd_epi16(odd, d));
                        high[half] = _mm256_add_epi32(high[half], sum);
                    }
                }
                let whole = |i: usize| {
                    let sum = _mm256_add_epi32(low[i], _mm256_slli_epi32(high[i], 15));
                    _mm256_srai_epi32(sum, WEIGHT_BITS as i32)
                };
                // Packing works within halves of the vector; the permutation restores the order.
                let words = _mm256_permute4x64_epi64(_mm256_packs_epi32(whole(0), whole(1)), 0b11_01_10_00);
                let (a, b) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
                _mm_storeu_si128(out.as_mut_ptr().cast(), _mm_packus_epi16(a, b));
            }
            out
        }
    }

    /// AVX-512 with VNNI: sums of products of four bytes.
    pub(in crate::resize) struct Vnni;

    impl Kernel for Vnni {
        #[inline(always)]
        fn sums(data: &[u8], step: usize, weights: &[[u32; 4]]) -> [u8; LANES] {
            let mut out = [0; LANES];
            // SAFETY: only code behind `Level::Vnni` gets here, which is made after the processor was asked for AVX-512 F, BW, VL
            // and VNNI. Loads are from arrays of 64 bytes, the store is to one of 16.
            unsafe {
                let (mut a, mut b, mut c) =
                    (_mm512_set1_epi32(HALF), _mm512_setzero_si512(), _mm512_setzero_si512());
                for (i, weights) in weights.iter().enumerate() {
                    let Some(quads) = data[i * step..].first_chunk::<QUADS>() else { break };
                    let quads = _mm512_loadu_si512(quads.as_ptr().cast());
                    a = _mm512_dpbusd_epi32(a, quads, _mm512_set1_epi32(weights[0] as i32));
                    b = _mm512_dpbusd_epi32(b, quads, _mm512_set1_epi32(weights[1] as i32));
                    c = _mm512_dpbusd_epi32(c, quads, _mm512_set1_epi32(weights[2] as i32));
                }
                let sum = _mm512_add_epi32(a, _mm512_slli_epi32(b, 8));
                let sum = _mm512_add_epi32(sum, _mm512_slli_epi32(c, 16));
                let samples = _mm512_max_epi32(_mm512_srai_epi32(sum, WEIGHT_BITS), _mm512_setzero_si512());
                _mm_storeu_si128(out.as_mut_ptr().cast(), _mm512_cvtusepi32_epi8(samples));
            }
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(level: Level, data: &[u8], step: usize, weights: &[[i32; 4]]) -> [u8; LANES] {
        let packed: Vec<[u32; 4]> = weights.iter().map(|w| level.pack(*w)).collect();
        match level {
            Level::Plain => Plain::sums(data, step, &packed),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => x86::Avx2::sums(data, step, &packed),
            #[cfg(target_arch = "x86_64")]
            Level::Vnni => x86::Vnni::sums(data, step, &packed),
        }
    }

    #[test]
    fn all_levels_give_the_sums_of_the_definition() {
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for round in 0..200 {
            let quads = 1 + random(6) as usize;
            let data: Vec<u8> =
                (0..quads * QUADS).map(|_| if round % 4 == 0 { 255 } else { random(256) as u8 }).collect();
            // Of either sign, up to 1.3 units, as the sharpest filter makes them.
            let mut weights: Vec<[i32; 4]> = Vec::new();
            for _ in 0..quads {
                weights.push(std::array::from_fn(|_| random(1 << 17) as i32 - (1 << 16)));
            }
            weights[0][0] = if round % 2 == 0 { 5_452_595 } else { -5_452_595 };
            let want: Vec<u8> = (0..LANES)
                .map(|lane| {
                    let terms = weights.iter().flatten().enumerate().map(|(t, weight)| {
                        i64::from(*weight) * i64::from(data[t / 4 * QUADS + lane * 4 + t % 4])
                    });
                    ((terms.sum::<i64>() + i64::from(HALF)) >> WEIGHT_BITS).clamp(0, 255) as u8
                })
                .collect();
            for level in Level::all() {
                assert_eq!(sums(*level, &data, QUADS, &weights)[..], want, "{level:?} round {round}");
            }
        }
    }
}
