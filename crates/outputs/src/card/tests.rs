//! Cards of made-up runs: the structure that readers rely on, and texts that try to break out of it.
use std::{collections::BTreeMap, fs};

use cribble_core::{
    Cancel, CaptionDetails, CaptionExample, ChatUsage, Counts, Details, EmbedDetails, PruneDetails,
    PruneTarget, QuotaFigures, RunReport, Silent, StepReport,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;

/// Everything that Markdown, YAML and our own markers give a meaning to.
const EVIL: &str =
    "*a* | b\n---\n# c <script>`x`</script> [d](http://e.org) <!-- cribble:end -->\n```\n\"q\": {y}\u{202e}";

fn report() -> RunReport {
    let mut report = RunReport { program_version: "9.8.7".into(), ..RunReport::default() };
    report.input.path = format!("pool/{EVIL}");
    report.input.layout = "webdataset tars".into();
    (report.input.rows, report.input.shards, report.input.fingerprint) = (1500, 2, "f00d".into());
    (report.selection.seen, report.selection.kept) = (1500, 1200);
    let step = |name: &str, kind: &str, options: Value, details: Details| {
        let mut counts = Counts { seen: 1500, kept: 1200, ..Counts::default() };
        counts.dropped.insert(EVIL.into(), 300);
        StepReport {
            step: name.into(),
            kind: kind.into(),
            counts,
            options: Some(options),
            details,
            notes: vec![EVIL.into()],
            ..StepReport::default()
        }
    };
    let chat = json!({ "model": "a/vlm", "endpoint": "http://secret.example/v1", "key_file": "/secret", "temperature": 0.2, "max_tokens": 77 });
    report.steps = vec![
        step("01-filter", "filter", json!({ "where": EVIL }), Details::None),
        step(
            "02-embed",
            "embed",
            json!({}),
            Details::Embed(EmbedDetails {
                model: json!({ "name": "openai/clip", "revision": "abc123", "hash": "beef", "dtype": "bf16" }),
                mean_score: Some(0.25),
                ..EmbedDetails::default()
            }),
        ),
        step(
            "03-caption",
            "caption",
            json!({ "chat": chat }),
            Details::Caption(CaptionDetails {
                column: "caption_vlm".into(),
                by: "a/vlm".into(),
                prompt: "vivid-1".into(),
                states: BTreeMap::from([("ok".into(), 1200)]),
                examples: vec![CaptionExample {
                    uid: "0".repeat(32),
                    before: EVIL.into(),
                    after: EVIL.into(),
                }],
                usage: Some(ChatUsage {
                    calls: 1300,
                    answered: 1200,
                    input_tokens: 123_456,
                    output_tokens: 7890,
                    ..ChatUsage::default()
                }),
                ..CaptionDetails::default()
            }),
        ),
        step(
            "04-prune",
            "prune",
            json!({ "fraction": 0.8 }),
            Details::Prune(PruneDetails {
                method: "density".into(),
                targets: vec![PruneTarget {
                    label: "0.8".into(),
                    target: 1200,
                    kept: 1200,
                    lambda: 0.0,
                    subset: "subset.npy".into(),
                }],
                quotas: vec![
                    QuotaFigures { size: 9, share: 0.5, quota: 9 },
                    QuotaFigures { size: 20, share: 0.5, quota: 5 },
                ],
            }),
        ),
    ];
    report
}

fn options() -> CardOptions {
    CardOptions {
        license: Some("CC-BY-4.0".into()),
        languages: vec!["en".into(), "no".into()],
        pretty_name: EVIL.into(),
        repo: Some("me/pairs".into()),
        creators: vec!["Ann \"Q\"".into()],
        date: "2026-01-31".into(),
        tags: vec![EVIL.into()],
        source_datasets: vec!["mlfoundations/datacomp_small".into()],
        ..CardOptions::default()
    }
}

/// A run folder as far as a card looks at it: a subset of two, a selection, a recipe.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("manifest.json"), "{}").unwrap();
    fs::write(path.join("recipe.toml"), "[input]\n").unwrap();
    let mut npy = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    npy.resize(128, b' ');
    npy.resize(128 + 32, 1);
    fs::write(path.join("subset.npy"), npy).unwrap();
    folder
}

