//! One bucket of cells: the sketches of a cell, in the order of the scan, say which rows can have a near duplicate there at all; those rows are fetched
//! and compared exactly, and the largest earlier similarity of each goes back to its shard. In mode `groups` also the edges that join rows into
//! components.
use std::{fs::File, os::unix::fs::FileExt, path::Path};

use cribble_core::{DedupMode, Error, ErrorKind, Result};
use cribble_math::{
    RowSource, UnionFind, pairs,
    sketch::{Sketch, suspects},
    workers,
};
use cribble_pipeline::{
    Embedding, GlobalRow, ScatterReader, ScatterWriter, StepContext, TaskOutput,
    vectors::{FileRows, math_error},
};
use rayon::prelude::*;

use super::{Dedup, assign::Record, cells::Plan, rows::Fetched};
use crate::{order::OrderKey, values::to_value};

/// The largest earlier similarity of a row in one cell, on its way back to the shard.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Found {
    pub row: u32,
    pub sim: f32,
    /// Place in the scan of the earlier row.
    pub of_order: OrderKey,
    /// The earlier row's sample.
    pub of: [u8; 16],
}

/// Two rows of one component: `child` was found similar to something in the component that `root` is first of.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Edge {
    pub root_order: OrderKey,
    pub root: [u8; 16],
    pub child_order: OrderKey,
    pub child: [u8; 16],
    pub root_row: u64,
    pub child_row: u64,
}

/// Bytes read at once from a cell that is too large to hold.
const PIECE: usize = 32 << 20;

impl Dedup {
    pub(super) fn pairs(&self, context: &StepContext<'_>, bucket: u32) -> Result<TaskOutput> {
        let embedding = context.embedding(&self.options.embedding)?;
        let (cells, large) = Plan::read(context)?.bucket(bucket);
        let found = if large {
            let path = context.scratch(format!("large-{bucket:08}.f32"));
            let records = sort_to_file(context, &embedding, cells.start, &path)?;
            let rows = FileRows::open(context, &path, embedding.info.dim)?;
            let mut found = self.compare(&records, &rows)?;
            found.compared = compared(&records);
            std::fs::remove_file(&path)
                .map_err(|error| Error::wrap(ErrorKind::Input, error).context(path.display()))?;
            vec![found]
        } else {
            self.screen_and_compare(context, &embedding, load(context, cells)?)?
        };
        let path = context.scratch(format!("found/{bucket:08}"));
        let mut writer = ScatterWriter::create(&path, context.shards(), size_of::<Found>())?;
        let keys: Vec<u32> = found.iter().flat_map(|cell| &cell.shards).copied().collect();
        let records: Vec<Found> = found.iter().flat_map(|cell| &cell.found).copied().collect();
        writer.push_run(&keys, bytemuck::cast_slice(&records))?;
        writer.commit()?;
        if self.options.mode == DedupMode::Groups {
            let edges: Vec<Edge> = found.iter().flat_map(|cell| &cell.edges).copied().collect();
            let path = context.scratch(format!("edges/{bucket:08}"));
            cribble_io::write_file(&path, bytemuck::cast_slice(&edges))?;
        }
        let compared: u64 = found.iter().map(|cell| cell.compared).sum();
        Ok(TaskOutput { data: to_value(&compared)?, ..TaskOutput::default() })
    }

    /// The cells of a bucket, given their records sorted by cell and scan.
    fn screen_and_compare(
        &self,
        context: &StepContext<'_>,
        embedding: &Embedding,
        records: Vec<Record>,
    ) -> Result<Vec<CellFound>> {
        let cells: Vec<&[Record]> = records.chunk_by(|a, b| a.cell == b.cell).collect();
        let screened = workers::map(cells.len(), |sketches: &mut Vec<Sketch>, cell| {
            context.cancel.check()?;
            let cell = cells[cell];
            sketches.clear();
            sketches.extend(cell.iter().map(|record| record.sketch));
            let marked = suspects(sketches, visitors(cell).as_deref(), self.floor());
            let near = cell.iter().zip(marked).filter(|(_, marked)| *marked);
            Ok((compared(cell), near.map(|(record, _)| *record).collect::<Vec<Record>>()))
        });
        let screened: Vec<(u64, Vec<Record>)> = screened.into_iter().collect::<Result<_>>()?;
        drop(records);
        let rows = screened.iter().flat_map(|(_, near)| near).map(|record| record.row);
        let fetched = Fetched::read(context, embedding, rows)?;
        let starts = screened.iter().scan(0, |next, (_, near)| {
            *next += near.len();
            Some(*next - near.len())
        });
        let starts: Vec<usize> = starts.collect();
        let found = screened.into_par_iter().zip(starts).map(|((compared, near), first)| {
            context.cancel.check()?;
            let rows = fetched.part(first..first + near.len());
            Ok(CellFound { compared, ..self.compare(&near, &rows)? })
        });
        found.collect()
    }

