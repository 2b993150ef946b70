//! Inverse cosine transforms: a block of coefficients to 8x8 samples, or to 4x4, 2x2 or one where the image is wanted smaller.
//!
//! The full transform is the accurate integer one that libjpeg-turbo (and so Pillow) uses by default: the factorisation of
//! Loeffler, Ligtenberg and Moschytz (ICASSP 1989) with 13-bit constants, columns first, two more bits kept between the passes. The same
//! roundings in the same places give the same samples. The AVX2 form multiplies the constants out: every output is a sum of four
//! products, two to an instruction, with the same result in 32 bits.
//!
//! The reduced ones are the orthonormal 4-, 2- and 1-point transforms of the lowest coefficients, which is resampling in the
//! frequency domain.

use std::array::from_fn;

/// Fractional bits of the constants.
const BITS: u32 = 13;
/// Bits kept between the passes.
const KEPT: u32 = 2;

/// A block of dequantised coefficients, in the order of [`place`].
pub(super) type Block = [i16; 64];

/// Where the coefficient of row `v`, column `u` is stored: rows in the pairs (0, 4), (2, 6), (1, 3), (5, 7), the two of a pair
/// alternating, so that the first pass needs no shuffles.
pub(super) const fn place(v: usize, u: usize) -> usize {
    let (pair, second) = [(0, 0), (2, 0), (1, 0), (2, 1), (0, 1), (3, 0), (1, 1), (3, 1)][v];
    pair * 16 + u * 2 + second
}

/// The coefficient of row `v`, column `u`.
#[inline(always)]
fn at(block: &Block, v: usize, u: usize) -> i32 {
    i32::from(block[place(v, u)])
}

/// Eight coefficients to eight samples, with `bias` added to the unscaled even part.
fn eight(c: [i32; 8], bias: i32) -> [i32; 8] {
    let c = c.map(std::num::Wrapping);
    let k = std::num::Wrapping::<i32>;
    // Even part: a butterfly of 0 and 4, a rotation of 2 and 6.
    let shared = (c[2] + c[6]) * k(4433);
    let (low, high) = (shared - c[6] * k(15137), shared + c[2] * k(6270));
    let (sum, difference) =
        (k(bias) + ((c[0] + c[4]) << BITS as usize), k(bias) + ((c[0] - c[4]) << BITS as usize));
    let even = [sum + high, difference + low, difference - low, sum - high];
    // Odd part: 1, 3, 5, 7, with one common product.
    let (c37, c15) = (c[3] + c[7], c[1] + c[5]);
    let common = (c37 + c15) * k(9633);
    let (p, q) = (common - c37 * k(16069), common - c15 * k(3196));
    let (outer, inner) = ((c[1] + c[7]) * k(7373), (c[3] + c[5]) * k(20995));
    let odd = [
        c[1] * k(12299) - outer + q,
        c[3] * k(25172) - inner + p,
        c[5] * k(16819) - inner + q,
        c[7] * k(2446) - outer + p,
    ];
    from_fn(|i| if i < 4 { even[i] + odd[i] } else { even[7 - i] - odd[7 - i] }.0)
}

/// Columns to rows.
fn turned<const N: usize>(columns: [[i32; N]; N]) -> [[i32; N]; N] {
    from_fn(|y| columns.map(|column| column[y]))
}

/// Half a unit at the end of the first pass.
const FIRST: i32 = 1 << (BITS - KEPT - 1);
/// Half a unit at the end of the second pass, and the 128 that samples are above the transform.
const SECOND: i32 = (1 << (BITS + KEPT + 2)) + (128 << (BITS + KEPT + 3));

