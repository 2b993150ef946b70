//! Connected components by union-find.
//!
//! The decision to question: the representative that callers see is the smallest member, not the root of the tree, so groups read the
//! same whatever the order of the unions.

/// Disjoint sets over `0..n`: path halving and union by size (Tarjan and van Leeuwen 1984), 8 bytes an element.
#[derive(Debug, Clone)]
pub struct UnionFind {
    parent: Vec<u32>,
    size: Vec<u32>,
}

impl UnionFind {
    /// `n` sets of one. Panics for more than 2^32 − 1 elements, which `u32` cannot number.
    pub fn new(n: usize) -> Self {
        assert!(u32::try_from(n).is_ok(), "union-find numbers its elements with 32 bits");
        let n = n as u32;
        Self { parent: (0..n).collect(), size: vec![1; n as usize] }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.parent.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.parent.is_empty()
    }

    /// The root of the set of `element`; which member that is depends on the order of unions. Panics if `element ≥ n`.
    pub fn find(&mut self, mut element: u32) -> u32 {
        while self.parent[element as usize] != element {
            let above = self.parent[self.parent[element as usize] as usize];
            self.parent[element as usize] = above;
            element = above;
        }
        element
    }

    /// Joins two sets; false if they were one already. Panics if an element is `≥ n`.
    pub fn union(&mut self, a: u32, b: u32) -> bool {
        let (mut large, mut small) = (self.find(a), self.find(b));
        if large == small {
            return false;
        }
        if self.size[large as usize] < self.size[small as usize] {
            std::mem::swap(&mut large, &mut small);
        }
        self.parent[small as usize] = large;
        self.size[large as usize] += self.size[small as usize];
        true
    }

    /// The number of elements in the set of `element`. Panics if `element ≥ n`.
    pub fn size_of(&mut self, element: u32) -> u32 {
        let root = self.find(element);
        self.size[root as usize]
    }

    /// For every element the smallest member of its set, in order of the elements.
    pub fn representatives(&mut self) -> Vec<u32> {
        let n = self.parent.len() as u32;
        let mut smallest = vec![u32::MAX; n as usize];
        // Elements come in ascending order, so the first to reach a root is the smallest of its set.
        (0..n)
            .map(|element| {
                let root = self.find(element) as usize;
                if smallest[root] == u32::MAX {
                    smallest[root] = element;
                }
                smallest[root]
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_relabelling(n in 1usize..80, pairs in prop::collection::vec((0u32..80, 0u32..80), 0..120)) {
            let mut sets = UnionFind::new(n);
            let mut label: Vec<u32> = (0..n as u32).collect();
            for (a, b) in pairs.into_iter().map(|(a, b)| (a % n as u32, b % n as u32)) {
                let (from, to) = (label[a as usize].max(label[b as usize]), label[a as usize].min(label[b as usize]));
                prop_assert_eq!(sets.union(a, b), from != to);
                label.iter_mut().filter(|l| **l == from).for_each(|l| *l = to);
            }
            prop_assert_eq!(&sets.representatives(), &label);
            for element in 0..n as u32 {
                let size = label.iter().filter(|l| **l == label[element as usize]).count();
                prop_assert_eq!(sets.size_of(element) as usize, size);
            }
        }
    }

    #[test]
    fn none_and_a_long_chain() {
        assert!(UnionFind::new(0).representatives().is_empty());
        assert!(UnionFind::new(0).is_empty());
        let mut sets = UnionFind::new(100_000);
        for i in (1..100_000).rev() {
            assert!(sets.union(i, i - 1));
        }
        assert!(sets.representatives().iter().all(|&r| r == 0));
        assert_eq!((sets.len(), sets.size_of(70_000)), (100_000, 100_000));
    }
}
