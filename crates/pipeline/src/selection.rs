//! The selection: the AND of all keep flags, with the step that dropped each sample and why. Written once all steps are complete, one
//! table a shard, and from it `subset.npy` and `errors.parquet`.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch, StringArray, UInt32Array},
    datatypes::{DataType, Field, Schema, UInt32Type},
};
use cribble_core::{Error, Result, SelectionReport, Uid};
use cribble_io::{RowChoice, TableWriter, uid_texts};
use rayon::prelude::*;

use crate::{
    Decided, Decisions, Executor, RunFolder, errors::concatenate, subset::SubsetSorter, table::TableReader,
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

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("uid", DataType::Utf8, false),
        Field::new("keep", DataType::Boolean, false),
        Field::new("dropped_by", DataType::Utf8, true),
        Field::new("reason", DataType::Utf8, true),
        Field::new("copies", DataType::UInt32, false),
    ]))
}

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

fn read_rows(run: &Path, shard: &str, choice: &RowChoice) -> Result<Vec<Selection>> {
    let path = selection_path(run, shard);
    let mut rows = Vec::new();
    let (mut steps, mut reasons) = (Names::default(), Names::default());
    let names: Vec<String> = schema().fields().iter().map(|field| field.name().clone()).collect();
    for batch in cribble_io::TableReader::open(&path)?.read(&names, choice, 65_536)? {
        let batch = batch?;
        let wrong = || Error::input(format!("{}: not a selection table", path.display()));
        let text = |index: usize| batch.column(index).as_string_opt::<i32>().ok_or_else(wrong);
        let (uid, by, reason) = (text(0)?, text(2)?, text(3)?);
        let keep = batch.column(1).as_boolean_opt().ok_or_else(wrong)?;
        let copies = batch.column(4).as_primitive_opt::<UInt32Type>().ok_or_else(wrong)?;
        for row in 0..batch.num_rows() {
            rows.push(Selection {
                uid: Uid::parse(uid.value(row).as_bytes())
                    .map_err(|e| Error::input(format!("{}: {e}", path.display())))?,
                keep: keep.value(row),
                dropped_by: steps.at(by, row),
                reason: reasons.at(reason, row),
                copies: copies.value(row),
            });
        }
    }
    Ok(rows)
}

/// Texts of which most are the same as one shortly before: each is kept once.
#[derive(Default)]
struct Names {
    known: Vec<Arc<str>>,
}

impl Names {
    /// More than there are steps, or reasons of one step.
    const MOST: usize = 64;

    fn at(&mut self, column: &StringArray, row: usize) -> Option<Arc<str>> {
        column.is_valid(row).then(|| self.of(column.value(row)))
    }

    fn of(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.iter().rev().find(|known| &***known == text) {
            return known.clone();
        }
        if self.known.len() == Self::MOST {
            self.known.clear();
        }
        let new: Arc<str> = text.into();
        self.known.push(new.clone());
        new
    }
}

/// Reads what every step said of the rows of a shard. Each step after the one that dropped a row has not judged it.
fn decide(run: &RunFolder, shard: &str, uids: &[Uid], decisions: &Decisions) -> Result<Vec<Selection>> {
    let mut rows: Vec<Selection> = uids
        .iter()
        .map(|&uid| Selection { uid, keep: true, dropped_by: None, reason: None, copies: 1 })
        .collect();
    let mut reasons = Names::default();
    for (index, step) in run.manifest.steps.iter().enumerate() {
        let folder: Arc<str> = step.folder.as_str().into();
        let path = run.step_folder(index).join(format!("{shard}.parquet"));
        let keep = TableReader::keep(&path, uids)?;
        let reason = TableReader::column(&path, uids, "reason")?;
        let reason = reason
            .as_string_opt::<i32>()
            .ok_or_else(|| Error::bug(format!("{}: reason is no text", path.display())))?;
        for (row, selection) in rows.iter_mut().enumerate() {
            if selection.keep && keep[row] != Some(true) {
                selection.keep = false;
                selection.copies = 0;
                selection.dropped_by = Some(folder.clone());
                selection.reason = reasons.at(reason, row);
            }
        }
    }
    if decisions.samples() > 0 {
        for selection in &mut rows {
            let Some(decision) = decisions.sample(selection.uid) else { continue };
            selection.keep = decision.verdict == Decided::Keep;
            selection.copies = u32::from(selection.keep);
            selection.dropped_by = (!selection.keep).then(|| DECISION.into());
            selection.reason = Some(decision.reason().into());
        }
    }
    Ok(rows)
}

fn write_shard(path: &Path, rows: &[Selection]) -> Result<()> {
    let batch = RecordBatch::try_new(
        schema(),
        vec![
            uid_texts(rows.iter().map(|row| row.uid)),
            Arc::new(rows.iter().map(|row| Some(row.keep)).collect::<BooleanArray>()),
            Arc::new(rows.iter().map(|row| row.dropped_by.as_deref()).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.reason.as_deref()).collect::<StringArray>()),
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.copies))),
        ],
    )
    .map_err(|error| Error::bug(error.to_string()))?;
    let mut file = TableWriter::create(path, schema())?;
    file.write(&batch)?;
    file.finish()?;
    Ok(())
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
            let uids = dataset.uids(index as u32)?;
            let rows = decide(run, &shard.name, &uids, &decisions)?;
            write_shard(&selection_path(run.path(), &shard.name), &rows)?;
            if let Some(chosen) = &chosen {
                // In any order: they are sorted.
                let mut chosen = chosen.lock().unwrap_or_else(PoisonError::into_inner);
                for row in &rows {
                    (0..row.copies).try_for_each(|_| chosen.push(row.uid))?;
                }
            }
            let mut report = SelectionReport { seen: rows.len() as u64, ..SelectionReport::default() };
            let mut dropped_by: BTreeMap<&str, u64> = BTreeMap::new();
            for row in &rows {
                report.decided += u64::from(decisions.sample(row.uid).is_some());
                match &row.dropped_by {
                    Some(step) => *dropped_by.entry(step).or_default() += 1,
                    None => report.kept += 1,
                }
            }
            report.dropped_by =
                dropped_by.into_iter().map(|(step, count)| (step.to_owned(), count)).collect();
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
