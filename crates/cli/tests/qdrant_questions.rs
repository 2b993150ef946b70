//! `qdrant query`, `pull` and `dedup` through the binary: a server and the run folder give the same answers, and both are those of brute force.
#![allow(clippy::unwrap_used)]
mod common;
#[path = "common/qdrant.rs"]
mod qdrant;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

use arrow::array::AsArray;
use arrow::datatypes::Float32Type;
use common::Place;
use cribble_core::Uid;
use cribble_pipeline::read_column;
use cribble_qdrant::testing::FakeOptions;
use qdrant::{Point, Service, expected, services, with_run};
use serde_json::Value;

type Points = BTreeMap<Uid, Point>;

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// uid and similarity of the hits of a query.
fn hits(place: &Place, words: &[&str]) -> Vec<(Uid, f64)> {
    let value = place.json(&[&["qdrant", "query", "run"], words].concat(), 0);
    let hit = |hit: &Value| {
        (hit["uid"].as_str().unwrap().parse().unwrap(), hit["similarity"].as_f64().unwrap_or(f64::NAN))
    };
    value["hits"].as_array().unwrap().iter().map(hit).collect()
}

/// The samples most similar to a vector, by brute force.
fn nearest(points: &Points, name: &str, to: &[f32], but: Option<Uid>, limit: usize) -> Vec<(Uid, f64)> {
    let mut all: Vec<(Uid, f64)> = points
        .iter()
        .filter(|(uid, _)| Some(**uid) != but)
        .filter_map(|(uid, point)| Some((*uid, cosine(point.vectors.get(name)?, to))))
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(limit);
    all
}

/// The same similarities place by place; samples whose similarities are equal but for rounding may stand in another order.
#[track_caller]
fn assert_hits(found: &[(Uid, f64)], wanted: &[(Uid, f64)]) {
    assert_eq!(found.len(), wanted.len());
    for (place, ((uid, similarity), (_, other))) in found.iter().zip(wanted).enumerate() {
        assert!((similarity - other).abs() < 1e-5, "{place}: {similarity} {other}");
        let same = wanted.iter().find(|(wanted, _)| wanted == uid);
        assert!(same.is_none_or(|(_, wanted)| (wanted - similarity).abs() < 1e-5), "{place}: {uid}");
    }
}

#[test]
fn the_nearest_samples_are_those_of_brute_force_on_a_server_and_on_the_run() {
    let place = with_run(60);
    let points = expected(&place, "run", "run");
    let (uid, sample) = points
        .iter()
        .find(|(_, point)| {
            point.vectors.contains_key("demo_img") && point.payload["kept"] == Value::Bool(true)
        })
        .unwrap();
    let id = uid.to_string();
    let text = sample.payload["text"].as_str().unwrap();
    // The images of the last step that made some, though a later one made vectors of captions.
    assert_eq!(place.json(&["search", "run", "--uid", &id], 0)["embedding"], "demo_img");
    let image = place.write("image.jpg", image_of(&place, *uid));
    let image = image.to_str().unwrap();
    for service in services("nearest") {
        service.push(&place, &[], 0);
        for server in [&service.words()[..], &[]] {
            let ask = |words: &[&str]| hits(&place, &[words, server].concat());
            // The neighbours of a sample, itself not among them.
            for name in ["l14_img", "demo_txt"] {
                let found = ask(&["--uid", &id[..12], "--vector", name, "--limit", "20"]);
                assert_hits(&found, &nearest(&points, name, &sample.vectors[name], Some(*uid), 20));
            }
            // Words: the sample's own caption lies on itself among captions, and finds images as its vector does.
            let found = ask(&[text, "--vector", "demo_txt", "--limit", "3"]);
            assert!((found[0].1 - 1.0).abs() < 1e-3, "{found:?}");
            let found = ask(&[text, "--vector", "demo_img", "--limit", "60"]);
            let wanted = nearest(&points, "demo_img", &sample.vectors["demo_txt"], None, 60);
            assert!(found.len() == wanted.len() && (found[0].1 - wanted[0].1).abs() < 1e-3, "{found:?}");
            // A picture finds itself.
            let found = ask(&["--image", image, "--vector", "demo_img", "--limit", "5"]);
            assert!((found[0].1 - 1.0).abs() < 1e-3 && found.iter().any(|hit| hit.0 == *uid), "{found:?}");
            // With a condition.
            let found = ask(&["--uid", &id, "--vector", "l14_img", "--where", "NOT kept", "--limit", "60"]);
            let mut dropped = points.clone();
            dropped.retain(|_, point| point.payload["kept"] == Value::Bool(false));
            assert_hits(&found, &nearest(&dropped, "l14_img", &sample.vectors["l14_img"], None, 60));
            // For people: a table with the newest caption.
            let table = place
                .run(&[&["qdrant", "query", "run", "--uid", &id, "--limit", "2"], server].concat(), 0)
                .out;
            assert_eq!(table.lines().count(), 2, "{table}");
        }
    }
}

