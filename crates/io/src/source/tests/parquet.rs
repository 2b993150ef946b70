//! Tables: DataComp metadata, clip-retrieval folders, Hugging Face and plain parquet.
use super::{copy_folder, open, text_column, whole};
use crate::{
    IoError, LayoutKind, OpenOptions,
    fixtures::{datacomp_shard, npy_f16, texts, uids, vectors, write, write_npz, write_parquet},
    npy::ElementType,
    source::Dataset,
    stable_uid,
};
use arrow::{
    array::{
        ArrayRef, AsArray, BinaryArray, Int64Array, LargeStringArray, NullArray, StringArray, StructArray,
    },
    datatypes::{DataType, Field, Int64Type},
};
use std::sync::Arc;

#[test]
fn datacomp_metadata_opens_with_rows_columns_and_arrays_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let b = datacomp_shard(folder.path(), "b", 2500, true, 0);
    let a = datacomp_shard(folder.path(), "a", 1, false, 0);
    datacomp_shard(folder.path(), "c", 0, false, 0);
    let dataset = open(folder.path()).unwrap();
    assert_eq!(dataset.layout().kind, LayoutKind::DataComp);
    assert!(dataset.layout().why.contains("3 parquet files"), "{}", dataset.layout().why);
    let shards: Vec<_> =
        dataset.shards().iter().map(|s| (s.index, s.name.as_str(), s.rows, s.files.len())).collect();
    assert_eq!(shards, [(0, "a", 1, 2), (1, "b", 2500, 2), (2, "c", 0, 2)]);
    assert_eq!(dataset.rows(), 2501);
    assert_eq!(
        (dataset.uids(0).unwrap(), dataset.uids(1).unwrap(), dataset.uids(2).unwrap().len()),
        (a, b, 0)
    );
    let arrays: Vec<_> = dataset.arrays().iter().map(|a| (a.name.as_str(), a.dim, a.dtype)).collect();
    assert_eq!(arrays, [("b32_img", 16, ElementType::F16), ("b32_txt", 16, ElementType::F16)]);

    let batch = whole(dataset.read_columns(1, &["original_width", "text"], 700).unwrap());
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(2499), 2599);
    assert_eq!(batch.column(1).as_string::<i32>().value(2499), "caption 2499");
    let batch = dataset.read_columns_at(1, &["original_width", "text"], &[0, 7, 2499]).unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[100, 107, 2599]);
    assert_eq!(batch.column(1).as_string::<i32>().value(1), "caption 7");
    assert!(dataset.read_columns_at(1, &["text"], &[2500]).is_err());
    assert!(dataset.read_columns_at(1, &["Text"], &[1]).is_err());
    assert_eq!(dataset.read_columns_at(2, &["text"], &[]).unwrap().num_rows(), 0);
    assert_eq!(dataset.read_columns(2, &["text"], 10).unwrap().count(), 0);
    let none: [&str; 0] = [];
    assert_eq!(
        dataset.read_columns(1, &none, 1000).unwrap().map(|b| b.unwrap().num_rows()).sum::<usize>(),
        2500
    );
    let error = dataset.read_columns(1, &["Text"], 10).err().unwrap();
    assert_eq!(error.hint().unwrap(), "did you mean 'text'?");

    let mut reader = dataset.open_array(1, "b32_img").unwrap();
    let mut row = [0.0; 16];
    reader.read_f32(2499, &mut row).unwrap();
    let expected = vectors(2500, 16, "b".bytes().fold(7u64, |h, b| h * 31 + u64::from(b)));
    for (found, expected) in row.iter().zip(&expected[2499 * 16..]) {
        assert!((found - expected).abs() < 1e-3);
    }
    assert!(dataset.open_array(1, "l14_img").unwrap_err().to_string().contains("b32_img, b32_txt"));
    assert!(dataset.uids(3).is_err());
}

