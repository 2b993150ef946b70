//! `referee` on arrays of the input, on input that is wrong, and killed at every point.
#![allow(clippy::unwrap_used)]
mod common;

use std::{fs, path::Path};

use arrow::{
    array::{Array, AsArray},
    datatypes::Float32Type,
};
use common::{Place, assert_same, make_pool, options, tables::step_tables};
use cribble_demo::ArraySpec;

#[test]
fn arrays_of_the_input_are_compared_and_wrong_input_is_named() {
    let place = Place::new();
    let array = |name: &str, dim| ArraySpec { name: name.into(), dim };
    let pool = cribble_demo::PoolOptions {
        arrays: vec![array("l14_img", 16), array("b32_img", 24)],
        ..options(60, true)
    };
    make_pool(&place.path("pool"), &pool);
    let checkpoints = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/checkpoints");
    let [clip, laion] =
        ["clip", "clip-laion"].map(|name| checkpoints.join(name).to_str().unwrap().to_owned());
    let words = ["referee", "pool/metadata", "--model", &clip, "--out"];
    let run = |more: &[&str], code| place.run(&[&words[..], more].concat(), code);
    run(&["run", "--embedding", "b32_img", "--candidates", "url", "--encoder-dtype", "f32"], 0);
    let mut compared = 0;
    for table in step_tables(&place.path("run"), "01-referee") {
        let (sims, windows) = (table.column("sim_url").unwrap(), table.column("window_sim_url").unwrap());
        assert_eq!((sims.null_count(), &sims), (0, &windows), "no url is longer than the model reads");
        let sims = sims.as_primitive::<Float32Type>();
        assert!(sims.values().iter().all(|sim| sim.abs() <= 1.0 && *sim != 0.0));
        compared += sims.len();
    }
    assert_eq!(compared, 60);

    run(&["e", "--embedding", "l14_img", "--candidates", "url"], 2)
        .error("'l14_img' has 16 numbers a vector", "must be the one that made the embedding");
    run(&["e", "--embedding", "b32_img"], 2).error("no captions to compare with", "--candidates");
    run(&["e", "--embedding", "b32_img", "--candidates", "urll"], 2)
        .error("candidates = \"urll\": there is no such column", "url");
    run(&["e", "--embedding", "b32_img", "--candidates", "text"], 2)
        .error("candidates name 'text', the original", "leave it out");
    run(&["e", "--embedding", "b32_img", "--candidates", "original_width"], 2).error("original_width", "");
    run(&["e", "--embedding", "b32_imgs", "--candidates", "url"], 2)
        .error("no embedding 'b32_imgs'", "b32_img");
    let image = checkpoints.join("clip-image");
    let words = ["referee", "pool/metadata", "--model", image.to_str().unwrap(), "--out", "e"];
    place
        .run(&[&words[..], &["--embedding", "b32_img", "--candidates", "url"]].concat(), 2)
        .error("has no text encoder", "CLIP or SigLIP");
    let wrong = |first: &str, referee: &str| {
        let text = format!(
            "[input]\npath = \"pool/shards\"\n{first}[[step]]\nkind = \"referee\"\ncandidates = [\"key\"]\n{referee}"
        );
        place.write("wrong.toml", text);
        place.run(&["run", "wrong.toml", "--out", "e"], 2)
    };
    let embed = format!("[[step]]\nkind = \"embed\"\nmodel = {clip:?}\nembedding = \"m\"\n");
    wrong("", "").error("model is missing, and no embed step before", "--model");
    wrong(&embed, &format!("model = {laion:?}\nembedding = \"m_img\"\n"))
        .error("'m_img' was made by", "leave model out");
    wrong(&embed, &format!("model = {laion:?}\n")).error("no embed step before has images by", "embed step");
    wrong(&embed, "embedding = \"m_txt\"\nmodel = \"\"\n")
        .error("no embed step before has made 'm_txt'", "model");
    wrong(&embed, "policy = \"threshold\"\nraw_fraction = 0.0\n").error("raw_fraction = 0", "synthetic");
    assert!(!place.path("e").exists());
}

#[test]
fn killed_at_every_commit_point_it_resumes_to_the_same_bytes() {
    let place = Place::new();
    let pool = cribble_demo::PoolOptions {
        arrays: vec![ArraySpec { name: "b32_img".into(), dim: 24 }],
        ..options(30, false)
    };
    make_pool(&place.path("pool"), &pool);
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/checkpoints/clip");
    let words = |out: &'static str| {
        let input = ["referee", "pool/metadata", "--model", clip.to_str().unwrap(), "--embedding", "b32_img"];
        let policy = ["--candidates", "url", "--policy", "threshold", "--threads", "1", "-qq", "--out", out];
        [&input[..], &policy].concat()
    };
    let count = place.path("count");
    let whole = place.cribble(&words("whole")).env("CRIBBLE_TEST_COUNT_COMMITS", &count).output().unwrap();
    assert_eq!(whole.status.code(), Some(0), "{}", String::from_utf8_lossy(&whole.stderr));
    let points: u64 = fs::read_to_string(count).unwrap().parse().unwrap();
    assert!(points > 20, "{points}");
    for point in 1..=points {
        let killed =
            place.cribble(&words("run")).env("CRIBBLE_TEST_KILL_AT", point.to_string()).output().unwrap();
        assert_eq!(killed.status.code(), None, "{point}: {}", String::from_utf8_lossy(&killed.stderr));
        place.run(&words("run"), 0);
        assert_same(&place.path("whole"), &place.path("run"));
        fs::remove_dir_all(place.path("run")).unwrap();
    }
}
