//! `caption` and `rewrite` against a scripted server: every row has the answer to its own image whatever goes wrong on the way, no answer is
//! asked for twice, and a key is nowhere.
#![allow(clippy::unwrap_used)]
mod common;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::Read,
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use arrow::array::{Array, AsArray};
use common::{Place, Ran, tables::step_tables};
use cribble_chat::testing::{Act, FakeServer, Seen};
use cribble_core::Uid;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Column of the tests' captions.
const COLUMN: &str = "caption_vlm";

/// A pool with tars, in a place whose shared answers are its own.
fn pool(rows: u64) -> Place {
    Place::with_pool(rows, true)
}

fn command(place: &Place, words: &[&str]) -> std::process::Command {
    let mut command = place.cribble(words);
    command.env("CRIBBLE_CACHE", place.path("cache")).env_remove("VLM_KEY");
    command
}

#[track_caller]
fn run(place: &Place, words: &[&str], code: i32) -> Ran {
    let ran = Ran::new(command(place, words).output().unwrap());
    assert_eq!(ran.code, Some(code), "cribble {}\n{}\n{}", words.join(" "), ran.out, ran.err);
    ran
}

/// The report of a run.
#[track_caller]
fn report(place: &Place, words: &[&str], code: i32) -> Value {
    let ran = run(place, &[words, &["--json"]].concat(), code);
    serde_json::from_str::<Value>(&ran.out).unwrap()["report"].clone()
}

/// The words of a `caption` command.
fn words<'a>(server: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let start = [
        "caption",
        "pool/shards",
        "--endpoint",
        server,
        "--model",
        "a/vlm",
        "--image-size",
        "0",
        "--out",
        out,
    ];
    [&start[..], more].concat()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a `data:` address.
fn decoded(url: &str) -> Vec<u8> {
    let text = url.split_once(";base64,").unwrap().1;
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for c in text.bytes().filter(|&c| c != b'=') {
        bits = bits << 6 | u32::from(digit(c));
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

/// What the server calls an image: a hash of the bytes that it was sent, or the address.
fn image(seen: &Seen) -> String {
    let body = seen.json();
    let url = body["messages"].as_array().unwrap().last().unwrap()["content"][1]["image_url"]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    if url.starts_with("data:") { hash(&decoded(&url)) } else { url }
}

fn says(image: &str) -> String {
    format!("A drawing that is known as {image}.")
}

fn honest() -> FakeServer {
    FakeServer::start(|seen| Act::Say(says(&image(seen)))).unwrap()
}

/// Hash of the image of every sample in the pool's tars, by uid.
fn truth(place: &Place) -> BTreeMap<Uid, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(place.path("pool/shards")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "tar") {
            continue;
        }
        let mut samples: BTreeMap<String, (Option<Uid>, Option<String>)> = BTreeMap::new();
        let mut archive = tar::Archive::new(fs::File::open(&path).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let (key, kind) = name.split_once('.').unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let sample = samples.entry(key.into()).or_default();
            match kind {
                "json" => {
                    let value: Value = serde_json::from_slice(&bytes).unwrap();
                    sample.0 = Some(value["uid"].as_str().unwrap().parse().unwrap());
                }
                "txt" => {}
                _ => sample.1 = Some(hash(&bytes)),
            }
        }
        found.extend(samples.into_values().map(|(uid, image)| (uid.unwrap(), image.unwrap())));
    }
    found
}

/// Caption and state of every row, by uid.
fn captions(run: &Path, step: &str, column: &str) -> BTreeMap<Uid, (Option<String>, Option<String>)> {
    let mut found = BTreeMap::new();
    for table in step_tables(run, step) {
        let text = |name: &str| -> Vec<Option<String>> {
            let column = table.column(name).unwrap();
            let texts = column.as_string::<i32>();
            (0..texts.len()).map(|at| texts.is_valid(at).then(|| texts.value(at).to_owned())).collect()
        };
        let rows = text(column).into_iter().zip(text(&format!("{column}_state")));
        found.extend(table.uids.iter().copied().zip(rows));
    }
    found
}

/// Every row has the caption of its own image.
#[track_caller]
fn assert_paired(place: &Place, run: &str) {
    let (truth, found) = (truth(place), captions(&place.path(run), "01-caption", COLUMN));
    assert!(truth.len() > 90 && truth.len() == found.len());
    for (uid, image) in &truth {
        assert_eq!(found[uid], (Some(says(image)), Some("ok".into())), "{uid}");
    }
}

fn distinct(place: &Place) -> u64 {
    truth(place).into_values().collect::<BTreeSet<_>>().len() as u64
}

