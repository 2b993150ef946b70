//! Wrong input: each case has a clear error with its place, the right exit code, and nothing half-done.
#![allow(clippy::unwrap_used)]
mod common;

use std::fs;

use common::{Place, RECIPE, entries, vectors, write_array};

#[test]
fn recipes_that_are_wrong_are_refused_before_anything_is_written() {
    let place = Place::with_pool(60, false);
    for (from, to, message, hint) in [
        ("epsilon = ", "epsilonn = ", "unknown key `epsilonn`", "did you mean 'epsilon'?"),
        ("kind = \"dedup\"", "kind = \"dedupe\"", "unknown kind", "did you mean 'dedup'?"),
        (
            "embedding = \"l14_img\"\nepsilon",
            "embedding = \"l14_imgs\"\nepsilon",
            "no embedding 'l14_imgs'",
            "did you mean 'l14_img'?",
        ),
        ("original_width, ", "orignal_width, ", "orignal_width", "original_width"),
        ("fraction = [0.6, 0.3]", "fraction = 60", "fraction = 60 is outside 0 to 1", "share to KEEP"),
        ("fraction = [0.6, 0.3]", "", "neither fraction nor count", "fraction = 0.3"),
        ("[input]", "[inptu]", "unknown key `inptu`", "did you mean 'input'?"),
    ] {
        place.write("recipe.toml", RECIPE.replace(from, to));
        let ran = place.run(&["run", "recipe.toml", "--out", "run"], 2);
        ran.error(message, hint);
        assert!(!place.path("run").exists(), "{message}");
    }
    place.write("recipe.toml", "this is no toml [");
    assert!(place.run(&["run", "recipe.toml", "--out", "run"], 2).err.contains("no TOML"));
    place.run(&["run", "none.toml", "--out", "run"], 1).error("none.toml", "cribble init");
    place
        .run(&["prune", "pool/metadata", "--fraction", "0.5", "--out", "run"], 2)
        .error("needs a cluster step", "--embedding");
    place.run(&["filter", "pool/metadata", "--where", "x ==", "--out", "run"], 2);
    assert!(!place.path("run").exists());
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let place = Place::with_pool(60, false);
    place.write("recipe.toml", RECIPE);
    place.write("file", "x");
    let ran = place.run(&["run", "recipe.toml", "--out", "file/run"], 1);
    assert!(ran.err.contains("file/run"), "{}", ran.err);
    place.write("thesis/thesis.tex", "x");
    place.run(&["run", "recipe.toml", "--out", "thesis"], 1).error("thesis.tex", "new folder");
    assert_eq!(entries(&place.path("thesis")), 1);
    let ran = place.run(&["subset", "or", "recipe.toml", "file", "-o", "file/x.npy"], 1);
    assert!(ran.err.contains("error:"), "{}", ran.err);
}

#[test]
fn a_full_disk_is_said_and_the_run_can_go_on() {
    // A file system of its own needs rights that a test may not have; /dev/full answers every write with "no space left".
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let place = Place::with_pool(60, false);
    place.write("a.txt", format!("{:032x}\n", 1));
    let output = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = place.cribble(&["subset", "info", "a.txt"]).stdout(output).output().unwrap();
    let ran = common::Ran::new(output);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("cannot write to standard output"), "{}", ran.err);
}

#[test]
fn inputs_that_do_not_fit_together_are_named() {
    let place = Place::with_pool(61, false);
    place.write("recipe.toml", RECIPE);
    let run = |code| place.run(&["run", "recipe.toml", "--out", "run"], code);
    // 21, 21 and 19 rows: the last array belongs to fewer rows.
    fs::rename(place.path("pool/metadata/00000002.npz"), place.path("kept.npz")).unwrap();
    run(1).error("00000002", "fetch the missing files");
    fs::copy(place.path("pool/metadata/00000001.npz"), place.path("pool/metadata/00000002.npz")).unwrap();
    let ran = run(1);
    ran.error("19 rows", "do not belong together");
    assert!(ran.err.contains("00000002") && ran.err.contains("21"), "{}", ran.err);
    fs::rename(place.path("kept.npz"), place.path("pool/metadata/00000002.npz")).unwrap();
    let whole = fs::read(place.path("pool/metadata/00000001.parquet")).unwrap();
    place.write("pool/metadata/00000001.parquet", &whole[..whole.len() / 2]);
    assert!(run(1).err.contains("00000001.parquet"));
    assert!(!place.path("run").exists());
    place.write("pool/metadata/00000001.parquet", whole);
    run(0);
}