    /// Compares rows of a cell, sorted by the scan, with one another.
    fn compare(&self, records: &[Record], rows: &dyn RowSource) -> Result<CellFound> {
        let mut sink = CellFound::default();
        let visitors = visitors(records);
        let visitors = visitors.as_deref();
        let sketches: Vec<Sketch> = records.iter().map(|record| record.sketch).collect();
        let sketches = Some(&sketches[..]);
        let earlier = pairs::earlier_max(rows, sketches, visitors, self.floor()).map_err(math_error)?;
        for (record, earlier) in records.iter().zip(&earlier) {
            if let Some(of) = records.get(earlier.of as usize) {
                sink.shards.push(record.row.shard());
                let row = record.row.row();
                sink.found.push(Found { row, sim: earlier.sim, of_order: of.order, of: of.uid });
            }
        }
        // Without a single similarity above the threshold there is nothing to join.
        if self.options.mode == DedupMode::Groups
            && earlier.iter().any(|earlier| earlier.is_removed(self.epsilon()))
        {
            let mut union = UnionFind::new(records.len());
            let threshold = (1.0 - self.epsilon()) as f32;
            pairs::pairs_above(rows, sketches, visitors, threshold, &mut |a, b, _| {
                union.union(a, b);
            })
            .map_err(math_error)?;
            // Records are sorted, so the smallest member of a component is the first of the scan.
            for (index, root) in union.representatives().into_iter().enumerate() {
                if index as u32 != root {
                    sink.edges.push(edge(&records[root as usize], &records[index]));
                }
            }
        }
        Ok(sink)
    }
}

/// What was found in a cell.
#[derive(Default)]
struct CellFound {
    /// The shard of each of `found`.
    shards: Vec<u32>,
    found: Vec<Found>,
    edges: Vec<Edge>,
    compared: u64,
}

/// A flag for each record, or `None` where no one visits.
fn visitors(records: &[Record]) -> Option<Vec<bool>> {
    let flags: Vec<bool> = records.iter().map(|record| record.visitor == 1).collect();
    flags.contains(&true).then_some(flags)
}

/// Pairs of a cell, but for those of two visitors.
fn compared(records: &[Record]) -> u64 {
    let pairs_of = |n: u64| n * n.saturating_sub(1) / 2;
    let visitors = records.iter().filter(|record| record.visitor == 1).count() as u64;
    pairs_of(records.len() as u64) - pairs_of(visitors)
}

fn edge(root: &Record, child: &Record) -> Edge {
    Edge {
        root_order: root.order,
        root: root.uid,
        child_order: child.order,
        child: child.uid,
        root_row: root.row.0,
        child_row: child.row.0,
    }
}

/// The records of a range of cells, sorted by cell and scan.
fn load(context: &StepContext<'_>, cells: std::ops::Range<u32>) -> Result<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    for shard in 0..context.shards() {
        context.cancel.check()?;
        let reader = ScatterReader::open(&context.scratch(format!("sketches/{shard:08}")))?;
        let start = records.len();
        if shard == 0 {
            // The shards are mostly alike; growing step by step would copy everything several times.
            records.reserve(reader.count(cells.clone()) as usize * context.shards() as usize * 9 / 8);
        }
        records.resize(start + reader.count(cells.clone()) as usize, bytemuck::Zeroable::zeroed());
        reader.read_into(cells.clone(), bytemuck::cast_slice_mut(&mut records[start..]))?;
    }
    records.par_sort_unstable_by_key(|record| (record.cell, record.order));
    Ok(records)
}

/// A cell too large for memory: its unit rows go to a file in the order of the scan, only the records are held.
fn sort_to_file(
    context: &StepContext<'_>,
    embedding: &Embedding,
    cell: u32,
    path: &Path,
) -> Result<Vec<Record>> {
    let io = |error: std::io::Error| Error::wrap(ErrorKind::Input, error).context(path.display());
    let dim = embedding.info.dim;
    let records = load(context, cell..cell + 1)?;
    let mut places: Vec<(GlobalRow, u32)> =
        records.iter().zip(0..).map(|(record, place)| (record.row, place)).collect();
    places.par_sort_unstable();
    let file = File::create(path).map_err(io)?;
    let mut row = vec![0f32; dim];
    let piece = PIECE / (dim * embedding.info.dtype.size() as usize).max(1) + 1;
    for places in places.chunks(piece) {
        let fetched = Fetched::read(context, embedding, places.iter().map(|(row, _)| *row))?;
        for (number, &(_, place)) in places.iter().enumerate() {
            fetched.unit(number, &mut row);
            let values: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
            file.write_all_at(&values, u64::from(place) * (dim * 4) as u64).map_err(io)?;
        }
    }
    Ok(records)
}
