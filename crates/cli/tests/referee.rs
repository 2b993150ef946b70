//! `referee` through the binary, on drawings with planted wrong captions: they are replaced, the figures are those of the vectors, and
//! neither threads nor policies are taken on trust.
#![allow(clippy::unwrap_used)]
mod common;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Read,
    path::Path,
};

use arrow::{
    array::{Array, AsArray},
    datatypes::Float32Type,
};
use common::{Place, assert_same, make_pool, options, tables::step_tables};
use cribble_core::Uid;
use cribble_demo::{CaptionKind, Truth};
use serde_json::{Value, json};

const MODEL: &str = "builtin:demo-clip";

/// What was done to a sample's captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    /// The original is another sample's, the right one stands in `caption_other`.
    WrongOriginal,
    /// The original is right, `caption_other` is another sample's.
    WrongOther,
    /// There is no `caption_other`.
    NoOther,
    /// There is `caption_other` alone.
    NoOriginal,
    /// There is neither.
    Neither,
}

const PLANTS: [Plant; 3] = [Plant::WrongOriginal, Plant::WrongOther, Plant::NoOther];

/// Members of a sample by extension.
type Sample = BTreeMap<String, Vec<u8>>;

fn samples(tar: &Path) -> BTreeMap<String, Sample> {
    let mut found: BTreeMap<String, Sample> = BTreeMap::new();
    for entry in tar::Archive::new(fs::File::open(tar).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let (key, extension) = name.split_once('.').unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        found.entry(key.into()).or_default().insert(extension.into(), bytes);
    }
    found
}

fn write_tar(path: &Path, samples: &BTreeMap<String, Sample>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
    for (key, members) in samples {
        for (extension, bytes) in members {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, format!("{key}.{extension}"), &bytes[..]).unwrap();
        }
    }
    builder.into_inner().unwrap();
}

/// Two tars in `tars` whose json has `caption_other`, and what was planted in each sample.
fn plant(place: &Place) -> HashMap<Uid, Plant> {
    make_pool(&place.path("pool"), &options(150, true));
    let truth = Truth::open(&place.path("pool")).unwrap();
    let matched: HashMap<Uid, &str> = truth
        .rows
        .iter()
        .filter(|row| row.caption_kind == CaptionKind::Matched && row.has_image)
        .map(|row| (row.uid, &*row.concept))
        .collect();
    let mut good: Vec<(u32, String, Uid, Sample)> = Vec::new();
    for number in 0..2 {
        for (key, sample) in samples(&place.path(&format!("pool/shards/{number:08}.tar"))) {
            let fields: Value = serde_json::from_slice(&sample["json"]).unwrap();
            let uid: Uid = fields["uid"].as_str().unwrap().parse().unwrap();
            if sample.contains_key("jpg") && matched.contains_key(&uid) {
                good.push((number, key, uid, sample));
            }
        }
    }
    let texts: Vec<(Uid, Vec<u8>)> =
        good.iter().map(|(_, _, uid, sample)| (*uid, sample["txt"].clone())).collect();
    let (mut tars, mut planted) = (vec![BTreeMap::new(); 2], HashMap::new());
    for (place, (number, key, uid, mut sample)) in good.into_iter().enumerate() {
        let right = String::from_utf8(sample["txt"].clone()).unwrap();
        let other = texts.iter().cycle().skip(place + 1).find(|(other, _)| matched[other] != matched[&uid]);
        let wrong = String::from_utf8(other.unwrap().1.clone()).unwrap();
        let plant = match place {
            4 => Plant::NoOriginal,
            8 => Plant::Neither,
            place => PLANTS[place % 3],
        };
        let (text, other) = match plant {
            Plant::WrongOriginal => (wrong.as_str(), Some(right.as_str())),
            Plant::WrongOther => (right.as_str(), Some(wrong.as_str())),
            Plant::NoOther => (right.as_str(), None),
            Plant::NoOriginal => (" ", Some(right.as_str())),
            Plant::Neither => ("", None),
        };
        let long = format!("{}{right}", "and so on ".repeat(60));
        let fields = json!({ "uid": uid.to_string(), "caption_other": other, "long": long });
        sample.insert("txt".into(), text.into());
        sample.insert("json".into(), fields.to_string().into_bytes());
        tars[number as usize].insert(key, sample);
        planted.insert(uid, plant);
    }
    for (number, samples) in tars.iter().enumerate() {
        write_tar(&place.path(&format!("tars/{number:08}.tar")), samples);
    }
    planted
}