/// 8x8 samples of a block, written to `out` with `stride` samples a row.
#[inline(always)]
pub(super) fn full(block: &Block, out: &mut [u8], stride: usize) {
    let mut columns = [[0i32; 8]; 8];
    for (u, column) in columns.iter_mut().enumerate() {
        let sums = eight(from_fn(|v| at(block, v, u)), FIRST);
        // Between the passes values have 16 bits; only damaged coefficients reach that.
        *column = sums.map(|x| (x >> (BITS - KEPT)).clamp(i16::MIN.into(), i16::MAX.into()));
    }
    for (y, coefficients) in turned(columns).into_iter().enumerate() {
        let row = eight(coefficients, SECOND);
        if let Some(target) = out.get_mut(y * stride..).and_then(|o| o.first_chunk_mut::<8>()) {
            *target = row.map(|x| (x >> (BITS + KEPT + 3)).clamp(0, 255) as u8);
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    //! [`full`](super::full) with AVX2: all columns, then all rows, at once.

    use std::arch::x86_64::*;

    use super::{BITS, Block, FIRST, KEPT, SECOND};

    /// The pair (a, b) of 16-bit constants in every lane.
    #[target_feature(enable = "avx2")]
    fn pair(a: i16, b: i16) -> __m256i {
        _mm256_set1_epi32(i32::from(a) & 0xffff | i32::from(b) << 16)
    }

    /// One pass: lanes hold the pairs (0, 4), (2, 6), (1, 3), (5, 7) of coefficients; out come eight sums, not yet shifted.
    #[target_feature(enable = "avx2")]
    fn pass([c04, c26, c13, c57]: [__m256i; 4], bias: i32) -> [__m256i; 8] {
        let madd = |c, (a, b): (i16, i16)| _mm256_madd_epi16(c, pair(a, b));
        let (add, sub) = (_mm256_add_epi32, _mm256_sub_epi32);
        let bias = _mm256_set1_epi32(bias);
        let (sum, difference) = (add(madd(c04, (8192, 8192)), bias), add(madd(c04, (8192, -8192)), bias));
        let (high, low) = (madd(c26, (10703, 4433)), madd(c26, (4433, -10704)));
        let even = [add(sum, high), add(difference, low), sub(difference, low), sub(sum, high)];
        // The products of the plain form, multiplied out for each coefficient.
        let odd = [
            add(madd(c13, (11363, 9633)), madd(c57, (6437, 2260))),
            add(madd(c13, (9633, -2259)), madd(c57, (-11362, -6436))),
            add(madd(c13, (6437, -11362)), madd(c57, (2261, 9633))),
            add(madd(c13, (2260, -6436)), madd(c57, (9633, -11363))),
        ];
        [
            add(even[0], odd[0]),
            add(even[1], odd[1]),
            add(even[2], odd[2]),
            add(even[3], odd[3]),
            sub(even[3], odd[3]),
            sub(even[2], odd[2]),
            sub(even[1], odd[1]),
            sub(even[0], odd[0]),
        ]
    }

    /// 8x8 samples of a block.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::jpeg) fn full(block: &Block, out: &mut [u8], stride: usize) {
        // SAFETY: four loads of 16 values each from an array of 64.
        let c = unsafe {
            let from = block.as_ptr().cast::<__m256i>();
            [
                _mm256_loadu_si256(from),
                _mm256_loadu_si256(from.add(1)),
                _mm256_loadu_si256(from.add(2)),
                _mm256_loadu_si256(from.add(3)),
            ]
        };
        let rows = pass(c, FIRST).map(|r| _mm256_srai_epi32(r, (BITS - KEPT) as i32));
        // Rows y and y + 4 in one vector, each with its columns in the order of the pairs.
        let order =
            _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 8, 9, 4, 5, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
        let two = |a, b| {
            let both = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0b11_01_10_00);
            _mm256_shuffle_epi8(both, order)
        };
        let [a, b] = [two(rows[0], rows[4]), two(rows[1], rows[5])];
        let [c, d] = [two(rows[2], rows[6]), two(rows[3], rows[7])];
        let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        let columns = [
            _mm256_unpacklo_epi64(ab, cd),
            _mm256_unpackhi_epi64(ab, cd),
            _mm256_unpacklo_epi64(ab_high, cd_high),
            _mm256_unpackhi_epi64(ab_high, cd_high),
        ];
        let c = pass(columns, SECOND).map(|x| _mm256_srai_epi32(x, (BITS + KEPT + 3) as i32));
        // Bytes of four columns and four rows in each half, then turned to rows.
        let turn =
            _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
        let four = |a, b, c, d| {
            let bytes = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
            _mm256_shuffle_epi8(bytes, turn)
        };
        let (left, right) = (four(c[0], c[1], c[2], c[3]), four(c[4], c[5], c[6], c[7]));
        let (even, odd) = (_mm256_unpacklo_epi32(left, right), _mm256_unpackhi_epi32(left, right));
        let halves = [
            _mm256_castsi256_si128(even),
            _mm256_castsi256_si128(odd),
            _mm256_extracti128_si256(even, 1),
            _mm256_extracti128_si256(odd, 1),
        ];
        for (i, two) in halves.into_iter().enumerate() {
            let pair = [_mm_cvtsi128_si64(two), _mm_extract_epi64(two, 1)];
            for (j, row) in pair.into_iter().enumerate() {
                let target = out.get_mut((2 * i + j) * stride..).and_then(|o| o.first_chunk_mut::<8>());
                if let Some(target) = target {
                    *target = row.to_le_bytes();
                }
            }
        }
    }
}

fn sample(value: i32) -> u8 {
    (value + 128).clamp(0, 255) as u8
}

/// `N`x`N` equal samples of a block that has only its mean.
#[inline(always)]
pub(super) fn flat<const N: usize>(mean: i16, out: &mut [u8], stride: usize) {
    // (mean * 4 + 16) >> 5, as both passes of the full transform round it.
    let value = sample((i32::from(mean) + 4) >> 3);
    for y in 0..N {
        if let Some(target) = out.get_mut(y * stride..).and_then(|o| o.first_chunk_mut::<N>()) {
            *target = [value; N];
        }
    }
}