#[test]
fn arrays_that_are_no_embeddings_are_left_out_aloud() {
    let folder = tempfile::tempdir().unwrap();
    datacomp_shard(folder.path(), "a", 3, false, 0);
    let list = {
        use crate::npy::NpyHeader;
        let mut bytes = NpyHeader { element: ElementType::I64, shape: vec![3], data_offset: 0 }.to_bytes();
        bytes.extend_from_slice(&[0; 24]);
        bytes
    };
    let object = b"\x93NUMPY\x01\x00\x31\x00{'descr':'|O','fortran_order':False,'shape':(1,)}\x80".to_vec();
    write_npz(
        &folder.path().join("a.npz"),
        &[("x", npy_f16(&vectors(3, 4, 1), 4)), ("dedup", list), ("objects", object)],
        true,
    );
    let dataset = open(folder.path()).unwrap();
    let names: Vec<_> = dataset.arrays().iter().map(|array| array.name.as_str()).collect();
    assert_eq!((names, dataset.notes().len()), (vec!["x"], 2));
    assert!(
        dataset.notes()[0].contains("'dedup'") && dataset.notes()[1].contains("pickle"),
        "{:?}",
        dataset.notes()
    );
}

#[test]
fn the_fingerprint_survives_copies_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("x"), folder.path().join("y/z"));
    datacomp_shard(&first, "a", 300, false, 0);
    copy_folder(&first, &second);
    let original = open(&first).unwrap().fingerprint();
    assert_eq!(open(&second).unwrap().fingerprint(), original);
    datacomp_shard(&second, "a", 300, false, 1);
    assert_ne!(open(&second).unwrap().fingerprint(), original, "other vectors");
    datacomp_shard(&first, "b", 1, false, 0);
    assert_ne!(open(&first).unwrap().fingerprint(), original, "one shard more");
}

#[test]
fn one_file_a_pattern_and_the_parent_folder_open_the_same_shards() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = folder.path().join("metadata");
    for name in ["0000", "0001", "0002"] {
        datacomp_shard(&metadata, name, 5, false, 0);
    }
    write(&folder.path().join("shards/00000000.tar"), [0; 1024]);
    let names = |path: String| -> Vec<String> {
        let dataset = Dataset::open(&OpenOptions::new(path)).unwrap();
        assert_eq!((dataset.layout().kind, dataset.arrays().len()), (LayoutKind::DataComp, 2));
        dataset.shards().iter().map(|shard| shard.name.clone()).collect()
    };
    let root = folder.path().to_str().unwrap();
    assert_eq!(names(root.to_owned()), ["0000", "0001", "0002"]);
    assert_eq!(names(format!("{root}/metadata/0001.npz")), ["0001"]);
    assert_eq!(names(format!("{root}/metadata/{{0001..0002}}.{{parquet,npz}}")), ["0001", "0002"]);
    assert_eq!(names(format!("{root}/metadata/*[02].*")), ["0000", "0002"]);
    assert!(matches!(
        Dataset::open(&OpenOptions::new(format!("{root}/none"))),
        Err(IoError::NotFound { .. })
    ));
}

#[test]
fn pairs_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    datacomp_shard(root, "a", 10, false, 0);
    datacomp_shard(root, "b", 10, false, 0);
    std::fs::rename(root.join("b.npz"), root.join("c.npz")).unwrap();
    let error = open(root).unwrap_err().to_string();
    assert!(error.contains("b.parquet has no b.npz; c.npz has no c.parquet"), "{error}");
    std::fs::remove_file(root.join("c.npz")).unwrap();

    let pair = |rows, dim| {
        let values = vectors(rows, dim, 1);
        [("b32_img", npy_f16(&values, dim)), ("b32_txt", npy_f16(&values, dim))]
    };
    write_npz(&root.join("b.npz"), &pair(9, 16), true);
    let error = open(root).unwrap_err().to_string();
    assert!(error.contains("b.parquet has 10 rows") && error.contains("b.npz has 9"), "{error}");
    write_npz(&root.join("b.npz"), &pair(10, 8), true);
    let error = open(root).unwrap_err().to_string();
    assert!(
        error.contains("[n, 16] f16") && error.contains("[n, 8] f16") && error.contains("b.npz"),
        "{error}"
    );
    write_npz(&root.join("b.npz"), &pair(10, 16)[..1], true);
    let error = open(root).unwrap_err().to_string();
    assert!(error.contains("b32_txt") && error.contains("b.npz"), "{error}");

    // Without any npz the tables alone are an input, and it says what that means.
    for name in ["a.npz", "b.npz"] {
        std::fs::remove_file(root.join(name)).unwrap();
    }
    let dataset = open(root).unwrap();
    assert_eq!((dataset.layout().kind, dataset.arrays().len()), (LayoutKind::Parquet, 0));
    assert!(dataset.notes()[0].contains("no embeddings"));
}