fn recipe(referee: &str) -> String {
    format!(
        "[input]\npath = \"tars\"\n[[step]]\nkind = \"embed\"\nmodel = \"{MODEL}\"\nembedding = \"m\"\nwhat = [\"image\"]\ndtype = \"f32\"\n[[step]]\nkind = \"referee\"\ndtype = \"f32\"\n{referee}\n"
    )
}

/// One row of the referee's table.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    uid: Uid,
    keep: Option<bool>,
    reason: Option<String>,
    original: Option<f32>,
    other: Option<f32>,
    windows: [Option<f32>; 2],
    prob: Option<f32>,
    best: Option<String>,
    from: Option<String>,
    sim: Option<f32>,
}

/// All rows of a run, in order.
fn table(run: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in step_tables(run, "02-referee") {
        let float = |name: &str, row: usize| {
            let column = table.column(name).unwrap();
            column.is_valid(row).then(|| column.as_primitive::<Float32Type>().value(row))
        };
        let text = |name: &str, row: usize| {
            let column = table.column(name).unwrap();
            column.is_valid(row).then(|| column.as_string::<i32>().value(row).to_owned())
        };
        let keep = table.column("keep").unwrap();
        for (row, &uid) in table.uids.iter().enumerate() {
            rows.push(Row {
                uid,
                keep: keep.is_valid(row).then(|| keep.as_boolean().value(row)),
                reason: text("reason", row),
                original: float("sim_original", row),
                other: float("sim_other", row),
                windows: ["original", "other"].map(|name| float(&format!("window_sim_{name}"), row)),
                prob: float("prob_other", row),
                best: text("caption_best", row),
                from: text("caption_best_from", row),
                sim: float("caption_best_sim", row),
            });
        }
    }
    rows
}

/// The scores that `embed` itself gives to a column of captions.
fn embedded(place: &Place, column: &str, out: &str) -> HashMap<Uid, f32> {
    let words =
        ["embed", "tars", "--model", MODEL, "--embedding", "e", "--dtype", "f32", "--text-column", column];
    place.run(&[&words[..], &["--out", out, "--max-error-rate", "1"]].concat(), 0);
    let mut found = HashMap::new();
    for table in step_tables(&place.path(out), "01-embed") {
        let scores = table.column("clip_score").unwrap();
        let scores = scores.as_primitive::<Float32Type>();
        for (row, &uid) in table.uids.iter().enumerate().filter(|(row, _)| scores.is_valid(*row)) {
            found.insert(uid, scores.value(row));
        }
    }
    found
}

