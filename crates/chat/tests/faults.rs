//! Servers that fail in every way: no answer is lost, none is asked twice, and what is missing is said.
#![allow(clippy::unwrap_used)]
mod common;
use common::{cache, client, echo, job, quick, request, run, text};
use cribble_chat::{
    Cache, Job, Missing, Outcome, Params, Schema, Settings, Stop,
    testing::{Act, FakeServer, completion},
};
use cribble_core::Cancel;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering},
    time::{Duration, Instant},
};

/// The first call for each question fails as `fault` says, the second is answered.
fn fails_once(fault: impl Fn(usize) -> Act + Send + Sync + 'static) -> FakeServer {
    let seen_before = Mutex::new(HashSet::<String>::new());
    FakeServer::start(move |seen| {
        let text = seen.text();
        let mut seen_before = seen_before.lock().unwrap();
        let place = seen_before.len();
        match seen_before.insert(text.clone()) {
            true => fault(place),
            false => Act::Say(format!("echo {text}")),
        }
    })
    .unwrap()
}

#[test]
fn every_fault_that_may_pass_is_tried_again_and_nothing_is_lost() {
    let server = fails_once(|place| match place % 11 {
        0 => Act::Status(429, vec![("Retry-After", "0".into())], "slow down".into()),
        1 => Act::Status(500, Vec::new(), "oops".into()),
        2 => Act::Status(503, vec![("Retry-After", "0.02".into())], String::new()),
        3 => Act::Half,
        4 => Act::Short("this is not all".into()),
        5 => Act::body("{\"choices\": [{\"mess"),
        6 => Act::body("{\"object\": \"list\", \"data\": []}"),
        7 => Act::body("{\"choices\": []}"),
        8 => Act::body(completion("")),
        9 => Act::body("{\"error\": {\"message\": \"overloaded\", \"code\": 529}}"),
        _ => Act::Close,
    });
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { in_flight: 16, ..quick() };
    let one = client(&server.base(), settings.clone(), cache(folder.path()));
    let (summary, outcomes) = run(&one, 220);
    assert_eq!((summary.answered, summary.missing, summary.stop), (220, 0, None));
    for (id, outcome) in &outcomes {
        assert_eq!(text(outcome), format!("echo question {id}"));
    }
    let usage = one.usage();
    assert_eq!((server.calls(), usage.calls, usage.answered), (440, 440, 220));
    assert_eq!((usage.retries, usage.failed, usage.cached, usage.in_flight), (220, 0, 0, 0));
    assert!(server.peak() <= 16);

    // Another run asks nothing.
    let two = client(&server.base(), settings, cache(folder.path()));
    let (summary, outcomes) = run(&two, 220);
    assert_eq!((summary.answered, server.calls(), two.usage().cached), (220, 440, 220));
    assert!(outcomes.values().all(|outcome| matches!(outcome, Outcome::Answered(all) if all[0].cached)));
}

#[test]
fn a_server_that_hangs_is_left_after_the_timeout() {
    let server = fails_once(|_| Act::Hang);
    let settings = Settings { timeout: Duration::from_millis(300), ..quick() };
    let client = client(&server.base(), settings, Cache::none());
    let (summary, _) = run(&client, 8);
    assert_eq!((summary.answered, server.calls()), (8, 16));
}

#[test]
fn retry_after_is_respected_as_seconds_and_as_a_date() {
    // A date two seconds ahead is at least one second away, as it has no fractions.
    let ahead = || {
        let form = ["-u", "-d", "+2 seconds", "+%a, %d %b %Y %H:%M:%S GMT"];
        let date = std::process::Command::new("date").env("LC_ALL", "C").args(form).output().unwrap();
        String::from_utf8(date.stdout).unwrap().trim().to_string()
    };
    for (header, least) in [(None, 1.0), (Some(()), 0.5)] {
        let header = move || header.map_or_else(|| "1".to_string(), |()| ahead());
        let server = fails_once(move |_| Act::Status(429, vec![("Retry-After", header())], String::new()));
        let client = client(&server.base(), quick(), Cache::none());
        let start = Instant::now();
        let (summary, _) = run(&client, 1);
        assert_eq!(summary.answered, 1);
        let took = start.elapsed().as_secs_f64();
        assert!(took >= least && took < least + 3.0, "{took} seconds");
    }
    // Longer than anyone waits: given up at once, and said.
    let server =
        FakeServer::start(|_| Act::Status(429, vec![("Retry-After", "86400".into())], String::new()))
            .unwrap();
    let client = client(&server.base(), quick(), Cache::none());
    let error = client.ask(request("?"), &Cancel::new()).unwrap_err().to_string();
    assert!(error.contains("86400 seconds"), "{error}");
}

