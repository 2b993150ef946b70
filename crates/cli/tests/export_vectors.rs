//! Exports that hold vectors, read back: by Cribble itself, and by the tools they are for where those are installed.
#![allow(clippy::unwrap_used)]
mod common;

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{Float32Type, Int32Type, Int64Type},
};
use common::{Place, assert_same, recipe_with_shards};
use cribble_core::Uid;
use cribble_io::{Dataset, OpenOptions};

const ARRAYS: [(&str, &str); 2] = [("img_emb", "l14_img"), ("text_emb", "l14_txt")];

fn with_run() -> Place {
    let place = Place::with_pool(150, true);
    place.write("recipe.toml", recipe_with_shards());
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    place
}

fn open(place: &Place, name: &str) -> Dataset {
    Dataset::open(&OpenOptions::new(place.path(name).to_str().unwrap())).unwrap()
}

/// A column over all rows of an input, in order.
fn column(dataset: &Dataset, name: &str) -> ArrayRef {
    let mut parts = Vec::new();
    for shard in dataset.shards() {
        for batch in dataset.read_columns(shard.index, &[name], 1000).unwrap() {
            parts.push(batch.unwrap().column(0).clone());
        }
    }
    arrow::compute::concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap()
}

fn uids(dataset: &Dataset) -> Vec<Uid> {
    dataset.shards().iter().flat_map(|shard| dataset.uids(shard.index).unwrap()).collect()
}

/// The vectors of all rows, by uid.
fn vectors(dataset: &Dataset, name: &str) -> BTreeMap<Uid, Vec<f32>> {
    let mut all = BTreeMap::new();
    for shard in dataset.shards() {
        let mut array = dataset.open_array(shard.index, name).unwrap();
        for (row, uid) in dataset.uids(shard.index).unwrap().into_iter().enumerate() {
            let mut values = vec![0.0; array.dim()];
            array.read_f32(row as u64, &mut values).unwrap();
            all.insert(uid, values);
        }
    }
    all
}

#[test]
fn clip_retrieval_has_the_kept_rows_with_their_vectors() {
    let place = with_run();
    let value = place.json(&["export", "run", "--format", "clip-retrieval", "--out", "clip"], 0);
    let (pool, clip) = (open(&place, "pool/metadata"), open(&place, "clip"));
    assert_eq!(clip.layout().kind.name(), "clip-retrieval folder");
    let kept = uids(&clip);
    assert_eq!(value["export"]["rows"].as_u64().unwrap(), kept.len() as u64);
    // The run's order, and nothing but what the run keeps.
    let selected = place.json(&["subset", "info", "run/subset.npy"], 0)["count"].as_u64().unwrap();
    assert_eq!(selected, kept.len() as u64);
    let order: Vec<Uid> = uids(&pool).into_iter().filter(|uid| kept.contains(uid)).collect();
    assert_eq!(kept, order);
    for (name, of) in ARRAYS {
        let (given, written) = (vectors(&pool, of), vectors(&clip, name));
        for (uid, row) in &written {
            let given = &given[uid];
            let length = given.iter().map(|value| value * value).sum::<f32>().sqrt();
            let most = row.iter().zip(given).map(|(a, b)| (a - b / length).abs()).fold(0.0, f32::max);
            assert!(most < 1e-3, "{uid} in {name}: {most}");
        }
    }
    let (captions, texts) = (column(&clip, "caption"), column(&pool, "text"));
    let by_uid: BTreeMap<Uid, usize> = uids(&pool).into_iter().zip(0..).collect();
    for (row, uid) in kept.iter().enumerate() {
        let texts = texts.as_string::<i32>();
        assert_eq!(captions.as_string::<i32>().value(row), texts.value(by_uid[uid]));
    }
    let paths = column(&clip, "image_path");
    assert!(
        paths.null_count() == 0 && paths.as_string::<i32>().iter().flatten().all(|path| !path.is_empty())
    );
    assert!(column(&clip, "cluster").null_count() == 0);

    // Threads and ceilings change nothing, and what is written once comes back the same from its own copy.
    place.run(
        &[
            "export",
            "run",
            "--format",
            "clip-retrieval",
            "--out",
            "again",
            "--threads",
            "1",
            "--memory",
            "64M",
        ],
        0,
    );
    assert_same(&place.path("clip"), &place.path("again"));
    place.write("copy.toml", "[input]\npath = \"clip\"\n");
    place.run(&["run", "copy.toml", "--out", "copied"], 0);
    place.run(&["export", "copied", "--format", "clip-retrieval", "--out", "twice"], 0);
    for (name, _) in ARRAYS {
        let file = format!("{name}/{name}_0.npy");
        let read = |folder: &str| std::fs::read(place.path(folder).join(&file)).unwrap();
        assert!(read("clip") == read("twice"), "{file}");
    }
    let twice = open(&place, "twice");
    assert_eq!(column(&twice, "image_path").to_data(), paths.to_data());
    assert_eq!(uids(&twice), kept);
}

