//! The selection: the AND of all keep flags, with the step that dropped each sample and why. Written once all steps are complete, one
//! table a shard, and from it `subset.npy` and `errors.parquet`.
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::array::Array;
use cribble_core::{Error, Result, SelectionReport, Uid};
use cribble_io::RowChoice;
use rayon::prelude::*;

use crate::{
    Decided, Decisions, Executor, Fates, RunFolder, errors::concatenate, fates::shared, subset::SubsetSorter,
    table::TableReader,
};

/// What became of one sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The sample.
    pub uid: Uid,
    /// Whether every step kept it.
    pub keep: bool,
    /// Folder of the step that dropped it.
    pub dropped_by: Option<Arc<str>>,
    /// Why.
    pub reason: Option<Arc<str>>,
    /// How often it stands in the subset.
    pub copies: u32,
}

/// What `dropped_by` names where a person decided.
pub const DECISION: &str = "decision";

/// Where the selection of a shard lies.
pub(crate) fn selection_path(run: &Path, shard: &str) -> PathBuf {
    run.join("selection").join(format!("{shard}.parquet"))
}

/// Reads the selection of one shard, in row order.
pub fn read_selection(run: &Path, shard: &str) -> Result<Vec<Selection>> {
    read_rows(run, shard, &RowChoice::All)
}

/// Reads single rows of a shard's selection, ascending and each once.
pub fn read_selection_at(run: &Path, shard: &str, rows: &[u64]) -> Result<Vec<Selection>> {
    let found = read_rows(run, shard, &RowChoice::At(rows.to_vec()))?;
    if found.len() != rows.len() {
        return Err(Error::input(format!(
            "{}: it has fewer rows than its shard",
            selection_path(run, shard).display()
        ))
        .with_hint("run the recipe again with the same --out"));
    }
    Ok(found)
}

/// The fates of a shard's samples, in row order.
pub fn read_fates(run: &Path, shard: &str) -> Result<Fates> {
    Fates::read(&selection_path(run, shard), &RowChoice::All)
}

fn read_rows(run: &Path, shard: &str, choice: &RowChoice) -> Result<Vec<Selection>> {
    let fates = Fates::read(&selection_path(run, shard), choice)?;
    let row = |row: usize| {
        let (dropped_by, reason) = fates.known()[fates.code(row)].clone();
        Selection {
            uid: fates.uids[row],
            keep: fates.keep[row],
            dropped_by,
            reason,
            copies: fates.copies[row],
        }
    };
    Ok((0..fates.uids.len()).map(row).collect())
}

/// Reads what every step said of the rows of a shard. Each step after the one that dropped a row has not judged it.
fn decide(run: &RunFolder, shard: &str, uids: Vec<Uid>, decisions: &Decisions) -> Result<Fates> {
    let mut fates = Fates::kept(uids.len());
    for (index, step) in run.manifest.steps.iter().enumerate() {
        let folder: Arc<str> = step.folder.as_str().into();
        let path = run.step_folder(index).join(format!("{shard}.parquet"));
        TableReader::verdicts(&path, &uids, |rows, keep, reasons| {
            let texts = shared(reasons)
                .ok_or_else(|| Error::bug(format!("{}: reason is no text", path.display())))?;
            let number = |text: Option<Arc<str>>| (Some(folder.clone()), text);
            let without = fates.number(number(None));
            let codes: Vec<u32> = texts.into_iter().map(|text| fates.number(number(Some(text)))).collect();
            for (place, row) in rows.enumerate() {
                if fates.keep[row] && !(keep.is_valid(place) && keep.value(place)) {
                    fates.set(row, false, reasons.key(place).map_or(without, |key| codes[key]));
                }
            }
            Ok(())
        })?;
    }
    if decisions.samples() > 0 {
        for (row, &uid) in uids.iter().enumerate() {
            let Some(decision) = decisions.sample(uid) else { continue };
            let keep = decision.verdict == Decided::Keep;
            let code = fates.number(((!keep).then(|| DECISION.into()), Some(decision.reason().into())));
            fates.set(row, keep, code);
        }
    }
    fates.uids = uids;
    Ok(fates)
}

