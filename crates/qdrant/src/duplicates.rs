//! Near duplicates through the vectors that a server holds: every point is asked for its neighbours above 1 − ε, page by page; of each pair, in
//! the order of uids, the second goes if the first stays (greedy, as the step `dedup` by default, with uids for its order).
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Float32Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use cribble_core::{Error, Progress, Result, Uid};
use cribble_io::{
    TableWriter,
    tar::{Sorted, Sorter},
};
use qdrant_client::qdrant::{Condition as Clause, Filter, QueryBatchPoints, QueryPoints, SearchParams};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::{
    Near, Scratch, ServerStore, Store, SubsetFile,
    pages::{no_fields, no_vectors},
    point::uid_of,
    server::Client,
    server_store::nearest_query,
};

/// Questions of a call.
const QUESTIONS: usize = 64;
/// Neighbours asked for at first; a point that has so many is asked again for more.
const FIRST: u64 = 16;
/// Rows of the table of pairs that are written at once.
const ROWS: usize = 65_536;
/// A pair in the sorter: the smaller uid, the greater, the similarity's bits, all big-endian.
type Record = [u8; 36];

/// What near duplicates are, and where they go.
#[derive(Debug, Clone, Default)]
pub struct DuplicateOptions {
    /// Pairs with a similarity above 1 − ε.
    pub epsilon: f64,
    /// Only samples for which this is true are compared, and stand in the subset.
    pub condition: Option<String>,
    /// A table to write with all pairs (parquet: `uid`, `other`, `similarity`).
    pub table: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DuplicateReport {
    /// Samples that the condition is true for.
    pub samples: u64,
    /// Of those, samples with a vector: only they can be duplicates.
    pub compared: u64,
    /// Pairs above the threshold.
    pub pairs: u64,
    /// Samples that are left out.
    pub dropped: u64,
    /// Samples of the subset.
    pub kept: u64,
}

/// Two similar samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The one with the smaller uid.
    pub first: Uid,
    /// The other.
    pub second: Uid,
    /// Their cosine, as the server computed it.
    pub similarity: f32,
}

/// Finds pairs, writes those that stay to `subset`, and shows each pair to `visit`, in the order of uids.
///
/// # Errors
/// The condition is none; the server refuses; a file cannot be written.
pub fn duplicates(
    store: &ServerStore<'_>,
    options: &DuplicateOptions,
    mut subset: SubsetFile,
    scratch: Scratch<'_>,
    progress: &dyn Progress,
    visit: &mut dyn FnMut(Pair),
) -> Result<DuplicateReport> {
    let condition = options.condition.as_deref();
    let filter = store.filter(condition)?;
    let with_vector = Filter::must([filter.into(), Clause::has_vector(store.vector())]);
    let search = Arc::new(Search {
        client: store.server().client.clone(),
        collection: store.collection().into(),
        vector: store.vector().into(),
        filter: with_vector.clone(),
        params: store.params(),
        above: 1.0 - options.epsilon,
    });
    let mut report = DuplicateReport::default();
    let mut pairs = Sorter::<36>::new(scratch.folder, scratch.memory);
    progress.begin("neighbours", 0, "samples");
    let walked = store.walk(&with_vector, &mut |page| {
        report.compared += page.len() as u64;
        let rows = page.len() as u64;
        for found in store.server().run(search.clone().page(page))? {
            pairs.push(found.record())?;
        }
        progress.advance(rows);
        Ok(())
    });
    progress.end();
    walked?;
    let dropped = settle(pairs.finish()?, options.table.as_deref(), &mut report, visit)?;
    store.uids(condition, &mut |uid| {
        report.samples += 1;
        if dropped.contains(&uid) { Ok(()) } else { subset.push(uid) }
    })?;
    report.kept = subset.finish()?;
    Ok(report)
}

/// Walks over the pairs in order and decides who goes. Whoever is the second of a pair has been the first of none yet, so its fate is settled
/// before it can settle others'. Memory: the samples that go.
fn settle(
    pairs: Sorted<36>,
    table: Option<&Path>,
    report: &mut DuplicateReport,
    visit: &mut dyn FnMut(Pair),
) -> Result<HashSet<Uid>> {
    let mut table = table.map(Table::create).transpose()?;
    let mut dropped = HashSet::new();
    let mut last = None;
    for record in pairs {
        let pair = Pair::of(&record?);
        // Found from both ends; a server that computes the two similarities differently has the smaller one first.
        if last.replace((pair.first, pair.second)) == Some((pair.first, pair.second)) {
            continue;
        }
        report.pairs += 1;
        if !dropped.contains(&pair.first) {
            dropped.insert(pair.second);
        }
        visit(pair);
        if let Some(table) = &mut table {
            table.push(pair)?;
        }
    }
    if let Some(table) = table {
        table.finish()?;
    }
    report.dropped = dropped.len() as u64;
    Ok(dropped)
}

impl Pair {
    fn record(self) -> Record {
        let mut record = [0; 36];
        record[..16].copy_from_slice(&self.first.to_bytes());
        record[16..32].copy_from_slice(&self.second.to_bytes());
        record[32..].copy_from_slice(&self.similarity.to_bits().to_be_bytes());
        record
    }

    fn of(record: &Record) -> Self {
        let uid =
            |at: usize| Uid(record[at..at + 16].iter().fold(0, |value, byte| value << 8 | u128::from(*byte)));
        let bits = record[32..].iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
        Self { first: uid(0), second: uid(16), similarity: f32::from_bits(bits) }
    }
}

/// How neighbours are asked for.
struct Search {
    client: Arc<Client>,
    collection: String,
    vector: String,
    filter: Filter,
    params: SearchParams,
    above: f64,
}

