//! Resharding against what was put into the tars: every requested sample once per copy, byte for byte, whatever was interrupted.
use super::*;
use cribble_core::{Cancel, Silent, Uid};
use cribble_io::tar::{hashed_uid, write};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// Key, uid in the json (if any), members beside the json.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    key: String,
    pub(super) uid: Option<u128>,
    image: Vec<u8>,
}

impl Sample {
    pub(super) fn new(key: impl Into<String>, uid: u128, size: usize) -> Self {
        let image = (0..size).map(|at| (at as u128 * 31 + uid) as u8).collect();
        Self { key: key.into(), uid: Some(uid), image }
    }

    fn members(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut members = vec![("jpg", self.image.clone()), ("txt", self.key.clone().into_bytes())];
        if let Some(uid) = self.uid {
            members.push(("json", format!("{{\"uid\": \"{}\", \"key\": \"x\"}}", Uid(uid)).into_bytes()));
        }
        let turn = self.image.len() % members.len();
        members.rotate_left(turn);
        members
    }
}

fn tar_of(samples: &[Sample]) -> Vec<u8> {
    let mut tar = Vec::new();
    for sample in samples {
        for (extension, data) in sample.members() {
            let name = format!("{}.{extension}", sample.key);
            tar.extend_from_slice(&write::member_headers(name.as_bytes(), data.len() as u64, None));
            tar.extend_from_slice(&data);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
    }
    tar.extend_from_slice(&write::END_MARK);
    tar
}

/// Key and members by extension, as a reader of tars sees a sample.
pub(super) type ReadSample = (String, BTreeMap<String, Vec<u8>>);

pub(super) struct Case {
    pub(super) folder: tempfile::TempDir,
    pub(super) options: ReshardOptions,
}

impl Case {
    /// Writes `tars` (with a gap in their numbers) and a subset.
    pub(super) fn new(tars: &[Vec<Sample>], subset: &[u128]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in");
        fs::create_dir(&input).unwrap();
        for (number, samples) in tars.iter().enumerate() {
            fs::write(input.join(format!("{:08}.tar", number * 3)), tar_of(samples)).unwrap();
        }
        let options = ReshardOptions {
            input: vec![input],
            subset: folder.path().join("subset.txt"),
            output: folder.path().join("out"),
            threads: 1,
            memory_bytes: 1,
            ..Default::default()
        };
        let case = Self { folder, options };
        case.ask_for(subset);
        case
    }

    pub(super) fn ask_for(&self, subset: &[u128]) {
        let text: String = subset.iter().map(|&uid| format!("{}\n", Uid(uid))).collect();
        fs::write(&self.options.subset, text).unwrap();
    }

    pub(super) fn run(&self) -> cribble_core::Result<ReshardReport> {
        reshard(&self.options, &Silent, &Cancel::new())
    }

    fn input(&self, number: usize) -> PathBuf {
        self.options.input[0].join(format!("{:08}.tar", number * 3))
    }

    /// Every file of the output folder but the summary, which holds paths.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.options.output)
    }

    /// The samples of all shards in order: key and members by extension.
    pub(super) fn samples(&self) -> Vec<Vec<ReadSample>> {
        self.files()
            .iter()
            .filter(|(name, _)| name.ends_with(".tar"))
            .map(|(_, bytes)| samples_of(bytes))
            .collect()
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let items = fs::read_dir(folder).unwrap().map(|item| item.unwrap().path());
    items
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect()
}

/// Reads a tar as the `tar` crate does, and groups it as webdataset does.
pub(super) fn samples_of(bytes: &[u8]) -> Vec<ReadSample> {
    let mut samples: Vec<ReadSample> = Vec::new();
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let base = name.rfind('/').map_or(0, |slash| slash + 1);
        let dot = base + name[base..].find('.').unwrap();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        if samples.last().is_none_or(|(key, _)| *key != name[..dot]) {
            samples.push((name[..dot].to_owned(), BTreeMap::new()));
        }
        samples.last_mut().unwrap().1.insert(name[dot + 1..].to_owned(), data);
    }
    samples
}

fn members_of(sample: &Sample) -> BTreeMap<String, Vec<u8>> {
    sample.members().into_iter().map(|(extension, data)| (extension.to_owned(), data)).collect()
}

