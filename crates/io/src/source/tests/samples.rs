//! Inputs with pixels: webdataset tars, folders of images.
use super::{copy_folder, open, text_column};
use crate::{
    IoError, LayoutKind, OpenOptions,
    fixtures::{texts, write, write_parquet, write_tar},
    source::Dataset,
    stable_uid,
    tar::hashed_uid,
};

#[test]
fn tars_give_rows_from_their_json_and_txt() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let uid = "0123456789abcdef0123456789abcdef";
    let json = format!(
        "{{\"uid\": \"{uid}\", \"width\": 640, \"similarity\": 0.5, \"caption\": \"from json\", \"exif\": {{\"a\": 1}}}}"
    );
    write_tar(
        &root.join("00000.tar"),
        &[
            ("000000000.jpg", "…"),
            ("000000000.txt", "a caption"),
            ("000000000.json", &json),
            ("000000001.jpg", "…"),
            ("000000001.json", "{\"width\": \"?\", \"caption\": \"only json\"}"),
            ("000000002.jpg", "…"),
        ],
    );
    write_tar(&root.join("00007.tar"), &[]);
    write_parquet(&root.join("00000.parquet"), vec![("key", texts(["000000009"]))], 10);
    write(&root.join("00000_stats.json"), "{}");
    let dataset = open(root).unwrap();
    assert_eq!(dataset.layout().kind, LayoutKind::Webdataset);
    assert!(dataset.layout().why.contains("2 tar files with 3 samples"), "{}", dataset.layout().why);
    let shards: Vec<_> = dataset.shards().iter().map(|s| (s.name.as_str(), s.rows)).collect();
    assert_eq!(shards, [("00000", 3), ("00007", 0)]);
    let expected =
        [uid.parse().unwrap(), hashed_uid("00000.tar", b"000000001"), hashed_uid("00000.tar", b"000000002")];
    assert!(!dataset.has_made_uids(), "one of them is the source's own");
    assert_eq!(dataset.uids(0).unwrap(), expected);
    assert_eq!(text_column(&dataset, 0, "uid"), expected.map(|uid| uid.to_string()));
    assert_eq!(text_column(&dataset, 0, "key"), ["000000000", "000000001", "000000002"]);
    assert_eq!(text_column(&dataset, 0, "text"), ["a caption", "only json", "(null)"]);
    assert_eq!(text_column(&dataset, 0, "caption"), ["from json", "only json", "(null)"]);
    assert_eq!(text_column(&dataset, 0, "exif"), ["{\"a\":1}", "(null)", "(null)"]);
    assert_eq!(text_column(&dataset, 0, "similarity"), ["0.5", "(null)", "(null)"]);
    assert!(dataset.notes()[1].starts_with("2 of 3 samples have no uid"), "{:?}", dataset.notes());
    let some = dataset.read_columns_at(0, &["text", "key"], &[0, 2]).unwrap();
    assert_eq!((some.num_rows(), some.column(0).null_count()), (2, 1));
    // Number and text in one column: all of it is text.
    assert_eq!(text_column(&dataset, 0, "width"), ["640", "?", "(null)"]);
    assert_eq!(dataset.read_columns(1, &["text"], 10).unwrap().count(), 0);
    let pattern = format!("{}/{{00000..00007}}.tar", root.display());
    assert!(
        matches!(Dataset::open(&OpenOptions::new(pattern)), Err(IoError::NotFound { .. })),
        "a gap is said"
    );
}

#[test]
fn a_cut_tar_is_an_error_wherever_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.tar");
    let bytes = write_tar(&path, &[("a.jpg", "x"), ("a.txt", "y"), ("b.jpg", "x"), ("b.txt", "y")]);
    for cut in (1..bytes.len() - 1024).step_by(200) {
        write(&path, &bytes[..cut]);
        let error = open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("0.tar") && error.hint().is_some(), "{cut}: {error}");
    }
}

