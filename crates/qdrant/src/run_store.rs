//! The samples in the run folder itself, where there is no server: every vector is compared, one block at a time.
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use arrow::array::{Array, BooleanArray};
use cribble_core::{Cancel, Error, Result, Uid};
use cribble_expr::{Bound, Expression};
use cribble_io::Dataset;
use cribble_math::rows::dot;
use rayon::prelude::*;

use crate::{
    Hit, Near, Payloads, Pulled, SpaceReader, Store, VectorSpace, best_first, filter::expression_error,
    payload::ShardPayloads,
};

/// Rows that are compared at once.
const BLOCK: usize = 4096;

/// A run as a store.
pub struct RunStore<'a> {
    dataset: &'a Dataset,
    payloads: &'a Payloads<'a>,
    space: VectorSpace,
    cancel: &'a Cancel,
}

/// A candidate: the order of candidates is by similarity, then by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    /// The bits of the similarity, so that greater is more similar.
    similarity: Ordered,
    /// Smaller uids and rows first.
    place: Reverse<(Uid, u32, usize)>,
}

/// A number with a total order.
#[derive(Debug, Clone, Copy)]
struct Ordered(f32);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Ordered {}
impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl<'a> RunStore<'a> {
    /// The samples of a run; `space` is the embedding that is compared.
    pub fn new(
        dataset: &'a Dataset,
        payloads: &'a Payloads<'a>,
        space: VectorSpace,
        cancel: &'a Cancel,
    ) -> Self {
        Self { dataset, payloads, space, cancel }
    }

    fn bind(&self, condition: Option<&str>) -> Result<Option<Bound>> {
        let bind = |text: &str| {
            let bound = Expression::parse(text)?.bind(self.payloads.schema())?;
            bound.check_boolean()?;
            Ok(bound)
        };
        condition.map(|text| bind(text).map_err(expression_error)).transpose()
    }

    /// The rows of a shard for which a condition is true.
    fn mask(&self, shard: u32, bound: &Bound) -> Result<(ShardPayloads, BooleanArray)> {
        let payloads = self.payloads.read(shard)?;
        let mask = bound.mask(&payloads.columns).map_err(expression_error)?;
        Ok((payloads, mask))
    }

    /// The vector of a sample.
    fn vector(&self, uid: Uid) -> Result<Vec<f32>> {
        for shard in 0..self.dataset.shards().len() as u32 {
            let Some(row) = self.dataset.uids(shard)?.iter().position(|found| *found == uid) else {
                continue;
            };
            let (vector, has) = self.space.open(self.dataset, shard)?.read(row as u64, 1)?;
            if has[0] {
                return Ok(vector);
            }
            return Err(Error::input(format!("the sample {uid} has no vector '{}'", self.space.name))
                .with_hint("its image or caption could not be read: `cribble why` says what became of it"));
        }
        Err(Error::input(format!("no sample of this run has the uid {uid}"))
            .with_hint("`cribble why` finds a sample by the beginning of its uid"))
    }
}

