//! `card` and `export --format hf-parquet`, on runs of a small pool: what is written agrees with the run, wrong input is said, interruptions leave
//! no trace.
#![allow(clippy::unwrap_used)]
mod common;
#[path = "common/vlm.rs"]
mod vlm;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use arrow::array::{Array, AsArray};
use common::{Place, Ran, assert_same, recipe_with_shards};
use cribble_io::{RowChoice, TableReader};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn with_run() -> Place {
    let place = Place::with_pool(150, true);
    place.write("recipe.toml", recipe_with_shards());
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    place
}

const SAID: [&str; 8] =
    ["--license", "mit", "--repo", "me/pairs", "--creator", "Ann", "--date", "2026-01-31"];

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn records(document: &Value, folder: &Path) -> BTreeMap<String, u64> {
    let files = document["distribution"].as_array().unwrap();
    let files = files.iter().filter(|file| file["@type"] == "cr:FileObject");
    files
        .map(|file| {
            let bytes = fs::read(folder.join(file["contentUrl"].as_str().unwrap())).unwrap();
            let sha: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(file["sha256"], sha, "{file}");
            let about = file["description"].as_str().unwrap();
            let count = about.rsplit_once("; ").map_or("0", |(_, count)| count.split(' ').next().unwrap());
            (file["@id"].as_str().unwrap().to_owned(), count.replace(',', "").parse().unwrap())
        })
        .collect()
}

#[test]
fn a_card_describes_the_files_of_a_run() {
    let place = with_run();
    let before: Vec<_> = common::contents(&place.path("run")).into_keys().collect();
    place.run(&[&["card", "run", "--dry-run"][..], &SAID].concat(), 0);
    assert_eq!(before, common::contents(&place.path("run")).into_keys().collect::<Vec<_>>());
    let value = place.json(&[&["card", "run"][..], &SAID].concat(), 0);
    assert_eq!(value["card"]["unsaid"], serde_json::json!([]));
    let report = json(&place.path("run/report.json"));
    let kept = report["selection"]["kept"].as_u64().unwrap();
    let reshard = json(&place.path("run/shards/reshard.json"));
    let written = reshard["report"]["written"].as_u64().unwrap();
    assert!(written < kept, "downloads were planted to fail");

    let document = json(&place.path("run/croissant.json"));
    let records = records(&document, &place.path("run"));
    assert_eq!(records["subset.npy"], kept);
    let of =
        |part: &str| records.iter().filter(|(id, _)| id.contains(part)).map(|(_, count)| count).sum::<u64>();
    assert_eq!((of(".tar"), of("selection/")), (written, report["selection"]["seen"].as_u64().unwrap()));
    assert_eq!(value["card"]["samples"], written);

    let readme = fs::read_to_string(place.path("run/README.md")).unwrap();
    assert!(readme.contains("load_dataset(\"me/pairs\", split=\"train\", streaming=True)"), "{readme}");
    assert!(readme.contains("license: mit\n") && readme.contains("path: \"shards/*.tar\""), "{readme}");
    assert!(
        readme.contains(&format!("The run kept {kept} samples; these files hold {written}.")),
        "{readme}"
    );
    // The run goes on being a run, and its card is written again over the old one, a person's text kept.
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    fs::write(place.path("run/README.md"), readme.clone() + "\n## Mine\n").unwrap();
    place.run(&[&["card", "run"][..], &SAID].concat(), 0);
    assert_eq!(fs::read_to_string(place.path("run/README.md")).unwrap(), readme + "\n## Mine\n");
    assert_eq!(json(&place.path("run/croissant.json")), document);
}

#[test]
fn what_cannot_be_described_is_refused() {
    let place = with_run();
    place.run(&["card", "none"], 1).error("none", "");
    place.run(&["card", "run", "--date", "soon"], 2).error("soon", "2026-01-31");
    place.run(&["card", "run", "--out", "pool"], 2).error("nothing that a card", "reshard");
    let ran = place.run(&["card", "run"], 0);
    assert!(ran.err.contains("--license") && ran.err.contains("--creator"), "{}", ran.err);
    // Half a pair of markers.
    let readme = fs::read_to_string(place.path("run/README.md")).unwrap();
    fs::write(place.path("run/README.md"), readme.replace("<!-- cribble:end -->", "")).unwrap();
    place.run(&["card", "run"], 1).error("markers", "delete both");
    fs::remove_file(place.path("run/README.md")).unwrap();
    // A tar that is gone, and one that was cut.
    let tar = place.path("run/shards/00000000.tar");
    let bytes = fs::read(&tar).unwrap();
    fs::write(&tar, &bytes[..bytes.len() - 512]).unwrap();
    place.run(&["card", "run"], 1).error("should have", "whole");
    fs::remove_file(&tar).unwrap();
    place.run(&["card", "run"], 1).error("00000000.tar is gone", "whole");
    fs::write(&tar, bytes).unwrap();
    place.run(&["card", "run"], 0);
    // A run that is still being written.
    place.write("more.toml", recipe_with_shards().replace("fraction = [0.6, 0.3]", "fraction = 0.5"));
    place.run(&["run", "more.toml", "--out", "run", "--only", "dedup"], 0);
    place.run(&["card", "run"], 1).error("not finished", "again");
    place.run(&["export", "run", "--format", "hf-parquet", "--out", "hf"], 1).error("not finished", "again");
}