#[test]
fn clip_retrieval_writes_all_rows_and_refuses_what_it_cannot_do() {
    let place = with_run();
    let export = |more: &[&str], code| {
        place.run(&[&["export", "run", "--format", "clip-retrieval"], more].concat(), code)
    };
    export(&["--out", "all", "--all", "--embedding", "l14_txt"], 0);
    let (pool, all) = (open(&place, "pool/metadata"), open(&place, "all"));
    assert_eq!(uids(&all), uids(&pool));
    assert_eq!(all.arrays().len(), 2);
    export(&["--out", "all"], 1).error("is not empty", "nothing is ever overwritten");
    export(&["--out", "x", "--embedding", "l14_imgs"], 2).error("no embedding 'l14_imgs'", "l14_img");
    place
        .run(&["export", "run", "--format", "jsonl", "--out", "x", "--embedding", "l14_img"], 2)
        .error("--embedding", "clip-retrieval");
    assert!(!place.path("x").exists());
    let hidden = std::fs::read_dir(place.dir.path()).unwrap().flatten();
    assert_eq!(hidden.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count(), 0);
}

/// A column of a table, whole.
/// The recipe names no column of captions: the embed step has found them, and so does the export.
#[test]
fn clip_retrieval_has_the_captions_that_were_encoded() {
    let place = Place::with_pool(60, true);
    place.write(
        "tars.toml",
        "[input]\npath = \"pool/shards\"\n[[step]]\nkind = \"embed\"\nmodel = \"builtin:demo-clip\"\nembedding = \"demo\"\n",
    );
    place.run(&["run", "tars.toml", "--out", "tars"], 0);
    place.run(&["export", "tars", "--format", "clip-retrieval", "--out", "clip"], 0);
    let (pool, clip) = (open(&place, "pool/shards"), open(&place, "clip"));
    assert_eq!(clip.arrays().len(), 2);
    let texts = |dataset, name| {
        let column = column(dataset, name);
        column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(texts(&clip, "caption"), texts(&pool, "text"));
    place
        .run(&["export", "tars", "--format", "parquet", "--out", "x", "--shard-bytes", "1M"], 2)
        .error("--shard-bytes", "hold no pictures");
}

fn cells(place: &Place, file: &str, name: &str) -> ArrayRef {
    cribble_pipeline::read_column(&place.path(file), name).unwrap()
}

#[test]
fn the_map_has_a_place_for_each_kept_sample_and_its_exact_neighbors() {
    let place = with_run();
    let value = place.json(&["export", "run", "--format", "embedding-atlas", "--out", "map"], 0);
    let pool = open(&place, "pool/metadata");
    let given = vectors(&pool, "l14_img");
    let ids = cells(&place, "map/map.parquet", "uid");
    let rows: Vec<Uid> = ids.as_string::<i32>().iter().map(|uid| uid.unwrap().parse().unwrap()).collect();
    let selected = place.json(&["subset", "info", "run/subset.npy"], 0)["count"].as_u64().unwrap();
    assert_eq!(rows.len() as u64, selected);
    assert_eq!(
        value["export"]["rows"].as_u64().unwrap() + value["export"]["without"].as_u64().unwrap(),
        selected
    );

    // Neighbours are positions in the file, the nearest first, by 1 - cosine: as plain arithmetic finds them.
    let unit: Vec<Vec<f64>> = rows
        .iter()
        .map(|uid| {
            let row: Vec<f64> = given[uid].iter().map(|value| f64::from(*value)).collect();
            let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
            row.into_iter().map(|value| value / length).collect()
        })
        .collect();
    let distance = |a: usize, b: usize| 1.0 - unit[a].iter().zip(&unit[b]).map(|(a, b)| a * b).sum::<f64>();
    let column = cells(&place, "map/map.parquet", "neighbors");
    let (ids, distances) = (column.as_struct().column(0), column.as_struct().column(1));
    for row in 0..rows.len() {
        let ids = ids.as_list::<i32>().value(row);
        let found = distances.as_list::<i32>().value(row);
        let mut truth: Vec<f64> =
            (0..rows.len()).filter(|other| *other != row).map(|other| distance(row, other)).collect();
        truth.sort_by(f64::total_cmp);
        assert_eq!(ids.len(), truth.len().min(15));
        for (at, id) in ids.as_primitive::<Int64Type>().values().iter().enumerate() {
            let found = f64::from(found.as_primitive::<Float32Type>().value(at));
            assert!((found - truth[at]).abs() < 1e-5 && (found - distance(row, *id as usize)).abs() < 1e-5);
            assert!(*id as usize != row);
        }
    }

    // Rows of a cluster lie together, its label among them.
    let axis = |file: &str, name: &str| -> Vec<f32> {
        cells(&place, file, name).as_primitive::<Float32Type>().values().to_vec()
    };
    let (x, y) = (axis("map/map.parquet", "x"), axis("map/map.parquet", "y"));
    assert!(x.iter().chain(&y).all(|value| value.is_finite()));
    let clusters = cells(&place, "map/map.parquet", "cluster");
    let clusters = clusters.as_primitive::<Int32Type>().values();
    let (label_x, label_y) = (axis("map/labels.parquet", "x"), axis("map/labels.parquet", "y"));
    let labelled = cells(&place, "map/labels.parquet", "cluster");
    let labelled = labelled.as_primitive::<Int32Type>().values();
    assert_eq!(value["export"]["labels"].as_u64().unwrap(), labelled.len() as u64);
    for row in 0..rows.len() {
        let apart = |at: &usize| (x[row] - label_x[*at]).hypot(y[row] - label_y[*at]);
        let nearest = (0..labelled.len()).min_by(|a, b| apart(a).total_cmp(&apart(b))).unwrap();
        assert_eq!(labelled[nearest], clusters[row]);
    }
    let titles = cells(&place, "map/map.parquet", "title");
    assert_eq!(titles.null_count(), 0);

    place.run(
        &[
            "export",
            "run",
            "--format",
            "embedding-atlas",
            "--out",
            "same",
            "--threads",
            "1",
            "--memory",
            "64M",
        ],
        0,
    );
    assert_same(&place.path("map"), &place.path("same"));
}

#[test]
fn the_map_of_all_says_who_was_dropped_and_why_there_may_be_none() {
    let place = with_run();
    place.run(&["export", "run", "--format", "embedding-atlas", "--out", "map", "--all"], 0);
    let kept = cells(&place, "map/map.parquet", "kept");
    assert_eq!(kept.len() as u64, open(&place, "pool/metadata").rows());
    let reasons = cells(&place, "map/map.parquet", "reason");
    assert!(
        kept.as_boolean()
            .iter()
            .zip(reasons.as_string::<i32>().iter())
            .all(|(kept, reason)| { kept == Some(reason.is_none()) })
    );
    let other = ["export", "run", "--format", "embedding-atlas", "--out", "x", "--embedding", "l14_txt"];
    place.run(&other, 2).error("no complete cluster step of 'l14_txt'", "kind = \"cluster\"");
    assert!(!place.path("x").exists());
}

/// The program (`pip install embedding-atlas`) reads what we wrote and makes its page of it:
/// `CRIBBLE_EMBEDDING_ATLAS=embedding-atlas cargo test -p cribble --test export_vectors -- --ignored`.
#[test]
#[ignore = "needs the program embedding-atlas, named by CRIBBLE_EMBEDDING_ATLAS"]
fn embedding_atlas_reads_the_map() {
    let program = std::env::var("CRIBBLE_EMBEDDING_ATLAS").unwrap();
    let place = with_run();
    place.run(&["export", "run", "--format", "embedding-atlas", "--out", "map"], 0);
    let words =
        "map/map.parquet --x x --y y --text text --neighbors neighbors --degree --labels map/labels.parquet";
    let ran = std::process::Command::new(program)
        .current_dir(place.dir.path())
        .args(words.split(' ').chain(["--export-application", "page"]))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let metadata = std::fs::read_to_string(place.path("page/data/metadata.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let labels = value["props"]["embeddingViewLabels"].as_array().unwrap();
    assert!(
        !labels.is_empty() && labels.iter().all(|label| label["x"].is_number() && label["text"].is_string())
    );
}
