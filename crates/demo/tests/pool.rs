//! Pools seen from outside: what is on disk, read with other readers than our writers.
#![allow(clippy::unwrap_used, reason = "helpers of tests: clippy only knows the test functions themselves")]
use arrow::array::{Array, AsArray, Float32Array, RecordBatch};
use cribble_core::Uid;
use cribble_demo::{ArraySpec, DemoError, ImageKind, Planted, PoolOptions, PoolSummary, Truth, generate};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

fn small() -> PoolOptions {
    let array = |name: &str, dim| ArraySpec { name: name.to_owned(), dim };
    PoolOptions {
        rows: 250,
        arrays: vec![
            array("b32_img", 64),
            array("b32_txt", 64),
            array("l14_img", 200),
            array("l14_txt", 200),
        ],
        rows_per_metadata_shard: 110,
        samples_per_tar: 100,
        planted: Planted {
            byte_copies: 0.1,
            reencoded: 0.1,
            cropped: 0.1,
            mirrored: 0.1,
            brightened: 0.1,
            failed_downloads: 0.05,
            ..Planted::default()
        },
        ..PoolOptions::default()
    }
}

fn make(options: &PoolOptions, dir: &Path) -> PoolSummary {
    let mut last = (0, 0);
    let summary = generate(options, dir, &mut |done, total| {
        assert!(done >= last.0 && done <= total);
        last = (done, total);
    })
    .unwrap();
    assert_eq!(last.0, last.1);
    summary
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
    found
}

fn table(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(|batch| batch.unwrap()).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn text<'a>(batch: &'a RecordBatch, column: &str, row: usize) -> &'a str {
    batch.column_by_name(column).unwrap().as_string::<i32>().value(row)
}

/// The rows of one array of an npz, as f32.
fn array(path: &Path, name: &str, dim: usize) -> Vec<Vec<f32>> {
    let mut zip = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    let mut member = zip.by_name(&format!("{name}.npy")).unwrap();
    assert_eq!(member.compression(), zip::CompressionMethod::Stored);
    member.read_to_end(&mut bytes).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!(String::from_utf8_lossy(&bytes[10..start]).contains(&format!(", {dim})")));
    let values: Vec<f32> = bytes[start..]
        .chunks_exact(2)
        .map(|two| half::f16::from_le_bytes([two[0], two[1]]).to_f32())
        .collect();
    values.chunks(dim).map(<[f32]>::to_vec).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// One metadata row: its parquet columns and its image vectors.
struct Row {
    sha256: String,
    b32: Vec<f32>,
}

fn metadata(dir: &Path, options: &PoolOptions) -> HashMap<Uid, Row> {
    let mut rows = HashMap::new();
    for shard in 0..options.rows.div_ceil(options.rows_per_metadata_shard) {
        let stem = dir.join("metadata").join(format!("{shard:08}"));
        let batch = table(&stem.with_extension("parquet"));
        let npz = stem.with_extension("npz");
        let (b32, b32_text) = (array(&npz, "b32_img", 64), array(&npz, "b32_txt", 64));
        let (l14, l14_text) = (array(&npz, "l14_img", 200), array(&npz, "l14_txt", 200));
        assert_eq!((b32.len(), l14_text.len()), (batch.num_rows(), batch.num_rows()));
        for row in 0..batch.num_rows() {
            let column = |name: &str| -> f64 {
                let scores: &Float32Array = batch.column_by_name(name).unwrap().as_primitive();
                f64::from(scores.value(row))
            };
            // The columns come from the vectors before they were rounded to f16.
            assert!((column("clip_b32_similarity_score") - cosine(&b32[row], &b32_text[row])).abs() < 2e-3);
            assert!((column("clip_l14_similarity_score") - cosine(&l14[row], &l14_text[row])).abs() < 2e-3);
            let uid = text(&batch, "uid", row).parse().unwrap();
            let sha256 = text(&batch, "sha256", row).to_owned();
            assert!(rows.insert(uid, Row { sha256, b32: b32[row].clone() }).is_none(), "uids are unique");
        }
    }
    rows
}

#[test]
fn the_bytes_do_not_depend_on_threads_and_an_interrupted_pool_is_begun_again() {
    let options = PoolOptions { rows: 130, rows_per_metadata_shard: 70, samples_per_tar: 50, ..small() };
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = |threads, dir: &Path| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| make(&options, dir))
    };
    run(1, one.path());
    // What an interrupted run leaves: the marker and some files.
    std::fs::write(two.path().join("pool.json.partial"), b"").unwrap();
    std::fs::create_dir(two.path().join("shards")).unwrap();
    std::fs::write(two.path().join("shards/99999999.tar"), b"half").unwrap();
    assert_eq!(PoolSummary::open(two.path()).unwrap(), None);
    let summary = run(2, two.path());
    let (one, two_files) = (files(one.path()), files(two.path()));
    assert_eq!(one.keys().collect::<Vec<_>>(), two_files.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(two_files[name] == *bytes, "{name} differs");
    }
    assert_eq!(one.len(), 2 * 2 + 3 * 3 + 2);
    assert_eq!(PoolSummary::open(two.path()).unwrap(), Some(summary));
    assert!(matches!(generate(&options, two.path(), &mut |_, _| {}), Err(DemoError::NotEmpty { .. })));
}

