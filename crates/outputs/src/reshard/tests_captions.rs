//! New captions in new tars, read back as a reader of tars sees them; what has none stays byte for byte.
use super::{
    tests::{Case, Sample, samples_of, three_tars},
    *,
};
use cribble_core::{Cancel, ErrorKind, Progress, Result, Silent, Txt, Uid};
use cribble_io::tar::hashed_uid;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

/// Fields of samples, by uid.
struct Known(Vec<CaptionField>, Vec<(Uid, Value)>);

impl Known {
    fn new(samples: Vec<(Uid, Value)>) -> Self {
        let field = |name: &str, is_caption| CaptionField { name: name.into(), is_caption };
        let fields =
            vec![field("caption_a", true), field("caption_best", true), field("caption_best_from", false)];
        Self(fields, samples)
    }

    /// For every uid of `three_tars` but those that 3 divides, in falling order.
    fn most() -> Self {
        let uids = (1..=30u128).rev().filter(|uid| !uid.is_multiple_of(3));
        Self::new(uids.map(|uid| (Uid(uid), fields(uid))).collect())
    }
}

fn fields(uid: u128) -> Value {
    json!({"caption_a": format!("a \"{uid}\""), "caption_best": format!("best é {uid}"), "caption_best_from": "caption_a"})
}

impl CaptionSource for Known {
    fn fields(&self) -> &[CaptionField] {
        &self.0
    }
    fn write(&self, to: &mut CaptionWriter, _: &dyn Progress, _: &Cancel) -> Result<()> {
        self.1.iter().try_for_each(|(uid, fields)| to.push(*uid, fields.as_object().unwrap()))
    }
}

fn run(case: &Case, source: &Known) -> Result<ReshardReport> {
    reshard_with_captions(&case.options, Some(source), &Silent, &Cancel::new())
}

