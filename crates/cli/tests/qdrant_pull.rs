//! `qdrant pull --out-run`: what a question finds becomes a run that everything else works on, the same from a server and from the run itself.
#![allow(clippy::unwrap_used)]
mod common;
#[path = "common/qdrant.rs"]
mod qdrant;

use std::collections::BTreeMap;

use common::{Place, assert_same};
use cribble_core::Uid;
use cribble_io::{Dataset, OpenOptions};
use qdrant::{VECTORS, expected, services, with_run};
use serde_json::Value;

fn input(place: &Place, run: &str) -> Dataset {
    Dataset::open(&OpenOptions::new(place.path(run).join("input").to_str().unwrap())).unwrap()
}

/// The vectors of all samples that have one, by uid.
fn vectors(dataset: &Dataset, name: &str) -> BTreeMap<Uid, Vec<f32>> {
    let mut found = BTreeMap::new();
    for shard in dataset.shards() {
        let mut array = dataset.open_array(shard.index, name).unwrap();
        for (row, uid) in dataset.uids(shard.index).unwrap().into_iter().enumerate() {
            let mut values = vec![0.0; array.dim()];
            array.read_f32(row as u64, &mut values).unwrap();
            if values.iter().any(|value| *value != 0.0) {
                found.insert(uid, values);
            }
        }
    }
    found
}

#[test]
fn a_condition_becomes_a_run_that_everything_works_on() {
    let place = with_run(60);
    let points = expected(&place, "run", "run");
    let wanted: Vec<&Uid> = points
        .iter()
        .filter(|(_, point)| point.payload.contains_key("cluster"))
        .map(|(uid, _)| uid)
        .collect();
    for service in services("pull") {
        service.push(&place, &[], 0);
        for (server, out) in [(&service.words()[..], "pulled"), (&[], "local")] {
            let pull = ["qdrant", "pull", "run", "--where", "cluster IS NOT NULL", "--out-run", out];
            let value = place.json(&[&pull, server].concat(), 0);
            assert_eq!(value["report"]["selection"]["kept"], wanted.len(), "{value}");
            let data = input(&place, out);
            let uids: Vec<Uid> = data.shards().iter().flat_map(|s| data.uids(s.index).unwrap()).collect();
            assert!(uids.iter().eq(wanted.iter().copied()), "in the order of uids");
            for name in VECTORS {
                let found = vectors(&data, name);
                for uid in &wanted {
                    match (points[*uid].vectors.get(name), found.get(*uid)) {
                        (Some(a), Some(b)) => {
                            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3), "{name} {uid}");
                        }
                        (a, b) => assert_eq!(a.is_some(), b.is_some(), "{name} {uid}"),
                    }
                }
            }
        }
        assert_same(&place.path("pulled/input"), &place.path("local/input"));

        // The new run is asked, shown, exported, cut into tars, and is the input of another.
        let kept = points.iter().filter(|(_, point)| point.payload["kept"] == Value::Bool(true)).count();
        let listed = place.json(&["search", "pulled", "--where", "source_kept", "--limit", "100"], 0);
        assert_eq!(listed["hits"].as_array().unwrap().len(), kept);
        let uid = wanted[0].to_string();
        let like = place.json(&["search", "pulled", "--uid", &uid, "--embedding", "l14_img"], 0);
        assert!(!like["hits"].as_array().unwrap().is_empty());
        // Which of its embeddings is meant must be said, but for a condition alone.
        let ask = ["qdrant", "query", "pulled"];
        place.run(&[&ask[..], &["--uid", &uid]].concat(), 2).error("pulled has 5 embeddings", "--vector");
        let shown = place.run(&[&ask[..], &["--where", "kept", "--limit", "3"]].concat(), 0).out;
        assert_eq!(shown.lines().count(), 3, "{shown}");
        place.run(&["report", "pulled"], 0);
        place.run(&["why", "pulled", &uid], 0);
        place.run(&["export", "pulled", "--format", "jsonl", "--out", "pulled.jsonl"], 0);
        let rows = std::fs::read_to_string(place.path("pulled.jsonl")).unwrap();
        assert_eq!(rows.lines().count(), wanted.len());
        let clip =
            ["export", "pulled", "--format", "clip-retrieval", "--embedding", "demo_img", "--out", "clip"];
        place.run(&clip, 0);
        let subset =
            ["--subset", "pulled/subset.npy", "--keys", "uid", "--output", "tars", "--allow-missing"];
        place.run(&[&["reshard", "--input", "pool/shards"], &subset[..]].concat(), 0);
        place.run(&["dedup", "pulled/input", "--embedding", "l14_img", "--cells", "2", "--out", "unique"], 0);
        let again = ["qdrant", "pull", "run", "--where", "kept", "--out-run", "pulled"];
        place.run(&again, 1).error("is not empty", "new folder");
        for folder in ["pulled", "local", "clip", "tars", "unique"] {
            std::fs::remove_dir_all(place.path(folder)).unwrap();
        }
        std::fs::remove_file(place.path("pulled.jsonl")).unwrap();
    }
}

#[test]
fn the_nearest_come_with_their_similarity_and_nothing_makes_no_run() {
    let place = with_run(24);
    let points = expected(&place, "run", "run");
    let (uid, _) = points.iter().find(|(_, point)| point.vectors.contains_key("l14_img")).unwrap();
    let near = ["--uid", &uid.to_string(), "--vector", "l14_img", "--limit", "5", "--out-run", "near"]
        .map(String::from);
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    place.run(&[&["qdrant", "pull", "run"], &near[..]].concat(), 0);
    let listed = place.json(&["search", "near", "--where", "similarity > -1.5", "--limit", "100"], 0);
    assert_eq!(listed["hits"].as_array().unwrap().len(), 5);
    let none = ["qdrant", "pull", "run", "--where", "cluster = 99", "--out-run", "none"];
    place.run(&none, 1).error("no sample answers", "qdrant query");
    assert!(!place.path("none/input").exists() && !place.path("none/manifest.json").exists());
    place.run(&["qdrant", "pull", "run", "--where", "kept", "--out-run", "dry", "--dry-run"], 0);
    assert!(!place.path("dry").exists());
    place.run(&["qdrant", "pull", "run", "--where", "kept"], 2);
}
