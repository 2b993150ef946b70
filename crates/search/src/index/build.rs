//! Building an index: draw training rows, train the cells, copy every row to its cell, choose how many cells a query looks at by trying.
use std::{io::Write, path::Path, time::Instant};

use cribble_core::{Error, ErrorKind, IndexReport, Result, Uid};
use cribble_io::{
    AtomicFile,
    npy::{ElementType, NpyWriter},
};
use cribble_math::{RowSource, RowState, nearest::nearest};
use cribble_pipeline::{
    Embedding, GlobalRow, RunEmbedding, RunView, ScatterReader, ScatterWriter, StepContext,
    vectors::{FileRows, StoredBlocks, train_centroids, width, write_centroids},
};

use super::{CENTROIDS, FORMAT, Index, META, Meta, ROWS, STARTS, VECTORS, folder, recall};

/// Training rows for each cell, as for the cells of dedup.
const ROWS_PER_CELL: u64 = 64;
const MOST_CELLS: u64 = 1 << 16;
const ITERATIONS: u32 = 10;
const SEED: u64 = 0;
/// What stands before a vector in scratch files: the row, and its cell in eight bytes.
const HEAD: usize = 16;

/// Cells for so many rows: twice their root. A query then compares with about as many centroids as with rows of one cell, and a handful of
/// cells holds what it looks for.
fn cells_for(rows: u64) -> u64 {
    ((2.0 * (rows as f64).sqrt()) as u64).clamp(1, MOST_CELLS)
}

/// Builds the index of an embedding, in place of one that is there, and measures its recall. Memory follows `--memory`; on disk it takes as much
/// as the embedding, and for a while twice that.
pub fn build(view: &RunView, context: &StepContext<'_>, embedding: &RunEmbedding) -> Result<IndexReport> {
    let began = Instant::now();
    let info = &embedding.embedding.info;
    let shards = context.shards();
    if !(0..shards).all(|shard| view.has_vectors(embedding, shard)) {
        return Err(Error::input(format!(
            "'{}' is still being made: an index of a part would be stale at once",
            info.name
        ))
        .with_hint("wait until its step is complete; until then searches compare every row"));
    }
    let folder = folder(view.run.path(), &info.name);
    let scratch = folder.join(".scratch");
    remove(&scratch)?;
    // From here on there is no index, whatever happens.
    match std::fs::remove_file(folder.join(META)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::wrap(ErrorKind::Input, error).context(folder.display()));
        }
        _ => {}
    }
    let rows = draw(context, &embedding.embedding, &scratch)?;
    if rows == 0 {
        return Err(Error::input(format!(
            "no row of '{}' has a vector: there is nothing to index",
            info.name
        )));
    }
    let source = FileRows::open(context, &scratch.join("train.f32"), info.dim)?;
    let cells = cells_for(rows).min(source.len() as u64);
    context.progress.begin("index: cells", 0, "passes");
    let trained = train_centroids(context, &source, cells, ITERATIONS, 1e-3, SEED);
    context.progress.end();
    let centroids = trained?.centroids;
    assign(context, &embedding.embedding, &centroids, &scratch)?;
    write_centroids(&folder.join(CENTROIDS), &centroids, info.dim)?;
    write(context, &embedding.embedding, cells as u32, &scratch, &folder)?;
    remove(&scratch)?;
    let meta = Meta {
        format: FORMAT,
        embedding: info.name.clone(),
        version: embedding.version.clone(),
        dim: info.dim,
        rows,
        cells,
        probes: cells,
        recall: Vec::new(),
    };
    let mut index = Index::open(folder.clone(), meta)?;
    (index.meta.probes, index.meta.recall) = recall::measure(view, context, embedding, &mut index)?;
    let mut text =
        serde_json::to_string_pretty(&index.meta).map_err(|error| Error::bug(error.to_string()))?;
    text.push('\n');
    cribble_io::write_file(&folder.join(META), text.as_bytes())?;
    Ok(IndexReport { seconds: Some(began.elapsed().as_secs_f64()), ..index.report()? })
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::wrap(ErrorKind::Input, error).context(folder.display()))
        }
        _ => Ok(()),
    }
}

/// Writes the training rows, drawn by a hash of their place, and counts the rows that have a vector.
fn draw(context: &StepContext<'_>, embedding: &Embedding, scratch: &Path) -> Result<u64> {
    let all: u64 = (0..context.shards()).map(|shard| context.rows(shard) as u64).sum();
    let share = (ROWS_PER_CELL * cells_for(all)) as f64 / all.max(1) as f64;
    let limit = if share < 1.0 { (share * u64::MAX as f64) as u64 } else { u64::MAX };
    let dim = embedding.info.dim;
    let mut file = AtomicFile::create(scratch.join("train.f32"))?;
    let mut rows = 0;
    context.progress.begin("index: training rows", u64::from(context.shards()), "shards");
    for shard in 0..context.shards() {
        let mut blocks = StoredBlocks::open(context, embedding, shard)?;
        while let Some(block) = blocks.read(context)? {
            for (place, row) in block.rows.chunks_exact(dim).enumerate() {
                if block.states[place] != RowState::Unit {
                    continue;
                }
                rows += 1;
                if hash(GlobalRow::new(shard, (block.start + place) as u32), SEED) <= limit {
                    file.write_all(bytemuck::cast_slice(row))
                        .map_err(|e| Error::wrap(ErrorKind::Input, e))?;
                }
            }
        }
        context.progress.advance(1);
    }
    context.progress.end();
    file.commit()?;
    Ok(rows)
}

