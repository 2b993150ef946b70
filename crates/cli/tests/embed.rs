//! `embed`: from tars, folders and tables to vectors, on the small checkpoints that the encoders themselves are tested with.
#![allow(clippy::unwrap_used)]
mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, StructArray},
    datatypes::{DataType, Field, Float32Type, Int32Type},
};
use common::{
    Place, Ran, assert_same, contents,
    tables::{step_tables, vectors},
};
use cribble_core::Uid;
use cribble_io::{RowChoice, TableReader};

/// A checkpoint of the models' own tests, copied into the place so that a test may change it.
fn model(place: &Place, name: &str) -> String {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/checkpoints").join(name);
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.file_name().unwrap() != "expected.json" {
            let bytes = fs::read(&path).unwrap();
            place.write(&format!("{name}/{}", path.file_name().unwrap().to_str().unwrap()), bytes);
        }
    }
    name.to_owned()
}

/// One row of a step's table, with its vectors.
#[derive(Debug, Clone)]
struct Row {
    keep: Option<bool>,
    reason: Option<String>,
    score: Option<f32>,
    cut: Option<i32>,
    image: Option<Vec<f32>>,
    text: Option<Vec<f32>>,
}

/// Every row of an embed step, by uid.
fn rows(run: &Path, step: &str, base: &str) -> BTreeMap<Uid, Row> {
    let mut found = BTreeMap::new();
    for table in step_tables(run, step) {
        let array = |kind: &str| table.vectors(run, &format!("{base}_{kind}"));
        let (images, texts) = (array("img"), array("txt"));
        let (keep, reason) = (table.column("keep").unwrap(), table.column("reason").unwrap());
        let (score, cut) = (table.column("clip_score"), table.column("tokens_cut"));
        for (at, &uid) in table.uids.iter().enumerate() {
            let (keep, reason) = (keep.as_boolean(), reason.as_string::<i32>());
            found.insert(
                uid,
                Row {
                    keep: keep.is_valid(at).then(|| keep.value(at)),
                    reason: reason.is_valid(at).then(|| reason.value(at).to_owned()),
                    score: score
                        .as_ref()
                        .filter(|array| array.is_valid(at))
                        .map(|array| array.as_primitive::<Float32Type>().value(at)),
                    cut: cut
                        .as_ref()
                        .filter(|array| array.is_valid(at))
                        .map(|array| array.as_primitive::<Int32Type>().value(at)),
                    image: images.as_ref().map(|array| array[at].clone()),
                    text: texts.as_ref().map(|array| array[at].clone()),
                },
            );
        }
    }
    found
}

/// Code and message by uid, of the whole run.
fn errors(run: &Path) -> BTreeMap<String, (String, String)> {
    let table = TableReader::open(run.join("errors.parquet")).unwrap();
    let mut found = BTreeMap::new();
    for batch in table.read(&["uid", "code", "message"], &RowChoice::All, 1000).unwrap() {
        let batch = batch.unwrap();
        let text = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
        for row in 0..batch.num_rows() {
            found.insert(text(0, row), (text(1, row), text(2, row)));
        }
    }
    found
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn is_zero(vector: Option<&Vec<f32>>) -> bool {
    vector.unwrap().iter().all(|&value| value == 0.0)
}

/// The members of a tar, in order.
fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        })
        .collect()
}

fn write_tar(path: &Path, members: &[(String, Vec<u8>)]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap();
}

