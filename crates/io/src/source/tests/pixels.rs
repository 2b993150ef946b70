//! The images of a shard, row by row, in every layout that has pixels.
use super::open;
use crate::{
    fixtures::{texts, write, write_parquet, write_tar},
    source::{Dataset, LastFile, RowImage},
};
use arrow::{
    array::{ArrayRef, BinaryArray, StringArray, StructArray},
    datatypes::{DataType, Field},
};
use std::sync::Arc;

/// Name and bytes of each row's image, or why it has none.
fn images(dataset: &Dataset, wanted: &[bool]) -> Vec<Option<(String, String)>> {
    let mut reader = dataset.open_images(0).unwrap().unwrap();
    let mut last = LastFile::default();
    let rows = wanted.chunks(2).flat_map(|wanted| reader.next(wanted).unwrap());
    let mut read = |image: RowImage| match image {
        RowImage::Missing(why) => ("missing".into(), why),
        RowImage::At(place) => match place.read(dataset.storage(), &mut last, 5) {
            Ok(Some(bytes)) => (place.name.clone(), String::from_utf8(bytes.into_owned()).unwrap()),
            Ok(None) => (place.name.clone(), "too long".into()),
            Err(error) => (place.name.clone(), error.to_string()),
        },
    };
    rows.map(|image| image.map(&mut read)).collect()
}

fn pair(name: &str, bytes: &str) -> Option<(String, String)> {
    Some((name.into(), bytes.into()))
}

#[test]
fn in_tars() {
    let folder = tempfile::tempdir().unwrap();
    write_tar(
        &folder.path().join("0.tar"),
        &[
            ("a.txt", "A"),
            ("a.JPG", "one"),
            ("b.txt", "B"),
            ("c.png", ""),
            ("d.webp", "ignored"),
            ("e.gif", "longer"),
        ],
    );
    let dataset = open(folder.path()).unwrap();
    assert_eq!(dataset.images().unwrap(), "the tars themselves");
    let found = images(&dataset, &[true, true, true, false, true]);
    assert_eq!((&found[0], &found[2]), (&pair("0.tar: a.JPG", "one"), &pair("0.tar: c.png", "")));
    let (state, why) = found[1].clone().unwrap();
    assert!(
        state == "missing" && why.contains("sample 'b' has no image") && why.ends_with("are txt"),
        "{why}"
    );
    assert_eq!((&found[3], &found[4]), (&None, &pair("0.tar: e.gif", "too long")));
    let mut reader = dataset.open_images(0).unwrap().unwrap();
    assert!(reader.next(&[true; 6]).unwrap_err().to_string().contains("6 rows"));
}

#[test]
fn in_folders() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("b.jpg"), "two");
    write(&folder.path().join("sub/a.png"), "one");
    let dataset = open(folder.path()).unwrap();
    assert_eq!(images(&dataset, &[true, true]), [pair("b.jpg", "two"), pair("sub/a.png", "one")]);
    write(&folder.path().join("metadata.csv"), "file_name,text\nsub/a.png,x\nb.jpg,y\n");
    let dataset = open(folder.path()).unwrap();
    assert_eq!(images(&dataset, &[true, true]), [pair("sub/a.png", "one"), pair("b.jpg", "two")]);
    std::fs::remove_file(folder.path().join("b.jpg")).unwrap();
    assert!(images(&dataset, &[false, true])[1].as_ref().unwrap().1.contains("b.jpg"));
}

#[test]
fn in_columns() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: ArrayRef =
        Arc::new(BinaryArray::from(vec![Some(&b"jpg1"[..]), None, None, Some(b"longer"), Some(b"")]));
    let paths: ArrayRef = Arc::new(StringArray::from(vec![Some("1.jpg"), Some("2.jpg"), None, None, None]));
    let image = StructArray::from(vec![
        (Arc::new(Field::new("bytes", DataType::Binary, true)), bytes),
        (Arc::new(Field::new("path", DataType::Utf8, true)), paths),
    ]);
    write(&folder.path().join("2.jpg"), "two");
    write_parquet(
        &folder.path().join("t.parquet"),
        vec![("image", Arc::new(image)), ("caption", texts(["a", "b", "c", "d", "e"]))],
        10,
    );
    let dataset = open(folder.path()).unwrap();
    let found = images(&dataset, &[true; 5]);
    assert_eq!(found[0], pair("t.parquet: row 0", "jpg1"));
    assert_eq!(found[1], pair("t.parquet: row 1 (2.jpg)", "two"));
    assert!(found[2].as_ref().unwrap().1.contains("neither bytes nor path"));
    assert_eq!(
        (&found[3], &found[4]),
        (&pair("t.parquet: row 3", "too long"), &pair("t.parquet: row 4", ""))
    );
    assert!(dataset.open_images(0).unwrap().unwrap().holds_bytes());
}

#[test]
fn tables_without_pixels_have_none() {
    let folder = tempfile::tempdir().unwrap();
    write_parquet(&folder.path().join("t.parquet"), vec![("caption", texts(["a"]))], 10);
    let dataset = open(folder.path()).unwrap();
    assert!(dataset.images().is_none() && dataset.open_images(0).unwrap().is_none());
}