/// A hash of a row's place: what draws depend on, so that they depend on nothing else.
pub(super) fn hash(row: GlobalRow, seed: u64) -> u64 {
    Uid(u128::from(row.0)).mix(seed)
}

/// Copies every row that has a vector, with its cell, into one scatter file a shard.
pub(super) fn assign(
    context: &StepContext<'_>,
    embedding: &Embedding,
    centroids: &[f32],
    scratch: &Path,
) -> Result<()> {
    let dim = embedding.info.dim;
    let cells = (centroids.len() / dim) as u32;
    let vector = dim * width(embedding);
    let limit = ((context.memory / 8) as usize / (HEAD + vector)).max(1);
    context.progress.begin("index: rows to cells", u64::from(context.shards()), "shards");
    for shard in 0..context.shards() {
        let mut writer = ScatterWriter::create(&scratch_file(scratch, shard), cells, HEAD + vector)?;
        let (mut keys, mut records) = (Vec::new(), Vec::new());
        let mut blocks = StoredBlocks::open(context, embedding, shard)?;
        while let Some(block) = blocks.read(context)? {
            let count = block.states.len();
            let (mut labels, mut sims) = (vec![0; count], vec![0.0; count]);
            nearest(block.rows, centroids, dim, &mut labels, &mut sims);
            for place in (0..count).filter(|&place| block.states[place] == RowState::Unit) {
                let row = GlobalRow::new(shard, (block.start + place) as u32);
                keys.push(labels[place]);
                records.extend_from_slice(&row.0.to_le_bytes());
                records.extend_from_slice(&u64::from(labels[place]).to_le_bytes());
                records.extend_from_slice(&block.stored[place * vector..(place + 1) * vector]);
            }
            if keys.len() >= limit {
                writer.push_run(&keys, &records)?;
                keys.clear();
                records.clear();
            }
        }
        writer.push_run(&keys, &records)?;
        writer.commit()?;
        context.progress.advance(1);
    }
    context.progress.end();
    Ok(())
}

fn scratch_file(scratch: &Path, shard: u32) -> std::path::PathBuf {
    scratch.join(format!("{shard:08}"))
}

/// The files of the index, cell by cell: as many cells at once as a quarter of the memory holds.
pub(super) fn write(
    context: &StepContext<'_>,
    embedding: &Embedding,
    cells: u32,
    scratch: &Path,
    folder: &Path,
) -> Result<()> {
    let dim = embedding.info.dim;
    let record = HEAD + dim * width(embedding);
    let mut counts = vec![0u64; cells as usize];
    for shard in 0..context.shards() {
        ScatterReader::open(&scratch_file(scratch, shard))?.add_counts(&mut counts);
    }
    let mut starts = vec![0u64];
    counts.iter().for_each(|count| starts.push(starts.last().copied().unwrap_or(0) + count));
    let mut file = NpyWriter::create(folder.join(STARTS), ElementType::U64, None)?;
    file.write(&starts)?;
    file.finish()?;

    let element = if width(embedding) == 2 { ElementType::F16 } else { ElementType::F32 };
    let mut rows = NpyWriter::create(folder.join(ROWS), ElementType::U64, None)?;
    let mut vectors = NpyWriter::create(folder.join(VECTORS), element, Some(dim as u64))?;
    let mut push = |record: &[u8]| -> Result<()> {
        rows.write_bytes(&record[..8])?;
        Ok(vectors.write_bytes(&record[HEAD..])?)
    };
    let limit = context.memory / 4;
    context.progress.begin("index: writing", u64::from(cells), "cells");
    let mut first = 0;
    while first < cells {
        context.cancel.check()?;
        let fits = |end: u32| (starts[end as usize] - starts[first as usize]) * record as u64 <= limit;
        let end = (first + 2..=cells).take_while(|&end| fits(end)).last().unwrap_or(first + 1);
        let mut held = Vec::new();
        for shard in 0..context.shards() {
            let reader = ScatterReader::open(&scratch_file(scratch, shard))?;
            if end == first + 1 {
                // A cell alone comes in the order of its rows, and may be larger than memory.
                reader.read_pieces(first..end, 1 << 20, |piece| {
                    piece.chunks_exact(record).try_for_each(&mut push)
                })?;
            } else {
                reader.read(first..end, &mut held)?;
            }
        }
        let cell = |at: &usize| {
            u64::from_le_bytes(held[at * record + 8..at * record + 16].try_into().unwrap_or_default())
        };
        let mut order: Vec<usize> = (0..held.len() / record).collect();
        // Stable: inside a cell the rows stay in order.
        order.sort_by_key(cell);
        order.iter().try_for_each(|at| push(&held[at * record..(at + 1) * record]))?;
        context.progress.advance(u64::from(end - first));
        first = end;
    }
    context.progress.end();
    rows.finish()?;
    vectors.finish()?;
    Ok(())
}
