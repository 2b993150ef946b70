//! `search` through the real binary, on the demo's run: what a text, an image and a sample find is what was planted; the exact answer is
//! brute force's; conditions, subset files, pages and indexes hold what they say.
#![allow(clippy::unwrap_used)]
mod common;

use std::{collections::HashMap, fs, sync::OnceLock};

use arrow::array::{Array, AsArray};
use common::{Place, Ran, tables::step_tables};
use cribble_core::Uid;
use cribble_demo::{ImageKind, Truth, TruthRow};
use cribble_io::{SourceFile, npy::NpyFile};
use serde_json::Value;

/// One demo for all tests that only read it.
fn demo() -> &'static (Place, HashMap<String, TruthRow>) {
    static DEMO: OnceLock<(Place, HashMap<String, TruthRow>)> = OnceLock::new();
    DEMO.get_or_init(|| {
        let place = Place::new();
        place.run(&["demo", "d", "--rows", "1500", "--seed", "5"], 0);
        let truth = Truth::open(&place.path("d/pool")).unwrap().in_tars();
        let truth = truth.rows.into_iter().map(|row| (row.uid.to_string(), row)).collect();
        (place, truth)
    })
}

/// A copy of the demo's run that a test may spoil; its input is the shared one.
fn spoiled(name: &str) -> String {
    let (place, _) = demo();
    copy(&place.path("d/run"), &place.path(name));
    name.to_owned()
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(|_| ()).unwrap() }
    }
}

fn hits(value: &Value) -> &Vec<Value> {
    value["hits"].as_array().unwrap()
}

fn uids(value: &Value) -> Vec<String> {
    hits(value).iter().map(|hit| hit["uid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_text_finds_the_planted_concept() {
    let (place, truth) = demo();
    for (text, concept) in [
        ("a sailboat", "sailboat"),
        ("a cat", "cat"),
        ("a lighthouse", "lighthouse"),
        ("a sunflower", "sunflower"),
        ("eine Uhr", "clock"),
        ("a fish", "fish"),
    ] {
        let value = place.json(&["search", "d/run", text], 0);
        let right = uids(&value).iter().filter(|uid| &*truth[*uid].concept == concept).count();
        assert!(hits(&value).len() == 10 && right >= 8, "{text}: {right} of 10");
        assert_eq!((&value["embedding"], &value["model"]), (&"demo_img".into(), &"builtin:demo-clip".into()));
        assert_eq!((&value["query"]["text"], &value["method"]), (&text.into(), &"exact".into()));
        // Captions by captions: the same words in the other half of the space.
        let value = place.json(&["search", "d/run", text, "--embedding", "demo_txt", "-n", "3"], 0);
        assert_eq!(hits(&value).len(), 3);
    }
}

#[test]
fn a_sample_finds_its_twin() {
    let (place, truth) = demo();
    let original = |uid: &str| truth[uid].twin_of.unwrap_or(truth[uid].uid);
    let easy = [ImageKind::ByteCopy, ImageKind::Reencoded, ImageKind::Mirrored];
    let mut twins: Vec<&TruthRow> =
        truth.values().filter(|row| row.twin_of.is_some() && easy.contains(&row.kind)).collect();
    twins.sort_by_key(|row| row.uid);
    let mut found = 0;
    for row in twins.iter().take(20) {
        let uid = row.uid.to_string();
        // The first characters of a uid are enough, as for `why`.
        let value = place.json(&["search", "d/run", "--uid", &uid[..12], "-n", "3"], 0);
        assert!(!uids(&value).contains(&uid), "it does not find itself");
        let best = &hits(&value)[0];
        found += u32::from(original(best["uid"].as_str().unwrap()) == original(&uid));
        if row.kind == ImageKind::ByteCopy {
            assert!(best["similarity"].as_f64().unwrap() > 0.9999, "{best}");
        }
        assert_eq!(value["query"]["uid"], uid);
        assert!(value["query"]["caption"].is_string() && value["model"].is_null());
    }
    assert!(twins.len() >= 20 && found >= 19, "{found} of 20");
}

#[test]
fn an_image_file_finds_the_sample_it_is_from() {
    let (place, _) = demo();
    let mut archive = tar::Archive::new(fs::File::open(place.path("d/pool/shards/00000000.tar")).unwrap());
    let members: Vec<(String, Vec<u8>)> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            (name, bytes)
        })
        .collect();
    let (name, bytes) = members.iter().find(|(name, _)| name.ends_with(".jpg")).unwrap();
    let json = members.iter().find(|(other, _)| *other == name.replace(".jpg", ".json")).unwrap();
    let uid = serde_json::from_slice::<Value>(&json.1).unwrap()["uid"].as_str().unwrap().to_owned();
    place.write("asked.jpg", bytes);
    let value = place.json(&["search", "d/run", "--image", "asked.jpg", "-n", "2"], 0);
    // The vector of the run is rounded to half floats.
    assert!(hits(&value)[0]["similarity"].as_f64().unwrap() > 0.9999);
    assert!(uids(&value).contains(&uid), "itself, or a copy of its bytes beside it");
    assert_eq!(value["query"], serde_json::json!({ "kind": "image", "file": "asked.jpg" }));
}

