//! Step `prune`: a quota per cluster and the hardest (or easiest, or random) samples inside it; or one global ranking. Every row gets its rank, so
//! that each further fraction of a list is answered from the same table.
mod buckets;
mod quotas;

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int32Builder},
    datatypes::{DataType, Field, Float32Type, Int32Type},
};
use cribble_core::{
    Details, Error, Keep, PruneDetails, PruneMethod, PruneOptions, PruneTarget, QuotaFigures, Result, Scope,
    Uid,
};
use cribble_pipeline::{
    GlobalRow, Parallel, PhaseSpec, Provides, ScatterReader, ScatterWriter, Step, StepContext, TaskOutput,
    Unit, UnitKind, Verdicts, vectors::read_centroids,
};

use crate::{
    best_column::{best_values, require_number},
    figures::Figures,
    order::OrderKey,
    values::{from_value, to_value},
};
use buckets::Buckets;
use quotas::{QuotaTable, Solved};

/// Partitions of a global ranking.
const PARTITIONS: u32 = 4096;

pub struct Prune {
    options: PruneOptions,
}

/// The rank of a row on its way back to its shard.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Ranked {
    row: u32,
    rank: u32,
}

/// What a row needs to be ranked.
struct Input {
    kept: Vec<bool>,
    /// Cluster of each row, -1 where there is none.
    cluster: Vec<i32>,
    order: Vec<OrderKey>,
    dist: Vec<f32>,
}

impl Prune {
    pub fn new(options: PruneOptions) -> Self {
        Self { options }
    }

    fn is_global(&self) -> bool {
        self.options.method != PruneMethod::Density && self.options.scope == Scope::Global
    }

    /// How the rows of a cluster are ordered: `random` has no other way.
    fn keep(&self) -> Keep {
        if self.options.method == PruneMethod::Random { Keep::Random } else { self.options.keep.clone() }
    }

    /// Label and target of each size asked for, out of `total` rows: `int(fraction · total)`, as the reference has it.
    fn targets(&self, total: u64) -> Result<Vec<(String, u64)>> {
        if let Some(counts) = &self.options.count {
            return counts
                .as_slice()
                .iter()
                .map(|&count| {
                    if count > total {
                        return Err(Error::input(format!(
                            "count = {count}, but the steps before have kept only {total} rows"
                        ))
                        .with_hint("lower count, or give a fraction"));
                    }
                    Ok((count.to_string(), count))
                })
                .collect();
        }
        let fractions = self.options.fraction.iter().flat_map(|fractions| fractions.as_slice());
        Ok(fractions
            .map(|&fraction| (fraction.to_string(), ((fraction * total as f64) as u64).min(total)))
            .collect())
    }

