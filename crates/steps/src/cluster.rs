//! Step `cluster`: spherical k-means over one embedding. With a list of k all are trained on the same rows and an elbow chooses; then every
//! row that is kept goes to its nearest centroid.
use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::{ArrayRef, Float32Builder, Int32Builder},
    datatypes::{DataType, Field},
};
use cribble_core::{
    ClusterDetails, ClusterFigures, ClusterOptions, Details, ElbowPoint, Error, ErrorKind, Result,
};
use cribble_math::{
    RowSource, density, elbow,
    nearest::{FinderBuffers, nearest},
};
use cribble_pipeline::{
    Parallel, PhaseSpec, Provides, Step, StepContext, TaskOutput, Unit, UnitKind, Verdicts,
    vectors::{
        FileRows, Tile, block_rows, fault, for_tiles, read_centroids, train_centroids, write_centroids,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    figures::Figures,
    finder::SharedFinder,
    training::draw,
    values::{from_value, to_value},
};

/// Neighbours of d_inter in `clusters.parquet`: the paper's 20.
const NEIGHBORS: usize = 20;

pub struct Cluster {
    options: ClusterOptions,
    finder: SharedFinder,
}

/// What training one k found.
#[derive(Serialize, Deserialize)]
struct Trained {
    k: u64,
    iterations: Vec<f64>,
    converged: bool,
}

#[derive(Serialize, Deserialize)]
struct Drawn {
    rows: u64,
    available: u64,
}

impl Cluster {
    pub fn new(options: ClusterOptions) -> Self {
        Self { options, finder: SharedFinder::default() }
    }

    fn ks(&self) -> Vec<u64> {
        let mut ks = self.options.k.as_slice().to_vec();
        ks.sort_unstable();
        ks.dedup();
        ks
    }

    fn train(&self, context: &StepContext<'_>, unit: Unit) -> Result<TaskOutput> {
        let embedding = context.embedding(&self.options.embedding)?;
        let wished = self.ks()[unit as usize];
        let rows = FileRows::open(context, &context.scratch("train.f32"), embedding.info.dim)?;
        if rows.is_empty() {
            let empty = Trained { k: 0, iterations: Vec::new(), converged: true };
            write_centroids(&centroid_path(context, unit), &[], embedding.info.dim)?;
            return Ok(TaskOutput { data: to_value(&empty)?, ..TaskOutput::default() });
        }
        let k = wished.min(rows.len() as u64);
        let mut output = TaskOutput::default();
        if k < wished {
            output.notes.push(format!(
                "k = {wished} is more than the {} rows there are to train on: k = {k} is used",
                rows.len()
            ));
        }
        let trained = train_centroids(
            context,
            &rows,
            k,
            self.options.iterations,
            self.options.tolerance,
            self.options.seed,
        )?;
        write_centroids(&centroid_path(context, unit), &trained.centroids, embedding.info.dim)?;
        let iterations: Vec<f64> = trained.iterations.iter().map(|stats| stats.mean_sim).collect();
        let summary = Trained { k, iterations, converged: trained.converged };
        output.data = to_value(&summary)?;
        Ok(output)
    }

    fn draw(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        let embedding = context.embedding(&self.options.embedding)?;
        let largest = self.ks().last().copied().unwrap_or(1);
        let none = |_: u32| Ok(Vec::new());
        let path = context.scratch("train.f32");
        let training =
            draw(context, &embedding, self.options.train_rows, largest, self.options.seed, &none, &path)?;
        Ok(TaskOutput {
            notes: training.note().into_iter().collect(),
            data: to_value(&Drawn { rows: training.rows, available: training.available })?,
            ..TaskOutput::default()
        })
    }

    fn choose(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        // The means are in the markers of the train tasks; the chosen centroids are what later tasks need, so the choice is made from files.
        let embedding = context.embedding(&self.options.embedding)?;
        let rows = FileRows::open(context, &context.scratch("train.f32"), embedding.info.dim)?;
        let mut points = Vec::new();
        // One k is no choice, and a curve of one point says nothing: its pass over the rows is spared.
        let tried = if self.ks().len() > 1 { self.ks().len() as u32 } else { 0 };
        for unit in 0..tried {
            let centroids = read_centroids(&centroid_path(context, unit), embedding.info.dim)?;
            points.push((
                (centroids.len() / embedding.info.dim).max(1),
                mean_dist(context, &rows, &centroids)?,
            ));
        }
        let chosen = elbow::choose(&points).unwrap_or(0);
        let centroids = read_centroids(&centroid_path(context, chosen as u32), embedding.info.dim)?;
        write_centroids(&context.folder.join("centroids.npy"), &centroids, embedding.info.dim)?;
        let curve: Vec<ElbowPoint> = points
            .iter()
            .enumerate()
            .map(|(index, &(k, mean_dist))| ElbowPoint { k: k as u64, mean_dist, chosen: index == chosen })
            .collect();
        let mut notes = Vec::new();
        if curve.len() > 1 {
            notes.push(format!("k = {} was chosen among {:?} by the elbow", points[chosen].0, self.ks()));
        }
        Ok(TaskOutput { notes, data: to_value(&curve)?, ..TaskOutput::default() })
    }

    fn assign(&self, context: &StepContext<'_>, shard: Unit) -> Result<TaskOutput> {
        let embedding = context.embedding(&self.options.embedding)?;
        let dim = embedding.info.dim;
        let finder = self.finder.get(context, dim)?;
        let uids = context.uids(shard)?;
        let kept = context.kept(shard, &uids)?;
        let mut verdicts = Verdicts::new(uids.len());
        let (mut clusters, mut sims) =
            (Int32Builder::with_capacity(uids.len()), Float32Builder::with_capacity(uids.len()));
        let mut figures = Figures::new(finder.as_ref().map_or(0, |finder| finder.centroids()));
        let mut errors = Vec::new();
        let nearest = |buffers: &mut FinderBuffers, tile: &Tile<'_>| {
            let (mut labels, mut found) = (vec![0u32; tile.rows.len()], vec![0f32; tile.rows.len()]);
            if let Some(finder) = &finder {
                finder.find(tile.values, 1, &mut labels, &mut found, buffers);
            }
            (labels, found, tile.states.to_vec())
        };
        let mut assigned = vec![None; uids.len()];
        for_tiles(context, &embedding, shard, &kept, nearest, |rows, (labels, found, states)| {
            for (index, &row) in rows.iter().enumerate() {
                let row = row as usize;
                match fault(states[index], &self.options.embedding) {
                    None => assigned[row] = Some((labels[index], found[index])),
                    Some((code, message)) => {
                        verdicts.error(row, &code.into());
                        errors.push(context.error_row(uids[row], shard, row, code, message));
                    }
                }
            }
            Ok(())
        })?;
        for (row, assigned) in assigned.iter().enumerate() {
            clusters.append_option(assigned.map(|(label, _)| label as i32));
            sims.append_option(assigned.map(|(_, sim)| sim));
            if let Some((label, sim)) = *assigned {
                verdicts.keep(row);
                figures.add(label, sim, uids[row]);
            }
        }
        let columns: Vec<(Field, ArrayRef)> = vec![
            (Field::new("cluster", DataType::Int32, true), Arc::new(clusters.finish())),
            (Field::new("centroid_sim", DataType::Float32, true), Arc::new(sims.finish())),
        ];
        figures.write(&context.scratch(format!("figures/{shard:08}")))?;
        let bytes_written = context.write_verdicts(shard, &uids, &verdicts, columns, &errors)?;
        let bytes_read = (uids.len() * (dim * 2 + 16)) as u64;
        Ok(TaskOutput { counts: verdicts.counts(), bytes_read, bytes_written, ..TaskOutput::default() })
    }

    fn describe(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        let dim = context.embedding(&self.options.embedding)?.info.dim;
        let centroids = read_centroids(&context.folder.join("centroids.npy"), dim)?;
        let mut figures = Figures::new(centroids.len() / dim);
        for shard in 0..context.shards() {
            figures.merge(&Figures::read(&context.scratch(format!("figures/{shard:08}")))?);
        }
        let d_inter = density::d_inter(&centroids, dim, NEIGHBORS);
        figures.write_parquet(&context.folder.join("clusters.parquet"), &d_inter)?;
        let clusters: Vec<ClusterFigures> = (0..figures.clusters())
            .map(|cluster| {
                let d_intra = figures.d_intra(cluster);
                ClusterFigures {
                    size: figures.size(cluster),
                    d_intra,
                    d_inter: d_inter[cluster],
                    complexity: d_inter[cluster] * d_intra,
                }
            })
            .collect();
        Ok(TaskOutput {
            data: to_value(&(clusters, Some(figures.mean_sim()).filter(|sim| sim.is_finite())))?,
            ..TaskOutput::default()
        })
    }
}

