//! Captions that a run made, in its outputs: tars, parquet, JSON lines, the cluster list. `compute` of a filter step stands for the steps that
//! call models: outputs know columns by their names only.
#![allow(clippy::unwrap_used)]
mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use arrow::array::AsArray;
use common::{Place, assert_same};
use cribble_io::{RowChoice, TableReader};
use serde_json::{Map, Value};

const CAPTIONS: &str = r#"
[input]
path = "pool/shards"

[[step]]
kind = "filter"
where = "caption NOT LIKE 'a%'"
compute = { caption_a = "lower(caption)", caption_best = "upper(caption)", caption_best_sim = "0.25", sim_a = "0.5" }

[output]
shards = true
shard_size = 20
"#;

fn place(rows: u64) -> Place {
    let place = Place::with_pool(rows, true);
    place.write("recipe.toml", CAPTIONS);
    place
}

/// Key, and members by extension.
type Sample = (String, BTreeMap<String, Vec<u8>>);

fn samples(folder: &Path) -> Vec<Sample> {
    let mut tars: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tar"))
        .collect();
    tars.sort();
    let mut samples: Vec<Sample> = Vec::new();
    for path in tars {
        let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let (key, extension) = name.split_once('.').unwrap();
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            if samples.last().is_none_or(|(last, _)| last != key) {
                samples.push((key.into(), BTreeMap::new()));
            }
            samples.last_mut().unwrap().1.insert(extension.into(), data);
        }
    }
    samples
}

