//! Drawing by seed: of everything that is offered, whatever the order and however it was divided, the same few stay.
use std::collections::BTreeMap;

use cribble_core::Uid;

/// What the page's draws depend on beside the uids. It is no option: two people with one run shall see one page.
pub const SEED: u64 = 0x6372_6962;

/// Where a sample stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub shard: u32,
    pub row: u32,
    pub uid: Uid,
}

impl Place {
    /// The key of a random draw. `what` tells draws apart, so that one sample does not lead them all.
    pub fn at_random(self, what: u64) -> (u64, Self) {
        (self.uid.mix(SEED ^ what), self)
    }
}

/// The few smallest keys of all that were offered, with a value each; keys are distinct.
#[derive(Debug, Clone)]
pub struct Lowest<K, V> {
    most: usize,
    held: BTreeMap<K, V>,
}

impl<K: Ord, V> Lowest<K, V> {
    pub fn new(most: usize) -> Self {
        Self { most, held: BTreeMap::new() }
    }

    pub fn offer(&mut self, key: K, value: V) {
        let is_full = self.held.len() >= self.most;
        if is_full && self.held.last_key_value().is_none_or(|(last, _)| key >= *last) {
            return;
        }
        self.held.insert(key, value);
        if self.held.len() > self.most {
            self.held.pop_last();
        }
    }

    /// Takes what another one holds, of other samples.
    pub fn merge(&mut self, other: Self) {
        for (key, value) in other.held {
            self.offer(key, value);
        }
    }

    /// The smallest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.held.iter()
    }
}

/// An integer in the order of a number, so that it can be part of a key.
pub fn ascending(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_does_not_depend_on_order_or_division() {
        let keys: Vec<(u64, Place)> =
            (0..1000u32).map(|row| Place { shard: 0, row, uid: Uid(u128::from(row)) }.at_random(7)).collect();
        let mut whole = Lowest::new(9);
        keys.iter().for_each(|&key| whole.offer(key, ()));
        let mut parts = Lowest::new(9);
        for part in keys.rchunks(37) {
            let mut one = Lowest::new(9);
            part.iter().rev().for_each(|&key| one.offer(key, ()));
            parts.merge(one);
        }
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        let of = |lowest: &Lowest<(u64, Place), ()>| lowest.iter().map(|(key, ())| *key).collect::<Vec<_>>();
        assert_eq!(of(&whole), sorted[..9]);
        assert_eq!(of(&parts), of(&whole));
        assert!(of(&whole) != keys[..9], "the first rows are no random ones");
        let mut none = Lowest::new(0);
        none.offer(1, ());
        assert_eq!(none.iter().count(), 0);
    }

    #[test]
    fn numbers_keep_their_order_as_integers() {
        let sorted = [f32::NEG_INFINITY, -1.0, -0.25, -0.0, 0.0, 1e-9, 0.5, 1.0, f32::INFINITY];
        for pair in sorted.windows(2) {
            assert!(ascending(pair[0]) < ascending(pair[1]), "{pair:?}");
        }
    }
}
