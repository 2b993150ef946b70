//! The order in which samples are preferred: hard, easy, random, or by a column. One 128-bit key per sample, so that every place that sorts,
//! ranks or breaks ties does it alike, whatever shards and threads there are.
use cribble_core::{Keep, Uid};
use cribble_pipeline::GlobalRow;

/// The place of a sample in an order: lower comes first (is kept first). Unique per row, because the row is the tie-break.
///
/// - hard: farthest from the centroid first, ties by ascending row, as SemDeDup's and DBP's sorted files have it;
/// - easy: exactly the reverse, so ties by descending row;
/// - random: by a hash of uid and seed;
/// - best: the largest value first; samples without a value (null or NaN) last; ties by ascending row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct OrderKey {
    first: u64,
    tie: u64,
}

impl OrderKey {
    /// The key of a row. `dist` is its distance to the centroid; `value` its value in the column of `Keep::Best`.
    pub fn new(keep: &Keep, seed: u64, uid: Uid, row: GlobalRow, dist: f32, value: Option<f64>) -> Self {
        let first = match keep {
            Keep::Hard => !ascending(f64::from(dist)),
            Keep::Easy => ascending(f64::from(dist)),
            Keep::Random => uid.mix(seed),
            Keep::Best(_) => match value {
                Some(value) if !value.is_nan() => !ascending(value),
                _ => u64::MAX,
            },
        };
        let tie = if matches!(keep, Keep::Easy) { !row.0 } else { row.0 };
        Self { first, tie }
    }

    /// The top bits of the key, monotone in the order: a partition for sorting in pieces.
    pub fn top_bits(self, bits: u32) -> u32 {
        (self.first >> (64 - bits)) as u32
    }

    /// The row that the key belongs to.
    pub fn row(self, keep: &Keep) -> GlobalRow {
        GlobalRow(if matches!(keep, Keep::Easy) { !self.tie } else { self.tie })
    }
}

/// An integer that grows with the number (IEEE total order; −0 and 0 are one place).
pub(crate) fn ascending(value: f64) -> u64 {
    let bits = if value == 0.0 { 0 } else { value.to_bits() };
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(keep: &Keep, row: u64, dist: f32, value: Option<f64>) -> OrderKey {
        OrderKey::new(keep, 7, Uid(u128::from(row)), GlobalRow(row), dist, value)
    }

    #[test]
    fn easy_is_hard_reversed_also_in_ties() {
        let rows = [(0u64, 0.5f32), (1, 0.2), (2, 0.5), (3, 0.9), (4, 0.2)];
        let order = |keep: &Keep| {
            let mut keys: Vec<OrderKey> =
                rows.iter().map(|&(row, dist)| key(keep, row, dist, None)).collect();
            keys.sort();
            keys.into_iter().map(|k| k.row(keep).0).collect::<Vec<_>>()
        };
        let hard = order(&Keep::Hard);
        assert_eq!(hard, [3, 0, 2, 1, 4]);
        let mut easy = order(&Keep::Easy);
        easy.reverse();
        assert_eq!(easy, hard);
    }

    #[test]
    fn best_puts_missing_values_last() {
        let keep = Keep::Best("score".into());
        let mut keys = [
            key(&keep, 0, 0., None),
            key(&keep, 1, 0., Some(-1.)),
            key(&keep, 2, 0., Some(f64::NAN)),
            key(&keep, 3, 0., Some(2.)),
        ];
        keys.sort();
        assert_eq!(keys.map(|k| k.row(&keep).0), [3, 1, 0, 2]);
    }

    proptest! {
        #[test]
        fn numbers_keep_their_order(a in any::<f64>(), b in any::<f64>()) {
            if !a.is_nan() && !b.is_nan() {
                prop_assert_eq!(ascending(a).cmp(&ascending(b)), a.partial_cmp(&b).unwrap());
            }
        }
    }
}
