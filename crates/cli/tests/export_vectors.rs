//! Exports that hold vectors, read back: by Cribble itself, and by the tools they are for where those are installed.
#![allow(clippy::unwrap_used)]
mod common;

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
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
        .error("--embedding", "clip-retrieval folder");
    assert!(!place.path("x").exists());
    let hidden = std::fs::read_dir(place.dir.path()).unwrap().flatten();
    assert_eq!(hidden.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count(), 0);
}