fn write(path: &Path, options: &CardOptions) -> Result<CardReport> {
    let report = report();
    let recipe = "[input]\npath = \"pool\"\n\n[[step]]\nendpoint = \"http://secret.example/v1\"\nkey_file = \"/secret\"\nkey_env = \"\"\n<!-- cribble:end -->\n";
    let prompt = |name: &str| (name == "vivid-1").then(|| format!("Describe.\n{EVIL}"));
    let source = CardSource { report: &report, recipe, prompt: &prompt };
    write_card(&source, path, options, false, &Silent, &Cancel::new())
}

/// The subset of YAML that we write: keys, lists of scalars, one list of maps. Anything else in the front matter fails the test.
fn yaml(text: &str) -> BTreeMap<String, Vec<String>> {
    let scalar = |text: &str| match text.starts_with('"') {
        true => serde_json::from_str::<String>(text).unwrap(),
        false => {
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{text}");
            text.to_owned()
        }
    };
    let (mut found, mut last) = (BTreeMap::<String, Vec<String>>::new(), String::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(item) = line.strip_prefix("- ").filter(|item| last != "configs" && !item.is_empty()) {
            found.get_mut(&last).unwrap().push(scalar(item));
        } else if last == "configs" && line.starts_with([' ', '-']) {
            let (key, value) = line.trim_start_matches([' ', '-']).split_once(':').unwrap();
            found.get_mut(&last).unwrap().push(format!(
                "{key}={}",
                if value.is_empty() { String::new() } else { scalar(value.trim()) }
            ));
        } else {
            let (key, value) = line.split_once(':').unwrap();
            let value = value.trim();
            last = key.to_owned();
            let before =
                found.insert(last.clone(), if value.is_empty() { Vec::new() } else { vec![scalar(value)] });
            assert!(before.is_none(), "{key} stands there twice");
        }
    }
    found
}

#[test]
fn the_front_matter_is_yaml_and_the_text_stays_inside_its_markers() {
    let folder = folder();
    let report = write(folder.path(), &options()).unwrap();
    assert_eq!((report.samples, report.files, report.unsaid.len()), (Some(2), 2, 0));
    let text = fs::read_to_string(folder.path().join(README)).unwrap();
    let (front, body) = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    let front = yaml(front);
    assert_eq!(front["license"], ["cc-by-4.0"]);
    assert_eq!(front["language"], ["en", "no"]);
    assert_eq!(front["pretty_name"], [EVIL]);
    assert_eq!(front["size_categories"], ["n<1K"]);
    assert_eq!(front["tags"], ["image-text", "cribble", EVIL]);
    assert_eq!(front["source_datasets"], ["mlfoundations/datacomp_small"]);
    assert!(!front.contains_key("configs"), "there are neither samples nor a selection");

    let lines: Vec<&str> = body.lines().collect();
    assert_eq!((lines[0], *lines.last().unwrap()), ("<!-- cribble:begin -->", "<!-- cribble:end -->"));
    assert_eq!(
        lines.iter().filter(|line| markers::is_marker(line)).count(),
        2,
        "nothing inside looks like a marker"
    );
    // Every fence that opens closes, and outside of them no line is what somebody else wrote.
    let mut fence: Option<String> = None;
    for line in &lines[1..lines.len() - 1] {
        match &fence {
            Some(open) => fence = Some(open.clone()).filter(|open| line != open),
            None if line.starts_with("```") => {
                fence = Some(line.chars().take_while(|&c| c == '`').collect());
            }
            None => {
                let outside = without_code(line);
                assert!(!outside.contains("<script>") && !outside.contains("http://e.org"), "{line}");
                assert!(!line.starts_with("---") && !line.contains('\u{202e}'), "{line}");
            }
        }
    }
    assert_eq!(fence, None);
    for figure in [
        "1,200",
        "1,500",
        "80.0%",
        "abc123",
        "123,456",
        "7,890",
        "max\\_tokens",
        "from 5 to 9 samples",
        "9.8.7",
        "f00d",
    ] {
        assert!(body.contains(figure) || body.contains(&figure.replace('\\', "")), "{figure} is missing");
    }
    assert!(!text.contains("secret"), "where a server and its key are is nobody's business");
    // A table has as many cells in every row.
    let mut cells = None;
    for line in lines.iter().filter(|line| fence.is_none() && line.starts_with('|')).take(6) {
        let found = line.replace("\\|", "").matches('|').count();
        assert_eq!(*cells.get_or_insert(found), found, "{line}");
    }
}