#[test]
fn cut_files_are_errors_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    datacomp_shard(folder.path(), "a", 200, false, 0);
    for name in ["a.parquet", "a.npz"] {
        let path = folder.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        for cut in (0..bytes.len()).step_by(211) {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let error = open(folder.path()).unwrap_err();
            assert!(error.to_string().contains(name) && error.hint().is_some(), "{error}");
        }
        std::fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    datacomp_shard(folder.path(), "a", 20, false, 0);
    let dataset = open(folder.path()).unwrap();
    datacomp_shard(folder.path(), "a", 19, false, 0);
    assert!(dataset.uids(0).unwrap_err().to_string().contains("20 rows"));
    assert!(dataset.read_columns(0, &["text"], 7).unwrap().last().unwrap().is_err());
    assert!(dataset.open_array(0, "b32_img").is_err());
}

#[test]
fn columns_of_different_writers_become_one_type() {
    let folder = tempfile::tempdir().unwrap();
    let table = |name: &str, text: ArrayRef, width: ArrayRef| {
        write_parquet(
            &folder.path().join(name),
            vec![("uid", texts(uids(2, name.len() as u128))), ("t", text), ("w", width)],
            10,
        );
    };
    table("a.parquet", Arc::new(LargeStringArray::from(vec!["x", "y"])), Arc::new(NullArray::new(2)));
    table("bb.parquet", Arc::new(StringArray::from(vec!["z", "é"])), Arc::new(Int64Array::from(vec![1, 2])));
    let dataset = open(folder.path()).unwrap();
    let kinds: Vec<_> = dataset.schema().fields().iter().map(|f| f.data_type().clone()).collect();
    assert_eq!(kinds, [DataType::Utf8, DataType::Utf8, DataType::Int64]);
    assert_eq!(text_column(&dataset, 0, "t"), ["x", "y"]);
    assert_eq!(text_column(&dataset, 0, "w"), ["(null)", "(null)"]);
    assert_eq!(text_column(&dataset, 1, "w"), ["1", "2"]);
    write_parquet(
        &folder.path().join("c.parquet"),
        vec![("uid", texts(uids(2, 9))), ("t", texts([1, 2]))],
        10,
    );
    assert!(open(folder.path()).unwrap_err().to_string().contains("column 'w' is absent"));
}

#[test]
fn hugging_face_tables_have_an_image_column_and_made_uids() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"jpg1"[..], b"jpg2"]));
    let paths: ArrayRef = Arc::new(StringArray::from(vec!["1.jpg", "2.jpg"]));
    let image = StructArray::from(vec![
        (Arc::new(Field::new("bytes", DataType::Binary, true)), bytes),
        (Arc::new(Field::new("path", DataType::Utf8, true)), paths),
    ]);
    let file = folder.path().join("data/train-00000-of-00001.parquet");
    write_parquet(&file, vec![("image", Arc::new(image)), ("caption", texts(["one", "two"]))], 10);
    let dataset = open(folder.path()).unwrap();
    assert_eq!(dataset.layout().kind, LayoutKind::HuggingFace);
    assert!(dataset.layout().why.contains("'image'") && dataset.layout().why.contains("sub-folders"));
    assert_eq!(dataset.shards()[0].name, "data__train-00000-of-00001");
    assert!(dataset.has_made_uids());
    let expected =
        [stable_uid("train-00000-of-00001.parquet", "0"), stable_uid("train-00000-of-00001.parquet", "1")];
    assert_eq!(dataset.uids(0).unwrap(), expected);
    let batch = whole(dataset.read_columns(0, &["caption", "uid", "image"], 1).unwrap());
    assert_eq!(batch.column(1).as_string::<i32>().value(1), expected[1].to_string());
    assert_eq!(
        batch.column(2).as_struct().column_by_name("bytes").unwrap().as_binary::<i32>().value(1),
        b"jpg2"
    );
    assert_eq!(dataset.schema().field(0).name(), "uid");
}

