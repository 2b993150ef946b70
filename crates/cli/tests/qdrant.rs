//! `qdrant push` through the binary: the collection is the run, after every kind of interruption and change; what is there is not sent again,
//! what is somebody else's stays.
#![allow(clippy::unwrap_used)]
mod common;
#[path = "common/qdrant.rs"]
mod qdrant;

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use cribble_qdrant::testing::{Act, FakeOptions};
use qdrant::{
    OTHER, SHORT, Service, VECTORS, assert_points, count, expected, points, run, services, with_run,
};
use serde_json::json;

#[test]
fn a_collection_is_the_run_and_a_second_push_sends_nothing() {
    let place = with_run(60);
    for service in services("whole") {
        let value = service.push(&place, &[], 0);
        let push = &value["push"];
        assert_eq!((&push["samples"], &push["sent"], &push["points"]), (&json!(60), &json!(60), &json!(60)));
        assert_eq!(
            (&push["made"], &push["run"], &push["unchanged"]),
            (&json!(true), &json!("run"), &json!(0))
        );
        let names: Vec<&str> =
            push["vectors"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["l14_img", "l14_txt", "demo_img", "demo_txt", "short_txt"]);
        let wanted = expected(&place, "run", "run");
        let found = points(&service);
        assert_points(&found, &wanted);
        // What the issue asks a payload to say, and vectors of every kind.
        let whole = found.values().find(|point| point.vectors.len() == VECTORS.len()).unwrap();
        for name in ["uid", "url", "text", "caption_short", "clip_score", "kept", "run"] {
            assert!(whole.payload.contains_key(name), "{name}: {:?}", whole.payload);
        }
        let dropped: Vec<_> = found.values().filter(|point| point.payload["kept"] == json!(false)).collect();
        assert!(!dropped.is_empty() && dropped.iter().all(|point| point.payload["dropped_by"].is_string()));
        assert!(found.values().any(|point| point.payload.contains_key("cluster")));
        // An image that could not be read has no vector, and is a point all the same.
        assert!(found.values().any(|point| !point.vectors.contains_key("demo_img")));

        let again = service.push(&place, &[], 0);
        assert_eq!((&again["push"]["sent"], &again["push"]["unchanged"]), (&json!(0), &json!(60)));
        assert_eq!(again["push"]["made"], json!(false));
        assert_points(&points(&service), &wanted);
        if service.is_fake() {
            let indexed = service.script().data(|data| data.collections["pool"].indexed.clone());
            for name in ["run", "kept", "dropped_by", "cluster", "clip_score"] {
                assert!(indexed.contains_key(name), "{name}: {indexed:?}");
            }
            assert!(["text", "caption_short", "url"].iter().all(|name| !indexed.contains_key(*name)));
        }
    }
}

#[test]
fn samples_of_tars_have_their_keys() {
    let place = common::Place::with_pool(24, true);
    place.run(&["filter", "pool/shards", "--where", "true", "--out", "none", "-q"], 0);
    let service = Service::fake(FakeOptions::default());
    let words = service.words();
    let push = |run: &str, code: i32| place.run(&[&["qdrant", "push", run], &words[..]].concat(), code);
    push("none", 2).error("none has no embeddings", "embed");
    place.run(
        &[
            "embed",
            "pool/shards",
            "--model",
            "builtin:demo-clip",
            "--out",
            "tars",
            "--max-error-rate",
            "1",
            "-q",
        ],
        0,
    );
    push("tars", 0);
    let found = points(&service);
    assert!(!found.is_empty() && found.values().all(|point| point.payload["key"].is_string()), "{found:?}");
    // A column beyond the usual ones.
    let more =
        place.run(&[&["qdrant", "push", "tars", "--payload", "width,tokens_cut"], &words[..]].concat(), 0);
    assert!(more.err.contains("of those sent replaced others"), "{}", more.err);
    assert!(points(&service).values().any(|point| point.payload.contains_key("width")));
    let wrong = place.run(&[&["qdrant", "push", "tars", "--payload", "widht"], &words[..]].concat(), 2);
    wrong.error("no column 'widht'", "width");
}

#[test]
fn captions_that_changed_or_vanished_leave_nothing_stale() {
    let place = with_run(60);
    for service in services("changed") {
        run(&place, SHORT);
        service.push(&place, &[], 0);
        let before = points(&service);
        run(&place, OTHER);
        let push = &service.push(&place, &[], 0)["push"];
        let after = points(&service);
        assert_points(&after, &expected(&place, "run", "run"));
        let has_short = |point: &&qdrant::Point| point.vectors.contains_key("short_txt");
        let (had, has) =
            (before.values().filter(has_short).count(), after.values().filter(has_short).count());
        assert!(has > 0 && has < had, "{has} of {had}");
        let vanished = after.iter().find(|(uid, point)| {
            before[*uid].payload.contains_key("caption_short") && !point.payload.contains_key("caption_short")
        });
        assert!(!vanished.unwrap().1.vectors.contains_key("short_txt"));
        assert_eq!(push["replaced"], push["sent"]);
        assert!(push["sent"].as_u64().unwrap() > 0 && push["points"] == json!(60), "{push}");
    }
}

