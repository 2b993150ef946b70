//! `judge` and `decide` through the binary: a scripted model's verdicts reach every row of their clusters whatever goes wrong on the way, the
//! samples are the best of all shards, a person has the last word.
#![allow(clippy::unwrap_used)]
mod common;

use std::{collections::BTreeMap, process::Command, time::Duration};

use arrow::{
    array::{ArrayRef, AsArray},
    datatypes::{Float32Type, Int32Type},
};
use common::{Place, Ran};
use cribble_chat::testing::{Act, FakeServer};
use cribble_pipeline::read_column;
use serde_json::Value;

const KEY: &str = "sk-secret-0123456789";

fn command(place: &Place, words: &[&str]) -> Command {
    let mut command = place.cribble(words);
    command.env("CRIBBLE_CACHE", place.path("cache")).env("JUDGE_KEY", KEY);
    command
}

#[track_caller]
fn run(place: &Place, words: &[&str], code: i32) -> Ran {
    let ran = Ran::new(command(place, words).output().unwrap());
    assert_eq!(ran.code, Some(code), "cribble {}\n{}\n{}", words.join(" "), ran.out, ran.err);
    ran
}

fn pool() -> Place {
    Place::with_pool(600, false)
}

fn words<'a>(server: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let start = [
        "judge",
        "pool/metadata",
        "--embedding",
        "l14_img",
        "--k",
        "12",
        "--endpoint",
        server,
        "--model",
        "m",
        "--out",
        out,
    ];
    [&start[..], more].concat()
}

/// What the scripted judge thinks of a cluster, by the first caption that it is shown.
fn opinion(caption: &str) -> (&'static str, &'static str) {
    match caption.bytes().map(u32::from).sum::<u32>() % 5 {
        0 | 1 => (
            "acceptable",
            "{\"classification\": \"Acceptable\", \"title\": \"Good one\", \"reason\": \"a, \\\"b\\\"\"}",
        ),
        2 => ("unacceptable", "### Reason: noise\n**Classification:** **Unacceptable**"),
        3 => ("abstained", "I cannot classify this cluster."),
        _ => ("unparsed", "Well, this is a cluster of captions."),
    }
}

/// The first of the nearest captions in a question.
fn shown(question: &str) -> String {
    let line = question.lines().find_map(|line| line.strip_prefix("- ")).unwrap();
    serde_json::from_str(line).unwrap()
}

fn honest() -> FakeServer {
    FakeServer::start(|seen| Act::Say(opinion(&shown(&seen.text())).1.into())).unwrap()
}

fn column(place: &Place, file: &str, name: &str) -> ArrayRef {
    read_column(&place.path(file), name).unwrap()
}

fn texts(place: &Place, file: &str, name: &str) -> Vec<Option<String>> {
    column(place, file, name).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn clusters(place: &Place, file: &str) -> Vec<i32> {
    column(place, file, "cluster").as_primitive::<Int32Type>().values().to_vec()
}

/// Verdict by cluster, as the first of its nearest samples says.
fn expected(place: &Place, step: &str) -> BTreeMap<i32, &'static str> {
    let file = format!("{step}/samples.parquet");
    let (groups, captions) = (texts(place, &file, "group"), texts(place, &file, "caption"));
    let mut found = BTreeMap::new();
    for ((cluster, group), caption) in clusters(place, &file).into_iter().zip(groups).zip(captions) {
        if group.as_deref() == Some("nearest") {
            found.entry(cluster).or_insert_with(|| opinion(&caption.unwrap()).0);
        }
    }
    found
}

fn found(place: &Place, step: &str) -> BTreeMap<i32, String> {
    let file = format!("{step}/verdicts.parquet");
    let verdicts = texts(place, &file, "verdict").into_iter().map(Option::unwrap);
    clusters(place, &file).into_iter().zip(verdicts).collect()
}

/// The tables of a step's shards.
fn shards(place: &Place, step: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(place.path(step))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".parquet") && name.starts_with('0'))
        .collect();
    names.sort();
    names
}

