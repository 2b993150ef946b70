//! Every operation against counting in a map.
use super::*;
use cribble_io::subset::{SubsetWriter, read_subset};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Counts = BTreeMap<Uid, u64>;

fn save(path: &Path, counts: &Counts) {
    let format = SubsetFormat::of_name(path).unwrap();
    let mut writer = SubsetWriter::create(path, format).unwrap();
    for (&uid, &copies) in counts {
        for _ in 0..copies {
            writer.push(uid).unwrap();
        }
    }
    writer.finish().unwrap();
}

fn load(path: &Path) -> Counts {
    let mut counts = Counts::new();
    for uid in read_subset(&SourceFile::open_local(path).unwrap()).unwrap().0 {
        *counts.entry(uid).or_default() += 1;
    }
    counts
}

fn small() -> impl Strategy<Value = Counts> {
    // Few different uids, so that they meet.
    prop::collection::btree_map((0u128..12).prop_map(|uid| Uid(uid << 70)), 1u64..4, 0..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn operations_count_right(a in small(), b in small(), c in small()) {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.npy", "b.txt", "c.parquet"].map(|name| folder.path().join(name));
        for (path, counts) in paths.iter().zip([&a, &b, &c]) {
            save(path, counts);
        }
        let get = |counts: &Counts, uid: &Uid| counts.get(uid).copied().unwrap_or(0);
        let all: Counts = a.iter().chain(&b).chain(&c).map(|(&uid, _)| (uid, 0)).collect();
        for how in [Combine::And, Combine::Or, Combine::Minus] {
            let options = AlgebraOptions::new(folder.path().join("out.npy"));
            let report = combine(how, &paths, &options).unwrap();
            let expected: Counts = all.keys().filter_map(|uid| {
                let (a, b, c) = (get(&a, uid), get(&b, uid), get(&c, uid));
                let copies = match how {
                    Combine::And => a.min(b).min(c),
                    Combine::Or => a.max(b).max(c),
                    Combine::Minus => a.saturating_sub(b + c),
                };
                (copies > 0).then_some((*uid, copies))
            }).collect();
            prop_assert_eq!(report.distinct, expected.len() as u64);
            prop_assert_eq!(report.count, expected.values().sum::<u64>());
            prop_assert_eq!(load(&options.output), expected);
        }
        let facts = info(&paths[0], folder.path(), 1 << 20).unwrap();
        prop_assert_eq!(facts.facts.count, a.values().sum::<u64>());
        prop_assert_eq!(facts.distinct, a.len() as u64);
        prop_assert_eq!(facts.max_copies, a.values().copied().max().unwrap_or(0));
        prop_assert_eq!(facts.smallest, a.keys().next().map(Uid::to_string));
        prop_assert_eq!(facts.largest, a.keys().next_back().map(Uid::to_string));
        for name in ["x.bin", "x.txt", "x.csv", "x.parquet", "x.pkl", "x.npy"] {
            let options = AlgebraOptions::new(folder.path().join(name));
            convert(&paths[0], &options).unwrap();
            prop_assert_eq!(&load(&options.output), &a);
        }
    }

    #[test]
    fn samples_are_exact_nested_and_independent_of_order(
        uids in prop::collection::vec(any::<u128>(), 1..80), share in 0f64..=1.0, seed: u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.txt");
        let write = |uids: &[u128]| {
            // Every uid twice.
            let text: String = uids.iter().chain(uids).map(|&uid| format!("{}\n", Uid(uid))).collect();
            std::fs::write(&path, text).unwrap();
        };
        write(&uids);
        let total = uids.len() as u64 * 2;
        let take = |amount, name: &str| {
            let options = AlgebraOptions { memory_bytes: 64, ..AlgebraOptions::new(folder.path().join(name)) };
            let report = sample(&path, amount, seed, &options).unwrap();
            (report.count, load(&options.output))
        };
        let (count, small) = take(Amount::Fraction(share), "small.npy");
        prop_assert_eq!(count, (share * total as f64).round() as u64);
        let (_, large) = take(Amount::Count(total.min(count + 3)), "large.npy");
        prop_assert!(small.iter().all(|(uid, copies)| large.get(uid) >= Some(copies)));
        write(&uids.iter().rev().copied().collect::<Vec<_>>());
        prop_assert_eq!(take(Amount::Fraction(share), "again.npy").1, small);
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    std::fs::write(&path, format!("{}\n{}\n", Uid(2), Uid(1))).unwrap();
    let options = AlgebraOptions::new(folder.path().join("deep/out.npy"));
    let error = sample(&path, Amount::Count(3), 0, &options).unwrap_err();
    assert!(error.to_string().contains("3 uids wanted, 2 are there"), "{error}");
    assert!(sample(&path, Amount::Fraction(1.5), 0, &options).is_err());
    assert!(sample(&path, Amount::Fraction(f64::NAN), 0, &options).is_err());
    assert!(combine(Combine::And, std::slice::from_ref(&path), &options).is_err());
    let report = convert(&path, &options).unwrap();
    assert!(report.warnings[0].contains("row 1"), "{:?}", report.warnings);
    assert_eq!(report.count, 2);
    let unknown = AlgebraOptions::new(folder.path().join("out.xyz"));
    assert!(convert(&path, &unknown).unwrap_err().hint().unwrap().contains(".parquet"));
}