fn object(bytes: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn the_json_gets_the_fields_and_all_else_stays() {
    let tars = three_tars();
    let all: Vec<u128> = (1..=30).chain([4, 4, 6]).collect();
    for (keys, shard_size) in [(KeyStyle::Original, 7), (KeyStyle::Uid, 100)] {
        let mut plain = Case::new(&tars, &all);
        (plain.options.keys, plain.options.shard_size) = (keys, shard_size);
        plain.run().unwrap();
        let mut case = Case::new(&tars, &all);
        case.options = ReshardOptions {
            output: case.options.output.clone(),
            input: case.options.input.clone(),
            subset: case.options.subset.clone(),
            ..plain.options.clone()
        };
        let report = run(&case, &Known::most()).unwrap();
        let captions = report.captions.unwrap();
        let expected = CaptionCounts { samples: 22, without: 11, ..CaptionCounts::default() };
        assert_eq!(captions.counts, expected);
        assert_eq!(captions.text_keys, ["caption_best", "caption"]);
        let (old, new) = (plain.samples(), case.samples());
        assert_eq!(
            old.iter().map(Vec::len).collect::<Vec<_>>(),
            new.iter().map(Vec::len).collect::<Vec<_>>()
        );
        for ((old_key, old), (key, new)) in old.iter().flatten().zip(new.iter().flatten()) {
            assert_eq!(key, old_key);
            assert_eq!((&new["jpg"], &new["txt"]), (&old["jpg"], &old["txt"]));
            let uid = u128::from_str_radix(object(&old["json"])["uid"].as_str().unwrap(), 16).unwrap();
            if uid.is_multiple_of(3) {
                assert_eq!(new, old);
                continue;
            }
            // The text of the sample is its caption: its json had none.
            let mut expected = object(&old["json"]);
            expected.insert("caption".into(), String::from_utf8(old["txt"].clone()).unwrap().into());
            expected.extend(fields(uid).as_object().unwrap().clone());
            assert_eq!(object(&new["json"]), expected);
            let before = &old["json"][..old["json"].len() - 1];
            assert!(new["json"].starts_with(before));
        }
        let sizes: Vec<u64> =
            report.shards.iter().map(|shard| case.files()[&shard.name].len() as u64).collect();
        assert_eq!(report.shards.iter().map(|shard| shard.bytes).collect::<Vec<_>>(), sizes);
    }
}

#[test]
fn the_best_becomes_the_text_and_missing_members_are_made() {
    let mut samples = vec![Sample::new("a", 1, 10), Sample::new("b", 2, 11), Sample::new("c", 3, 700)];
    samples[1].uid = None;
    let made = hashed_uid("00000000.tar", b"b");
    let mut case = Case::new(&[samples], &[]);
    case.ask_for(&[1, made.0, made.0, 3]);
    case.options.txt = Txt::Best;
    let source = Known::new(vec![
        (Uid(1), json!({"caption_best": "first"})),
        (Uid(1), json!({"caption_best": "second"})),
        (made, json!({"caption_best": "made", "key": "other"})),
        (Uid(3), json!({"caption_a": "no best", "key": "y"})),
    ]);
    let report = run(&case, &source).unwrap();
    let written = case.samples().concat();
    let text = |at: usize| String::from_utf8(written[at].1["txt"].clone()).unwrap();
    assert_eq!([0, 1, 2, 3].map(text), ["first", "made", "made", "c"]);
    let json = |at: usize| String::from_utf8(written[at].1["json"].clone()).unwrap();
    let head = |uid| format!("{{\"uid\": \"{}\", \"key\": ", Uid(uid));
    assert_eq!(json(0), format!("{}\"x\",\"caption\":\"a\",\"caption_best\":\"first\"}}", head(1)));
    let expected =
        format!("{{\"uid\":\"{made}\",\"caption\":\"b\",\"caption_best\":\"made\",\"key\":\"other\"}}");
    assert_eq!((json(1), json(2)), (expected.clone(), expected));
    assert_eq!(json(3), format!("{}\"y\",\"caption\":\"c\",\"caption_a\":\"no best\"}}", head(3)));
    let counts = report.captions.unwrap().counts;
    let expected = CaptionCounts {
        samples: 4,
        json_made: 2,
        txt_best: 3,
        replaced_fields: 1,
        ..CaptionCounts::default()
    };
    assert_eq!(counts, expected);
    assert!(report.warnings.iter().any(|warning| warning.contains("1 fields")), "{:?}", report.warnings);
    // What was made is an ordinary member: another reshard copies it.
    let again = Case { folder: tempfile::tempdir().unwrap(), options: case.options.clone() };
    let out = again.folder.path().join("again");
    let options = ReshardOptions {
        input: vec![case.options.output.clone()],
        output: out.clone(),
        txt: Txt::Original,
        ..case.options.clone()
    };
    assert!(reshard(&options, &Silent, &Cancel::new()).unwrap().is_complete());
    let copied = samples_of(&std::fs::read(out.join("00000000.tar")).unwrap());
    assert_eq!(
        copied.iter().map(|(_, m)| m).collect::<Vec<_>>(),
        written.iter().map(|(_, m)| m).collect::<Vec<_>>()
    );
}

#[test]
fn interruptions_and_threads_change_nothing_and_other_captions_are_another_plan() {
    struct StopAfter<'a>(&'a Cancel, AtomicU64);
    impl Progress for StopAfter<'_> {
        fn begin(&self, _: &str, _: u64, _: &'static str) {}
        fn advance(&self, units: u64) {
            if self.1.fetch_sub(units, Ordering::SeqCst) == 1 {
                self.0.cancel();
            }
        }
        fn end(&self) {}
        fn note(&self, _: &str) {}
        fn warn(&self, _: &str) {}
    }
    let subset: Vec<u128> = (1..=30).chain([29]).collect();
    let summary = |case: &Case| {
        let mut files: BTreeMap<String, Vec<u8>> = case.files();
        let mut report = object(&files.remove("reshard.json").unwrap())["report"].clone();
        // Hashes cover the times of the input files, which every case has its own of.
        for shard in report["shards"].as_array_mut().unwrap() {
            shard.as_object_mut().unwrap().remove("hash").unwrap();
        }
        (files, report)
    };
    let mut whole = Case::new(&three_tars(), &subset);
    (whole.options.shard_size, whole.options.txt, whole.options.threads) = (5, Txt::Best, 4);
    run(&whole, &Known::most()).unwrap();
    // The index: three tars; then seven shards.
    let mut stopped = 0;
    for stop in 4..=10u64 {
        let mut case = Case::new(&three_tars(), &subset);
        (case.options.shard_size, case.options.txt) = (5, Txt::Best);
        let cancel = Cancel::new();
        let progress = StopAfter(&cancel, stop.into());
        if let Err(error) = reshard_with_captions(&case.options, Some(&Known::most()), &progress, &cancel) {
            assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
            assert_eq!(run(&case, &Known::most()).unwrap().reused_shards + 3, stop);
            stopped += 1;
        }
        let ((files, report), (expected, whole_report)) = (summary(&case), summary(&whole));
        assert_eq!(files, expected, "stopped after {stop}");
        assert_eq!(report["captions"], whole_report["captions"], "stopped after {stop}");
        assert_eq!(report["shards"], whole_report["shards"], "stopped after {stop}");
    }
    assert!(stopped >= 6, "{stopped}");

    // Finished, and asked for again with the same captions; then with one that differs.
    assert_eq!(run(&whole, &Known::most()).unwrap().reused_shards, 7);
    let mut other = Known::most();
    other.1[0].1["caption_a"] = "changed".into();
    let error = run(&whole, &other).unwrap_err();
    assert!(error.to_string().contains("another plan"), "{error}");
    assert!(whole.run().unwrap_err().to_string().contains("txt = best"));
    whole.options.txt = Txt::Original;
    assert!(whole.run().unwrap_err().to_string().contains("another plan"));
}

#[test]
fn without_captions_nothing_is_said_of_them_and_with_none_found_nothing_changes() {
    let case = Case::new(&three_tars(), &[1, 2, 2, 30]);
    case.run().unwrap();
    let plain = case.files();
    let text = String::from_utf8(plain["reshard.json"].clone()).unwrap();
    assert!(!text.contains("captions") && !text.contains("\"txt\""), "{text}");
    let other = Case::new(&three_tars(), &[1, 2, 2, 30]);
    let report = run(&other, &Known::new(Vec::new())).unwrap();
    assert_eq!(report.captions.unwrap().counts, CaptionCounts { without: 4, ..CaptionCounts::default() });
    assert_eq!(other.files()["00000000.tar"], plain["00000000.tar"]);
}

#[test]
fn the_plan_bounds_the_bytes_of_a_shard() {
    let mut case = Case::new(&three_tars(), &(1..=30).collect::<Vec<_>>());
    (case.options.max_shard_bytes, case.options.txt, case.options.dry_run) = (16_000, Txt::Best, true);
    let planned = run(&case, &Known::most()).unwrap();
    case.options.dry_run = false;
    let report = run(&case, &Known::most()).unwrap();
    assert!(report.shards.len() > 2);
    assert_eq!(planned.plan_hash, report.plan_hash);
    for (plan, shard) in planned.shards.iter().zip(&report.shards) {
        assert!(shard.bytes <= plan.bytes && plan.bytes <= 16_000, "{shard:?} of {plan:?}");
    }
}
