//! Every format against the same uids, the bytes against what NumPy and pygtrie wrote, and what is wrong with a file against its message.
use super::*;
use crate::{IoError, SourceFile};
use arrow::array::{ArrayRef, FixedSizeBinaryArray, LargeStringArray, RecordBatch};
use cribble_core::Uid;
use proptest::prelude::*;
use std::{path::Path, sync::Arc};

const ALL: [(SubsetFormat, &str); 6] = [
    (SubsetFormat::Npy, "s.npy"),
    (SubsetFormat::Raw, "s.bin"),
    (SubsetFormat::Txt, "s.txt"),
    (SubsetFormat::Csv, "s.csv"),
    (SubsetFormat::Parquet, "s.parquet"),
    (SubsetFormat::Trie, "s_trie.txt"),
];

fn save(path: &Path, uids: &[Uid], format: SubsetFormat) {
    let mut writer = SubsetWriter::create(path, format).unwrap();
    for &uid in uids {
        writer.push(uid).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), uids.len() as u64);
}

fn load(path: &Path) -> crate::Result<(Vec<Uid>, SubsetFacts)> {
    read_subset(&SourceFile::open_local(path)?)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_format_gives_back_every_copy(values in prop::collection::vec((any::<u128>(), 1usize..4), 0..60)) {
        let mut uids: Vec<Uid> = values.iter().flat_map(|&(uid, copies)| vec![Uid(uid); copies]).collect();
        uids.sort();
        let folder = tempfile::tempdir().unwrap();
        for (format, name) in ALL {
            let path = folder.path().join(name);
            save(&path, &uids, format);
            let (read, facts) = load(&path).unwrap();
            prop_assert_eq!(&read, &uids);
            prop_assert!(facts.first_unsorted_row.is_none());
            if !uids.is_empty() {
                prop_assert_eq!(facts.format, format);
            }
        }
    }

    #[test]
    fn unsorted_files_are_sorted_and_the_row_is_told(values in prop::collection::vec(any::<u128>(), 2..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.txt");
        let text: String = values.iter().map(|&v| format!("{}\n", Uid(v))).collect();
        std::fs::write(&path, text).unwrap();
        let file = SourceFile::open_local(&path).unwrap();
        let stream = SortedUids::open(&file, folder.path(), 1).unwrap();
        let inversion = values.windows(2).position(|w| w[1] < w[0]).map(|at| at as u64 + 1);
        prop_assert_eq!(stream.facts().first_unsorted_row, inversion);
        prop_assert_eq!(stream.facts().warning().is_some(), inversion.is_some());
        let sorted: Vec<u128> = stream.map(|uid| uid.unwrap().0).collect();
        let mut expected = values.clone();
        expected.sort_unstable();
        prop_assert_eq!(sorted, expected);
    }
}

#[test]
fn the_npy_is_what_numpy_writes() {
    // Recorded by fixtures/record.py with numpy 2.4.6 and pygtrie 2.5.
    let recorded = include_bytes!("fixtures/numpy_three.npy");
    let uids: Vec<Uid> = [1u128, 5 << 64 | 7, 5 << 64 | 7].map(Uid).to_vec();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.npy");
    save(&path, &uids, SubsetFormat::Npy);
    assert_eq!(std::fs::read(&path).unwrap(), recorded);
    save(&path, &[], SubsetFormat::Npy);
    assert_eq!(std::fs::read(&path).unwrap(), include_bytes!("fixtures/numpy_empty.npy"));
    for version in ["v2", "v3"] {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/subset/fixtures/numpy_{version}.npy"));
        assert_eq!(load(&path).unwrap().0, uids);
    }
}

#[test]
fn tries_of_pygtrie_are_read() {
    for protocol in [0, 2, 4, 5] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("src/subset/fixtures/trie_protocol_{protocol}.pickle"));
        let keys = read_keys(&SourceFile::open_local(&path).unwrap()).unwrap();
        let expected =
            [("", 1), ("00000", 1), ("00000/00000", 1), ("00000/00003", 1), ("00001/a/b/ключ", 1), ("z", 1)];
        assert_eq!(keys.iter().collect::<Vec<_>>(), expected, "protocol {protocol}");
        assert_eq!((keys.copies("z"), keys.copies("0")), (1, 0));
        // Keys that are no uids are refused where uids are needed, with the key.
        let error = load(&path).unwrap_err();
        assert!(matches!(&error, IoError::BadUid { .. }), "{error}");
    }
}

#[test]
fn tables_of_other_tools_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (Uid(7 << 100), Uid(9 << 100));
    let path = folder.path().join("luvdatacomp.csv");
    std::fs::write(
        &path,
        format!("\u{feff}uid,data_points,cluster_label\r\n{a},\"two, \"\"lines\"\"\n{b},x\",3\r\n\"{b}\",,4"),
    )
    .unwrap();
    assert_eq!(load(&path).unwrap().0, [a, b]);
    let path = folder.path().join("other_place.csv");
    std::fs::write(&path, format!("text,\"uid\"\n\"a\nb\",{b}\n,{a}\n\n")).unwrap();
    let (uids, facts) = load(&path).unwrap();
    assert_eq!((uids, facts.first_unsorted_row), (vec![a, b], Some(1)));

    let columns: [ArrayRef; 2] = [
        Arc::new(FixedSizeBinaryArray::try_from_iter([a, b].iter().map(|uid| uid.to_bytes())).unwrap()),
        Arc::new(LargeStringArray::from(vec![a.to_string(), b.to_string()])),
    ];
    for (number, column) in columns.into_iter().enumerate() {
        let path = folder.path().join(format!("{number}.parquet"));
        let batch = RecordBatch::try_from_iter([("other", column.clone()), ("uid", column)]).unwrap();
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None)
                .unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        assert_eq!(load(&path).unwrap().0, [a, b]);
    }
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let good = Uid(3).to_string();
    let cut = include_bytes!("fixtures/numpy_three.npy")[..168].to_vec();
    let mut other = include_bytes!("fixtures/numpy_empty.npy").to_vec();
    other[20] = b'x';
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("cut.npy", cut, "40 bytes"),
        ("dtype.npy", other, "npy header"),
        ("odd.bin", vec![0; 17], "something else"),
        ("bad.txt", format!("{good}\n\n{good}x\n").into_bytes(), "row 2"),
        ("none.csv", b"a,b\n1,2\n".to_vec(), "no column 'uid'"),
        ("short.csv", b"a,uid\n1\n".to_vec(), "row 0"),
        ("quote.csv", b"uid,a\n\"1,2\n".to_vec(), "closing quote"),
        ("evil.pkl", b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85R.".to_vec(), "'os.system'"),
    ];
    for (name, bytes, text) in cases {
        std::fs::write(path(name), bytes).unwrap();
        let error = load(&path(name)).unwrap_err().to_string();
        assert!(error.contains(text) && error.contains(name), "{error}");
    }
    let mut writer = SubsetWriter::create(&path("order.npy"), SubsetFormat::Npy).unwrap();
    writer.push(Uid(2)).unwrap();
    assert!(writer.push(Uid(1)).unwrap_err().to_string().contains("order"));
    drop(writer);
    assert!(!path("order.npy").exists());
}

#[test]
fn empty_files_are_empty_subsets() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["e.txt", "e.bin"] {
        std::fs::write(folder.path().join(name), b"").unwrap();
        assert_eq!(load(&folder.path().join(name)).unwrap().0, []);
    }
    assert_eq!(groups(std::iter::empty()).count(), 0);
}
