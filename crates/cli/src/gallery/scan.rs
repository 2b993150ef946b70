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
use cribble_pipeline::{DECISION, Fate, Fates, RunFolder, TableReader, read_fates};
use rayon::prelude::*;

use super::{
    draw::{Lowest, Place, ascending},
    plan::{Column, Plan, table},
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
            let fates = read_fates(run.path(), &shard.name)?;
            Shard { dataset, run, plan, name: &shard.name, index: shard.index, fates }.scan()
        })
        .try_reduce(|| Draws::new(plan), |a, b| Ok(a.merge(b)))
}

struct Shard<'a> {
    dataset: &'a Dataset,
    run: &'a RunFolder,
    plan: &'a Plan,
    name: &'a str,
    index: u32,
    fates: Fates,
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

    fn rows(&self) -> usize {
        self.fates.uids.len()
    }

    fn place(&self, row: usize) -> Place {
        Place { shard: self.index, row: row as u32, uid: self.fates.uids[row] }
    }

    fn fates(&self, draws: &mut Draws) {
        let mut groups: Vec<_> = draws.fates.iter_mut().collect();
        // Whatever a person gave as the reason, it is one group; so are rows that a person kept.
        let group = |fate: &Fate| -> Fate {
            match fate {
                (None, Some(_)) => (None, None),
                (Some(by), Some(_)) if **by == *DECISION => (Some(DECISION.into()), None),
                fate => fate.clone(),
            }
        };
        let group_of: Vec<Option<usize>> = self
            .fates
            .known()
            .iter()
            .map(|fate| groups.binary_search_by(|(key, _)| (*key).cmp(&group(fate))).ok())
            .collect();
        for row in 0..self.rows() {
            if let Some(group) = group_of[self.fates.code(row)] {
                groups[group].1.offer(self.place(row).at_random(1), ());
            }
        }
        if !self.plan.captions.is_empty() {
            for row in 0..self.rows() {
                let (hash, place) = self.place(row).at_random(3);
                draws.captioned.offer((!self.fates.keep[row], hash, place), ());
            }
        }
    }

    fn clusters(&self, draws: &mut Draws, step: usize) -> Result<()> {
        let path = table(self.run, step, self.name);
        let clusters = TableReader::column(&path, &self.fates.uids, "cluster")?;
        let sims = TableReader::column(&path, &self.fates.uids, "centroid_sim")?;
        let (Some(clusters), Some(sims)) =
            (clusters.as_primitive_opt::<Int32Type>(), sims.as_primitive_opt::<Float32Type>())
        else {
            return Err(Error::input(format!("{}: its clusters are no numbers", path.display())));
        };
        for row in (0..self.rows()).filter(|&row| clusters.is_valid(row) && sims.is_valid(row)) {
            let Ok(cluster) = u32::try_from(clusters.value(row)) else { continue };
            let Some(draw) = draws.clusters.get_mut(&cluster) else { continue };
            draw.kept += u64::from(self.fates.keep[row]);
            offer_ends(&mut draw.farthest, &mut draw.nearest, sims.value(row), self.place(row));
        }
        Ok(())
    }

    fn duplicates(&self, draw: &mut Lowest<(u64, Place), Uid>, step: usize) -> Result<()> {
        let folder = self.run.manifest.steps[step].folder.as_str();
        let dropped: Vec<bool> =
            self.fates.known().iter().map(|(by, _)| by.as_deref() == Some(folder)).collect();
        if !dropped.contains(&true) {
            return Ok(());
        }
        let path = table(self.run, step, self.name);
        let twins = TableReader::column(&path, &self.fates.uids, "duplicate_of")?;
        for row in (0..self.rows()).filter(|&row| dropped[self.fates.code(row)]) {
            if let Some(twin) = uid_at(&twins, row) {
                draw.offer(self.place(row).at_random(2), twin);
            }
        }
        Ok(())
    }

    fn scores(&self, draws: &mut Draws, column: &Column) -> Result<()> {
        let scores = read(self.dataset, self.run, (self.index, self.name), &self.fates.uids, column)?;
        let Some(scores) = floats(&scores) else { return Ok(()) };
        for row in (0..self.rows()).filter(|&row| scores.is_valid(row) && scores.value(row).is_finite()) {
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
fn read(
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