#[test]
fn faults_that_stay_fail_at_once_and_name_endpoint_model_and_cure() {
    for (status, cure, stops) in [
        (400, "the model's name", false),
        (401, "valid key", true),
        (403, "access", false),
        (404, "GET /models", true),
    ] {
        let server =
            FakeServer::start(move |_| Act::Status(status, Vec::new(), "no such thing".into())).unwrap();
        let settings = Settings { in_flight: 1, ..quick() };
        let client = client(&server.base(), settings, Cache::none());
        let (summary, outcomes) = run(&client, 5);
        let Outcome::Missing { why: Missing::Failed(error), .. } = &outcomes[&0] else { panic!("{status}") };
        let said = error.to_string();
        for part in [&server.base(), "test-model", &status.to_string(), "no such thing", cure] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!((error.status, error.tries), (Some(status), 1));
        // One call for each job, and for an endpoint that refuses everything not even that.
        assert_eq!(server.calls(), if stops { 1 } else { 5 }, "{status}");
        assert_eq!(matches!(summary.stop, Some(Stop::Refused(_))), stops, "{:?}", summary.stop);
        assert_eq!(summary.missing, 5);
    }
}

#[test]
fn a_dead_server_ends_the_run_and_the_rest_is_listed() {
    let mut server = echo();
    server.stop();
    let settings = Settings { retries: 2, give_up_after: 6, in_flight: 4, ..quick() };
    let folder = tempfile::tempdir().unwrap();
    let client = client(&server.base(), settings, cache(folder.path()));
    let start = Instant::now();
    let (summary, outcomes) = run(&client, 3000);
    assert!(start.elapsed() < Duration::from_secs(20));
    let Some(Stop::GivenUp { in_row: 6, last }) = &summary.stop else { panic!("{:?}", summary.stop) };
    assert!(last.to_string().contains("refuses connections (3 tries); start the server"), "{last}");
    assert_eq!(summary.missing, 3000);
    let not_asked = outcomes
        .values()
        .filter(|outcome| matches!(outcome, Outcome::Missing { why: Missing::Stopped(_), .. }));
    assert!(not_asked.count() >= 2980);
    assert!(client.usage().calls <= 3 * (6 + 4), "{}", client.usage().calls);
}

#[test]
fn a_server_that_is_started_again_in_the_middle_is_waited_for() {
    let mut server = echo();
    let (base, address) = (server.base(), server.address());
    let folder = tempfile::tempdir().unwrap();
    let settings =
        Settings { retries: 12, longest_wait: Duration::from_millis(400), give_up_after: 1000, ..quick() };
    let client = client(&base, settings, cache(folder.path()));
    let mut done = 0;
    let mut back = None;
    let mut first_calls = 0;
    let summary = client.run((0..400).map(job), &Cancel::new(), |_, outcome| {
        done += 1;
        text(&outcome);
        if done == 100 {
            server.stop();
            first_calls = server.calls();
            back = Some(std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                FakeServer::start_at(address, |seen| Act::Say(format!("echo {}", seen.text()))).unwrap()
            }));
        }
    });
    let second = back.unwrap().join().unwrap();
    assert_eq!((summary.answered, summary.missing), (400, 0));
    // What was in flight when it went down may have been asked twice, nothing else.
    let calls = first_calls + second.calls();
    assert!((400..=400 + 8).contains(&calls), "{calls}");
    assert!(client.usage().retries > 0);
}

#[test]
fn a_run_that_stopped_still_finds_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let server = echo();
    let (summary, _) = run(&client(&server.base(), quick(), cache(folder.path())), 50);
    assert_eq!(summary.answered, 50);
    drop(server);
    let refusing = FakeServer::start(|_| Act::Status(401, Vec::new(), String::new())).unwrap();
    let client = client(&refusing.base(), Settings { in_flight: 1, ..quick() }, cache(folder.path()));
    // Unknown first: the run stops, and the known ones behind are answered all the same.
    let mut found = (0, 0);
    client.run((40..60).rev().chain(0..10).map(job), &Cancel::new(), |id, outcome| match outcome {
        Outcome::Answered(_) => {
            assert!(id < 50);
            found.0 += 1;
        }
        Outcome::Missing { .. } => found.1 += 1,
    });
    assert_eq!(found, (20, 10));
    assert_eq!(refusing.calls(), 1);
}