    fn labels(&self) -> Vec<String> {
        match (&self.options.count, &self.options.fraction) {
            (Some(counts), _) => counts.as_slice().iter().map(ToString::to_string).collect(),
            (None, Some(fractions)) => fractions.as_slice().iter().map(ToString::to_string).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// File of the quotas of the target at `index`.
    fn quota_file(&self, index: usize) -> String {
        match index {
            0 => "quotas.parquet".into(),
            _ => format!("quotas-{}.parquet", self.labels()[index]),
        }
    }

    fn read_input(&self, context: &StepContext<'_>, shard: u32, uids: &[Uid]) -> Result<Input> {
        let kept = context.kept(shard, uids)?;
        let keep = self.keep();
        let (mut cluster, mut dist) = (vec![-1; uids.len()], vec![0f32; uids.len()]);
        if let Some(step) = context.earlier("cluster") {
            let labels = context.step_column(step, shard, uids, "cluster")?;
            let sims = context.step_column(step, shard, uids, "centroid_sim")?;
            let (labels, sims) = (labels.as_primitive::<Int32Type>(), sims.as_primitive::<Float32Type>());
            for row in (0..uids.len()).filter(|&row| labels.is_valid(row)) {
                cluster[row] = labels.value(row);
                dist[row] = 1.0 - sims.value(row);
            }
        }
        let values = best_values(context, shard, &keep)?;
        let order = (0..uids.len())
            .map(|row| {
                let global = GlobalRow::new(shard, row as u32);
                let value = values.as_ref().and_then(|values| values[row]);
                OrderKey::new(&keep, self.options.seed, uids[row], global, dist[row], value)
            })
            .collect();
        Ok(Input { kept, cluster, order, dist })
    }

    /// Key by which rows meet: the cluster, or a slice of the global order (monotone in it).
    fn key(&self, input: &Input, row: usize) -> u32 {
        if !self.is_global() {
            return input.cluster[row] as u32;
        }
        match self.keep() {
            // Distances fill a small part of the floats, so they are cut evenly by value.
            Keep::Hard => PARTITIONS - 1 - slice_of(input.dist[row]),
            Keep::Easy => slice_of(input.dist[row]),
            Keep::Random | Keep::Best(_) => input.order[row].top_bits(12),
        }
    }

    fn clusters(&self, context: &StepContext<'_>) -> Result<(Vec<f32>, usize)> {
        let Some(step) = context.earlier("cluster") else { return Ok((Vec::new(), 1)) };
        let cribble_core::StepOptions::Cluster(options) = &step.options else {
            return Err(Error::bug("a cluster step without cluster options"));
        };
        let dim = context.embedding(&options.embedding)?.info.dim;
        Ok((read_centroids(&step.path.join("centroids.npy"), dim)?, dim))
    }

    fn keys(&self, context: &StepContext<'_>) -> Result<u32> {
        if self.is_global() {
            return Ok(PARTITIONS);
        }
        let (centroids, dim) = self.clusters(context)?;
        Ok((centroids.len() / dim) as u32)
    }

    fn scatter(&self, context: &StepContext<'_>, shard: Unit) -> Result<TaskOutput> {
        let uids = context.uids(shard)?;
        let input = self.read_input(context, shard, &uids)?;
        let keys = self.keys(context)?;
        let mut figures = Figures::new(if self.is_global() { 1 } else { keys as usize });
        let (mut records, mut places) = (Vec::new(), Vec::new());
        for row in (0..uids.len()).filter(|&row| input.kept[row]) {
            if !self.is_global() && input.cluster[row] < 0 {
                return Err(Error::bug(format!(
                    "{}: row {row} is kept but has no cluster",
                    context.shard_name(shard)
                )));
            }
            let cluster = if self.is_global() { 0 } else { input.cluster[row] as u32 };
            figures.add(cluster, 1.0 - input.dist[row], uids[row]);
            places.push(self.key(&input, row));
            records.extend_from_slice(bytemuck::bytes_of(&input.order[row]));
        }
        let mut writer =
            ScatterWriter::create(&context.scratch(format!("rows/{shard:08}")), keys, size_of::<OrderKey>())?;
        writer.push_run(&places, &records)?;
        writer.commit()?;
        figures.write(&context.scratch(format!("figures/{shard:08}")))?;
        Ok(TaskOutput::default())
    }

    fn quota(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        let keys = self.keys(context)?;
        let mut figures = Figures::new(if self.is_global() { 1 } else { keys as usize });
        let mut counts = vec![0u64; keys as usize];
        for shard in 0..context.shards() {
            figures.merge(&Figures::read(&context.scratch(format!("figures/{shard:08}")))?);
            ScatterReader::open(&context.scratch(format!("rows/{shard:08}")))?.add_counts(&mut counts);
        }
        let sizes: Vec<u64> = (0..figures.clusters()).map(|cluster| figures.size(cluster)).collect();
        let mut output = TaskOutput::default();
        let (centroids, dim) = self.clusters(context)?;
        let mut details = PruneDetails { method: self.options.method.to_string(), ..PruneDetails::default() };
        for (index, (label, target)) in self.targets(sizes.iter().sum())?.into_iter().enumerate() {
            let solved =
                Solved::new(&self.options, self.is_global(), &figures, &sizes, &centroids, dim, target)?;
            if solved.relaxed {
                output.notes.push(format!(
                    "{label}: the lower bound of a cluster's quota was lowered to {} so that {target} rows suffice",
                    solved.floor
                ));
            }
            QuotaTable::write(&context.folder.join(self.quota_file(index)), &sizes, &solved)?;
            if index == 0 {
                details.quotas = (0..sizes.len())
                    .map(|c| QuotaFigures { size: sizes[c], share: solved.share[c], quota: solved.quota[c] })
                    .collect();
            }
            details.targets.push(PruneTarget {
                subset: if index == 0 { "subset.npy".into() } else { format!("subset-{label}.npy") },
                label,
                target,
                kept: solved.quota.iter().sum(),
                lambda: solved.lambda,
            });
        }
        let plan = Buckets::plan(&counts);
        cribble_io::write_file(&context.scratch("buckets.json"), to_value(&plan)?.to_string().as_bytes())?;
        output.data = to_value(&details)?;
        Ok(output)
    }

    fn rank(&self, context: &StepContext<'_>, bucket: Unit) -> Result<TaskOutput> {
        let plan = Buckets::read(context)?;
        let (keys, base) = plan.bucket(bucket);
        let keep = self.keep();
        let mut rows: Vec<(u32, OrderKey)> = Vec::new();
        let mut bytes = Vec::new();
        for shard in 0..context.shards() {
            context.cancel.check()?;
            let reader = ScatterReader::open(&context.scratch(format!("rows/{shard:08}")))?;
            for key in keys.clone() {
                bytes.clear();
                reader.read(key..key + 1, &mut bytes)?;
                rows.extend(
                    bytes
                        .chunks_exact(size_of::<OrderKey>())
                        .map(|record| (key, bytemuck::pod_read_unaligned(record))),
                );
            }
        }
        rows.sort_unstable();
        let (mut shards, mut records) = (Vec::with_capacity(rows.len()), Vec::new());
        let mut rank = if self.is_global() { base } else { 0 };
        for (index, &(key, order)) in rows.iter().enumerate() {
            if !self.is_global() && (index == 0 || rows[index - 1].0 != key) {
                rank = 0;
            }
            let row = order.row(&keep);
            shards.push(row.shard());
            let ranked = Ranked { row: row.row(), rank: u32::try_from(rank).unwrap_or(u32::MAX) };
            records.extend_from_slice(bytemuck::bytes_of(&ranked));
            rank += 1;
        }
        let path = context.scratch(format!("ranks/{bucket:08}"));
        let mut writer = ScatterWriter::create(&path, context.shards(), size_of::<Ranked>())?;
        writer.push_run(&shards, &records)?;
        writer.commit()?;
        Ok(TaskOutput::default())
    }

    fn verdict(&self, context: &StepContext<'_>, shard: Unit) -> Result<TaskOutput> {
        let uids = context.uids(shard)?;
        let input = self.read_input(context, shard, &uids)?;
        let quota = QuotaTable::read(&context.folder.join(self.quota_file(0)))?;
        let mut ranks = vec![None; uids.len()];
        let mut bytes = Vec::new();
        for bucket in 0..Buckets::read(context)?.count() {
            bytes.clear();
            ScatterReader::open(&context.scratch(format!("ranks/{bucket:08}")))?
                .read(shard..shard + 1, &mut bytes)?;
            for record in bytes.chunks_exact(size_of::<Ranked>()) {
                let ranked: Ranked = bytemuck::pod_read_unaligned(record);
                ranks[ranked.row as usize] = Some(ranked.rank);
            }
        }
        let reason: Arc<str> = match self.options.method {
            PruneMethod::Density => "over quota".into(),
            PruneMethod::Prototypes => format!("rank by distance ({})", self.options.keep).into(),
            PruneMethod::Random => "not drawn".into(),
        };
        let mut verdicts = Verdicts::new(uids.len());
        let (mut rank_column, mut cluster_column) = (Int32Builder::new(), Int32Builder::new());
        for row in 0..uids.len() {
            match ranks[row].filter(|_| input.kept[row]) {
                Some(rank) => {
                    let allowed = quota[if self.is_global() { 0 } else { input.cluster[row] as usize }];
                    if u64::from(rank) < allowed {
                        verdicts.keep(row)
                    } else {
                        verdicts.drop(row, &reason)
                    }
                    rank_column.append_value(i32::try_from(rank).unwrap_or(i32::MAX));
                }
                None if input.kept[row] => {
                    return Err(Error::bug(format!("{}: row {row} has no rank", context.shard_name(shard))));
                }
                None => rank_column.append_null(),
            }
            cluster_column
                .append_option((input.kept[row] && input.cluster[row] >= 0).then_some(input.cluster[row]));
        }
        let columns: Vec<(Field, ArrayRef)> = vec![
            (Field::new("rank", DataType::Int32, true), Arc::new(rank_column.finish())),
            (Field::new("cluster", DataType::Int32, true), Arc::new(cluster_column.finish())),
        ];
        let bytes_written = context.write_verdicts(shard, &uids, &verdicts, columns, &[])?;
        Ok(TaskOutput { counts: verdicts.counts(), bytes_written, ..TaskOutput::default() })
    }
}

impl Step for Prune {
    fn kind(&self) -> &'static str {
        "prune"
    }

    fn check(&self, context: &StepContext<'_>) -> Result<Vec<String>> {
        let by_column =
            matches!(self.options.keep, Keep::Best(_)) || self.options.method == PruneMethod::Random;
        let needs_clusters = !(self.is_global() && by_column);
        if needs_clusters && context.earlier("cluster").is_none() {
            return Err(Error::usage(format!(
                "method = \"{}\" needs a cluster step before it",
                self.options.method
            ))
            .with_hint("add [[step]] kind = \"cluster\" with an embedding and k"));
        }
        if let Keep::Best(column) = &self.options.keep {
            require_number(context, column)?;
        }
        Ok(vec![format!("method = {}, sizes {}", self.options.method, self.labels().join(", "))])
    }

    fn provides(&self) -> Result<Provides> {
        Ok(Provides::columns(&[("rank", DataType::Int32), ("cluster", DataType::Int32)]))
    }

    fn phases(&self) -> Vec<PhaseSpec> {
        let phase = |name, unit, parallel| PhaseSpec { name, unit, parallel };
        vec![
            phase("scatter", UnitKind::Shard, Parallel::Outer),
            phase("quota", UnitKind::Whole, Parallel::Inner),
            phase("rank", UnitKind::Bucket, Parallel::Inner),
            phase("verdict", UnitKind::Shard, Parallel::Outer),
        ]
    }

    fn buckets(&self, context: &StepContext<'_>, _phase: &str) -> Result<u32> {
        Ok(Buckets::read(context)?.count())
    }

    fn run(&self, context: &StepContext<'_>, phase: &str, unit: Unit) -> Result<TaskOutput> {
        match phase {
            "scatter" => self.scatter(context, unit),
            "quota" => self.quota(context),
            "rank" => self.rank(context, unit),
            _ => self.verdict(context, unit),
        }
    }

    fn further_subsets(&self) -> Vec<String> {
        self.labels().into_iter().skip(1).collect()
    }

    fn further_subset(
        &self,
        context: &StepContext<'_>,
        index: usize,
        shard: u32,
        uids: &[Uid],
    ) -> Result<Vec<bool>> {
        let quota = QuotaTable::read(&context.folder.join(self.quota_file(index + 1)))?;
        let path = context.folder.join(format!("{}.parquet", context.shard_name(shard)));
        let column = |name: &str| cribble_pipeline::TableReader::column(&path, uids, name);
        let (ranks, clusters) = (column("rank")?, column("cluster")?);
        let (ranks, clusters) = (ranks.as_primitive::<Int32Type>(), clusters.as_primitive::<Int32Type>());
        Ok((0..uids.len())
            .map(|row| {
                let cluster = if self.is_global() { 0 } else { clusters.value(row) as usize };
                ranks.is_valid(row) && (ranks.value(row) as u64) < quota[cluster]
            })
            .collect())
    }

    fn finish(&self, _context: &StepContext<'_>, outputs: &[(String, Vec<TaskOutput>)]) -> Result<Details> {
        let output =
            outputs.iter().find(|(name, _)| name == "quota").and_then(|(_, outputs)| outputs.first());
        let data = output
            .map(|output| output.data.clone())
            .ok_or_else(|| Error::bug("phase quota has no output"))?;
        Ok(Details::Prune(from_value(data)?))
    }
}

/// Slice of a distance (0 to 2) among the partitions.
fn slice_of(dist: f32) -> u32 {
    ((dist.clamp(0.0, 2.0) / 2.0 * PARTITIONS as f32) as u32).min(PARTITIONS - 1)
}
