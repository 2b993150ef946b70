//! From rows to cells: training the cells' centroids and the axes of sketches, then for each shard the nearest cells of each row and its sketch, sorted by
//! cell. With `probe` above 1 a row also goes, as a visitor, to the next nearest cells, where it is near enough to their border to find anything.
use cribble_core::{Error, ErrorKind, Result, TrainRows};
use cribble_math::{
    RowSource, RowState,
    border::Reach,
    nearest::{Finder, FinderBuffers, nearest},
    sketch::{Axes, Sketch, SketchBuffers},
};
use cribble_pipeline::{
    GlobalRow, ScatterWriter, StepContext, TaskOutput,
    vectors::{FileRows, Tile, for_tiles, read_centroids, train_centroids, write_centroids},
};

use super::{Dedup, cells::Plan};
use crate::{best_column::best_values, order::OrderKey, training::draw};

/// Training rows for each cell. Cells only divide the work: a quarter of FAISS's 256 divides it as evenly for a quarter of the time.
const ROWS_PER_CELL: u64 = 64;

/// Rows that the axes of sketches are learnt from.
const AXES_SAMPLE: usize = 1024;

/// A row in a cell: where it stands in the scan, who it is, and its sketch.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Record {
    /// Place in the order of the scan.
    pub order: OrderKey,
    /// The sample.
    pub uid: [u8; 16],
    /// Its row in the input.
    pub row: GlobalRow,
    /// The cell that this copy is in.
    pub cell: u32,
    /// 1 when the row's own cell is another one.
    pub visitor: u32,
    /// What can be said of its similarities.
    pub sketch: Sketch,
}

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

/// In place of a cell that a row need not visit.
const NO_VISIT: u32 = u32::MAX;

/// What a tile's rows were found to be.
struct Found {
    /// `[rows, probe]`.
    cells: Vec<u32>,
    sims: Vec<f32>,
    states: Vec<RowState>,
    sketches: Vec<Sketch>,
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
        let axes = self.axes(&rows, &centroids)?;
        write_centroids(&context.scratch("axes.npy"), axes.values(), dim)?;
        Ok(output)
    }

    /// The axes along which rows spread about the centroids of their cells, from evenly spaced training rows.
    fn axes(&self, rows: &FileRows<'_>, centroids: &[f32]) -> Result<Axes> {
        let dim = rows.dim();
        let count = if centroids.is_empty() { 0 } else { rows.len().min(AXES_SAMPLE) };
        let mut sample = vec![0f32; count * dim];
        for (place, row) in sample.chunks_exact_mut(dim).enumerate() {
            rows.read(place * rows.len() / count, row)
                .map_err(|error| Error::wrap(ErrorKind::Input, error))?;
        }
        let (mut cells, mut sims) = (vec![0; count], vec![0.0; count]);
        if count > 0 {
            nearest(&sample, centroids, dim, &mut cells, &mut sims);
        }
        for (row, &cell) in sample.chunks_exact_mut(dim).zip(&cells) {
            let centroid = &centroids[cell as usize * dim..(cell as usize + 1) * dim];
            row.iter_mut().zip(centroid).for_each(|(value, mean)| *value -= mean);
        }
        Ok(Axes::learn(&sample, dim, self.options.seed))
    }

    pub(super) fn assign(&self, context: &StepContext<'_>, shard: u32) -> Result<TaskOutput> {
        let embedding = context.embedding(&self.options.embedding)?;
        let dim = embedding.info.dim;
        let finder = self.finder.get(context, dim)?;
        let cells = finder.as_ref().map_or(0, |finder| finder.centroids());
        let probe = (self.options.probe as usize).min(cells.max(1));
        let uids = context.uids(shard)?;
        let mut judged = context.kept(shard, &uids)?;
        for (row, _) in self.losers(context, shard)? {
            judged[row as usize] = false;
        }
        let values = best_values(context, shard, &self.options.keep)?;
        let axes = Axes::new(read_centroids(&context.scratch("axes.npy"), dim)?, dim);
        let reach = Reach::of(self.floor());
        let work = |(find, sketch): &mut (FinderBuffers, SketchBuffers), tile: &Tile<'_>| {
            let count = tile.rows.len();
            let (mut cells, mut sims) = (vec![0; count * probe], vec![0.0; count * probe]);
            if let Some(finder) = &finder {
                finder.find(tile.values, probe, &mut cells, &mut sims, find);
                spare_visits(finder, reach, probe, &mut cells, &sims);
            }
            let mut sketches = Vec::with_capacity(count);
            axes.sketch(tile.values, sketch, &mut sketches);
            Found { cells, sims, states: tile.states.to_vec(), sketches }
        };
        let path = context.scratch(format!("sketches/{shard:08}"));
        let mut writer = ScatterWriter::create(&path, cells.max(1) as u32, size_of::<Record>())?;
        let mut own = vec![Cell::NotJudged; uids.len()];
        let limit = ((context.memory / 32) as usize / size_of::<Record>()).max(1);
        let (mut keys, mut records) = (Vec::new(), Vec::new());
        for_tiles(context, &embedding, shard, &judged, work, |rows, found| {
            for (index, &row) in rows.iter().enumerate() {
                let place = row as usize;
                if found.states[index] != RowState::Unit || cells == 0 {
                    own[place] = Cell::Fault(found.states[index]);
                    continue;
                }
                let dist = 1.0 - found.sims[index * probe];
                own[place] = Cell::In(found.cells[index * probe], dist);
                let uid = uids[place];
                let global = GlobalRow::new(shard, row);
                let value = values.as_ref().and_then(|values| values[place]);
                let order = OrderKey::new(&self.options.keep, self.options.seed, uid, global, dist, value);
                for (nearness, &cell) in found.cells[index * probe..(index + 1) * probe].iter().enumerate() {
                    if cell == NO_VISIT {
                        continue;
                    }
                    keys.push(cell);
                    records.push(Record {
                        order,
                        uid: uid.to_bytes(),
                        row: global,
                        cell,
                        visitor: u32::from(nearness > 0),
                        sketch: found.sketches[index],
                    });
                }
            }
            if keys.len() >= limit {
                writer.push_run(&keys, bytemuck::cast_slice(&records))?;
                keys.clear();
                records.clear();
            }
            Ok(())
        })?;
        writer.push_run(&keys, bytemuck::cast_slice(&records))?;
        let bytes_written = writer.commit()?;
        write_cells(context, shard, &own)?;
        let bytes_read = uids.len() as u64 * dim as u64 * embedding.info.dtype.size();
        Ok(TaskOutput { bytes_read, bytes_written, ..TaskOutput::default() })
    }

    pub(super) fn plan(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        Plan::make(self, context)
    }
}

/// Takes back the visits in which no pair could be found: of rows too far from the border for a similarity that is recorded.
fn spare_visits(finder: &Finder<'_>, reach: Reach, probe: usize, cells: &mut [u32], sims: &[f32]) {
    for (cells, sims) in cells.chunks_exact_mut(probe).zip(sims.chunks_exact(probe)) {
        let own = cells[0];
        for (cell, sim) in cells.iter_mut().zip(sims).skip(1) {
            if !reach.crosses(sims[0] - sim, finder.distance(own, *cell)) {
                *cell = NO_VISIT;
            }
        }
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
