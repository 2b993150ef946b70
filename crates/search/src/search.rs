//! One search, from what was asked to the answer.
use std::time::Instant;

use cribble_core::{Asked, Error, Result, SearchReport};
use cribble_math::top::Top;
use cribble_pipeline::{RunEmbedding, RunView, StepContext};

use crate::{
    condition::Rows,
    encode::{Encoded, Query, encode},
    exact::{Scan, first_rows},
    hits::{caption_of, describe},
    index::{self, Found, Index},
};

/// Hits above which an index is not asked: its recall was measured up to so many.
const MOST_OF_INDEX: usize = 100;

/// Which rows may be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Of {
    /// All.
    #[default]
    All,
    /// Those that the run keeps.
    Kept,
    /// Those that it dropped.
    Dropped,
}

/// What an index is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexUse {
    /// One that is there and fits answers queries without a condition, for at most 100 hits.
    #[default]
    Auto,
    /// None: every row is compared.
    None,
    /// It is built first.
    Build,
}

/// A search.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What is asked; without it, the first rows that fit the condition.
    pub query: Option<Query>,
    /// The embedding; `None`: the run's images.
    pub embedding: Option<String>,
    /// The encoder, where the run does not say, or where its model lies elsewhere now.
    pub model: Option<String>,
    /// SQL, as in a filter step, over the columns of the input and the steps, `kept`, `dropped_by` and `reason`.
    pub condition: Option<String>,
    /// Which rows may be found.
    pub of: Of,
    /// Hits, at most.
    pub limit: usize,
    /// Whether an index may answer.
    pub index: IndexUse,
}

/// Searches. Errors name what is wrong with the run, the query or the condition, and the cure.
pub fn search(view: &RunView, context: &StepContext<'_>, request: &Request) -> Result<SearchReport> {
    let rows = Rows::new(view, context, request.condition.as_deref(), request.of)?;
    let mut report = begin(view, request)?;
    if request.query.is_none() && request.index != IndexUse::Build {
        let began = Instant::now();
        let (hits, fitting) = first_rows(context, &|shard| rows.wanted(shard), request.limit)?;
        report.searched = fitting;
        report.seconds = began.elapsed().as_secs_f64();
        report.hits = describe(view, &hits, false)?;
        return Ok(report);
    }
    let embedding = view.choose_embedding(request.embedding.as_deref())?;
    report.embedding = Some(embedding.embedding.info.name.clone());
    report.notes.extend(without_vectors(view, &embedding));
    // What is wrong with the query is said before an index is built for minutes.
    let query = request.query.as_ref();
    let encoded =
        query.map(|query| encode(view, context, &embedding, query, request.model.as_deref())).transpose()?;
    if request.index == IndexUse::Build {
        report.index = Some(index::build(view, context, &embedding)?);
    }
    match encoded {
        Some(encoded) => Task { view, context, request, rows, embedding }.answer(encoded, &mut report)?,
        None => report.method = "index".into(),
    }
    Ok(report)
}

/// What [`search`] would do, in a sentence, after the same checks but for the query itself.
pub fn plan(view: &RunView, context: &StepContext<'_>, request: &Request) -> Result<String> {
    Rows::new(view, context, request.condition.as_deref(), request.of)?;
    let report = begin(view, request)?;
    if request.query.is_none() && request.index != IndexUse::Build {
        return Ok(format!("would list the first rows of {} that fit", report.run));
    }
    let embedding = view.choose_embedding(request.embedding.as_deref())?;
    let info = &embedding.embedding.info;
    let place = index::folder(view.run.path(), &info.name);
    let build = match request.index {
        IndexUse::Build => format!("would build the index {}; ", place.display()),
        _ => String::new(),
    };
    Ok(format!("{build}would search {} rows of '{}', {} numbers each", report.rows, info.name, info.dim))
}

/// The report before anything is found.
fn begin(view: &RunView, request: &Request) -> Result<SearchReport> {
    let run = view.run.path().display().to_string();
    let rows = view.dataset.rows();
    if rows == 0 {
        return Err(Error::input(format!("{run} has no rows: its input is empty"))
            .with_hint("`cribble check` on the input says what it holds"));
    }
    Ok(SearchReport {
        run,
        condition: request.condition.clone(),
        of: match request.of {
            Of::All => "all",
            Of::Kept => "kept",
            Of::Dropped => "dropped",
        }
        .into(),
        rows,
        method: "rows".into(),
        notes: view.unfinished().into_iter().collect(),
        ..SearchReport::default()
    })
}

/// A search whose query is a vector.
struct Task<'a> {
    view: &'a RunView,
    context: &'a StepContext<'a>,
    request: &'a Request,
    rows: Rows<'a>,
    embedding: RunEmbedding,
}

impl Task<'_> {
    /// Compares, and describes what was found.
    fn answer(&self, encoded: Encoded, report: &mut SearchReport) -> Result<()> {
        let Encoded { queries, asked, model, sample, notes } = encoded;
        let without = sample.map(|(row, _)| row);
        let index = self.usable_index(&mut report.notes)?;
        let began = Instant::now();
        let top = match &index {
            Some(index) => {
                report.method = "index".into();
                report.searched = index.meta().rows;
                Some(index.search(self.context, &queries, self.request.limit, without)?)
            }
            None => {
                report.method = "exact".into();
                let Self { view, context, embedding, rows, .. } = self;
                let wanted = &|shard| rows.wanted(shard);
                let scan = Scan { view, context, embedding, wanted, without };
                let found = scan.run(&queries, self.request.limit)?;
                report.searched = found.searched;
                found.tops.into_iter().next()
            }
        };
        report.seconds = began.elapsed().as_secs_f64();
        report.hits = describe(self.view, &top.map(Top::into_hits).unwrap_or_default(), true)?;
        report.query = asked;
        if let (Asked::Sample { caption, .. }, Some((row, _))) = (&mut report.query, sample) {
            *caption = caption_of(self.view, row)?;
        }
        report.model = model;
        report.notes.extend(notes);
        if let (Some(index), None) = (index, &report.index) {
            report.index = Some(index.report()?);
        }
        Ok(())
    }

    /// The index that answers, where there is one and it may. A stale one is said.
    fn usable_index(&self, notes: &mut Vec<String>) -> Result<Option<Box<Index>>> {
        let may = self.rows.are_all() && self.request.limit <= MOST_OF_INDEX;
        if self.request.index == IndexUse::None || !may {
            return Ok(None);
        }
        Ok(match Index::find(self.view, &self.embedding)? {
            Found::None => None,
            Found::Fit(index) => Some(index),
            Found::Stale(why) => {
                notes.push(format!("{why}: every row is compared; --index build makes it anew"));
                None
            }
        })
    }
}

/// A sentence on shards that have no vectors yet.
fn without_vectors(view: &RunView, embedding: &RunEmbedding) -> Option<String> {
    let shards = view.dataset.shards().len();
    let there = (0..shards as u32).filter(|&shard| view.has_vectors(embedding, shard)).count();
    let name = &embedding.embedding.info.name;
    (there < shards).then(|| {
        format!("'{name}' is still being made: {there} of {shards} shards have vectors, the others are not searched")
    })
}