/// Uid and picture of every row, in order.
fn rows(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".parquet"))
        .collect();
    names.sort();
    let mut rows = Vec::new();
    for (number, name) in names.iter().enumerate() {
        assert_eq!(*name, format!("train-{number:05}-of-{:05}.parquet", names.len()));
        let path = folder.join(name);
        let reader = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
        let metadata = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
        let features = metadata.iter().find(|one| one.key == "huggingface").unwrap().value.clone().unwrap();
        // pyarrow looks for it in Arrow's own schema.
        assert_eq!(TableReader::open(&path).unwrap().schema().metadata()["huggingface"], features);
        let features: Value = serde_json::from_str(&features).unwrap();
        assert_eq!(features["info"]["features"]["image"]["_type"], "Image");
        let table = TableReader::open(&path).unwrap();
        for batch in table.read(&["uid", "image"], &RowChoice::All, 1000).unwrap() {
            let batch = batch.unwrap();
            let (uids, images) = (batch.column(0).as_string::<i32>(), batch.column(1).as_struct());
            let bytes = images.column(0).as_binary::<i32>();
            assert_eq!(images.null_count() + bytes.null_count(), 0);
            rows.extend(
                (0..batch.num_rows()).map(|row| (uids.value(row).to_owned(), bytes.value(row).to_vec())),
            );
        }
    }
    rows
}

#[test]
fn parquet_holds_every_kept_sample_with_its_picture_or_a_line_that_says_why_not() {
    let place = with_run();
    let base = ["export", "run", "--format", "hf-parquet", "--shard-bytes", "20k", "--out"];
    let ran = place.run(&[&base[..], &["hf"]].concat(), 3);
    assert!(ran.err.contains("missing.csv") && ran.err.contains("--allow-missing"), "{}", ran.err);
    let export = place.json(&[&base[..], &["again", "--allow-missing", "--threads", "1"]].concat(), 0);
    assert_same(&place.path("hf"), &place.path("again"));
    let export = &export["export"];
    let found = rows(&place.path("hf"));
    let kept = json(&place.path("run/report.json"))["selection"]["kept"].as_u64().unwrap();
    let missing: u64 =
        export["missing"].as_object().unwrap().values().map(|rows| rows.as_u64().unwrap()).sum();
    assert_eq!((export["kept"].as_u64(), found.len() as u64 + missing), (Some(kept), kept));
    assert!(missing > 0 && export["files"].as_array().unwrap().len() > 2, "{export}");
    let listed = fs::read_to_string(place.path("hf/missing.csv")).unwrap();
    assert_eq!(listed.lines().count() as u64, missing + 1, "{listed}");

    // The same pictures that reshard copied, for the same samples.
    let mut pictures = BTreeSet::new();
    for entry in fs::read_dir(place.path("run/shards")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "tar") {
            for entry in tar::Archive::new(fs::File::open(path).unwrap()).entries().unwrap() {
                let mut entry = entry.unwrap();
                if entry.path().unwrap().extension().is_some_and(|end| end == "jpg") {
                    let mut bytes = Vec::new();
                    std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
                    pictures.insert(bytes);
                }
            }
        }
    }
    assert_eq!(found.iter().map(|(_, bytes)| bytes.clone()).collect::<BTreeSet<_>>(), pictures);
    let uids: BTreeSet<&str> = found.iter().map(|(uid, _)| uid.as_str()).collect();
    assert_eq!(uids.len(), found.len());
    assert!(listed.lines().skip(1).all(|line| !uids.contains(line.split(',').next().unwrap())));

    // Its own card, whose figures are those of the files.
    place.run(&[&["card", "run", "--out", "hf"][..], &SAID].concat(), 0);
    let document = json(&place.path("hf/croissant.json"));
    assert_eq!(records(&document, &place.path("hf")).values().sum::<u64>(), found.len() as u64);
    let fields = document["recordSet"][0]["field"].as_array().unwrap();
    assert_eq!(fields.len(), export["columns"].as_array().unwrap().len());

    place.run(&[&base[..], &["hf"]].concat(), 1).error("not empty", "ever overwritten");
    place.run(&[&base[..], &["x", "--all"]].concat(), 2).error("--all", "kept");
    place
        .run(&["export", "run", "--format", "jsonl", "--out", "x", "--images", "pool/shards"], 2)
        .error("--images", "");
}