/// The bytes of a sample's image.
fn image_of(place: &Place, uid: Uid) -> Vec<u8> {
    let mut members: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for tar in std::fs::read_dir(place.path("pool/shards")).unwrap().map(|entry| entry.unwrap().path()) {
        if tar.extension().is_none_or(|kind| kind != "tar") {
            continue;
        }
        for entry in tar::Archive::new(std::fs::File::open(&tar).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let (key, kind) = name.split_once('.').unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            members.entry(format!("{}/{key}", tar.display())).or_default().insert(kind.into(), bytes);
        }
    }
    let is_it = |parts: &&BTreeMap<String, Vec<u8>>| {
        serde_json::from_slice::<Value>(&parts["json"]).unwrap()["uid"] == uid.to_string()
    };
    members.values().find(is_it).unwrap()["jpg"].clone()
}

#[test]
fn conditions_mean_the_same_on_a_server_and_on_the_run() {
    let place = with_run(60);
    let points = expected(&place, "run", "run");
    let some: Vec<&Uid> = points.keys().take(2).collect();
    let score = points.values().find_map(|point| point.payload.get("clip_score")?.as_f64()).unwrap();
    let truth = |point: &Point, name: &str| point.payload[name].as_bool().unwrap();
    let number = |point: &Point, name: &str| point.payload.get(name).and_then(Value::as_f64);
    let text = |point: &Point, name: &str| point.payload.get(name).and_then(Value::as_str).map(str::to_owned);
    type Rule<'a> = Box<dyn Fn(&Uid, &Point) -> bool + 'a>;
    let cases: Vec<(String, Rule<'_>)> = vec![
        ("kept".into(), Box::new(|_, p| truth(p, "kept"))),
        ("NOT kept".into(), Box::new(|_, p| !truth(p, "kept"))),
        ("cluster = 1".into(), Box::new(|_, p| number(p, "cluster") == Some(1.0))),
        ("cluster <> 1".into(), Box::new(|_, p| number(p, "cluster").is_some_and(|c| c != 1.0))),
        (
            "cluster IN (0, 2)".into(),
            Box::new(|_, p| number(p, "cluster").is_some_and(|c| c == 0.0 || c == 2.0)),
        ),
        ("cluster NOT IN (0, 2)".into(), Box::new(|_, p| number(p, "cluster") == Some(1.0))),
        ("cluster IS NULL".into(), Box::new(|_, p| number(p, "cluster").is_none())),
        ("NOT (cluster IS NULL)".into(), Box::new(|_, p| number(p, "cluster").is_some())),
        (
            "clip_score > 0.3 AND kept".into(),
            Box::new(|_, p| truth(p, "kept") && number(p, "clip_score").is_some_and(|s| s > 0.3)),
        ),
        (
            "clip_score BETWEEN 0 AND 0.4".into(),
            Box::new(|_, p| number(p, "clip_score").is_some_and(|s| (0.0..=0.4).contains(&s))),
        ),
        (format!("clip_score = {score}"), Box::new(move |_, p| number(p, "clip_score") == Some(score))),
        (
            format!("clip_score > {score}"),
            Box::new(move |_, p| number(p, "clip_score").is_some_and(|s| s > score)),
        ),
        (
            "dropped_by = '07-prune'".into(),
            Box::new(|_, p| text(p, "dropped_by").as_deref() == Some("07-prune")),
        ),
        (
            "dropped_by <> '07-prune'".into(),
            Box::new(|_, p| text(p, "dropped_by").is_some_and(|t| t != "07-prune")),
        ),
        (
            "dropped_by IN ('07-prune', '01-filter') OR cluster = 0".into(),
            Box::new(|_, p| {
                text(p, "dropped_by").is_some_and(|t| t == "07-prune" || t == "01-filter")
                    || number(p, "cluster") == Some(0.0)
            }),
        ),
        (format!("uid IN ('{}', '{}')", some[0], some[1]), Box::new(|uid, _| some.contains(&uid))),
        (format!("uid <> '{}'", some[0]), Box::new(|uid, _| uid != some[0])),
        (
            "run = 'run' AND NOT (kept OR cluster >= 1)".into(),
            Box::new(|_, p| !truth(p, "kept") && number(p, "cluster").is_some_and(|c| c < 1.0)),
        ),
        ("run = 'another'".into(), Box::new(|_, _| false)),
    ];
    for service in services("conditions") {
        service.push(&place, &[], 0);
        for (condition, rule) in &cases {
            let wanted: BTreeSet<Uid> =
                points.iter().filter(|(uid, point)| rule(uid, point)).map(|(uid, _)| *uid).collect();
            assert!(!wanted.is_empty() || condition.contains("another"), "{condition} tests nothing");
            for server in [&service.words()[..], &[]] {
                let pull = ["qdrant", "pull", "run", "--where", condition, "--out", "found.txt"];
                let value = place.json(&[&pull, server].concat(), 0);
                assert_eq!(value["count"], wanted.len(), "{condition} {server:?}");
                let found = std::fs::read_to_string(place.path("found.txt")).unwrap();
                let found: Vec<Uid> = found.lines().map(|line| line.parse().unwrap()).collect();
                assert!(found.iter().eq(&wanted), "{condition} {server:?}");
                let shown = hits(&place, &[&["--where", condition, "--limit", "1000"], server].concat());
                assert_eq!(
                    shown.into_iter().map(|(uid, _)| uid).collect::<BTreeSet<_>>(),
                    wanted,
                    "{condition}"
                );
            }
        }
        // The nearest become a subset that DataComp's tools read.
        for server in [&service.words()[..], &[]] {
            let pull = ["qdrant", "pull", "run", "a red car", "--vector", "demo_img", "--where", "kept"];
            place.run(&[&pull[..], &["--limit", "7", "--out", "near.npy"], server].concat(), 0);
            let info = place.json(&["subset", "info", "near.npy"], 0);
            assert_eq!((&info["count"], &info["format"]), (&7.into(), &"npy".into()), "{info}");
        }
        let all = place
            .json(&[&["qdrant", "pull", "run", "--where", "true OR true", "--out", "x.npy"][..]].concat(), 0);
        assert_eq!(all["count"], 60);
    }
}

