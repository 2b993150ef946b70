//! Limits: concurrency, rates, cost, memory; and that a key is nowhere.
#![allow(clippy::unwrap_used)]
mod common;
use common::{cache, client, echo, job, quick, request, run};
use cribble_chat::{
    Cache, Client, Endpoint, Image, Job, Key, Message, Missing, Outcome, Price, Settings, Stop,
    testing::{Act, FakeServer},
};
use cribble_core::Cancel;
use std::{
    path::Path,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

#[test]
fn calls_in_flight_are_as_many_as_was_said_and_connections_are_kept() {
    let server = FakeServer::start(|_| Act::SayAfter(Duration::from_millis(20), "ok".into())).unwrap();
    let client = client(&server.base(), Settings { in_flight: 64, ..quick() }, Cache::none());
    let (summary, _) = run(&client, 640);
    assert_eq!(summary.answered, 640);
    assert_eq!(server.peak(), 64);
    assert!(server.connections() <= 64 + 6, "{} connections", server.connections());
    let usage = client.usage();
    assert!(usage.p50_seconds >= 0.02 && usage.p95_seconds >= usage.p50_seconds, "{usage:?}");
    assert_eq!((usage.input_tokens, usage.output_tokens), (6400, 640));
}

#[test]
fn pending_jobs_are_taken_only_as_calls_get_free() {
    let server = echo();
    let client = client(&server.base(), Settings { in_flight: 8, ..quick() }, Cache::none());
    // The client holds a request, and with it the image's bytes, until its call is over.
    let images = Mutex::new(Vec::<Weak<[u8]>>::new());
    let mut most = 0;
    let jobs = (0..4000u32).map(|id| {
        let bytes: Arc<[u8]> = Arc::from(id.to_le_bytes().repeat(100));
        let mut images = images.lock().unwrap();
        images.retain(|image| image.strong_count() > 0);
        images.push(Arc::downgrade(&bytes));
        most = most.max(images.len());
        let message = Message::user("what?").with_image(Image::Bytes { media: "image/jpeg", bytes });
        let mut request = request("");
        request.messages = vec![message];
        Job { id: id.into(), request, votes: 1 }
    });
    let mut answered = 0;
    client.run(jobs, &Cancel::new(), |_, outcome| {
        answered += usize::from(matches!(outcome, Outcome::Answered(_)))
    });
    assert_eq!(answered, 4000);
    assert!((8..=2 * 8 + 8).contains(&most), "{most} images at once");
}

#[test]
fn requests_and_tokens_a_minute_are_kept() {
    let server = echo();
    let rate = Settings { requests_per_minute: Some(1200.0), in_flight: 16, ..quick() };
    let start = Instant::now();
    run(&client(&server.base(), rate, Cache::none()), 50);
    // 20 a second, of which the first second's share may come at once.
    let took = start.elapsed().as_secs_f64();
    assert!((1.4..4.0).contains(&took), "{took} seconds for 50 calls at 20 a second");

    // Each call takes 10 tokens for the question and 5 for the answer, as the server counts.
    let tokens = Settings { tokens_per_minute: Some(6000.0), in_flight: 4, ..quick() };
    let start = Instant::now();
    run(&client(&server.base(), tokens, Cache::none()), 20);
    let took = start.elapsed().as_secs_f64();
    assert!((1.5..6.0).contains(&took), "{took} seconds for 300 tokens at 100 a second");
}

#[test]
fn the_cost_ceiling_holds_and_the_rest_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let server = echo();
    let settings = Settings {
        price: Some(Price { input: 1e6, output: 2e6 }),
        most_cost: Some(205.0),
        in_flight: 4,
        ..quick()
    };
    let ask = |settings: &Settings, count: u128| {
        let client = client(&server.base(), settings.clone(), cache(folder.path()));
        let mut missing = Vec::new();
        let jobs = (0..count).map(|id| {
            let mut job = job(id);
            job.request.params.max_tokens = Some(5);
            job
        });
        let summary = client.run(jobs, &Cancel::new(), |id, outcome| {
            if let Outcome::Missing { why, .. } = outcome {
                assert!(matches!(why, Missing::Stopped(Stop::CostCeiling { .. })), "{why}");
                missing.push(id);
            }
        });
        (summary, missing)
    };
    // 10 tokens in at 1, 4 or 5 out at 2: 18 to 20 a call.
    let (summary, missing) = ask(&settings, 30);
    let usage = &summary.usage;
    assert!(usage.cost <= 205.0 && usage.cost > 160.0, "{usage:?}");
    assert_eq!(summary.answered + missing.len() as u64, 30);
    assert!((9..=11).contains(&summary.answered), "{}", summary.answered);
    let said = summary.stop.unwrap().to_string();
    assert!(said.contains("ceiling of 205") && said.contains("raise it"), "{said}");
    // The next night pays for what was missing alone.
    let before = server.calls();
    let (summary, missing) = ask(&Settings { most_cost: Some(1e9), ..settings }, 30);
    assert_eq!((summary.answered, missing.len()), (30, 0));
    assert_eq!(server.calls(), 30);
    assert_eq!(summary.usage.cached, before);
}

