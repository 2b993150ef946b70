//! The samples in the run folder itself, where there is no server: `search` encodes and compares, every vector.
use std::collections::BTreeMap;

use cribble_core::{Error, Result, Uid};
use cribble_expr::{Bound, Expression};
use cribble_math::top::{Queries, Top};
use cribble_pipeline::{GlobalRow, RunEmbedding, RunView, StepContext};
use cribble_search::{Query, Scan, encode};

use crate::{
    Hit, Near, Payloads, Pulled, SpaceReader, Store, VectorSpace, best_first, filter::expression_error,
    payload::ShardPayloads,
};

/// A run as a store. In memory are a block of vectors a thread and, where there is a condition, the payloads of a shard a thread.
pub struct RunStore<'a> {
    view: &'a RunView,
    context: &'a StepContext<'a>,
    payloads: &'a Payloads<'a>,
    embedding: RunEmbedding,
}

impl<'a> RunStore<'a> {
    /// The samples of a run; `embedding` is the one that is compared.
    pub fn new(
        view: &'a RunView,
        context: &'a StepContext<'a>,
        payloads: &'a Payloads<'a>,
        embedding: RunEmbedding,
    ) -> Self {
        Self { view, context, payloads, embedding }
    }

    fn bind(&self, condition: Option<&str>) -> Result<Option<Bound>> {
        let bind = |text: &str| {
            let bound = Expression::parse(text)?.bind(self.payloads.schema())?;
            bound.check_boolean()?;
            Ok(bound)
        };
        condition.map(|text| bind(text).map_err(expression_error)).transpose()
    }

    /// A shard, and for which of its rows a condition is true.
    fn judged(&self, shard: u32, bound: Option<&Bound>) -> Result<(ShardPayloads, Vec<bool>)> {
        self.context.cancel.check()?;
        let payloads = self.payloads.read(shard)?;
        let flags = match bound {
            None => vec![true; payloads.uids.len()],
            Some(bound) => {
                let mask = bound.mask(&payloads.columns).map_err(expression_error)?;
                mask.iter().map(|flag| flag == Some(true)).collect()
            }
        };
        Ok((payloads, flags))
    }

    /// The rows of a shard that may be found: not those of the sample that asks, wherever it stands.
    fn wanted(&self, shard: u32, bound: Option<&Bound>, itself: Option<Uid>) -> Result<Option<Vec<bool>>> {
        let (uids, mut flags) = match (bound, itself) {
            (None, None) => return Ok(None),
            (None, Some(_)) => (self.context.uids(shard)?, vec![true; self.context.rows(shard)]),
            (Some(_), _) => {
                let (payloads, flags) = self.judged(shard, bound)?;
                (payloads.uids, flags)
            }
        };
        flags.iter_mut().zip(uids).for_each(|(flag, uid)| *flag &= Some(uid) != itself);
        Ok(Some(flags))
    }

    /// The vector that asks.
    fn queries(&self, near: &Near) -> Result<Queries> {
        let info = &self.embedding.embedding.info;
        match near {
            Near::Sample(uid) => {
                let query = Query::Sample(uid.to_string());
                Ok(encode(self.view, self.context, &self.embedding, &query, None)?.queries)
            }
            Near::Vector(vector) if vector.len() != info.dim => Err(Error::usage(format!(
                "what is sought has {} numbers, those of '{}' have {}",
                vector.len(),
                info.name,
                info.dim
            ))
            .with_hint("name another embedding, or the model that made this one")),
            Near::Vector(vector) => Queries::new(vector.clone(), info.dim)
                .ok_or_else(|| Error::input("what is sought is a vector without a direction")),
        }
    }
}

impl Store for RunStore<'_> {
    fn nearest(&self, near: &Near, condition: Option<&str>, limit: usize) -> Result<Vec<Hit>> {
        let bound = self.bind(condition)?;
        let itself = match near {
            Near::Sample(uid) => Some(*uid),
            Near::Vector(_) => None,
        };
        let Self { view, context, embedding, .. } = self;
        let wanted = &|shard| self.wanted(shard, bound.as_ref(), itself);
        let scan = Scan { view, context, embedding, wanted, without: None };
        let tops = scan.run(&self.queries(near)?, limit)?.tops;
        let mut found: Vec<(GlobalRow, f64)> = tops
            .into_iter()
            .flat_map(Top::into_hits)
            .map(|hit| (GlobalRow(hit.row), hit.similarity))
            .collect();
        // By place, so that each shard is read once.
        found.sort_unstable_by_key(|(row, _)| *row);
        let mut hits = Vec::with_capacity(found.len());
        for found in found.chunk_by(|(a, _), (b, _)| a.shard() == b.shard()) {
            let payloads = self.payloads.read(found[0].0.shard())?;
            for (row, similarity) in found {
                let row = row.row() as usize;
                let (uid, payload) = (payloads.uids[row], payloads.row(row)?);
                hits.push(Hit { uid, similarity: Some(*similarity as f32), payload });
            }
        }
        hits.sort_by(best_first);
        Ok(hits)
    }

    fn matching(&self, condition: Option<&str>, limit: usize) -> Result<Vec<Hit>> {
        let bound = self.bind(condition)?;
        let mut hits = Vec::new();
        for shard in 0..self.context.shards() {
            if hits.len() == limit {
                break;
            }
            let (payloads, flags) = self.judged(shard, bound.as_ref())?;
            for row in (0..flags.len()).filter(|&row| flags[row]).take(limit - hits.len()) {
                hits.push(Hit { uid: payloads.uids[row], similarity: None, payload: payloads.row(row)? });
            }
        }
        Ok(hits)
    }

    fn uids(&self, condition: Option<&str>, visit: &mut dyn FnMut(Uid) -> Result<()>) -> Result<()> {
        let bound = self.bind(condition)?;
        for shard in 0..self.context.shards() {
            self.context.cancel.check()?;
            if bound.is_none() {
                self.context.uids(shard)?.into_iter().try_for_each(&mut *visit)?;
                continue;
            }
            let (payloads, flags) = self.judged(shard, bound.as_ref())?;
            let uids = payloads.uids.into_iter().zip(flags);
            uids.filter(|(_, flag)| *flag).try_for_each(|(uid, _)| visit(uid))?;
        }
        Ok(())
    }

    fn has_vector(&self, _: &str) -> bool {
        true
    }

    fn fetch(&self, uids: &[Uid], vectors: &[VectorSpace]) -> Result<Vec<Pulled>> {
        let mut found = BTreeMap::new();
        for shard in 0..self.context.shards() {
            self.context.cancel.check()?;
            let rows = self.context.uids(shard)?.into_iter().enumerate();
            // Of a sample that stands in the run several times the first row counts.
            let here: Vec<(usize, Uid)> =
                rows.filter(|(_, uid)| uids.binary_search(uid).is_ok() && !found.contains_key(uid)).collect();
            if here.is_empty() {
                continue;
            }
            let payloads = self.payloads.read(shard)?;
            let mut readers = vectors
                .iter()
                .map(|space| space.open(&self.view.dataset, shard))
                .collect::<Result<Vec<_>>>()?;
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
