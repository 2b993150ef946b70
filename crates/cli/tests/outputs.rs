//! Commands beside the run itself: subsets, tars, the demo, first steps, single tasks.
#![allow(clippy::unwrap_used)]
mod common;

use common::{Place, RECIPE, assert_same, recipe_with_shards};

fn with_run() -> Place {
    let place = Place::with_pool(150, true);
    place.write("recipe.toml", recipe_with_shards());
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    place
}

#[test]
fn subsets_are_combined_sampled_and_converted() {
    let place = with_run();
    let count = |file: &str| place.json(&["subset", "info", file], 0)["count"].as_u64().unwrap();
    let (large, small) = (count("run/subset.npy"), count("run/subset-0.3.npy"));
    assert!(small > 0 && large > small);
    place.run(&["subset", "and", "run/subset.npy", "run/subset-0.3.npy", "-o", "and.npy"], 0);
    place.run(&["subset", "or", "run/subset.npy", "run/subset-0.3.npy", "-o", "or.txt"], 0);
    let minus =
        place.json(&["subset", "minus", "run/subset.npy", "run/subset-0.3.npy", "-o", "minus.csv"], 0);
    assert_eq!(minus["count"].as_u64().unwrap(), count("minus.csv"));
    assert_eq!(count("or.txt"), count("and.npy") + count("minus.csv") + (small - count("and.npy")));
    place.run(&["subset", "sample", "run/subset.npy", "--count", "5", "--seed", "1", "-o", "five.npy"], 0);
    place.run(&["subset", "sample", "run/subset.npy", "--fraction", "1", "-o", "all.npy"], 0);
    assert_eq!((count("five.npy"), count("all.npy")), (5, large));
    place.run(&["subset", "convert", "run/subset.npy", "-o", "s.parquet"], 0);
    place.run(&["subset", "convert", "s.parquet", "-o", "back.npy"], 0);
    assert!(
        std::fs::read(place.path("back.npy")).unwrap()
            == std::fs::read(place.path("run/subset.npy")).unwrap()
    );
    let ran = place.run(&["subset", "info", "run/subset.npy"], 0);
    assert!(ran.out.contains("sorted") && ran.out.contains("distinct"), "{}", ran.out);
    place
        .run(&["subset", "or", "back.npy", "five.npy", "-o", "back.npy"], 2)
        .error("read and written at once", "-o");
    place.run(&["subset", "convert", "back.npy", "-o", "x.docx"], 2).error("no subset format", ".npy");
    place.run(&["subset", "sample", "back.npy", "-o", "x.npy"], 2);
    place.run(&["subset", "info", "none.npy"], 1);
}

#[test]
fn reshard_copies_samples_and_counts_what_is_missing() {
    let place = with_run();
    let base = [
        "reshard",
        "--input",
        "pool/shards",
        "--subset",
        "run/subset.npy",
        "--output",
        "out",
        "--keys",
        "uid",
        "--shard-size",
        "7",
    ];
    // With nothing allowed, planted download failures make the exit code 3, and the tars are written all the same.
    let ran = place.run(&base, 3);
    assert!(ran.err.contains("--allow-missing") && ran.out.contains("missing"), "{}{}", ran.out, ran.err);
    let value = place.json(&[&base[..], &["--allow-missing"]].concat(), 0);
    let report = &value["report"];
    let (found, missing) = (report["found"].as_u64().unwrap(), report["missing"].as_u64().unwrap());
    assert!(missing > 0 && found > 7, "{report}");
    let mut images = 0;
    for entry in std::fs::read_dir(place.path("out")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            let mut tar = tar::Archive::new(std::fs::File::open(path).unwrap());
            images += tar
                .entries()
                .unwrap()
                .filter(|entry| entry.as_ref().unwrap().path().unwrap().ends_with_jpg())
                .count() as u64;
        }
    }
    assert_eq!(images, found);
}

trait EndsWithJpg {
    fn ends_with_jpg(&self) -> bool;
}

impl EndsWithJpg for std::path::Path {
    fn ends_with_jpg(&self) -> bool {
        self.extension().is_some_and(|extension| extension == "jpg")
    }
}

#[test]
fn missing_samples_of_a_recipe_make_the_exit_code_3() {
    let place = Place::with_pool(150, true);
    place.write("recipe.toml", recipe_with_shards().replace("allow_missing = true", ""));
    let value = place.json(&["run", "recipe.toml", "--out", "run"], 3);
    assert!(value["shortfalls"][0].as_str().unwrap().contains("in no tar"), "{value}");
    assert!(place.path("run/shards/missing_uids.csv").exists() && place.path("run/report.html").exists());
}

