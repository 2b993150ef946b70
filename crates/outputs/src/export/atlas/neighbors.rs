//! The nearest rows of each row, exactly, where there are not too many: every pair is compared.
use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float32Array, Int64Array, ListArray, StructArray},
    buffer::OffsetBuffer,
    datatypes::{DataType, Field, Fields},
};
use cribble_core::{Error, Result};
use cribble_math::{
    RowState,
    top::{Queries, Stored, Top, scan},
};
use cribble_pipeline::{
    StepContext,
    vectors::{Tile, for_tiles},
};
use rayon::prelude::*;

use super::Table;

/// Nearest rows of a row.
pub(super) const MOST: usize = 15;
/// Rows above which none are looked for: 20,000 × 20,000 pairs of 512 numbers take seconds.
const MOST_ROWS: u64 = 20_000;
/// Rows that ask at once.
const ASKING: usize = 64;

/// The column: ids are positions in the map, from 0; distances are 1 − cosine, ascending.
pub(super) fn field() -> Field {
    Field::new("neighbors", DataType::Struct(fields()), false)
}

fn fields() -> Fields {
    let list = |name: &str, kind| Field::new(name, DataType::List(item(kind)), false);
    Fields::from(vec![list("ids", DataType::Int64), list("distances", DataType::Float32)])
}

fn item(kind: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", kind, false))
}

/// The nearest rows of every row that will be on the map, in their order; `None` where there are more than 20,000, or more than a quarter of the ceiling
/// holds.
pub(super) fn find(context: &StepContext<'_>, table: &Table<'_>) -> Result<Option<ArrayRef>> {
    let embedding = &table.clusters.embedding.embedding;
    let dim = embedding.info.dim;
    let most = MOST_ROWS.min(context.memory / 4 / (4 * dim as u64));
    let mut wanted = Vec::new();
    let mut total = 0;
    for shard in 0..context.shards() {
        let rows = if table.all { vec![true; context.rows(shard)] } else { table.view.kept(shard)? };
        total += rows.iter().filter(|wanted| **wanted).count() as u64;
        if total > most {
            return Ok(None);
        }
        wanted.push(rows);
    }
    let mut rows: Vec<f32> = Vec::new();
    for (shard, wanted) in (0..context.shards()).zip(&wanted) {
        let work = |_: &mut (), tile: &Tile<'_>| -> Vec<f32> {
            let good =
                tile.values.chunks_exact(dim).zip(tile.states).filter(|(_, state)| **state == RowState::Unit);
            good.flat_map(|(row, _)| row).copied().collect()
        };
        for_tiles(context, embedding, shard, wanted, work, |_, found| {
            rows.extend(found);
            Ok(())
        })?;
    }
    Ok(Some(column(nearest(context, &rows, dim)?)))
}

/// For each row the others in the order of their similarity, and 1 − that.
fn nearest(context: &StepContext<'_>, rows: &[f32], dim: usize) -> Result<Vec<Vec<(i64, f32)>>> {
    context.progress.begin("neighbors", (rows.len() / dim) as u64, "rows");
    let found = rows
        .par_chunks(ASKING * dim)
        .enumerate()
        .map(|(chunk, asking)| {
            context.cancel.check()?;
            let queries =
                Queries::new(asking.to_vec(), dim).ok_or_else(|| Error::bug("a row lost its direction"))?;
            // One more than is wanted: the row itself.
            let mut tops = queries.tops(MOST + 1);
            scan(&queries, Stored::Single(rows), |place| Some(place as u64), &mut tops);
            context.progress.advance(queries.len() as u64);
            let lists = tops.into_iter().map(Top::into_hits).enumerate().map(|(place, hits)| {
                let own = (chunk * ASKING + place) as u64;
                let others = hits.into_iter().filter(|hit| hit.row != own).take(MOST);
                // Rounding may leave a hair below 0.
                others.map(|hit| (hit.row as i64, (1.0 - hit.similarity).max(0.0) as f32)).collect()
            });
            Ok(lists.collect::<Vec<Vec<(i64, f32)>>>())
        })
        .collect::<Result<Vec<_>>>()?;
    context.progress.end();
    Ok(found.into_iter().flatten().collect())
}

fn column(lists: Vec<Vec<(i64, f32)>>) -> ArrayRef {
    let offsets = || OffsetBuffer::<i32>::from_lengths(lists.iter().map(Vec::len));
    let each = || lists.iter().flatten();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(each().map(|(id, _)| *id)));
    let distances: ArrayRef = Arc::new(Float32Array::from_iter_values(each().map(|(_, distance)| *distance)));
    let list = |kind, values| -> ArrayRef { Arc::new(ListArray::new(item(kind), offsets(), values, None)) };
    let parts = vec![list(DataType::Int64, ids), list(DataType::Float32, distances)];
    Arc::new(StructArray::new(fields(), parts, None))
}
