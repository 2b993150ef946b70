//! `caption` and `rewrite` against a scripted server: what becomes of answers, addresses and texts; the same tables whatever the threads.
#![allow(clippy::unwrap_used)]
mod common;
#[path = "common/vlm.rs"]
mod vlm;

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex},
};

use arrow::array::AsArray;
use cribble_chat::testing::{Act, FakeServer};
use cribble_core::Uid;
use vlm::{COLUMN, captions, distinct, hash, honest, image, pool, report, run, says, tables, truth, words};

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
             [[step]]\nkind = \"rewrite\"\ntext = \"{COLUMN}\"\n[[step]]\nkind = \"filter\"\nwhere = \"state_vlm = 'ok'\"\n",
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
