//! Interruptions: killed at every commit point, stopped by Ctrl-C, killed again and again. The bytes are always those of a run that nobody
//! disturbed.
#![allow(clippy::unwrap_used)]
mod common;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use common::{Place, Ran, assert_same, recipe_with_shards};

/// A pool as small as it can be while every kind of file is still written more than once.
fn tiny() -> Place {
    let place = Place::with_pool(24, true);
    place.write("recipe.toml", recipe_with_shards());
    place
}

fn count_commits(place: &Place) -> u64 {
    let file = place.path("count");
    let ran = place
        .cribble(&["run", "recipe.toml", "--out", "whole"])
        .env("CRIBBLE_TEST_COUNT_COMMITS", &file)
        .output()
        .unwrap();
    let ran = Ran::new(ran);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    std::fs::read_to_string(file).unwrap().parse().unwrap()
}

#[test]
fn killed_at_every_commit_point_a_run_resumes_to_the_same_bytes() {
    let place = tiny();
    let points = count_commits(&place);
    assert!(points > 100, "{points} commit points");
    let next = AtomicU64::new(1);
    let check = || {
        loop {
            let point = next.fetch_add(1, Ordering::Relaxed);
            if point > points {
                return;
            }
            let out = format!("run{point}");
            let words = ["run", "recipe.toml", "--out", &out, "--threads", "1", "-qq"];
            let killed =
                place.cribble(&words).env("CRIBBLE_TEST_KILL_AT", point.to_string()).output().unwrap();
            assert_eq!(
                killed.status.code(),
                None,
                "point {point}: {}",
                String::from_utf8_lossy(&killed.stderr)
            );
            place.run(&words, 0);
            assert_same(&place.path("whole"), &place.path(&out));
            std::fs::remove_dir_all(place.path(&out)).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(check);
        scope.spawn(check);
    });
}

#[test]
fn a_run_that_is_killed_again_and_again_comes_to_its_end() {
    let place = tiny();
    count_commits(&place);
    let mut kills = 0;
    // The end of a run (selection, subsets, report) is written anew each time, so there must be room for that and for one task.
    loop {
        let words = ["run", "recipe.toml", "--out", "run", "-qq"];
        let output = place.cribble(&words).env("CRIBBLE_TEST_KILL_AT", "60").output().unwrap();
        match output.status.code() {
            None => kills += 1,
            Some(code) => {
                assert_eq!(code, 0, "{}", String::from_utf8_lossy(&output.stderr));
                break;
            }
        }
        assert!(kills < 100, "no progress");
    }
    assert!(kills >= 2, "{kills} kills");
    assert_same(&place.path("whole"), &place.path("run"));
}

#[test]
fn a_killed_reshard_goes_on() {
    let place = tiny();
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    fn words(out: &str) -> [&str; 10] {
        [
            "reshard",
            "--input",
            "pool/shards",
            "--subset",
            "run/subset.npy",
            "--output",
            out,
            "--shard-size",
            "3",
            "--allow-missing",
        ]
    }
    place.run(&words("whole"), 0);
    for point in 1.. {
        let out = format!("out{point}");
        let killed =
            place.cribble(&words(&out)).env("CRIBBLE_TEST_KILL_AT", point.to_string()).output().unwrap();
        if killed.status.code() == Some(0) {
            assert!(point > 10, "only {point} commit points");
            break;
        }
        assert_eq!(killed.status.code(), None);
        place.run(&words(&out), 0);
        assert_same(&place.path("whole"), &place.path(&out));
    }
}

/// Starts a run, waits until a phase has begun, and sends signals.
fn interrupted(place: &Place, words: &[&str], phase: &str, signals: usize) -> (Option<i32>, String) {
    let mut child = place.cribble(words).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let begun =
        lines.by_ref().map(Result::unwrap).find(|line| line.contains("\"begin\"") && line.contains(phase));
    assert!(begun.is_some(), "no phase {phase}");
    for signal in 0..signals {
        if signal > 0 {
            // Until the first one was noticed.
            let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains("stopping"));
            said += &line.unwrap();
        }
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    }
    for line in lines {
        said += &line.unwrap();
        said.push('\n');
    }
    (child.wait().unwrap().code(), said)
}

/// Clustering that takes long enough to be interrupted, on any machine.
fn slow() -> Place {
    let place = Place::new();
    common::write_array(&place, &common::vectors(30_000, 32));
    place
}

#[test]
fn ctrl_c_stops_with_130_and_the_same_command_resumes() {
    let place = slow();
    let array = array_name(&place);
    let words = |out, iterations| {
        [
            "cluster",
            "vectors.npy",
            "--ids",
            "ids.txt",
            "--embedding",
            &array,
            "--k",
            "1000,10",
            "--train-rows",
            "all",
            "--tolerance",
            "0",
            "--iterations",
            iterations,
            "--out",
            out,
            "--progress",
            "json",
        ]
        .map(str::to_owned)
    };
    fn borrow(words: &[String; 18]) -> Vec<&str> {
        words.iter().map(String::as_str).collect()
    }
    let long = words("run", "100000");
    let (code, said) = interrupted(&place, &borrow(&long), "train", 1);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("resume with: cribble cluster vectors.npy"), "{said}");
    let (code, _) = interrupted(&place, &borrow(&long), "train", 2);
    assert_eq!(code, Some(130));
    // Fewer iterations are another recipe: its step runs again from the beginning, in the same folder.
    let short = words("run", "2");
    place.run(&borrow(&short), 0);
    let whole = words("whole", "2");
    place.run(&borrow(&whole), 0);
    assert_same(&place.path("whole"), &place.path("run"));
}

fn array_name(place: &Place) -> String {
    let value = place.json(&["check", "vectors.npy", "--ids", "ids.txt"], 0);
    value["check"]["arrays"][0]["name"].as_str().unwrap().to_owned()
}
