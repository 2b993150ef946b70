//! The exact search equals brute force in `f64`, over shards, with conditions, in any pool of threads; and what cannot be searched says why.
use cribble_core::{Asked, ErrorKind};
use cribble_math::top::{Hit, Queries};
use cribble_pipeline::GlobalRow;
use proptest::prelude::*;

use crate::{
    IndexUse, Of, Query, Request, Scan, search,
    testing::{IMAGES, Place, TEXTS, context, halves, rows},
};

/// Sums from left to right, one after the other: as plain as can be, and so not the order of the kernels.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}

/// All rows with a direction, sorted: the largest cosine first, ties by row.
fn by_brute_force(query: &[f32], shards: &[Vec<f32>], without: Option<GlobalRow>) -> Vec<(f64, u64)> {
    let mut all = Vec::new();
    for (shard, rows) in shards.iter().enumerate() {
        for (row, values) in rows.chunks_exact(query.len()).enumerate() {
            let global = GlobalRow::new(shard as u32, row as u32);
            let similarity = cosine(query, values);
            if similarity.is_finite() && without != Some(global) {
                all.push((similarity, global.0));
            }
        }
    }
    all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
    all
}

/// The same rows in the same order, and the same similarities but for the rounding of the sums.
#[track_caller]
fn assert_same(found: &[Hit], expected: &[(f64, u64)], most: usize) {
    assert_eq!(found.len(), expected.len().min(most));
    for (hit, (similarity, row)) in found.iter().zip(expected) {
        assert!((hit.similarity - similarity).abs() < 1e-12, "{hit:?} {similarity}");
        assert_eq!(hit.row, *row);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn exact_equals_brute_force(
        sizes in prop::collection::vec(0usize..400, 1..5), dim in prop::sample::select(vec![1usize, 3, 17, 64, 130]), seed: u64,
        half: bool, most in 1usize..30, asked in 1usize..4, threads in 1usize..4, itself: bool,
    ) {
        prop_assume!(sizes.iter().sum::<usize>() > 0);
        let mut shards: Vec<Vec<f32>> = sizes.iter().zip(seed..).map(|(&size, seed)| rows(size, dim, seed)).collect();
        for (row, values) in shards.iter_mut().flat_map(|shard| shard.chunks_exact_mut(dim)).enumerate() {
            match row % 11 {
                2 => values.fill(0.0),
                5 => values[row % dim] = f32::NAN,
                7 => values[row % dim] = f32::INFINITY,
                // Exact copies: ties, which go to the earlier row.
                8 | 9 => values.fill(0.25),
                _ => {}
            }
        }
        let place = Place::new(&shards, None, dim, half);
        if half {
            let rounded = |shard: &mut Vec<f32>| *shard = halves(shard).iter().map(|value| value.to_f32()).collect();
            shards.iter_mut().for_each(rounded);
        }
        let view = place.view();
        let context = context(&view, 1 << 30);
        let embedding = view.choose_embedding(None).unwrap();
        let without = itself.then_some(GlobalRow::new(0, 0));
        let asked = rows(asked, dim, seed ^ 9);
        let queries = Queries::new(asked.clone(), dim).unwrap();
        let scan = Scan { view: &view, context: &context, embedding: &embedding, wanted: &|_| Ok(None), without };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| scan.run(&queries, most)).unwrap();
        prop_assert_eq!(found.searched, sizes.iter().sum::<usize>() as u64);
        for (query, top) in asked.chunks_exact(dim).zip(found.tops) {
            assert_same(&top.into_hits(), &by_brute_force(query, &shards, without), most);
        }
    }
}

fn request(query: Query) -> Request {
    Request { query: Some(query), limit: 5, ..Request::default() }
}

