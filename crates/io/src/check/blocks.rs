//! Which rows are looked at: three pieces of neighbours. A shift of rows that begins anywhere lasts to the end of its file, so the last piece sees it;
//! neighbours are needed because a shift is found by comparing with the rows beside.
use cribble_core::Uid;

/// Fewer rows than this say nothing about a shift.
const LEAST: u64 = 24;

/// Ranges `(first, count)` in ascending order, disjoint, about `sample` rows in all; the whole shard when it is not larger.
pub(super) fn blocks(shard: u32, rows: u64, sample: u64, seed: u64) -> Vec<(u64, u64)> {
    let sample = sample.max(LEAST);
    if rows <= sample {
        return if rows == 0 { Vec::new() } else { vec![(0, rows)] };
    }
    let piece = sample / 3;
    let room = rows - 3 * piece + 1;
    let middle = piece + Uid(u128::from(shard)).mix(seed) % room;
    vec![(0, piece), (middle, piece), (rows - piece, piece)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_disjoint_and_inside(rows in 0u64..5000, sample in 0u64..600, seed in any::<u64>()) {
            let mut end = 0;
            for (first, count) in blocks(3, rows, sample, seed) {
                prop_assert!(first >= end && count > 0);
                end = first + count;
            }
            prop_assert!(end == rows);
        }
    }
}
