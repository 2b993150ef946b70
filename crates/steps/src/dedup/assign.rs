//! From rows to cells: training the cells' centroids, then for each shard the nearest cells of each row and a copy of its vector, sorted by
//! cell. With `probe` above 1 a row is also copied, as a visitor, to the next nearest cells.
use cribble_core::{Error, ErrorKind, Result, TrainRows};
use cribble_math::{RowSource, RowState, nearest::nearest_many};
use cribble_pipeline::{
    GlobalRow, ScatterWriter, StepContext, TaskOutput,
    vectors::{FileRows, StoredBlocks, read_centroids, train_centroids, width, write_centroids},
};

use super::{Dedup, cells::Plan};
use crate::{best_column::best_values, order::OrderKey, training::draw};

/// Training rows for each cell. Cells only divide the work: a quarter of FAISS's 256 divides it as evenly for a quarter of the time.
const ROWS_PER_CELL: u64 = 64;

/// What stands before each vector in a scatter file.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Head {
    /// Place in the order of the scan.
    pub order: OrderKey,
    /// The sample.
    pub uid: [u8; 16],
    /// Its row in the input.
    pub row: u64,
    /// The cell that this copy is in.
    pub cell: u32,
    /// 1 when the row's own cell is another one.
    pub visitor: u32,
}

/// Bytes of a head.
pub const HEAD: usize = size_of::<Head>();

/// What a row is to the semantic part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// Dropped before, or an exact duplicate.
    NotJudged,
    /// Its vector has no direction.
    Fault(RowState),
    /// Its own cell and its distance to the centroid.
    In(u32, f32),
}

impl Dedup {
    pub(super) fn draw(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        let embedding = context.embedding(&self.options.embedding)?;
        let cells = self.options.cells.resolve(context.kept_rows()?);
        let excluded =
            |shard: u32| Ok(self.losers(context, shard)?.into_iter().map(|(row, _)| row).collect());
        let path = context.scratch("train.f32");
        let wish = match self.options.train_rows {
            TrainRows::Auto => TrainRows::Count(ROWS_PER_CELL * cells),
            chosen => chosen,
        };
        draw(context, &embedding, wish, cells, self.options.seed, &excluded, &path)?;
        Ok(TaskOutput::default())
    }

    pub(super) fn train(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        let dim = context.embedding(&self.options.embedding)?.info.dim;
        let rows = FileRows::open(context, &context.scratch("train.f32"), dim)?;
        let wished = self.options.cells.resolve(context.kept_rows()?);
        let cells = wished.min(rows.len() as u64);
        let mut output = TaskOutput::default();
        let centroids = match cells {
            0 => Vec::new(),
            _ => {
                train_centroids(context, &rows, cells, self.options.iterations, 1e-3, self.options.seed)?
                    .centroids
            }
        };
        if 0 < cells && cells < wished && self.options.cells != cribble_core::Cells::Auto {
            output.notes.push(format!(
                "cells = {wished} is more than the {} rows there are: {cells} are used",
                rows.len()
            ));
        }
        write_centroids(&context.folder.join("centroids.npy"), &centroids, dim)?;
        Ok(output)
    }