#[test]
fn killed_in_the_middle_a_push_goes_on_to_the_exact_collection() {
    let place = with_run(60);
    for service in services("killed") {
        if service.is_fake() {
            // Slow enough for a kill to come in the middle of a call.
            service.script().script(|seen| match seen.path.as_str() {
                "/qdrant.Points/Upsert" => Act::After(Duration::from_millis(30)),
                _ => Act::Answer,
            });
        }
        let words =
            [&["qdrant", "push", "run", "--batch", "1", "--in-flight", "2"], &service.words()[..]].concat();
        let mut kills = 0;
        for target in [5, 17, 40] {
            let mut child =
                place.cribble(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let began = Instant::now();
            while count(&service) < target && child.try_wait().unwrap().is_none() {
                assert!(began.elapsed() < Duration::from_secs(60), "no progress");
                std::thread::sleep(Duration::from_millis(2));
            }
            child.kill().unwrap();
            kills += u32::from(child.wait().unwrap().code().is_none());
        }
        assert!(kills > 0 || !service.is_fake(), "the push was never killed");
        let there = count(&service);
        assert!(there < 60 || !service.is_fake(), "nothing was left to do");
        let push = &service.push(&place, &[], 0)["push"];
        assert_eq!(push["unchanged"], json!(there));
        assert_eq!((&push["sent"], &push["points"]), (&json!(60 - there), &json!(60)));
        assert_points(&points(&service), &expected(&place, "run", "run"));
    }
}

#[test]
fn points_of_others_stay_and_are_told_apart() {
    let place = with_run(60);
    // Another run on a part of the same input, and on samples of its own.
    let other = qdrant::recipe(SHORT)
        .replace("pool/metadata", "other/metadata")
        .replace("pool/shards", "other/shards");
    let mut options = common::options(30, true);
    options.seed = 99;
    common::make_pool(&place.path("other"), &options);
    place.write("other.toml", other);
    place.run(&["run", "other.toml", "--out", "second", "--max-error-rate", "1", "-q"], 0);
    for service in services("others") {
        service.push(&place, &[], 0);
        let words = service.words();
        let second = place.json(&[&["qdrant", "push", "second"], &words[..]].concat(), 0);
        let common_uids = {
            let first = expected(&place, "run", "run");
            points(&service).keys().filter(|uid| !first.contains_key(uid)).count() as u64
        };
        assert_eq!(second["push"]["points"], json!(common_uids));
        assert_eq!(count(&service), 60 + common_uids);

        // The same samples as a run of another name: nothing is sent, and that is no success.
        let twin = service.push(&place, &["--name", "twin"], 3);
        let push = &twin["push"];
        assert_eq!((&push["foreign"], &push["sent"], &push["points"]), (&json!(60), &json!(0), &json!(0)));
        assert_eq!(push["foreign_runs"], json!(["run"]));
        assert!(twin["shortfalls"][0].as_str().unwrap().contains("--take-over"), "{twin}");
        let before: Vec<_> = points(&service).into_values().filter(|p| p.payload["run"] == "run").collect();
        assert_eq!(before.len(), 60);

        let taken = service.push(&place, &["--name", "twin", "--take-over"], 0);
        assert_eq!(taken["push"]["replaced"], json!(60));
        let after = points(&service);
        assert_eq!(
            after.values().filter(|point| point.payload["run"] == "second").count() as u64,
            common_uids
        );
        assert_eq!(after.values().filter(|point| point.payload["run"] == "twin").count(), 60);

        // Only what is kept: the rest is named, and goes when that is asked for.
        let fewer = service.push(&place, &["--name", "twin", "--kept"], 3);
        let kept = fewer["push"]["samples"].as_u64().unwrap();
        assert!(kept > 0 && kept < 60);
        let said = fewer["shortfalls"][0].as_str().unwrap();
        assert!(said.contains(&format!("{} points", 60 - kept)) && said.contains("--remove-gone"), "{said}");
        let gone = service.push(&place, &["--name", "twin", "--kept", "--remove-gone"], 0);
        assert_eq!(gone["push"]["removed"], json!(60 - kept));
        let left = points(&service);
        assert_eq!(left.len() as u64, kept + common_uids);
        assert!(
            left.values().filter(|p| p.payload["run"] == "twin").all(|p| p.payload["kept"] == json!(true))
        );

        // Nothing less than --recreate empties a collection.
        let anew = service.push(&place, &["--recreate"], 0);
        assert_eq!((&anew["push"]["made"], &anew["push"]["sent"]), (&json!(true), &json!(60)));
        assert_points(&points(&service), &expected(&place, "run", "run"));
    }
}

#[test]
fn a_collection_that_does_not_fit_is_named() {
    let place = with_run(24);
    let service = Service::fake(FakeOptions::default());
    service.push(&place, &[], 0);
    let change = |change: &dyn Fn(&mut cribble_qdrant::testing::Collection)| {
        service.script().data(|data| change(data.collections.get_mut("pool").unwrap()));
    };
    let push = |more: &[&str], code| {
        place.run(&[&["qdrant", "push", "run"], &service.words()[..], more].concat(), code)
    };
    change(&|pool| pool.vectors.get_mut("l14_img").unwrap().size = 768);
    push(&[], 1).error("'pool' has vectors 'l14_img' of 768 numbers, the run's have 16", "--recreate");
    change(&|pool| {
        let params = pool.vectors.get_mut("l14_img").unwrap();
        params.size = 16;
        params.set_distance(qdrant_client::qdrant::Distance::Euclid);
    });
    push(&[], 1).error("compares vectors 'l14_img' by Euclid", "--collection");
    change(&|pool| {
        pool.vectors.remove("l14_img");
    });
    push(&[], 1)
        .error("has no vector 'l14_img' (it has demo_img, demo_txt, l14_txt, short_txt)", "--vectors");
    assert_eq!(count(&service), 24);
    push(&["--vectors", "l14_txt,demo_img"], 0);
    change(&|pool| pool.unnamed = Some(Default::default()));
    push(&[], 1).error("without a name", "--recreate");
    push(&["--vectors", "l14_imgs"], 2).error("no embedding 'l14_imgs'", "l14_img");

    // A server that can add vectors is asked to.
    let service = Service::fake(FakeOptions { adds_vectors: true, ..FakeOptions::default() });
    service.push(&place, &["--vectors", "l14_txt"], 0);
    service.push(&place, &[], 0);
    assert_points(&points(&service), &expected(&place, "run", "run"));
}

#[test]
fn runs_that_cannot_be_pushed_are_shown_for_what_they_are() {
    let place = with_run(24);
    let service = Service::fake(FakeOptions::default());
    let push = |run: &str, code| place.run(&[&["qdrant", "push", run], &service.words()[..]].concat(), code);
    push("nowhere", 1).error("no run folder", "--out");
    let model = place.path("run/embeddings/demo_img/model.json");
    std::fs::rename(&model, place.path("kept")).unwrap();
    push("run", 1).error("model.json is gone", "run the recipe again");
    std::fs::rename(place.path("kept"), model).unwrap();
    place.run(&["run", "recipe.toml", "--out", "half", "--only", "2", "--max-error-rate", "1", "-q"], 0);
    push("half", 1).error("half is not finished", "same --out");
    // A dry run asks nobody.
    let dry = place.json(&["qdrant", "push", "run", "--url", "http://127.0.0.1:1", "--dry-run"], 0);
    assert_eq!((&dry["rows"], &dry["collection"]), (&json!(24), &json!("run")));
    assert_eq!(dry["vectors"].as_array().unwrap().len(), VECTORS.len());
    assert!(service.script().data(|data| data.collections.is_empty()));
}

#[test]
fn thousands_of_points_go_page_by_page_and_a_sample_that_stands_there_twice_is_one_point() {
    let place = common::Place::new();
    common::write_array(&place, &common::vectors(10_000, 8));
    // The last rows are samples of the beginning again, with other vectors.
    let ids: String =
        (0..10_000).map(|row| format!("{:032x}\n", if row < 9_900 { row } else { row - 9_900 })).collect();
    place.write("ids.txt", ids);
    let make = |condition: &str, out: &str| {
        place.run(&["filter", "vectors.npy", "--ids", "ids.txt", "--where", condition, "--out", out, "-q"], 0)
    };
    make("true", "run");
    make("uid < '00000000000000000000000000001000'", "part");
    for service in services("pages") {
        let words = service.words();
        let push = |run: &str, more: &[&str], code: i32| {
            place.json(&[&["qdrant", "push", run, "--name", "run"], &words[..], more].concat(), code)["push"]
                .clone()
        };
        let all = push("run", &[], 0);
        assert_eq!(
            (&all["samples"], &all["repeated"], &all["points"]),
            (&json!(9900), &json!(100), &json!(9900))
        );
        // Of the rows of a sample the first counts, in every push.
        let again = push("run", &["--batch", "1000"], 0);
        assert_eq!((&again["sent"], &again["unchanged"]), (&json!(0), &json!(9900)));
        let part = push("part", &["--kept", "--remove-gone"], 0);
        assert_eq!(
            (&part["samples"], &part["points"], &part["removed"]),
            (&json!(4096), &json!(4096), &json!(9900 - 4096))
        );
        let pull =
            ["qdrant", "pull", "part", "--name", "run", "--where", "uid IS NOT NULL", "--out", "there.txt"];
        place.run(&[&pull, &words[..]].concat(), 0);
        let there = std::fs::read_to_string(place.path("there.txt")).unwrap();
        assert!(there.lines().eq((0..4096).map(|row| format!("{row:032x}"))));
    }
}