impl Search {
    /// The pairs of which one is in the page.
    async fn page(self: Arc<Self>, page: Vec<Uid>) -> Result<Vec<Pair>> {
        let mut tasks = JoinSet::new();
        for uids in page.chunks(QUESTIONS) {
            tasks.spawn(self.clone().ask(uids.to_vec()));
        }
        let mut pairs = Vec::new();
        while let Some(done) = tasks.join_next().await {
            pairs.extend(done.map_err(|error| Error::bug(format!("a question was lost: {error}")))??);
        }
        Ok(pairs)
    }

    async fn ask(self: Arc<Self>, mut uids: Vec<Uid>) -> Result<Vec<Pair>> {
        let (mut limit, mut pairs) = (FIRST, Vec::new());
        while !uids.is_empty() {
            let asked = QueryBatchPoints {
                collection_name: self.collection.clone(),
                query_points: uids.iter().map(|&uid| self.question(uid, limit)).collect(),
                ..QueryBatchPoints::default()
            };
            let answer = self
                .client
                .query_batch(asked)
                .await
                .map_err(|fault| self.client.error("asking for neighbours", &fault))?;
            if answer.result.len() != uids.len() {
                let (found, expected) = (answer.result.len(), uids.len());
                return Err(Error::input(format!("the server answered {found} of {expected} questions")));
            }
            let mut more = Vec::new();
            for (uid, answer) in uids.into_iter().zip(answer.result) {
                // It may have more neighbours than it was asked for.
                if answer.result.len() as u64 >= limit {
                    more.push(uid);
                    continue;
                }
                let neighbours = answer.result.iter().filter(|point| f64::from(point.score) > self.above);
                pairs.extend(neighbours.filter_map(|point| {
                    let other = uid_of(point.id.as_ref()).filter(|&other| other != uid)?;
                    let (first, second) = (uid.min(other), uid.max(other));
                    Some(Pair { first, second, similarity: point.score })
                }));
            }
            uids = more;
            limit *= 8;
        }
        Ok(pairs)
    }

    fn question(&self, uid: Uid, limit: u64) -> QueryPoints {
        QueryPoints {
            collection_name: self.collection.clone(),
            query: Some(nearest_query(&Near::Sample(uid))),
            using: Some(self.vector.clone()),
            filter: Some(self.filter.clone()),
            params: Some(self.params.clone()),
            // At or above on the server; what is exactly at the threshold is left out here.
            score_threshold: Some((self.above as f32).next_down()),
            limit: Some(limit),
            with_payload: Some(no_fields()),
            with_vectors: Some(no_vectors()),
            ..QueryPoints::default()
        }
    }
}

/// The table of pairs.
struct Table {
    writer: TableWriter,
    schema: Arc<Schema>,
    waiting: Vec<Pair>,
}

impl Table {
    fn create(path: &Path) -> Result<Self> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("uid", DataType::Utf8, false),
            Field::new("other", DataType::Utf8, false),
            Field::new("similarity", DataType::Float32, false),
        ]));
        Ok(Self { writer: TableWriter::create(path, schema.clone())?, schema, waiting: Vec::new() })
    }

    fn push(&mut self, pair: Pair) -> Result<()> {
        self.waiting.push(pair);
        if self.waiting.len() == ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        let pairs = std::mem::take(&mut self.waiting);
        let text = |of: fn(&Pair) -> Uid| {
            Arc::new(StringArray::from_iter_values(pairs.iter().map(|pair| of(pair).to_string())))
        };
        let similarities = Float32Array::from_iter_values(pairs.iter().map(|pair| pair.similarity));
        let batch = RecordBatch::try_new(
            self.schema.clone(),
            vec![text(|pair| pair.first), text(|pair| pair.second), Arc::new(similarities)],
        )
        .map_err(|error| Error::bug(error.to_string()))?;
        Ok(self.writer.write(&batch)?)
    }

    fn finish(mut self) -> Result<()> {
        self.write()?;
        self.writer.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(first: u128, second: u128, similarity: f32) -> Pair {
        Pair { first: Uid(first), second: Uid(second), similarity }
    }

    #[test]
    fn records_sort_by_uids_and_come_back() {
        let pairs = [pair(1, 2, 0.9), pair(1, 2, 0.95), pair(1, 1 << 100, 0.5), pair(1 << 64, 3 << 64, 1.0)];
        let records: Vec<Record> = pairs.iter().map(|pair| pair.record()).collect();
        assert!(records.is_sorted());
        assert!(records.iter().map(Pair::of).eq(pairs));
    }

    #[test]
    fn of_a_chain_only_neighbours_of_who_stays_go() {
        // 1 ~ 2 ~ 3 ~ 4, found from both ends.
        let dir = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::<36>::new(dir.path(), 1 << 20);
        for one in [pair(3, 4, 0.99), pair(1, 2, 0.98), pair(2, 3, 0.97), pair(1, 2, 0.98)] {
            sorter.push(one.record()).unwrap();
        }
        let (mut report, mut seen) = (DuplicateReport::default(), Vec::new());
        let path = dir.path().join("pairs.parquet");
        let dropped =
            settle(sorter.finish().unwrap(), Some(&path), &mut report, &mut |pair| seen.push(pair)).unwrap();
        assert_eq!((report.pairs, report.dropped), (3, 2));
        assert_eq!(dropped, HashSet::from([Uid(2), Uid(4)]));
        assert_eq!(seen, [pair(1, 2, 0.98), pair(2, 3, 0.97), pair(3, 4, 0.99)]);
        let others = cribble_pipeline::read_column(&path, "other").unwrap();
        assert_eq!(others.len(), 3);
    }
}