pub(super) fn three_tars() -> Vec<Vec<Sample>> {
    (0..3u128)
        .map(|tar| {
            (0..10)
                .map(|i| Sample::new(format!("{tar:05}{i:04}"), tar * 10 + i + 1, (i * 173 % 900) as usize))
                .collect()
        })
        .collect()
}

#[test]
fn shards_are_exact_in_input_order_and_members_byte_for_byte() {
    let tars = three_tars();
    let mut case = Case::new(&tars, &[2, 3, 4, 4, 4, 15, 21, 30, 30, 999]);
    case.options.shard_size = 4;
    let report = case.run().unwrap();
    assert_eq!((report.requested, report.found, report.written, report.missing), (10, 9, 9, 1));
    assert_eq!((report.input_samples, report.found_distinct, report.not_requested), (30, 6, 24));
    assert!(!report.is_complete());
    let shards = case.samples();
    assert_eq!(shards.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 1]);
    let all: Vec<_> = shards.into_iter().flatten().collect();
    let keys: Vec<&str> = all.iter().map(|(key, _)| key.as_str()).collect();
    let expected = [
        "000000001",
        "000000002",
        "000000003",
        "000000003-1",
        "000000003-2",
        "000010004",
        "000020000",
        "000020009",
        "000020009-1",
    ];
    assert_eq!(keys, expected);
    assert_eq!(all[3].1, members_of(&tars[0][3]));
    assert_eq!(all[8].1, members_of(&tars[2][9]));

    let files = case.files();
    assert_eq!(files["00000000_stats.json"], b"{\"successes\": 4}\n");
    assert_eq!(files["sizes.json"], b"{\"00000000.tar\":4,\"00000001.tar\":4,\"00000002.tar\":1}\n");
    assert_eq!(files["sample_ids.npy"].len(), 128 + 16 * 10);
    let missing = String::from_utf8(files["missing_uids.csv"].clone()).unwrap();
    assert_eq!(missing, format!("uid,copies,cause\n{},1,\"not in any tar of the input\"\n", Uid(999)));
    assert_eq!(report.shards[0].bytes, files["00000000.tar"].len() as u64);

    // All samples that keep their keys: the shard is the source, but for what stands around it.
    case.ask_for(&(1..=30).collect::<Vec<_>>());
    case.options.shard_size = 10;
    case.options.overwrite = true;
    assert!(case.run().unwrap().is_complete());
    let files = case.files();
    for number in 0..3 {
        assert_eq!(files[&format!("{number:08}.tar")], fs::read(case.input(number)).unwrap());
    }
    assert!(!files.contains_key("missing_uids.csv") && !files.contains_key(".reshard"));
}

#[test]
fn uid_keys_are_datacomps() {
    let mut case = Case::new(&three_tars(), &[5, 5, 17]);
    case.options.keys = KeyStyle::Uid;
    case.run().unwrap();
    let keys: Vec<String> = case.samples().into_iter().flatten().map(|(key, _)| key).collect();
    assert_eq!(keys, [format!("{}-0", Uid(5)), format!("{}-1", Uid(5)), format!("{}-0", Uid(17))]);
}

