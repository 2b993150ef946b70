//! `caption` when things go wrong: every row has the answer to its own image, no answer is asked for twice, and a key is nowhere.
#![allow(clippy::unwrap_used)]
mod common;
#[path = "common/vlm.rs"]
mod vlm;

use std::{
    collections::HashMap,
    fs,
    process::{Child, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use common::Ran;
use cribble_chat::testing::{Act, FakeServer};
use vlm::{
    COLUMN, assert_paired, captions, command, distinct, honest, image, pool, report, run, says, truth, words,
};

#[test]
fn every_image_gets_its_own_caption_through_every_fault() {
    let place = pool(200);
    let tries: Mutex<HashMap<String, u32>> = Mutex::default();
    let server = FakeServer::start(move |seen| {
        let image = image(seen);
        let mut tries = tries.lock().unwrap();
        let number = tries.entry(image.clone()).or_default();
        *number += 1;
        let faults = [
            Act::Status(429, vec![("Retry-After", "0".into())], "slow down".into()),
            Act::Status(500, vec![], "oops".into()),
            Act::Half,
            Act::Close,
            Act::body("{\"choices\":[{\"mess"),
            Act::body("{\"choices\":[]}"),
        ];
        let kind = usize::from_str_radix(&image[..2], 16).unwrap() % 24;
        match faults.into_iter().nth(kind).filter(|_| *number == 1) {
            Some(fault) => fault,
            // Out of order, so that an answer that was taken for another's would be seen.
            None => Act::SayAfter(Duration::from_millis(kind as u64), says(&image)),
        }
    })
    .unwrap();
    let report = report(&place, &words(&server.base(), "run", &["--column", COLUMN, "--in-flight", "16"]), 0);
    assert_paired(&place, "run");
    let step = &report["steps"][0];
    let (rows, unique) = (truth(&place).len() as u64, distinct(&place));
    assert_eq!((step["seen"].as_u64(), step["kept"].as_u64()), (Some(rows), Some(rows)));
    let details = &step["details"];
    assert_eq!(details["states"]["ok"], rows);
    assert_eq!(details["usage"]["answered"], unique);
    assert_eq!(details["usage"]["cached"], rows - unique);
    let retries = details["usage"]["retries"].as_u64().unwrap();
    assert!(retries > 10 && server.calls() == unique + retries, "{retries} {}", server.calls());
    assert!(server.peak() > 4, "{}", server.peak());
    let example = &details["examples"][0];
    assert!(!example["before"].as_str().unwrap().is_empty());
    assert!(example["after"].as_str().unwrap().starts_with("A drawing"));
    assert!(fs::read_to_string(place.path("run/report.html")).unwrap().contains("What became of the rows"));
}

/// A server that answers so many calls, and never the others.
fn that_stops_after(calls: u64) -> FakeServer {
    FakeServer::start(move |seen| if seen.number < calls { Act::Say(says(&image(seen))) } else { Act::Hang })
        .unwrap()
}

/// Waits until all threads of a client hang: then what was answered is on disk.
fn wait_for(server: &FakeServer, calls: u64, child: &mut Child) {
    let start = Instant::now();
    while server.calls() < calls {
        assert!(child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn after_a_refused_connection_the_same_command_asks_only_for_the_rest() {
    let place = pool(200);
    let mut server = that_stops_after(40);
    let more = ["--column", COLUMN, "--in-flight", "16", "--retries", "0"];
    let base = server.base();
    let mut child = command(&place, &words(&base, "run", &more)).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&server, 56, &mut child);
    server.stop();
    let ran = Ran::new(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    ran.error(
        "have no answer (stopped after 32 failures in a row)",
        "the same command asks only for the rest",
    );
    let lists = || {
        let entries = fs::read_dir(place.path("run/steps/01-caption")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|kind| kind == "csv")).collect::<Vec<_>>()
    };
    let list = fs::read_to_string(&lists()[0]).unwrap();
    assert!(list.starts_with("uid,why\n") && list.lines().count() > 17, "{list}");
    let known = truth(&place);
    assert!(list.lines().skip(1).all(|line| known.contains_key(&line[..32].parse().unwrap())));
    // The server is at another address now.
    let server = honest();
    run(&place, &words(&server.base(), "run", &more), 0);
    assert_eq!(server.calls(), distinct(&place) - 40);
    assert_paired(&place, "run");
    assert_eq!(lists(), Vec::<std::path::PathBuf>::new(), "lists of an earlier try are gone");
    // Complete: nothing is asked at all.
    run(&place, &words(&server.base(), "run", &more), 0);
    assert_eq!(server.calls(), distinct(&place) - 40);
}

#[test]
fn killed_in_the_middle_it_repeats_no_answered_call() {
    let place = pool(200);
    let server = that_stops_after(40);
    let more = ["--column", COLUMN, "--in-flight", "8", "--cache", "none"];
    let base = server.base();
    let mut child = command(&place, &words(&base, "run", &more))
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&server, 48, &mut child);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None);
    let server = honest();
    run(&place, &words(&server.base(), "run", &more), 0);
    assert_eq!(server.calls(), distinct(&place) - 40);
    assert_paired(&place, "run");
    assert!(!place.path("cache").exists(), "answers are the run's alone");
}

#[test]
fn rows_without_an_answer_fail_or_stay_or_go() {
    let place = pool(60);
    let is_bad = |image: &str| usize::from_str_radix(&image[..2], 16).unwrap().is_multiple_of(4);
    let server = FakeServer::start(move |seen| match image(seen) {
        image if is_bad(&image) => {
            Act::Status(400, vec![], "{\"error\":{\"message\":\"cannot decode\"}}".into())
        }
        image => Act::Say(says(&image)),
    })
    .unwrap();
    let base = server.base();
    let bad = truth(&place).values().filter(|image| is_bad(image)).count() as u64;
    let rows = truth(&place).len() as u64;
    assert!(bad > 3);
    run(&place, &words(&base, "fail", &["--column", COLUMN]), 3)
        .error("have no answer", "missing = \"keep\"");
    for (choice, kept) in [("keep", rows), ("drop", rows - bad)] {
        let report = report(&place, &words(&base, choice, &["--column", COLUMN, "--missing", choice]), 0);
        let step = &report["steps"][0];
        assert_eq!(step["kept"], kept, "{choice}");
        assert_eq!(step["seen"], rows);
        assert_eq!(step["dropped"]["no caption was made"].as_u64().unwrap_or(0), rows - kept);
        assert_eq!(step["details"]["states"]["missing"], bad);
        for (uid, image) in truth(&place) {
            let (caption, state) = &captions(&place.path(choice), "01-caption", COLUMN)[&uid];
            let expected = if is_bad(&image) { (None, "missing") } else { (Some(says(&image)), "ok") };
            assert_eq!((caption.clone(), state.as_deref()), (expected.0, Some(expected.1)));
        }
    }
}

#[test]
fn a_key_is_sent_and_written_nowhere() {
    const KEY: &str = "sk-very-secret-0123456789";
    let place = pool(24);
    let server = FakeServer::start(move |seen| match seen.authorization.as_deref() {
        Some("Bearer sk-very-secret-0123456789") if seen.text().contains("vivid") => {
            Act::Say(says(&image(seen)))
        }
        // A careless server repeats what it was sent.
        other => Act::Status(401, vec![], format!("{{\"error\":{{\"message\":\"bad key {other:?}\"}}}}")),
    })
    .unwrap();
    let base = server.base();
    let with_key = |prompt: &str, out: &str| {
        let more = ["--key-env", "VLM_KEY", "--prompt", prompt, "-v", "--missing", "keep"];
        Ran::new(command(&place, &words(&base, out, &more)).env("VLM_KEY", KEY).output().unwrap())
    };
    let (refused, done) = (with_key("tags", "refused"), with_key("vivid", "run"));
    assert_eq!((refused.code, done.code), (Some(3), Some(0)), "{}{}", refused.err, done.err);
    assert!(refused.err.contains("401"), "{}", refused.err);
    for ran in [&refused, &done] {
        assert!(!ran.err.contains(KEY) && !ran.out.contains(KEY), "{}", ran.err);
    }
    let mut files = 0;
    for folder in ["refused", "run", "cache"] {
        for (name, bytes) in common::contents(&place.path(folder)) {
            files += 1;
            assert!(!bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()), "{folder}/{name}");
        }
    }
    assert!(files > 12, "{files}");
    run(&place, &words(&base, "none", &["--key-env", "VLM_KEY"]), 1);
}
