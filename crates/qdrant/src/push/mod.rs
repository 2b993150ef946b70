//! Push: a run into a collection. What the server has decides what is sent, so there is no state here that could lie: a push that was killed is
//! resumed by pushing again, and a push of an unchanged run sends nothing.
mod batches;
mod census;
mod target;

use std::sync::Arc;

use cribble_core::{Progress, Result};
use cribble_io::Dataset;
use cribble_pipeline::RunFolder;
use serde::Serialize;

use crate::{Payloads, Scratch, Server, VectorSpace, collection::Found};
use batches::Batches;
use census::{Census, sorted_uids};
use target::Target;

/// What is pushed, and how.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// The collection.
    pub collection: String,
    /// The name that points get as `run`.
    pub name: String,
    /// Embeddings to send; none named: all.
    pub vectors: Vec<String>,
    /// Further columns for the payload.
    pub columns: Vec<String>,
    /// Only samples that the run keeps.
    pub only_kept: bool,
    /// Points of a call, at most; large vectors make it fewer.
    pub batch: usize,
    /// Remove the collection first, with everything in it.
    pub recreate: bool,
    /// Replace points that another run, or somebody else, put under the ids of our samples.
    pub take_over: bool,
    /// Remove points of this run that are no longer in it.
    pub remove_gone: bool,
}

/// What a push did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PushReport {
    /// The server's version.
    pub server_version: String,
    /// The collection.
    pub collection: String,
    /// Whether the push made it.
    pub made: bool,
    /// The name of the run in it.
    pub run: String,
    /// Vectors by name: numbers in one, and samples that have one.
    pub vectors: Vec<VectorReport>,
    /// Samples to be pushed, each counted once.
    pub samples: u64,
    /// Rows beyond the first of samples that stand in the run several times: not pushed.
    pub repeated: u64,
    /// Points sent.
    pub sent: u64,
    /// Of those, points that were there with another content.
    pub replaced: u64,
    /// Points that were there with the same content: not sent.
    pub unchanged: u64,
    /// Samples whose points are somebody else's: left alone.
    pub foreign: u64,
    /// Runs that they are of, some; empty for points that no run pushed.
    pub foreign_runs: Vec<String>,
    /// Points of this run that were removed because the run has them no more.
    pub removed: u64,
    /// Points of this run in the collection at the end, counted exactly.
    pub points: u64,
    /// How often the server asked for time.
    pub push_backs: u64,
}

/// One vector of a push.
#[derive(Debug, Clone, Serialize)]
pub struct VectorReport {
    /// Its name.
    pub name: String,
    /// Numbers in it.
    pub dim: usize,
    /// Samples that have one.
    pub samples: u64,
}

impl PushReport {
    /// What is not as it should be, as sentences; none after a whole push.
    pub fn shortfalls(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.foreign > 0 {
            let whose = match self.foreign_runs.is_empty() {
                true => "that no run pushed".to_owned(),
                false => format!("of {}", self.foreign_runs.join(", ")),
            };
            found.push(format!(
                "{} of {} samples are in '{}' as points {whose} and were left alone; --take-over replaces them, --collection names another place",
                self.foreign, self.samples, self.collection
            ));
        }
        let expected = self.samples - self.foreign;
        if self.points > expected {
            found.push(format!(
                "'{}' has {} points of the run '{}' that are not in it; --remove-gone removes them, --name gives this run another name",
                self.collection,
                self.points - expected,
                self.run
            ));
        }
        if self.points < expected {
            found.push(format!(
                "'{}' has {} of {expected} points of the run '{}': {} are missing; the same command sends them again",
                self.collection,
                self.points,
                self.run,
                expected - self.points
            ));
        }
        found
    }
}

/// Pushes a run.
///
/// # Errors
/// The run is not finished; the collection does not fit; the server refuses, or does not answer any more.
pub fn push(
    server: &Server,
    run: &RunFolder,
    dataset: &Dataset,
    options: &PushOptions,
    scratch: Scratch<'_>,
    progress: &dyn Progress,
) -> Result<PushReport> {
    let payloads = Payloads::open(run, dataset, &options.name, &options.columns)?;
    let spaces = VectorSpace::chosen(run, dataset, &options.vectors)?;
    let uids = || sorted_uids(run, dataset, options.only_kept, scratch);
    let census = Census::of(uids()?)?;
    let samples = census.distinct;
    let mut batches = Batches::new(
        dataset,
        &payloads,
        &spaces,
        progress,
        options.only_kept,
        options.batch,
        census.repeated,
    );
    let target = Arc::new(Target {
        client: server.client.clone(),
        collection: options.collection.clone(),
        run: options.name.clone(),
        take_over: options.take_over,
    });
    let mut report = PushReport {
        server_version: server.version().into(),
        collection: options.collection.clone(),
        run: options.name.clone(),
        samples,
        repeated: census.rows - samples,
        ..PushReport::default()
    };
    report.made = server.run(async {
        let found = target.client.fit(&options.collection, &spaces, options.recreate).await?;
        target.client.index(&options.collection, &payloads.indexed()).await?;
        Ok(found == Found::Made)
    })?;
    progress.begin("push", dataset.rows(), "rows");
    let sent = server.run(target.clone().send_all(&mut batches, server.in_flight(), &mut report));
    progress.end();
    sent?;
    report.points = server.run(target.count())?;
    if options.remove_gone && report.points > samples - report.foreign {
        report.removed = server.run(target.remove_gone(uids()?))?;
        report.points = server.run(target.count())?;
    }
    server.run(target.client.settle(&options.collection))?;
    let met = spaces.iter().zip(&batches.vectors);
    report.vectors = met
        .map(|(space, &samples)| VectorReport { name: space.name.clone(), dim: space.dim, samples })
        .collect();
    report.push_backs = target.client.pace.push_backs();
    Ok(report)
}