#[test]
fn an_export_that_is_killed_goes_on_and_leaves_the_same_bytes() {
    let place = with_run();
    let words = |out: &'static str| {
        ["export", "run", "--format", "hf-parquet", "--shard-bytes", "15k", "--allow-missing", "--out", out]
    };
    place.run(&words("whole"), 0);
    let mut killed = 0;
    for at in (1..200).step_by(3) {
        let _ = fs::remove_dir_all(place.path("hf"));
        let output =
            place.cribble(&words("hf")).env("CRIBBLE_TEST_KILL_AT", at.to_string()).output().unwrap();
        if output.status.success() {
            break;
        }
        killed += 1;
        if place.path("hf/.hf-parquet").exists() && at % 2 == 0 {
            place.run(&["card", "run", "--out", "hf"], 1).error("still being written", "again");
        }
        let has_begun = place.path("hf/.hf-parquet/00000.done").exists();
        let is_cleaning = place.path("hf/export.json").exists();
        let ran = Ran::new(place.cribble(&words("hf")).output().unwrap());
        assert_eq!(ran.code, Some(0), "killed at {at}: {}", ran.err);
        assert_eq!(ran.err.contains("done before"), has_begun && !is_cleaning, "killed at {at}: {}", ran.err);
        assert_same(&place.path("whole"), &place.path("hf"));
    }
    // The beginning of another export is not touched.
    place.cribble(&words("other")).env("CRIBBLE_TEST_KILL_AT", "20").output().unwrap();
    let other = ["export", "run", "--format", "hf-parquet", "--allow-missing", "--out", "other"];
    place.run(&other, 1).error("another export", "new folder");
    assert!(killed > 3, "killed {killed} times");
}

#[test]
fn pictures_come_from_named_tars_where_the_run_knows_none() {
    let place = Place::with_pool(60, true);
    place.write("recipe.toml", common::RECIPE);
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    let words = ["export", "run", "--format", "hf-parquet", "--out", "hf", "--allow-missing"];
    place.run(&words, 2).error("knows no pictures", "--images");
    place.run(&[&words[..], &["--images", "nowhere"]].concat(), 1);
    let export = place.json(&[&words[..], &["--images", "pool/shards"]].concat(), 0);
    assert_eq!(export["export"]["rows"].as_u64().unwrap(), rows(&place.path("hf")).len() as u64);
    assert!(!place.path("run/images").exists(), "an index of other tars is not the run's");
    // A run without tars has a card, too: of its selection.
    place.run(&["card", "run"], 0);
    assert!(fs::read_to_string(place.path("run/README.md")).unwrap().contains("config_name: selection"));
}

#[test]
fn prompts_of_models_on_servers_are_told_whole_and_their_servers_not_at_all() {
    let place = vlm::pool(40);
    // The caption that every image gets tries to end our part of the file, and to begin a table.
    let evil = "A <!-- cribble:end --> drawing\n| of | `pipes` |.";
    let server =
        cribble_chat::testing::FakeServer::start(move |_| cribble_chat::testing::Act::Say(evil.into()))
            .unwrap();
    let base = server.base();
    place.write("mine.txt", "You see pictures.\n---\n```Describe *this* one.\n<!-- cribble:end -->\n");
    for (out, prompt, told) in [("a", "vivid", "vivid-1"), ("b", "mine.txt", "mine.txt (")] {
        vlm::run(&place, &vlm::words(&base, out, &["--prompt", prompt, "--max-tokens", "77"]), 0);
        vlm::run(&place, &["card", out], 0);
        let readme = fs::read_to_string(place.path(out).join("README.md")).unwrap();
        assert!(readme.contains(told) && readme.contains("`max_tokens = 77`"), "{readme}");
        assert!(!readme.contains(&base) && readme.contains("endpoint = \"…\""), "{readme}");
        let usage = &json(&place.path(out).join("report.json"))["steps"][0]["details"]["usage"];
        assert!(
            readme.contains(&format!(" {} asked and ", counted(usage["input_tokens"].as_u64().unwrap()))),
            "{readme}"
        );
        assert_eq!(
            readme.lines().filter(|line| line.trim() == "<!-- cribble:end -->").count(),
            1,
            "{readme}"
        );
        vlm::run(&place, &["card", out], 0);
        assert_eq!(fs::read_to_string(place.path(out).join("README.md")).unwrap(), readme);
    }
    let whole = fs::read_to_string(place.path("b/README.md")).unwrap();
    assert!(whole.contains("````text\nYou see pictures.\n---\n```Describe *this* one.\n"), "{whole}");
    // A prompt that changed since is not shown for the one that was asked.
    place.write("mine.txt", "Something else.");
    vlm::run(&place, &["card", "b"], 0);
    let later = fs::read_to_string(place.path("b/README.md")).unwrap();
    assert!(later.contains("has changed since the run") && !later.contains("Something else"), "{later}");
}

fn counted(tokens: u64) -> String {
    let word = if tokens == 1 { "token" } else { "tokens" };
    format!("{} {word}", cribble_outputs::report::count(tokens))
}