#[test]
fn usage_is_read_while_a_run_goes_on() {
    let server = FakeServer::start(|_| Act::SayAfter(Duration::from_millis(100), "ok".into())).unwrap();
    let client = client(&server.base(), quick(), Cache::none());
    std::thread::scope(|scope| {
        let live = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(150));
            client.usage()
        });
        run(&client, 32);
        let usage = live.join().unwrap();
        assert!(usage.calls > 0 && usage.calls < 32 && usage.in_flight > 0, "{usage:?}");
    });
}

const SECRET: &str = "sk-test-4f9a77c1d2";

fn with_secret(server: &FakeServer, folder: &Path) -> Endpoint {
    let path = folder.join("key");
    std::fs::write(&path, SECRET).unwrap();
    Endpoint::new(&server.base(), "m").unwrap().with_key(Key::from_file(&path).unwrap())
}

#[test]
fn a_key_is_sent_and_is_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    // A server without manners: it repeats the key in answers, complaints and headers.
    let server = FakeServer::start(|seen| {
        let key = seen.authorization.clone().unwrap_or_default();
        assert_eq!(key, format!("Bearer {SECRET}"));
        match seen.number % 3 {
            0 => Act::Say(format!("your key is {key}")),
            1 => Act::Status(403, vec![("X-Key", key.clone())], format!("{{\"error\": \"bad key {key}\"}}")),
            _ => Act::body(format!("{{\"error\": {{\"message\": \"{key}\", \"code\": 400}}}}")),
        }
    })
    .unwrap();
    let endpoint = with_secret(&server, folder.path());
    let answers = folder.path().join("answers");
    let cache = Cache::open(&answers, Some(&folder.path().join("shared"))).unwrap();
    let client = Client::new(endpoint, quick(), cache).unwrap();
    let mut shown = format!("{client:?} {:?} {:?}", client.endpoint(), client.cache());
    let mut answered = 0;
    let summary = client.run((0..30).map(job), &Cancel::new(), |_, outcome| {
        answered += usize::from(matches!(outcome, Outcome::Answered(_)));
        if let Outcome::Missing { why, .. } = &outcome {
            shown.push_str(&why.to_string());
        }
        shown.push_str(&format!("{outcome:?}"));
    });
    shown.push_str(&format!("{summary:?} {}", serde_json::to_string(&summary.usage).unwrap()));
    assert_eq!(answered, 10);
    assert!(shown.contains("[key hidden]"), "the server did repeat it");
    assert!(!shown.contains(SECRET), "{shown}");
    let mut files = 0;
    for folder in [answers, folder.path().join("shared")] {
        files += grep(&folder, SECRET);
    }
    assert_eq!(files, 2);
}

#[test]
fn a_long_complaint_is_not_cut_within_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = FakeServer::start(|seen| {
        let before = "x".repeat(280 + seen.number as usize);
        Act::Status(403, Vec::new(), format!("{before}{SECRET}"))
    })
    .unwrap();
    let client = Client::new(with_secret(&server, folder.path()), quick(), Cache::none()).unwrap();
    for before in 280..300 {
        let error = client.ask(request("?"), &Cancel::new()).unwrap_err().to_string();
        assert!(error.contains(&"x".repeat(before)) && !error.contains("sk-t"), "{error}");
    }
}

/// Looks for a text in every file of a folder; returns how many it read.
fn grep(folder: &Path, secret: &str) -> usize {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let content = std::fs::read(&path).unwrap();
            assert!(!content.is_empty());
            assert!(!String::from_utf8_lossy(&content).contains(secret), "{}", path.display());
        })
        .count()
}