#[test]
fn near_duplicates_are_those_of_brute_force() {
    let place = with_run(60);
    let points = expected(&place, "run", "run");
    for service in services("dedup") {
        service.push(&place, &[], 0);
        for (epsilon, condition) in
            [(0.05, "run = 'run'"), (0.6, "run = 'run'"), (0.3, "kept"), (0.0, "kept")]
        {
            let inside: Vec<(&Uid, &Point)> = points
                .iter()
                .filter(|(_, point)| condition != "kept" || point.payload["kept"] == Value::Bool(true))
                .collect();
            let mut pairs = BTreeMap::new();
            for (place, (first, a)) in inside.iter().enumerate() {
                for (second, b) in &inside[place + 1..] {
                    let similarity = cosine(&a.vectors["l14_img"], &b.vectors["l14_img"]);
                    // What rounding decides is no subject of this test.
                    assert!((similarity - (1.0 - epsilon)).abs() > 1e-6 || epsilon == 0.0);
                    if similarity > 1.0 - epsilon && epsilon > 0.0 {
                        pairs.insert((**first, **second), similarity);
                    }
                }
            }
            let mut dropped = BTreeSet::new();
            for (first, second) in pairs.keys() {
                if !dropped.contains(first) {
                    dropped.insert(*second);
                }
            }
            let text = epsilon.to_string();
            let words = [
                "qdrant",
                "dedup",
                "run",
                "--vector",
                "l14_img",
                "--exact",
                "--epsilon",
                &text,
                "--where",
                condition,
                "--out",
                "unique.txt",
                "--pairs",
                "pairs.parquet",
            ];
            let value = place.json(&[&words, &service.words()[..]].concat(), 0);
            if epsilon == 0.0 {
                // Copies of one picture: their similarity is 1 but for rounding, on either side.
                assert!(value["dedup"]["pairs"].as_u64().unwrap() < 60, "{value}");
                continue;
            }
            let (found, others) = (
                read_column(&place.path("pairs.parquet"), "uid").unwrap(),
                read_column(&place.path("pairs.parquet"), "other").unwrap(),
            );
            let similarities = read_column(&place.path("pairs.parquet"), "similarity").unwrap();
            let similarities = similarities.as_primitive::<Float32Type>();
            let found: BTreeMap<(Uid, Uid), f64> = (0..found.len())
                .map(|row| {
                    let uid = |column: &arrow::array::ArrayRef| {
                        column.as_string::<i32>().value(row).parse::<Uid>().unwrap()
                    };
                    ((uid(&found), uid(&others)), f64::from(similarities.value(row)))
                })
                .collect();
            assert!(found.keys().eq(pairs.keys()), "{epsilon} {condition}: {} {}", found.len(), pairs.len());
            assert!(found.iter().all(|(pair, similarity)| (pairs[pair] - similarity).abs() < 1e-5));
            assert!(!pairs.is_empty() || condition == "kept", "{epsilon}: no pair to find");
            let kept: Vec<Uid> =
                inside.iter().map(|(uid, _)| **uid).filter(|uid| !dropped.contains(uid)).collect();
            let unique = std::fs::read_to_string(place.path("unique.txt")).unwrap();
            assert!(unique.lines().map(|line| line.parse::<Uid>().unwrap()).eq(kept.iter().copied()));
            let report = &value["dedup"];
            assert_eq!((&report["kept"], &report["dropped"]), (&kept.len().into(), &dropped.len().into()));
            assert_eq!((&report["pairs"], &report["samples"]), (&pairs.len().into(), &inside.len().into()));
        }
    }
}