impl Store for RunStore<'_> {
    fn nearest(&self, near: &Near, condition: Option<&str>, limit: usize) -> Result<Vec<Hit>> {
        let bound = self.bind(condition)?;
        let (vector, itself) = match near {
            Near::Vector(vector) => (vector.clone(), None),
            Near::Sample(uid) => (self.vector(*uid)?, Some(*uid)),
        };
        let dim = self.space.dim;
        if vector.len() != dim {
            return Err(Error::input(format!(
                "what is sought has {} numbers, vectors '{}' have {dim}",
                vector.len(),
                self.space.name
            ))
            .with_hint("--vector names another embedding, --model the model that made this one"));
        }
        let mut best: BinaryHeap<Reverse<Found>> = BinaryHeap::new();
        for shard in 0..self.dataset.shards().len() as u32 {
            let (uids, mask) = match &bound {
                Some(bound) => {
                    let (payloads, mask) = self.mask(shard, bound)?;
                    (payloads.uids, Some(mask))
                }
                None => (self.dataset.uids(shard)?, None),
            };
            let mut reader = self.space.open(self.dataset, shard)?;
            for start in (0..uids.len()).step_by(BLOCK) {
                self.cancel.check()?;
                let rows = BLOCK.min(uids.len() - start);
                let (values, has) = reader.read(start as u64, rows)?;
                let similarities: Vec<f32> =
                    values.par_chunks_exact(dim).map(|row| dot(&vector, row) as f32).collect();
                for (at, similarity) in similarities.into_iter().enumerate() {
                    let row = start + at;
                    let is_wanted = mask.as_ref().is_none_or(|mask| mask.is_valid(row) && mask.value(row));
                    if !is_wanted || !has[at] || itself == Some(uids[row]) {
                        continue;
                    }
                    let place = Reverse((uids[row], shard, row));
                    best.push(Reverse(Found { similarity: Ordered(similarity), place }));
                    if best.len() > limit {
                        best.pop();
                    }
                }
            }
        }
        let mut found: Vec<Found> = best.into_iter().map(|Reverse(found)| found).collect();
        // By place, so that each shard is read once.
        found.sort_by_key(|found| (found.place.0.1, found.place.0.2));
        let mut hits = Vec::with_capacity(found.len());
        let mut open: Option<(u32, ShardPayloads)> = None;
        for Found { similarity, place: Reverse((uid, shard, row)) } in found {
            let payloads = match open.take().filter(|(at, _)| *at == shard) {
                Some((_, payloads)) => payloads,
                None => self.payloads.read(shard)?,
            };
            hits.push(Hit { uid, similarity: Some(similarity.0), payload: payloads.row(row)? });
            open = Some((shard, payloads));
        }
        hits.sort_by(best_first);
        Ok(hits)
    }

    fn matching(&self, condition: Option<&str>, limit: usize) -> Result<Vec<Hit>> {
        let bound = self.bind(condition)?;
        let mut hits = Vec::new();
        for shard in 0..self.dataset.shards().len() as u32 {
            if hits.len() == limit {
                break;
            }
            self.cancel.check()?;
            let payloads = self.payloads.read(shard)?;
            let mask = bound.as_ref().map(|bound| bound.mask(&payloads.columns)).transpose();
            let mask = mask.map_err(expression_error)?;
            let is_wanted =
                |row: &usize| mask.as_ref().is_none_or(|mask| mask.is_valid(*row) && mask.value(*row));
            for row in (0..payloads.uids.len()).filter(is_wanted).take(limit - hits.len()) {
                hits.push(Hit { uid: payloads.uids[row], similarity: None, payload: payloads.row(row)? });
            }
        }
        Ok(hits)
    }

    fn uids(&self, condition: Option<&str>, visit: &mut dyn FnMut(Uid) -> Result<()>) -> Result<()> {
        let bound = self.bind(condition)?;
        for shard in 0..self.dataset.shards().len() as u32 {
            self.cancel.check()?;
            match &bound {
                None => self.dataset.uids(shard)?.into_iter().try_for_each(&mut *visit)?,
                Some(bound) => {
                    let (payloads, mask) = self.mask(shard, bound)?;
                    for (row, uid) in payloads.uids.into_iter().enumerate() {
                        if mask.is_valid(row) && mask.value(row) {
                            visit(uid)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
    fn has_vector(&self, _: &str) -> bool {
        true
    }

    fn fetch(&self, uids: &[Uid], vectors: &[VectorSpace]) -> Result<Vec<Pulled>> {
        let mut found = BTreeMap::new();
        for shard in 0..self.dataset.shards().len() as u32 {
            self.cancel.check()?;
            let rows = self.dataset.uids(shard)?.into_iter().enumerate();
            // Of a sample that stands in the run several times the first row counts.
            let here: Vec<(usize, Uid)> =
                rows.filter(|(_, uid)| uids.binary_search(uid).is_ok() && !found.contains_key(uid)).collect();
            if here.is_empty() {
                continue;
            }
            let payloads = self.payloads.read(shard)?;
            let mut readers =
                vectors.iter().map(|space| space.open(self.dataset, shard)).collect::<Result<Vec<_>>>()?;
            for (row, uid) in here {
                let mut vector = |reader: &mut SpaceReader| -> Result<Option<Vec<f32>>> {
                    let (values, has) = reader.read(row as u64, 1)?;
                    Ok(has[0].then_some(values))
                };
                let vectors = readers.iter_mut().map(&mut vector).collect::<Result<_>>()?;
                found.entry(uid).or_insert(Pulled { uid, payload: payloads.row(row)?, vectors });
            }
        }
        Ok(found.into_values().collect())
    }
}