#[test]
fn a_schema_that_the_server_does_not_know_is_left_out_from_then_on() {
    let refused = Arc::new(AtomicU64::new(0));
    let count = refused.clone();
    let server = FakeServer::start(move |seen| match seen.json().get("response_format") {
        Some(_) => {
            count.fetch_add(1, Ordering::SeqCst);
            Act::Status(400, Vec::new(), "unknown field response_format".into())
        }
        None => Act::Say("plain".into()),
    })
    .unwrap();
    let client = client(&server.base(), Settings { in_flight: 1, ..quick() }, Cache::none());
    let schema = Schema { name: "verdict".into(), schema: serde_json::json!({"type": "object"}) };
    let params = Params { schema: Some(schema), ..Params::default() };
    let jobs = (0..20).map(|id| {
        let mut job = job(id);
        job.request.params = params.clone();
        job
    });
    let summary = client.run(jobs, &Cancel::new(), |_, outcome| assert_eq!(text(&outcome), "plain"));
    assert_eq!((summary.answered, refused.load(Ordering::SeqCst), server.calls()), (20, 1, 21));

    // A question that is refused in both ways says nothing of the schema.
    let server = FakeServer::start(|_| Act::Status(400, Vec::new(), "prompt too long".into())).unwrap();
    let client = common::client(&server.base(), quick(), Cache::none());
    let mut long = request("long");
    long.params = params;
    for calls in [2, 4] {
        client.ask(long.clone(), &Cancel::new()).unwrap_err();
        assert_eq!(server.calls(), calls);
    }
}

#[test]
fn votes_have_seeds_of_their_own_and_equal_questions_are_asked_once() {
    let server = FakeServer::start(|seen| {
        Act::SayAfter(Duration::from_millis(5), format!("seed {}", seen.json()["seed"]))
    })
    .unwrap();
    let client = client(&server.base(), quick(), Cache::none());
    let mut asked = request("same");
    asked.params.seed = Some(70);
    let jobs = (0..30).map(|id| Job { id, request: asked.clone(), votes: 3 });
    let mut cached = 0;
    let summary = client.run(jobs, &Cancel::new(), |_, outcome| {
        let Outcome::Answered(answers) = outcome else { panic!("missing") };
        let texts: Vec<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        assert_eq!(texts, ["seed 70", "seed 71", "seed 72"]);
        cached += answers.iter().filter(|answer| answer.cached).count();
    });
    assert_eq!(summary.answered, 30);
    // Without a cache, only what is out at the same time can be shared.
    let usage = client.usage();
    assert_eq!(usage.answered + usage.cached, 90);
    assert_eq!(usage.cached as usize, cached);
    assert!(server.calls() < 45, "{}", server.calls());
}

#[test]
fn a_job_with_a_lost_vote_is_missing_and_keeps_the_others() {
    let server = FakeServer::start(|seen| match seen.json()["seed"].as_u64() {
        Some(1) => Act::Status(403, Vec::new(), "refused content".into()),
        _ => Act::Say("fine".into()),
    })
    .unwrap();
    let client = client(&server.base(), quick(), Cache::none());
    let job = Job { id: 9, request: request("three"), votes: 3 };
    let mut seen = None;
    client.run([job], &Cancel::new(), |id, outcome| seen = Some((id, outcome)));
    let (9, Outcome::Missing { answers, why }) = seen.unwrap() else { panic!("not missing") };
    let there: Vec<bool> = answers.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, false, true]);
    assert!(why.to_string().contains("403"), "{why}");
}

#[test]
fn a_cancel_ends_hanging_calls_and_leaves_the_iterator() {
    let server = FakeServer::start(|_| Act::Hang).unwrap();
    let settings = Settings { grace: Duration::from_millis(100), in_flight: 4, ..quick() };
    let client = client(&server.base(), settings, Cache::none());
    let cancel = Cancel::new();
    let mut taken = 0;
    let start = Instant::now();
    let mut outcomes = 0;
    let summary = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            cancel.cancel();
        });
        let jobs = (0..1_000_000).map(job).inspect(|_| taken += 1);
        client.run(jobs, &cancel, |_, outcome| {
            assert!(matches!(outcome, Outcome::Missing { why: Missing::Stopped(Stop::Cancelled), .. }));
            outcomes += 1;
        })
    });
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!((summary.stop, summary.missing), (Some(Stop::Cancelled), 8));
    assert_eq!((taken, outcomes, server.calls()), (8, 8, 4));
}

#[test]
fn a_sink_that_panics_does_not_hang() {
    let server =
        FakeServer::start(|seen| if seen.number == 0 { Act::Say("a".into()) } else { Act::Hang }).unwrap();
    let client = client(&server.base(), quick(), Cache::none());
    let start = Instant::now();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        client.run((0..100).map(job), &Cancel::new(), |_, _| panic!("a bug of the caller"));
    }));
    assert!(result.is_err() && start.elapsed() < Duration::from_secs(5));
}
