//! How much of what was planted in a pool a run found. The whole truth is held in memory, so a pool too large for the ceiling is not scored,
//! and that is said.
use std::path::Path;

use cribble_core::{Error, ErrorKind, Result, RunReport, Uid};
use cribble_demo::{DemoError, PlantedScore, PoolSummary, Truth};
use cribble_pipeline::{Executor, RunFolder, read_selection};

use crate::text;

/// Bytes a row of everything that scoring holds: the truth, its groups, the fates.
const BYTES_PER_ROW: u64 = 320;

/// The score as JSON, for the report; `None` where the pool is too large.
pub fn score(
    executor: &Executor<'_>,
    run: &RunFolder,
    report: &RunReport,
    pool: &Path,
) -> Result<Option<serde_json::Value>> {
    if report.input.rows.saturating_mul(BYTES_PER_ROW) > executor.limits.memory / 2 {
        executor.progress.note(&format!(
            "what was planted is not scored: the truth of {} does not fit into half of the memory",
            text::counted(report.input.rows, "row", "rows")
        ));
        return Ok(None);
    }
    let summary = PoolSummary::open(pool).map_err(demo_error)?;
    let mut truth = Truth::open(pool).map_err(demo_error)?;
    if summary.is_some_and(|pool| !pool.options.metadata) {
        truth = truth.in_tars();
    }
    let steps: Vec<&str> = report.steps.iter().map(|step| step.step.as_str()).collect();
    let mut fates: Vec<(Uid, u8)> = Vec::new();
    for shard in executor.dataset.shards() {
        for row in read_selection(run.path(), &shard.name)? {
            if let Some(place) =
                row.dropped_by.as_deref().and_then(|step| steps.iter().position(|name| *name == step))
            {
                fates.push((row.uid, u8::try_from(place).unwrap_or(u8::MAX)));
            }
        }
    }
    fates.sort_unstable();
    let score = truth.score_in_order(&steps, &|uid| {
        let place = fates.binary_search_by_key(&uid, |fate| fate.0).ok()?;
        steps.get(usize::from(fates[place].1)).copied()
    });
    serde_json::to_value(score).map(Some).map_err(|error| Error::bug(error.to_string()))
}

/// The score as a table for the terminal.
pub fn table(value: &serde_json::Value) -> Result<String> {
    let score: PlantedScore =
        serde_json::from_value(value.clone()).map_err(|error| Error::bug(error.to_string()))?;
    let mut rows = vec![
        ["planted", "there", "reached", "found", "share", "mostly dropped by"].map(String::from).to_vec(),
    ];
    for line in score.rows() {
        let share = if line.reached > 0 {
            format!("{:.0}%", line.found as f64 / line.reached as f64 * 100.0)
        } else {
            "–".into()
        };
        let mostly =
            line.mostly.map_or_else(String::new, |(step, count)| format!("{step} ({})", text::count(count)));
        rows.push(vec![
            line.what,
            text::count(line.planted),
            text::count(line.reached),
            text::count(line.found),
            share,
            mostly,
        ]);
    }
    let mut table = text::table(&rows, &[false, true, true, true, true, false]);
    let (groups, lone) = (&score.groups, &score.false_positives);
    table += &format!(
        "of {} groups of twins that reached dedup, {} kept one, {} several, {} none; {} of {} without a twin were dropped by dedup too\n",
        text::count(groups.reached),
        text::count(groups.one_kept),
        text::count(groups.several_kept),
        text::count(groups.all_lost),
        text::count(lone.dropped),
        text::counted(lone.reached, "sample", "samples"),
    );
    if let Some(judge) = score.judge.filter(|judge| judge.dropped > 0) {
        let share = |of: u64| if of > 0 { judge.junk as f64 / of as f64 * 100.0 } else { 0.0 };
        table += &format!(
            "the judge dropped {} in clusters, {} of them planted junk (precision {:.0}%), of {} that reached it (recall {:.0}%)\n",
            text::counted(judge.dropped, "sample", "samples"),
            text::count(judge.junk),
            share(judge.dropped),
            text::count(judge.reached),
            share(judge.reached),
        );
    }
    Ok(table)
}

/// The error of the pool generator as the one that reaches a person.
pub fn demo_error(error: DemoError) -> Error {
    let hint = error.hint();
    let kind = match &error {
        DemoError::Option { .. } => ErrorKind::Usage,
        DemoError::Jpeg { .. } => ErrorKind::Bug,
        _ => ErrorKind::Input,
    };
    let wrapped = Error::wrap(kind, error);
    match hint {
        Some(hint) => wrapped.with_hint(hint),
        None => wrapped,
    }
}
