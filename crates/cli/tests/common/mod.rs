//! Small pools, the binary, and folders compared byte for byte.
#![allow(dead_code)]
pub mod tables;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cribble_demo::{ArraySpec, Planted, PoolOptions, generate};
use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own for one test.
pub struct Place {
    pub dir: TempDir,
}

impl Place {
    /// In memory where there is room: every commit syncs, and the tests of resuming commit some ten thousand times.
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let has_room =
            rustix::fs::statvfs(memory).is_ok_and(|stat| stat.f_bavail * stat.f_frsize > 256 << 20);
        let dir = if has_room {
            tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir())
        } else {
            tempfile::tempdir()
        };
        Self { dir: dir.unwrap() }
    }

    /// With a pool in `pool`.
    pub fn with_pool(rows: u64, images: bool) -> Self {
        let place = Self::new();
        make_pool(&place.path("pool"), &options(rows, images));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary, started in this folder, without what the environment of the test's own process would add.
    pub fn cribble(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cribble"));
        command.current_dir(self.dir.path()).args(words);
        for name in [
            "NO_COLOR",
            "FORCE_COLOR",
            "CLICOLOR_FORCE",
            "CRIBBLE_TEST_KILL_AT",
            "CRIBBLE_TEST_COUNT_COMMITS",
            "RUST_BACKTRACE",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs it and expects an exit code.
    #[track_caller]
    pub fn run(&self, words: &[&str], code: i32) -> Ran {
        let ran = Ran::new(self.cribble(words).output().unwrap());
        assert_eq!(ran.code, Some(code), "cribble {}\n{}\n{}", words.join(" "), ran.out, ran.err);
        ran
    }

    /// Runs it with `--json` and expects an exit code; standard output must be one object.
    #[track_caller]
    pub fn json(&self, words: &[&str], code: i32) -> Value {
        let words = [words, &["--json"]].concat();
        let ran = self.run(&words, code);
        let value: Value = serde_json::from_str(&ran.out)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.out, ran.err));
        assert_eq!(value["schema_version"], 1, "{value}");
        assert_eq!(value["exit_code"], code, "{value}");
        value
    }
}

/// What a process left.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The message and the hint of an error: two parts with an empty line between them.
    #[track_caller]
    pub fn error(&self, message: &str, hint: &str) {
        let at = self.err.find("error: ").unwrap_or_else(|| panic!("no error in {}", self.err));
        let (found, cure) =
            self.err[at..].split_once("\n\nhint: ").unwrap_or_else(|| panic!("no hint in {}", self.err));
        assert!(found.contains(message), "{message:?} is not in {found:?}");
        assert!(cure.contains(hint), "{hint:?} is not in {cure:?}");
    }
}

pub fn options(rows: u64, images: bool) -> PoolOptions {
    let array = |name: &str| ArraySpec { name: name.into(), dim: 16 };
    PoolOptions {
        rows,
        images,
        arrays: vec![array("l14_img"), array("l14_txt")],
        rows_per_metadata_shard: rows.div_ceil(3).max(1),
        samples_per_tar: rows.div_ceil(2).max(1),
        planted: Planted { failed_downloads: if images { 0.05 } else { 0.0 }, ..Planted::default() },
        ..PoolOptions::default()
    }
}

pub fn make_pool(path: &Path, options: &PoolOptions) {
    generate(options, path, &mut |_, _| {}).unwrap();
}

/// A recipe with every kind of step, for pools of `options`.
pub const RECIPE: &str = r#"
[input]
path = "pool/metadata"

[[step]]
kind = "filter"
where = "least(original_width, original_height) >= 200"
compute = { area = "original_width * original_height" }

[[step]]
kind = "dedup"
embedding = "l14_img"
epsilon = [0.05, 0.2]
cells = 4
probe = 2

[[step]]
kind = "cluster"
embedding = "l14_img"
k = [3, 6]
iterations = 5

[[step]]
kind = "prune"
fraction = [0.6, 0.3]
"#;

/// The same with the kept samples as tars.
pub fn recipe_with_shards() -> String {
    let images =
        RECIPE.replace("path = \"pool/metadata\"", "path = \"pool/metadata\"\nimages = \"pool/shards\"");
    images + "\n[output]\nshards = true\nshard_size = 10\nallow_missing = true\n"
}

/// Every file below a folder. Reports lose their times and ceilings; the page, which shows them, is left out, and so is the lock.
pub fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                walk(root, &path, files);
            } else if name.ends_with("report.json") {
                let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                drop_costs(&mut value);
                files.insert(name, value.to_string().into_bytes());
            } else if name != ".lock" && name != "report.html" {
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(folder, folder, &mut files);
    files
}

fn drop_costs(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| {
                !matches!(name.as_str(), "seconds" | "peak_memory_bytes" | "memory_limit_bytes" | "threads")
            });
            members.values_mut().for_each(drop_costs);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_costs),
        _ => {}
    }
}

/// Compares two folders and names the files that differ.
#[track_caller]
pub fn assert_same(a: &Path, b: &Path) {
    let (left, right) = (contents(a), contents(b));
    let differing: Vec<&String> =
        left.keys().chain(right.keys()).filter(|name| left.get(*name) != right.get(*name)).collect();
    assert!(
        !left.is_empty() && differing.is_empty(),
        "{} and {} differ in {differing:?}",
        a.display(),
        b.display()
    );
}

/// Number of files and folders below a folder, hidden ones included; 0 where it is missing.
pub fn entries(folder: &Path) -> usize {
    let Ok(items) = std::fs::read_dir(folder) else { return 0 };
    items
        .map(|item| item.unwrap().path())
        .map(|path| 1 + if path.is_dir() { entries(&path) } else { 0 })
        .sum()
}

/// An `.npy` of f32 rows with a file of ids beside it.
pub fn write_array(place: &Place, rows: &[Vec<f32>]) {
    let dim = rows.first().map_or(4, Vec::len);
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {dim}), }}", rows.len());
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    for value in rows.iter().flatten() {
        bytes.extend(value.to_le_bytes());
    }
    place.write("vectors.npy", bytes);
    let ids: String = (0..rows.len()).map(|row| format!("{:032x}\n", row + 1)).collect();
    place.write("ids.txt", ids);
}

/// Vectors that are all different, from a small generator with a seed.
pub fn vectors(rows: usize, dim: usize) -> Vec<Vec<f32>> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..rows).map(|_| (0..dim).map(|_| next()).collect()).collect()
}
