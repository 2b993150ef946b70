//! Bare arrays, with ids of every kind.
use super::text_column;
use crate::{
    IoError, LayoutKind, OpenOptions, Result,
    fixtures::{npy_f32, texts, uids, vectors, write, write_parquet},
    npy::{ElementType, NpyWriter},
    sorted_clusters::{ClusterRow, write_cluster},
    source::{Dataset, VIRTUAL_SHARD_ROWS},
    stable_uid,
};
use std::path::Path;

fn open(array: &Path, ids: Option<&Path>, dim: Option<u64>, dtype: Option<&str>) -> Result<Dataset> {
    Dataset::open(&OpenOptions {
        path: array.to_str().unwrap().into(),
        ids: ids.map(|ids| ids.to_str().unwrap().into()),
        dim,
        dtype: dtype.map(Into::into),
    })
}

#[test]
fn ids_of_every_kind_name_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let array = root.join("emb.npy");
    write(&array, npy_f32(&vectors(3, 4, 1), 4));
    let uids = uids(3, 5);
    let hex: Vec<String> = uids.iter().map(ToString::to_string).collect();
    write(&root.join("a.txt"), hex.join("\r\n") + "\n\n");
    write(
        &root.join("b.csv"),
        format!("text,uid\n\"a, \"\"b\"\"\",{}\nc,{}\n\nd,{}", hex[0], hex[1], hex[2]),
    );
    write_parquet(&root.join("c.parquet"), vec![("uid", texts(&uids)), ("text", texts(["x", "y", "z"]))], 2);
    let mut npy = NpyWriter::create(root.join("d.npy"), ElementType::UidPair, None).unwrap();
    npy.write_uids(&uids).unwrap();
    npy.finish().unwrap();
    let mut npy = NpyWriter::create(root.join("e.npy"), ElementType::Bytes(32), None).unwrap();
    npy.write_bytes(hex.concat().as_bytes()).unwrap();
    npy.finish().unwrap();
    for name in ["a.txt", "b.csv", "c.parquet", "d.npy", "e.npy"] {
        let dataset = open(&array, Some(&root.join(name)), None, None).unwrap();
        assert_eq!(
            (dataset.layout().kind, dataset.rows(), dataset.has_made_uids()),
            (LayoutKind::Array, 3, false),
            "{name}"
        );
        assert_eq!(dataset.uids(0).unwrap(), uids, "{name}");
        assert_eq!(text_column(&dataset, 0, "uid"), hex, "{name}");
        assert_eq!(dataset.arrays()[0].name, "embedding");
    }
    let dataset = open(&array, Some(&root.join("b.csv")), None, None).unwrap();
    assert_eq!(text_column(&dataset, 0, "text"), ["a, \"b\"", "c", "d"]);

    write(&root.join("f.txt"), "one\n2\nthree");
    let dataset = open(&array, Some(&root.join("f.txt")), None, None).unwrap();
    assert!(dataset.has_made_uids());
    assert_eq!(text_column(&dataset, 0, "key"), ["one", "2", "three"]);
    assert_eq!(dataset.uids(0).unwrap()[1], stable_uid("emb.npy", "2"));

    let dataset = open(&array, None, None, None).unwrap();
    assert_eq!(dataset.uids(0).unwrap()[2], stable_uid("emb.npy", "2"));
    assert!(dataset.notes()[0].contains("no ids"));
}

#[test]
fn ids_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (array, ids) = (folder.path().join("emb.npy"), folder.path().join("ids.txt"));
    write(&array, npy_f32(&vectors(3, 4, 1), 4));
    let uid = uids(1, 1)[0];
    for (text, expected) in [
        ("a\nb\n".to_owned(), "has 2"),
        ("a\n\nb\n".to_owned(), "blank line"),
        (format!("{uid}\nb\nc\n"), "row 1: 'b' is no uid"),
    ] {
        write(&ids, text);
        let error =
            open(&array, Some(&ids), None, None).and_then(|dataset| dataset.uids(0)).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("ids.txt"), "{error}");
    }
    write(&folder.path().join("ids.csv"), "uid,text\na\n");
    let error = open(&array, Some(&folder.path().join("ids.csv")), None, None).unwrap_err().to_string();
    assert!(error.contains("row 0: expected 2 fields, found 1 fields"), "{error}");
}