#[test]
fn the_demo_runs_and_its_recipe_gives_the_same_run() {
    let place = Place::new();
    let ran = place.run(&["demo", "d", "--rows", "400", "--seed", "3"], 0);
    for word in ["08-prune", "byte copies", "wrong captions", "groups of twins"] {
        assert!(ran.out.contains(word), "{word} is not in {}", ran.out);
    }
    assert!(ran.err.contains("next: open d/run/report.html"), "{}", ran.err);
    assert!(std::fs::read_to_string(place.path("d/run/report.html")).unwrap().contains("Planted and found"));
    // The pool is kept, and the recipe is what made the run.
    let value = place.json(&["demo", "d", "--rows", "400", "--seed", "3"], 0);
    let byte_copies = &value["report"]["planted"]["kinds"][0];
    assert_eq!(byte_copies["kind"], "byte_copy");
    assert!(byte_copies["reached"].as_u64().unwrap() > 0, "{byte_copies}");
    assert_eq!(byte_copies["reached"], byte_copies["found"], "a byte copy was missed");
    place.run(&["run", "d/recipe.toml", "--out", "again"], 0);
    let (demo, again) = (common::contents(&place.path("d/run")), common::contents(&place.path("again")));
    let differing: Vec<&String> = demo.keys().filter(|name| demo.get(*name) != again.get(*name)).collect();
    assert_eq!(differing, ["report.json"], "only the report differs, which knows what was planted");
    place.run(&["demo", "d", "--rows", "401"], 2).error("holds a pool of other options", "another folder");
}

#[test]
fn the_demo_without_images_has_no_tars() {
    let place = Place::new();
    let value = place.json(&["demo", "--rows", "300", "--no-images"], 0);
    assert_eq!(value["reshard"], serde_json::Value::Null);
    assert!(place.path("demo/run/subset.npy").exists() && !place.path("demo/run/shards").exists());
}

#[test]
fn init_writes_a_recipe_once() {
    let place = Place::with_pool(60, false);
    place.run(&["init", "--input", "pool/metadata"], 0);
    place.run(&["run", "recipe.toml", "--out", "run", "--dry-run"], 0);
    place.run(&["init"], 2).error("is there already", "another file");
}

#[test]
fn doctor_and_completions_answer() {
    let place = Place::new();
    let value = place.json(&["doctor"], 0);
    assert_eq!(value["fit"], true);
    assert!(value["findings"].as_array().unwrap().len() >= 6);
    assert!(place.run(&["doctor", "."], 0).out.contains("open files"));
    assert!(place.run(&["doctor", "no-such-folder"], 1).out.contains("PROBLEM"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(place.run(&["completions", shell], 0).out.contains("cribble"));
    }
}

#[test]
fn tasks_in_processes_of_their_own_give_the_same_run() {
    let place = Place::with_pool(60, false);
    place.write("recipe.toml", RECIPE);
    place.run(&["task", "run", "--recipe", "recipe.toml"], 0);
    let mut rounds = 0;
    loop {
        let ready = place.json(&["task", "run"], 0)["ready"].as_array().unwrap().clone();
        // The last of a phase first: the order inside a phase is nobody's business.
        for task in ready.iter().rev() {
            let unit = task["unit"].to_string();
            let words = [
                "task",
                "run",
                "--step",
                task["step"].as_str().unwrap(),
                "--phase",
                task["phase"].as_str().unwrap(),
                "--unit",
                &unit,
            ];
            place.run(&words, 0);
            if rounds == 0 {
                // A task that is done does nothing and succeeds.
                place.run(&words, 0);
            }
        }
        rounds += 1;
        assert!(rounds < 100);
        if ready.is_empty() {
            let ran = place.run(&["run", "run/recipe.toml", "--out", "run", "--only", "1"], 0);
            assert!(ran.code == Some(0));
            break;
        }
    }
    place.run(&["run", "run/recipe.toml", "--out", "run"], 0);
    place.run(&["run", "recipe.toml", "--out", "whole"], 0);
    assert_same(&place.path("run"), &place.path("whole"));
    place
        .run(&["task", "run", "--step", "1", "--phase", "juge", "--unit", "0"], 2)
        .error("no phase 'juge'", "did you mean 'judge'?");
    place.run(&["task", "run", "--step", "1", "--phase", "judge", "--unit", "3"], 2);
}

#[test]
fn clusters_are_exported_for_the_reference_scripts() {
    let place = with_run();
    let words = ["export", "run", "--format", "sorted-clusters", "--out", "sorted"];
    place.json(&[&words[..], &["--dry-run"]].concat(), 0);
    assert!(!place.path("sorted").exists());
    let value = place.json(&words, 0);
    let folder = value["export"]["folder"].as_str().unwrap();
    for name in ["sorted_clusters/cluster_0.npy", "kmeans_centroids.npy"] {
        assert!(place.path(folder).join(name).is_file(), "{name} is not in {folder}");
    }
    place.run(&words, 1).error("is not empty", "new folder");
}
