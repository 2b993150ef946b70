//! The binary against what DataComp's published programs really wrote (`parity/README.md`): subset files byte for byte, resharded members by
//! their sha256.
#![allow(clippy::unwrap_used)]
mod common;

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use common::Place;
use sha2::{Digest, Sha256};

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parity/vectors").join(name)
}

#[test]
fn subsets_of_no_filter_and_of_score_thresholds_have_datacomps_bytes() {
    let place = Place::new();
    let input = vectors("metadata/input").display().to_string();
    for (name, condition) in [
        ("no_filter", "TRUE"),
        ("l14_0.24", "clip_l14_similarity_score >= 0.24"),
        ("l14_0.25", "clip_l14_similarity_score >= 0.25"),
        ("b32_0.28", "clip_b32_similarity_score >= 0.28"),
        ("l14_above_all", "clip_l14_similarity_score >= 2.0"),
    ] {
        let output =
            place.cribble(&["filter", &input, "--where", condition, "--out", name]).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let ours = fs::read(place.path(name).join("subset.npy")).unwrap();
        let theirs = fs::read(vectors("metadata").join(format!("{name}.npy"))).unwrap();
        assert!(ours == theirs, "{name}: {} bytes against {}", ours.len(), theirs.len());
    }
}

/// Key and members (extension in lower case, as resharder.py writes it; sha256) of each sample, in order.
type Samples = Vec<(String, BTreeMap<String, String>)>;

fn read_tar(path: &Path) -> Samples {
    let mut samples: Samples = Vec::new();
    for entry in tar::Archive::new(fs::File::open(path).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let (key, extension) = name.split_once('.').unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if samples.last().is_none_or(|(last, _)| last != key) {
            samples.push((key.to_string(), BTreeMap::new()));
        }
        samples.last_mut().unwrap().1.insert(extension.to_lowercase(), sum);
    }
    samples
}

#[test]
fn resharded_members_are_those_of_resharder_py() {
    let place = Place::new();
    let text = fs::read(vectors("reshard/vectors.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let (input, subset) =
        (vectors("reshard/input").display().to_string(), vectors("reshard/subset.npy").display().to_string());
    let size = expected["shard_size"].to_string();
    let output = place
        .cribble(&[
            "reshard",
            "--input",
            &input,
            "--subset",
            &subset,
            "--output",
            "out",
            "--shard-size",
            &size,
            "--keys",
            "uid",
        ])
        .output()
        .unwrap();
    // One uid of the subset is in no tar: exit code 3, which resharder.py does not have.
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let shards = expected["shards"].as_array().unwrap();
    assert!(!shards.is_empty());
    for shard in shards {
        let name = shard["name"].as_str().unwrap();
        let theirs: Samples = shard["samples"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sample| {
                let members = sample["members"].as_array().unwrap().iter();
                let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
                (text(&sample["key"]), members.map(|m| (text(&m["name"]), text(&m["sha256"]))).collect())
            })
            .collect();
        assert_eq!(read_tar(&place.path("out").join(name)), theirs, "{name}");
        let stats: serde_json::Value = serde_json::from_slice(
            &fs::read(place.path("out").join(name.replace(".tar", "_stats.json"))).unwrap(),
        )
        .unwrap();
        assert_eq!(stats["successes"], shard["stats"]["successes"]);
    }
}
