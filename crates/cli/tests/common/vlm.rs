//! What the tests of `caption` and `rewrite` share: a server that tells which image it was shown, the truth about the pool's images, and the
//! step's tables.
#![allow(dead_code)]
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::Path,
};

use arrow::array::{Array, AsArray};
use cribble_chat::testing::{Act, FakeServer, Seen};
use cribble_core::Uid;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::common::{Place, Ran, tables::step_tables};

/// Column of the tests' captions.
pub const COLUMN: &str = "caption_vlm";

/// A pool with tars, in a place whose shared answers are its own.
pub fn pool(rows: u64) -> Place {
    Place::with_pool(rows, true)
}

pub fn command(place: &Place, words: &[&str]) -> std::process::Command {
    let mut command = place.cribble(words);
    command.env("CRIBBLE_CACHE", place.path("cache")).env_remove("VLM_KEY");
    command
}

#[track_caller]
pub fn run(place: &Place, words: &[&str], code: i32) -> Ran {
    let ran = Ran::new(command(place, words).output().unwrap());
    assert_eq!(ran.code, Some(code), "cribble {}\n{}\n{}", words.join(" "), ran.out, ran.err);
    ran
}

/// The report of a run.
#[track_caller]
pub fn report(place: &Place, words: &[&str], code: i32) -> Value {
    let ran = run(place, &[words, &["--json"]].concat(), code);
    serde_json::from_str::<Value>(&ran.out).unwrap()["report"].clone()
}

/// The words of a `caption` command.
pub fn words<'a>(server: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
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

pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a `data:` address.
pub fn decoded(url: &str) -> Vec<u8> {
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
pub fn image(seen: &Seen) -> String {
    let body = seen.json();
    let url = body["messages"].as_array().unwrap().last().unwrap()["content"][1]["image_url"]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    if url.starts_with("data:") { hash(&decoded(&url)) } else { url }
}

pub fn says(image: &str) -> String {
    format!("A drawing that is known as {image}.")
}

pub fn honest() -> FakeServer {
    FakeServer::start(|seen| Act::Say(says(&image(seen)))).unwrap()
}

/// Hash of the image of every sample in the pool's tars, by uid.
pub fn truth(place: &Place) -> BTreeMap<Uid, String> {
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
pub fn captions(run: &Path, step: &str, column: &str) -> BTreeMap<Uid, (Option<String>, Option<String>)> {
    let mut found = BTreeMap::new();
    for table in step_tables(run, step) {
        let text = |name: &str| -> Vec<Option<String>> {
            let column = table.column(name).unwrap();
            let texts = column.as_string::<i32>();
            (0..texts.len()).map(|at| texts.is_valid(at).then(|| texts.value(at).to_owned())).collect()
        };
        let rows = text(column).into_iter().zip(text(&column.replace("caption_", "state_")));
        found.extend(table.uids.iter().copied().zip(rows));
    }
    found
}

/// Every row has the caption of its own image.
#[track_caller]
pub fn assert_paired(place: &Place, run: &str) {
    let (truth, found) = (truth(place), captions(&place.path(run), "01-caption", COLUMN));
    assert!(truth.len() > 90 && truth.len() == found.len());
    for (uid, image) in &truth {
        assert_eq!(found[uid], (Some(says(image)), Some("ok".into())), "{uid}");
    }
}

pub fn distinct(place: &Place) -> u64 {
    truth(place).into_values().collect::<BTreeSet<_>>().len() as u64
}

/// The step's tables, byte for byte.
pub fn tables(place: &Place, run: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(place.path(run).join("steps/01-caption")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "parquet"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect()
}
