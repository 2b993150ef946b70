//! What the reference scripts wrote, read and written again byte for byte; and every order against a plain sort.
use super::*;
use crate::{Location, SourceFile, npy::NpyFile, storage::LocalStorage};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parity/vectors").join(name)
}

fn npy(path: PathBuf) -> NpyFile {
    NpyFile::open(SourceFile::open_local(path).unwrap()).unwrap()
}

#[test]
fn the_files_of_semdedup_are_written_byte_for_byte() {
    let recorded = vectors("semdedup/a");
    let nearest: Vec<i64> = npy(recorded.join("nearest_cent.npy")).read_all().unwrap();
    // Under spherical k-means the file named after the distance holds similarities.
    let sims: Vec<f32> = npy(recorded.join("dist_to_cent.npy")).read_all().unwrap();
    let dist: Vec<f32> = sims.iter().map(|sim| 1.0 - sim).collect();
    let storage = LocalStorage;
    let theirs = SortedClusters::open(&storage, &Location::local(recorded.join("sorted"))).unwrap();
    assert!(theirs.missing.is_empty() && theirs.files.len() == 6);
    let mut names = vec![String::new(); nearest.len()];
    for position in 0..theirs.files.len() {
        for row in theirs.read(&storage, position).unwrap() {
            let row = row.unwrap();
            assert_eq!((row.dist, nearest[row.row as usize]), (dist[row.row as usize], position as i64));
            names[row.row as usize] = row.name;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut exporter = ClusterExporter::new(folder.path(), 6, ClusterOrder::FarthestFirst, 1).unwrap();
    for (row, (&cluster, &dist)) in nearest.iter().zip(&dist).enumerate() {
        exporter.push(cluster as u32, row as u64, dist).unwrap();
    }
    exporter.finish(|rows| Ok(rows.iter().map(|&row| names[row as usize].clone()).collect())).unwrap();
    let rows = nearest.iter().zip(&sims).map(|(&cluster, &sim)| Ok((cluster as u32, sim)));
    assert_eq!(write_assignments(folder.path(), rows).unwrap(), 200);
    let centroids: Vec<f32> = npy(recorded.join("kmeans_centroids.npy")).read_all().unwrap();
    write_centroids(folder.path(), &centroids, 16).unwrap();
    for name in ["nearest_cent.npy", "dist_to_cent.npy", "kmeans_centroids.npy"] {
        assert_eq!(
            std::fs::read(folder.path().join(name)).unwrap(),
            std::fs::read(recorded.join(name)).unwrap()
        );
    }
    for cluster in 0..6 {
        let name = format!("cluster_{cluster}.npy");
        let (ours, theirs) = (folder.path().join(&name), recorded.join("sorted").join(&name));
        assert!(std::fs::read(ours).unwrap() == std::fs::read(theirs).unwrap(), "{name}");
    }
}

#[test]
fn empty_clusters_long_names_and_damage() {
    let folder = tempfile::tempdir().unwrap();
    let storage = LocalStorage;
    let at = |name: &str| folder.path().join(name);
    write_cluster(folder.path(), 0, &[]).unwrap();
    let rows = vec![
        ClusterRow { name: "é".repeat(70), row: 1 << 40, dist: f32::EPSILON },
        ClusterRow { name: String::new(), row: 0, dist: -f32::EPSILON },
    ];
    write_cluster(folder.path(), 3, &rows).unwrap();
    std::fs::write(at("notes.txt"), b"").unwrap();
    let place = Location::local(folder.path());
    let clusters = SortedClusters::open(&storage, &place).unwrap();
    assert_eq!((clusters.missing.clone(), clusters.others.clone()), (vec![1, 2], vec!["notes.txt".into()]));
    assert!(clusters.read(&storage, 0).unwrap().is_empty());
    let read: Vec<_> = clusters.read(&storage, 1).unwrap().map(|row| row.unwrap()).collect();
    assert_eq!(read, rows);
    assert!(clusters.read(&storage, 2).is_err());

    std::fs::rename(at("cluster_3.npy"), at("cluster_4.npy")).unwrap();
    let clusters = SortedClusters::open(&storage, &place).unwrap();
    let error = clusters.read(&storage, 1).unwrap().next().unwrap().unwrap_err();
    assert!(error.to_string().contains("cluster 4") && error.to_string().contains("row 0"), "{error}");
    write_centroids(folder.path(), &[0.0; 8], 4).unwrap();
    std::fs::rename(at("kmeans_centroids.npy"), at("cluster_4.npy")).unwrap();
    assert!(clusters.read(&storage, 1).unwrap_err().to_string().contains("[M, 4]"));
    let empty = tempfile::tempdir().unwrap();
    assert!(SortedClusters::open(&storage, &Location::local(empty.path())).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rows_come_by_distance_then_row(
        rows in prop::collection::vec((0u32..4, prop_oneof![Just(0.5f32), Just(-0.0), Just(0.0), -1f32..2.0]), 0..200),
        farthest: bool,
    ) {
        let order = if farthest { ClusterOrder::FarthestFirst } else { ClusterOrder::NearestFirst };
        let folder = tempfile::tempdir().unwrap();
        let mut exporter = ClusterExporter::new(folder.path(), 4, order, 1).unwrap();
        for (row, &(cluster, dist)) in rows.iter().enumerate() {
            exporter.push(cluster, row as u64, dist).unwrap();
        }
        exporter.finish(|rows| Ok(rows.iter().map(u64::to_string).collect())).unwrap();
        let clusters = SortedClusters::open(&LocalStorage, &Location::local(folder.path())).unwrap();
        for cluster in 0..4u32 {
            let mut expected: Vec<(usize, f32)> =
                rows.iter().enumerate().filter(|(_, r)| r.0 == cluster).map(|(at, r)| (at, r.1)).collect();
            // Stable, as Python's sort is.
            expected.sort_by(|a, b| {
                let order = a.1.partial_cmp(&b.1).unwrap();
                if farthest { order.reverse() } else { order }
            });
            let read: Vec<_> = clusters.read(&LocalStorage, cluster as usize).unwrap().map(|r| r.unwrap()).collect();
            prop_assert_eq!(read.iter().map(|r| (r.row as usize, r.dist)).collect::<Vec<_>>(), expected);
        }
    }
}
