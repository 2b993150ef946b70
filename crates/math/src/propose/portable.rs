//! The plain twin of the pair kernels: the definition of what they compute. The inner loop runs over a panel's lanes, so it vectorises.
use super::{GROUP, Group, LANES, Scores};

/// Lanes that are summed together.
const PART: usize = 16;

pub(super) fn score(
    panel: &[u32],
    scale: &[f32; LANES],
    group: &Group<'_>,
    scores: &mut Scores,
) -> [u64; GROUP] {
    let panel: &[[[i16; 2]; LANES]] = bytemuck::cast_slice::<u32, [i16; 2]>(panel).as_chunks().0;
    std::array::from_fn(|row| {
        let words: &[[i16; 2]] = bytemuck::cast_slice(group.words[row]);
        let scores_of = &mut scores.rows[row];
        for (part, scores) in scores_of.as_chunks_mut::<PART>().0.iter_mut().enumerate() {
            let sums = sums(words, panel, part * PART, group.start[row]);
            for lane in 0..PART {
                scores[lane] = sums[lane] as f32 * scale[part * PART + lane];
            }
        }
        let (mut mask, mut peak) = (0, f32::NEG_INFINITY);
        for (lane, &score) in scores_of.iter().enumerate() {
            if group.counted[row] >> lane & 1 == 1 && score > peak {
                peak = score;
            }
            // Written so that NaN passes.
            let below = score < group.floor[row];
            mask |= u64::from(!below) << lane;
        }
        scores.peaks[row] = peak;
        mask
    })
}

/// The dot product of two rows of 16-bit codes.
pub(super) fn dot(target: &[u32], source: &[u32]) -> i32 {
    assert_eq!(target.len(), source.len(), "rows differ in depth");
    let codes = bytemuck::cast_slice::<u32, i16>;
    codes(target).iter().zip(codes(source)).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// The integer sums of a row against [`PART`] lanes of a panel. Few enough for the registers of any processor.
fn sums(words: &[[i16; 2]], panel: &[[[i16; 2]; LANES]], first: usize, start: i32) -> [i32; PART] {
    let mut sums = [start; PART];
    for (word, lanes) in words.iter().zip(panel) {
        let [a, b] = word.map(i32::from);
        let lanes: &[[i16; 2]] = &lanes[first..first + PART];
        for (sum, lane) in sums.iter_mut().zip(lanes) {
            *sum += a * i32::from(lane[0]) + b * i32::from(lane[1]);
        }
    }
    sums
}

/// The lanes of a mask whose score is not below a floor.
pub(super) fn passing(mut mask: u64, scores: &[f32; LANES], floor: f32) -> u64 {
    let mut passing = 0;
    while mask != 0 {
        let lane = mask.trailing_zeros();
        mask &= mask - 1;
        let below = scores[lane as usize] < floor;
        passing |= u64::from(!below) << lane;
    }
    passing
}

/// The lane of the largest score among those of a mask that is not 0, the first of equals.
pub(super) fn strongest(mut mask: u64, scores: &[f32; LANES]) -> usize {
    let mut best = mask.trailing_zeros() as usize;
    while mask != 0 {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        if scores[lane] > scores[best] {
            best = lane;
        }
    }
    best
}