/// The cosine by its definition.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}

#[test]
fn the_exact_answer_is_brute_force_whatever_the_threads() {
    let (place, _) = demo();
    let run = place.path("d/run");
    let mut rows: Vec<(String, Vec<f32>)> = Vec::new();
    let mut tables = step_tables(&run, "02-embed");
    tables.sort_by(|a, b| a.shard.cmp(&b.shard));
    for table in &tables {
        let vectors = table.vectors(&run, "demo_img").unwrap();
        rows.extend(table.uids.iter().map(Uid::to_string).zip(vectors));
    }
    for asked in [3, 700, 1200] {
        let (uid, query) = rows[asked].clone();
        if query.iter().all(|value| *value == 0.0) {
            place
                .run(&["search", "d/run", "--uid", &uid], 1)
                .error("has no vector in 'demo_img'", "cribble why");
            continue;
        }
        let mut all: Vec<(f64, usize)> = (0..rows.len())
            .filter(|&row| row != asked && rows[row].1.iter().any(|value| *value != 0.0))
            .map(|row| (cosine(&query, &rows[row].1), row))
            .collect();
        all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
        for threads in ["1", "3"] {
            let words =
                ["search", "d/run", "--uid", &uid, "--limit", "200", "--threads", threads, "--memory", "64M"];
            let value = place.json(&words, 0);
            assert_eq!(hits(&value).len(), 200);
            for (hit, (similarity, row)) in hits(&value).iter().zip(&all) {
                assert!((hit["similarity"].as_f64().unwrap() - similarity).abs() < 1e-12, "{hit}");
                assert_eq!(hit["uid"], rows[*row].0);
            }
        }
    }
    assert!(rows.iter().any(|(_, vector)| vector.iter().all(|value| *value == 0.0)), "some rows have none");
}

#[test]
fn conditions_are_those_of_a_filter_and_know_what_became_of_a_row() {
    let (place, _) = demo();
    let run = place.path("d/run");
    let mut kept = HashMap::new();
    for table in step_tables(&run, "02-embed") {
        let score = table.column("clip_score").unwrap();
        let score = score.as_primitive::<arrow::datatypes::Float32Type>();
        for (row, uid) in table.uids.iter().enumerate() {
            kept.insert(uid.to_string(), score.is_valid(row).then(|| score.value(row)));
        }
    }
    let all = place.json(&["search", "d/run", "a house", "--limit", "3000"], 0);
    let filtered = place
        .json(&["search", "d/run", "a house", "--where", "kept AND clip_score > 0.4", "--limit", "3000"], 0);
    let expected: Vec<String> = hits(&all)
        .iter()
        .filter(|hit| hit["kept"] == true)
        .map(|hit| hit["uid"].as_str().unwrap().to_owned())
        .filter(|uid| kept[uid].is_some_and(|score| score > 0.4))
        .collect();
    assert!(expected.len() > 50, "{}", expected.len());
    assert_eq!(uids(&filtered), expected);
    assert_eq!(filtered["searched"], expected.len());

    let count = |words: &[&str]| {
        hits(&place.json(&[&["search", "d/run", "--limit", "3000"], words].concat(), 0)).len()
    };
    let report = place.json(&["report", "d/run"], 0);
    let selection = &report["report"]["selection"];
    assert_eq!(count(&["--kept"]) as u64, selection["kept"].as_u64().unwrap());
    assert_eq!(
        count(&["--dropped"]) as u64 + selection["kept"].as_u64().unwrap(),
        selection["seen"].as_u64().unwrap()
    );
    let by_dedup = count(&["--where", "dropped_by = '06-dedup' AND reason IS NOT NULL"]);
    assert_eq!(by_dedup as u64, selection["dropped_by"]["06-dedup"].as_u64().unwrap());
    let none = place.run(&["search", "d/run", "a house", "--where", "false"], 0);
    assert!(none.out.is_empty() && none.err.contains("0 of 0 rows"), "{}", none.err);
}