/// 4x4 samples: the block at half its size.
#[inline(always)]
pub(super) fn half(block: &Block, out: &mut [u8], stride: usize) {
    // Of each axis: c0 / sqrt(8) + (c1 cos(k) + c2 cos(2k) + c3 cos(3k)) / 2, k = (2n + 1) pi / 8; in units of 2^-13.
    const C0: i32 = 2896;
    const C1: i32 = 3784;
    const C3: i32 = 1567;
    let four = |c: [i32; 4]| {
        let (sum, difference) = (C0 * (c[0] + c[2]), C0 * (c[0] - c[2]));
        let (a, b) = (C1 * c[1] + C3 * c[3], C3 * c[1] - C1 * c[3]);
        [sum + a, difference + b, difference - b, sum - a]
    };
    let mut columns = [[0i32; 4]; 4];
    for (u, column) in columns.iter_mut().enumerate() {
        // Four bits are kept between the passes.
        *column = four(from_fn(|v| at(block, v, u))).map(|x| (x + (1 << 8)) >> 9);
    }
    for (y, coefficients) in turned(columns).into_iter().enumerate() {
        let row = four(coefficients);
        if let Some(target) = out.get_mut(y * stride..).and_then(|o| o.first_chunk_mut::<4>()) {
            *target = row.map(|x| sample((x + (1 << 16)) >> 17));
        }
    }
}

/// 2x2 samples: the block at a quarter of its size.
#[inline(always)]
pub(super) fn quarter(block: &Block, out: &mut [u8], stride: usize) {
    let [a, b, c, d] = [at(block, 0, 0), at(block, 0, 1), at(block, 1, 0), at(block, 1, 1)];
    for (y, row) in [[a + b + c + d, a - b + c - d], [a + b - c - d, a - b - c + d]].iter().enumerate() {
        if let Some(target) = out.get_mut(y * stride..).and_then(|o| o.first_chunk_mut::<2>()) {
            *target = row.map(|x| sample((x + 4) >> 3));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transform by its definition (ITU T.81, A.3.3) at `n` x `n` points.
    fn definition(block: &Block, n: usize) -> Vec<f64> {
        let basis = |u: usize, x: usize| {
            let angle = (2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / (2 * n) as f64;
            (if u == 0 { 0.5f64.sqrt() } else { 1.0 }) * angle.cos() / 2.0
        };
        let mut samples = vec![0.0; n * n];
        for (i, s) in samples.iter_mut().enumerate() {
            let terms = (0..n).flat_map(|v| (0..n).map(move |u| (u, v)));
            *s = terms.map(|(u, v)| f64::from(block[place(v, u)]) * basis(u, i % n) * basis(v, i / n)).sum();
        }
        samples
    }

    fn blocks() -> impl Iterator<Item = Block> {
        let mut state = 7u64;
        (0..300).map(move |round| {
            let mut block = [0; 64];
            for i in 0..64 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let amplitude = if i == 0 { 900 } else { 300 / (1 + i as i64 % 8 + i as i64 / 8) };
                let value = ((state >> 33) as i64 % (2 * amplitude + 1) - amplitude) as i16;
                block[place(i / 8, i % 8)] = if round % 3 == 0 && i > 20 { 0 } else { value };
            }
            block
        })
    }

    #[test]
    fn every_size_is_the_definition_rounded() {
        for block in blocks() {
            let mut out = [0u8; 64];
            for n in [8, 4, 2] {
                match n {
                    8 => full(&block, &mut out, n),
                    4 => half(&block, &mut out, n),
                    _ => quarter(&block, &mut out, n),
                }
                for (got, want) in out.iter().zip(definition(&block, n)) {
                    let want = (want + 128.0).clamp(0.0, 255.0);
                    assert!((f64::from(*got) - want).abs() < 0.6, "{n}: {got} for {want}");
                }
            }
        }
    }

    #[test]
    fn a_flat_block_is_the_full_transform() {
        for mean in -1100..1100 {
            let mut block = [0i16; 64];
            block[0] = mean;
            let (mut a, mut b) = ([0u8; 64], [0u8; 64]);
            full(&block, &mut a, 8);
            flat::<8>(mean, &mut b, 8);
            assert_eq!(a, b, "{mean}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn avx2_gives_the_samples_of_the_plain_form() {
        if !std::arch::is_x86_feature_detected!("avx2") {
            return;
        }
        let mut state = 1u64;
        let wild = (0..300).map(|_| {
            from_fn(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 40) as i16
            })
        });
        let extremes =
            [[i16::MAX; 64], [i16::MIN; 64], from_fn(|i| if i % 2 == 0 { i16::MAX } else { i16::MIN })];
        for block in blocks().chain(wild).chain(extremes) {
            let (mut plain, mut fast) = ([0u8; 80], [0u8; 80]);
            full(&block, &mut plain, 10);
            // SAFETY: AVX2 was found above.
            unsafe { x86::full(&block, &mut fast, 10) };
            assert_eq!(plain, fast);
        }
    }
}
