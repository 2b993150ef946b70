//! The scan equals sorting all cosines in `f64`, whatever the rows, how they are cut, and who proposes.
use super::*;
use crate::testing::{DIMS, SIZES, kinds, table};
use proptest::prelude::*;

/// All cosines by definition, sorted: what a scan promises to equal.
fn by_definition(query: &[f32], rows: &[f32], wanted: impl Fn(usize) -> bool, most: usize) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (row, values) in rows.chunks_exact(query.len()).enumerate().filter(|(row, _)| wanted(*row)) {
        let length = dot(values, values).sqrt();
        if length > 0.0 && length.is_finite() {
            let similarity = dot(query, values) / (dot(query, query).sqrt() * length);
            hits.push(Hit { similarity, row: row as u64 });
        }
    }
    hits.sort_by(|a, b| b.similarity.partial_cmp(&a.similarity).unwrap().then(a.row.cmp(&b.row)));
    hits.truncate(most);
    hits
}

fn halves(rows: &[f32]) -> Vec<f16> {
    rows.iter().map(|&value| f16::from_f32(value)).collect()
}

/// The scan in pieces of `piece` rows, the pieces from the last to the first.
fn scanned(
    queries: &Queries,
    rows: Stored<'_>,
    wanted: impl Fn(usize) -> bool,
    most: usize,
    piece: usize,
) -> Vec<Vec<Hit>> {
    let dim = queries.dim();
    let count = match rows {
        Stored::Half(rows) => rows.len(),
        Stored::Single(rows) => rows.len(),
    } / dim;
    let mut tops = queries.tops(most);
    for start in (0..count).step_by(piece).rev() {
        let values = start * dim..count.min(start + piece) * dim;
        let part = match rows {
            Stored::Half(rows) => Stored::Half(&rows[values]),
            Stored::Single(rows) => Stored::Single(&rows[values]),
        };
        let mut own = queries.tops(most);
        own.iter_mut().zip(&tops).for_each(|(own, top)| own.raise(top.cut()));
        scan(queries, part, |place| wanted(start + place).then_some((start + place) as u64), &mut own);
        tops.iter_mut().zip(own).for_each(|(top, own)| top.merge(own));
    }
    tops.into_iter().map(Top::into_hits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn equals_sorting_all_cosines(
        kind in kinds(), seed: u64, n in prop::sample::select(&SIZES[..]), most in 1usize..40, m in prop::sample::select(vec![1, 2, 3, 9, 65]),
        dim in prop::sample::select([&DIMS[..], &[96, 512]].concat()), scale in -30i32..30, piece in 1usize..700,
        skip in 1usize..5,
    ) {
        let mut rows = table(kind, n, dim, seed);
        // Rows without a direction among them.
        for (row, values) in rows.chunks_exact_mut(dim).enumerate() {
            match row % 7 {
                3 => values.fill(0.0),
                5 if row % 5 == 0 => values[row % dim] = f32::NAN,
                6 if row % 3 == 0 => values[row % dim] = f32::INFINITY,
                _ => {}
            }
        }
        let mut asked = table(kind, 8 * m, dim, seed ^ 1);
        asked.truncate(m * dim);
        // Zero queries of the kind with axes are no queries.
        asked.chunks_exact_mut(dim).filter(|query| query.iter().all(|v| *v == 0.0)).for_each(|query| query[0] = 0.5);
        let queries = Queries::new(asked.clone(), dim).unwrap();
        let wanted = |row: usize| skip == 1 || !row.is_multiple_of(skip);
        let scaled: Vec<f32> = rows.iter().map(|v| v * 2f32.powi(scale)).collect();
        let half = halves(&rows);
        let wide: Vec<f32> = half.iter().map(|v| v.to_f32()).collect();
        for (stored, values) in [(Stored::Single(&scaled), &scaled), (Stored::Half(&half), &wide)] {
            let found = scanned(&queries, stored, wanted, most, piece);
            for (query, found) in asked.chunks_exact(dim).zip(found) {
                prop_assert_eq!(found, by_definition(query, values, wanted, most));
            }
        }
    }
}

/// Every way of proposing, each well within the slack: the slack is a bound, and these are single rows.
#[test]
fn all_ways_of_proposing_agree() {
    for dim in [1, 15, 16, 31, 32, 33, 64, 100, 512, 770] {
        let rows = table(crate::testing::Kind::Half, 60, dim, dim as u64);
        let half = halves(&rows);
        for m in [1, 3, 70] {
            let asked: Vec<f32> = rows.iter().cycle().take(m * dim).copied().collect();
            let queries = Queries::new(asked, dim).unwrap();
            for tile in [Stored::Single(&rows), Stored::Half(&half)] {
                let mut scores = Scores::new(m);
                scores.propose(&queries, tile);
                for query in 0..m {
                    for (place, row) in rows.chunks_exact(dim).enumerate() {
                        let length = dot(row, row).sqrt();
                        let exact = dot(queries.values(query), row) / (queries.lengths[query] * length);
                        let proposed = scores.products(place)[query] * scores.inverse_lengths[place];
                        let error = (f64::from(proposed) - exact).abs();
                        assert!(error <= queries.slack / 4.0, "{dim} {m} {error}");
                    }
                }
            }
        }
    }
}

#[test]
fn exact_copies_come_in_the_order_of_their_rows() {
    let row = table(crate::testing::Kind::Random, 1, 64, 9);
    let rows = row.repeat(500);
    let queries = Queries::new(row, 64).unwrap();
    let found = scanned(&queries, Stored::Single(&rows), |row| row != 2, 5, 64);
    assert_eq!(found[0].iter().map(|hit| hit.row).collect::<Vec<_>>(), [0, 1, 3, 4, 5]);
    assert!((found[0][0].similarity - 1.0).abs() < 1e-15);
}

#[test]
fn queries_need_a_direction_and_lists_may_be_empty() {
    for values in [[0.0f32, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
        assert!(Queries::new(values.to_vec(), 2).is_none());
    }
    let queries = Queries::new(vec![1.0, 0.0], 2).unwrap();
    let none = scanned(&queries, Stored::Single(&[1.0, 0.0, 0.5, 0.5]), |_| true, 0, 9);
    assert!(none[0].is_empty());
    assert!(scanned(&queries, Stored::Half(&[]), |_| true, 3, 9)[0].is_empty());
    let mut top = Top::new(2);
    top.push(Hit { similarity: f64::NAN, row: 0 });
    assert_eq!((top.cut(), top.into_hits()), (f64::NEG_INFINITY, vec![]));
}
