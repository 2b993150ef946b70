//! Sketches against similarities, the screen against all pairs.
use super::{
    screen::{near_pairs_by, suspects_by},
    *,
};
use crate::{
    propose::Kernel,
    rows::similarity,
    testing::{Kind, in_pool, kinds, table},
};
use proptest::prelude::*;

fn sketches(axes: &Axes, rows: &[f32]) -> Vec<Sketch> {
    let mut out = Vec::new();
    axes.sketch(rows, &mut SketchBuffers::default(), &mut out);
    out
}

/// The ceiling of a similarity by the codes themselves, in `f64`.
fn ceiling(a: &Sketch, b: &Sketch) -> f64 {
    let sum: i64 = a.codes.iter().zip(&b.codes).map(|(x, y)| i64::from(*x) * i64::from(*y)).sum();
    let bound = f64::from(a.error) * f64::from(b.length) + f64::from(a.coded) * f64::from(b.error);
    sum as f64 * f64::from(a.scale) * f64::from(b.scale) + bound
}

/// Rows about one direction, as in a cell, with a spectrum that decays.
fn cell(n: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut rows = table(Kind::Random, n, dim, seed);
    for row in rows.chunks_exact_mut(dim) {
        for (place, value) in row.iter_mut().enumerate() {
            *value *= (1.0 + place as f32).powf(-0.4);
        }
        row[0] += 0.2;
    }
    crate::rows::normalize(&mut rows, dim);
    rows
}

fn check(rows: &[f32], dim: usize, visitor: Option<&[bool]>, floor: f32) -> Result<(), TestCaseError> {
    let axes = Axes::learn(rows, dim, 3);
    let sketches = sketches(&axes, rows);
    let n = rows.len() / dim;
    let mut wanted = vec![false; n];
    for j in 0..n {
        for i in 0..j {
            let sim = similarity(&rows[i * dim..(i + 1) * dim], &rows[j * dim..(j + 1) * dim]);
            prop_assert!(
                f64::from(sim) <= ceiling(&sketches[i], &sketches[j]) + 1e-7,
                "{sim} of {i} and {j}"
            );
            if sim >= floor && visitor.is_none_or(|flags| !(flags[i] && flags[j])) {
                (wanted[i], wanted[j]) = (true, true);
            }
        }
    }
    for kernel in Kernel::available() {
        let marked = suspects_by(kernel, &sketches, visitor, floor);
        prop_assert!(marked.iter().zip(&wanted).all(|(marked, wanted)| marked >= wanted), "{kernel:?}");
        for threads in [1, 3] {
            prop_assert_eq!(&in_pool(threads, || suspects_by(kernel, &sketches, visitor, floor)), &marked);
        }
        let (targets, sources) = sketches.split_at(n / 3);
        let pairs = near_pairs_by(kernel, targets, sources, floor);
        prop_assert!(pairs.is_sorted() && pairs.windows(2).all(|two| two[0] != two[1]));
        prop_assert!(
            pairs.iter().all(|&(i, j)| (i as usize) < targets.len() && (j as usize) < sources.len())
        );
        for (i, row) in rows[..n / 3 * dim].chunks_exact(dim).enumerate() {
            for (j, other) in rows[n / 3 * dim..].chunks_exact(dim).enumerate() {
                let found = pairs.binary_search(&(i as u32, j as u32)).is_ok();
                prop_assert!(found || similarity(row, other) < floor, "{i} and {j} by {kernel:?}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_similarity_is_above_the_sketches_and_no_near_pair_is_missed(
        kind in kinds(), seed: u64, n in 0usize..330, dim in prop::sample::select(vec![1, 2, 31, 63, 64, 65, 100, 200]),
        floor in prop::sample::select(vec![-1.0f32, 0.0, 0.3, 0.7, 0.95, 1.0]), visitors: bool,
    ) {
        let rows = table(kind, n, dim, seed);
        let flags: Vec<bool> = (0..n).map(|row| (seed >> (row % 61)) & 1 == 1).collect();
        check(&rows, dim, visitors.then_some(&flags[..]), floor)?;
    }
}

#[test]
fn rows_without_a_near_one_are_hardly_ever_marked() {
    let dim = 256;
    let mut rows = cell(600, dim, 5);
    let copy = rows[7 * dim..8 * dim].to_vec();
    rows[500 * dim..501 * dim].copy_from_slice(&copy);
    let axes = Axes::learn(&rows, dim, 1);
    let marked = suspects(&sketches(&axes, &rows), None, 0.95);
    assert!(marked[7] && marked[500]);
    let marks = marked.iter().filter(|&&marked| marked).count();
    assert!(marks < 10, "{marks} of 600 rows are marked");
    check(&rows, dim, None, 0.95).unwrap();
}

#[test]
fn axes_hold_what_rows_differ_in() {
    let dim = 200;
    let rows = cell(500, dim, 9);
    let axes = Axes::learn(&rows, dim, 1);
    assert_eq!(axes.values().len(), 63 * dim);
    let again = Axes::new(axes.values().to_vec(), dim);
    assert_eq!(sketches(&axes, &rows), sketches(&again, &rows));
    // The rest of a row is what 63 of 200 decaying directions do not hold.
    let held: f64 = rows
        .chunks_exact(dim)
        .map(|row| {
            axes.values().chunks_exact(dim).map(|axis| crate::rows::dot(row, axis).powi(2)).sum::<f64>()
        })
        .sum();
    assert!(held / 500.0 > 0.7, "{held}");
}

#[test]
fn without_axes_nothing_is_ruled_out() {
    let rows = table(Kind::Random, 70, 5, 1);
    let axes = Axes::learn(&[], 5, 1);
    assert!(suspects(&sketches(&axes, &rows), None, 0.9).iter().all(|&marked| marked));
    assert!(suspects(&[], None, 0.9).is_empty());
}