#[test]
fn keys_name_samples_that_have_no_uid() {
    let folder = tempfile::tempdir().unwrap();
    let keys: ArrayRef = Arc::new(StringArray::from(vec![Some("000000001"), None]));
    write_parquet(&folder.path().join("00000.parquet"), vec![("url", texts(["a", "b"])), ("key", keys)], 10);
    let uids = open(folder.path()).unwrap().uids(0).unwrap();
    assert_eq!(uids, [stable_uid("00000.parquet", "000000001"), stable_uid("00000.parquet", "1")]);
    write_parquet(
        &folder.path().join("00000.parquet"),
        vec![("uid", texts(["0123456789abcdef0123456789abcdef", "12"]))],
        10,
    );
    let error = open(folder.path()).unwrap().uids(0).unwrap_err().to_string();
    assert!(error.contains("00000.parquet, row 1: '12' is no uid"), "{error}");
}

#[test]
fn a_huge_table_is_cut_at_its_row_groups() {
    let folder = tempfile::tempdir().unwrap();
    let rows = 1_100_000;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    write_parquet(&folder.path().join("big.parquet"), vec![("key", numbers)], 250_000);
    write_npz(&folder.path().join("big.npz"), &[("x", npy_f16(&vectors(rows as usize, 1, 3), 1))], false);
    let dataset = open(folder.path()).unwrap();
    let shards: Vec<_> = dataset.shards().iter().map(|s| (s.name.as_str(), s.rows)).collect();
    assert_eq!(shards, [("big__0000", 1_000_000), ("big__0001", 100_000)]);
    assert_eq!(text_column(&dataset, 1, "key")[..2], ["1000000", "1000001"]);
    assert_eq!(dataset.uids(1).unwrap()[5], stable_uid("big.parquet", "1000005"));
    let (mut first, mut all) = ([0.0], vec![0.0; rows as usize]);
    dataset.open_array(1, "x").unwrap().read_f32(7, &mut first).unwrap();
    crate::npz::Npz::open(crate::SourceFile::open_local(folder.path().join("big.npz")).unwrap())
        .unwrap()
        .open_array("x")
        .unwrap()
        .read_f32(0, &mut all)
        .unwrap();
    assert_eq!(first[0], all[1_000_007]);
}

#[test]
fn clip_retrieval_parts_are_matched_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (number, rows) in [(0usize, 4), (1, 0), (10, 3)] {
        let paths = (0..rows).map(|row| format!("{number}-{row}"));
        write_parquet(
            &root.join(format!("metadata/metadata_{number:02}.parquet")),
            vec![("image_path", texts(paths))],
            10,
        );
        write(&root.join(format!("img_emb/img_emb_{number:02}.npy")), npy_f16(&vectors(rows, 8, 1), 8));
        write(&root.join(format!("text_emb/text_emb_{number:02}.npy")), npy_f16(&vectors(rows, 8, 2), 8));
    }
    let dataset = open(root).unwrap();
    assert_eq!(dataset.layout().kind, LayoutKind::ClipRetrieval);
    let shards: Vec<_> = dataset.shards().iter().map(|s| (s.name.as_str(), s.rows)).collect();
    assert_eq!(shards, [("00000", 4), ("00001", 0), ("00010", 3)]);
    let arrays: Vec<_> = dataset.arrays().iter().map(|a| (a.name.as_str(), a.dim)).collect();
    assert_eq!(arrays, [("img_emb", 8), ("text_emb", 8)]);
    assert_eq!(dataset.uids(2).unwrap()[1], stable_uid("metadata_10.parquet", "10-1"));
    write(&root.join("text_emb/text_emb_10.npy"), npy_f16(&vectors(2, 8, 2), 8));
    let error = open(root).unwrap_err().to_string();
    assert!(
        error.contains("metadata_10.parquet has 3 rows") && error.contains("text_emb_10.npy has 2"),
        "{error}"
    );
    std::fs::remove_file(root.join("text_emb/text_emb_10.npy")).unwrap();
    assert!(open(root).unwrap_err().to_string().contains("metadata_10.parquet has no text_emb_10.npy"));
}