#[test]
fn rows_stay_aligned_with_what_was_kept_and_dropped() {
    let place = Place::with_pool(60, true);
    let clip = model(&place, "clip");
    place.write(
        "recipe.toml",
        format!(
            "[input]\npath = \"pool/metadata\"\nimages = \"pool/shards\"\n[[step]]\nkind = \"filter\"\nwhere = \"original_width >= 300\"\n[[step]]\nkind = \"embed\"\nmodel = \"{clip}\"\nembedding = \"m\"\ndtype = \"f32\"\n"
        ),
    );
    place.run(&["run", "recipe.toml", "--out", "run", "--max-error-rate", "1"], 0);
    let found = rows(&place.path("run"), "02-embed", "m");
    let errors = errors(&place.path("run"));
    assert_eq!(found.len(), 60);
    let count = |keep| found.values().filter(|row| row.keep == keep).count();
    assert!(count(None) > 3 && count(Some(true)) > 20 && count(Some(false)) > 0, "{found:?}");
    assert_eq!(errors.len(), count(Some(false)));
    for (uid, row) in &found {
        if row.keep == Some(true) {
            let (image, text) = (row.image.as_ref().unwrap(), row.text.as_ref().unwrap());
            assert!((dot(image, image) - 1.0).abs() < 2e-3 && (dot(text, text) - 1.0).abs() < 2e-3);
            assert!((row.score.unwrap() - dot(image, text)).abs() < 2e-3, "{uid}");
            assert!(row.cut.is_some_and(|cut| cut >= 0) && row.reason.is_none(), "{row:?}");
            continue;
        }
        assert!(is_zero(row.image.as_ref()) && is_zero(row.text.as_ref()), "{uid}");
        assert_eq!((row.score, row.cut), (None, None));
        assert_eq!(row.reason.as_deref(), row.keep.map(|_| "no_image"), "{uid}");
        assert_eq!(errors.contains_key(&uid.to_string()), row.keep.is_some());
    }
    // The same samples straight from their tars: other shards, another order, the same vectors.
    place.run(
        &["embed", "pool/shards", "--model", &clip, "--embedding", "m", "--dtype", "f32", "--out", "own"],
        0,
    );
    let own = rows(&place.path("own"), "01-embed", "m");
    let mut compared = 0;
    for (uid, row) in found.iter().filter(|(_, row)| row.keep == Some(true)) {
        assert_eq!((&own[uid].image, &own[uid].text, own[uid].score), (&row.image, &row.text, row.score));
        compared += 1;
    }
    assert_eq!(compared, count(Some(true)));
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("run/report.json")).unwrap()).unwrap();
    let details = &report["steps"][1]["details"];
    assert_eq!(details["images"], compared);
    assert_eq!(details["embeddings"], serde_json::json!(["m_img", "m_txt"]));
    let identity: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("run/embeddings/m_img/model.json")).unwrap()).unwrap();
    assert_eq!(identity, details["model"]);
    assert_eq!(identity["dtype"], "f32");
}

/// A PNG that says it has so many pixels, and has none.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        })
    };
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], data: &[u8]| {
        let body = [kind, data].concat();
        png.extend((data.len() as u32).to_be_bytes());
        png.extend(&body);
        png.extend(crc(&body).to_be_bytes());
    };
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat());
    chunk(b"IDAT", &[0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01]);
    chunk(b"IEND", &[]);
    png
}

#[test]
fn images_that_cannot_be_read_are_named_and_counted() {
    let place = Place::with_pool(60, true);
    let clip = model(&place, "clip");
    let tar = place.path("pool/shards/00000000.tar");
    let mut members = members(&tar);
    let images: Vec<usize> = (0..members.len()).filter(|&at| members[at].0.ends_with(".jpg")).collect();
    let half = members[images[0]].1.len() / 2;
    members[images[0]].1.truncate(half);
    members[images[1]].1.clear();
    members[images[2]].1 = b"<html>not found</html>".to_vec();
    members[images[3]].1 = png_header(20_000, 20_000);
    let names: Vec<String> = images[..5].iter().map(|&at| members[at].0.clone()).collect();
    members.remove(images[4]);
    write_tar(&tar, &members);
    let words = ["embed", "pool/shards", "--model", &clip, "--embedding", "m", "--out", "run"];
    let value = place.json(&words, 3);
    let counts = &value["report"]["steps"][0]["errors"];
    assert_eq!(counts["empty_image"], 1, "{counts}");
    assert_eq!((&counts["unknown_format"], &counts["no_image"]), (&1.into(), &1.into()), "{counts}");
    assert_eq!(counts["too_many_pixels"], 1, "{counts}");
    let found = rows(&place.path("run"), "01-embed", "m");
    let errors = errors(&place.path("run"));
    assert_eq!(errors.len(), 5, "{errors:?}");
    for name in &names {
        let key = name.strip_suffix(".jpg").unwrap();
        let said =
            errors.values().any(|(_, message)| message.contains("00000000.tar") && message.contains(key));
        assert!(said, "{name}: {errors:?}");
    }
    for (uid, (code, _)) in &errors {
        let row = &found[&uid.parse().unwrap()];
        assert_eq!((row.keep, row.reason.as_ref()), (Some(false), Some(code)));
        assert!(is_zero(row.image.as_ref()) && is_zero(row.text.as_ref()) && row.score.is_none());
    }
    let cut = errors.values().filter(|(code, _)| code == "truncated_image" || code == "corrupt_image");
    assert_eq!(cut.count(), 1, "{errors:?}");
    // A higher limit lets no bomb pass that has no pixels, but says something else of it.
    let words =
        ["embed", "pool/shards", "--model", &clip, "--what", "image", "--out", "b", "--max-pixels", "1000"];
    let value = place.json(&words, 3);
    let counts = &value["report"]["steps"][0]["errors"];
    assert!(counts["too_many_pixels"].as_u64().unwrap() > 40, "{counts}");
}

