//! Writes the folder. Rows arrive in any order and are sorted in bounded memory; only the names of one cluster are in memory at a time.
use super::{ClusterRow, python_repr};
use crate::{
    Result,
    npy::{ElementType, NpyWriter},
    tar::Sorter,
};
use std::path::{Path, PathBuf};

/// NumPy gives an array with an f32 among its texts at least this many characters.
const LEAST_WIDTH: usize = 32;

/// Which rows come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClusterOrder {
    /// SemDeDup's `keep_hard: true`, and what density-based pruning expects.
    #[default]
    FarthestFirst,
    /// SemDeDup's `keep_hard: false`.
    NearestFirst,
}

/// Writes `cluster_{cluster}.npy` in the order given. An empty cluster is an array of shape `(0,)` of f64, as NumPy makes it of an empty list.
pub fn write_cluster(folder: &Path, cluster: u32, rows: &[ClusterRow]) -> Result<()> {
    let path = folder.join(format!("cluster_{cluster}.npy"));
    if rows.is_empty() {
        return NpyWriter::create(path, ElementType::F64, None)?.finish().map(drop);
    }
    let longest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let width = longest.max(LEAST_WIDTH);
    let mut writer = NpyWriter::create(path, ElementType::Text(width as u32), Some(4))?;
    let mut bytes = Vec::new();
    for row in rows {
        bytes.clear();
        let texts =
            [row.name.clone(), row.row.to_string(), python_repr(f64::from(row.dist)), cluster.to_string()];
        for text in texts {
            let start = bytes.len();
            bytes.extend(text.chars().flat_map(|character| u32::from(character).to_le_bytes()));
            bytes.resize(start + width * 4, 0);
        }
        writer.write_bytes(&bytes)?;
    }
    writer.finish().map(drop)
}

/// Writes all cluster files of a clustering.
pub struct ClusterExporter {
    folder: PathBuf,
    clusters: u32,
    order: ClusterOrder,
    sorter: Sorter<16>,
}

impl ClusterExporter {
    /// Clusters 0 to `clusters` − 1 into `folder`, which is created when missing.
    pub fn new(folder: &Path, clusters: u32, order: ClusterOrder, memory_bytes: usize) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| crate::IoError::write(folder, "create", None, e))?;
        Ok(Self { folder: folder.into(), clusters, order, sorter: Sorter::new(folder, memory_bytes) })
    }

    /// Adds a sample. Its cluster must be below the number of clusters; others are refused when they are written.
    pub fn push(&mut self, cluster: u32, row: u64, dist: f32) -> Result<()> {
        let mut record = [0; 16];
        record[..4].copy_from_slice(&cluster.to_be_bytes());
        let key = sort_key(dist);
        let key = if self.order == ClusterOrder::FarthestFirst { !key } else { key };
        record[4..8].copy_from_slice(&key.to_be_bytes());
        record[8..].copy_from_slice(&row.to_be_bytes());
        self.sorter.push(record)
    }

    /// Writes the files: by distance, ties by ascending row. `names` gives the names of many rows at once. Existing files are replaced.
    pub fn finish(self, mut names: impl FnMut(&[u64]) -> Result<Vec<String>>) -> Result<()> {
        let mut records = self.sorter.finish()?.peekable();
        for cluster in 0..self.clusters {
            let (mut rows, mut distances) = (Vec::new(), Vec::new());
            let of_cluster = |record: &Result<[u8; 16]>| {
                record.as_ref().map_or(true, |record| record[..4] == cluster.to_be_bytes())
            };
            while let Some(record) = records.next_if(of_cluster) {
                let record = record?;
                let (key, row) = record[4..].split_at(4);
                let key = key.iter().fold(0u32, |n, &byte| (n << 8) | u32::from(byte));
                let key = if self.order == ClusterOrder::FarthestFirst { !key } else { key };
                distances.push(from_sort_key(key));
                rows.push(row.iter().fold(0u64, |n, &byte| (n << 8) | u64::from(byte)));
            }
            let names = if rows.is_empty() { Vec::new() } else { names(&rows)? };
            if names.len() != rows.len() {
                return Err(wrong(
                    &self.folder,
                    format!("{} names", rows.len()),
                    &format!("{} names", names.len()),
                ));
            }
            let rows: Vec<ClusterRow> = names
                .into_iter()
                .zip(rows)
                .zip(distances)
                .map(|((name, row), dist)| ClusterRow { name, row, dist })
                .collect();
            write_cluster(&self.folder, cluster, &rows)?;
        }
        match records.next() {
            None => Ok(()),
            Some(_) => Err(wrong(&self.folder, format!("clusters below {}", self.clusters), "a larger one")),
        }
    }
}

fn wrong(folder: &Path, expected: String, found: &str) -> crate::IoError {
    crate::IoError::malformed(folder, "clusters to write", None, expected, found)
}

/// A number whose order is that of the distances; −0 counts as 0, NaN as the largest.
fn sort_key(dist: f32) -> u32 {
    let bits = (dist + 0.0).to_bits();
    if dist.is_nan() {
        u32::MAX
    } else if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    }
}

fn from_sort_key(key: u32) -> f32 {
    if key == u32::MAX {
        f32::NAN
    } else if key >> 31 == 1 {
        f32::from_bits(key & !(1 << 31))
    } else {
        f32::from_bits(!key)
    }
}

/// Writes `kmeans_centroids.npy`: f32 `[k, dim]`, row-major.
pub fn write_centroids(folder: &Path, centroids: &[f32], dim: u64) -> Result<()> {
    let mut writer = NpyWriter::create(folder.join("kmeans_centroids.npy"), ElementType::F32, Some(dim))?;
    writer.write(centroids)?;
    writer.finish().map(drop)
}

/// Writes `nearest_cent.npy` (i64 `[N]`) and `dist_to_cent.npy` (f32 `[N]`) from `(cluster, value)` of every row, in the order of rows. The value is
/// what faiss answers: for spherical k-means the *similarity* to the centroid, whatever the file's name says (the cluster files then hold
/// 1 − similarity); for Euclidean k-means the squared distance.
pub fn write_assignments(folder: &Path, rows: impl IntoIterator<Item = Result<(u32, f32)>>) -> Result<u64> {
    let mut nearest = NpyWriter::create(folder.join("nearest_cent.npy"), ElementType::I64, None)?;
    let mut distances = NpyWriter::create(folder.join("dist_to_cent.npy"), ElementType::F32, None)?;
    for row in rows {
        let (cluster, value) = row?;
        nearest.write(&[i64::from(cluster)])?;
        distances.write(&[value])?;
    }
    nearest.finish()?;
    distances.finish()
}
