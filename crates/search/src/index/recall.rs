//! How many cells a query must look at, by trying: rows that are drawn by a hash ask, and what the index finds is compared with what comparing every row
//! finds. Half of them choose the number, the other half measure what it gives. Where the run has the captions' vectors of the same
//! model they ask too: a text's nearest images lie in more cells than an image's.
use std::collections::{BTreeMap, BinaryHeap};

use cribble_core::{Error, IndexRecall, Result};
use cribble_math::top::{Hit, Queries};
use cribble_pipeline::{GlobalRow, RunEmbedding, RunView, StepContext};

use super::{Index, build::hash};
use crate::Scan;

/// Queries of each kind.
const QUERIES: usize = 200;
/// Recall@10 that the number of cells is chosen for. Above what is promised (0.95), because the other queries are others.
const WANTED: f64 = 0.98;
const SEED: u64 = 1;

/// Queries of one kind, with what they should find.
struct Trial {
    name: String,
    queries: Queries,
    /// The row that each is the vector of; it is no hit where it asks for its own like.
    rows: Vec<GlobalRow>,
    is_own: bool,
    truth: Vec<Vec<Hit>>,
}

/// Chooses the number of cells and measures. Returns both.
pub(super) fn measure(
    view: &RunView,
    context: &StepContext<'_>,
    embedding: &RunEmbedding,
    index: &mut Index,
) -> Result<(u64, Vec<IndexRecall>)> {
    let drawn = drawn(index)?;
    let mut trials = vec![trial(view, context, embedding, embedding, &drawn)?];
    if let Some(partner) = view.partner(embedding) {
        trials.push(trial(view, context, embedding, &partner, &drawn)?);
    }
    trials.retain(|trial| !trial.rows.is_empty());
    let cells = cells_of(index, &trials)?;
    let mut probes = 1;
    for trial in &trials {
        probes = probes.max(enough(index, trial, &cells));
    }
    index.meta.probes = probes as u64;
    let measured = trials.iter().map(|trial| tried(context, index, trial)).collect::<Result<Vec<_>>>()?;
    Ok((probes as u64, measured))
}

/// The rows of the index with the smallest hashes, in the order of the input.
fn drawn(index: &Index) -> Result<Vec<GlobalRow>> {
    let mut smallest = BinaryHeap::new();
    let total = index.rows.rows();
    for start in (0..total).step_by(1 << 16) {
        for row in index.rows.read_rows::<u64>(start, (total - start).min(1 << 16))? {
            smallest.push((hash(GlobalRow(row), SEED), row));
            if smallest.len() > QUERIES {
                smallest.pop();
            }
        }
    }
    let mut rows: Vec<GlobalRow> = smallest.into_iter().map(|(_, row)| GlobalRow(row)).collect();
    rows.sort_unstable();
    Ok(rows)
}

/// Lets the drawn rows' vectors of `asking` ask, and finds the truth by comparing every row.
fn trial(
    view: &RunView,
    context: &StepContext<'_>,
    embedding: &RunEmbedding,
    asking: &RunEmbedding,
    drawn: &[GlobalRow],
) -> Result<Trial> {
    let info = &asking.embedding.info;
    let (mut values, mut rows) = (Vec::new(), Vec::new());
    let mut open = None;
    for &row in drawn {
        if open.as_ref().is_none_or(|(shard, _)| *shard != row.shard()) {
            open = Some((row.shard(), context.open_embedding(&asking.embedding, row.shard())?));
        }
        let Some((_, reader)) = &mut open else { continue };
        let mut vector = vec![0.0; info.dim];
        reader.read_f32(u64::from(row.row()), &mut vector)?;
        if Queries::new(vector.clone(), info.dim).is_some() {
            values.extend(vector);
            rows.push(row);
        }
    }
    let queries = Queries::new(values, info.dim).ok_or_else(|| Error::bug("a query lost its direction"))?;
    let is_own = info.name == embedding.embedding.info.name;
    let scan = Scan { view, context, embedding, wanted: &|_| Ok(None), without: None };
    // One more than is asked for: the asking row itself.
    let found = scan.run(&queries, 101)?;
    let truth = found.tops.into_iter().zip(&rows).map(|(top, row)| {
        let mut hits = top.into_hits();
        hits.retain(|hit| !is_own || hit.row != row.0);
        hits.truncate(100);
        hits
    });
    let truth = truth.collect();
    Ok(Trial { name: info.name.clone(), queries, rows, is_own, truth })
}

/// The cell of every row that is a truth of some trial.
fn cells_of(index: &Index, trials: &[Trial]) -> Result<BTreeMap<u64, u32>> {
    let mut cells: BTreeMap<u64, u32> =
        trials.iter().flat_map(|trial| trial.truth.iter().flatten()).map(|hit| (hit.row, u32::MAX)).collect();
    for cell in 0..index.meta.cells as usize {
        let (start, end) = (index.starts[cell], index.starts[cell + 1]);
        for row in index.rows.read_rows::<u64>(start, end - start)? {
            if let Some(found) = cells.get_mut(&row) {
                *found = cell as u32;
            }
        }
    }
    Ok(cells)
}

/// The fewest cells by which the first half of the queries finds enough of its 10 nearest rows.
fn enough(index: &Index, trial: &Trial, cells: &BTreeMap<u64, u32>) -> usize {
    let most = index.meta.cells as usize;
    // How many of the true rows lie in a query's nearest cell, its second nearest, …
    let (mut at, mut total) = (vec![0u64; most], 0);
    for query in (0..trial.rows.len()).step_by(2) {
        let order = index.nearest_cells(trial.queries.values(query), most);
        let mut place = vec![0usize; most];
        order.iter().enumerate().for_each(|(near, &cell)| place[cell as usize] = near);
        for hit in trial.truth[query].iter().take(10) {
            total += 1;
            if let Some(near) = cells.get(&hit.row).and_then(|&cell| place.get(cell as usize)) {
                at[*near] += 1;
            }
        }
    }
    let mut found = 0;
    for (near, count) in at.iter().enumerate() {
        found += count;
        if found as f64 >= WANTED * total as f64 {
            return near + 1;
        }
    }
    most
}

/// What the second half of the queries finds through the index.
fn tried(context: &StepContext<'_>, index: &Index, trial: &Trial) -> Result<IndexRecall> {
    let (mut hits, mut wanted) = ([0u64; 2], [0u64; 2]);
    let asked = (1..trial.rows.len()).step_by(2);
    let count = asked.len() as u64;
    for query in asked {
        let without = trial.is_own.then_some(trial.rows[query]);
        let alone = Queries::new(trial.queries.values(query).to_vec(), trial.queries.dim());
        let alone = alone.ok_or_else(|| Error::bug("a query lost its direction"))?;
        let found = index.search(context, &alone, 100, without)?;
        let found = found.into_hits();
        for (slot, most) in [10, 100].into_iter().enumerate() {
            let truth = &trial.truth[query][..most.min(trial.truth[query].len())];
            let found = &found[..most.min(found.len())];
            wanted[slot] += truth.len() as u64;
            hits[slot] += truth.iter().filter(|hit| found.contains(hit)).count() as u64;
        }
    }
    let share = |slot: usize| if wanted[slot] == 0 { 1.0 } else { hits[slot] as f64 / wanted[slot] as f64 };
    Ok(IndexRecall { queries: trial.name.clone(), count, at_10: share(0), at_100: share(1) })
}