/// Writes `selection/`, `errors.parquet` and, when `subset` is set, `subset.npy` and the further subsets of the last step. Returns the report
/// and the label and size of each further subset.
pub fn write_selection(
    executor: &Executor<'_>,
    run: &RunFolder,
    subset: bool,
) -> Result<(SelectionReport, Vec<(String, u64)>)> {
    let dataset = executor.dataset;
    let shards = dataset.shards();
    let decisions = Decisions::read(run.path())?;
    let chosen = if subset { Some(Mutex::new(sorter(executor, run)?)) } else { None };
    executor.progress.begin("selection", shards.len() as u64, "shards");
    let reports = shards
        .par_iter()
        .enumerate()
        .map(|(index, shard)| {
            executor.cancel.check()?;
            let uids = executor.uids.read(dataset, executor.limits.memory, index as u32)?;
            let fates = decide(run, &shard.name, uids, &decisions)?;
            fates.write(&selection_path(run.path(), &shard.name))?;
            if let Some(chosen) = &chosen {
                // In any order: they are sorted.
                let mut chosen = chosen.lock().unwrap_or_else(PoisonError::into_inner);
                for (&uid, &copies) in fates.uids.iter().zip(&fates.copies) {
                    (0..copies).try_for_each(|_| chosen.push(uid))?;
                }
            }
            let report = count(&fates, &decisions);
            executor.progress.advance(1);
            Ok(report)
        })
        .collect::<Result<Vec<_>>>();
    executor.progress.end();
    let mut sum = SelectionReport::default();
    for report in reports? {
        sum.seen += report.seen;
        sum.kept += report.kept;
        sum.decided += report.decided;
        for (step, count) in report.dropped_by {
            *sum.dropped_by.entry(step).or_default() += count;
        }
    }
    let errors: Vec<PathBuf> =
        (0..run.manifest.steps.len()).map(|i| run.step_folder(i).join("errors.parquet")).collect();
    concatenate(&run.path().join("errors.parquet"), &errors)?;
    let mut further = Vec::new();
    if let Some(chosen) = chosen {
        chosen.into_inner().unwrap_or_else(PoisonError::into_inner).write(&run.path().join("subset.npy"))?;
        further = write_further_subsets(executor, run)?;
    }
    Ok((sum, further))
}

fn count(fates: &Fates, decisions: &Decisions) -> SelectionReport {
    let rows = fates.uids.len();
    let mut rows_of = vec![0; fates.known().len()];
    (0..rows).for_each(|row| rows_of[fates.code(row)] += 1);
    let decided = |uid: &&Uid| decisions.samples() > 0 && decisions.sample(**uid).is_some();
    let mut report = SelectionReport {
        seen: rows as u64,
        decided: fates.uids.iter().filter(decided).count() as u64,
        ..SelectionReport::default()
    };
    for ((step, _), &rows) in fates.known().iter().zip(&rows_of).filter(|(_, rows)| **rows > 0) {
        match step {
            Some(step) => *report.dropped_by.entry(step.to_string()).or_default() += rows,
            None => report.kept += rows,
        }
    }
    report
}

fn sorter(executor: &Executor<'_>, run: &RunFolder) -> Result<SubsetSorter> {
    SubsetSorter::new(run.path().to_path_buf(), executor.limits.memory / 4)
}

fn write_further_subsets(executor: &Executor<'_>, run: &RunFolder) -> Result<Vec<(String, u64)>> {
    let Some(last) = executor.steps.len().checked_sub(1) else { return Ok(Vec::new()) };
    let labels = executor.steps[last].further_subsets();
    executor.with_context(run, last, |context| {
        let mut written = Vec::new();
        for (index, label) in labels.into_iter().enumerate() {
            let mut sorter = sorter(executor, run)?;
            for shard in 0..context.shards() {
                executor.cancel.check()?;
                let uids = context.uids(shard)?;
                let mask = executor.steps[last].further_subset(context, index, shard, &uids)?;
                for (&uid, _) in uids.iter().zip(mask).filter(|(_, inside)| *inside) {
                    sorter.push(uid)?;
                }
            }
            let count = sorter.write(&run.path().join(format!("subset-{label}.npy")))?;
            written.push((label, count));
        }
        Ok(written)
    })
}