/// The step's tables, byte for byte.
fn tables(place: &Place, run: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(place.path(run).join("steps/01-caption")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "parquet"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect()
}

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
fn tables_do_not_depend_on_threads_or_calls_in_flight() {
    let place = pool(60);
    // By number of the answer, so that only the order of rows can make tables equal; images are scaled.
    let server = honest();
    let base = server.base();
    let made: Vec<_> = [("1", "1"), ("2", "16"), ("3", "5")]
        .map(|(threads, in_flight)| {
            let out = format!("run{threads}");
            let mut words =
                words(&base, &out, &["--threads", threads, "--in-flight", in_flight, "--cache", "none"]);
            words[7] = "32";
            run(&place, &words, 0);
            tables(&place, &out)
        })
        .into_iter()
        .collect();
    assert_eq!(made[0].len(), 2);
    assert!(made[0] == made[1] && made[1] == made[2]);
    let images: BTreeSet<String> = truth(&place).into_values().collect();
    let found = captions(&place.path("run1"), "01-caption", COLUMN);
    assert!(
        found
            .values()
            .all(|(caption, _)| !images.iter().any(|image| caption.as_deref() == Some(&says(image))))
    );
}

#[test]
fn a_shared_folder_of_answers_is_asked_first() {
    let place = pool(60);
    let server = honest();
    let base = server.base();
    for (out, more, calls) in [
        ("a", ["--cache", "shared"], distinct(&place)),
        ("b", ["--cache", "shared"], distinct(&place)),
        ("c", ["--cache", "none"], 2 * distinct(&place)),
    ] {
        run(&place, &words(&base, out, &more), 0);
        assert_eq!(server.calls(), calls, "{out}");
    }
    assert_eq!(tables(&place, "a"), tables(&place, "b"));
    assert!(place.path("shared").exists() && !place.path("cache").exists());
    // A dry run calls nobody.
    let said = run(&place, &words(&base, "d", &["--dry-run", "--prompt", "alt"]), 0);
    assert!(
        said.out.contains("prompt alt-1") || said.err.contains("prompt alt-1"),
        "{}{}",
        said.out,
        said.err
    );
    assert_eq!(server.calls(), 2 * distinct(&place));
    assert!(!place.path("d").exists());
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

#[test]
fn answers_that_are_no_captions_have_a_state_and_the_row_stays() {
    let place = pool(60);
    let kinds: [(&str, Option<&str>, &str); 6] = [
        ("<think>hm</think> This image showcases  a red\nlamp.", Some("A red lamp."), "ok"),
        ("I'm sorry, but I can't assist with that.", None, "refused"),
        ("No", None, "too_short"),
        (&"A long text that goes on. ".repeat(2), None, "too_long"),
        ("chair chair chair chair chair chair", None, "repeats"),
        ("Ein roter Bus steht vor dem alten Haus", None, "wrong_language"),
    ];
    let texts = kinds.map(|(text, ..)| text.to_owned());
    let kind = |image: &str| usize::from_str_radix(&image[..4], 16).unwrap() % 6;
    let server = FakeServer::start(move |seen| Act::Say(texts[kind(&image(seen))].clone())).unwrap();
    // Pixels by uid, in tars that lack some of the rows.
    place.write(
        "recipe.toml",
        format!(
            "[input]\npath = \"pool/metadata\"\nimages = \"pool/shards\"\n[[step]]\nkind = \"caption\"\ncolumn = \"{COLUMN}\"\nimage_size = 0\n\
             min_chars = 5\nmax_chars = 40\nlanguage = \"en\"\n[step.chat]\nendpoint = \"{}\"\nmodel = \"m\"\n\
             [[step]]\nkind = \"rewrite\"\ntext = \"{COLUMN}\"\n[[step]]\nkind = \"filter\"\nwhere = \"{COLUMN}_state = 'ok'\"\n",
            server.base()
        ),
    );
    let report = report(&place, &["run", "recipe.toml", "--out", "run"], 0);
    let (truth, found) = (truth(&place), captions(&place.path("run"), "01-caption", COLUMN));
    let again = captions(&place.path("run"), "02-rewrite", "caption_rewritten");
    assert!(truth.len() < found.len(), "some downloads failed");
    for (uid, (caption, state)) in &found {
        let expected =
            truth.get(uid).map_or((None, "no_image"), |image| (kinds[kind(image)].1, kinds[kind(image)].2));
        assert_eq!((caption.as_deref(), state.as_deref()), (expected.0, Some(expected.1)), "{uid}");
        let rewritten = if caption.is_some() { "ok" } else { "no_caption" };
        assert_eq!(again[uid], (caption.clone(), Some(rewritten.into())));
    }
    let steps = &report["steps"];
    let details = &steps[0]["details"];
    assert_eq!((&steps[0]["kept"], &steps[1]["kept"]), (&60.into(), &60.into()));
    assert_eq!(steps[2]["kept"], details["states"]["ok"]);
    assert_eq!(details["stripped"], details["states"]["ok"]);
    assert_eq!((details["mean_words"].as_f64(), details["mean_chars"].as_f64()), (Some(3.0), Some(11.0)));
    assert_eq!(details["states"].as_object().unwrap().len(), 7, "{details}");
}

#[test]
fn addresses_are_sent_where_the_server_fetches_them() {
    let place = pool(24);
    let server = honest();
    let base = server.base();
    let words = [
        "caption",
        "pool/metadata",
        "--send",
        "url",
        "--endpoint",
        &base,
        "--model",
        "vlm",
        "--max-chars",
        "500",
        "--out",
        "run",
    ];
    run(&place, &words, 0);
    let found = captions(&place.path("run"), "01-caption", COLUMN);
    let mut rows = 0;
    for entry in fs::read_dir(place.path("pool/metadata")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "parquet") {
            continue;
        }
        let table = cribble_io::TableReader::open(&path).unwrap();
        for batch in table.read(&["uid", "url"], &cribble_io::RowChoice::All, 1000).unwrap() {
            let batch = batch.unwrap();
            let text =
                |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
            for row in 0..batch.num_rows() {
                let uid: Uid = text(0, row).parse().unwrap();
                assert_eq!(found[&uid], (Some(says(&text(1, row))), Some("ok".into())));
                rows += 1;
            }
        }
    }
    assert_eq!(rows, 24);
    run(&place, &["caption", "pool/metadata", "--endpoint", &base, "--model", "m", "--out", "x"], 2)
        .error("has no images to describe", "send = \"url\"");
}

#[test]
fn captions_are_rewritten_once_for_each_text() {
    let place = pool(120);
    let texts: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = texts.clone();
    let server = FakeServer::start(move |seen| {
        let caption = seen.text().rsplit_once("Caption: ").unwrap().1.to_owned();
        heard.lock().unwrap().push(caption.clone());
        Act::Say(format!("\"The image shows words: {}\"", hash(caption.as_bytes())))
    })
    .unwrap();
    let base = server.base();
    let details = |words: &[&str]| report(&place, words, 0)["steps"][0]["details"].clone();
    let made = details(&["rewrite", "pool/metadata", "--endpoint", &base, "--model", "llm", "--out", "run"]);
    let heard = texts.lock().unwrap();
    let unique: BTreeSet<&String> = heard.iter().collect();
    assert_eq!(unique.len(), heard.len(), "a text is asked once");
    assert!(heard.len() < 120 && made["states"]["ok"] == 120 && made["stripped"] == 120, "{made}");
    assert_eq!(made["column"], "caption_llm");
    let expected: BTreeSet<String> =
        heard.iter().map(|text| format!("Words: {}", hash(text.as_bytes()))).collect();
    let found = captions(&place.path("run"), "01-rewrite", "caption_llm");
    let said: BTreeSet<String> = found.into_values().filter_map(|(caption, _)| caption).collect();
    assert_eq!(said, expected);
    for example in made["examples"].as_array().unwrap() {
        let before = example["before"].as_str().unwrap();
        assert_eq!(example["after"], format!("Words: {}", hash(before.trim().as_bytes())));
    }
    // The rules alone need nobody.
    let calls = server.calls();
    let tidied = details(&["rewrite", "pool/metadata", "--out", "rules"]);
    assert_eq!((&tidied["by"], &tidied["column"]), (&"rules".into(), &"caption_rewritten".into()));
    assert!(tidied["usage"].is_null() && server.calls() == calls);
    let rows: u64 = tidied["states"].as_object().unwrap().values().map(|rows| rows.as_u64().unwrap()).sum();
    assert_eq!(rows, 120);
}

#[test]
fn wrong_options_are_refused_before_anything_is_asked() {
    let place = pool(24);
    let server = honest();
    let base = server.base();
    for (more, message, hint) in [
        (&["--prompt", "vivd"][..], "prompt = \"vivd\"", "vivid"),
        (&["--language", "xx"], "language = \"xx\" is none that can be told", ", en, "),
        (&["--column", "text"], "column = \"text\" is no name", "caption_"),
        (&["--min-chars", "9", "--max-chars", "3"], "min_chars = 9", ""),
        (&["--extra", "top_p"], "--extra top_p is not KEY=JSON", "top_p=0.9"),
    ] {
        let ran = run(&place, &words(&base, "x", more), 2);
        assert!(ran.err.contains(message) && ran.err.contains(hint), "{}", ran.err);
    }
    run(&place, &["caption", "pool/shards", "--out", "x"], 2).error("caption needs a model", "--endpoint");
    run(&place, &["rewrite", "pool/shards", "--model", "m", "--out", "x"], 2)
        .error("--model is given without --endpoint", "--endpoint");
    assert_eq!(server.calls(), 0);
}
