//! Whole samples from ideal amounts: largest remainder inside bounds, adding up exactly.
use super::total;
use pulp::{Arch, NullaryFnOnce};

/// Ideal amounts `scale · share + shift`, still to be clipped to the bounds, and the sum that they are rounded to. All lists of one length.
pub(super) struct Rounding<'a> {
    pub target: u64,
    pub share: &'a [f64],
    pub scale: f64,
    pub shift: f64,
    pub lower: &'a [u64],
    pub upper: &'a [u64],
}

impl Rounding<'_> {
    /// Rounds to whole numbers inside the bounds that add up to the target exactly: each down, then one more to those with the largest
    /// remainder, ties to the lower index. Needs Σ lower ≤ target ≤ Σ upper. Should rounding errors of the ideal amounts leave more than one
    /// each to give, or something to take back, all with room share it alike, and what is left follows the same order (taking begins at its
    /// end). The order itself is never needed, only who comes before its n-th: O(k).
    pub fn round(self) -> Vec<u64> {
        Arch::new().dispatch(self)
    }

    /// The ideal amount of cluster `j` inside its bounds: whole samples and the remainder.
    #[inline(always)]
    fn split(&self, j: usize) -> (u64, f64) {
        let (ideal, low, high) = (self.scale * self.share[j] + self.shift, self.lower[j], self.upper[j]);
        let inside = if ideal > low as f64 { ideal } else { low as f64 };
        let inside = if inside < high as f64 { inside } else { high as f64 };
        // `as` truncates, and f64 may not tell the bound from its neighbour for huge numbers: clamp again as integers.
        let whole = (inside as u64).max(low).min(high);
        (whole, inside - whole as f64)
    }

    /// How many samples more (`give`) or fewer cluster `j` could have.
    #[inline(always)]
    fn room(&self, j: usize, quota: u64, give: bool) -> u64 {
        if give { self.upper[j] - quota } else { quota - self.lower[j] }
    }

    /// Who comes first has the smallest key; whoever has no room comes after all others.
    #[inline(always)]
    fn key(&self, j: usize, quota: u64, give: bool) -> f64 {
        let remainder = self.split(j).1;
        let key = if give { -remainder } else { remainder };
        if self.room(j, quota, give) > 0 { key } else { f64::INFINITY }
    }
}

impl NullaryFnOnce for Rounding<'_> {
    type Output = Vec<u64>;

    #[inline(always)]
    fn call(mut self) -> Vec<u64> {
        // Slices that are seen to be of one length: plain loops over them need no checks and fill the vector registers.
        let k = self.share.len();
        (self.lower, self.upper) = (&self.lower[..k], &self.upper[..k]);
        let (mut quota, mut keys) = (vec![0; k], vec![0.0; k]);
        let (quotas, keys) = (&mut quota[..k], &mut keys[..k]);
        for (j, quota) in quotas.iter_mut().enumerate() {
            *quota = self.split(j).0;
        }
        let given = total(quotas);
        let (give, mut missing) = (given < u128::from(self.target), given.abs_diff(u128::from(self.target)));
        let add = |quota: u64, by: u64| if give { quota + by } else { quota - by };
        // More than one each: the same for all with room, until fewer are left than have room.
        let open = loop {
            let mut open = 0u64;
            for (j, &quota) in quotas.iter().enumerate() {
                open += u64::from(self.room(j, quota, give) > 0);
            }
            let each = u64::try_from(missing / u128::from(open.max(1))).unwrap_or(u64::MAX);
            if each == 0 || open == 0 {
                break open;
            }
            for (j, quota) in quotas.iter_mut().enumerate() {
                let by = self.room(j, *quota, give).min(each);
                *quota = add(*quota, by);
                missing -= u128::from(by);
            }
        };
        if missing == 0 || open == 0 {
            return quota;
        }
        for (j, (key, &quota)) in keys.iter_mut().zip(&*quotas).enumerate() {
            *key = self.key(j, quota, give);
        }
        let (before, &mut last, _) = keys.select_nth_unstable_by(missing as usize - 1, f64::total_cmp);
        let mut ties = missing as usize - before.iter().filter(|&&key| key < last).count();
        for (j, quota) in quotas.iter_mut().enumerate() {
            *quota = add(*quota, u64::from(self.key(j, *quota, give) < last));
        }
        for i in 0..k {
            let j = if give { i } else { k - 1 - i };
            if ties > 0 && self.key(j, quotas[j], give) == last {
                quotas[j] = add(quotas[j], 1);
                ties -= 1;
            }
        }
        quota
    }
}