#[test]
fn a_run_is_compared_exactly_with_ties_in_order_and_never_finds_who_asks() {
    let place = Place::new();
    let mut rows = common::vectors(300, 8);
    // Copies of one row whose cosines are the same to the last bit; rows without a direction.
    for row in (7..300).step_by(4) {
        rows[row] = rows[3].iter().map(|value| value * (1 << (row % 3)) as f32).collect();
    }
    (10..300).step_by(9).for_each(|row| rows[row].fill(0.0));
    common::write_array(&place, &rows);
    // Uids descend, so that their order is not that of the rows. The sample of row 4 stands there twice.
    let ids: Vec<Uid> = (0..300).map(|row| Uid(1000 - if row == 203 { 4 } else { row })).collect();
    place.write("ids.txt", ids.iter().map(|uid| format!("{uid}\n")).collect::<String>());
    let condition = "NOT ends_with(uid, '0')";
    let make = ["filter", "vectors.npy", "--ids", "ids.txt", "--where", condition, "--out", "run", "-q"];
    place.run(&make, 0);
    let length = |row: &[f32]| cosine(row, row).sqrt();
    for (asking, condition) in [(3, false), (3, true), (4, false), (4, true)] {
        let mut all: Vec<(f64, usize)> = (0..300)
            .filter(|&row| ids[row] != ids[asking] && length(&rows[row]) > 0.0)
            .filter(|&row| !condition || !ids[row].0.is_multiple_of(16))
            .map(|row| (cosine(&rows[asking], &rows[row]) / length(&rows[asking]) / length(&rows[row]), row))
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        assert!(asking == 4 || all[20].0 == all[0].0, "no ties");
        for (limit, threads) in [(1, "2"), (20, "1"), (20, "3"), (1000, "2")] {
            // The first rows win at the limit, and are shown by uid.
            let mut wanted: Vec<(f32, Uid)> =
                all.iter().take(limit).map(|(similarity, row)| (*similarity as f32, ids[*row])).collect();
            wanted.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let (id, limit) = (ids[asking].to_string(), limit.to_string());
            let words = ["--uid", &id, "--limit", &limit, "--threads", threads, "--where", "kept"];
            let found = hits(&place, if condition { &words } else { &words[..6] });
            let uids = wanted.iter().map(|(_, uid)| *uid);
            assert!(found.iter().map(|(uid, _)| *uid).eq(uids), "{asking} {condition} {limit}");
            for ((_, similarity), (wanted, _)) in found.iter().zip(&wanted) {
                assert!((similarity - f64::from(*wanted)).abs() < 1e-7, "{similarity} {wanted}");
            }
        }
    }
}

