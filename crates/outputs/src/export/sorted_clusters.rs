//! The sorted cluster folder that SemDeDup's and density-based pruning's scripts read.
use std::path::{Path, PathBuf};

use arrow::{
    array::{Array, AsArray},
    datatypes::{Float32Type, Int32Type},
};
use cribble_core::{Cancel, Error, Progress, Result, Uid};
use cribble_io::{
    SourceFile,
    npy::NpyFile,
    sorted_clusters::{ClusterExporter, ClusterOrder, write_assignments, write_centroids},
    source::Dataset,
};
use cribble_pipeline::{RunFolder, StepState, TableReader, check_tables};
use serde::Serialize;

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterExport {
    /// The folder.
    pub folder: PathBuf,
    /// The step that the clusters are from.
    pub step: String,
    /// Number of clusters, empty ones included.
    pub clusters: u64,
    /// Rows in them.
    pub rows: u64,
    /// Whether `nearest_cent.npy` and `dist_to_cent.npy` were written: only when every row of the input is in a cluster, because they
    /// have one entry a row.
    pub assignments: bool,
}

/// The step whose clusters are exported: the last complete `cluster`, else the cells of the last complete `dedup`.
struct Clusters {
    folder: PathBuf,
    name: String,
    label: &'static str,
    value: &'static str,
    value_is_sim: bool,
}

fn find(run: &RunFolder) -> Result<Clusters> {
    let pick = |kind: &str| {
        run.manifest.steps.iter().enumerate().rev().find_map(|(index, step)| {
            let folder = run.step_folder(index);
            let fits = step.kind == kind
                && step.state == StepState::Complete
                && folder.join("centroids.npy").exists();
            fits.then(|| (folder, step.folder.clone()))
        })
    };
    if let Some((folder, name)) = pick("cluster") {
        return Ok(Clusters { folder, name, label: "cluster", value: "centroid_sim", value_is_sim: true });
    }
    if let Some((folder, name)) = pick("dedup") {
        return Ok(Clusters { folder, name, label: "cell", value: "centroid_dist", value_is_sim: false });
    }
    Err(Error::usage(format!("{} has no complete step with clusters", run.path().display()))
        .with_hint("a cluster step, or a dedup step with an embedding, has to be complete"))
}

/// Writes `sorted_clusters/cluster_{c}.npy` for each cluster (name = uid, row = position in the whole input, distance, cluster; farthest first,
/// ties by row), alone in their folder because the published scripts count its files; beside it `kmeans_centroids.npy`, and the assignments where
/// every row has one. Memory is bounded by `memory` bytes.
pub fn sorted_clusters(
    run: &RunFolder,
    dataset: &Dataset,
    out: &Path,
    memory: u64,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<ClusterExport> {
    // Before the choice: without its files a cluster step would quietly give way to a dedup step.
    check_tables(run, dataset)?;
    let clusters = find(run)?;
    let file = NpyFile::open(SourceFile::open_local(clusters.folder.join("centroids.npy"))?)?;
    let (count, dim) = (file.rows(), file.width());
    let number = u32::try_from(count)
        .map_err(|_| Error::input(format!("{count} clusters are too many for file names")))?;
    let mut exporter = ClusterExporter::new(
        &out.join("sorted_clusters"),
        number,
        ClusterOrder::FarthestFirst,
        (memory / 4) as usize,
    )?;
    let (mut rows, mut all, mut first) = (0u64, true, 0u64);
    progress.begin("export", dataset.shards().len() as u64, "shards");
    for shard in dataset.shards() {
        cancel.check()?;
        for (row, place) in read(&clusters, &shard.name, &dataset.uids(shard.index)?)?.into_iter().enumerate()
        {
            match place {
                Some((cluster, dist, _)) => {
                    exporter.push(cluster, first + row as u64, dist)?;
                    rows += 1;
                }
                None => all = false,
            }
        }
        first += shard.rows;
        progress.advance(1);
    }
    progress.end();
    exporter.finish(|wanted| names(dataset, wanted))?;
    write_centroids(out, &file.read_all::<f32>()?, dim)?;
    if all {
        let values = dataset.shards().iter().flat_map(|shard| {
            let places = dataset
                .uids(shard.index)
                .map_err(Error::from)
                .and_then(|uids| read(&clusters, &shard.name, &uids));
            match places {
                Ok(places) => places
                    .into_iter()
                    .flatten()
                    .map(|(cluster, _, sim)| Ok((cluster, sim)))
                    .collect::<Vec<_>>(),
                // The tables were read once already, so this is a disk that fails now.
                Err(error) => vec![Err(cribble_io::IoError::read(
                    clusters.folder.join(format!("{}.parquet", shard.name)),
                    None,
                    std::io::Error::other(error.to_string()),
                ))],
            }
        });
        write_assignments(out, values)?;
    }
    Ok(ClusterExport { folder: out.into(), step: clusters.name, clusters: count, rows, assignments: all })
}

/// Cluster, distance and similarity of each row of a shard; `None` for rows that the step did not judge.
fn read(clusters: &Clusters, shard: &str, uids: &[Uid]) -> Result<Vec<Option<(u32, f32, f32)>>> {
    let path = clusters.folder.join(format!("{shard}.parquet"));
    let labels = TableReader::column(&path, uids, clusters.label)?;
    let values = TableReader::column(&path, uids, clusters.value)?;
    let wrong = || {
        Error::input(format!(
            "{}: {} and {} are not i32 and f32",
            path.display(),
            clusters.label,
            clusters.value
        ))
    };
    let labels = labels.as_primitive_opt::<Int32Type>().ok_or_else(wrong)?;
    let values = values.as_primitive_opt::<Float32Type>().ok_or_else(wrong)?;
    Ok((0..uids.len())
        .map(|row| {
            let value = values.value(row);
            (labels.is_valid(row) && values.is_valid(row)).then(|| {
                let (dist, sim) =
                    if clusters.value_is_sim { (1.0 - value, value) } else { (value, 1.0 - value) };
                (labels.value(row) as u32, dist, sim)
            })
        })
        .collect())
}

/// The uids of rows of the whole input, as text. One shard's uids are in memory at a time.
fn names(dataset: &Dataset, wanted: &[u64]) -> cribble_io::Result<Vec<String>> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_unstable_by_key(|&index| wanted[index]);
    let mut names = vec![String::new(); wanted.len()];
    let mut next = order.into_iter().peekable();
    let mut first = 0;
    for shard in dataset.shards() {
        let end = first + shard.rows;
        if next.peek().is_some_and(|&index| wanted[index] < end) {
            let uids = dataset.uids(shard.index)?;
            while let Some(index) = next.next_if(|&index| wanted[index] < end) {
                names[index] =
                    uids.get((wanted[index] - first) as usize).map(Uid::to_string).unwrap_or_default();
            }
        }
        first = end;
    }
    Ok(names)
}
