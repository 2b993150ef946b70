//! The first way through a run: of every row its fate, cluster, score and group, and of all that only those that are drawn. Shards are
//! scanned side by side and their draws merged, which depends on neither the order nor the number of threads.
use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float32Array},
    compute::{cast, concat},
    datatypes::{DataType, Float32Type, Int32Type},
};
use cribble_core::{Cancel, Error, Result, Uid};
use cribble_io::Dataset;
use cribble_pipeline::{DECISION, RunFolder, Selection, TableReader, read_selection};
use rayon::prelude::*;

use super::{
    draw::{Lowest, Place, ascending},
    plan::{Column, Fate, Plan, table},
};

/// Samples at each end of a cluster, and of the scores.
const ENDS: usize = 5;
const SCORE_ENDS: usize = 12;
/// Random duplicates whose groups are shown, for each step; some share a group.
const DUPLICATES: usize = 40;
/// Random samples whose captions are compared: of those kept, and of all.
const CAPTIONS: usize = 48;

/// The smallest or largest numbers, with their sample.
type Ends = Lowest<(u32, Place), f32>;

/// One cluster that is shown.
#[derive(Clone)]
pub struct ClusterDraw {
    pub kept: u64,
    pub nearest: Ends,
    pub farthest: Ends,
}

/// What was drawn of the shards so far.
#[derive(Clone)]
pub struct Draws {
    pub fates: BTreeMap<Fate, Lowest<(u64, Place), ()>>,
    pub clusters: BTreeMap<u32, ClusterDraw>,
    /// For each step that finds duplicates: random dropped rows, and what they duplicate.
    pub duplicates: Vec<Lowest<(u64, Place), Uid>>,
    pub scored: u64,
    pub lowest: Ends,
    pub highest: Ends,
    pub captioned: Lowest<(bool, u64, Place), ()>,
}

impl Draws {
    fn new(plan: &Plan) -> Self {
        let ends = || ClusterDraw { kept: 0, nearest: Lowest::new(ENDS), farthest: Lowest::new(ENDS) };
        let clusters = plan.clustering.iter().flat_map(|(_, clusters)| clusters);
        let captions = if plan.captions.is_empty() { 0 } else { CAPTIONS };
        Self {
            fates: plan.fates.iter().map(|(fate, &most)| (fate.clone(), Lowest::new(most))).collect(),
            clusters: clusters.map(|&cluster| (cluster, ends())).collect(),
            duplicates: plan.dedups.iter().map(|_| Lowest::new(DUPLICATES)).collect(),
            scored: 0,
            lowest: Lowest::new(SCORE_ENDS),
            highest: Lowest::new(SCORE_ENDS),
            captioned: Lowest::new(captions),
        }
    }

    fn merge(mut self, other: Self) -> Self {
        for (mine, theirs) in self.fates.values_mut().zip(other.fates.into_values()) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.clusters.values_mut().zip(other.clusters.into_values()) {
            mine.kept += theirs.kept;
            mine.nearest.merge(theirs.nearest);
            mine.farthest.merge(theirs.farthest);
        }
        for (mine, theirs) in self.duplicates.iter_mut().zip(other.duplicates) {
            mine.merge(theirs);
        }
        self.scored += other.scored;
        self.lowest.merge(other.lowest);
        self.highest.merge(other.highest);
        self.captioned.merge(other.captioned);
        self
    }
}

/// Scans every shard.
pub fn scan(dataset: &Dataset, run: &RunFolder, plan: &Plan, cancel: &Cancel) -> Result<Draws> {
    dataset
        .shards()
        .par_iter()
        .map(|shard| {
            cancel.check()?;
            let rows = read_selection(run.path(), &shard.name)?;
            let uids: Vec<Uid> = rows.iter().map(|row| row.uid).collect();
            let one = Shard { dataset, run, plan, name: &shard.name, index: shard.index, rows, uids };
            one.scan()
        })
        .try_reduce(|| Draws::new(plan), |a, b| Ok(a.merge(b)))
}

struct Shard<'a> {
    dataset: &'a Dataset,
    run: &'a RunFolder,
    plan: &'a Plan,
    name: &'a str,
    index: u32,
    rows: Vec<Selection>,
    uids: Vec<Uid>,
}

