//! A run opened to be looked at: its input, its complete steps as one table, its embeddings, what became of its rows. Nothing is locked and nothing
//! is written, so a run that goes on at the same time is seen as far as it got, and says so.
use std::{collections::HashSet, ffi::OsStr, path::Path};

use arrow::array::{Array, AsArray, BooleanArray};
use cribble_core::{Cancel, Error, Progress, Recipe, Result};
use cribble_io::{
    IoError, RowChoice, TableReader,
    source::{Dataset, OpenOptions},
};

use crate::{
    Limits, Provides, RunFolder, Selection, StepContext, StepRef, StepState, UidCache, read_column,
    read_selection_at, selection::selection_path,
};

/// A run folder beside its input.
pub struct RunView {
    /// The folder.
    pub run: RunFolder,
    /// The recipe that it was made with.
    pub recipe: Recipe,
    /// Its input.
    pub dataset: Dataset,
    /// The steps that are complete, in order.
    pub(crate) complete: Vec<StepRef>,
    uids: UidCache,
}

impl RunView {
    /// Opens a run and its input, and proves that the input is still the one that was read.
    pub fn open(path: &Path) -> Result<Self> {
        let run = RunFolder::open(path)?;
        let recipe = run.recipe()?;
        if recipe.steps.len() != run.manifest.steps.len() {
            return Err(Error::input(format!(
                "{}: recipe.toml has {} steps and manifest.json {}",
                path.display(),
                recipe.steps.len(),
                run.manifest.steps.len()
            ))
            .with_hint("run the recipe again with the same --out"));
        }
        let dataset = Dataset::open(&OpenOptions::from(&recipe.input)).map_err(|error| {
            let is_gone = matches!(error, IoError::NotFound { .. });
            let error = Error::from(error).context(format!("the input of {}", path.display()));
            let cure =
                "paths in a recipe are seen from the folder where it was run: run this command there too";
            if is_gone { error.with_hint(cure) } else { error }
        })?;
        let fingerprint: String = dataset.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
        if fingerprint != run.manifest.input.fingerprint {
            return Err(Error::input(format!(
                "{} changed since {} was made from it",
                recipe.input.path,
                path.display()
            ))
            .with_hint("run the recipe again with the same --out: what still holds is kept"));
        }
        let mut view = Self { run, recipe, dataset, complete: Vec::new(), uids: UidCache::default() };
        let steps = view.run.manifest.steps.iter().take_while(|step| step.state == StepState::Complete);
        for index in 0..steps.count() {
            view.complete.push(view.step_ref(index)?);
        }
        let folders = view.complete.iter().map(|step| &step.path);
        folders
            .into_iter()
            .try_for_each(|folder| has_all_tables(folder, &view.dataset, &made_anew(folder)))?;
        Ok(view)
    }

    fn step_ref(&self, index: usize) -> Result<StepRef> {
        let step = &self.run.manifest.steps[index];
        let embeddings =
            step.embeddings.iter().map(|name| Ok(self.run.made(name)?.0)).collect::<Result<_>>()?;
        Ok(StepRef {
            path: self.run.step_folder(index),
            options: self.recipe.steps[index].options.clone(),
            name: step.folder.clone(),
            // Its tables say which columns it has.
            provides: Provides { columns: Vec::new(), embeddings },
            hash: step.hash.clone(),
        })
    }

    /// What is missing from a finished run, in a sentence; `None` where nothing is.
    pub fn unfinished(&self) -> Option<String> {
        if self.run.manifest.finished {
            return None;
        }
        let steps = &self.run.manifest.steps;
        Some(match steps.get(self.complete.len()) {
            Some(step) => format!(
                "the run is not finished: {} of {} steps are complete, {} is not",
                self.complete.len(),
                steps.len(),
                step.folder
            ),
            None => "the run is not finished: its selection is not written yet".into(),
        })
    }

