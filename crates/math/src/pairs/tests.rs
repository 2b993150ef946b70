//! The pair search against scoring every pair.
use super::*;
use crate::{
    UnionFind, UnitRows,
    rows::{SliceRows, row, similarity},
    sketch::{Axes, SketchBuffers},
    testing::{DIMS, Kind, SIZES, Stored, Streamed, in_pool, kinds, table},
};
use proptest::prelude::*;

fn all_pairs(rows: &[f32], dim: usize, visitor: Option<&[bool]>, mut see: impl FnMut(usize, usize, f32)) {
    for j in 0..rows.len() / dim {
        for i in 0..j {
            if !visitor.is_some_and(|v| v[i] && v[j]) {
                see(i, j, similarity(row(rows, dim, i), row(rows, dim, j)));
            }
        }
    }
}

fn naive_earlier(rows: &[f32], dim: usize, visitor: Option<&[bool]>) -> Vec<(u32, u32)> {
    let mut best = vec![(f32::NAN, u32::MAX); rows.len() / dim];
    all_pairs(rows, dim, visitor, |i, j, sim| {
        if best[j].1 == u32::MAX || sim > best[j].0 {
            best[j] = (sim, i as u32);
        }
    });
    best.into_iter().map(|(sim, of)| (sim.to_bits(), of)).collect()
}

fn bits(found: &[Earlier]) -> Vec<(u32, u32)> {
    found.iter().map(|e| (e.sim.to_bits(), e.of)).collect()
}

fn sketches(rows: &[f32], dim: usize) -> Vec<Sketch> {
    let mut sketches = Vec::new();
    let axes = Axes::learn(&rows[..rows.len().min(300 * dim)], dim, 1);
    axes.sketch(rows, &mut SketchBuffers::default(), &mut sketches);
    sketches
}

