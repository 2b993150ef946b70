//! The second way through a run: where the samples lie that are named only by their uid, and then what is known of each one that is shown.
//! Only shards with such a sample are opened, and of their tables only the rows that are shown are read.
use std::collections::{BTreeMap, BTreeSet};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float32Array},
    datatypes::Int32Type,
};
use cribble_core::{Cancel, CaptionChange, GallerySample, Result, Uid};
use cribble_io::Dataset;
use cribble_pipeline::{RunFolder, TableReader, read_column, read_fates, read_selection_at};
use rayon::prelude::*;

use super::{
    draw::{Lowest, Place},
    plan::{Captions, Column, Plan, table},
    scan::{floats, uid_at},
};

/// Characters of a caption that are kept.
const MOST_CHARS: usize = 4000;
/// Duplicates shown of one group.
const MEMBERS: usize = 5;

/// A group of duplicates: how many were dropped, and random ones of them.
pub struct Group {
    pub dropped: u64,
    pub members: Lowest<(u64, Place), Option<f32>>,
}

impl Default for Group {
    fn default() -> Self {
        Self { dropped: 0, members: Lowest::new(MEMBERS) }
    }
}

/// Samples with their uid, in the order of the places.
type Named = Vec<(String, GallerySample)>;

/// Groups by their leader, for each step that finds duplicates.
pub type Groups = Vec<BTreeMap<Uid, Group>>;

/// Finds samples by uid, the first of several, and the members of groups. `dedups` are steps that find duplicates, each with the leaders of the
/// groups that are wanted of it.
pub fn locate(
    dataset: &Dataset,
    run: &RunFolder,
    wanted: &BTreeSet<Uid>,
    dedups: &[(usize, BTreeSet<Uid>)],
    cancel: &Cancel,
) -> Result<(BTreeMap<Uid, Place>, Groups)> {
    let none = || (BTreeMap::new(), dedups.iter().map(|_| BTreeMap::new()).collect::<Groups>());
    if wanted.is_empty() {
        return Ok(none());
    }
    let in_shard = |(index, name): (u32, &str)| -> Result<(BTreeMap<Uid, Place>, Groups)> {
        cancel.check()?;
        let (mut places, mut groups) = none();
        let uids: Vec<Uid> = match run.manifest.steps.first() {
            Some(_) => {
                let column = read_column(&table(run, 0, name), "uid")?;
                (0..column.len()).filter_map(|row| uid_at(&column, row)).collect()
            }
            None => read_fates(run.path(), name)?.uids,
        };
        for (row, uid) in uids.iter().enumerate() {
            if wanted.contains(uid) {
                places.entry(*uid).or_insert(Place { shard: index, row: row as u32, uid: *uid });
            }
        }
        for ((step, leaders), groups) in dedups.iter().zip(&mut groups) {
            if leaders.is_empty() {
                continue;
            }
            let path = table(run, *step, name);
            let (keep, twins) =
                (TableReader::keep(&path, &uids)?, TableReader::column(&path, &uids, "duplicate_of")?);
            // A step that compares bytes alone has no similarities.
            let sims = TableReader::column(&path, &uids, "max_sim").ok().and_then(|sims| floats(&sims));
            for (row, uid) in uids.iter().enumerate().filter(|(row, _)| keep[*row] == Some(false)) {
                let Some(leader) = uid_at(&twins, row).filter(|leader| leaders.contains(leader)) else {
                    continue;
                };
                let group: &mut Group = groups.entry(leader).or_default();
                let sim = sims.as_ref().filter(|sims| sims.is_valid(row)).map(|sims| sims.value(row));
                let place = Place { shard: index, row: row as u32, uid: *uid };
                group.dropped += 1;
                group.members.offer(place.at_random(4), sim.filter(|sim| sim.is_finite()));
            }
        }
        Ok((places, groups))
    };
    dataset.shards().par_iter().map(|shard| in_shard((shard.index, &shard.name))).try_reduce(none, |a, b| {
        let (mut places, mut groups) = a;
        for (uid, place) in b.0 {
            places.entry(uid).and_modify(|known| *known = (*known).min(place)).or_insert(place);
        }
        for (mine, theirs) in groups.iter_mut().zip(b.1) {
            for (leader, group) in theirs {
                let known = mine.entry(leader).or_default();
                known.dropped += group.dropped;
                known.members.merge(group.members);
            }
        }
        Ok((places, groups))
    })
}

/// What is known of the samples at these places, and the captions of those that are to be compared.
pub fn describe(
    dataset: &Dataset,
    run: &RunFolder,
    plan: &Plan,
    places: &BTreeSet<Place>,
    compared: &BTreeSet<Place>,
    cancel: &Cancel,
) -> Result<(BTreeMap<String, GallerySample>, Vec<CaptionChange>)> {
    let mut by_shard: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
    for place in places {
        by_shard.entry(place.shard).or_default().push(*place);
    }
    let by_shard: Vec<(u32, Vec<Place>)> = by_shard.into_iter().collect();
    let parts = by_shard
        .par_iter()
        .map(|(shard, places)| {
            cancel.check()?;
            let name = &dataset.shards()[*shard as usize].name;
            let rows = places.iter().map(|place| u64::from(place.row)).collect();
            let uids = places.iter().map(|place| place.uid).collect();
            Shard { dataset, run, plan, at: (*shard, name), places, rows, uids }.describe(compared)
        })
        .collect::<Result<Vec<_>>>()?;
    let (mut samples, mut changes) = (BTreeMap::new(), Vec::new());
    for (some, captions) in parts {
        for (uid, sample) in some {
            samples.entry(uid).or_insert(sample);
        }
        changes.extend(captions);
    }
    Ok((samples, changes))
}