#[test]
fn metadata_tars_and_truth_agree() {
    let (options, dir) = (small(), tempfile::tempdir().unwrap());
    let summary = make(&options, dir.path());
    let rows = metadata(dir.path(), &options);
    let truth = Truth::open(dir.path()).unwrap();
    assert_eq!((rows.len(), truth.rows.len()), (250, 250));
    assert_eq!(truth.rows.iter().map(|row| row.uid).collect::<BTreeSet<_>>().len(), 250);

    for counts in [&summary.kinds, &summary.caption_kinds, &summary.languages, &summary.concepts] {
        assert_eq!(counts.values().sum::<u64>(), 250);
    }
    let images = truth.rows.iter().filter(|row| row.has_image).count();
    assert_eq!(images as u64, summary.images);
    assert!(images < 250, "some downloads fail");

    let mut twins = BTreeMap::<ImageKind, u32>::new();
    for row in &truth.rows {
        let Some(original) = row.twin_of else {
            assert!(!row.kind.is_twin());
            continue;
        };
        let (twin, original) = (&rows[&row.uid], &rows[&original]);
        assert_eq!(twin.sha256 == original.sha256, row.kind == ImageKind::ByteCopy, "{:?}", row.kind);
        let cosine = cosine(&twin.b32, &original.b32);
        let range = match row.kind {
            ImageKind::ByteCopy => {
                assert_eq!(twin.b32, original.b32);
                0.999..1.001
            }
            ImageKind::Reencoded => 0.985..0.995,
            ImageKind::Cropped => 0.95..0.98,
            _ => 0.955..0.985,
        };
        assert!(range.contains(&cosine), "{:?} {cosine}", row.kind);
        *twins.entry(row.kind).or_default() += 1;
    }
    assert_eq!(twins.len(), 5, "every kind of twin was planted: {twins:?}");

    let has_image: HashMap<Uid, bool> = truth.rows.iter().map(|row| (row.uid, row.has_image)).collect();
    let (mut in_tars, mut listed) = (BTreeSet::new(), 0);
    for shard in 0..summary.tars {
        let stem = dir.path().join("shards").join(format!("{shard:08}"));
        let members = read_tar(&stem.with_extension("tar"));
        for (key, members) in &members {
            assert_eq!(members.len(), 3, "{key}");
            let json: serde_json::Value = serde_json::from_slice(&members["json"]).unwrap();
            assert_eq!(json["key"], key.as_str());
            assert_eq!(json["caption"].as_str().unwrap().as_bytes(), members["txt"]);
            let jpeg = &members["jpg"];
            assert!(jpeg.starts_with(&[0xff, 0xd8, 0xff]) && jpeg.ends_with(&[0xff, 0xd9]));
            let uid: Uid = json["uid"].as_str().unwrap().parse().unwrap();
            assert_eq!(json["sha256"].as_str().unwrap(), rows[&uid].sha256);
            assert!(has_image[&uid]);
            assert!(in_tars.insert(uid));
        }
        let batch = table(&stem.with_extension("parquet"));
        listed += batch.num_rows();
        for row in 0..batch.num_rows() {
            let uid: Uid = text(&batch, "uid", row).parse().unwrap();
            assert_eq!(text(&batch, "status", row) == "success", has_image[&uid]);
            assert_eq!(batch.column_by_name("error_message").unwrap().is_null(row), has_image[&uid]);
        }
        let stats = std::fs::read(dir.path().join(format!("shards/{shard:08}_stats.json"))).unwrap();
        let stats: serde_json::Value = serde_json::from_slice(&stats).unwrap();
        assert_eq!(stats["successes"], members.len());
    }
    assert_eq!((in_tars.len(), listed), (images, 250));
}

