//! What the cells missed, estimated: a sample of rows is compared with every earlier row of the whole input, by brute force.
use cribble_core::{Error, Recall, Result};
use cribble_math::{
    Earlier64,
    pairs::{earlier_max_of, is_removed},
};
use cribble_pipeline::{
    GlobalRow, ScatterReader, StepContext, TableReader, TaskOutput, vectors::StoredBlocks,
};

use super::{
    Dedup,
    assign::{Cell, read_cells},
    exact::short_hash,
};
use crate::{best_column::best_values, order::OrderKey, values::to_value};

/// Rows drawn. Each costs one similarity with every row of the input: 512 cost about what 512 more cells would.
const SAMPLE: usize = 512;

/// A row of the sample.
struct Query {
    order: OrderKey,
    shard: u32,
    row: u32,
}

impl Dedup {
    pub(super) fn recall(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        let first = ScatterReader::open(&context.scratch(format!("vectors/{:08}", 0)));
        let single_cell = match &first {
            Ok(reader) => reader.keys() <= 1,
            Err(_) => true,
        };
        // One cell compares every pair: there is nothing to estimate.
        if single_cell {
            return Ok(TaskOutput { data: to_value(&None::<Recall>)?, ..TaskOutput::default() });
        }
        let queries = self.sample(context)?;
        let embedding = context.embedding(&self.options.embedding)?;
        let dim = embedding.info.dim;
        let mut vectors = vec![0f32; queries.len() * dim];
        for (query, vector) in queries.iter().zip(vectors.chunks_exact_mut(dim)) {
            context.open_embedding(&embedding, query.shard)?.read_f32(u64::from(query.row), vector)?;
        }
        cribble_math::rows::normalize(&mut vectors, dim);
        // Places in the scan as numbers: a query is odd, every other row even, below it exactly when it comes earlier.
        let ranks: Vec<u64> = (0..queries.len() as u64).map(|place| 2 * place + 1).collect();
        let mut best = vec![Earlier64::NONE; queries.len()];
        for shard in 0..context.shards() {
            let uids = context.uids(shard)?;
            let cells = read_cells(context, shard)?;
            let values = best_values(context, shard, &self.options.keep)?;
            let mut blocks = StoredBlocks::open(context, &embedding, shard)?;
            while let Some(block) = blocks.read(context)? {
                let rank = |index: usize| {
                    let row = block.start + index;
                    let Cell::In(_, dist) = cells[row] else { return u64::MAX };
                    let global = GlobalRow::new(shard, row as u32);
                    let value = values.as_ref().and_then(|values| values[row]);
                    let order =
                        OrderKey::new(&self.options.keep, self.options.seed, uids[row], global, dist, value);
                    2 * queries.partition_point(|query| query.order <= order) as u64
                };
                let block_ranks: Vec<u64> = (0..block.states.len()).map(rank).collect();
                earlier_max_of(&vectors, &ranks, block.rows, &block_ranks, &mut best);
            }
        }
        let mut recall = Recall { sampled: queries.len() as u64, duplicates: 0, found: 0 };
        let mut known: Option<(u32, Vec<f32>)> = None;
        let mut order: Vec<usize> = (0..queries.len()).collect();
        order.sort_by_key(|&index| (queries[index].shard, queries[index].row));
        for index in order {
            if !is_removed(best[index].sim, self.epsilon()) {
                continue;
            }
            recall.duplicates += 1;
            let shard = queries[index].shard;
            if known.as_ref().is_none_or(|(loaded, _)| *loaded != shard) {
                known = Some((shard, max_sims(context, shard)?));
            }
            let sim = known.as_ref().map_or(f32::NAN, |(_, sims)| sims[queries[index].row as usize]);
            recall.found += u64::from(is_removed(sim, self.epsilon()));
        }
        Ok(TaskOutput { data: to_value(&Some(recall))?, ..TaskOutput::default() })
    }

    /// The rows with the smallest hashes among those that were judged, in the order of the scan.
    fn sample(&self, context: &StepContext<'_>) -> Result<Vec<Query>> {
        let mut drawn: std::collections::BinaryHeap<([u8; 16], u64, OrderKey)> =
            std::collections::BinaryHeap::new();
        for shard in 0..context.shards() {
            let uids = context.uids(shard)?;
            let cells = read_cells(context, shard)?;
            let values = best_values(context, shard, &self.options.keep)?;
            for (row, cell) in cells.iter().enumerate() {
                let Cell::In(_, dist) = *cell else { continue };
                // Another hash than that of `keep = "random"` and of the training rows, so that the sample is independent of both.
                let mut text = uids[row].to_bytes().to_vec();
                text.extend_from_slice(b"recall");
                let global = GlobalRow::new(shard, row as u32);
                let value = values.as_ref().and_then(|values| values[row]);
                let order =
                    OrderKey::new(&self.options.keep, self.options.seed, uids[row], global, dist, value);
                drawn.push((short_hash(&text), global.0, order));
                if drawn.len() > SAMPLE {
                    drawn.pop();
                }
            }
        }
        let mut queries: Vec<Query> = drawn
            .into_iter()
            .map(|(_, global, order)| Query {
                order,
                shard: GlobalRow(global).shard(),
                row: GlobalRow(global).row(),
            })
            .collect();
        queries.sort_by_key(|query| query.order);
        Ok(queries)
    }
}

/// The column `max_sim` that the verdict phase has just written.
fn max_sims(context: &StepContext<'_>, shard: u32) -> Result<Vec<f32>> {
    use arrow::{array::AsArray, datatypes::Float32Type};
    let path = context.folder.join(format!("{}.parquet", context.shard_name(shard)));
    let column = TableReader::column(&path, &context.uids(shard)?, "max_sim")?;
    let column = column.as_primitive_opt::<Float32Type>().ok_or_else(|| Error::bug("max_sim is no f32"))?;
    Ok(column.iter().map(|value| value.unwrap_or(f32::NAN)).collect())
}