fn object(bytes: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn tars_get_the_captions_of_the_run() {
    let place = place(60);
    let ran = place.run(&["run", "recipe.toml", "--out", "run"], 0);
    let source: BTreeMap<String, _> = samples(&place.path("pool/shards")).into_iter().collect();
    let written = samples(&place.path("run/shards"));
    assert!(written.len() > 20 && written.len() < source.len());
    for (key, members) in &written {
        let old = &source[key];
        assert_eq!((&members["jpg"], &members["txt"]), (&old["jpg"], &old["txt"]));
        let text = String::from_utf8(old["txt"].clone()).unwrap();
        let mut expected = object(&old["json"]);
        expected.entry("caption").or_insert(text.clone().into());
        expected.insert("caption_a".into(), text.to_lowercase().into());
        expected.insert("caption_best".into(), text.to_uppercase().into());
        expected.insert("caption_best_sim".into(), 0.25.into());
        assert_eq!(object(&members["json"]), expected);
    }
    let last = (written.len() - 1) / 20;
    let flags = format!(
        "--train-data 'run/shards/{{00000000..{last:08}}}.tar' --dataset-type webdataset --train-num-samples {} --json-text-key 'caption_best;caption'",
        written.len()
    );
    assert!(ran.err.contains(&flags), "{}", ran.err);

    // The same through the other command, in other tars; and the best as text.
    let words = ["reshard", "--input", "pool/shards", "--subset", "run/subset.npy", "--captions", "run"];
    let value = place.json(&[&words[..], &["--output", "again", "--shard-size", "20"]].concat(), 0);
    assert!(value["open_clip"].as_str().unwrap().ends_with("--json-text-key 'caption_best;caption'"));
    assert_eq!(samples(&place.path("again")), written);
    place.run(&[&words[..], &["--output", "best", "--txt", "best"]].concat(), 0);
    // Not all scripts have capitals.
    let mut changed = 0;
    for ((_, best), (_, plain)) in samples(&place.path("best")).iter().zip(&written) {
        let original = String::from_utf8(plain["txt"].clone()).unwrap();
        assert_eq!(best["txt"], original.to_uppercase().into_bytes());
        changed += usize::from(best["txt"] != plain["txt"]);
        assert_eq!((&best["json"], &best["jpg"]), (&plain["json"], &plain["jpg"]));
    }
    assert!(changed > 10, "{changed}");
    let whole = ["reshard", "--input", "pool/shards", "--subset", "run/subset.npy", "--output", "whole"];
    place.run(&whole, 0);
    place.write("recipe.toml", CAPTIONS.to_owned() + "captions = false");
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    assert_eq!(samples(&place.path("run/shards")), samples(&place.path("whole")));
    for (_, members) in samples(&place.path("whole")) {
        assert!(!object(&members["json"]).contains_key("caption_a"));
    }
}

#[test]
fn captions_that_are_not_there_are_asked_for_in_vain() {
    let place = Place::with_pool(20, true);
    let recipe = |more: &str| {
        place.write("recipe.toml", format!("[input]\npath = \"pool/shards\"\n[[step]]\nkind = \"filter\"\nwhere = \"true\"\n[output]\nshards = true\n{more}"));
    };
    let run = ["run", "recipe.toml", "--out", "run"];
    recipe("captions = true");
    place.run(&run, 2).error("no step makes a column caption_…", "compute");
    recipe("txt = \"best\"");
    place.run(&run, 2).error("no step makes the column caption_best", "referee");
    recipe("");
    place.run(&run, 0);
    let summary = String::from_utf8(fs::read(place.path("run/shards/reshard.json")).unwrap()).unwrap();
    assert!(!summary.contains("caption"), "{summary}");
    let words = [
        "reshard",
        "--input",
        "pool/shards",
        "--subset",
        "run/subset.npy",
        "--output",
        "o",
        "--captions",
        "run",
    ];
    place.run(&words, 2).error("no step of run made a column of captions", "compute");
}

#[test]
fn a_killed_reshard_with_captions_goes_on() {
    let place = place(12);
    place.write("recipe.toml", CAPTIONS.replace("shard_size = 20", "shard_size = 3\ntxt = \"best\""));
    place.run(&["run", "recipe.toml", "--out", "whole"], 0);
    let words = |out: &str| {
        ["reshard", "--input", "pool/shards", "--subset", "whole/subset.npy", "--shard-size", "3"]
            .into_iter()
            .chain(["--captions", "whole", "--txt", "best", "--output", out])
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    fn borrow(words: &[String]) -> Vec<&str> {
        words.iter().map(String::as_str).collect()
    }
    place.run(&borrow(&words("one")), 0);
    for point in 1.. {
        let words = words(&format!("out{point}"));
        let killed =
            place.cribble(&borrow(&words)).env("CRIBBLE_TEST_KILL_AT", point.to_string()).output().unwrap();
        if killed.status.code() == Some(0) {
            assert!(point > 10, "only {point} commit points");
            break;
        }
        assert_eq!(killed.status.code(), None);
        place.run(&borrow(&words), 0);
        assert_same(&place.path("one"), &place.path(&format!("out{point}")));
    }
}

/// The rows of a parquet file as JSON objects, read by hand: text and numbers only.
fn parquet_rows(path: &Path) -> Vec<Map<String, Value>> {
    let table = TableReader::open(path).unwrap();
    let names: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut rows = Vec::new();
    for batch in table.read(&names, &RowChoice::All, 7).unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let value = |(name, column): (&String, &arrow::array::ArrayRef)| {
                let value = if column.is_null(row) {
                    Value::Null
                } else if let Some(texts) = column.as_string_opt::<i32>() {
                    texts.value(row).into()
                } else if let Some(texts) = column.as_string_opt::<i64>() {
                    texts.value(row).into()
                } else if let Some(flags) = column.as_boolean_opt() {
                    flags.value(row).into()
                } else if let Some(numbers) = column.as_primitive_opt::<arrow::datatypes::Float64Type>() {
                    numbers.value(row).into()
                } else if let Some(numbers) = column.as_primitive_opt::<arrow::datatypes::Int32Type>() {
                    numbers.value(row).into()
                } else {
                    panic!("{name} is {}", column.data_type())
                };
                (name.clone(), value)
            };
            rows.push(names.iter().zip(batch.columns()).map(value).collect());
        }
    }
    rows
}