#[test]
fn the_number_of_threads_changes_nothing_and_neither_does_a_second_run() {
    let subset: Vec<u128> = (1..=30).flat_map(|uid| vec![uid; 1 + uid as usize % 3]).collect();
    let mut one = Case::new(&three_tars(), &subset);
    one.options.shard_size = 7;
    let first = one.run().unwrap();
    let files = one.files();
    one.options.threads = 4;
    let again = one.run().unwrap();
    assert_eq!((first.reused_shards, again.reused_shards), (0, first.shards.len() as u64));
    assert_eq!(one.files(), files);
    one.options.overwrite = true;
    assert_eq!(one.run().unwrap().reused_shards, 0);
    assert_eq!(one.files().keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
    let tars = |files: BTreeMap<String, Vec<u8>>| {
        files.into_iter().filter(|(n, _)| n != "reshard.json").collect::<Vec<_>>()
    };
    assert_eq!(tars(one.files()), tars(files));
}

#[test]
fn what_was_lost_or_cut_is_written_again_and_the_rest_stays() {
    let mut case = Case::new(&three_tars(), &(1..=30).collect::<Vec<_>>());
    case.options.shard_size = 6;
    case.run().unwrap();
    let files = case.files();
    let out = case.options.output.clone();
    fs::remove_file(out.join("00000001.tar")).unwrap();
    fs::write(out.join("00000002.tar"), &files["00000002.tar"][..700]).unwrap();
    fs::remove_file(out.join("00000003_stats.json")).unwrap();
    fs::remove_file(out.join("sizes.json")).unwrap();
    assert_eq!(case.run().unwrap().reused_shards, 2);
    assert_eq!(case.files(), files);
}

#[test]
fn a_cancelled_run_goes_on_with_the_same_bytes() {
    struct StopAfter<'a>(&'a Cancel, std::sync::atomic::AtomicU64);
    impl cribble_core::Progress for StopAfter<'_> {
        fn begin(&self, _: &str, _: u64, _: &'static str) {}
        fn advance(&self, units: u64) {
            if self.1.fetch_sub(units, std::sync::atomic::Ordering::SeqCst) == 1 {
                self.0.cancel();
            }
        }
        fn end(&self) {}
        fn note(&self, _: &str) {}
        fn warn(&self, _: &str) {}
    }
    let subset: Vec<u128> = (1..=30).chain([30, 77]).collect();
    let mut whole = Case::new(&three_tars(), &subset);
    whole.options.shard_size = 5;
    whole.run().unwrap();
    let bytes = |case: &Case| {
        let mut files = case.files();
        files.remove("reshard.json");
        files
    };
    // Three steps of indexing, then seven shards.
    for stop in 1..=10 {
        let mut case = Case::new(&three_tars(), &subset);
        case.options.shard_size = 5;
        let cancel = Cancel::new();
        let result = reshard(&case.options, &StopAfter(&cancel, stop.into()), &cancel);
        if let Err(error) = result {
            assert_eq!(error.kind(), cribble_core::ErrorKind::Interrupted, "{error}");
            let report = case.run().unwrap();
            assert!(
                report.reused_shards + 3 >= stop && report.reused_shards < 7,
                "{stop}: {}",
                report.reused_shards
            );
        }
        assert_eq!(bytes(&case), bytes(&whole), "stopped after {stop}");
    }
}