#[test]
fn the_table_fits_the_terminal_and_a_subset_holds_what_was_found() {
    let (place, _) = demo();
    let ran = place.run(&["search", "d/run", "a red house", "--subset", "found/house.npy", "-n", "7"], 0);
    assert_eq!(ran.out.lines().count(), 7);
    for (rank, line) in ran.out.lines().enumerate() {
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells[0], (rank + 1).to_string());
        assert!(cells[1].parse::<f64>().unwrap() > 0.2 && cells[2].len() == 32, "{line}");
        assert!(cells[3] == "kept" || line.contains("dropped by 0"), "{line}");
        assert!(line.chars().count() <= 132, "{line}");
    }
    assert!(ran.err.contains("wrote 7 uids") && ran.err.contains("every one compared"), "{}", ran.err);
    let mut found = uids(&place.json(&["search", "d/run", "a red house", "-n", "7"], 0));
    found.sort();
    let file =
        NpyFile::open_uid_pairs(SourceFile::open_local(place.path("found/house.npy")).unwrap()).unwrap();
    let written: Vec<String> = file.read_uids(0, 7).unwrap().iter().map(Uid::to_string).collect();
    assert_eq!(written, found);
}

#[test]
fn a_page_holds_pictures_and_needs_no_network() {
    let (place, _) = demo();
    let words = ["search", "d/run", "two cats", "-n", "12", "--sheet", "cats.html", "-q"];
    place.run(&words, 0);
    let page = fs::read_to_string(place.path("cats.html")).unwrap();
    assert_eq!(page.matches("<img src=\"data:image/jpeg;base64,").count(), 12);
    assert!(page.contains("two cats") && page.contains("Content-Security-Policy"));
    for forbidden in ["http://", "https://", "src=\"/", "<link rel=\"stylesheet\""] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    place.run(&words, 0);
    let again = fs::read_to_string(place.path("cats.html")).unwrap();
    assert_eq!(without_times(&page), without_times(&again));
    // What was asked has its picture too.
    let uid = uids(&place.json(&["search", "d/run", "two cats", "-n", "1"], 0)).remove(0);
    place.run(&["search", "d/run", "--uid", &uid, "-n", "5", "--sheet", "like.html"], 0);
    assert_eq!(fs::read_to_string(place.path("like.html")).unwrap().matches("<img ").count(), 6);
}

/// Without the tile that says how long it took.
fn without_times(page: &str) -> String {
    let (before, after) = page.split_once("<dt>method</dt>").unwrap();
    before.to_owned() + after.split_once("</div>").unwrap().1
}

#[test]
fn an_index_is_built_measured_used_and_goes_stale() {
    let (place, _) = demo();
    let run = spoiled("indexed");
    let ran = place.run(&["search", &run, "--index", "build"], 0);
    assert!(ran.out.is_empty() && ran.err.contains("queries of 'demo_txt': recall@10"), "{}", ran.err);
    let built = place.json(&["search", &run, "--index", "build"], 0);
    let index = &built["index"];
    assert!(
        index["seconds"].as_f64().unwrap() > 0.0 && index["bytes"].as_u64().unwrap() > 100_000,
        "{index}"
    );
    for recall in index["recall"].as_array().unwrap() {
        assert!(recall["at_10"].as_f64().unwrap() >= 0.95, "{recall}");
    }
    let probed = index["probes"].as_u64().unwrap();
    assert!(probed < index["cells"].as_u64().unwrap(), "{index}");
    // What the index finds is what comparing every row finds, but for a few of many.
    let (mut same, mut all) = (0, 0);
    for text in ["a cat", "a clock", "a mountain under a blue sky", "text", "a red flag"] {
        let quick = place.json(&["search", &run, text], 0);
        let exact = place.json(&["search", &run, text, "--index", "none"], 0);
        assert_eq!((&quick["method"], &exact["method"]), (&"index".into(), &"exact".into()));
        let exact = uids(&exact);
        same += uids(&quick).iter().filter(|uid| exact.contains(uid)).count();
        all += exact.len();
    }
    assert!(same * 10 >= all * 9, "{same} of {all}");
    // With a condition, or for more than it was tried with, every row is compared.
    for more in [["--kept", "--limit=10"], ["--index=auto", "--limit=101"]] {
        let value = place.json(&[&["search", run.as_str(), "a cat"][..], &more].concat(), 0);
        assert_eq!(value["method"], "exact");
    }
    let meta = place.path(&run).join("index/demo_img/index.json");
    let text = fs::read_to_string(&meta).unwrap();
    fs::write(&meta, text.replace("\"version\": \"", "\"version\": \"0")).unwrap();
    let ran = place.run(&["search", &run, "a cat", "-n", "1"], 0);
    assert!(
        ran.err.contains("changed since its index was built") && ran.err.contains("--index build"),
        "{}",
        ran.err
    );
}

