//! `--url edge:FOLDER`: Qdrant's embedded library where a server would stand, and what a build without it says. The library itself is driven through
//! every other test of `qdrant` too, behind the test server.
#![allow(clippy::unwrap_used)]
mod common;
#[cfg(feature = "qdrant-edge")]
#[path = "common/qdrant.rs"]
mod qdrant;

#[cfg(not(feature = "qdrant-edge"))]
#[test]
fn a_build_without_the_library_says_so() {
    let place = common::Place::with_pool(30, false);
    place.write(
        "recipe.toml",
        "[input]\npath = \"pool/metadata\"\n[[step]]\nkind = \"filter\"\nwhere = \"true OR true\"\n",
    );
    place.run(&["run", "recipe.toml", "--out", "run", "-q"], 0);
    for words in [&["push", "run"][..], &["query", "run", "--where", "kept"]] {
        let done = place.run(&[&["qdrant"], words, &["--url", "edge:points"]].concat(), 2);
        done.error("built without Qdrant's embedded library", "--features qdrant-edge");
    }
    assert!(!place.path("points").exists());
}

#[cfg(feature = "qdrant-edge")]
mod embedded {
    use std::{
        process::Stdio,
        time::{Duration, Instant},
    };

    use serde_json::{Value, json};

    use super::{
        common::Place,
        qdrant::{OTHER, run, with_run},
    };

    const WORDS: [&str; 4] = ["--url", "edge:points", "--collection", "pool"];

    fn push(place: &Place, more: &[&str], code: i32) -> Value {
        place.json(&[&["qdrant", "push", "run"], &WORDS[..], more].concat(), code)["push"].clone()
    }

    /// All points of the run, as `query` shows them, by uid.
    fn hits(place: &Place, words: &[&str]) -> Vec<Value> {
        let value = place.json(&[&["qdrant", "query", "run", "--limit", "1000"], words].concat(), 0);
        let mut hits = value["hits"].as_array().unwrap().clone();
        hits.sort_by_key(|hit| hit["uid"].to_string());
        for hit in &mut hits {
            hit["payload"].as_object_mut().unwrap().remove("content_hash");
        }
        hits
    }

    #[test]
    fn a_folder_answers_like_the_run() {
        let place = with_run(60);
        let nothing = place.run(&[&["qdrant", "query", "run", "--where", "kept"], &WORDS[..]].concat(), 1);
        nothing.error("no collection 'pool'", "cribble qdrant push RUN");
        assert!(!place.path("points").exists(), "a question makes no folder");

        let first = push(&place, &[], 0);
        assert_eq!(
            (&first["made"], &first["sent"], &first["points"]),
            (&json!(true), &json!(60), &json!(60))
        );
        let again = push(&place, &[], 0);
        assert_eq!(
            (&again["made"], &again["sent"], &again["unchanged"]),
            (&json!(false), &json!(0), &json!(60))
        );

        let conditions =
            ["run = 'run'", "NOT kept", "cluster IN (0, 2)", "clip_score > 0.2 AND dropped_by IS NULL"];
        for condition in conditions {
            let words = ["--where", condition];
            let (there, here) = (hits(&place, &[&words, &WORDS[..]].concat()), hits(&place, &words));
            assert!(!here.is_empty(), "{condition}");
            assert_eq!(there, here, "{condition}");
        }
        let uid = hits(&place, &["--where", "kept"])[0]["uid"].as_str().unwrap().to_owned();
        let near = ["--uid", &uid, "--vector", "l14_img"];
        let (there, here) = (hits(&place, &[&near, &WORDS[..]].concat()), hits(&place, &near));
        assert_eq!(there.len(), here.len());
        for (there, here) in there.iter().zip(&here) {
            assert_eq!((&there["uid"], &there["payload"]), (&here["uid"], &here["payload"]));
            let (a, b) = (there["similarity"].as_f64().unwrap(), here["similarity"].as_f64().unwrap());
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }

        let dedup = [
            "qdrant",
            "dedup",
            "run",
            "--vector",
            "l14_img",
            "--epsilon",
            "0.3",
            "--exact",
            "--out",
            "unique.txt",
        ];
        let value = place.json(&[&dedup, &WORDS[..]].concat(), 0);
        assert!(
            value["dedup"]["dropped"].as_u64().unwrap() > 0 && value["dedup"]["samples"] == json!(60),
            "{value}"
        );
        let pull = ["qdrant", "pull", "run", "--where", "kept", "--out-run", "pulled"];
        place.run(&[&pull, &WORDS[..]].concat(), 0);
        let kept = hits(&place, &["--where", "kept"]).len();
        assert_eq!(
            place.json(&["qdrant", "query", "pulled", "--where", "kept", "--limit", "1000"], 0)["hits"]
                .as_array()
                .unwrap()
                .len(),
            kept
        );
    }

