//! What the cells missed, estimated: a sample of rows is compared with every earlier row of the whole input. Sketches screen the pairs, those that
//! may be near are compared exactly; only the records of the cells are read.
use std::collections::BinaryHeap;

use arrow::{array::AsArray, datatypes::Float32Type};
use cribble_core::{Error, Recall, Result};
use cribble_math::{
    pairs::is_removed,
    rows::similarity,
    sketch::{Sketch, near_pairs},
};
use cribble_pipeline::{Embedding, GlobalRow, ScatterReader, StepContext, TableReader, TaskOutput};
use rayon::prelude::*;

use super::{Dedup, assign::Record, exact::short_hash, rows::Fetched};
use crate::values::to_value;

/// Rows drawn. Each is compared with every row of the input.
const SAMPLE: usize = 512;
/// Bytes of records that are looked at together.
const PIECE: usize = 4 << 20;

impl Dedup {
    pub(super) fn recall(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        // One cell compares every pair: there is nothing to estimate.
        let mut recall = None;
        if context.shards() > 0 && reader(context, 0)?.keys() > 1 {
            let queries = sample(context)?;
            let duplicate = self.duplicates(context, &queries)?;
            let found = self.found_before(context, &queries, &duplicate)?;
            let duplicates = duplicate.iter().filter(|&&is| is).count() as u64;
            recall = Some(Recall { sampled: queries.len() as u64, duplicates, found });
        }
        Ok(TaskOutput { data: to_value(&recall)?, ..TaskOutput::default() })
    }

    /// Which queries have a duplicate among all rows before them in the scan.
    fn duplicates(&self, context: &StepContext<'_>, queries: &[Record]) -> Result<Vec<bool>> {
        let embedding = context.embedding(&self.options.embedding)?;
        let threshold = (1.0 - self.epsilon()) as f32;
        let sketches: Vec<Sketch> = queries.iter().map(|query| query.sketch).collect();
        let mut duplicate = vec![false; queries.len()];
        // A few shards at once; what they find is confirmed before the next, so that copies by the thousand are not all remembered.
        let shards: Vec<u32> = (0..context.shards()).collect();
        for shards in shards.chunks(rayon::current_num_threads()) {
            let near = shards.par_iter().map(|&shard| {
                let mut near: Vec<(Record, usize)> = Vec::new();
                for_records(context, shard, |records| {
                    let targets: Vec<Sketch> = records.iter().map(|record| record.sketch).collect();
                    for (row, query) in near_pairs(&targets, &sketches, threshold) {
                        let (record, query) = (&records[row as usize], query as usize);
                        if !duplicate[query] && record.order < queries[query].order {
                            near.push((*record, query));
                        }
                    }
                    Ok(())
                })?;
                Ok(near)
            });
            let near: Vec<Vec<(Record, usize)>> = near.collect::<Result<_>>()?;
            self.confirm(context, &embedding, queries, &near.concat(), &mut duplicate)?;
        }
        Ok(duplicate)
    }

    /// Marks the queries that have a duplicate among the rows that they are paired with.
    fn confirm(
        &self,
        context: &StepContext<'_>,
        embedding: &Embedding,
        queries: &[Record],
        pairs: &[(Record, usize)],
        duplicate: &mut [bool],
    ) -> Result<()> {
        let rows = pairs.iter().flat_map(|(record, query)| [record.row, queries[*query].row]);
        let fetched = Fetched::read(context, embedding, rows)?;
        let (mut row, mut other) = (vec![0f32; embedding.info.dim], vec![0f32; embedding.info.dim]);
        for (number, (_, query)) in pairs.iter().enumerate() {
            let query = *query;
            if !duplicate[query] {
                fetched.unit(2 * number, &mut row);
                fetched.unit(2 * number + 1, &mut other);
                duplicate[query] = is_removed(similarity(&row, &other), self.epsilon());
            }
        }
        Ok(())
    }

    /// How many of the queries that are duplicates the cells have found, too.
    fn found_before(&self, context: &StepContext<'_>, queries: &[Record], duplicate: &[bool]) -> Result<u64> {
        let mut rows: Vec<GlobalRow> =
            queries.iter().zip(duplicate).filter(|(_, is)| **is).map(|(query, _)| query.row).collect();
        rows.sort_unstable();
        let mut found = 0;
        for rows in rows.chunk_by(|a, b| a.shard() == b.shard()) {
            let sims = max_sims(context, rows[0].shard())?;
            found +=
                rows.iter().filter(|row| is_removed(sims[row.row() as usize], self.epsilon())).count() as u64;
        }
        Ok(found)
    }
}

fn reader(context: &StepContext<'_>, shard: u32) -> Result<ScatterReader> {
    ScatterReader::open(&context.scratch(format!("sketches/{shard:08}")))
}

/// Visits the records of the rows of a shard that were judged, each once, in pieces.
fn for_records(
    context: &StepContext<'_>,
    shard: u32,
    mut visit: impl FnMut(&[Record]) -> Result<()>,
) -> Result<()> {
    let reader = reader(context, shard)?;
    let mut own = Vec::new();
    reader.read_pieces(0..reader.keys(), PIECE, |piece| {
        context.cancel.check()?;
        let records = piece.chunks_exact(size_of::<Record>()).map(bytemuck::pod_read_unaligned);
        own.clear();
        own.extend(records.filter(|record: &Record| record.visitor == 0));
        visit(&own)
    })
}

/// The rows with the smallest hashes among those that were judged, in the order of the scan.
fn sample(context: &StepContext<'_>) -> Result<Vec<Record>> {
    let of_shard = |shard: u32| {
        let mut drawn = BinaryHeap::new();
        for_records(context, shard, |records| {
            for record in records {
                // Another hash than that of `keep = "random"` and of the training rows, so that the sample is independent of both.
                let mut text = [0; 22];
                text[..16].copy_from_slice(&record.uid);
                text[16..].copy_from_slice(b"recall");
                let new = Drawn { hash: short_hash(&text), record: *record };
                if drawn.len() < SAMPLE {
                    drawn.push(new);
                } else if let Some(mut last) = drawn.peek_mut()
                    && new < *last
                {
                    *last = new;
                }
            }
            Ok(())
        })?;
        Ok(drawn.into_vec())
    };
    let drawn: Vec<Vec<Drawn>> =
        (0..context.shards()).into_par_iter().map(of_shard).collect::<Result<_>>()?;
    let mut drawn: Vec<Drawn> = drawn.into_iter().flatten().collect();
    drawn.sort_unstable();
    let mut queries: Vec<Record> = drawn.into_iter().take(SAMPLE).map(|drawn| drawn.record).collect();
    queries.sort_unstable_by_key(|query| query.order);
    Ok(queries)
}

/// A row that was drawn, ordered by hash and row.
struct Drawn {
    hash: [u8; 16],
    record: Record,
}

impl Drawn {
    fn key(&self) -> ([u8; 16], GlobalRow) {
        (self.hash, self.record.row)
    }
}

impl PartialEq for Drawn {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Drawn {}

impl PartialOrd for Drawn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Drawn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// The column `max_sim` that the verdict phase has just written.
fn max_sims(context: &StepContext<'_>, shard: u32) -> Result<Vec<f32>> {
    let path = context.folder.join(format!("{}.parquet", context.shard_name(shard)));
    let column = TableReader::column(&path, &context.uids(shard)?, "max_sim")?;
    let column = column.as_primitive_opt::<Float32Type>().ok_or_else(|| Error::bug("max_sim is no f32"))?;
    Ok(column.iter().map(|value| value.unwrap_or(f32::NAN)).collect())
}