#[test]
fn planted_wrong_captions_are_replaced() {
    let place = Place::new();
    let planted = plant(&place);
    place.write("recipe.toml", recipe(""));
    let words = ["run", "recipe.toml", "--max-error-rate", "1"];
    let plan = place.run(&[&words[..], &["--out", "one", "--dry-run"]].concat(), 0).out;
    assert!(plan.contains("compares the images of m_img with the captions text, caption_other"), "{plan}");
    place.run(&[&words[..], &["--out", "one", "--threads", "1"]].concat(), 0);
    place.run(&[&words[..], &["--out", "two", "--threads", "2"]].concat(), 0);
    assert_same(&place.path("one"), &place.path("two"));

    let rows = table(&place.path("one"));
    assert_eq!(rows.len(), planted.len());
    let report: Value = serde_json::from_slice(&fs::read(place.path("one/report.json")).unwrap()).unwrap();
    let step = &report["steps"][1];
    let details = &step["details"];
    let scale = details["logit_scale"].as_f64().unwrap();
    assert!(scale > 1.0, "{details}");
    let (texts, others) = (embedded(&place, "text", "a"), embedded(&place, "caption_other", "b"));
    let (mut replaced, mut wrong, mut spoiled, mut right) = (0, 0, 0, 0);
    for row in &rows {
        let plant = planted[&row.uid];
        if plant == Plant::Neither {
            assert_eq!((row.keep, row.reason.as_deref()), (Some(false), Some("no_caption")));
            assert!(row.sim.is_none() && row.best.is_none() && row.windows == [None, None]);
            continue;
        }
        assert_eq!((row.keep, &row.reason), (Some(true), &None), "{row:?}");
        // The image's vector was rounded to f16 on its way.
        let is_near = |found: Option<f32>, expected: Option<&f32>| match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-3,
            (None, None) => true,
            _ => false,
        };
        assert!(plant == Plant::NoOriginal || is_near(row.original, texts.get(&row.uid)), "{row:?}");
        assert!(is_near(row.other, others.get(&row.uid)), "{row:?}");
        assert_eq!(row.windows, [row.original, row.other], "none of these captions is cut");
        let best = match (row.original, row.other) {
            (Some(original), Some(other)) => {
                let (a, b) = ((scale * f64::from(original)).exp(), (scale * f64::from(other)).exp());
                assert!((f64::from(row.prob.unwrap()) - b / (a + b)).abs() < 1e-5, "{row:?}");
                if other > original { "caption_other" } else { "text" }
            }
            (original, _) => {
                assert_eq!(row.prob, None);
                if original.is_some() { "text" } else { "caption_other" }
            }
        };
        assert_eq!(row.from.as_deref(), Some(best));
        assert_eq!(row.sim, if best == "text" { row.original } else { row.other });
        assert!(row.best.as_ref().is_some_and(|caption| caption.len() > 5));
        match plant {
            Plant::WrongOriginal => {
                wrong += 1;
                replaced += usize::from(best == "caption_other");
            }
            Plant::WrongOther => {
                right += 1;
                spoiled += usize::from(best == "caption_other");
            }
            Plant::NoOriginal => assert_eq!(best, "caption_other"),
            _ => assert_eq!(best, "text"),
        }
    }
    assert!(wrong > 15 && right > 15, "{wrong} {right}");
    assert!(replaced * 10 >= wrong * 9, "{replaced} of {wrong} wrong captions were replaced");
    assert!(spoiled * 10 <= right, "{spoiled} of {right} right captions were replaced");

    // The report's figures, from the table.
    let mean = |sims: Vec<f32>| sims.iter().map(|&sim| f64::from(sim)).sum::<f64>() / sims.len() as f64;
    let (before, after) = (details["mean_before"].as_f64().unwrap(), details["mean_after"].as_f64().unwrap());
    assert!((before - mean(rows.iter().filter_map(|row| row.original).collect())).abs() < 1e-9);
    assert!((after - mean(rows.iter().filter_map(|row| row.sim).collect())).abs() < 1e-9);
    assert!(after > before + 0.02, "{before} {after}");
    let pair = &details["pairs"][0];
    for (place, level) in [0.5, 0.7, 0.8, 0.9].into_iter().enumerate() {
        let wins = rows.iter().filter(|row| row.prob.is_some_and(|prob| f64::from(prob) > level)).count();
        assert_eq!(pair["second_wins"][place], wins, "{pair}");
    }
    assert_eq!(pair["rows"], rows.iter().filter(|row| row.prob.is_some()).count());
    let chosen = rows.iter().filter(|row| row.from.as_deref() == Some("caption_other")).count();
    assert_eq!(details["captions"][1]["chosen"], chosen);
    assert_eq!((&step["seen"], &step["errors"]["no_caption"]), (&rows.len().into(), &1.into()));
    let page = fs::read_to_string(place.path("one/report.html")).unwrap();
    assert!(page.contains("caption_other against text") && page.contains("caption_other over text"));
}

