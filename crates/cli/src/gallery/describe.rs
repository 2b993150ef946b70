//! The second way through a run: where the samples lie that are named only by their uid, and then what is known of each one that is shown.
//! Only shards with such a sample are read, and of their captions only as far as the last one.
use std::collections::{BTreeMap, BTreeSet};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::Int32Type,
};
use cribble_core::{Cancel, CaptionChange, GallerySample, Result, Uid};
use cribble_io::Dataset;
use cribble_pipeline::{RunFolder, TableReader, read_column, read_selection};
use rayon::prelude::*;

use super::{
    draw::{Lowest, Place},
    plan::{Captions, Column, Plan, table},
    scan::{floats, read, uid_at},
};

/// Characters of a caption that are kept.
const MOST_CHARS: usize = 4000;
/// Duplicates shown of one group.
const MEMBERS: usize = 5;
/// Rows of captions read at once.
const ROWS: usize = 8192;

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
            None => read_selection(run.path(), name)?.into_iter().map(|row| row.uid).collect(),
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
            let one = Shard { dataset, run, plan, at: (*shard, name), places };
            one.describe(compared)
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

struct Shard<'a> {
    dataset: &'a Dataset,
    run: &'a RunFolder,
    plan: &'a Plan,
    at: (u32, &'a str),
    places: &'a [Place],
}

impl Shard<'_> {
    fn describe(&self, compared: &BTreeSet<Place>) -> Result<(Named, Vec<CaptionChange>)> {
        let selection = read_selection(self.run.path(), self.at.1)?;
        let uids: Vec<Uid> = selection.iter().map(|row| row.uid).collect();
        let texts = match &self.plan.text {
            Some(name) => self.input_texts(name)?,
            None => BTreeMap::new(),
        };
        let column = |column: &Column| read(self.dataset, self.run, self.at, &uids, column);
        let clusters = match self.plan.clustering {
            Some((step, _)) => Some(column(&Column { step: Some(step), name: "cluster".into() })?),
            None => None,
        };
        let clusters = clusters.as_ref().and_then(|clusters| clusters.as_primitive_opt::<Int32Type>());
        let scores = match &self.plan.score {
            Some(score) => floats(&column(score)?),
            None => None,
        };
        let mut samples = Vec::with_capacity(self.places.len());
        for place in self.places {
            let row = place.row as usize;
            let Some(said) = selection.get(row) else { continue };
            let sample = GallerySample {
                text: texts.get(&place.row).cloned(),
                dropped_by: said.dropped_by.as_deref().map(str::to_owned),
                reason: said.reason.as_deref().map(str::to_owned),
                cluster: clusters
                    .filter(|clusters| clusters.is_valid(row))
                    .and_then(|clusters| u32::try_from(clusters.value(row)).ok()),
                score: scores
                    .as_ref()
                    .filter(|scores| scores.is_valid(row))
                    .map(|scores| scores.value(row))
                    .filter(|score| score.is_finite()),
                ..GallerySample::default()
            };
            samples.push((place.uid.to_string(), sample));
        }
        for &step in &self.plan.dedups {
            self.twins(step, &uids, &mut samples)?;
        }
        let mut changes = Vec::new();
        for made in &self.plan.captions {
            self.captions(made, &uids, compared, &texts, &mut changes)?;
        }
        Ok((samples, changes))
    }

    /// What those that a step dropped as duplicates are duplicates of.
    fn twins(&self, step: usize, uids: &[Uid], samples: &mut [(String, GallerySample)]) -> Result<()> {
        let folder = &self.run.manifest.steps[step].folder;
        if !samples.iter().any(|(_, sample)| sample.dropped_by.as_ref() == Some(folder)) {
            return Ok(());
        }
        let path = table(self.run, step, self.at.1);
        let twins = TableReader::column(&path, uids, "duplicate_of")?;
        let sims = TableReader::column(&path, uids, "max_sim").ok().and_then(|sims| floats(&sims));
        for (place, (_, sample)) in self.places.iter().zip(samples) {
            if sample.dropped_by.as_ref() != Some(folder) {
                continue;
            }
            let row = place.row as usize;
            sample.duplicate_of = uid_at(&twins, row).map(|uid| uid.to_string());
            let sim = sims.as_ref().filter(|sims| sims.is_valid(row)).map(|sims| sims.value(row));
            sample.max_sim = sim.filter(|sim| sim.is_finite());
        }
        Ok(())
    }

    /// A text column of the input at the places.
    fn input_texts(&self, name: &str) -> Result<BTreeMap<u32, String>> {
        let mut texts = BTreeMap::new();
        let Some(end) = self.places.iter().map(|place| place.row as usize + 1).max() else {
            return Ok(texts);
        };
        let mut start = 0;
        for batch in self.dataset.read_columns(self.at.0, &[name], ROWS)? {
            let batch = batch?;
            let rows = self.places.iter().map(|place| place.row as usize);
            for row in rows.filter(|row| (start..start + batch.num_rows()).contains(row)) {
                if let Some(text) = text_at(batch.column(0), row - start) {
                    texts.insert(row as u32, text);
                }
            }
            start += batch.num_rows();
            if start >= end {
                break;
            }
        }
        Ok(texts)
    }

    fn captions(
        &self,
        made: &Captions,
        uids: &[Uid],
        compared: &BTreeSet<Place>,
        texts: &BTreeMap<u32, String>,
        changes: &mut Vec<CaptionChange>,
    ) -> Result<()> {
        let places: Vec<&Place> = self.places.iter().filter(|place| compared.contains(place)).collect();
        if places.is_empty() {
            return Ok(());
        }
        let column = |column: &Column| read(self.dataset, self.run, self.at, uids, column);
        let after = column(&made.after)?;
        // The input's own texts were read already, where they are the ones that are replaced.
        let of_input = made.before.step.is_none() && self.plan.text.as_ref() == Some(&made.before.name);
        let before = if of_input { None } else { Some(column(&made.before)?) };
        // A referee that was given other candidates has no figures for these.
        let sim = |column: &Column| {
            read(self.dataset, self.run, self.at, uids, column).ok().and_then(|sims| floats(&sims))
        };
        let sims = made.sims.as_ref().map(|(before, after)| (sim(before), sim(after)));
        for place in places {
            let row = place.row as usize;
            let Some(text) = text_at(&after, row) else { continue };
            let number = |sims: &Option<arrow::array::Float32Array>| {
                let sims = sims.as_ref().filter(|sims| sims.is_valid(row))?;
                Some(sims.value(row)).filter(|sim| sim.is_finite())
            };
            changes.push(CaptionChange {
                step: made.folder.clone(),
                column: made.after.name.clone(),
                uid: place.uid.to_string(),
                before: match &before {
                    Some(before) => text_at(before, row).unwrap_or_default(),
                    None => texts.get(&place.row).cloned().unwrap_or_default(),
                },
                after: text,
                before_sim: sims.as_ref().and_then(|(before, _)| number(before)),
                after_sim: sims.as_ref().and_then(|(_, after)| number(after)),
            });
        }
        Ok(())
    }
}

fn text_at(column: &ArrayRef, row: usize) -> Option<String> {
    let texts = column.as_string_opt::<i32>().filter(|texts| texts.is_valid(row))?;
    Some(texts.value(row).chars().take(MOST_CHARS).collect())
}