type Members = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// The members of a tar by key and extension, read by the `tar` crate.
fn read_tar(path: &Path) -> Members {
    let mut found = Members::new();
    for entry in tar::Archive::new(File::open(path).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let (key, extension) = name.split_once('.').unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert!(found.entry(key.to_owned()).or_default().insert(extension.to_owned(), bytes).is_none());
    }
    found
}

#[test]
fn a_pool_without_images_has_metadata_and_truth_only() {
    let dir = tempfile::tempdir().unwrap();
    let options = PoolOptions {
        rows_per_metadata_shard: 9000,
        arrays: vec![ArraySpec { name: "l14_txt".to_owned(), dim: 16 }],
        ..PoolOptions::big(20_000)
    };
    let summary = make(&options, dir.path());
    assert_eq!((summary.metadata_shards, summary.tars, summary.images), (3, 0, 0));
    let names: Vec<String> = files(dir.path()).into_keys().collect();
    assert_eq!(names.len(), 8, "{names:?}");
    let truth = Truth::open(dir.path()).unwrap();
    let mut hashes = HashMap::new();
    for shard in 0..3 {
        let batch = table(&dir.path().join(format!("metadata/{shard:08}.parquet")));
        for row in 0..batch.num_rows() {
            let uid: Uid = text(&batch, "uid", row).parse().unwrap();
            hashes.insert(uid, text(&batch, "sha256", row).to_owned());
        }
    }
    let expected = truth.rows.len() as u64 - summary.kinds["byte_copy"];
    assert_eq!(hashes.values().collect::<BTreeSet<_>>().len() as u64, expected);
    for row in truth.rows.iter().filter(|row| row.kind == ImageKind::ByteCopy) {
        assert_eq!(hashes[&row.uid], hashes[&row.twin_of.unwrap()]);
    }
}

#[test]
fn a_pool_of_tars_has_the_same_tars_and_truth_and_nothing_else() {
    let (whole, tars) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make(&small(), whole.path());
    let options = PoolOptions { metadata: false, arrays: Vec::new(), ..small() };
    assert_eq!(make(&options, tars.path()).metadata_shards, 0);
    let mut expected = files(whole.path());
    expected.retain(|name, _| !name.starts_with("metadata/") && name != "pool.json");
    let mut found = files(tars.path());
    found.retain(|name, _| name != "pool.json");
    assert_eq!(found, expected);

    let impossible = PoolOptions { images: false, ..options };
    assert!(matches!(
        generate(&impossible, &tars.path().join("other"), &mut |_, _| ()),
        Err(DemoError::Option { option: "metadata", .. })
    ));
}

#[test]
fn an_empty_pool_and_a_pool_of_one_are_pools() {
    for rows in [0, 1] {
        let dir = tempfile::tempdir().unwrap();
        let summary = make(&PoolOptions { rows, ..small() }, dir.path());
        assert_eq!((summary.rows, summary.metadata_shards, summary.tars), (rows, rows, rows));
        assert_eq!(Truth::open(dir.path()).unwrap().rows.len() as u64, rows);
    }
}

#[test]
fn a_foreign_folder_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.tex"), b"precious").unwrap();
    let error = generate(&small(), dir.path(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, DemoError::NotEmpty { .. }) && error.hint().is_some());
    assert_eq!(files(dir.path()).len(), 1);
}