#[test]
fn arrays_in_the_wrong_order_are_caught() {
    let place = Place::with_pool(60, false);
    // 20 rows each: the counts agree, the samples do not.
    fs::rename(place.path("pool/metadata/00000000.npz"), place.path("x")).unwrap();
    fs::rename(place.path("pool/metadata/00000001.npz"), place.path("pool/metadata/00000000.npz")).unwrap();
    fs::rename(place.path("x"), place.path("pool/metadata/00000001.npz")).unwrap();
    let ran = place.run(&["check", "pool/metadata"], 1);
    assert!(ran.out.contains("BROKEN") && ran.err.contains("00000000"), "{}{}", ran.out, ran.err);
    assert_eq!(place.json(&["check", "pool/metadata"], 1)["sound"], false);
}

#[test]
fn inputs_that_are_none_are_refused() {
    let place = Place::with_pool(60, false);
    fs::create_dir(place.path("empty")).unwrap();
    for input in ["empty", "no/such/folder", "x{1..3}.tar"] {
        place.run(&["check", input], 1);
        place.run(&["filter", input, "--where", "true", "--out", "run"], 1);
    }
    place.run(&["filter", "pool/metadata", "--where", "true", "--out", "run"], 0);
    place
        .run(&["filter", "run", "--where", "true", "--out", "run2"], 2)
        .error("is a run folder", "one recipe");
    place.run(&["why", "pool", "00"], 1).error("no run folder", "--out");
    place.run(&["report", "pool"], 1).error("no run folder", "--out");
    assert!(!place.path("run2").exists());
}

#[test]
fn another_process_in_the_same_folder_is_refused() {
    let place = Place::with_pool(60, false);
    place.write("recipe.toml", RECIPE);
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    let lock = fs::File::options().write(true).open(place.path("run/.lock")).unwrap();
    lock.lock().unwrap();
    place.run(&["run", "recipe.toml", "--out", "run"], 1).error("another process", "wait for it");
}

#[test]
fn sizes_at_the_edge_work() {
    let place = Place::with_pool(60, false);
    let kept = |words: &[&str]| {
        let words = [words, &["--out", "run"]].concat();
        let value = place.json(&words, 0);
        fs::remove_dir_all(place.path("run")).unwrap();
        value["report"]["selection"]["kept"].as_u64().unwrap()
    };
    let prune = ["prune", "pool/metadata", "--embedding", "l14_img"];
    assert_eq!(kept(&[&prune[..], &["--k", "5", "--fraction", "0"]].concat()), 0);
    assert_eq!(kept(&[&prune[..], &["--k", "5", "--fraction", "1"]].concat()), 60);
    assert_eq!(kept(&[&prune[..], &["--k", "500", "--fraction", "0.5"]].concat()), 30);
    assert_eq!(kept(&["prune", "pool/metadata", "--method", "random", "--count", "0"]), 0);
    assert_eq!(kept(&["filter", "pool/metadata", "--where", "false"]), 0);
    let ran =
        place.run(&["cluster", "pool/metadata", "--embedding", "l14_img", "--k", "500", "--out", "k"], 0);
    assert!(ran.err.contains("k = 60 is used"), "{}", ran.err);
    let error =
        place.run(&["prune", "pool/metadata", "--method", "random", "--count", "61", "--out", "c"], 1);
    assert!(error.err.contains("61") && error.err.contains("60"), "{}", error.err);
}

#[test]
fn nothing_kept_flows_through_every_step() {
    let place = Place::with_pool(60, false);
    place.write("recipe.toml", RECIPE.replace(">= 200", ">= 100000"));
    let value = place.json(&["run", "recipe.toml", "--out", "run"], 0);
    assert_eq!(
        (&value["report"]["selection"]["kept"], &value["report"]["steps"][3]["seen"]),
        (&0.into(), &0.into())
    );
    assert_eq!(place.json(&["subset", "info", "run/subset.npy"], 0)["count"], 0);
}