#[test]
fn shards_without_images_say_so() {
    let place = Place::new();
    let clip = model(&place, "clip");
    let long = "a red bicycle by the river ".repeat(40);
    let texts = [("a.txt", "one"), ("b.txt", ""), ("c.txt", &long), ("d.json", "{\"width\": 3}")];
    let members: Vec<_> =
        texts.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    write_tar(&place.path("tars/0.tar"), &members);
    place.run(&["embed", "tars", "--model", &clip, "--embedding", "m", "--out", "run"], 3);
    let said = errors(&place.path("run"));
    assert_eq!(said.len(), 4);
    for (code, message) in said.values() {
        assert!(
            code == "no_image" && message.contains("0.tar: sample '") && message.contains("members are"),
            "{message}"
        );
    }
    let words = ["embed", "tars", "--model", &clip, "--what", "text", "--embedding", "m", "--out", "texts"];
    let ran = place.run(&words, 3);
    assert!(ran.err.contains("1 of 3 captions have more than the 77 tokens"), "{}", ran.err);
    assert_eq!(errors(&place.path("texts")).into_values().next().unwrap().0, "no_caption");
    let found = rows(&place.path("texts"), "01-embed", "m");
    let cuts: BTreeSet<i32> = found.values().filter_map(|row| row.cut).collect();
    assert!(cuts.len() == 2 && *cuts.last().unwrap() > 100, "{cuts:?}");
    assert_eq!(found.values().filter(|row| row.keep == Some(true)).count(), 3);
    assert!(found.values().all(|row| row.image.is_none() && row.score.is_none()));
}

#[test]
fn threads_and_batches_change_nothing() {
    let place = Place::with_pool(60, true);
    let clip = model(&place, "clip");
    let run = |out: &str, threads: &str, batch: &str| {
        let words = ["embed", "pool/metadata", "--images", "pool/shards", "--model", &clip, "--out", out];
        let more = ["--threads", threads, "--batch", batch, "--max-error-rate", "1"];
        place.run(&[&words[..], &more].concat(), 0);
    };
    run("one", "1", "32");
    run("two", "2", "32");
    assert_same(&place.path("one"), &place.path("two"));
    for (out, threads, batch) in [("single", "2", "1"), ("odd", "3", "7")] {
        run(out, threads, batch);
        for folder in ["embeddings", "selection"] {
            assert_same(&place.path("one").join(folder), &place.path(out).join(folder));
        }
    }
    // A smaller batch is no other recipe.
    let before = contents(&place.path("one/embeddings"));
    let words = ["embed", "pool/metadata", "--images", "pool/shards", "--model", &clip, "--out", "one"];
    let ran = place.run(&[&words[..], &["--batch", "5", "--max-error-rate", "1"]].concat(), 0);
    assert!(ran.err.contains("01-embed is complete: skipped"), "{}", ran.err);
    assert_eq!(before, contents(&place.path("one/embeddings")));
}

#[test]
fn killed_at_every_commit_point_it_resumes_to_the_same_bytes() {
    let place = Place::with_pool(12, true);
    let clip = model(&place, "clip");
    place.write(
        "recipe.toml",
        format!(
            "[input]\npath = \"pool/metadata\"\nimages = \"pool/shards\"\n[[step]]\nkind = \"embed\"\nmodel = \"{clip}\"\n[[step]]\nkind = \"dedup\"\nembedding = \"clip_img\"\nepsilon = 1e-4\nkeep = \"best:clip_score\"\n"
        ),
    );
    let count = place.path("count");
    let whole = place
        .cribble(&["run", "recipe.toml", "--out", "whole", "--max-error-rate", "1"])
        .env("CRIBBLE_TEST_COUNT_COMMITS", &count)
        .output()
        .unwrap();
    let whole = Ran::new(whole);
    assert_eq!(whole.code, Some(0), "{}", whole.err);
    let points: u64 = fs::read_to_string(count).unwrap().parse().unwrap();
    assert!(points > 60, "{points}");
    // Every point of the embed step, and some of what follows.
    for point in (1..=points).filter(|point| *point < 50 || point % 7 == 0) {
        let out = format!("run{point}");
        let words = ["run", "recipe.toml", "--out", &out, "--threads", "1", "-qq", "--max-error-rate", "1"];
        let killed = place.cribble(&words).env("CRIBBLE_TEST_KILL_AT", point.to_string()).output().unwrap();
        assert_eq!(killed.status.code(), None, "{point}: {}", String::from_utf8_lossy(&killed.stderr));
        place.run(&words, 0);
        assert_same(&place.path("whole"), &place.path(&out));
        fs::remove_dir_all(place.path(&out)).unwrap();
    }
}