fn flags(n: usize, seed: u64) -> Vec<bool> {
    let mut random = crate::random::Random::new(seed, 7);
    (0..n).map(|_| random.below(3) == 0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn earlier_max_equals_all_pairs(
        kind in kinds(), seed: u64, visits: bool, block in prop::sample::select(vec![1usize, 7, 64, 300, 5000]),
        n in prop::sample::select(&SIZES[..]), dim in prop::sample::select(&DIMS[..]),
        floor in prop::sample::select(vec![f32::NEG_INFINITY, 0.0, 0.5, 0.99, 1.0]),
    ) {
        let n = if block == 1 { n.min(17) } else { n };
        let rows = table(kind, n, dim, seed);
        let sketches = sketches(&rows, dim);
        let flags = flags(n, seed);
        let visitor = visits.then_some(&flags[..]);
        let mut expected = naive_earlier(&rows, dim, visitor);
        for best in &mut expected {
            if f32::from_bits(best.0) < floor {
                *best = bits(&[Earlier::NONE])[0];
            }
        }
        for threads in [1, 2] {
            let streamed = Streamed::new(&rows, dim);
            let found = in_pool(threads, || earlier_max_in_blocks(&streamed, None, visitor, floor, block)).unwrap();
            prop_assert_eq!(&bits(&found), &expected);
            let screened = in_pool(threads, || earlier_max_in_blocks(&streamed, Some(&sketches), visitor, floor, block));
            prop_assert_eq!(&bits(&screened.unwrap()), &expected);
        }
        prop_assert_eq!(bits(&earlier_max(&SliceRows::new(&rows, dim), Some(&sketches), visitor, floor).unwrap()), expected);
    }

    /// Rows left as they are stored, of all lengths and none, give what their unit rows give.
    #[test]
    fn stored_rows_are_compared_as_unit_rows(
        kind in kinds(), seed: u64, visits: bool, block in prop::sample::select(vec![7usize, 64, 300, 5000]),
        n in prop::sample::select(&SIZES[..]), dim in prop::sample::select(&DIMS[..]),
        floor in prop::sample::select(vec![f32::NEG_INFINITY, 0.0, 0.5, 0.99, 1.0]),
    ) {
        let mut stored = table(kind, n, dim, seed);
        for (place, row) in stored.chunks_exact_mut(dim).enumerate() {
            match (seed >> (place % 50)) % 8 {
                0 => row.iter_mut().for_each(|value| *value *= 4e-6),
                1 => row.iter_mut().for_each(|value| *value *= 700.0),
                2 => row.fill(0.0),
                3 => row[0] = f32::NAN,
                _ => {}
            }
        }
        let mut rows = stored.clone();
        crate::rows::normalize(&mut rows, dim);
        let flags = flags(n, seed);
        let visitor = visits.then_some(&flags[..]);
        let of_unit = earlier_max(&SliceRows::new(&rows, dim), None, visitor, floor).unwrap();
        let of_stored = in_pool(2, || earlier_max_in_blocks(&UnitRows(Stored { rows: &stored, dim }), None, visitor, floor, block));
        prop_assert_eq!(bits(&of_stored.unwrap()), bits(&of_unit));
    }

    #[test]
    fn pairs_above_equals_all_pairs(
        kind in kinds(), seed: u64, visits: bool, block in prop::sample::select(vec![7usize, 64, 600]),
        n in prop::sample::select(&SIZES[..]), dim in prop::sample::select(&DIMS[..]), at: u64,
    ) {
        let rows = table(kind, n, dim, seed);
        let sketches = sketches(&rows, dim);
        let flags = flags(n, seed);
        let visitor = visits.then_some(&flags[..]);
        let mut expected = Vec::new();
        all_pairs(&rows, dim, visitor, |i, j, sim| expected.push((j as u32, i as u32, sim)));
        // The threshold is one of the similarities, so that strictness is tested.
        let threshold = if expected.is_empty() { 0.5 } else { expected[at as usize % expected.len()].2 };
        expected.retain(|pair| pair.2 > threshold);
        let mut orders = Vec::new();
        for (threads, by) in [(1, None), (2, None), (1, Some(&sketches[..])), (2, Some(&sketches[..]))] {
            let streamed = Streamed::new(&rows, dim);
            let found = in_pool(threads, || {
                let mut found = Vec::new();
                pairs_above_in_blocks(&streamed, by, visitor, threshold, block, &mut |i, j, sim| found.push((j, i, sim)))
                    .map(|()| found)
            })
            .unwrap();
            // Each j sees its i ascending.
            let mut last = std::collections::BTreeMap::new();
            for (j, i, _) in &found {
                prop_assert!(last.insert(*j, *i).is_none_or(|before| before < *i));
            }
            orders.push(found);
        }
        for order in &orders[1..] {
            prop_assert_eq!(&orders[0], order);
        }
        orders[0].sort_by_key(|pair| (pair.0, pair.1));
        prop_assert_eq!(&orders[0], &expected);
    }
}

#[test]
fn the_rule_is_semdedups() {
    // The published steps on one cluster: full matrix, zero diagonal, upper triangle, column maximum, strict comparison in f32.
    for kind in [Kind::Random, Kind::Copies, Kind::NearCopies, Kind::Half] {
        let (n, dim) = (200, 24);
        let rows = table(kind, n, dim, 4);
        let found = earlier_max(&SliceRows::new(&rows, dim), None, None, f32::NEG_INFINITY).unwrap();
        for epsilon in [0.0, 1e-7, 1e-4, 0.05, 0.3, 0.9, 1.0] {
            for (j, found) in found.iter().enumerate() {
                let above = (0..j).map(|i| similarity(row(&rows, dim, i), row(&rows, dim, j)));
                let m = above.fold(0.0f32, f32::max);
                assert_eq!(found.is_removed(epsilon), m > (1.0 - epsilon) as f32, "{kind:?} {epsilon} {j}");
            }
        }
    }
    assert!(!is_removed(f32::NAN, 0.5) && !is_removed(0.95, 0.05) && is_removed(0.9500001, 0.05));
}

#[test]
fn a_chain_loses_its_middle_and_its_end() {
    // a ~ b ~ c with a and c apart: greedy drops b and c, because a dropped row still counts.
    let angle = |degrees: f32| [degrees.to_radians().cos(), degrees.to_radians().sin()];
    let rows: Vec<f32> = [0.0, 10.0, 20.0].into_iter().flat_map(angle).collect();
    let found = earlier_max(&SliceRows::new(&rows, 2), None, None, f32::NEG_INFINITY).unwrap();
    let removed: Vec<bool> = found.iter().map(|e| e.is_removed(0.03)).collect();
    assert_eq!(removed, [false, true, true]);
    assert_eq!((found[2].of, found[1].of), (1, 0));
}

#[test]
fn pairs_make_the_components_of_a_breadth_first_search() {
    let (n, dim) = (400, 3);
    let rows = table(Kind::Random, n, dim, 6);
    let mut joined = UnionFind::new(n);
    let mut neighbours = vec![Vec::new(); n];
    pairs_above(&SliceRows::new(&rows, dim), None, None, 0.995, &mut |i, j, _| {
        joined.union(i, j);
    })
    .unwrap();
    all_pairs(&rows, dim, None, |i, j, sim| {
        if sim > 0.995 {
            neighbours[i].push(j);
            neighbours[j].push(i);
        }
    });
    let mut group = vec![u32::MAX; n];
    for start in 0..n {
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            if group[at] == u32::MAX {
                group[at] = start as u32;
                open.extend(&neighbours[at]);
            }
        }
    }
    assert_eq!(joined.representatives(), group);
    assert!(group.iter().enumerate().any(|(i, g)| i as u32 != *g));
}

#[test]
fn wrong_input_is_an_error_with_its_numbers() {
    let rows = table(Kind::Random, 20, 4, 1);
    let source = SliceRows::new(&rows, 4);
    let wrong = earlier_max(&source, None, Some(&[true; 3]), 0.5);
    assert!(matches!(wrong, Err(PairsError::VisitorLength { expected: 20, found: 3 })));
    for broken in [0, 9, 19] {
        let source = Streamed { rows: &rows, dim: 4, broken: Some(broken) };
        let error = earlier_max_in_blocks(&source, None, None, 0.5, 6).unwrap_err();
        let PairsError::Source { start, end, error } = error else { panic!("{error}") };
        assert!((start..end).contains(&broken));
        assert_eq!(error.to_string(), "the disk is gone");
    }
    assert!(earlier_max(&SliceRows::new(&[], 4), None, None, 0.5).unwrap().is_empty());
    assert!(matches!(
        earlier_max(&SliceRows { data: &[], dim: 0 }, None, None, 0.5),
        Err(PairsError::NoDimension)
    ));
}

#[test]
fn blocks_are_bounded_and_whole_strips() {
    for dim in [1, 2, 384, 512, 768, 1024, 4096, 100_000] {
        let rows = blocks::block_rows(dim);
        assert!(rows.is_multiple_of(blocks::STRIP) && (512..=16_384).contains(&rows));
        assert!(rows == 512 || rows * dim * 4 <= 16 << 20);
    }
}