#[test]
fn the_threshold_and_the_least_similarity_drop_what_they_say() {
    let place = Place::new();
    plant(&place);
    let run = |referee: &str, out: &str| {
        place.write("recipe.toml", recipe(referee));
        place.run(&["run", "recipe.toml", "--out", out, "--max-error-rate", "1"], 0);
        table(&place.path(out))
    };
    let rows = run("policy = \"threshold\"\nraw_fraction = 0.4", "threshold");
    let judged: Vec<&Row> = rows.iter().filter(|row| row.original.is_some() || row.other.is_some()).collect();
    let mut sims: Vec<f32> = judged.iter().filter_map(|row| row.original).collect();
    sims.sort_by(|a, b| b.total_cmp(a));
    let top = (0.4 * judged.len() as f64) as usize;
    let threshold = sims[top - 1];
    assert!(sims[top] < threshold, "the test needs a border without a tie");
    let below = format!("below the threshold {threshold}");
    let mut seen = [0; 3];
    for row in judged {
        let expected = match row {
            row if row.original.is_some_and(|sim| sim >= threshold) => (Some(true), None, Some("text")),
            row if row.other.is_some_and(|sim| sim >= threshold) => (Some(true), None, Some("caption_other")),
            _ => (Some(false), Some(below.as_str()), None),
        };
        assert_eq!((row.keep, row.reason.as_deref(), row.from.as_deref()), expected, "{row:?}");
        seen[expected.2.map_or(2, |from| usize::from(from == "text"))] += 1;
    }
    assert!(seen.iter().all(|&count| count > 3), "{seen:?}");
    let report: Value =
        serde_json::from_slice(&fs::read(place.path("threshold/report.json")).unwrap()).unwrap();
    assert_eq!(report["steps"][1]["details"]["threshold"].as_f64().unwrap() as f32, threshold);
    assert_eq!(report["steps"][1]["dropped"][&below], seen[2]);

    let rows = run(&format!("policy = \"original\"\nmin_sim = {threshold}"), "least");
    let reason = format!("caption_best_sim < {threshold}");
    for row in rows.iter().filter(|row| row.sim.is_some()) {
        let is_poor = row.sim.unwrap() < threshold;
        assert_eq!((row.keep, row.reason.as_ref()), (Some(!is_poor), is_poor.then_some(&reason)), "{row:?}");
        assert_eq!(row.from.as_deref() == Some("text"), row.original.is_some());
    }
}

#[test]
fn the_best_window_of_a_long_caption_is_reported_beside_what_is_read() {
    let place = Place::new();
    plant(&place);
    place.write("recipe.toml", recipe("candidates = [\"long\"]"));
    place.run(&["run", "recipe.toml", "--out", "run", "--max-error-rate", "1"], 0);
    let (mut higher, mut rows) = (0, 0);
    for table in step_tables(&place.path("run"), "02-referee") {
        let (sims, windows) = (table.column("sim_long").unwrap(), table.column("window_sim_long").unwrap());
        let (sims, windows) = (sims.as_primitive::<Float32Type>(), windows.as_primitive::<Float32Type>());
        for (sim, window) in sims.iter().zip(windows) {
            assert!(window.unwrap() >= sim.unwrap());
            higher += u64::from(window > sim);
            rows += 1;
        }
    }
    let report: Value = serde_json::from_slice(&fs::read(place.path("run/report.json")).unwrap()).unwrap();
    let long = &report["steps"][1]["details"]["captions"][1];
    assert_eq!((&long["column"], &long["cut"], &long["rows"]), (&"long".into(), &rows.into(), &rows.into()));
    // What describes the image stands at the end, where a tokenizer's cut does not reach.
    assert!(higher * 4 > rows * 3, "{higher} of {rows}");
}
