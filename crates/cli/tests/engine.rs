//! The data engine closes its loop: a scripted model that sees captions images, CLIP referees, the tars carry what was chosen; a second run on
//! that output asks nothing again.
#![allow(clippy::unwrap_used)]
mod common;
#[path = "common/vlm.rs"]
mod vlm;

use std::{collections::BTreeMap, fs, io::Read, path::Path, process::Command, sync::Arc};

use common::{Place, Ran, make_pool};
use cribble_chat::testing::{Act, FakeServer};
use cribble_demo::{Planted, PoolOptions};
use serde_json::Value;

const WRONG: f64 = 0.2;

/// A pool of originals: some have another sample's caption, some a file name. `planted` off: the same images with their own captions.
fn pool(place: &Place, name: &str, planted: bool) {
    let share = |share: f64| if planted { share } else { 0.0 };
    let planted =
        Planted { wrong_captions: share(WRONG), file_name_captions: share(0.1), ..Planted::NOTHING };
    make_pool(&place.path(name), &PoolOptions { planted, samples_per_tar: 100, ..PoolOptions::tars(240) });
}

/// The members of the samples of a folder of tars, by uid.
fn samples(folder: &Path) -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut tars: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    tars.retain(|path| path.extension().is_some_and(|kind| kind == "tar"));
    for tar in tars {
        let mut by_key = BTreeMap::<String, BTreeMap<String, Vec<u8>>>::new();
        for entry in tar::Archive::new(fs::File::open(&tar).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let (key, kind) = name.split_once('.').unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            by_key.entry(key.into()).or_default().insert(kind.into(), bytes);
        }
        for members in by_key.into_values() {
            let uid = json(&members)["uid"].as_str().unwrap().to_owned();
            found.insert(uid, members);
        }
    }
    found
}

fn json(members: &BTreeMap<String, Vec<u8>>) -> Value {
    serde_json::from_slice(&members["json"]).unwrap()
}

fn text(members: &BTreeMap<String, Vec<u8>>) -> String {
    String::from_utf8(members["txt"].clone()).unwrap()
}

fn recipe(input: &str, server: &str) -> String {
    format!(
        r#"
[input]
path = "{input}"
[[step]]
kind = "embed"
model = "builtin:demo-clip"
embedding = "demo"
[[step]]
kind = "caption"
column = "caption_vlm"
image_size = 0
[step.chat]
endpoint = "{server}"
model = "vlm"
in_flight = 16
[[step]]
kind = "rewrite"
text = "caption_vlm"
column = "caption_plain"
[[step]]
kind = "referee"
candidates = ["caption_plain"]
[output]
shards = true
txt = "best"
"#
    )
}

fn run(place: &Place, words: &[&str]) -> Value {
    let mut command: Command = place.cribble(words);
    let ran = Ran::new(command.env("CRIBBLE_CACHE", place.path("cache")).arg("--json").output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn wrong_captions_are_replaced_and_the_mean_score_rises() {
    let place = Place::new();
    pool(&place, "pool", true);
    pool(&place, "right", false);
    let (given, right) = (samples(&place.path("pool/shards")), samples(&place.path("right/shards")));
    // The model that sees: what it is shown, it knows. It talks too much, as such models do.
    let known: BTreeMap<String, String> =
        right.values().map(|members| (vlm::hash(&members["jpg"]), text(members))).collect();
    let known = Arc::new(known);
    let eyes = known.clone();
    let server = FakeServer::start(move |seen| match eyes.get(&vlm::image(seen)) {
        Some(caption) => Act::Say(format!("This image showcases {caption}")),
        None => Act::Status(400, Vec::new(), "an image that nobody sent".into()),
    })
    .unwrap();
    place.write("recipe.toml", recipe("pool/shards", &server.base()));
    let value = run(&place, &["run", "recipe.toml", "--out", "run"]);
    assert_eq!(server.calls(), given.len() as u64);
    let steps = value["report"]["steps"].as_array().unwrap();
    let referee = &steps.iter().find(|step| step["kind"] == "referee").unwrap()["details"];
    let (before, after) = (referee["mean_before"].as_f64().unwrap(), referee["mean_after"].as_f64().unwrap());
    assert!(after > before + 0.1, "mean similarity {before} before, {after} after");

    let made = samples(&place.path("run/shards"));
    assert_eq!(made.len(), given.len());
    let (mut wrong, mut replaced, mut own, mut spoiled) = (0, 0, 0, 0);
    for (uid, members) in &made {
        let (before, after) = (json(&given[uid]), json(members));
        let original = text(&given[uid]);
        let truth = &known[&vlm::hash(&members["jpg"])];
        assert_eq!(members["jpg"], given[uid]["jpg"]);
        // The original is untouched, and stands beside what was made.
        assert_eq!(after["caption"], Value::from(original.clone()), "{after}");
        for (name, value) in before.as_object().unwrap() {
            assert_eq!(&after[name], value, "{name}");
        }
        let best = after["caption_best"].as_str().unwrap();
        assert_eq!(text(members), best);
        assert!(!after["caption_plain"].as_str().unwrap().contains("showcases"));
        let is_right = original == *truth;
        let took_new = after["caption_best_from"] == "caption_plain";
        match is_right {
            false => (wrong, replaced) = (wrong + 1, replaced + i32::from(took_new)),
            true => {
                (own, spoiled) = (own + 1, spoiled + i32::from(best.to_lowercase() != truth.to_lowercase()))
            }
        }
    }
    assert!(wrong > 40 && own > 100, "{wrong} {own}");
    assert!(replaced * 100 >= wrong * 95, "{replaced} of {wrong} wrong captions were replaced");
    assert_eq!(spoiled, 0, "of {own} right captions");

    // The flags of the trainer name what is there.
    assert!(value.to_string().contains("--train-data"), "{value}");

    // A second run on the first one's output: the images are the same, so every answer is known.
    let calls = server.calls();
    place.write("again.toml", recipe("run/shards", &server.base()));
    let again = run(&place, &["run", "again.toml", "--out", "again"]);
    assert_eq!(server.calls(), calls);
    let steps = again["report"]["steps"].as_array().unwrap();
    let caption = &steps.iter().find(|step| step["kind"] == "caption").unwrap()["details"];
    assert_eq!(caption["usage"]["cached"], given.len() as u64, "{caption}");
}

/// The recipes that we ship say what the program understands.
#[test]
fn shipped_recipes_parse() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let recipe = cribble_core::Recipe::parse(&fs::read_to_string(&path).unwrap());
        assert!(!recipe.unwrap_or_else(|error| panic!("{}: {error}", path.display())).steps.is_empty());
        read += 1;
    }
    assert!(read >= 4);
}