/// A line without its spans of code.
fn without_code(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some(at) = rest.find('`') {
        if rest[..at].ends_with('\\') {
            out += &rest[..=at];
            rest = &rest[at + 1..];
            continue;
        }
        let fence: String = rest[at..].chars().take_while(|&c| c == '`').collect();
        out += &rest[..at];
        let inner = &rest[at + fence.len()..];
        let end = inner.find(&fence).unwrap_or_else(|| panic!("an open span of code in {line}"));
        rest = &inner[end + fence.len()..];
    }
    out + rest
}

#[test]
fn croissant_has_what_it_must_and_the_hashes_are_those_of_the_files() {
    let folder = folder();
    write(folder.path(), &options()).unwrap();
    let text = fs::read(folder.path().join(CROISSANT)).unwrap();
    let document: Value = serde_json::from_slice(&text).unwrap();
    for required in [
        "@context",
        "@type",
        "conformsTo",
        "name",
        "description",
        "license",
        "url",
        "creator",
        "datePublished",
    ] {
        assert!(!document[required].is_null(), "{required}");
    }
    assert_eq!(document["url"], "https://huggingface.co/datasets/me/pairs");
    let files = document["distribution"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    for file in files {
        let bytes = fs::read(folder.path().join(file["contentUrl"].as_str().unwrap())).unwrap();
        let sha: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(file["sha256"], sha);
        assert_eq!(file["contentSize"], format!("{} B", bytes.len()));
    }
    let activities = document["prov:wasGeneratedBy"].as_array().unwrap();
    assert_eq!(activities.len(), 4, "one a step");
    assert_eq!(activities[1]["prov:wasInformedBy"]["@id"], activities[0]["@id"]);
    assert_eq!(
        document["prov:wasDerivedFrom"][0]["@id"],
        "https://huggingface.co/datasets/mlfoundations/datacomp_small"
    );
    // Every id stands for one thing, and every reference for something.
    let (mut ids, mut references) = (Vec::new(), Vec::new());
    collect(&document, &mut ids, &mut references);
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "{ids:?}");
    assert!(references.iter().all(|reference| ids.contains(reference)), "{references:?}");
    assert!(!String::from_utf8(text).unwrap().contains("secret"));
}

fn collect(value: &Value, ids: &mut Vec<String>, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(id) = members.get("@id").and_then(Value::as_str).filter(|id| !id.starts_with("cr:")) {
                if members.len() == 1 { references.push(id.into()) } else { ids.push(id.into()) }
            }
            let inner = members.iter().filter(|(key, _)| *key != "@context");
            inner.for_each(|(_, value)| collect(value, ids, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, ids, references)),
        _ => {}
    }
}

#[test]
fn writing_again_changes_nothing_and_what_is_missing_is_said() {
    let folder = folder();
    write(folder.path(), &options()).unwrap();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let before = (read(README), read(CROISSANT));
    write(folder.path(), &options()).unwrap();
    assert!(before == (read(README), read(CROISSANT)));
    let bare = CardOptions { pretty_name: "x".into(), date: "2026-01-31".into(), ..CardOptions::default() };
    assert_eq!(write(folder.path(), &bare).unwrap().unsaid.len(), 3);
    assert!(String::from_utf8(read(README)).unwrap().contains("license: unknown\n"));
    fs::remove_file(folder.path().join("recipe.toml")).unwrap();
    assert!(write(folder.path(), &bare).unwrap_err().message().contains("recipe.toml is gone"));
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert!(
        write(&folder.path().join("empty"), &bare).unwrap_err().message().contains("nothing that a card")
    );
    fs::write(folder.path().join(README), b"\xff\xfe").unwrap();
    assert!(write(folder.path(), &bare).unwrap_err().message().contains("UTF-8"));
}
