//! The tables of a dedup step: what the buckets found comes back to each shard, and the rule is applied.
use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, Float32Builder, Int32Builder},
    datatypes::{DataType, Field},
};
use cribble_core::{DedupMode, Error, Result, Uid};
use cribble_math::pairs::is_removed;
use cribble_pipeline::{ScatterReader, StepContext, TaskOutput, Verdicts, vectors::fault};
use serde::{Deserialize, Serialize};

use super::{
    Dedup,
    assign::{Cell, read_cells},
    cells::Plan,
    components::Represented,
    exact,
    pairs::Found,
};
use crate::values::to_value;

/// Rows judged semantically, and how many of them each ε of the curve removes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    pub judged: u64,
    pub removed: Vec<u64>,
}

impl Dedup {
    pub(super) fn verdict(&self, context: &StepContext<'_>, shard: u32) -> Result<TaskOutput> {
        let uids = context.uids(shard)?;
        let kept = context.kept(shard, &uids)?;
        let losers: BTreeMap<u32, Uid> = self.losers(context, shard)?.into_iter().collect();
        let (cells, found, represented) = if self.is_semantic() {
            (
                read_cells(context, shard)?,
                self.found(context, shard, uids.len())?,
                self.represented(context, shard)?,
            )
        } else {
            (Vec::new(), Vec::new(), BTreeMap::new())
        };
        let epsilons = self.epsilons();
        let mut tally = Tally { judged: 0, removed: vec![0; epsilons.len()] };
        let (exact_reason, near_reason): (Arc<str>, Arc<str>) =
            (exact::reason(), "semantic duplicate".into());
        let mut verdicts = Verdicts::new(uids.len());
        let mut errors = Vec::new();
        let (mut cell_column, mut dist_column) = (Int32Builder::new(), Float32Builder::new());
        let (mut sim_column, mut of_column) = (Float32Builder::new(), FixedSizeBinaryBuilder::new(16));
        let mut point_to = |of: Option<Uid>| match of {
            Some(uid) => {
                of_column.append_value(uid.to_bytes()).map_err(|error| Error::bug(error.to_string()))
            }
            None => {
                of_column.append_null();
                Ok(())
            }
        };
        for row in 0..uids.len() {
            let cell = cells.get(row).copied().unwrap_or(Cell::NotJudged);
            match cell {
                Cell::In(cell, dist) => {
                    cell_column.append_value(cell as i32);
                    dist_column.append_value(dist);
                }
                _ => {
                    cell_column.append_null();
                    dist_column.append_null();
                }
            }
            let earlier = found.get(row).copied().flatten();
            let sim = earlier.map_or(f32::NAN, |found| found.sim);
            sim_column.append_option(matches!(cell, Cell::In(..)).then_some(sim));
            if !kept[row] {
                point_to(None)?;
                continue;
            }
            if let Some(&of) = losers.get(&(row as u32)) {
                verdicts.drop(row, &exact_reason);
                point_to(Some(of))?;
                continue;
            }
            if let Cell::Fault(state) = cell {
                let (code, message) = fault(state, &self.options.embedding).ok_or_else(|| {
                    Error::bug(format!("{}: row {row} has no cell", context.shard_name(shard)))
                })?;
                verdicts.error(row, &code.into());
                errors.push(context.error_row(uids[row], shard, row, code, message));
                point_to(None)?;
                continue;
            }
            if self.is_semantic() {
                tally.judged += 1;
                for (count, &epsilon) in tally.removed.iter_mut().zip(&epsilons) {
                    *count += u64::from(is_removed(sim, epsilon));
                }
            }
            let of = match self.options.mode {
                DedupMode::Greedy => earlier
                    .filter(|found| is_removed(found.sim, self.epsilon()))
                    .map(|found| Uid::from_bytes(found.of)),
                DedupMode::Groups => represented.get(&(row as u32)).copied(),
            };
            match of {
                Some(_) => verdicts.drop(row, &near_reason),
                None => verdicts.keep(row),
            }
            point_to(of)?;
        }
        let mut columns: Vec<(Field, ArrayRef)> = Vec::new();
        if self.is_semantic() {
            columns.push((Field::new("cell", DataType::Int32, true), Arc::new(cell_column.finish())));
            columns
                .push((Field::new("centroid_dist", DataType::Float32, true), Arc::new(dist_column.finish())));
            columns.push((Field::new("max_sim", DataType::Float32, true), Arc::new(sim_column.finish())));
        }
        columns.push((
            Field::new("duplicate_of", DataType::FixedSizeBinary(16), true),
            Arc::new(of_column.finish()),
        ));
        let bytes_written = context.write_verdicts(shard, &uids, &verdicts, columns, &errors)?;
        Ok(TaskOutput {
            counts: verdicts.counts(),
            bytes_written,
            data: to_value(&tally)?,
            ..TaskOutput::default()
        })
    }

    /// For each row the largest similarity that any cell found; of equal ones that to the row first in the scan.
    fn found(&self, context: &StepContext<'_>, shard: u32, rows: usize) -> Result<Vec<Option<Found>>> {
        let mut best: Vec<Option<Found>> = vec![None; rows];
        let mut bytes = Vec::new();
        for bucket in 0..Plan::read(context)?.buckets() {
            bytes.clear();
            ScatterReader::open(&context.scratch(format!("found/{bucket:08}")))?
                .read(shard..shard + 1, &mut bytes)?;
            for record in bytes.chunks_exact(size_of::<Found>()) {
                let found: Found = bytemuck::pod_read_unaligned(record);
                let known = &mut best[found.row as usize];
                let better = known.is_none_or(|known| {
                    found.sim > known.sim || (found.sim == known.sim && found.of_order < known.of_order)
                });
                if better {
                    *known = Some(found);
                }
            }
        }
        Ok(best)
    }

    fn represented(&self, context: &StepContext<'_>, shard: u32) -> Result<BTreeMap<u32, Uid>> {
        if self.options.mode == DedupMode::Greedy {
            return Ok(BTreeMap::new());
        }
        let mut bytes = Vec::new();
        ScatterReader::open(&context.scratch("represented"))?.read(shard..shard + 1, &mut bytes)?;
        Ok(bytes
            .chunks_exact(size_of::<Represented>())
            .map(|record| {
                let represented: Represented = bytemuck::pod_read_unaligned(record);
                (represented.row, Uid::from_bytes(represented.by))
            })
            .collect())
    }
}

/// The distinct samples that rows of a table name in `duplicate_of`, ascending.
pub fn named_originals(path: &Path) -> Result<Vec<Uid>> {
    let column = cribble_pipeline::read_column(path, "duplicate_of")?;
    let column = column.as_fixed_size_binary();
    let mut uids: Vec<Uid> = (0..column.len())
        .filter(|&row| column.is_valid(row))
        .filter_map(|row| Some(Uid::from_bytes(column.value(row).try_into().ok()?)))
        .collect();
    uids.sort_unstable();
    uids.dedup();
    Ok(uids)
}