impl Step for Cluster {
    fn kind(&self) -> &'static str {
        "cluster"
    }

    fn check(&self, context: &StepContext<'_>) -> Result<Vec<String>> {
        let embedding = context.embedding(&self.options.embedding)?;
        Ok(vec![format!(
            "embedding {} [n, {}], k = {:?}, train_rows = {}",
            embedding.info.name,
            embedding.info.dim,
            self.ks(),
            self.options.train_rows
        )])
    }

    fn provides(&self) -> Result<Provides> {
        Ok(Provides::columns(&[("cluster", DataType::Int32), ("centroid_sim", DataType::Float32)]))
    }

    fn phases(&self) -> Vec<PhaseSpec> {
        let phase = |name, unit| PhaseSpec { name, unit, parallel: Parallel::Inner };
        vec![
            phase("draw", UnitKind::Whole),
            phase("train", UnitKind::Bucket),
            phase("choose", UnitKind::Whole),
            PhaseSpec { parallel: Parallel::Overlapped, ..phase("assign", UnitKind::Shard) },
            phase("describe", UnitKind::Whole),
        ]
    }

    fn buckets(&self, _context: &StepContext<'_>, _phase: &str) -> Result<u32> {
        Ok(self.ks().len() as u32)
    }

    fn run(&self, context: &StepContext<'_>, phase: &str, unit: Unit) -> Result<TaskOutput> {
        match phase {
            "draw" => self.draw(context),
            "train" => self.train(context, unit),
            "choose" => self.choose(context),
            "assign" => self.assign(context, unit),
            _ => self.describe(context),
        }
    }

    fn finish(&self, context: &StepContext<'_>, outputs: &[(String, Vec<TaskOutput>)]) -> Result<Details> {
        let data = |phase: &str, unit: usize| {
            outputs
                .iter()
                .find(|(name, _)| name == phase)
                .and_then(|(_, outputs)| outputs.get(unit))
                .map(|output| output.data.clone())
                .ok_or_else(|| Error::bug(format!("phase {phase} has no output {unit}")))
        };
        let drawn: Drawn = from_value(data("draw", 0)?)?;
        let elbow: Vec<ElbowPoint> = from_value(data("choose", 0)?)?;
        let chosen = elbow.iter().position(|point| point.chosen).unwrap_or(0);
        let trained: Trained = from_value(data("train", chosen)?)?;
        let (clusters, mean_sim): (Vec<ClusterFigures>, Option<f64>) = from_value(data("describe", 0)?)?;
        Ok(Details::Cluster(ClusterDetails {
            k: clusters.len() as u64,
            train_rows: drawn.rows,
            available_rows: drawn.available,
            dim: context.embedding(&self.options.embedding)?.info.dim as u64,
            mean_sim: mean_sim.unwrap_or(f64::NAN),
            empty: clusters.iter().filter(|cluster| cluster.size == 0).count() as u64,
            elbow,
            iterations: trained.iterations,
            clusters,
        }))
    }
}

/// Mean distance of the rows to their nearest centroid; all-zero rows are not in the file.
fn mean_dist(context: &StepContext<'_>, rows: &FileRows<'_>, centroids: &[f32]) -> Result<f64> {
    let dim = rows.dim();
    if rows.is_empty() || centroids.is_empty() {
        return Ok(f64::NAN);
    }
    let block = block_rows(dim);
    let mut buffer = vec![0f32; block * dim];
    let (mut labels, mut sims) = (vec![0u32; block], vec![0f32; block]);
    let (mut sum, mut start) = (0f64, 0);
    while start < rows.len() {
        context.cancel.check()?;
        let count = block.min(rows.len() - start);
        let values = &mut buffer[..count * dim];
        rows.read(start, values).map_err(|error| Error::wrap(ErrorKind::Input, error))?;
        nearest(values, centroids, dim, &mut labels[..count], &mut sims[..count]);
        sum += sims[..count].iter().map(|&sim| 1.0 - f64::from(sim)).sum::<f64>();
        start += count;
    }
    Ok(sum / rows.len() as f64)
}

fn centroid_path(context: &StepContext<'_>, unit: Unit) -> PathBuf {
    context.scratch(format!("centroids-{unit:04}.npy"))
}