#[test]
fn questions_that_make_no_sense_are_refused_with_the_cure() {
    let place = with_run(24);
    let service = Service::fake(FakeOptions::default());
    let ask = |words: &[&str], code: i32| place.run(&[&["qdrant", "query", "run"], words].concat(), code);
    let server = service.words();
    let on_server = |words: &[&str], code: i32| ask(&[words, &server[..]].concat(), code);
    on_server(&["--where", "kept"], 1).error("has no collection 'pool'", "qdrant push");
    service.push(&place, &["--vectors", "l14_img,demo_img"], 0);
    for asked in [&ask as &dyn Fn(&[&str], i32) -> common::Ran, &on_server] {
        asked(&["--where", "clustre = 1"], 2).error("no column `clustre`", "`cluster`");
        asked(&["--where", "zzzz = 1"], 2).error("no column `zzzz`", "there are: uid, run");
        asked(&["--where", "cluster ="], 2).error("--where", "");
        asked(&["--where", "cluster"], 2).error("boolean", "x > 0");
        asked(&["--uid", "ffffffffffffffffffffffffffffffff"], 1).error("no sample of this run", "check");
        asked(&["--vector", "l15_img", "--where", "kept"], 2).error("no embedding 'l15_img'", "l14_img");
        asked(&["a cat", "--vector", "l14_img"], 2)
            .error("'l14_img' came with the input, which does not say what made it", "--model");
        asked(&["a cat", "--vector", "l14_img", "--model", "builtin:demo-clip"], 2)
            .error("vectors of 128 numbers, and those of 'l14_img' have 16", "--model");
        asked(&["a cat", "--model", "no/such-model-here", "--vector", "demo_img"], 1)
            .error("no/such-model-here", "");
        asked(&["--image", "recipe.toml", "--vector", "demo_img"], 1).error("recipe.toml", "JPEG");
        asked(&["a cat", "--uid", "00"], 2);
    }
    // More than a database can be asked works on the run.
    on_server(&["--where", "text LIKE '%a%'"], 2).error("in a condition for a database", "IS NULL");
    on_server(&["--where", "text < 'b'"], 2).error("orders numbers", "on the run itself");
    on_server(&["--where", "uid = 'abc'"], 2).error("uid", "");
    ask(&["--where", "text LIKE '%a%' AND length(text) > 3"], 0);
    on_server(&["a cat", "--vector", "demo_txt"], 1).error("has no vector 'demo_txt'", "demo_img");
    // A sample of the run that is not on the server, and one without an image.
    let points = expected(&place, "run", "run");
    let (bare, _) = points.iter().find(|(_, point)| !point.vectors.contains_key("demo_img")).unwrap();
    let bare = bare.to_string();
    ask(&["--uid", &bare, "--vector", "demo_img"], 1).error("has no vector in 'demo_img'", "cribble why");
    on_server(&["--uid", &bare, "--vector", "demo_img"], 1).error("with a vector 'demo_img'", "push");
    place.run(&["qdrant", "pull", "run", "--out", "x.npy"], 2).error("nothing is asked for", "--where");
    place.run(&["qdrant", "pull", "run", "--where", "kept", "--out", "x.doc"], 2).error("x.doc", ".npy");
    place.run(&["qdrant", "dedup", "run", "--epsilon", "1.5", "--out", "x.npy"], 2);
    assert!(!place.path("x.npy").exists() && !place.path("x.doc").exists());
    // A dry run asks nobody, and finds the same mistakes.
    let far = "http://127.0.0.1:1";
    ask(&["--where", "text LIKE 'a'", "--url", far, "--dry-run"], 2).error("for a database", "IS NULL");
    ask(&["--where", "clustre = 1", "--dry-run"], 2).error("clustre", "cluster");
    ask(&["--where", "kept", "--url", far, "--dry-run"], 0);
    let none = ask(&["--where", "cluster = 99"], 0);
    assert_eq!(none.out, "no sample\n");
}