#[test]
fn images_take_their_captions_from_files_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("cats");
    for (name, text) in [
        ("b.JPG", "x"),
        ("b.txt", "a cat\n"),
        ("sub/a.png", "y"),
        ("sub/é.webp", "z"),
        ("sub/é.txt", "ein Kater"),
    ] {
        write(&root.join(name), text);
    }
    let dataset = open(&root).unwrap();
    assert_eq!(dataset.layout().kind, LayoutKind::ImageFolder);
    assert_eq!(dataset.layout().why, "3 image files, 2 with a .txt of the same name");
    assert_eq!((dataset.shards()[0].name.as_str(), dataset.rows()), ("cats", 3));
    assert!(dataset.notes()[0].contains("1 of 3"));
    assert_eq!(text_column(&dataset, 0, "file_name"), ["b.JPG", "sub/a.png", "sub/é.webp"]);
    assert_eq!(text_column(&dataset, 0, "key"), ["b", "sub/a", "sub/é"]);
    assert_eq!(text_column(&dataset, 0, "text"), ["a cat", "(null)", "ein Kater"]);
    assert_eq!(dataset.uids(0).unwrap()[1], stable_uid("images", "sub/a.png"));
    let copy = folder.path().join("copy/cats");
    copy_folder(&root, &copy);
    assert_eq!(open(&copy).unwrap().fingerprint(), dataset.fingerprint());
    write(&copy.join("b.txt"), "another caption");
    assert_ne!(open(&copy).unwrap().fingerprint(), dataset.fingerprint());
}

#[test]
fn a_metadata_table_names_the_images() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["1.jpg", "in/2.jpg", "3.jpg"] {
        write(&root.join(name), "x");
    }
    write(&root.join("metadata.csv"), "file_name,text,width\nin/2.jpg,\"two, really\",20\n1.jpg,one,\n");
    let dataset = open(root).unwrap();
    assert_eq!(dataset.layout().kind, LayoutKind::ImageFolder);
    assert!(dataset.notes()[0].contains("1 images are not named"), "{:?}", dataset.notes());
    assert_eq!(text_column(&dataset, 0, "text"), ["two, really", "one"]);
    assert_eq!(text_column(&dataset, 0, "width"), ["20", "(null)"]);
    assert_eq!(dataset.uids(0).unwrap()[1], stable_uid("images", "1.jpg"));
    std::fs::remove_file(root.join("metadata.csv")).unwrap();

    let lines = "{\"file_name\": \"1.jpg\", \"text\": \"one\", \"ok\": true}\n\n{\"file_name\": \"3.jpg\", \"score\": 1.5}\n";
    write(&root.join("metadata.jsonl"), lines);
    let dataset = open(root).unwrap();
    assert_eq!(text_column(&dataset, 0, "text"), ["one", "(null)"]);
    assert_eq!(text_column(&dataset, 0, "ok"), ["true", "(null)"]);
    assert_eq!(text_column(&dataset, 0, "score"), ["(null)", "1.5"]);
    write(&root.join("metadata.jsonl"), "{\"file_name\": \"1.jpg\"}\n{\"file_name\": \"9.jpg\"}\n");
    assert!(
        open(root)
            .unwrap_err()
            .to_string()
            .contains("row 1: expected the name of an image in this folder, found '9.jpg'")
    );
    write(&root.join("metadata.jsonl"), "{\"file_name\": \"1.jpg\"}\n[1]\n");
    assert!(open(root).unwrap_err().to_string().contains("row 1: expected a json object"));
    write(&root.join("metadata.jsonl"), "{\"name\": \"1.jpg\"}\n");
    assert!(open(root).unwrap_err().to_string().contains("no column 'file_name'"));
}

#[test]
fn what_is_not_known_is_said_with_what_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("found nothing"), "{error}");
    write(&folder.path().join("a.xyz"), "");
    write(&folder.path().join("sub/b"), "");
    let error = open(folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("1 × .xyz, folders sub") && error.hint().unwrap().contains("webdataset"),
        "{error}"
    );
}
