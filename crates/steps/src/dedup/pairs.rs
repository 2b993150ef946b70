//! One bucket of cells: its vectors in the order of the scan, every pair compared, the largest earlier similarity of each row sent back to its
//! shard. In mode `groups` also the edges that join rows into components.
use std::{fs::File, os::unix::fs::FileExt, path::Path};

use cribble_core::{DedupMode, Error, ErrorKind, Result};
use cribble_math::{RowSource, UnionFind, VecRows, pairs, rows::normalize};
use cribble_pipeline::{
    Embedding, GlobalRow, ScatterReader, ScatterWriter, StepContext, TaskOutput,
    vectors::{FileRows, math_error, widen, width},
};

use super::{
    Dedup,
    assign::{HEAD, Head},
    cells::Plan,
};
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

/// The rows of one cell, heads sorted by the order of the scan.
struct CellRows {
    heads: Vec<Head>,
    rows: VecRows,
}

impl Dedup {
    pub(super) fn pairs(&self, context: &StepContext<'_>, bucket: u32) -> Result<TaskOutput> {
        let embedding = context.embedding(&self.options.embedding)?;
        let (cells, large) = Plan::read(context)?.bucket(bucket);
        let mut sink = Sink::default();
        if large {
            let path = context.scratch(format!("large-{bucket:08}.f32"));
            let heads = sort_to_file(context, &embedding, cells.start, &path)?;
            let rows = FileRows::open(context, &path, embedding.info.dim)?;
            self.compare(&heads, &rows, &mut sink)?;
            std::fs::remove_file(&path)
                .map_err(|error| Error::wrap(ErrorKind::Input, error).context(path.display()))?;
        } else {
            for cell in load(context, &embedding, cells)? {
                context.cancel.check()?;
                self.compare(&cell.heads, &cell.rows, &mut sink)?;
            }
        }
        let path = context.scratch(format!("found/{bucket:08}"));
        let mut writer = ScatterWriter::create(&path, context.shards(), size_of::<Found>())?;
        writer.push_run(&sink.keys, &sink.found)?;
        writer.commit()?;
        if self.options.mode == DedupMode::Groups {
            cribble_io::write_file(
                &context.scratch(format!("edges/{bucket:08}")),
                bytemuck::cast_slice(&sink.edges),
            )?;
        }
        Ok(TaskOutput { data: to_value(&sink.compared)?, ..TaskOutput::default() })
    }

    fn compare(&self, heads: &[Head], rows: &dyn RowSource, sink: &mut Sink) -> Result<()> {
        let visitors: Vec<bool> = heads.iter().map(|head| head.visitor == 1).collect();
        let any = visitors.contains(&true).then_some(visitors.as_slice());
        let visitor_count = visitors.iter().filter(|&&visitor| visitor).count() as u64;
        let pairs_of = |n: u64| n * n.saturating_sub(1) / 2;
        sink.compared += pairs_of(heads.len() as u64) - pairs_of(visitor_count);
        let earlier = pairs::earlier_max(rows, any).map_err(math_error)?;
        for (head, earlier) in heads.iter().zip(&earlier) {
            if let Some(of) = heads.get(earlier.of as usize) {
                let row = GlobalRow(head.row);
                sink.keys.push(row.shard());
                let found = Found { row: row.row(), sim: earlier.sim, of_order: of.order, of: of.uid };
                sink.found.extend_from_slice(bytemuck::bytes_of(&found));
            }
        }
        // Without a single similarity above the threshold there is nothing to join.
        if self.options.mode == DedupMode::Groups
            && earlier.iter().any(|earlier| earlier.is_removed(self.epsilon()))
        {
            let mut union = UnionFind::new(heads.len());
            let threshold = (1.0 - self.epsilon()) as f32;
            pairs::pairs_above(rows, any, threshold, &mut |a, b, _| {
                union.union(a, b);
            })
            .map_err(math_error)?;
            // Heads are sorted, so the smallest member of a component is the first of the scan.
            for (index, root) in union.representatives().into_iter().enumerate() {
                if index as u32 != root {
                    sink.edges.push(edge(&heads[root as usize], &heads[index]));
                }
            }
        }
        Ok(())
    }
}

