//! The receiving end of a push: what is there, what is sent, what is counted and what is removed.
use std::{collections::HashMap, sync::Arc};

use cribble_core::{Error, Result, Uid};
use cribble_io::tar::Sorted;
use qdrant_client::qdrant::{
    CountPoints, DeletePoints, Filter, GetPoints, PointId, PointStruct, PointsIdsList, PointsSelector,
    UpsertPoints, Value, points_selector::PointsSelectorOneOf, value::Kind,
};
use tokio::task::JoinSet;

use super::{PushReport, batches::Batches};
use crate::{
    filter::of_run,
    pages::{fields, no_fields, no_vectors},
    point::{CONTENT, RUN, Sample, point_id, uid_of},
    server::Client,
};

/// Names of other runs that a report lists.
const MOST_NAMES: usize = 5;

/// Where points go.
#[derive(Debug)]
pub(super) struct Target {
    pub client: Arc<Client>,
    pub collection: String,
    pub run: String,
    pub take_over: bool,
}

impl Target {
    /// Keeps `in_flight` batches going until there are no more.
    pub async fn send_all(
        self: Arc<Self>,
        batches: &mut Batches<'_>,
        in_flight: u32,
        report: &mut PushReport,
    ) -> Result<()> {
        let mut tasks = JoinSet::new();
        let mut is_over = false;
        loop {
            while !is_over && tasks.len() < in_flight as usize {
                match batches.next()? {
                    Some(batch) => drop(tasks.spawn(self.clone().send(batch))),
                    None => is_over = true,
                }
                // Reading is not asynchronous: calls that wait for their turn get it here.
                tokio::task::yield_now().await;
            }
            let Some(done) = tasks.join_next().await else { return Ok(()) };
            let outcome = done.map_err(|error| Error::bug(format!("a batch was lost: {error}")))??;
            report.sent += outcome.sent;
            report.replaced += outcome.replaced;
            report.unchanged += outcome.unchanged;
            report.foreign += outcome.foreign;
            for name in outcome.foreign_runs {
                if !report.foreign_runs.contains(&name) && report.foreign_runs.len() < MOST_NAMES {
                    report.foreign_runs.push(name);
                    report.foreign_runs.sort();
                }
            }
        }
    }

    /// Sends those of a batch that the server does not have as they are.
    async fn send(self: Arc<Self>, batch: Vec<Sample>) -> Result<Outcome> {
        let ids = batch.iter().map(|sample| point_id(sample.uid)).collect();
        let known = self.known(ids).await?;
        let mut outcome = Outcome::default();
        let mut points = Vec::new();
        for sample in batch {
            if let Some(there) = known.get(&sample.uid) {
                let is_own = there.run.as_deref() == Some(&self.run);
                if is_own && there.content.as_deref() == Some(&sample.content) {
                    outcome.unchanged += 1;
                    continue;
                }
                if !is_own && !self.take_over {
                    outcome.foreign += 1;
                    let name = there.run.clone().filter(|name| !outcome.foreign_runs.contains(name));
                    outcome.foreign_runs.extend(name);
                    continue;
                }
                outcome.replaced += 1;
            }
            outcome.sent += 1;
            points.push(sample.point);
        }
        self.upsert(points).await?;
        Ok(outcome)
    }

    /// Of the points with these ids, whose they are and what they were made of.
    async fn known(&self, ids: Vec<PointId>) -> Result<HashMap<Uid, There>> {
        let asked = GetPoints {
            collection_name: self.collection.clone(),
            ids,
            with_payload: Some(fields(&[RUN, CONTENT])),
            with_vectors: Some(no_vectors()),
            ..GetPoints::default()
        };
        let answer = self
            .client
            .get(asked)
            .await
            .map_err(|fault| self.client.error("looking for points that are there", &fault))?;
        let there = answer.result.iter().filter_map(|point| {
            let there = There { run: text(&point.payload, RUN), content: text(&point.payload, CONTENT) };
            Some((uid_of(point.id.as_ref())?, there))
        });
        Ok(there.collect())
    }

    /// Sends points, in halves where the whole is too large for what stands between us and the server. A point that was there is replaced as a
    /// whole: a vector or a field that it has no more is gone.
    async fn upsert(&self, points: Vec<PointStruct>) -> Result<()> {
        let mut waiting = vec![points];
        while let Some(mut points) = waiting.pop() {
            if points.is_empty() {
                continue;
            }
            let asked = UpsertPoints {
                collection_name: self.collection.clone(),
                wait: Some(true),
                points: points.clone(),
                ..UpsertPoints::default()
            };
            match self.client.upsert(asked).await {
                Ok(_) => {}
                Err(fault) if fault.too_large && points.len() > 1 => {
                    let second = points.split_off(points.len() / 2);
                    waiting.extend([second, points]);
                }
                Err(fault) => return Err(self.client.error("sending points", &fault)),
            }
        }
        Ok(())
    }

    fn own(&self) -> Filter {
        of_run(&self.run, None)
    }

    /// Points of the run, counted one by one.
    pub async fn count(&self) -> Result<u64> {
        let asked = CountPoints {
            collection_name: self.collection.clone(),
            filter: Some(self.own()),
            exact: Some(true),
            ..CountPoints::default()
        };
        let answer =
            self.client.count(asked).await.map_err(|fault| self.client.error("counting points", &fault))?;
        Ok(answer.result.map_or(0, |result| result.count))
    }

    /// Removes points of the run that are not among the uids. The server lists ids in order, so both lists are walked side by side.
    pub async fn remove_gone(&self, uids: Sorted<16>) -> Result<u64> {
        let mut uids = uids.map(|bytes| bytes.map(Uid::from_bytes));
        let mut next = uids.next().transpose()?;
        let (mut offset, mut removed, mut last) = (None, 0, None);
        loop {
            let (page, more) = self.client.page(&self.collection, self.own(), offset, no_fields()).await?;
            let mut gone = Vec::new();
            for point in page {
                let Some(uid) = uid_of(point.id.as_ref()) else { continue };
                // What follows from the order is a removal, so the order is not taken on trust.
                if last.replace(uid).is_some_and(|last| last >= uid) {
                    return Err(Error::input(format!("the server lists point {uid} out of order"))
                        .with_hint("remove points in the dashboard, or push with --recreate"));
                }
                while next.is_some_and(|known| known < uid) {
                    next = uids.next().transpose()?;
                }
                if next != Some(uid) {
                    gone.push(point_id(uid));
                }
            }
            removed += gone.len() as u64;
            self.delete(gone).await?;
            match more {
                Some(more) => offset = Some(more),
                None => return Ok(removed),
            }
        }
    }

    async fn delete(&self, ids: Vec<PointId>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = PointsSelectorOneOf::Points(PointsIdsList { ids });
        let asked = DeletePoints {
            collection_name: self.collection.clone(),
            wait: Some(true),
            points: Some(PointsSelector { points_selector_one_of: Some(ids) }),
            ..DeletePoints::default()
        };
        self.client.delete(asked).await.map_err(|fault| self.client.error("removing points", &fault))?;
        Ok(())
    }
}

/// A point that is there.
#[derive(Debug)]
struct There {
    run: Option<String>,
    content: Option<String>,
}

/// What a task found and did.
#[derive(Debug, Default)]
struct Outcome {
    sent: u64,
    replaced: u64,
    unchanged: u64,
    foreign: u64,
    foreign_runs: Vec<String>,
}

fn text(payload: &HashMap<String, Value>, name: &str) -> Option<String> {
    match payload.get(name)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}