#[test]
fn every_row_has_the_verdict_of_its_cluster_whatever_the_server_does() {
    let place = pool();
    let server = FakeServer::start(|seen| match seen.number % 24 {
        1 => Act::Status(429, vec![("Retry-After", "0".into())], "slow down".into()),
        3 => Act::Status(500, Vec::new(), "oops".into()),
        5 => Act::Half,
        6 => Act::body("{\"choices\": []}"),
        7 => Act::body("{\"cho"),
        8 => Act::Close,
        _ => Act::Say(opinion(&shown(&seen.text())).1.into()),
    })
    .unwrap();
    let base = server.base();
    let more = ["--votes", "3", "--in-flight", "16", "--key-env", "JUDGE_KEY", "--json"];
    let ran = run(&place, &words(&base, "run", &more), 0);
    let report: Value = serde_json::from_str::<Value>(&ran.out).unwrap()["report"].clone();
    let details = &report["steps"][1]["details"];
    assert_eq!(details["usage"]["answered"], 36, "{details}");
    assert!(details["usage"]["retries"].as_u64().unwrap() >= 6, "{details}");

    let step = "run/steps/02-judge";
    let (expected, found) = (expected(&place, step), found(&place, step));
    assert_eq!(expected.len(), 12);
    assert!(found.iter().all(|(cluster, verdict)| expected[cluster] == verdict), "{expected:?} {found:?}");
    let kinds: std::collections::BTreeSet<&String> = found.values().collect();
    assert!(kinds.len() >= 3, "the pool shows too little: {kinds:?}");
    for shard in shards(&place, step) {
        let table = format!("{step}/{shard}");
        let of_row = clusters(&place, &format!("run/steps/01-cluster/{shard}"));
        let verdicts = texts(&place, &table, "verdict");
        let keep = column(&place, &table, "keep");
        for (row, cluster) in of_row.iter().enumerate() {
            let verdict = verdicts[row].as_deref().unwrap();
            assert_eq!(verdict, found[cluster]);
            // Nothing that cannot be read is dropped.
            assert_eq!(keep.as_boolean().value(row), verdict != "unacceptable");
        }
    }
    let total: u64 = details["rows"].as_object().unwrap().values().map(|rows| rows.as_u64().unwrap()).sum();
    assert_eq!(total, 600);

    // The same again, elsewhere: every answer is known.
    let calls = server.calls();
    run(&place, &words(&base, "again", &more[..6]), 0);
    assert_eq!(server.calls(), calls);
    let tables =
        |out: &str| std::fs::read(place.path(&format!("{out}/steps/02-judge/verdicts.parquet"))).unwrap();
    assert_eq!(tables("run"), tables("again"));
    // The key is in no file and on no stream.
    assert!(!ran.err.contains(KEY) && !ran.out.contains(KEY));
    let grep =
        Command::new("grep").args(["-r", "-l", KEY, "."]).current_dir(place.dir.path()).output().unwrap();
    assert_eq!(String::from_utf8(grep.stdout).unwrap(), "");
}