impl Shard<'_> {
    fn scan(&self) -> Result<Draws> {
        let mut draws = Draws::new(self.plan);
        self.fates(&mut draws);
        if let Some((step, _)) = &self.plan.clustering {
            self.clusters(&mut draws, *step)?;
        }
        for (place, &step) in self.plan.dedups.iter().enumerate() {
            self.duplicates(&mut draws.duplicates[place], step)?;
        }
        if let Some(column) = &self.plan.score {
            self.scores(&mut draws, column)?;
        }
        Ok(draws)
    }

    fn place(&self, row: usize) -> Place {
        Place { shard: self.index, row: row as u32, uid: self.uids[row] }
    }

    fn fates(&self, draws: &mut Draws) {
        // Rows of one fate mostly follow each other: the one before is compared first, which saves the search.
        let mut key: Fate = (None, None);
        for (row, selection) in self.rows.iter().enumerate() {
            let place = self.place(row);
            draws.captioned.offer(
                {
                    let (hash, place) = place.at_random(3);
                    (!selection.keep, hash, place)
                },
                (),
            );
            if key.0 != selection.dropped_by || key.1 != selection.reason {
                key = (selection.dropped_by.clone(), selection.reason.clone());
            }
            // Whatever a person gave as the reason, it is one group; so are rows that a person kept.
            let fate = match &key {
                (None, Some(_)) => &(None, None),
                (Some(by), Some(_)) if **by == *DECISION => &(Some(DECISION.into()), None),
                fate => fate,
            };
            if let Some(draw) = draws.fates.get_mut(fate) {
                draw.offer(place.at_random(1), ());
            }
        }
    }

    fn clusters(&self, draws: &mut Draws, step: usize) -> Result<()> {
        let path = table(self.run, step, self.name);
        let clusters = TableReader::column(&path, &self.uids, "cluster")?;
        let sims = TableReader::column(&path, &self.uids, "centroid_sim")?;
        let (Some(clusters), Some(sims)) =
            (clusters.as_primitive_opt::<Int32Type>(), sims.as_primitive_opt::<Float32Type>())
        else {
            return Err(Error::input(format!("{}: its clusters are no numbers", path.display())));
        };
        for row in (0..self.rows.len()).filter(|&row| clusters.is_valid(row) && sims.is_valid(row)) {
            let Ok(cluster) = u32::try_from(clusters.value(row)) else { continue };
            let Some(draw) = draws.clusters.get_mut(&cluster) else { continue };
            draw.kept += u64::from(self.rows[row].keep);
            offer_ends(&mut draw.farthest, &mut draw.nearest, sims.value(row), self.place(row));
        }
        Ok(())
    }

    fn duplicates(&self, draw: &mut Lowest<(u64, Place), Uid>, step: usize) -> Result<()> {
        let folder = self.run.manifest.steps[step].folder.as_str();
        if !self.rows.iter().any(|row| row.dropped_by.as_deref() == Some(folder)) {
            return Ok(());
        }
        let twins = TableReader::column(&table(self.run, step, self.name), &self.uids, "duplicate_of")?;
        for (row, selection) in self.rows.iter().enumerate() {
            if selection.dropped_by.as_deref() == Some(folder)
                && let Some(twin) = uid_at(&twins, row)
            {
                draw.offer(self.place(row).at_random(2), twin);
            }
        }
        Ok(())
    }

    fn scores(&self, draws: &mut Draws, column: &Column) -> Result<()> {
        let scores = read(self.dataset, self.run, (self.index, self.name), &self.uids, column)?;
        let Some(scores) = floats(&scores) else { return Ok(()) };
        for row in (0..self.uids.len()).filter(|&row| scores.is_valid(row) && scores.value(row).is_finite()) {
            draws.scored += 1;
            offer_ends(&mut draws.lowest, &mut draws.highest, scores.value(row), self.place(row));
        }
        Ok(())
    }
}

fn offer_ends(lowest: &mut Ends, highest: &mut Ends, value: f32, place: Place) {
    if value.is_finite() {
        lowest.offer((ascending(value), place), value);
        highest.offer((!ascending(value), place), value);
    }
}

/// The uid in a row of a column `duplicate_of`.
pub fn uid_at(twins: &ArrayRef, row: usize) -> Option<Uid> {
    let twins = twins.as_fixed_size_binary_opt().filter(|twins| twins.is_valid(row))?;
    <[u8; 16]>::try_from(twins.value(row)).ok().map(Uid::from_bytes)
}

/// Numbers of any width.
pub fn floats(column: &ArrayRef) -> Option<Float32Array> {
    cast(column, &DataType::Float32).ok()?.as_primitive_opt::<Float32Type>().cloned()
}

/// A whole column of a shard, of a step or of the input.
pub fn read(
    dataset: &Dataset,
    run: &RunFolder,
    (shard, name): (u32, &str),
    uids: &[Uid],
    column: &Column,
) -> Result<ArrayRef> {
    let Some(step) = column.step else {
        let batches = dataset.read_columns(shard, &[&column.name], 65_536)?;
        let parts = batches.map(|batch| Ok(batch?.column(0).clone())).collect::<Result<Vec<_>>>()?;
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        if parts.is_empty() {
            return Ok(arrow::array::new_null_array(&DataType::Null, uids.len()));
        }
        return concat(&parts).map_err(|error| Error::input(format!("{name}: {}: {error}", column.name)));
    };
    TableReader::column(&table(run, step, name), uids, &column.name)
}
