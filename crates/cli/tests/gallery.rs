//! The samples of a run: drawn at random but always the same, true to the tables, there with pictures, and the page as a folder. A run that is
//! unfinished, or of which pieces are gone, is shown for what it is.
#![allow(clippy::unwrap_used)]
mod common;

use std::collections::BTreeSet;

use common::{Place, RECIPE, recipe_with_shards};
use serde_json::Value;

fn read_json(place: &Place, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.path(name)).unwrap()).unwrap()
}

fn read_text(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path(name)).unwrap()
}

/// A demo of images and captions, run to its end in `d/run`.
fn demo(rows: &str) -> Place {
    let place = Place::new();
    place.run(&["demo", "d", "--rows", rows, "--seed", "3"], 0);
    place
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn samples_are_what_the_tables_say() {
    let place = demo("600");
    let (gallery, report) = (read_json(&place, "d/run/gallery.json"), read_json(&place, "d/run/report.json"));
    let samples = gallery["samples"].as_object().unwrap();
    let mut shown = 0;
    for step in report["steps"].as_array().unwrap() {
        for (reason, rows) in step["dropped"].as_object().unwrap() {
            let strips = gallery["strips"].as_array().unwrap();
            let strip =
                strips.iter().find(|strip| strip["step"] == step["step"] && strip["reason"] == *reason);
            let strip = strip.unwrap_or_else(|| panic!("no strip of {reason}"));
            assert_eq!(strip["rows"], *rows, "{reason}");
            let uids = texts(&strip["uids"]);
            assert_eq!(uids.len() as u64, rows.as_u64().unwrap().min(12), "{reason}");
            for uid in uids {
                let sample = &samples[&uid];
                assert_eq!((&sample["dropped_by"], &sample["reason"]), (&step["step"], &strip["reason"]));
                shown += 1;
            }
        }
    }
    assert!(shown > 30, "{shown}");
    // `why` reads the same tables another way.
    let strips = gallery["strips"].as_array().unwrap();
    let kept = strips.iter().find(|strip| strip["step"].is_null()).unwrap();
    for uid in texts(&kept["uids"]).iter().take(5) {
        let why = place.json(&["why", "d/run", uid], 0);
        assert_eq!(why["outcome"], "kept", "{uid}");
        let cluster = why["steps"].as_array().unwrap().iter().rev().find_map(|step| step["cluster"].as_i64());
        assert_eq!(samples[uid]["cluster"].as_i64(), cluster);
        assert!(
            samples[uid]["image"].as_str().unwrap().starts_with("data:image/jpeg;base64,/9j/"),
            "a picture"
        );
    }
    for group in gallery["groups"].as_array().unwrap() {
        let leader = &samples[group["leader"].as_str().unwrap()];
        assert_ne!(
            leader["dropped_by"], group["step"],
            "the one that stands for a group was not dropped with it"
        );
        let members = group["members"].as_array().unwrap();
        assert!(!members.is_empty() && group["dropped"].as_u64().unwrap() >= members.len() as u64);
        for member in members {
            let member = &samples[member[0].as_str().unwrap()];
            assert_eq!(member["dropped_by"], group["step"]);
            assert!(member["duplicate_of"].is_string());
        }
    }
    let clusters = gallery["clusters"].as_array().unwrap();
    let of_step = |kind: &str| {
        let steps = report["steps"].as_array().unwrap();
        steps.iter().rfind(|step| step["kind"] == kind).unwrap()["details"].clone()
    };
    let (figures, quotas) = (of_step("cluster"), of_step("prune"));
    let kept: u64 = clusters.iter().map(|card| card["kept"].as_u64().unwrap()).sum();
    assert_eq!(clusters.len() as u64, figures["k"].as_u64().unwrap() - figures["empty"].as_u64().unwrap());
    assert_eq!(kept, report["selection"]["kept"].as_u64().unwrap(), "every kept row is in one of them");
    for card in clusters {
        let number = card["cluster"].as_u64().unwrap() as usize;
        assert_eq!(card["size"], figures["clusters"][number]["size"]);
        assert_eq!(card["quota"], quotas["quotas"][number]["quota"]);
        let sims = |end: &str| {
            card[end].as_array().unwrap().iter().map(|one| one[1].as_f64().unwrap()).collect::<Vec<_>>()
        };
        let (near, far) = (sims("nearest"), sims("farthest"));
        assert!(near.is_sorted_by(|a, b| a >= b) && far.is_sorted() && near.last() >= far.last(), "{card}");
    }
    let scores = &gallery["scores"][0];
    let worst =
        scores["lowest"].as_array().unwrap().iter().map(|one| one[1].as_f64().unwrap()).collect::<Vec<_>>();
    assert!(scores["column"] == "clip_score" && worst.is_sorted() && worst[0] < 0.2, "{worst:?}");
}

#[test]
fn the_draw_is_random_and_the_same_for_any_number_of_threads() {
    let place = demo("400");
    let bytes = std::fs::read(place.path("d/run/gallery.json")).unwrap();
    place.run(&["run", "d/recipe.toml", "--out", "one", "--threads", "1"], 0);
    assert!(bytes == std::fs::read(place.path("one/gallery.json")).unwrap(), "threads change the draw");
    // Not the first rows of the input.
    let gallery = read_json(&place, "d/run/gallery.json");
    let strips = gallery["strips"].as_array().unwrap();
    let kept = texts(&strips.iter().find(|strip| strip["step"].is_null()).unwrap()["uids"]);
    let places = kept.iter().map(|uid| {
        let why = place.json(&["why", "d/run", uid], 0);
        (why["shard"].as_str().unwrap().to_owned(), why["row"].as_u64().unwrap())
    });
    let rows: Vec<_> = places.collect();
    assert!(rows.iter().any(|(_, row)| *row > 150) && !rows.is_sorted(), "{rows:?}");
}

#[test]
fn a_site_has_the_pictures_beside_the_page() {
    let place = demo("300");
    let value = place.json(&["export", "d/run", "--site", "site"], 0);
    let images = value["export"]["images"].as_u64().unwrap();
    let page = read_text(&place, "site/index.html");
    let files: BTreeSet<String> = std::fs::read_dir(place.path("site/images"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(images > 50 && files.len() as u64 == images);
    for link in page.split("href=\"images/").skip(1) {
        assert!(files.contains(link.split('"').next().unwrap()), "a link to nothing");
    }
    let first = files.first().unwrap();
    assert!(
        std::fs::read(place.path("site/images").join(first)).unwrap().starts_with(&[0xFF, 0xD8]),
        "a JPEG as it was"
    );
    assert!(page.contains(&format!("images/{first}")));
    place.run(&["export", "d/run", "--site", "site"], 1).error("is not empty", "new folder");
    place.run(&["export", "d/run", "--site", "other", "--format", "jsonl"], 2);
    place.run(&["export", "d/run", "--site", "dry", "--dry-run"], 0);
    assert!(!place.path("dry").exists());
    // Without the input, the page alone.
    std::fs::rename(place.path("d/pool"), place.path("d/moved")).unwrap();
    let ran = place.run(&["export", "d/run", "--site", "alone"], 0);
    assert!(ran.err.contains("without full-size pictures"), "{}", ran.err);
    let page = read_text(&place, "alone/index.html");
    assert!(page.contains("There are no full-size pictures") && page.contains("data:image/jpeg"));
}

#[test]
fn an_unfinished_run_is_shown_as_one() {
    let place = Place::with_pool(90, false);
    place.write("recipe.toml", RECIPE);
    place.run(&["run", "recipe.toml", "--out", "run", "--only", "dedup"], 0);
    let value = place.json(&["report", "run"], 0);
    assert_eq!(value["finished"], false);
    assert!(value["warnings"][0].as_str().unwrap().contains("2 of 4 steps are complete"), "{value}");
    assert!(!place.path("run/report.html").exists());
    place.run(&["export", "run", "--site", "site"], 0);
    let page = read_text(&place, "site/index.html");
    assert!(
        page.contains("This run is not finished: 2 of 4 steps are complete; 03-cluster to 04-prune are"),
        "said"
    );
    assert!(page.contains("01-filter") && page.contains("id=\"step-2\"") && !page.contains("id=\"step-3\""));
}

#[test]
fn a_run_with_pieces_gone_says_which() {
    let place = Place::with_pool(90, true);
    place.write("recipe.toml", recipe_with_shards());
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    assert_eq!(place.json(&["report", "run"], 0)["warnings"], serde_json::json!([]));
    let whole = read_text(&place, "run/report.html");
    std::fs::remove_file(place.path("run/steps/02-dedup/00000000.parquet")).unwrap();
    std::fs::remove_dir_all(place.path("run/steps/03-cluster")).unwrap();
    std::fs::remove_file(place.path("run/steps/04-prune/00000001.parquet")).unwrap();
    std::fs::remove_dir_all(place.path("run/selection")).unwrap();
    let warnings = place.json(&["report", "run"], 0)["warnings"].to_string();
    for gone in
        ["Of the 3 tables of step 02-dedup, 1 is gone.", "The folder steps/03-cluster is gone.", "selection"]
    {
        assert!(warnings.contains(gone), "{gone} is not in {warnings}");
    }
    let page = read_text(&place, "run/report.html");
    assert!(page.contains("The folder steps/03-cluster is gone.") && !whole.contains("is gone."));
    assert!(page.contains("id=\"samples\""), "what is there is still shown");
    // Samples that cannot be read are no samples; figures are shown all the same.
    place.write("run/gallery.json", "{\"samples\": 3");
    let ran = place.run(&["report", "run"], 0);
    assert!(ran.err.contains("No samples are shown") && ran.err.contains("gallery.json"), "{}", ran.err);
    assert!(!read_text(&place, "run/report.html").contains("id=\"samples\""));
    std::fs::remove_file(place.path("run/gallery.json")).unwrap();
    assert!(place.run(&["report", "run"], 0).err.contains("gallery.json is gone"));
    std::fs::remove_file(place.path("run/report.json")).unwrap();
    let value = place.json(&["report", "run"], 0);
    assert!(
        value["finished"] == false && value["warnings"].to_string().contains("report.json is gone"),
        "{value}"
    );
}

#[test]
fn a_run_without_rows_or_pictures_has_a_page() {
    let place = Place::with_pool(60, false);
    place.write("recipe.toml", RECIPE);
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    let gallery = read_json(&place, "run/gallery.json");
    assert!(gallery["notes"][0].as_str().unwrap().starts_with("No pictures"), "{}", gallery["notes"]);
    assert!(
        gallery["samples"]
            .as_object()
            .unwrap()
            .values()
            .all(|sample| sample["image"].is_null() && sample["text"].is_string())
    );
    let page = read_text(&place, "run/report.html");
    assert!(page.contains("id=\"samples\"") && !page.contains("no picture<"), "no room is left for pictures");
    place.write(
        "nothing.toml",
        "[input]\npath = \"pool/metadata\"\n[[step]]\nkind = \"filter\"\nwhere = \"uid = 'x'\"\n",
    );
    place.run(&["run", "nothing.toml", "--out", "empty"], 0);
    let gallery = read_json(&place, "empty/gallery.json");
    let strips = gallery["strips"].as_array().unwrap();
    assert!(strips.len() == 1 && strips[0]["rows"] == 60, "{strips:?}");
    let page = read_text(&place, "empty/report.html");
    assert!(page.contains("<span class=\"big\">0</span> of 60 rows kept"), "nothing is left");
}

/// Whoever looks at a run whose pieces are gone is told which, with the cure; nobody guesses.
#[test]
fn every_command_says_what_is_gone() {
    let place = Place::with_pool(90, true);
    place.write("recipe.toml", recipe_with_shards());
    place.run(&["run", "recipe.toml", "--out", "whole"], 0);
    let rows = place.json(&["search", "whole", "--where", "kept", "--limit", "1"], 0);
    let (uid, shard) = (rows["hits"][0]["uid"].clone(), rows["hits"][0]["shard"].clone());
    let (uid, shard) = (uid.as_str().unwrap(), shard.as_str().unwrap());
    let spoiled = |name: &str, gone: &str| {
        copy(&place.path("whole"), &place.path(name));
        let path = place.path(name).join(gone);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
    };
    let all: [&[&str]; 7] = [
        &["search", "RUN", "--uid", uid, "--embedding", "l14_img"],
        &["export", "RUN", "--format", "parquet", "--out", "x"],
        &["export", "RUN", "--format", "cluster-labels", "--out", "x"],
        &["export", "RUN", "--format", "sorted-clusters", "--out", "x"],
        &["export", "RUN", "--format", "clip-retrieval", "--out", "x"],
        &["export", "RUN", "--format", "embedding-atlas", "--out", "x"],
        &["qdrant", "push", "RUN", "--url", "http://127.0.0.1:1"],
    ];
    for (gone, cure) in [
        ("steps/03-cluster", "the step is done anew"),
        (&*format!("steps/03-cluster/{shard}.parquet"), "the step is done anew"),
        ("selection", "the selection is written anew"),
    ] {
        let name = gone.replace('/', "-");
        spoiled(&name, gone);
        for words in all {
            let words: Vec<&str> =
                words.iter().map(|word| if *word == "RUN" { &name } else { *word }).collect();
            let ran = place.run(&words, 1);
            ran.error(gone, cure);
            assert!(ran.err.contains("is gone: the run folder is not whole"), "{}", ran.err);
            assert!(!place.path("x").exists());
        }
        // One sample's way is told from what is there.
        let why = place.json(&["why", &name, uid], 0);
        assert_eq!(why["outcome"], "kept", "{why}");
        let verdict = why["steps"][2]["verdict"].as_str().unwrap();
        assert_eq!(verdict == "its table is gone", gone.starts_with("steps"), "{why}");
    }
    // Nothing is left that could tell.
    let both = "selection";
    spoiled("blind", both);
    std::fs::remove_dir_all(place.path("blind/steps")).unwrap();
    place.run(&["why", "blind", uid], 1).error("selection is gone", "same --out");
    std::fs::write(place.path("steps-03-cluster/selection").join(format!("{shard}.parquet")), "").unwrap();
    assert_eq!(place.json(&["why", "steps-03-cluster", uid], 0)["outcome"], "not known");
    // Running the recipe again with what the hint says mends it.
    let mended = format!("steps-03-cluster-{shard}.parquet");
    std::fs::remove_dir_all(place.path(&mended).join("steps/03-cluster")).unwrap();
    place.run(&["run", "recipe.toml", "--out", &mended], 0);
    place.run(&["export", &mended, "--format", "jsonl", "--out", "x"], 0);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy(&path, &target) } else { std::fs::copy(&path, &target).map(drop).unwrap() }
    }
}