#[test]
fn missing_samples_are_told_by_cause() {
    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    use std::sync::Arc;
    let mut case = Case::new(&three_tars(), &[1, 15, 29, 40, 41, 42, 43]);
    let parquet = |name: &str, rows: &[(u128, &str, Option<&str>)]| {
        let columns: [(&str, ArrayRef); 4] = [
            ("uid", Arc::new(rows.iter().map(|r| Some(Uid(r.0).to_string())).collect::<StringArray>())),
            ("key", Arc::new(rows.iter().map(|r| Some(r.0.to_string())).collect::<StringArray>())),
            ("status", Arc::new(rows.iter().map(|r| Some(r.1)).collect::<StringArray>())),
            ("error_message", Arc::new(rows.iter().map(|r| r.2).collect::<StringArray>())),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = fs::File::create(case.options.input[0].join(name)).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    let dead = Some("HTTP Error 404: Not \"Found\"");
    parquet(
        "00000000.parquet",
        &[(1, "success", None), (40, "failed_to_download", dead), (41, "failed_to_resize", None)],
    );
    parquet("00000006.parquet", &[(29, "success", None)]);
    parquet("00000009.parquet", &[(42, "success", None)]);
    fs::write(case.options.input[0].join("notes.parquet"), b"no parquet").unwrap();
    let whole = fs::read(case.input(2)).unwrap();
    fs::write(case.input(2), &whole[..whole.len() * 6 / 10]).unwrap();
    let report = case.run().unwrap();
    let expected = [
        ("download failed: HTTP Error 404: Not \"Found\"", 1),
        ("download failed: failed_to_resize", 1),
        ("downloaded, but its tar cannot be read to the end", 1),
        ("downloaded, but its tar is not there", 1),
        ("not in any tar of the input", 1),
    ];
    assert_eq!(report.missing_by_cause, expected.map(|(cause, count)| (cause.to_owned(), count)).into());
    assert_eq!((report.found, report.missing, report.faults.len()), (2, 5, 1));
    assert!(report.warnings.iter().any(|warning| warning.contains("cut off")), "{:?}", report.warnings);
    // The list of the missing is a subset file itself: asked for again, all of it is still missing.
    case.options.subset = case.options.output.join("missing_uids.csv");
    case.options.output = case.folder.path().join("again");
    assert_eq!(case.run().unwrap().missing, 5);
}

#[test]
fn foreign_folders_and_other_plans_are_left_alone() {
    let mut case = Case::new(&three_tars(), &[1, 2, 3]);
    fs::create_dir(&case.options.output).unwrap();
    let note = case.options.output.join("note");
    fs::write(&note, b"mine").unwrap();
    for overwrite in [false, true] {
        case.options.overwrite = overwrite;
        let error = case.run().unwrap_err();
        assert!(error.to_string().contains("something else") && error.hint().is_some(), "{error}");
    }
    assert_eq!(case.files().len(), 1);
    fs::remove_file(&note).unwrap();
    case.options.overwrite = false;
    case.options.shard_size = 1;
    case.run().unwrap();
    fs::write(&note, b"mine").unwrap();
    case.options.shard_size = 2;
    let error = case.run().unwrap_err();
    assert!(error.hint().unwrap().contains("--overwrite"), "{error}");
    assert!(case.files().contains_key("00000002.tar"));
    case.options.overwrite = true;
    case.run().unwrap();
    let files = case.files();
    assert!(
        files.contains_key("note")
            && !files.contains_key("00000002.tar")
            && !files.contains_key("00000002_stats.json")
    );
}

#[test]
fn a_dry_run_reports_the_same_and_writes_nothing() {
    let mut case = Case::new(&three_tars(), &[1, 2, 3, 99]);
    case.options.dry_run = true;
    let before = fs::read_dir(case.folder.path()).unwrap().count();
    let dry = case.run().unwrap();
    assert_eq!(fs::read_dir(case.folder.path()).unwrap().count(), before);
    case.options.dry_run = false;
    let wet = case.run().unwrap();
    assert_eq!(
        (dry.plan_hash, dry.found, dry.missing, dry.written),
        (wet.plan_hash, wet.found, wet.missing, 0)
    );
    assert_eq!(dry.shards, wet.shards);
}

#[test]
fn wrong_options_are_refused() {
    let case = Case::new(&three_tars(), &[1]);
    let with = |change: &dyn Fn(&mut ReshardOptions)| {
        let mut options = case.options.clone();
        change(&mut options);
        reshard(&options, &Silent, &Cancel::new()).unwrap_err().to_string()
    };
    assert!(with(&|o| o.shard_size = 0).contains("shard size 0"));
    assert!(with(&|o| o.input.clear()).contains("no input"));
    assert!(with(&|o| o.input = vec!["/nowhere".into()]).contains("/nowhere"));
    assert!(with(&|o| o.input = vec![case.folder.path().into()]).contains("no tar"));
    for format in ["x.tar", "{}", "{:08d}.zip", "{}{}.tar", "a/{}.tar", "{:x}.tar", ".{}.tar"] {
        assert!(with(&|o| o.shard_format = format.into()).contains("shard format"), "{format}");
    }
    let format = ShardFormat::parse("part-{:05d}-x.tar").unwrap();
    assert_eq!(
        (format.name(7), format.stats_name(7)),
        ("part-00007-x.tar".into(), "part-00007-x_stats.json".into())
    );
}

#[test]
fn long_and_foreign_keys_without_uid_survive_and_large_samples_cut_shards() {
    let long = format!("папка/{}", "ключ".repeat(75));
    let mut samples =
        vec![Sample::new(long.clone(), 0, 4000), Sample::new("b", 0, 4000), Sample::new("c", 0, 10)];
    for sample in &mut samples {
        sample.uid = None;
    }
    let uids: Vec<u128> =
        [long.as_str(), "b", "b", "c"].iter().map(|k| hashed_uid("00000000.tar", k.as_bytes()).0).collect();
    let mut case = Case::new(&[samples.clone()], &[]);
    case.ask_for(&[uids[0], uids[0], uids[1], uids[1], uids[3]]);
    case.options.max_shard_bytes = 12_000;
    let report = case.run().unwrap();
    assert!(
        report.warnings.iter().any(|w| w.contains("3 without json"))
            && report.warnings.iter().any(|w| w.contains("not sorted"))
            || report.warnings.len() == 1
    );
    let all: Vec<_> = case.samples();
    assert!(all.len() > 1 && report.shards.iter().all(|s| s.bytes <= 12_000), "{:?}", report.shards);
    let all: Vec<_> = all.into_iter().flatten().collect();
    assert_eq!(
        all.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(),
        [long.clone(), format!("{long}-1"), "b".into(), "b-1".into(), "c".into()]
    );
    assert_eq!(all[1].1, members_of(&samples[0]));
}

#[test]
fn datacomps_resharder_wrote_the_same_samples() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parity/vectors/reshard");
    let text = fs::read_to_string(vectors.join("vectors.json")).unwrap();
    let recorded: serde_json::Value = serde_json::from_str(&text).unwrap();
    for subset in ["subset.npy", "subset.bin"] {
        let folder = tempfile::tempdir().unwrap();
        let options = ReshardOptions {
            input: vec![vectors.join("input")],
            subset: vectors.join(subset),
            output: folder.path().join("out"),
            shard_size: recorded["shard_size"].as_u64().unwrap(),
            keys: KeyStyle::Uid,
            threads: 2,
            ..Default::default()
        };
        let report = reshard(&options, &Silent, &Cancel::new()).unwrap();
        assert_eq!(report.requested, recorded["requested"].as_u64().unwrap());
        assert_eq!(report.written, recorded["counts"]["output_count"].as_u64().unwrap());
        // The reference writes extensions in lower case, as webdataset reads them; ours keep the name that they had.
        let ours: Vec<_> = files(&options.output)
            .iter()
            .filter(|(n, _)| n.ends_with(".tar"))
            .flat_map(|(_, b)| samples_of(b))
            .collect();
        let shards = recorded["shards"].as_array().unwrap();
        let theirs: Vec<_> = shards.iter().flat_map(|shard| shard["samples"].as_array().unwrap()).collect();
        assert_eq!(ours.len(), theirs.len());
        for ((key, members), other) in ours.iter().zip(theirs) {
            assert_eq!(key, other["key"].as_str().unwrap());
            let other: BTreeMap<String, u64> = other["members"]
                .as_array()
                .unwrap()
                .iter()
                .map(|m| (m["name"].as_str().unwrap().to_owned(), m["bytes"].as_u64().unwrap()))
                .collect();
            assert_eq!(
                members.iter().map(|(n, d)| (n.to_lowercase(), d.len() as u64)).collect::<BTreeMap<_, _>>(),
                other
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn each_requested_uid_comes_once_per_copy_under_a_key_of_its_own(
        // Keys of few letters and uids from a small range: clashes and repeats are common.
        tars in prop::collection::vec(prop::collection::vec(("[ab](-[012])?", 0u128..30, 0usize..1500), 0..8), 1..4),
        subset in prop::collection::vec(0u128..36, 0..20),
        shard_size in 1u64..5,
        by_uid: bool,
    ) {
        let tars: Vec<Vec<Sample>> = tars.into_iter().map(|samples| {
            samples.into_iter().map(|(key, uid, size)| Sample::new(key, uid, size)).collect()
        }).collect();
        let mut case = Case::new(&tars, &subset);
        case.options.shard_size = shard_size;
        case.options.keys = if by_uid { KeyStyle::Uid } else { KeyStyle::Original };
        let report = case.run().unwrap();
        prop_assert_eq!(report.requested, report.found + report.missing);
        prop_assert_eq!(report.input_samples, report.found_distinct + report.not_requested + report.repeated_in_input);

        let mut expected: Vec<(u128, BTreeMap<String, Vec<u8>>)> = Vec::new();
        let mut first = std::collections::BTreeSet::new();
        for sample in tars.iter().flatten() {
            let uid = sample.uid.unwrap();
            if first.insert(uid) {
                let copies = subset.iter().filter(|&&wanted| wanted == uid).count();
                expected.extend((0..copies).map(|_| (uid, members_of(sample))));
            }
        }
        let shards = case.samples();
        let sizes: Vec<u64> = shards.iter().map(|shard| shard.len() as u64).collect();
        prop_assert!(sizes.iter().rev().skip(1).all(|&size| size == shard_size));
        let written: Vec<_> = shards.into_iter().flatten().collect();
        prop_assert_eq!(written.len(), expected.len());
        for ((_, members), (_, wanted)) in written.iter().zip(&expected) {
            prop_assert_eq!(members, wanted);
        }
        let keys: std::collections::BTreeSet<_> = written.iter().map(|(key, _)| key).collect();
        prop_assert_eq!(keys.len(), written.len());
    }
}
