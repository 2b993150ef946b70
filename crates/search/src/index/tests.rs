//! The index finds what comparing every row finds, its files depend on the embedding alone, and what does not fit is not used.
use std::{collections::BTreeMap, fs, path::PathBuf};

use cribble_math::top::Queries;
use cribble_pipeline::{GlobalRow, RunView};

use super::{
    build::{assign, write},
    *,
};
use crate::{
    Scan,
    testing::{IMAGES, Place, TEXTS, context, rows},
};

const DIM: usize = 24;

/// Three shards of images, and captions that lie near their images. Some rows have no vector, many are copies of one.
fn place(half: bool) -> Place {
    let mut shards: Vec<Vec<f32>> =
        [900, 700, 1100].into_iter().zip(1..).map(|(n, seed)| rows(n, DIM, seed)).collect();
    for (row, values) in shards.iter_mut().flat_map(|shard| shard.chunks_exact_mut(DIM)).enumerate() {
        match row % 13 {
            3 => values.fill(0.0),
            6 => values[0] = f32::NAN,
            9 => values.fill(0.1),
            _ => {}
        }
    }
    let near = |shard: &Vec<f32>| -> Vec<f32> {
        let noise = rows(shard.len() / DIM, DIM, 77);
        shard.iter().zip(noise).map(|(a, b)| if a.is_finite() { a + b * 0.3 } else { 0.0 }).collect()
    };
    let texts: Vec<Vec<f32>> = shards.iter().map(near).collect();
    Place::new(&shards, Some(&texts), DIM, half)
}

fn find(view: &RunView) -> Found {
    Index::find(view, &view.choose_embedding(None).unwrap()).unwrap()
}

fn fit(view: &RunView) -> Box<Index> {
    match find(view) {
        Found::Fit(index) => index,
        other => panic!("{other:?}"),
    }
}

fn files(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(place_of(place)).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn place_of(place: &Place) -> PathBuf {
    place.dir.path().join("run/index").join(IMAGES)
}

#[test]
fn the_same_embedding_gives_the_same_bytes_and_recall_is_kept() {
    for half in [true, false] {
        let place = place(half);
        let view = place.view();
        let embedding = view.choose_embedding(None).unwrap();
        let mut seen = Vec::new();
        for (threads, memory) in [(1, 1u64 << 30), (3, 64 << 20)] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let context = context(&view, memory);
            let built = pool.install(|| build(&view, &context, &embedding)).unwrap();
            assert_eq!(built.rows, (0..2700).filter(|row| row % 13 != 3 && row % 13 != 6).count() as u64);
            assert_eq!(built.recall.len(), 2, "images and captions ask");
            for recall in &built.recall {
                assert!(recall.at_10 >= 0.95 && recall.count == 100, "{recall:?}");
            }
            assert_eq!([&built.recall[0].queries, &built.recall[1].queries], [IMAGES, TEXTS]);
            assert!(built.probes < built.cells && built.seconds.is_some(), "{built:?}");
            assert_eq!(built.bytes, files(&place).values().map(|bytes| bytes.len() as u64).sum::<u64>());
            seen.push(files(&place));
        }
        assert!(seen.iter().all(|files| *files == seen[0]));

        // Under ceilings that cut the scattering into many runs and the writing into a few cells, or one, at a time.
        let centroids = fit(&view).centroids;
        let cells = (centroids.len() / DIM) as u32;
        for memory in [100_000, 2_000] {
            let folder = tempfile::tempdir().unwrap();
            let context = context(&view, memory);
            assign(&context, &embedding.embedding, &centroids, folder.path()).unwrap();
            write(&context, &embedding.embedding, cells, folder.path(), folder.path()).unwrap();
            for name in [STARTS, ROWS, VECTORS] {
                assert!(fs::read(folder.path().join(name)).unwrap() == seen[0][name], "{name} {memory}");
            }
        }
    }
}

#[test]
fn looking_at_all_cells_is_comparing_every_row() {
    let place = place(true);
    let view = place.view();
    let context = context(&view, 1 << 30);
    let embedding = view.choose_embedding(None).unwrap();
    build(&view, &context, &embedding).unwrap();
    let mut index = fit(&view);
    index.meta.probes = index.meta.cells;
    for (seed, without) in [(5, None), (6, Some(GlobalRow::new(1, 4)))] {
        let queries = Queries::new(rows(1, DIM, seed), DIM).unwrap();
        let scan =
            Scan { view: &view, context: &context, embedding: &embedding, wanted: &|_| Ok(None), without };
        let exact = scan.run(&queries, 60).unwrap().tops.remove(0).into_hits();
        assert_eq!(index.search(&context, &queries, 60, without).unwrap().into_hits(), exact);
    }
}

#[test]
fn an_index_of_something_else_is_stale_and_a_damaged_one_is_an_error() {
    let place = place(true);
    let view = place.view();
    let context = context(&view, 1 << 30);
    assert!(matches!(find(&view), Found::None));
    build(&view, &context, &view.choose_embedding(None).unwrap()).unwrap();
    fit(&view);
    assert!(!place_of(&place).join(".scratch").exists());

    let vectors = place_of(&place).join(VECTORS);
    let whole = fs::read(&vectors).unwrap();
    fs::write(&vectors, &whole[..whole.len() - 8]).unwrap();
    let error = Index::find(&view, &view.choose_embedding(None).unwrap()).unwrap_err();
    assert!(error.message().contains(VECTORS) && error.hint().unwrap().contains("--index build"), "{error}");
    fs::write(&vectors, &whole).unwrap();

    let meta = place_of(&place).join(META);
    let text = fs::read_to_string(&meta).unwrap();
    fs::write(&meta, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(matches!(find(&view), Found::Stale(why) if why.contains("version")));
    fs::write(&meta, "{").unwrap();
    assert!(matches!(find(&view), Found::Stale(_)));
    fs::write(&meta, &text).unwrap();
    fit(&view);

    // Other vectors under the same name.
    fs::remove_dir_all(place.dir.path().join("pool")).unwrap();
    place.write(&[rows(50, DIM, 3)], None, DIM, true);
    assert!(matches!(find(&place.view()), Found::Stale(why) if why.contains("changed")));
}

#[test]
fn an_embedding_without_vectors_has_no_index() {
    let place = Place::new(&[vec![0.0; 5 * DIM]], None, DIM, true);
    let view = place.view();
    let error = build(&view, &context(&view, 1 << 30), &view.choose_embedding(None).unwrap()).unwrap_err();
    assert!(error.message().contains("no row"), "{error}");
    assert!(matches!(find(&view), Found::None));
}