    /// What a step after all complete ones would see.
    pub fn context<'a>(
        &'a self,
        limits: Limits,
        progress: &'a dyn Progress,
        cancel: &'a Cancel,
    ) -> StepContext<'a> {
        StepContext {
            dataset: &self.dataset,
            before: &self.complete,
            images: self.recipe.input.images.as_deref(),
            folder: self.run.path(),
            run: self.run.path(),
            memory: limits.memory,
            threads: limits.threads,
            progress,
            cancel,
            uids: &self.uids,
        }
    }

    /// Which rows of a shard are kept: by the selection of a finished run, else by its complete steps so far.
    pub fn kept(&self, shard: u32) -> Result<Vec<bool>> {
        let info = &self.dataset.shards()[shard as usize];
        let path = match self.complete.last() {
            _ if self.run.manifest.finished => selection_path(self.run.path(), &info.name),
            Some(step) => step.path.join(format!("{}.parquet", info.name)),
            None => return Ok(vec![true; info.rows as usize]),
        };
        self.is_there(&path)?;
        let keep = read_column(&path, "keep")?;
        let keep: &BooleanArray = keep
            .as_boolean_opt()
            .ok_or_else(|| Error::input(format!("{}: keep is no flag", path.display())))?;
        if keep.len() as u64 != info.rows {
            return Err(Error::input(format!(
                "{}: {} rows, but its shard has {}",
                path.display(),
                keep.len(),
                info.rows
            ))
            .with_hint("run the recipe again with the same --out"));
        }
        Ok(keep.iter().map(|keep| keep == Some(true)).collect())
    }

    /// What became of some rows of a shard, ascending and each once.
    pub fn outcomes(&self, shard: u32, rows: &[u64]) -> Result<Vec<Selection>> {
        let name = &self.dataset.shards()[shard as usize].name;
        if self.run.manifest.finished {
            self.is_there(&selection_path(self.run.path(), name))?;
            return read_selection_at(self.run.path(), name, rows);
        }
        let uids = self.dataset.uids(shard)?;
        let kept = |&row: &u64| Selection {
            uid: uids[row as usize],
            keep: true,
            dropped_by: None,
            reason: None,
            copies: 1,
        };
        let mut outcomes: Vec<Selection> = rows.iter().map(kept).collect();
        for step in &self.complete {
            let path = step.path.join(format!("{name}.parquet"));
            let batches = TableReader::open(&path)?.read(
                &["uid", "keep", "reason"],
                &RowChoice::At(rows.to_vec()),
                rows.len(),
            )?;
            let mut left = outcomes.iter_mut();
            for batch in batches {
                let batch = batch?;
                let wrong = || Error::input(format!("{}: not a step's table", path.display()));
                let ids = batch.column(0).as_fixed_size_binary_opt().ok_or_else(wrong)?;
                let keep = batch.column(1).as_boolean_opt().ok_or_else(wrong)?;
                let reasons = batch.column(2).as_string_opt::<i32>().ok_or_else(wrong)?;
                for (row, outcome) in (0..batch.num_rows()).zip(&mut left) {
                    if ids.value(row) != outcome.uid.to_bytes() {
                        return Err(wrong().with_hint("run the recipe again with the same --out"));
                    }
                    if outcome.keep && !(keep.is_valid(row) && keep.value(row)) {
                        outcome.keep = false;
                        outcome.copies = 0;
                        outcome.dropped_by = Some(step.name.as_str().into());
                        outcome.reason = reasons.is_valid(row).then(|| reasons.value(row).into());
                    }
                }
            }
        }
        Ok(outcomes)
    }

    /// Whether a table of what is kept is there: those of steps have been looked for, so it is the selection.
    fn is_there(&self, path: &Path) -> Result<()> {
        if path.exists() { Ok(()) } else { Err(not_whole(path, SELECTED_ANEW)) }
    }

    /// The shard of a name.
    pub fn shard(&self, name: &str) -> Option<u32> {
        self.dataset.shards().iter().find(|shard| shard.name == name).map(|shard| shard.index)
    }
}

/// Proves that a run still has all tables that it must have: those of its complete steps and, where it is finished, of the selection.
///
/// # Errors
/// The first that is gone, with the cure.
pub fn check_tables(run: &RunFolder, dataset: &Dataset) -> Result<()> {
    let complete = |index: &usize| run.manifest.steps[*index].state == StepState::Complete;
    for index in (0..run.manifest.steps.len()).filter(complete) {
        let folder = run.step_folder(index);
        has_all_tables(&folder, dataset, &made_anew(&folder))?;
    }
    if !run.manifest.finished {
        return Ok(());
    }
    has_all_tables(&run.path().join("selection"), dataset, SELECTED_ANEW)
}

/// There is a table for each shard, unless somebody deleted some.
fn has_all_tables(folder: &Path, dataset: &Dataset, cure: &str) -> Result<()> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let there: HashSet<_> = entries.map(|entry| entry.file_name()).collect();
    let mut names = dataset.shards().iter().map(|shard| format!("{}.parquet", shard.name));
    match names.find(|name| !there.contains(OsStr::new(name))) {
        None => Ok(()),
        Some(name) => Err(not_whole(&folder.join(name), cure)),
    }
}

pub(crate) const SELECTED_ANEW: &str =
    "run the recipe again with the same --out: the selection is written anew";

/// The cure where vectors are gone.
pub(crate) const EMBEDDED_ANEW: &str = "delete the folder of the step that made them in steps/ and run the recipe again with the same --out: they are made anew";

fn made_anew(step: &Path) -> String {
    format!("delete {} and run the recipe again with the same --out: the step is done anew", step.display())
}

/// A file that a run folder must have and has not.
pub(crate) fn not_whole(path: &Path, cure: &str) -> Error {
    Error::input(format!("{} is gone: the run folder is not whole", path.display())).with_hint(cure)
}