#[test]
fn one_row_and_identical_rows_work() {
    for rows in [vec![vec![0.6, 0.8, 0.0, 0.0]], vec![vec![1.0, 0.0, 0.0, 0.0]; 30]] {
        let place = Place::new();
        write_array(&place, &rows);
        let value = place.json(&["check", "vectors.npy", "--ids", "ids.txt"], 0);
        let array = value["check"]["arrays"][0]["name"].as_str().unwrap();
        let base = |verb| [verb, "vectors.npy", "--ids", "ids.txt", "--embedding", array];
        let kept = |words: Vec<&str>, out: &str| {
            let value = place.json(&[&words[..], &["--out", out]].concat(), 0);
            value["report"]["selection"]["kept"].as_u64().unwrap()
        };
        assert_eq!(kept(base("dedup").to_vec(), "a"), 1);
        assert_eq!(kept([&base("dedup")[..], &["--mode", "groups"]].concat(), "b"), 1);
        assert_eq!(kept([&base("cluster")[..], &["--k", "3"]].concat(), "c"), rows.len() as u64);
        assert_eq!(kept([&base("prune")[..], &["--k", "3", "--count", "1"]].concat(), "d"), 1);
    }
}

#[test]
fn rows_that_cannot_be_judged_are_counted_listed_and_tolerated_to_a_degree() {
    let place = Place::new();
    let mut rows = vectors(50, 4);
    rows[7] = vec![0.0; 4];
    rows[31][2] = f32::NAN;
    write_array(&place, &rows);
    let checked = place.json(&["check", "vectors.npy", "--ids", "ids.txt"], 1);
    let array = checked["check"]["arrays"][0]["name"].as_str().unwrap();
    let words =
        ["cluster", "vectors.npy", "--ids", "ids.txt", "--embedding", array, "--k", "3", "--out", "run"];
    let value = place.json(&words, 3);
    assert!(value["shortfalls"][0].as_str().unwrap().contains("2 of 50 rows could not be judged"), "{value}");
    let step = &value["report"]["steps"][0];
    assert_eq!((step["seen"].as_u64(), step["kept"].as_u64()), (Some(50), Some(48)));
    let tolerant = place.json(&[&words[..], &["--max-error-rate", "0.05"]].concat(), 0);
    assert_eq!(tolerant["report"]["selection"]["kept"], 48);
    let uids = cribble_pipeline::read_column(&place.path("run/errors.parquet"), "uid").unwrap();
    assert_eq!(uids.len(), 2);
    let why = place.run(&["why", "run", &format!("{:032x}", 8)], 0);
    assert!(why.out.contains("dropped by 01-cluster") && why.out.contains("zero"), "{}", why.out);
}

#[test]
fn subsets_that_are_hostile_or_out_of_order_are_handled() {
    let place = Place::new();
    place.write("evil.pkl", b"cos\nsystem\n(S'touch pwned'\ntR.");
    let ran = place.run(&["subset", "info", "evil.pkl"], 1);
    assert!(ran.err.contains("evil.pkl") && !place.path("pwned").exists(), "{}", ran.err);
    place.write("mixed.txt", format!("{:032x}\n{:032x}\n{:032x}\n", 3, 1, 3));
    assert!(place.run(&["subset", "info", "mixed.txt"], 0).out.contains("not sorted"));
    let ran = place.run(&["subset", "convert", "mixed.txt", "-o", "sorted.txt"], 0);
    assert!(ran.err.contains("not sorted (row 1"), "{}", ran.err);
    assert_eq!(
        fs::read_to_string(place.path("sorted.txt")).unwrap(),
        format!("{:032x}\n{:032x}\n{:032x}\n", 1, 3, 3)
    );
    place.write("wrong.txt", "no uid at all\n");
    let ran = place.run(&["subset", "info", "wrong.txt"], 1);
    assert!(ran.err.contains("row 0"), "{}", ran.err);
}

#[test]
fn a_tar_that_was_cut_off_is_named_and_the_rest_is_written() {
    let place = Place::with_pool(60, true);
    place.run(&["filter", "pool/metadata", "--where", "true", "--out", "run"], 0);
    let whole = fs::read(place.path("pool/shards/00000001.tar")).unwrap();
    place.write("pool/shards/00000001.tar", &whole[..whole.len() / 2 + 100]);
    let words = ["reshard", "--input", "pool/shards", "--subset", "run/subset.npy", "--output", "out"];
    let value = place.json(&words, 3);
    let report = &value["report"];
    assert!(report["faults"][0]["path"].as_str().unwrap().ends_with("00000001.tar"), "{report}");
    let (found, missing) = (report["found"].as_u64().unwrap(), report["missing"].as_u64().unwrap());
    assert!(found > 30 && missing > 5 && found + missing == 60, "{report}");
}
