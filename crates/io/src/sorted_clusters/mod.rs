//! The folder of sorted clusters that SemDeDup and density-based pruning work on: `cluster_{c}.npy`, one for each cluster, each an array of
//! texts `[M, 4]` (name, row, distance to the centroid, cluster), farthest first; beside it `kmeans_centroids.npy`, `nearest_cent.npy`,
//! `dist_to_cent.npy`. Numbers as text is what the reference scripts read, so this is what we write: the same digits as Python prints.
mod export;
mod import;
mod python;

pub use export::{ClusterExporter, ClusterOrder, write_assignments, write_centroids, write_cluster};
pub use import::{ClusterReader, SortedClusters};
pub use python::python_repr;

/// One sample of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterRow {
    /// Name or path; in DataComp's world the uid as text.
    pub name: String,
    /// Row in the embedding array.
    pub row: u64,
    /// Distance to the centroid: 1 − similarity for spherical k-means, lower is closer. May be slightly below 0 by rounding.
    pub dist: f32,
}

#[cfg(test)]
mod tests;