    #[test]
    fn what_changed_is_replaced_and_what_does_not_fit_is_named() {
        let place = with_run(60);
        push(&place, &[], 0);
        run(&place, OTHER);
        let second = push(&place, &[], 0);
        assert_eq!(second["replaced"], second["sent"]);
        assert!(second["sent"].as_u64().unwrap() > 0 && second["points"] == json!(60), "{second}");
        let words = ["--where", "run = 'run'"];
        assert_eq!(hits(&place, &[&words, &WORDS[..]].concat()), hits(&place, &words));
        // The second caption is gone from some samples, and so must be its vector.
        let gone = hits(&place, &["--where", "caption_short IS NULL"]);
        let uid = gone[0]["uid"].as_str().unwrap();
        let near = [&["qdrant", "query", "run", "--uid", uid, "--vector", "short_txt"], &WORDS[..]].concat();
        place.run(&near, 1).error(uid, "cribble qdrant push RUN");

        // A collection of fewer vectors learns the others; one of other sizes does not fit.
        place.run(
            &[
                "qdrant",
                "push",
                "run",
                "--url",
                "edge:points",
                "--collection",
                "few",
                "--vectors",
                "l14_img",
                "-q",
            ],
            0,
        );
        place.run(&["qdrant", "push", "run", "--url", "edge:points", "--collection", "few", "-q"], 0);
        let few = ["--url", "edge:points", "--collection", "few"];
        assert!(!hits(&place, &[&["a red square", "--vector", "demo_txt"], &few[..]].concat()).is_empty());
        let bad = place.run(&["qdrant", "push", "run", "--url", "edge:points", "--collection", "a/b"], 1);
        bad.error("cannot be the name of a collection", "");
        let anew = push(&place, &["--recreate"], 0);
        assert_eq!((&anew["made"], &anew["sent"]), (&json!(true), &json!(60)));
    }

    #[test]
    fn a_push_that_is_killed_inside_the_library_loses_nothing() {
        let place = with_run(60);
        let words = [&["qdrant", "push", "run", "--batch", "1", "--in-flight", "1"], &WORDS[..]].concat();
        let mut kills = 0;
        for pause in [5, 20, 50, 90, 140, 200] {
            let mut child =
                place.cribble(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let began = Instant::now();
            while !place.path("points/pool/edge_config.json").exists() && child.try_wait().unwrap().is_none()
            {
                assert!(began.elapsed() < Duration::from_secs(60), "no progress");
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(pause));
            child.kill().unwrap();
            kills += u32::from(child.wait().unwrap().code().is_none());
        }
        assert!(kills > 0, "the push was never killed");
        let last = push(&place, &[], 0);
        assert_eq!((last["points"].clone(), last["samples"].clone()), (json!(60), json!(60)));
        let words = ["--where", "run = 'run'"];
        assert_eq!(hits(&place, &[&words, &WORDS[..]].concat()), hits(&place, &words));
    }
}