#[test]
fn samples_are_the_best_of_all_shards_and_the_files_of_the_published_flow_hold_them() {
    let place = pool();
    let server = honest();
    run(&place, &words(&server.base(), "run", &["--nearest", "4", "--farthest", "3", "--random", "2"]), 0);
    let (step, before) = ("run/steps/02-judge", "run/steps/01-cluster");
    let names = shards(&place, step);
    assert!(names.len() > 1);
    let mut all: Vec<(i32, f32, usize, usize)> = Vec::new();
    for (shard, name) in names.iter().enumerate() {
        let sims = column(&place, &format!("{before}/{name}"), "centroid_sim");
        let sims = sims.as_primitive::<Float32Type>().values().to_vec();
        let of_row = clusters(&place, &format!("{before}/{name}"));
        all.extend(of_row.into_iter().zip(sims).enumerate().map(|(row, (c, sim))| (c, sim, shard, row)));
    }
    let file = format!("{step}/samples.parquet");
    let rows = column(&place, &file, "row");
    let rows = rows.as_primitive::<arrow::datatypes::UInt32Type>();
    let (groups, stems) = (texts(&place, &file, "group"), texts(&place, &file, "shard"));
    let of = clusters(&place, &file);
    let shown = |cluster: i32, group: &str| -> Vec<(usize, usize)> {
        (0..of.len())
            .filter(|&at| of[at] == cluster && groups[at].as_deref() == Some(group))
            .map(|at| {
                let stem = stems[at].as_deref().unwrap();
                (
                    names.iter().position(|name| name.strip_suffix(".parquet") == Some(stem)).unwrap(),
                    rows.value(at) as usize,
                )
            })
            .collect()
    };
    let mut seen_shards = std::collections::BTreeSet::new();
    for cluster in 0..12 {
        let mut mine: Vec<_> = all.iter().filter(|one| one.0 == cluster).copied().collect();
        mine.sort_by(|a, b| b.1.total_cmp(&a.1).then((a.2, a.3).cmp(&(b.2, b.3))));
        let nearest: Vec<(usize, usize)> = mine.iter().take(4).map(|one| (one.2, one.3)).collect();
        assert_eq!(shown(cluster, "nearest"), nearest);
        mine.sort_by(|a, b| a.1.total_cmp(&b.1).then((a.2, a.3).cmp(&(b.2, b.3))));
        let farthest: Vec<(usize, usize)> = mine.iter().take(3).map(|one| (one.2, one.3)).collect();
        assert_eq!(shown(cluster, "farthest"), farthest);
        assert_eq!(shown(cluster, "random").len(), 2);
        seen_shards.extend(nearest.iter().map(|place| place.0));
    }
    assert!(seen_shards.len() > 1, "samples of one shard only");

    let json = |name: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(place.path(&format!("{step}/{name}"))).unwrap())
            .unwrap()
    };
    let (samples, raw) = (json("cluster_samples.json"), json("classifications.json"));
    assert_eq!(samples["Cluster_3"]["closest_samples"].as_array().unwrap().len(), 4);
    assert_eq!(samples["Cluster_3"]["furthest_samples"].as_array().unwrap().len(), 3);
    let caption = samples["Cluster_3"]["closest_samples"][0].as_str().unwrap();
    assert_eq!(raw["Cluster_3"], opinion(caption).1);
    let csv = std::fs::read_to_string(place.path(&format!("{step}/classifications.csv"))).unwrap();
    assert!(csv.starts_with("Cluster,Reason,Classification\nCluster_0,"), "{csv}");
    assert_eq!(csv.lines().count(), 13);
    assert!(csv.contains(",\"a, \"\"b\"\"\",Acceptable\n"), "{csv}");

    // Threads and calls in flight change nothing.
    let other = honest();
    let more = [
        "--nearest",
        "4",
        "--farthest",
        "3",
        "--random",
        "2",
        "--threads",
        "1",
        "--in-flight",
        "1",
        "--cache",
        "none",
    ];
    run(&place, &words(&other.base(), "other", &more), 0);
    assert!(other.calls() > 0);
    let bytes =
        |out: &str, name: &str| std::fs::read(place.path(&format!("{out}/steps/02-judge/{name}"))).unwrap();
    for name in
        names.iter().map(String::as_str).chain(["verdicts.parquet", "samples.parquet", "classifications.csv"])
    {
        assert_eq!(bytes("run", name), bytes("other", name), "{name}");
    }
}

#[test]
fn a_server_that_goes_away_costs_nothing_but_the_rest() {
    let place = pool();
    let server = FakeServer::start(|seen| match seen.number {
        0..5 => Act::Say(opinion(&shown(&seen.text())).1.into()),
        _ => Act::Close,
    })
    .unwrap();
    let base = server.base();
    let more = ["--in-flight", "1", "--retries", "0", "--key-env", "JUDGE_KEY"];
    let ran = run(&place, &words(&base, "run", &more), 3);
    ran.error("7 clusters have no answer", "the same command asks only for the rest");
    let list = std::fs::read_to_string(place.path("run/steps/02-judge/missing.csv")).unwrap();
    assert_eq!(list.lines().count(), 8, "{list}");
    assert!(list.starts_with("cluster,why\n") && !list.contains(KEY));
    drop(server);

    let server = honest();
    let base = server.base();
    let ran = run(&place, &words(&base, "run", &more), 0);
    assert_eq!(server.calls(), 7, "{}", ran.err);
    assert!(!place.path("run/steps/02-judge/missing.csv").exists());
    let step = "run/steps/02-judge";
    let expected = expected(&place, step);
    assert!(found(&place, step).iter().all(|(cluster, verdict)| expected[cluster] == verdict));

    // A recipe may do without.
    let dead = FakeServer::start(|_| Act::Close).unwrap();
    let base = dead.base();
    let more = ["--retries", "0", "--cache", "none", "--missing"];
    run(&place, &words(&base, "kept", &[&more[..], &["keep"]].concat()), 0);
    assert!(found(&place, "kept/steps/02-judge").values().all(|verdict| verdict == "missing"));
    let ran = run(&place, &words(&base, "dropped", &[&more[..], &["drop", "--json"]].concat()), 0);
    let report = &serde_json::from_str::<Value>(&ran.out).unwrap()["report"];
    assert_eq!(report["steps"][1]["dropped"]["cluster judged missing"], 600);
}

