//! `qdrant` through the binary when servers, networks and people fail: push-back is obeyed, dropped connections are survived, errors say what to
//! do, and a key is nowhere.
#![allow(clippy::unwrap_used)]
mod common;
#[path = "common/qdrant.rs"]
mod qdrant;

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::{Duration, Instant},
};

use common::Ran;
use cribble_qdrant::testing::{Act, FakeOptions};
use qdrant::{Service, assert_points, expected, points, with_run};
use serde_json::json;
use tonic::Code;

const UPSERT: &str = "/qdrant.Points/Upsert";
const SECRET: &str = "qd-5e3c7a90-secret";

#[test]
fn push_back_is_obeyed_and_connections_that_drop_are_survived() {
    let place = with_run(60);
    let service = Service::fake(FakeOptions::default());
    service.script().script(|seen| match (seen.path.as_str(), seen.number) {
        (UPSERT, 1) => Act::Refuse(Code::ResourceExhausted, "too many requests", Some("1")),
        (UPSERT, 4) => Act::Refuse(Code::Unavailable, "overloaded", None),
        (UPSERT, 7) => Act::Drop,
        (UPSERT, 9) => Act::DoAndDrop,
        (UPSERT, 11) => Act::Refuse(Code::Unavailable, "restarting", Some("0.7")),
        ("/qdrant.Points/Get", 3) => Act::Drop,
        ("/qdrant.Points/Count", 0) => Act::Refuse(Code::DeadlineExceeded, "", None),
        ("/qdrant.Collections/Create", 0) => Act::DoAndDrop,
        (_, number) if number % 5 == 0 => Act::After(Duration::from_millis(20)),
        _ => Act::Answer,
    });
    let began = Instant::now();
    let push = &service.push(&place, &["--batch", "4", "--in-flight", "3"], 0)["push"];
    assert!(began.elapsed() > Duration::from_millis(1700), "{:?}", began.elapsed());
    assert!(push["push_backs"].as_u64().unwrap() >= 3, "{push}");
    assert_eq!((&push["points"], &push["made"]), (&json!(60), &json!(true)));
    assert_points(&points(&service), &expected(&place, "run", "run"));
    // Nothing is sent before the time that the server asked for.
    let calls = service.script().calls(UPSERT);
    for (refused, wait) in [(1, 1.0), (11, 0.7)] {
        let at = calls.iter().find(|call| call.number == refused).unwrap().at;
        // Calls that were on their way already are not to blame.
        let next = calls
            .iter()
            .map(|call| call.at)
            .filter(|other| *other > at + Duration::from_secs_f64(wait / 2.0))
            .min();
        let waited = next.unwrap() - at;
        assert!(waited.as_secs_f64() >= wait, "call {refused}: {waited:?}");
    }
}

#[test]
fn a_server_that_never_has_time_is_given_up_and_nothing_is_lost() {
    let place = with_run(24);
    let service = Service::fake(FakeOptions::default());
    service.script().script(|seen| match seen.path.as_str() {
        UPSERT if seen.number > 1 => Act::Refuse(Code::Unavailable, "down for maintenance", None),
        _ => Act::Answer,
    });
    let words = [
        &["qdrant", "push", "run", "--retries", "2", "--batch", "4", "--in-flight", "1"],
        &service.words()[..],
    ]
    .concat();
    let ran = place.run(&words, 1);
    ran.error("sending points: Unavailable: down for maintenance", "run the same command again");
    assert_eq!(service.script().calls(UPSERT).len(), 2 + 3, "two calls, then one with two repetitions");
    service.script().calm();
    let push = &service.push(&place, &[], 0)["push"];
    assert_eq!((&push["unchanged"], &push["sent"]), (&json!(8), &json!(16)));
    assert_points(&points(&service), &expected(&place, "run", "run"));
}

#[test]
fn a_server_that_does_not_answer_is_left_after_the_timeout() {
    let place = with_run(24);
    let service = Service::fake(FakeOptions::default());
    service.script().script(|seen| match seen.path.as_str() {
        UPSERT if seen.number < 2 => Act::After(Duration::from_secs(30)),
        _ => Act::Answer,
    });
    let began = Instant::now();
    let push = &service.push(&place, &["--timeout-seconds", "0.5", "--in-flight", "1"], 0)["push"];
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(push["points"], json!(24));
}

#[test]
fn calls_that_are_too_large_are_halved_until_they_pass() {
    let place = with_run(60);
    let service = Service::fake(FakeOptions { message_bytes: 20_000, ..FakeOptions::default() });
    let push = &service.push(&place, &["--batch", "60"], 0)["push"];
    assert_eq!((&push["points"], &push["sent"]), (&json!(60), &json!(60)));
    assert_points(&points(&service), &expected(&place, "run", "run"));
    let taken = service.script().calls(UPSERT);
    assert!(taken.len() > 3 && taken.iter().all(|call| call.points < 20), "{taken:?}");
}