#[test]
fn headerless_arrays_need_a_dimension_and_are_cut_into_virtual_shards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("emb.dat");
    let rows = VIRTUAL_SHARD_ROWS + 3;
    let values: Vec<f32> = (0..rows * 2).map(|v| v as f32).collect();
    write(&path, bytemuck::cast_slice(&values));
    let ids = folder.path().join("ids.txt");
    write(&ids, (0..rows).map(|row| format!("id{row}\n")).collect::<String>());
    assert!(matches!(open(&path, None, None, None), Err(IoError::OptionNeeded { .. })));
    assert!(open(&path, None, Some(2), Some("f64")).unwrap_err().hint().unwrap().contains("f16"));
    assert!(open(&path, None, Some(11), None).unwrap_err().hint().unwrap().contains("dim"));
    assert_eq!(open(&path, None, Some(2), Some("f16")).unwrap().rows(), rows * 2);
    let dataset = open(&path, Some(&ids), Some(2), None).unwrap();
    let shards: Vec<_> = dataset.shards().iter().map(|s| (s.name.as_str(), s.rows)).collect();
    assert_eq!(shards, [("emb__00000", VIRTUAL_SHARD_ROWS), ("emb__00001", 3)]);
    assert_eq!(text_column(&dataset, 1, "key"), ["id500000", "id500001", "id500002"]);
    assert_eq!(dataset.uids(1).unwrap()[2], stable_uid("emb.dat", "id500002"));
    let mut out = [0.0; 2];
    dataset.open_array(1, "embedding").unwrap().read_f32(1, &mut out).unwrap();
    assert_eq!(out, [1_000_002.0, 1_000_003.0]);
    assert!(dataset.open_array(1, "embedding").unwrap().read_f32(3, &mut out).is_err());
}

#[test]
fn arrays_of_one_dimension_or_whole_numbers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let mut npy = NpyWriter::create(&path, ElementType::F32, None).unwrap();
    npy.write(&[1.0f32]).unwrap();
    npy.finish().unwrap();
    assert!(open(&path, None, None, None).unwrap_err().to_string().contains("[rows, dim]"));
    // No rows at all are an input, too.
    NpyWriter::create(&path, ElementType::F32, Some(4)).unwrap().finish().unwrap();
    let dataset = open(&path, None, None, None).unwrap();
    assert_eq!((dataset.shards().len(), dataset.rows()), (1, 0));
    assert!(dataset.uids(0).unwrap().is_empty());
}

#[test]
fn sorted_clusters_name_the_rows_of_their_array() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(&root.join("emb.npy"), npy_f32(&vectors(4, 4, 1), 4));
    let row = |name: &str, row, dist| ClusterRow { name: name.into(), row, dist };
    let clusters = root.join("sorted");
    write_cluster(&clusters, 0, &[row("d", 3, 0.5), row("b", 1, 0.25)]).unwrap();
    write_cluster(&clusters, 1, &[]).unwrap();
    write_cluster(&clusters, 2, &[row("a", 0, 0.125), row("c", 2, 0.0)]).unwrap();
    let dataset = open(&root.join("emb.npy"), Some(&clusters), None, None).unwrap();
    assert_eq!((dataset.layout().kind, dataset.rows()), (LayoutKind::SortedClusters, 4));
    assert_eq!(text_column(&dataset, 0, "key"), ["a", "b", "c", "d"]);
    assert_eq!(text_column(&dataset, 0, "cluster"), ["2", "0", "2", "0"]);
    assert_eq!(text_column(&dataset, 0, "centroid_dist"), ["0.125", "0.25", "0.0", "0.5"]);
    assert_eq!(dataset.uids(0).unwrap()[3], stable_uid("emb.npy", "d"));

    // The array may lie in the same folder.
    std::fs::copy(root.join("emb.npy"), clusters.join("emb.npy")).unwrap();
    write(&clusters.join("kmeans_centroids.npy"), npy_f32(&vectors(3, 4, 1), 4));
    let dataset = open(&clusters, None, None, None).unwrap();
    assert_eq!((dataset.layout().kind, dataset.arrays()[0].dim), (LayoutKind::SortedClusters, 4));
    std::fs::remove_file(clusters.join("emb.npy")).unwrap();
    assert!(matches!(open(&clusters, None, None, None), Err(IoError::OptionNeeded { .. })));

    write_cluster(&clusters, 1, &[row("x", 1, 0.5)]).unwrap();
    assert!(open(&root.join("emb.npy"), Some(&clusters), None, None).unwrap_err().to_string().contains("5"));
    write_cluster(&clusters, 0, &[row("d", 3, 0.5)]).unwrap();
    write_cluster(&clusters, 1, &[row("x", 3, 0.5)]).unwrap();
    let dataset = open(&root.join("emb.npy"), Some(&clusters), None, None).unwrap();
    assert!(dataset.uids(0).unwrap_err().to_string().contains("row 3 again"));
    std::fs::remove_file(clusters.join("cluster_1.npy")).unwrap();
    assert!(
        open(&root.join("emb.npy"), Some(&clusters), None, None)
            .unwrap_err()
            .to_string()
            .contains("clusters: 1")
    );
}