#[test]
fn a_sample_finds_its_copy_and_not_itself() {
    let mut shards = vec![rows(300, 16, 1), rows(200, 16, 2)];
    let copy: Vec<f32> = shards[0][7 * 16..8 * 16].iter().map(|value| value * 2.0).collect();
    shards[1][50 * 16..51 * 16].copy_from_slice(&copy);
    shards[1][51 * 16..52 * 16].fill(0.0);
    let place = Place::new(&shards, None, 16, false);
    let view = place.view();
    let context = context(&view, 1 << 30);
    // The run has no steps, and so nowhere to look uids up but the input.
    let uid = view.dataset.uids(0).unwrap()[7];
    let error = search(&view, &context, &request(Query::Sample(uid.to_string()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);

    let embedding = view.choose_embedding(None).unwrap();
    let without = Some(GlobalRow::new(0, 7));
    let scan = Scan { view: &view, context: &context, embedding: &embedding, wanted: &|_| Ok(None), without };
    let queries = Queries::new(shards[0][7 * 16..8 * 16].to_vec(), 16).unwrap();
    let best = scan.run(&queries, 1).unwrap().tops.remove(0).into_hits()[0];
    assert_eq!(GlobalRow(best.row), GlobalRow::new(1, 50));
    assert!((best.similarity - 1.0).abs() < 1e-12);
}

#[test]
fn conditions_alone_list_rows_in_order() {
    let place = Place::new(&[rows(30, 4, 1), rows(20, 4, 2)], None, 4, true);
    let view = place.view();
    let context = context(&view, 1 << 30);
    let condition = Some("ends_with(caption, ' of 1') AND kept".to_owned());
    let request = Request { condition, limit: 3, ..Request::default() };
    let report = search(&view, &context, &request).unwrap();
    assert_eq!((report.searched, report.rows, report.method.as_str()), (20, 50, "rows"));
    let captions: Vec<&str> = report.hits.iter().filter_map(|hit| hit.caption.as_deref()).collect();
    assert_eq!(captions, ["caption 0 of 1", "caption 1 of 1", "caption 2 of 1"]);
    assert!(report.hits.iter().all(|hit| hit.similarity.is_none() && hit.kept));
    assert_eq!((report.query, report.notes.len()), (Asked::Rows, 1), "it says that the run is not finished");
    let dropped = Request { of: Of::Dropped, limit: 3, ..Request::default() };
    assert_eq!(search(&view, &context, &dropped).unwrap().searched, 0);
}

#[test]
fn what_cannot_be_searched_says_why() {
    let both = [rows(30, 4, 1)];
    let place = Place::new(&both, Some(&both), 4, true);
    let view = place.view();
    let context = context(&view, 1 << 30);
    let asks = |request: Request| {
        let error = search(&view, &context, &request).unwrap_err();
        format!("{}\n{}", error.message(), error.hint().unwrap_or_default())
    };
    let text = || request(Query::Text("a fox".into()));
    assert!(asks(text()).contains("--model"), "no model is known: {}", asks(text()));
    let model = Some("builtin:demo-clip".to_owned());
    let wrong = asks(Request { model, ..text() });
    assert!(wrong.contains("128 numbers") && wrong.contains("have 4"), "{wrong}");
    let unknown = asks(Request { embedding: Some("img_embb".into()), ..text() });
    assert!(unknown.contains("did you mean 'img_emb'"), "{unknown}");
    for (condition, expected) in [
        ("captoin = 'x'", "caption"),
        ("caption", "boolean"),
        ("kept AND", "end"),
        ("length(caption) > 'x'", "do not go together"),
    ] {
        let error = asks(Request { condition: Some(condition.into()), ..Request::default() });
        assert!(error.contains(expected), "{condition}: {error}");
    }
    assert_eq!(view.choose_embedding(None).unwrap().embedding.info.name, IMAGES);
    assert_eq!(view.choose_embedding(Some(TEXTS)).unwrap().embedding.info.name, TEXTS);

    let place = Place::new(&[vec![]], None, 4, true);
    let view = place.view();
    let error = search(&view, &crate::testing::context(&view, 1 << 30), &text()).unwrap_err();
    assert!(error.message().contains("has no rows"), "{error}");
    assert_eq!(Request::default().index, IndexUse::Auto);
}
