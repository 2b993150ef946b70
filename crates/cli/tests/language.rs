//! Step `language` through the real binary: its columns against the planted truth, a filter on them, a fastText model, wrong input.
#![allow(clippy::unwrap_used)]
mod common;

use std::{collections::BTreeMap, fs, path::Path};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float32Type;
use common::{Place, tables::step_tables};
use cribble_core::Uid;
use cribble_demo::Truth;

/// Language and probability of every row, by uid.
fn languages(run: &Path, step: &str) -> BTreeMap<Uid, (Option<String>, Option<f32>)> {
    let mut found = BTreeMap::new();
    for table in step_tables(run, step) {
        let (language, probability) =
            (table.column("language").unwrap(), table.column("language_probability").unwrap());
        let (language, probability) =
            (language.as_string::<i32>(), probability.as_primitive::<Float32Type>());
        for (at, uid) in table.uids.iter().enumerate() {
            let value = (
                language.is_valid(at).then(|| language.value(at).to_owned()),
                probability.is_valid(at).then(|| probability.value(at)),
            );
            found.insert(*uid, value);
        }
    }
    found
}

#[test]
fn captions_of_the_pool_are_in_the_languages_they_were_written_in() {
    let place = Place::with_pool(1500, false);
    let value = place.json(&["language", "pool/metadata", "--out", "run"], 0);
    let note = value["report"]["steps"][0]["notes"].to_string();
    assert!(note.contains("languages of 1500 captions: en "), "{note}");
    let found = languages(&place.path("run"), "01-language");
    let truth = Truth::open(&place.path("pool")).unwrap();
    let told: Vec<_> =
        truth.rows.iter().filter(|row| row.caption_kind != cribble_demo::CaptionKind::FileName).collect();
    assert!(told.len() > 1300);
    let right = told.iter().filter(|row| found[&row.uid].0.as_deref() == Some(row.language.as_str())).count();
    assert!(right as f64 >= 0.95 * told.len() as f64, "{right} of {}", told.len());
    assert!(found.values().all(|(_, probability)| (0.0..=1.001).contains(&probability.unwrap())));
}

#[test]
fn a_filter_reads_the_columns_and_dropped_rows_have_none() {
    let place = Place::with_pool(300, false);
    place.write(
        "recipe.toml",
        "[input]\npath = \"pool/metadata\"\n\
         [[step]]\nkind = \"filter\"\nwhere = \"original_width > 300\"\n\
         [[step]]\nkind = \"language\"\n\
         [[step]]\nkind = \"filter\"\nwhere = \"language = 'en' AND language_probability > 0.5\"\n",
    );
    let value = place.json(&["run", "recipe.toml", "--out", "run", "--threads", "2"], 0);
    let counts = |step: usize| &value["report"]["steps"][step];
    assert_eq!(counts(0)["kept"], counts(1)["kept"], "the language step drops nothing");
    let found = languages(&place.path("run"), "02-language");
    let judged = found.values().filter(|(language, _)| language.is_some()).count() as u64;
    assert_eq!(counts(0)["kept"], judged);
    assert!(judged < found.len() as u64, "no row was dropped before");
    let english =
        found.values().filter(|(language, p)| language.as_deref() == Some("en") && *p > Some(0.5)).count();
    assert_eq!(counts(2)["kept"], english as u64);

    place.run(&["run", "recipe.toml", "--out", "single", "--threads", "1"], 0);
    let tables = |run: &str| {
        let mut files = common::contents(&place.path(run));
        files.retain(|name, _| name.ends_with(".parquet") || name.ends_with(".npy"));
        files
    };
    assert_eq!(tables("run"), tables("single"));
}

#[test]
fn a_fasttext_model_answers_instead_and_its_bytes_are_part_of_the_hash() {
    let place = Place::with_pool(120, false);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/language");
    fs::copy(fixtures.join("hs.bin"), place.path("lid.bin")).unwrap();
    let words = ["language", "pool/metadata", "--model", "lid.bin", "--out", "run"];
    place.run(&words, 0);
    let manifest = |run: &str| fs::read_to_string(place.path(run).join("manifest.json")).unwrap();
    let before = manifest("run");
    fs::copy(fixtures.join("softmax.ftz"), place.path("lid.bin")).unwrap();
    place.run(&words, 0);
    assert_ne!(before, manifest("run"), "another model under the same name");
}

#[test]
fn wrong_input_is_named() {
    let place = Place::with_pool(40, false);
    place
        .run(&["language", "pool/metadata", "--model", "none.bin", "--out", "r"], 1)
        .error("none.bin", "lid.176");
    place.write("text.bin", "this is no model");
    place
        .run(&["language", "pool/metadata", "--model", "text.bin", "--out", "r"], 1)
        .error("text.bin", "lid.176");
    place
        .run(&["language", "pool/metadata", "--text-column", "captoin", "--out", "r"], 2)
        .error("captoin", "text");
    place
        .run(&["language", "pool/metadata", "--text-column", "original_width", "--out", "r"], 2)
        .error("not text", "text");
}