fn edge(root: &Head, child: &Head) -> Edge {
    Edge {
        root_order: root.order,
        root: root.uid,
        child_order: child.order,
        child: child.uid,
        root_row: root.row,
        child_row: child.row,
    }
}

/// What a bucket found, in the order of its cells.
#[derive(Default)]
struct Sink {
    keys: Vec<u32>,
    found: Vec<u8>,
    edges: Vec<Edge>,
    compared: u64,
}

/// Reads the vectors of a range of cells and hands out one cell after the other.
fn load(
    context: &StepContext<'_>,
    embedding: &Embedding,
    cells: std::ops::Range<u32>,
) -> Result<impl Iterator<Item = CellRows>> {
    let mut bytes = Vec::new();
    for shard in 0..context.shards() {
        context.cancel.check()?;
        ScatterReader::open(&context.scratch(format!("vectors/{shard:08}")))?
            .read(cells.clone(), &mut bytes)?;
    }
    let dim = embedding.info.dim;
    let record = HEAD + dim * width(embedding);
    let mut heads: Vec<(Head, usize)> = bytes
        .chunks_exact(record)
        .enumerate()
        .map(|(index, record)| (bytemuck::pod_read_unaligned::<Head>(&record[..HEAD]), index))
        .collect();
    heads.sort_unstable_by_key(|(head, _)| (head.cell, head.order));
    let embedding = embedding.clone();
    let mut start = 0;
    Ok(std::iter::from_fn(move || {
        let cell = heads.get(start)?.0.cell;
        let count = heads[start..].iter().take_while(|(head, _)| head.cell == cell).count();
        let part = &heads[start..start + count];
        start += count;
        let mut rows = vec![0f32; count * dim];
        for ((_, index), row) in part.iter().zip(rows.chunks_exact_mut(dim)) {
            widen(&bytes[index * record + HEAD..(index + 1) * record], &embedding, row);
        }
        normalize(&mut rows, dim);
        let heads = part.iter().map(|(head, _)| *head).collect();
        Some(CellRows { heads, rows: VecRows::new(rows, dim) })
    }))
}

/// A cell too large for memory: its unit rows go to a file in the order of the scan, only the heads are held.
fn sort_to_file(
    context: &StepContext<'_>,
    embedding: &Embedding,
    cell: u32,
    path: &Path,
) -> Result<Vec<Head>> {
    let io = |error: std::io::Error| Error::wrap(ErrorKind::Input, error).context(path.display());
    let dim = embedding.info.dim;
    let record = HEAD + dim * width(embedding);
    let readers = (0..context.shards())
        .map(|shard| ScatterReader::open(&context.scratch(format!("vectors/{shard:08}"))))
        .collect::<Result<Vec<_>>>()?;
    let mut heads: Vec<(Head, u32)> = Vec::new();
    for reader in &readers {
        reader.read_pieces(cell..cell + 1, PIECE, |piece| {
            context.cancel.check()?;
            for record in piece.chunks_exact(record) {
                heads.push((bytemuck::pod_read_unaligned(&record[..HEAD]), heads.len() as u32));
            }
            Ok(())
        })?;
    }
    heads.sort_unstable_by_key(|(head, _)| head.order);
    let mut rank = vec![0u32; heads.len()];
    for (place, (_, index)) in heads.iter().enumerate() {
        rank[*index as usize] = place as u32;
    }
    let file = File::create(path).map_err(io)?;
    let mut index = 0;
    let mut row = vec![0f32; dim];
    for reader in &readers {
        reader.read_pieces(cell..cell + 1, PIECE, |piece| {
            context.cancel.check()?;
            for record in piece.chunks_exact(record) {
                widen(&record[HEAD..], embedding, &mut row);
                normalize(&mut row, dim);
                let values: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
                file.write_all_at(&values, u64::from(rank[index]) * (dim * 4) as u64).map_err(io)?;
                index += 1;
            }
            Ok(())
        })?;
    }
    Ok(heads.into_iter().map(|(head, _)| head).collect())
}