#[test]
fn rows_are_exported_as_parquet_and_as_json_lines() {
    let place = place(60);
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    let export = |format: &str, more: &[&str]| {
        let out = format!("out{}.{format}", more.len());
        let words = ["export", "run", "--format", format, "--out", &out];
        let value = place.json(&[&words[..], more].concat(), 0);
        let path = place.path(&out);
        let rows = if format == "parquet" {
            parquet_rows(&path)
        } else {
            fs::read_to_string(&path).unwrap().lines().map(|line| object(line.as_bytes())).collect()
        };
        assert_eq!(value["export"]["rows"], rows.len());
        let columns: Vec<&str> = value["export"]["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        for row in &rows {
            assert_eq!(row.keys().collect::<Vec<_>>(), columns);
        }
        rows
    };
    let written = samples(&place.path("run/shards"));
    let (kept, all) = (export("parquet", &[]), export("parquet", &["--all"]));
    assert_eq!(export("jsonl", &[]), kept);
    assert_eq!(export("jsonl", &["--all"]), all);
    assert_eq!(
        (kept.len(), all.len() as u64),
        (written.len(), samples(&place.path("pool/shards")).len() as u64)
    );
    for (row, (key, members)) in kept.iter().zip(&written) {
        let json = object(&members["json"]);
        assert_eq!(row["key"], **key);
        for name in ["uid", "url", "caption_a", "caption_best", "caption_best_sim"] {
            assert_eq!(row[name], json[name], "{name}");
        }
        assert_eq!(row["text"].as_str().unwrap().as_bytes(), members["txt"]);
        assert_eq!(row["sim_a"], 0.5);
        assert!(!row.contains_key("keep"));
    }
    let dropped: Vec<_> = all.iter().filter(|row| row["keep"] == false).collect();
    assert_eq!(dropped.len(), all.len() - kept.len());
    assert!(dropped.iter().all(|row| row["dropped_by"] == "01-filter" && row["reason"].is_string()));
    assert!(all.iter().filter(|row| row["keep"] == true).all(|row| row["dropped_by"].is_null()));

    place
        .run(&["export", "run", "--format", "jsonl", "--out", "out0.jsonl"], 1)
        .error("is there already", "ever overwritten");
    place
        .run(&["export", "run", "--format", "cluster-labels", "--out", "c.csv"], 2)
        .error("no complete cluster", "cluster");
    place
        .run(&["export", "run", "--format", "sorted-clusters", "--all", "--out", "c"], 2)
        .error("--all", "every row");
}

/// Fields of RFC 4180, read by hand.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            letter => field.push(letter),
        }
    }
    assert!(!quoted && field.is_empty() && row.is_empty());
    rows
}

#[test]
fn cluster_labels_are_what_luvdatacomp_reads() {
    let place = Place::with_pool(90, false);
    place.write("recipe.toml", common::RECIPE);
    place.run(&["run", "recipe.toml", "--out", "run"], 0);
    let export = |more: &[&str], out: &str| {
        let words = ["export", "run", "--format", "cluster-labels", "--out", out];
        place.run(&[&words[..], more].concat(), 0);
        let rows = csv(&fs::read_to_string(place.path(out)).unwrap());
        assert_eq!(rows[0], ["uid", "data_points", "cluster_label"]);
        rows[1..].to_vec()
    };
    // What the run's own tables say.
    let mut expected = Vec::new();
    for path in fs::read_dir(place.path("run/selection")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap();
        let labels = TableReader::open(place.path("run/steps/03-cluster").join(name)).unwrap();
        let labels = labels.read(&["cluster"], &RowChoice::All, 1000).unwrap().next().unwrap().unwrap();
        let input = TableReader::open(place.path("pool/metadata").join(name)).unwrap();
        let captions = input.read(&["text"], &RowChoice::All, 1000).unwrap().next().unwrap().unwrap();
        let captions = arrow::compute::cast(captions.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        for (row, selected) in parquet_rows_of_selection(&path).into_iter().enumerate() {
            let labels = labels.column(0).as_primitive::<arrow::datatypes::Int32Type>();
            if !arrow::array::Array::is_null(labels, row) {
                let caption = captions.as_string::<i32>();
                let caption =
                    if arrow::array::Array::is_null(caption, row) { "" } else { caption.value(row) };
                let fields = vec![selected.0, caption.to_owned(), labels.value(row).to_string()];
                expected.push((fields, selected.1));
            }
        }
    }
    expected.sort();
    let sorted = |mut rows: Vec<Vec<String>>| {
        rows.sort();
        rows
    };
    let all = sorted(export(&["--all"], "all.csv"));
    assert_eq!(all, expected.iter().map(|(row, _)| row.clone()).collect::<Vec<_>>());
    let kept = sorted(export(&[], "kept.csv"));
    assert!(!kept.is_empty() && kept.len() < all.len());
    let still: Vec<_> = expected.into_iter().filter(|(_, keep)| *keep).map(|(row, _)| row).collect();
    assert_eq!(kept, still);
}

/// Uid and keep of each row.
fn parquet_rows_of_selection(path: &Path) -> Vec<(String, bool)> {
    let table = TableReader::open(path).unwrap();
    let batches = table.read(&["uid", "keep"], &RowChoice::All, 1000).unwrap();
    let mut rows = Vec::new();
    for batch in batches {
        let batch = batch.unwrap();
        let (uids, keep) = (batch.column(0).as_string::<i32>(), batch.column(1).as_boolean());
        rows.extend((0..batch.num_rows()).map(|row| (uids.value(row).to_owned(), keep.value(row))));
    }
    rows
}