#[test]
fn later_steps_use_the_vectors_and_the_score() {
    let place = Place::with_pool(60, true);
    let clip = model(&place, "clip");
    let steps = |threshold: f32, epsilon: f32| {
        format!(
            "[input]\npath = \"pool/shards\"\n[[step]]\nkind = \"embed\"\nmodel = \"{clip}\"\nembedding = \"m\"\n[[step]]\nkind = \"filter\"\nwhere = \"clip_score > {threshold}\"\n[[step]]\nkind = \"dedup\"\nembedding = \"m_img\"\nepsilon = {epsilon}\nkeep = \"best:clip_score\"\n[[step]]\nkind = \"cluster\"\nembedding = \"m_txt\"\nk = 3\n[[step]]\nkind = \"prune\"\nfraction = 0.5\nkeep = \"best:clip_score\"\n"
        )
    };
    place.run(&["embed", "pool/shards", "--model", &clip, "--embedding", "m", "--out", "scores"], 0);
    let embedded = rows(&place.path("scores"), "01-embed", "m");
    let mut scores: Vec<f32> = embedded.values().filter_map(|row| row.score).collect();
    scores.sort_by(f32::total_cmp);
    let threshold = scores[scores.len() / 3];
    // The five most similar pairs of those that pass are duplicates.
    let passing: Vec<&Vec<f32>> = embedded
        .values()
        .filter(|row| row.score.is_some_and(|score| score > threshold))
        .map(|row| row.image.as_ref().unwrap())
        .collect();
    let mut pairs: Vec<f32> = (0..passing.len())
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .map(|(a, b)| dot(passing[a], passing[b]))
        .collect();
    pairs.sort_by(|a, b| b.total_cmp(a));
    let similar = pairs[5];
    let epsilon = 1.0 - similar;
    assert!(epsilon > 0.0 && epsilon < 1.0, "{epsilon}");
    place.write("recipe.toml", steps(threshold, epsilon));
    place.run(&["run", "recipe.toml", "--out", "run", "--dry-run"], 0);
    assert!(!place.path("run").exists());
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    let filtered = rows(&place.path("run"), "02-filter", "none");
    for (uid, row) in &filtered {
        assert_eq!(row.keep, Some(embedded[uid].score.unwrap() > threshold), "{uid}");
    }
    let kept = filtered.values().filter(|row| row.keep == Some(true)).count();
    assert!(kept > 20 && kept < embedded.len());
    let deduped = rows(&place.path("run"), "03-dedup", "none");
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("run/report.json")).unwrap()).unwrap();
    assert_eq!(report["steps"][2]["seen"], kept);
    // Whoever was dropped has a better one before it that is nearly the same.
    let dropped = deduped.iter().filter(|(_, row)| row.keep == Some(false));
    assert!(dropped.clone().count() > 0, "no duplicates");
    for (uid, _) in dropped {
        let image = embedded[uid].image.as_ref().unwrap();
        assert!(deduped.iter().any(|(other, row)| {
            other != uid
                && row.keep.is_some()
                && dot(embedded[other].image.as_ref().unwrap(), image) > similar - 1e-3
                && embedded[other].score >= embedded[uid].score
        }));
    }
    assert_eq!(
        report["steps"][4]["kept"].as_u64().unwrap(),
        report["steps"][4]["seen"].as_u64().unwrap() / 2
    );
    // Names that are not there are known before anything runs.
    for (from, to, message, hint) in [
        ("\"m_img\"", "\"m_imgs\"", "no embedding 'm_imgs'", "did you mean 'm_img'"),
        ("where = \"clip_score", "where = \"clip_scor", "clip_scor", "clip_score"),
        (
            "keep = \"best:clip_score\"\n[[step]]\nkind = \"cluster\"",
            "keep = \"best:clip_skore\"\n[[step]]\nkind = \"cluster\"",
            "clip_skore",
            "clip_score",
        ),
    ] {
        let recipe = steps(threshold, epsilon);
        assert!(recipe.contains(from), "{from}");
        place.write("wrong.toml", recipe.replace(from, to));
        place.run(&["run", "wrong.toml", "--out", "wrong"], 2).error(message, hint);
        assert!(!place.path("wrong").exists());
    }
    // The score under another name is found, although the table of the old one still lies there when the recipe is checked.
    place.write(
        "recipe.toml",
        steps(threshold, epsilon)
            .replace("embedding = \"m\"\n", "embedding = \"m\"\nscore = \"s\"\n")
            .replace("clip_score", "s"),
    );
    let ran = place.run(&["run", "recipe.toml", "--out", "run"], 0);
    assert!(ran.err.contains("01-embed was made from another recipe"), "{}", ran.err);
}