/// The places of one shard, ascending, with everything that is read of just them.
struct Shard<'a> {
    dataset: &'a Dataset,
    run: &'a RunFolder,
    plan: &'a Plan,
    at: (u32, &'a str),
    places: &'a [Place],
    rows: Vec<u64>,
    uids: Vec<Uid>,
}

impl Shard<'_> {
    fn describe(&self, compared: &BTreeSet<Place>) -> Result<(Named, Vec<CaptionChange>)> {
        let selection = read_selection_at(self.run.path(), self.at.1, &self.rows)?;
        let texts = match &self.plan.text {
            Some(name) => Some(self.column(&Column { step: None, name: name.clone() })?),
            None => None,
        };
        let text = |index: usize| text_at(texts.as_ref()?, index);
        let clusters = match self.plan.clustering {
            Some((step, _)) => Some(self.column(&Column { step: Some(step), name: "cluster".into() })?),
            None => None,
        };
        let clusters = clusters.as_ref().and_then(|clusters| clusters.as_primitive_opt::<Int32Type>());
        let scores = match &self.plan.score {
            Some(score) => floats(&self.column(score)?),
            None => None,
        };
        let mut samples = Vec::with_capacity(self.places.len());
        for (index, (place, said)) in self.places.iter().zip(&selection).enumerate() {
            let sample = GallerySample {
                text: text(index),
                dropped_by: said.dropped_by.as_deref().map(str::to_owned),
                reason: said.reason.as_deref().map(str::to_owned),
                cluster: clusters
                    .filter(|clusters| clusters.is_valid(index))
                    .and_then(|clusters| u32::try_from(clusters.value(index)).ok()),
                score: scores.as_ref().and_then(|scores| number_at(scores, index)),
                ..GallerySample::default()
            };
            samples.push((place.uid.to_string(), sample));
        }
        for &step in &self.plan.dedups {
            self.twins(step, &mut samples)?;
        }
        let mut changes = Vec::new();
        if self.places.iter().any(|place| compared.contains(place)) {
            for made in &self.plan.captions {
                self.captions(made, compared, &mut changes)?;
            }
        }
        Ok((samples, changes))
    }

    /// A column at the places.
    fn column(&self, column: &Column) -> Result<ArrayRef> {
        match column.step {
            Some(step) => {
                let path = table(self.run, step, self.at.1);
                TableReader::column_at(&path, &self.rows, &self.uids, &column.name)
            }
            None => {
                let batch = self.dataset.read_columns_at(self.at.0, &[&column.name], &self.rows)?;
                Ok(batch.column(0).clone())
            }
        }
    }

    /// What those that a step dropped as duplicates are duplicates of.
    fn twins(&self, step: usize, samples: &mut [(String, GallerySample)]) -> Result<()> {
        let folder = &self.run.manifest.steps[step].folder;
        if !samples.iter().any(|(_, sample)| sample.dropped_by.as_ref() == Some(folder)) {
            return Ok(());
        }
        let column = |name: &str| self.column(&Column { step: Some(step), name: name.into() });
        let twins = column("duplicate_of")?;
        // A step that compares bytes alone has no similarities.
        let sims = column("max_sim").ok().and_then(|sims| floats(&sims));
        for (index, (_, sample)) in samples.iter_mut().enumerate() {
            if sample.dropped_by.as_ref() == Some(folder) {
                sample.duplicate_of = uid_at(&twins, index).map(|uid| uid.to_string());
                sample.max_sim = sims.as_ref().and_then(|sims| number_at(sims, index));
            }
        }
        Ok(())
    }

    fn captions(
        &self,
        made: &Captions,
        compared: &BTreeSet<Place>,
        changes: &mut Vec<CaptionChange>,
    ) -> Result<()> {
        let (before, after) = (self.column(&made.before)?, self.column(&made.after)?);
        // A referee that was given other candidates has no figures for these.
        let sim = |column: &Column| self.column(column).ok().and_then(|sims| floats(&sims));
        let sims = made.sims.as_ref().map(|(before, after)| (sim(before), sim(after)));
        for (index, place) in self.places.iter().enumerate().filter(|(_, place)| compared.contains(place)) {
            let Some(text) = text_at(&after, index) else { continue };
            let number = |sims: &Option<Float32Array>| number_at(sims.as_ref()?, index);
            changes.push(CaptionChange {
                step: made.folder.clone(),
                column: made.after.name.clone(),
                uid: place.uid.to_string(),
                before: text_at(&before, index).unwrap_or_default(),
                after: text,
                before_sim: sims.as_ref().and_then(|(before, _)| number(before)),
                after_sim: sims.as_ref().and_then(|(_, after)| number(after)),
            });
        }
        Ok(())
    }
}

fn number_at(numbers: &Float32Array, index: usize) -> Option<f32> {
    numbers.is_valid(index).then(|| numbers.value(index)).filter(|number| number.is_finite())
}

fn text_at(column: &ArrayRef, row: usize) -> Option<String> {
    let texts = column.as_string_opt::<i32>().filter(|texts| texts.is_valid(row))?;
    Some(texts.value(row).chars().take(MOST_CHARS).collect())
}