#[test]
fn a_run_that_is_not_whole_is_shown_for_what_it_is() {
    let (place, _) = demo();
    let search = |run: &str, words: &[&str], code: i32| -> Ran {
        place.run(&[&["search", run, "a cat", "-n", "2"], words].concat(), code)
    };
    // Half deleted: what is gone is named, with the cure.
    let run = spoiled("gone-vectors");
    fs::remove_file(place.path(&run).join("embeddings/demo_img/00000001.npy")).unwrap();
    search(&run, &[], 1).error("embeddings/demo_img/00000001.npy is gone", "run the recipe again");
    fs::remove_file(place.path(&run).join("embeddings/demo_img/model.json")).unwrap();
    search(&run, &[], 1).error("model.json is gone", "run the recipe again");
    let run = spoiled("gone-table");
    fs::remove_file(place.path(&run).join("steps/05-caption/00000000.parquet")).unwrap();
    search(&run, &[], 1)
        .error("steps/05-caption/00000000.parquet is gone", "delete gone-table/steps/05-caption");
    let run = spoiled("gone-selection");
    fs::remove_dir_all(place.path(&run).join("selection")).unwrap();
    search(&run, &[], 1).error("selection/00000000.parquet is gone", "the selection is written anew");

    // Still being written: what is there is searched, and that it is not all is said.
    let run = spoiled("running");
    let manifest = place.path(&run).join("manifest.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    value["finished"] = false.into();
    for step in value["steps"].as_array_mut().unwrap().iter_mut().skip(1) {
        step["state"] = "running".into();
    }
    fs::write(&manifest, value.to_string()).unwrap();
    fs::remove_file(place.path(&run).join("embeddings/demo_img/00000001.npy")).unwrap();
    let ran = search(&run, &["--kept"], 0);
    assert_eq!(ran.out.lines().count(), 2);
    assert!(ran.err.contains("1 of 8 steps are complete, 02-embed is not"), "{}", ran.err);
    assert!(ran.err.contains("1 of 2 shards have vectors"), "{}", ran.err);
    search(&run, &["--index", "build"], 1).error("still being made", "wait");
    let notes = place.json(&["search", &run, "a cat"], 0)["notes"].as_array().unwrap().len();
    assert_eq!(notes, 2);
    fs::remove_dir_all(place.path(&run).join("embeddings")).unwrap();
    search(&run, &[], 1).error("its embed step has not begun", "run its recipe again");
}

#[test]
fn what_cannot_be_asked_names_the_cure() {
    let (place, _) = demo();
    place.write("no.jpg", "not an image");
    place.write("cut.jpg", &fs::read(place.path("d/pool/shards/00000000.tar")).unwrap()[512..700]);
    for (words, code, message, hint) in [
        (&["d/none", "x"][..], 1, "is no run folder", "--out"),
        (&["d/run"], 2, "nothing to search for", "--where"),
        (&["d/run", "x", "--uid", "ab"], 2, "several queries at once", "one of them"),
        (&["d/run", "--image", "no.jpg", "--uid", "ab"], 2, "several queries at once", "one of them"),
        (
            &["d/run", "--uid", "0123456789abcdef0123456789abcdef"],
            1,
            "no sample of this run",
            "cribble check",
        ),
        (&["d/run", "--uid", "xyz"], 2, "is no uid", "32 characters"),
        (&["d/run", "--image", "none.jpg"], 1, "none.jpg", "--image takes"),
        (&["d/run", "--image", "no.jpg"], 1, "no.jpg: bytes 6e 6f", "--image takes"),
        (&["d/run", "--image", "cut.jpg"], 1, "cut.jpg: ", "--image takes"),
        (
            &["d/run", "x", "--where", "clip_scor > 0.3"],
            2,
            "no column `clip_scor`",
            "did you mean `clip_score`",
        ),
        (&["d/run", "x", "--where", "zzz > 0.3"], 2, "no column `zzz`", "the columns are uid, "),
        (&["d/run", "x", "--where", "clip_score"], 2, "clip_score", ""),
        (&["d/run", "x", "--embedding", "demo_ing"], 2, "no embedding 'demo_ing'", "did you mean 'demo_img'"),
        (&["d/run", "x", "--subset", "x.doc"], 2, "x.doc: the extension", ".npy"),
    ] {
        place.run(&[&["search"], words].concat(), code).error(message, hint);
    }
    let ran = place.run(&["search", "d/run", "x", "--sheet", "x.npy"], 2);
    assert!(ran.err.contains("an .html file"), "{}", ran.err);
    let ran = place.run(&["search", "d/run", "x", "--dry-run", "--sheet", "x.html"], 0);
    assert!(ran.out.is_empty() && ran.err.contains("would search") && ran.err.contains("would write x.html"));
    assert!(!place.path("x.html").exists());
    let value = place.json(&["search", "d/run", "x", "--where", "zzz"], 2);
    assert_eq!(value["error"]["kind"], "usage");
}

/// A run on DataComp's files, whose arrays came with them.
const GIVEN: &str = r#"
[input]
path = "pool/metadata"
[[step]]
kind = "filter"
where = "original_width >= 0"
[[step]]
kind = "dedup"
embedding = "l14_img"
epsilon = 0.05
cells = 4
"#;

#[test]
fn arrays_of_the_input_need_a_model_for_texts_and_none_for_samples() {
    let place = Place::with_pool(120, true);
    place.write("recipe.toml", GIVEN);
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    let first = place.json(&["search", "run", "--where", "true", "-n", "1"], 0);
    let uid = &uids(&first)[0];
    let value = place.json(&["search", "run", "--uid", uid], 0);
    assert_eq!((&value["embedding"], hits(&value).len()), (&"l14_img".into(), 10));
    let texts = place.json(&["search", "run", "--uid", uid, "--embedding", "l14_txt"], 0);
    assert_eq!(texts["embedding"], "l14_txt");
    place.run(&["search", "run", "a house"], 2).error("'l14_img' came with the input", "--model");
    place
        .run(&["search", "run", "a house", "--model", "builtin:demo-clip"], 2)
        .error("vectors of 128 numbers, and those of 'l14_img' have 16", "--model");
    // Their pixels lie nowhere that the run knows.
    place.run(&["search", "run", "--uid", uid, "--sheet", "s.html"], 0);
    assert!(fs::read_to_string(place.path("s.html")).unwrap().contains("the run knows no images"));
    // Another recipe names the tars: then their index is built where it is missing.
    place.write(
        "with.toml",
        GIVEN.replace(
            "\n[[step]]\nkind = \"filter\"",
            "\nimages = \"pool/shards\"\n[[step]]\nkind = \"filter\"",
        ),
    );
    place.run(&["run", "with.toml", "--out", "with"], 0);
    place.run(&["search", "with", "--uid", uid, "--sheet", "t.html"], 0);
    assert!(fs::read_to_string(place.path("t.html")).unwrap().matches("<img ").count() > 5);
    // The input changed: nothing of the run holds any more.
    let shard = place.path("pool/metadata/00000000.parquet");
    fs::copy(place.path("pool/metadata/00000001.parquet"), &shard).unwrap();
    fs::copy(place.path("pool/metadata/00000001.npz"), place.path("pool/metadata/00000000.npz")).unwrap();
    place
        .run(&["search", "run", "--uid", uid], 1)
        .error("changed since run was made", "run the recipe again");
}

#[test]
fn runs_without_embeddings_and_without_rows_say_so() {
    let place = Place::new();
    place.write("images/a.txt", "a caption");
    place.write("images/a.png", include_bytes!("../../pixels/tests/vectors/images/rgba.png"));
    place.run(&["filter", "images", "--where", "true", "--out", "run"], 0);
    place.run(&["search", "run", "a caption"], 2).error("has no embeddings", "embed");
    let value = place.json(&["search", "run", "--where", "contains(text, 'caption')"], 0);
    assert_eq!((hits(&value).len(), &value["hits"][0]["caption"]), (1, &"a caption".into()));
    assert_eq!(place.json(&["search", "run", "--dropped"], 0)["searched"], 0);

    common::write_array(&place, &[]);
    place.run(&["filter", "vectors.npy", "--ids", "ids.txt", "--where", "true", "--out", "empty"], 0);
    place.run(&["search", "empty", "--uid", "ab"], 1).error("empty has no rows", "cribble check");
}