#[test]
fn a_count_that_differs_is_exit_code_3_with_the_number() {
    let place = with_run(24);
    let service = Service::fake(FakeOptions::default());
    service.push(&place, &[], 0);
    // Points without a run: somebody else wrote over them.
    service.script().data(|all| {
        let pool = all.collections.get_mut("pool").unwrap();
        for point in pool.points.values_mut().take(3) {
            point.payload.remove("run");
        }
    });
    let value = service.push(&place, &[], 3);
    assert_eq!((&value["push"]["foreign"], &value["push"]["points"]), (&json!(3), &json!(21)));
    assert!(value["shortfalls"][0].as_str().unwrap().contains("3 of 24 samples"), "{value}");
    assert!(value["shortfalls"][0].as_str().unwrap().contains("no run pushed"), "{value}");
    // Points that vanish while a push goes on: only the count at the end can tell.
    service.push(&place, &["--take-over"], 0);
    service.script().data(|all| all.vanish = true);
    let value = service.push(&place, &[], 3);
    assert_eq!(value["push"]["points"], json!(23));
    assert!(
        value["shortfalls"][0].as_str().unwrap().contains("23 of 24 points of the run 'run': 1 are missing"),
        "{value}"
    );
}

#[test]
fn nobody_there_and_somebody_else_there_are_said_with_the_cure() {
    let place = with_run(24);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let push = |url: &str, code: i32| -> Ran { place.run(&["qdrant", "push", "run", "--url", url], code) };
    let began = Instant::now();
    push(&format!("http://{free}"), 1).error("no Qdrant server answers at http://127.0.0.1", "docker run");
    push(&format!("127.0.0.1:{}", free.port()), 1).error("Connection refused", "6334");
    push("ftp://x", 2).error("'ftp' is neither http nor https", "http://localhost:6334");
    push("http://no such host", 2).error("--url", "http://localhost:6334");
    // The port of the dashboard speaks HTTP/1.1.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let ran = place.run(&["qdrant", "push", "run", "--url", &url, "--retries", "1"], 1);
    ran.error("is no Qdrant server", "6333");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let ran =
        place.run(&["qdrant", "query", "run", "--where", "kept", "--url", &format!("http://{free}")], 1);
    ran.error("no Qdrant server answers", "without --url");
}

#[test]
fn a_key_opens_the_server_and_is_nowhere() {
    let place = with_run(24);
    let service = Service::fake(FakeOptions { key: Some(SECRET.into()), ..FakeOptions::default() });
    let with = |key: &str, more: &[&str], code: i32| -> Ran {
        let words =
            [&["qdrant", "push", "run", "--api-key-env", "MY_KEY"], &service.words()[..], more].concat();
        let ran = Ran::new(place.cribble(&words).env("MY_KEY", key).output().unwrap());
        assert_eq!(ran.code, Some(code), "{}{}", ran.out, ran.err);
        ran
    };
    let hidden = |ran: &Ran, key: &str| {
        assert!(!ran.out.contains(key) && !ran.err.contains(key), "{}{}", ran.out, ran.err)
    };
    hidden(&with(SECRET, &["-v"], 0), SECRET);
    hidden(&with(SECRET, &["--json", "--progress", "json"], 0), SECRET);
    // The test server repeats the key that it refuses.
    for more in [&["-v"][..], &["--json"], &["--progress", "json"]] {
        let ran = with("wrong-key-0815", more, 1);
        hidden(&ran, "wrong-key-0815");
        assert!(
            ran.out.contains("[key hidden]") || ran.err.contains("[key hidden]"),
            "{}{}",
            ran.out,
            ran.err
        );
    }
    with("wrong-key-0815", &[], 1).error("Invalid API key", "--api-key-env");
    let bad = with("two words-secret", &[], 2);
    bad.error("environment variable MY_KEY", "one line");
    hidden(&bad, "words-secret");
    place
        .run(&[&["qdrant", "push", "run"], &service.words()[..]].concat(), 1)
        .error("Invalid API key", "--api-key-env");
    place
        .run(&["qdrant", "push", "run", "--api-key-env", "NO_SUCH_KEY"], 2)
        .error("NO_SUCH_KEY: it is not set", "API key");
    place.write("key", format!("{SECRET}\n"));
    let file =
        place.run(&[&["qdrant", "push", "run", "--api-key-file", "key"], &service.words()[..]].concat(), 0);
    hidden(&file, SECRET);
    for (name, bytes) in common::contents(&place.path("run")) {
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "the key is in {name}");
    }
    // Refused before a call is made: the address is no place for a key either.
    let payloads = service.script().data(|data| format!("{:?}", data.collections));
    assert!(!payloads.contains(SECRET));
}

#[test]
fn ctrl_c_stops_a_push_with_the_command_that_resumes() {
    let place = with_run(24);
    let service = Service::fake(FakeOptions::default());
    service.script().script(|seen| match seen.path.as_str() {
        UPSERT => Act::After(Duration::from_millis(300)),
        _ => Act::Answer,
    });
    let words =
        [&["qdrant", "push", "run", "--batch", "1", "--in-flight", "1"], &service.words()[..]].concat();
    let child = place
        .cribble(&words)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while service.script().calls(UPSERT).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let ran = Ran::new(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.err);
    assert!(ran.err.contains("resume with: cribble qdrant push run --batch 1"), "{}", ran.err);
    service.script().calm();
    service.push(&place, &[], 0);
    assert_points(&points(&service), &expected(&place, "run", "run"));
}