#[test]
fn a_verb_and_a_recipe_of_one_step_are_the_same() {
    let place = Place::with_pool(24, true);
    let clip = model(&place, "clip");
    place.write(
        "recipe.toml",
        format!("[input]\npath = \"pool/shards\"\n[[step]]\nkind = \"embed\"\nmodel = \"{clip}\"\nwhat = [\"image\"]\npreprocess = \"fast\"\ntext = \"text\"\n"),
    );
    place.run(&["run", "recipe.toml", "--out", "a"], 0);
    let words = [
        "embed",
        "pool/shards",
        "--model",
        &clip,
        "--what",
        "image",
        "--preprocess",
        "fast",
        "--text-column",
        "text",
        "--out",
        "b",
    ];
    place.run(&words, 0);
    assert_same(&place.path("a"), &place.path("b"));
    assert!(place.path("a/embeddings/clip_img").exists() && !place.path("a/embeddings/clip_txt").exists());
    let plan = place.run(&[&words[..], &["--dry-run"]].concat(), 0).out;
    assert!(
        plan.contains("skip") && plan.contains("images from the tars themselves, preprocess fast"),
        "{plan}"
    );
    assert!(plan.contains("embeddings/clip_img/"), "{plan}");
}

#[test]
fn other_weights_are_another_model() {
    let place = Place::with_pool(12, true);
    let clip = model(&place, "clip");
    let words = ["embed", "pool/shards", "--model", &clip, "--out", "run"];
    place.run(&words, 0);
    assert!(place.run(&words, 0).err.contains("01-embed is complete: skipped"));
    let before = contents(&place.path("run/embeddings"));
    let weights = place.path("clip/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let end = bytes.len();
    for value in bytes[end - 4000..].chunks_exact_mut(4) {
        let number = f32::from_le_bytes(value.try_into().unwrap());
        value.copy_from_slice(&(number * 1.5 + 0.01).to_le_bytes());
    }
    fs::write(&weights, bytes).unwrap();
    let ran = place.run(&words, 0);
    assert!(ran.err.contains("01-embed was made from another recipe or input"), "{}", ran.err);
    let after = contents(&place.path("run/embeddings"));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before.iter().all(|(name, bytes)| !name.ends_with("model.json") || after[name] != *bytes));
    assert_ne!(before, after);
    // Another name takes the old folders away.
    place.run(&[&words[..], &["--embedding", "new"]].concat(), 0);
    let names: BTreeSet<String> = fs::read_dir(place.path("run/embeddings"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["new_img", "new_txt"].map(String::from).into());
}

#[test]
fn folders_and_tables_give_the_vectors_of_their_tars() {
    let place = Place::with_pool(12, true);
    let clip = model(&place, "clip");
    let (mut images, mut captions) = (Vec::new(), Vec::new());
    for (name, bytes) in members(&place.path("pool/shards/00000000.tar")) {
        match name.rsplit_once('.').unwrap().1 {
            "jpg" => {
                place.write(&format!("folder/{name}"), &bytes);
                images.push(bytes);
            }
            "txt" => {
                place.write(&format!("folder/{name}"), &bytes);
                captions.push(String::from_utf8(bytes).unwrap());
            }
            _ => {}
        }
    }
    assert_eq!(images.len(), captions.len());
    let column = StructArray::from(vec![
        (
            Arc::new(Field::new("bytes", DataType::Binary, true)),
            Arc::new(images.iter().map(|bytes| Some(bytes.as_slice())).collect::<BinaryArray>()) as ArrayRef,
        ),
        (
            Arc::new(Field::new("path", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![None::<&str>; images.len()])) as ArrayRef,
        ),
    ]);
    let batch = RecordBatch::try_from_iter([
        ("image", Arc::new(column) as ArrayRef),
        ("caption", Arc::new(StringArray::from(captions)) as ArrayRef),
    ])
    .unwrap();
    fs::create_dir(place.path("table")).unwrap();
    let file = fs::File::create(place.path("table/train.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let of = |input: &str, out: &str, shard: &str| {
        place.run(&["embed", input, "--model", &clip, "--embedding", "m", "--out", out], 0);
        ["img", "txt"].map(|kind| vectors(&place.path(&format!("{out}/embeddings/m_{kind}/{shard}.npy"))))
    };
    let tars = of("pool/shards/00000000.tar", "a", "00000000");
    assert_eq!(of("folder", "b", "folder"), tars);
    assert_eq!(of("table", "c", "train"), tars);
    assert!(tars[0].len() == images.len() && tars[0].iter().all(|vector| dot(vector, vector) > 0.99));
}

#[test]
fn what_cannot_be_embedded_is_refused_before_anything_is_written() {
    let place = Place::with_pool(12, true);
    let clip = model(&place, "clip");
    let (images, texts) = (model(&place, "dinov2"), model(&place, "bert"));
    let run = |words: &[&str], code| {
        let ran = place.run(&[&["embed"], words, &["--out", "run"]].concat(), code);
        assert!(!place.path("run").exists(), "{words:?}");
        ran
    };
    let metadata = ["pool/metadata", "--model", &clip];
    run(&metadata, 2).error("has no images to embed, and input.images is not set", "--images");
    run(&[&metadata[..], &["--images", "nowhere"]].concat(), 1);
    run(&["pool/shards", "--model", &texts, "--what", "image"], 2)
        .error("has no image encoder", "what = [\"text\"]");
    run(&["pool/shards", "--model", &images, "--what", "image,text"], 2)
        .error("has no text encoder", "what = [\"image\"]");
    run(&["pool/shards", "--model", &clip, "--text-column", "captoin"], 2).error("no such column", "caption");
    run(&["pool/shards", "--model", &clip, "--text-column", "width"], 2).error("not text", "");
    run(&["pool/shards", "--model", &clip, "--embedding", "a/b"], 2);
    run(&[&metadata[..], &["--images", "pool/shards", "--embedding", "l14"]].concat(), 2)
        .error("an embedding 'l14_img' already", "--embedding");
    run(&["pool/shards", "--model", "no/such/folder"], 1);
    place.write("resnet/config.json", "{\"model_type\": \"resnet\"}");
    let ran = run(&["pool/shards", "--model", "./resnet"], 1);
    assert!(ran.err.contains("resnet") && ran.err.contains("dinov2"), "{}", ran.err);
    fs::remove_file(place.path("dinov2/model.safetensors")).unwrap();
    let ran = run(&["pool/shards", "--model", &images], 1);
    assert!(ran.err.contains("hint:") && ran.err.contains("dinov2"), "{}", ran.err);
    // Nothing is in the cache, and the network may not be asked.
    let offline = place
        .cribble(&["embed", "pool/shards", "--model", "openai/clip-vit-base-patch32", "--out", "run"])
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", place.path("cache"))
        .env_remove("HF_HUB_CACHE")
        .output()
        .unwrap();
    let ran = Ran::new(offline);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("openai/clip-vit-base-patch32") && ran.err.contains("hint:"), "{}", ran.err);
    assert!(!place.path("run").exists());
}

#[test]
fn a_ceiling_that_the_model_does_not_fit_below_is_said() {
    let place = Place::with_pool(12, true);
    let clip = model(&place, "clip");
    let words = ["embed", "pool/shards", "--model", &clip, "--out", "run", "--threads", "16"];
    let ran = place.run(&[&words[..], &["--memory", "64M"]].concat(), 1);
    ran.error("does not fit below --memory", "raise --memory");
    let ran = place.run(&[&words[..], &["--memory", "64G"]].concat(), 0);
    assert!(!ran.err.contains("to stay below --memory"), "{}", ran.err);
}
