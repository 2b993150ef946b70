//! Every command's happy path, as a user sees it: exit code, standard output, standard error, files.
#![allow(clippy::unwrap_used)]
mod common;

use common::{Place, RECIPE, assert_same, entries, recipe_with_shards};

fn with_run() -> Place {
    let place = Place::with_pool(150, true);
    place.write("recipe.toml", recipe_with_shards());
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    place
}

#[test]
fn a_run_leaves_what_the_design_promises_and_says_so() {
    let place = Place::with_pool(150, true);
    place.write("recipe.toml", recipe_with_shards());
    let ran = place.run(&["run", "recipe.toml", "--out", "run"], 0);
    assert!(
        ran.out.starts_with("step") && ran.out.contains("04-prune") && ran.out.contains("selection"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains('\x1b') && !ran.err.contains('\x1b'));
    assert!(ran.err.contains("DataComp metadata, 3 shards, 150 rows"), "{}", ran.err);
    assert!(ran.err.contains("Kept ") && ran.err.contains("next: cribble why run "), "{}", ran.err);
    for name in [
        "recipe.toml",
        "manifest.json",
        "steps/01-filter/00000000.parquet",
        "steps/01-filter/report.json",
        "steps/03-cluster/centroids.npy",
        "steps/03-cluster/clusters.parquet",
        "steps/04-prune/quotas.parquet",
        "selection/00000002.parquet",
        "subset.npy",
        "subset-0.3.npy",
        "images/tars.json",
        "errors.parquet",
        "report.json",
        "report.html",
        "shards/00000000.tar",
        "shards/sizes.json",
    ] {
        assert!(place.path("run").join(name).is_file(), "{name} is missing");
    }
    let page = std::fs::read_to_string(place.path("run/report.html")).unwrap();
    assert!(page.contains("data:image/jpeg;base64,"), "no pictures in the page");
    // Again: nothing is done twice, everything stays.
    let again = place.run(&["run", "recipe.toml", "--out", "run"], 0);
    assert!(again.err.contains("04-prune is complete: skipped"), "{}", again.err);
    assert_eq!(ran.out.lines().count(), again.out.lines().count());
}

#[test]
fn a_run_as_json_has_report_and_exit_code() {
    let place = Place::with_pool(150, true);
    place.write("recipe.toml", recipe_with_shards());
    let value = place.json(&["run", "recipe.toml", "--out", "run"], 0);
    assert_eq!((value["command"].as_str(), value["finished"].as_bool()), (Some("run"), Some(true)));
    let report = &value["report"];
    assert_eq!(report["input"]["rows"], 150);
    assert_eq!(report["steps"].as_array().unwrap().len(), 4);
    for step in report["steps"].as_array().unwrap() {
        let sum = |key: &str| {
            step[key].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>()
        };
        assert_eq!(
            step["seen"].as_u64().unwrap(),
            step["kept"].as_u64().unwrap() + sum("dropped") + sum("errors"),
            "{step}"
        );
    }
    let reshard = &value["reshard"];
    assert_eq!(
        reshard["requested"].as_u64().unwrap(),
        reshard["written"].as_u64().unwrap() + reshard["missing"].as_u64().unwrap()
    );
    assert_eq!(reshard["requested"], report["selection"]["kept"]);
    assert_eq!(value["further_subsets"][0]["label"], "0.3");
}

#[test]
fn a_dry_run_plans_and_writes_nothing() {
    let place = Place::with_pool(60, true);
    place.write("recipe.toml", recipe_with_shards());
    let before = entries(place.dir.path());
    let ran = place.run(&["run", "recipe.toml", "--out", "run", "--dry-run"], 0);
    assert!(ran.out.contains("run     02-dedup") && ran.out.contains("nothing was written"), "{}", ran.out);
    let value = place.json(&["run", "recipe.toml", "--out", "run", "--dry-run"], 0);
    assert_eq!((&value["dry_run"], &value["plan"]["rows"]), (&true.into(), &60.into()));
    for words in [
        &["cluster", "pool/metadata", "--embedding", "l14_img", "--k", "3", "--out", "run", "--dry-run"][..],
        &["demo", "d", "--rows", "50", "--dry-run"],
        &["init", "other.toml", "--dry-run"],
        &["check", "pool/metadata", "--dry-run"],
    ] {
        place.run(words, 0);
    }
    assert_eq!(entries(place.dir.path()), before);
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    let before = common::contents(&place.path("run"));
    place.run(
        &[
            "reshard",
            "--input",
            "pool/shards",
            "--subset",
            "run/subset.npy",
            "--output",
            "out",
            "--allow-missing",
            "--dry-run",
        ],
        0,
    );
    place.run(&["subset", "or", "run/subset.npy", "run/subset-0.3.npy", "-o", "x.npy", "--dry-run"], 0);
    place.run(&["report", "run", "--dry-run"], 0);
    let ran = place.run(&["run", "recipe.toml", "--out", "run", "--dry-run"], 0);
    assert!(ran.out.contains("skip    01-filter"), "{}", ran.out);
    assert!(!place.path("out").exists() && !place.path("x.npy").exists());
    assert_eq!(before, common::contents(&place.path("run")));
}

#[test]
fn only_stops_early_and_the_rest_follows() {
    let place = Place::with_pool(90, false);
    place.write("recipe.toml", RECIPE);
    let value = place.json(&["run", "recipe.toml", "--out", "run", "--only", "dedup"], 0);
    assert_eq!((value["finished"].as_bool(), value["left"].as_array().unwrap().len()), (Some(false), 2));
    assert!(!place.path("run/subset.npy").exists());
    let ran = place.run(&["report", "run"], 0);
    assert!(ran.out.contains("02-dedup") && ran.err.contains("not finished"), "{}{}", ran.out, ran.err);
    let uid = first_uid(&place, "run/steps/01-filter/00000000.parquet");
    let ran = place.run(&["why", "run", &uid], 0);
    assert!(ran.out.contains("04-prune    not run yet"), "{}", ran.out);
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    place.run(&["run", "recipe.toml", "--out", "whole"], 0);
    assert_same(&place.path("run"), &place.path("whole"));
    place
        .run(&["run", "recipe.toml", "--out", "run", "--only", "5"], 2)
        .error("no step '5'", "there are: 01-filter");
}

fn first_uid(place: &Place, table: &str) -> String {
    use arrow::array::AsArray;
    let column = cribble_pipeline::read_column(&place.path(table), "uid").unwrap();
    column.as_fixed_size_binary().value(0).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_verb_is_a_recipe_of_one_step() {
    let place = Place::with_pool(90, false);
    let cases: [(&str, &[&str]); 5] = [
        (
            "kind = \"filter\"\nwhere = \"clip_l14_similarity_score > 0.2\"\ncompute = { wide = \"original_width > 400\" }",
            &[
                "filter",
                "--where",
                "clip_l14_similarity_score > 0.2",
                "--compute",
                "wide=original_width > 400",
            ],
        ),
        (
            "kind = \"dedup\"\nembedding = \"l14_img\"\nepsilon = [0.1, 0.2]\nkeep = \"best:clip_l14_similarity_score\"\ncells = 3\nprobe = 2\ntrain_rows = \"all\"\nseed = 5",
            &[
                "dedup",
                "--embedding",
                "l14_img",
                "--epsilon",
                "0.1,0.2",
                "--keep",
                "best:clip_l14_similarity_score",
                "--cells",
                "3",
                "--probe",
                "2",
                "--train-rows",
                "all",
                "--seed",
                "5",
            ],
        ),
        (
            "kind = \"dedup\"\nembedding = \"l14_img\"\nmode = \"groups\"\nexact = \"none\"",
            &["dedup", "--embedding", "l14_img", "--mode", "groups", "--exact", "none"],
        ),
        (
            "kind = \"cluster\"\nembedding = \"l14_img\"\nk = 4\ntolerance = 0.001\niterations = 7",
            &["cluster", "--embedding", "l14_img", "--k", "4", "--tolerance", "0.001", "--iterations", "7"],
        ),
        (
            "kind = \"prune\"\nmethod = \"random\"\ncount = [40, 20]\nseed = 3",
            &["prune", "--method", "random", "--count", "40,20", "--seed", "3"],
        ),
    ];
    for (index, (table, flags)) in cases.into_iter().enumerate() {
        let (recipe, by_recipe, by_verb) =
            (format!("r{index}.toml"), format!("recipe{index}"), format!("verb{index}"));
        place.write(&recipe, format!("[input]\npath = \"pool/metadata\"\n[[step]]\n{table}\n"));
        place.run(&["run", &recipe, "--out", &by_recipe], 0);
        let words = [&flags[..1], &["pool/metadata"], &flags[1..], &["--out", &by_verb]].concat();
        place.run(&words, 0);
        assert_same(&place.path(&by_recipe), &place.path(&by_verb));
    }
    let value = place.json(
        &[
            "prune",
            "pool/metadata",
            "--embedding",
            "l14_img",
            "--k",
            "4",
            "--fraction",
            "0.5",
            "--out",
            "both",
        ],
        0,
    );
    assert_eq!(value["report"]["selection"]["kept"], 45);
}

#[test]
fn threads_and_memory_do_not_change_a_byte() {
    let place = Place::with_pool(300, true);
    place.write("recipe.toml", recipe_with_shards());
    place.run(&["run", "recipe.toml", "--out", "one", "--threads", "1", "--memory", "64M"], 0);
    place.run(&["run", "recipe.toml", "--out", "two", "--threads", "2"], 0);
    place.run(&["run", "recipe.toml", "--out", "five", "--threads", "5", "--memory", "1G"], 0);
    assert_same(&place.path("one"), &place.path("two"));
    assert_same(&place.path("one"), &place.path("five"));
}

#[test]
fn check_names_the_layout_and_proves_alignment() {
    let place = Place::with_pool(120, false);
    let ran = place.run(&["check", "pool/metadata"], 0);
    for word in ["DataComp metadata", "l14_img [n, 16]", "alignment", "proven", "clip_l14_similarity_score"] {
        assert!(ran.out.contains(word), "{word} is not in {}", ran.out);
    }
    let value = place.json(&["check", "pool/metadata"], 0);
    assert_eq!((&value["sound"], &value["check"]["rows"]), (&true.into(), &120.into()));
}

#[test]
fn why_tells_the_way_of_kept_and_dropped_samples() {
    let place = with_run();
    let gallery: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.path("run/gallery.json")).unwrap()).unwrap();
    let strips = gallery["strips"].as_array().unwrap();
    let of = |step: Option<&str>| {
        let found = strips.iter().find(|strip| strip["step"].as_str() == step);
        found.unwrap_or_else(|| panic!("no sample of {step:?}"))["uids"][0].as_str().unwrap().to_owned()
    };
    let kept = place.json(&["why", "run", &of(None)], 0);
    assert_eq!((&kept["outcome"], &kept["dropped_by"]), (&"kept".into(), &serde_json::Value::Null));
    assert!(kept["steps"][3]["rank"].as_u64().unwrap() < kept["steps"][3]["quota"].as_u64().unwrap());
    assert!(kept["steps"][0]["area"].as_u64().unwrap() >= 40_000);
    let pruned = place.json(&["why", "run", &of(Some("04-prune"))], 0);
    assert!(pruned["steps"][3]["rank"].as_u64().unwrap() >= pruned["steps"][3]["quota"].as_u64().unwrap());
    let small = place.json(&["why", "run", &of(Some("01-filter"))], 0);
    assert_eq!(small["steps"][1]["verdict"], "not judged");
    assert!(small["reason"].as_str().unwrap().starts_with("not "), "{small}");
    let twin = of(Some("02-dedup"));
    let ran = place.run(&["why", "run", &twin], 0);
    assert!(
        ran.out.starts_with(&format!("{twin}  dropped by 02-dedup\n")) && ran.out.contains("duplicate of "),
        "{}",
        ran.out
    );
    // A beginning that is unique will do, in either case.
    let short = place.run(&["why", "run", &twin[..16].to_uppercase()], 0);
    assert_eq!(ran.out, short.out);
    place
        .run(&["why", "run", "0123456789abcdef0123456789abcdef"], 1)
        .error("no sample of this run has the uid", "cribble check");
    place.run(&["why", "run", "xyz"], 2).error("'xyz' is no uid", "32 characters");
    let all = place.run(&["why", "run", ""], 2);
    all.error("is no uid", "32 characters");
}

#[test]
fn ambiguous_beginnings_list_some() {
    let place = Place::new();
    common::write_array(&place, &common::vectors(40, 4));
    place.run(
        &[
            "cluster",
            "vectors.npy",
            "--ids",
            "ids.txt",
            "--embedding",
            &array_name(&place),
            "--k",
            "2",
            "--out",
            "run",
        ],
        0,
    );
    place.run(&["why", "run", "000"], 2).error("40 samples begin with 000", "more characters");
}

/// The name that a bare array has.
fn array_name(place: &Place) -> String {
    let value = place.json(&["check", "vectors.npy", "--ids", "ids.txt"], 0);
    value["check"]["arrays"][0]["name"].as_str().unwrap().to_owned()
}

#[test]
fn report_renders_the_same_page_again() {
    let place = with_run();
    let before = std::fs::read(place.path("run/report.html")).unwrap();
    std::fs::remove_file(place.path("run/report.html")).unwrap();
    let ran = place.run(&["report", "run"], 0);
    assert!(ran.out.contains("selection"), "{}", ran.out);
    assert!(before == std::fs::read(place.path("run/report.html")).unwrap(), "the page differs");
    assert_eq!(place.json(&["report", "run"], 0)["report"]["input"]["rows"], 150);
}