    pub(super) fn assign(&self, context: &StepContext<'_>, shard: u32) -> Result<TaskOutput> {
        let embedding = context.embedding(&self.options.embedding)?;
        let dim = embedding.info.dim;
        let centroids = read_centroids(&context.folder.join("centroids.npy"), dim)?;
        let cells = centroids.len() / dim;
        let probe = (self.options.probe as usize).min(cells.max(1));
        let uids = context.uids(shard)?;
        let mut judged = context.kept(shard, &uids)?;
        for (row, _) in self.losers(context, shard)? {
            judged[row as usize] = false;
        }
        let values = best_values(context, shard, &self.options.keep)?;
        let record = HEAD + dim * width(&embedding);
        let mut writer = ScatterWriter::create(
            &context.scratch(format!("vectors/{shard:08}")),
            cells.max(1) as u32,
            record,
        )?;
        let mut own = vec![Cell::NotJudged; uids.len()];
        let limit = ((context.memory / 8) as usize / record).max(1);
        let (mut keys, mut records) = (Vec::new(), Vec::new());
        let mut blocks = StoredBlocks::open(context, &embedding, shard)?;
        while let Some(block) = blocks.read(context)? {
            let count = block.states.len();
            let (mut labels, mut sims) = (vec![0u32; count * probe], vec![0f32; count * probe]);
            if cells > 0 {
                nearest_many(block.rows, &centroids, dim, probe, &mut labels, &mut sims);
            }
            for index in 0..count {
                let row = block.start + index;
                if !judged[row] {
                    continue;
                }
                if block.states[index] != RowState::Unit || cells == 0 {
                    own[row] = Cell::Fault(block.states[index]);
                    continue;
                }
                let dist = 1.0 - sims[index * probe];
                own[row] = Cell::In(labels[index * probe], dist);
                let global = GlobalRow::new(shard, row as u32);
                let value = values.as_ref().and_then(|values| values[row]);
                let order =
                    OrderKey::new(&self.options.keep, self.options.seed, uids[row], global, dist, value);
                let stored = &block.stored[index * (record - HEAD)..(index + 1) * (record - HEAD)];
                for (place, &cell) in labels[index * probe..(index + 1) * probe].iter().enumerate() {
                    let head = Head {
                        order,
                        uid: uids[row].to_bytes(),
                        row: global.0,
                        cell,
                        visitor: u32::from(place > 0),
                    };
                    keys.push(cell);
                    records.extend_from_slice(bytemuck::bytes_of(&head));
                    records.extend_from_slice(stored);
                }
            }
            if keys.len() >= limit {
                writer.push_run(&keys, &records)?;
                keys.clear();
                records.clear();
            }
        }
        writer.push_run(&keys, &records)?;
        let bytes_written = writer.commit()?;
        write_cells(context, shard, &own)?;
        let bytes_read = (uids.len() * dim * width(&embedding)) as u64;
        Ok(TaskOutput { bytes_read, bytes_written, ..TaskOutput::default() })
    }

    pub(super) fn plan(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        Plan::make(self, context)
    }
}

/// Cell and distance of each row of a shard: eight bytes a row.
fn write_cells(context: &StepContext<'_>, shard: u32, own: &[Cell]) -> Result<()> {
    let mut bytes = Vec::with_capacity(own.len() * 8);
    for cell in own {
        let (code, dist) = match *cell {
            Cell::NotJudged => (-1, 0.0),
            Cell::Fault(RowState::NotFinite) => (-3, 0.0),
            Cell::Fault(_) => (-2, 0.0),
            Cell::In(cell, dist) => (cell as i32, dist),
        };
        bytes.extend_from_slice(&code.to_le_bytes());
        bytes.extend_from_slice(&f32::to_le_bytes(dist));
    }
    Ok(cribble_io::write_file(&context.scratch(format!("cells/{shard:08}")), &bytes)?)
}

/// Reads what `assign` found for the rows of a shard.
pub fn read_cells(context: &StepContext<'_>, shard: u32) -> Result<Vec<Cell>> {
    let path = context.scratch(format!("cells/{shard:08}"));
    let bytes =
        std::fs::read(&path).map_err(|error| Error::wrap(ErrorKind::Input, error).context(path.display()))?;
    Ok(bytes
        .chunks_exact(8)
        .map(|b| {
            let dist = f32::from_le_bytes([b[4], b[5], b[6], b[7]]);
            match i32::from_le_bytes([b[0], b[1], b[2], b[3]]) {
                -1 => Cell::NotJudged,
                -2 => Cell::Fault(RowState::Zero),
                -3 => Cell::Fault(RowState::NotFinite),
                cell => Cell::In(cell as u32, dist),
            }
        })
        .collect())
}
