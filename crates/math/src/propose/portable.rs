//! The plain twin of the pair kernels: the definition of what they compute. The inner loop runs over a panel's lanes, so it vectorises.
use super::{GROUP, Group, LANES, Scores};

pub(super) fn score(
    panel: &[u32],
    scale: &[f32; LANES],
    group: &Group<'_>,
    scores: &mut Scores,
) -> [u64; GROUP] {
    std::array::from_fn(|row| {
        let mut mask = 0;
        let mut sums = [group.start[row]; LANES];
        for (word, lanes) in group.words[row].iter().zip(panel.as_chunks::<LANES>().0) {
            let [a, b] = pair(*word);
            for (sum, lane) in sums.iter_mut().zip(lanes) {
                let [x, y] = pair(*lane);
                *sum += a * x + b * y;
            }
        }
        let mut peak = f32::NEG_INFINITY;
        for lane in 0..LANES {
            let score = sums[lane] as f32 * scale[lane];
            scores.rows[row][lane] = score;
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

/// The two 16-bit codes of a word.
fn pair(word: u32) -> [i32; 2] {
    let codes: [i16; 2] = bytemuck::cast(word);
    codes.map(i32::from)
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