#[test]
fn killed_while_it_asks_it_asks_no_question_twice() {
    let place = pool();
    let server = FakeServer::start(|seen| {
        Act::SayAfter(Duration::from_millis(60), opinion(&shown(&seen.text())).1.into())
    })
    .unwrap();
    let base = server.base();
    let words = words(&base, "run", &["--in-flight", "1"]);
    let mut child = command(&place, &words).spawn().unwrap();
    while server.calls() < 6 {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    run(&place, &words, 0);
    // The call that was in flight is asked again; none whose answer had come.
    assert!(server.calls() <= 13, "{}", server.calls());
    let step = "run/steps/02-judge";
    let expected = expected(&place, step);
    assert!(found(&place, step).iter().all(|(cluster, verdict)| expected[cluster] == verdict));
}

#[test]
fn a_person_has_the_last_word() {
    let place = pool();
    let server = honest();
    let base = server.base();
    // What cannot be read ends the run, until a person has decided.
    let words = words(&base, "run", &["--unparsed", "fail"]);
    let ran = run(&place, &words, 3);
    ran.error("clusters have no verdict that can be read", "cribble decide RUN --cluster N");
    let calls = server.calls();
    let list = std::fs::read_to_string(place.path("run/steps/02-judge/missing.csv")).unwrap();
    let open: Vec<&str> = list.lines().skip(1).map(|line| line.split_once(',').unwrap().0).collect();
    assert!(!open.is_empty());
    for (at, cluster) in open.iter().enumerate() {
        let verdict = if at == 0 { "drop" } else { "keep" };
        run(
            &place,
            &[
                "decide",
                "run",
                "--cluster",
                cluster,
                "--verdict",
                verdict,
                "--why",
                "looked at it",
                "--by",
                "ada",
            ],
            0,
        );
    }
    let ran = run(&place, &[&words[..], &["--json"]].concat(), 0);
    assert_eq!(server.calls(), calls);
    let report = serde_json::from_str::<Value>(&ran.out).unwrap()["report"].clone();
    assert_eq!(report["steps"][1]["details"]["decided"], open.len() as u64);
    let dropped = report["steps"][1]["dropped"]["dropped by ada: looked at it"].as_u64().unwrap();
    assert!(dropped > 0);

    // On samples: one that was kept goes, one that was dropped stays.
    let shard = &shards(&place, "run/selection")[0];
    let file = format!("run/selection/{shard}");
    let (uids, keep) = (texts(&place, &file, "uid"), column(&place, &file, "keep"));
    let pick = |wanted: bool| (0..uids.len()).find(|&at| keep.as_boolean().value(at) == wanted).unwrap();
    let [gone, back] = [pick(true), pick(false)].map(|at| uids[at].clone().unwrap());
    run(
        &place,
        &["decide", "run", "--uid", &gone, "--verdict", "drop", "--why", "my face", "--by", "ada"],
        0,
    );
    run(&place, &["decide", "run", "--uid", &back, "--verdict", "keep", "--by", "ada"], 0);
    run(&place, &words, 0);
    assert_eq!(server.calls(), calls);
    let selection = |uid: &str| {
        let at = uids.iter().position(|other| other.as_deref() == Some(uid)).unwrap();
        let by = texts(&place, &file, "dropped_by")[at].clone();
        (column(&place, &file, "keep").as_boolean().value(at), by, texts(&place, &file, "reason")[at].clone())
    };
    assert_eq!(selection(&gone), (false, Some("decision".into()), Some("dropped by ada: my face".into())));
    assert_eq!(selection(&back), (true, None, Some("kept by ada".into())));
    let why = run(&place, &["why", "run", &gone], 0).out;
    assert!(why.contains("dropped by ada: my face"), "{why}");

    // Another clustering: the decisions on clusters are of other clusters now, and that is said.
    let other: Vec<&str> = words.iter().map(|&word| if word == "12" { "9" } else { word }).collect();
    let other = [&other[..other.len() - 2], &["--unparsed", "keep"]].concat();
    let ran = run(&place, &other, 0);
    assert!(ran.err.contains("of another clustering and were not followed"), "{}", ran.err);
}

#[test]
fn wrong_use_is_named() {
    let place = pool();
    let judge = |more: &[&str], code| {
        run(
            &place,
            &[&["judge", "pool/metadata", "--embedding", "l14_img", "--k", "3", "--out", "r"], more].concat(),
            code,
        )
    };
    let at = ["--endpoint", "http://127.0.0.1:9/v1", "--model", "m"];
    judge(&[&at[..], &["--prompt", "clustrs"]].concat(), 2)
        .error("prompt = \"clustrs\"", "did you mean 'clusters'");
    place.write("p.txt", "Only {size}.");
    judge(&[&at[..], &["--prompt", "p.txt"]].concat(), 2).error("shows the model nothing", "{nearest}");
    judge(&["--endpoint", "localhost", "--model", "m"], 2).error("the address has no scheme", "");
    judge(&["--endpoint", "http://127.0.0.1:9/v1"], 2).error("`model` is missing", "/models");
    judge(&[&at[..], &["--key-env", "NO_SUCH_KEY"]].concat(), 1).error("NO_SUCH_KEY", "");
    judge(&["--score", "nope"], 2).error("score = \"nope\"", "");
    judge(&[&at[..], &["--thumbnails", "2"]].concat(), 2).error("the input has no images", "thumbnails = 0");
    judge(&["--votes", "0"], 2).error("votes = 0", "");
    place.write("r.toml", "[input]\npath = \"pool/metadata\"\n[[step]]\nkind = \"judge\"\n");
    run(&place, &["run", "r.toml", "--out", "r"], 2)
        .error("judge needs a cluster step before it", "kind = \"cluster\"");
    judge(&[], 0);
    run(&place, &["decide", "r", "--cluster", "3", "--verdict", "keep"], 2)
        .error("there is no cluster 3", "0 to 2");
    run(&place, &["decide", "r", "--uid", "zz", "--verdict", "keep"], 2);
    place.write("r/decisions.jsonl", "{\"cluster\": 1}\n");
    judge(&[], 1).error("decisions.jsonl, line 1", "mend or remove it");
}

#[test]
fn images_are_shown_when_asked_for() {
    let place = Place::with_pool(80, true);
    let server = FakeServer::start(|seen| {
        let body = seen.json();
        let parts = body["messages"][1]["content"].as_array().cloned().unwrap_or_default();
        let images = parts.iter().filter(|part| part["type"] == "image_url");
        let sent = images
            .filter(|part| part["image_url"]["url"].as_str().unwrap().starts_with("data:image/jpeg;base64,"));
        let count = sent.count();
        let heads = parts
            .iter()
            .filter(|part| part["text"].as_str().is_some_and(|text| text.starts_with("Images of the")))
            .count();
        Act::Say(format!(
            "{{\"classification\": \"Acceptable\", \"reason\": \"{count} images under {heads} heads\"}}"
        ))
    })
    .unwrap();
    let recipe = |thumbnails: u32| {
        format!(
            "[input]\npath = \"pool/shards\"\n[[step]]\nkind = \"embed\"\nmodel = \"builtin:demo-clip\"\nembedding = \"demo\"\n\
             [[step]]\nkind = \"cluster\"\nembedding = \"demo_img\"\nk = 3\n\
             [[step]]\nkind = \"judge\"\nthumbnails = {thumbnails}\nimage_size = 64\n\
             [step.chat]\nendpoint = \"{}\"\nmodel = \"m\"\n",
            server.base()
        )
    };
    place.write("r.toml", recipe(2));
    run(&place, &["run", "r.toml", "--out", "run"], 0);
    let reasons = texts(&place, "run/steps/03-judge/verdicts.parquet", "reason");
    assert_eq!(reasons, vec![Some("6 images under 3 heads".to_owned()); 3]);
    place.write("r.toml", recipe(0));
    run(&place, &["run", "r.toml", "--out", "run"], 0);
    let reasons = texts(&place, "run/steps/03-judge/verdicts.parquet", "reason");
    assert_eq!(reasons, vec![Some("0 images under 0 heads".to_owned()); 3]);
}

#[test]
fn a_dry_run_says_what_is_asked_and_what_it_may_cost() {
    let place = pool();
    let server = honest();
    let more =
        ["--votes", "3", "--price-input", "1", "--price-output", "1000", "--max-cost", "5", "--dry-run"];
    let ran = run(&place, &words(&server.base(), "run", &more), 0);
    let said = ran.out + &ran.err;
    for part in [
        "36 at most, to m at http://127.0.0.1",
        "answers cost 18.43 at most",
        "spends at most 5 in a session",
        "prompt clusters-1",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!(server.calls(), 0);
    assert!(!place.path("run").exists());
}
