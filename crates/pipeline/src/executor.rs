//! Runs the tasks of a recipe's steps on this machine's threads. Not a scheduler: it walks phases in order and skips tasks whose marker is
//! there. `run_task` runs a single one, for other executors.
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use cribble_core::{Cancel, Error, ErrorKind, Progress, Recipe, Result, StepReport};
use cribble_io::source::Dataset;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    RunFolder, Step, StepContext, StepRef, TaskOutput, Unit,
    context::{UidCache, read_step_report},
    errors::concatenate,
    machine::peak_memory,
    manifest::StepState,
    run::remove,
    step::{Parallel, PhaseSpec, UnitKind, step_report},
};

/// Ceilings of a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Memory of the process, in bytes.
    pub memory: u64,
    /// Threads.
    pub threads: usize,
}

/// What a task left behind: proof that it is done, and what it reported.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    hash: String,
    seconds: f64,
    output: TaskOutput,
}

/// Runs steps.
pub struct Executor<'a> {
    /// The input.
    pub dataset: &'a Dataset,
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The steps of the recipe, with their options resolved; same length.
    pub steps: &'a [Box<dyn Step>],
    /// Ceilings.
    pub limits: Limits,
    /// Where progress goes.
    pub progress: &'a dyn Progress,
    /// Whether to stop.
    pub cancel: &'a Cancel,
    /// Uids that were read before.
    pub uids: UidCache,
}

impl Executor<'_> {
    /// The earlier steps of the step at `index`.
    pub fn before(&self, run: &RunFolder, index: usize) -> Result<Vec<StepRef>> {
        (0..index)
            .map(|earlier| {
                Ok(StepRef {
                    path: run.step_folder(earlier),
                    options: self.recipe.steps[earlier].options.clone(),
                    name: run.manifest.steps[earlier].folder.clone(),
                    provides: self.steps[earlier].provides()?,
                    hash: run.manifest.steps[earlier].hash.clone(),
                })
            })
            .collect()
    }

    pub(crate) fn with_context<T>(
        &self,
        run: &RunFolder,
        index: usize,
        f: impl FnOnce(&StepContext<'_>) -> Result<T>,
    ) -> Result<T> {
        let before = self.before(run, index)?;
        let folder = run.step_folder(index);
        f(&StepContext {
            dataset: self.dataset,
            before: &before,
            images: self.recipe.input.images.as_deref(),
            folder: &folder,
            run: run.path(),
            memory: self.limits.memory,
            threads: self.limits.threads,
            progress: self.progress,
            cancel: self.cancel,
            uids: &self.uids,
        })
    }

    /// Checks every step against the input before anything is read or written; returns each step's sentences.
    pub fn check(&self, run: &RunFolder) -> Result<Vec<Vec<String>>> {
        (0..self.steps.len())
            .map(|index| {
                self.with_context(run, index, |context| self.steps[index].check(context)).map_err(|error| {
                    error.context(format!("step {} ({})", index + 1, self.steps[index].kind()))
                })
            })
            .collect()
    }

    /// Runs what is not complete yet, up to and including `last` (an index), and returns the reports of the steps in order.
    pub fn run(&self, run: &mut RunFolder, last: usize) -> Result<Vec<StepReport>> {
        let mut reports = Vec::new();
        for index in 0..self.steps.len().min(last + 1) {
            let folder = run.step_folder(index);
            if run.manifest.steps[index].state == StepState::Complete && folder.join("report.json").exists() {
                clean(&folder)?;
                self.progress.note(&format!("{} is complete: skipped", run.manifest.steps[index].folder));
            } else {
                let report = self.with_context(run, index, |context| self.run_step(run, index, context))?;
                write_json(&folder.join("report.json"), &report)?;
                run.complete_step(index)?;
                clean(&folder)?;
            }
            let report = read_step_report(&folder)?;
            if !report.counts.adds_up() {
                return Err(Error::bug(format!(
                    "{}: seen is not kept + dropped + errors: {:?}",
                    report.step, report.counts
                )));
            }
            reports.push(report);
        }
        Ok(reports)
    }

    fn run_step(&self, run: &RunFolder, index: usize, context: &StepContext<'_>) -> Result<StepReport> {
        let step = &self.steps[index];
        let name = &run.manifest.steps[index].folder;
        let hash = &run.manifest.steps[index].hash;
        fs::create_dir_all(context.folder)
            .map_err(|error| Error::wrap(ErrorKind::Input, error).context(context.folder.display()))?;
        clean_temporaries(context.folder)?;
        let (mut outputs, mut seconds) = (Vec::new(), 0.0);
        for phase in step.phases() {
            let units = units(step.as_ref(), context, &phase)?;
            let at_once = self.at_once(step.as_ref(), context, &phase, units)?;
            let done = Mutex::new(Vec::new());
            self.progress.begin(&format!("{name} {}", phase.name), u64::from(units), "tasks");
            let task = |unit: Unit| -> Result<()> {
                self.cancel.check()?;
                let marker = match read_marker(context.folder, phase.name, unit, hash) {
                    Some(marker) => marker,
                    None => self.execute(step.as_ref(), context, phase.name, unit, hash)?,
                };
                done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((unit, marker));
                self.progress.advance(1);
                Ok(())
            };
            let result = match phase.parallel {
                Parallel::Outer => (0..units).into_par_iter().with_max_len(1).try_for_each(task),
                Parallel::Inner => (0..units).try_for_each(task),
                Parallel::Overlapped => overlapped(units, at_once, task),
            };
            self.progress.end();
            result?;
            let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            done.sort_by_key(|(unit, _)| *unit);
            seconds += done.iter().map(|(_, marker)| marker.seconds).sum::<f64>() / at_once as f64;
            outputs.push((
                phase.name.to_string(),
                done.into_iter().map(|(_, marker)| marker.output).collect::<Vec<_>>(),
            ));
        }
        let errors: Vec<PathBuf> = (0..context.shards())
            .map(|shard| context.scratch(format!("errors/{}.parquet", context.shard_name(shard))))
            .collect();
        if errors.iter().any(|path| path.exists()) {
            concatenate(&context.folder.join("errors.parquet"), &errors)?;
        }
        let mut report = step_report(name, step.kind(), &outputs);
        report.options = serde_json::to_value(&self.recipe.steps[index].options).ok();
        report.details = step.finish(context, &outputs)?;
        report.notes.extend(step.closing_notes(&outputs));
        report.seconds = seconds;
        report.peak_memory_bytes = peak_memory();
        Ok(report)
    }

    /// How many tasks of a phase run at once.
    fn at_once(
        &self,
        step: &dyn Step,
        context: &StepContext<'_>,
        phase: &PhaseSpec,
        units: u32,
    ) -> Result<usize> {
        let most = self.limits.threads.min(units.max(1) as usize);
        Ok(match phase.parallel {
            Parallel::Outer => most,
            Parallel::Inner => 1,
            Parallel::Overlapped => {
                // Threads that are started here work in the global pool; who has installed another one keeps to it.
                if rayon::current_thread_index().is_some() {
                    return Ok(1);
                }
                let fit = self.limits.memory / 4 / step.task_memory(context, phase.name)?.max(1);
                most.min(usize::try_from(fit).unwrap_or(usize::MAX)).max(1)
            }
        })
    }

    fn execute(
        &self,
        step: &dyn Step,
        context: &StepContext<'_>,
        phase: &str,
        unit: Unit,
        hash: &str,
    ) -> Result<Marker> {
        let start = Instant::now();
        let output = step.run(context, phase, unit)?;
        let marker = Marker { hash: hash.into(), seconds: start.elapsed().as_secs_f64(), output };
        let text = serde_json::to_vec(&marker).map_err(|error| Error::bug(error.to_string()))?;
        cribble_io::write_marker(&marker_path(context.folder, phase, unit), &text)?;
        Ok(marker)
    }

    /// The tasks that can be run now: those of the first phase that is not done, of the first step that is not complete. Each is (step
    /// index, phase, unit). Empty when all steps are complete, or when only the step's last accounts are missing (`run` writes them).
    pub fn ready(&self, run: &RunFolder) -> Result<Vec<(usize, &'static str, Unit)>> {
        let Some(index) = run.manifest.steps.iter().position(|step| step.state != StepState::Complete) else {
            return Ok(Vec::new());
        };
        let hash = &run.manifest.steps[index].hash;
        self.with_context(run, index, |context| {
            for phase in self.steps[index].phases() {
                let open: Vec<_> = (0..units(self.steps[index].as_ref(), context, &phase)?)
                    .filter(|&unit| read_marker(context.folder, phase.name, unit, hash).is_none())
                    .map(|unit| (index, phase.name, unit))
                    .collect();
                if !open.is_empty() {
                    return Ok(open);
                }
            }
            Ok(Vec::new())
        })
    }

    /// Runs one task, unless it is done.
    pub fn run_task(&self, run: &RunFolder, index: usize, phase: &str, unit: Unit) -> Result<()> {
        let hash = run.manifest.steps[index].hash.clone();
        self.with_context(run, index, |context| {
            let known = self.steps[index].phases();
            if !known.iter().any(|known| known.name == phase) {
                let names: Vec<&str> = known.iter().map(|known| known.name).collect();
                return Err(Error::usage(format!(
                    "no phase '{phase}' in {}",
                    run.manifest.steps[index].folder
                ))
                .with_hint(cribble_core::name_hint(phase, names)));
            }
            if read_marker(context.folder, phase, unit, &hash).is_none() {
                self.execute(self.steps[index].as_ref(), context, phase, unit, &hash)?;
            }
            Ok(())
        })
    }
}

/// Runs tasks on `at_once` threads beside those of the arithmetic. Stops at an error, and returns that of the lowest unit.
fn overlapped(units: u32, at_once: usize, task: impl Fn(Unit) -> Result<()> + Sync) -> Result<()> {
    if at_once < 2 {
        return (0..units).try_for_each(task);
    }
    let (next, failed) = (AtomicU32::new(0), Mutex::new(None::<(Unit, Error)>));
    let lock = || failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let work = || {
        loop {
            let unit = next.fetch_add(1, Ordering::Relaxed);
            if unit >= units || lock().is_some() {
                return;
            }
            if let Err(error) = task(unit) {
                let mut failed = lock();
                if failed.as_ref().is_none_or(|(other, _)| unit < *other) {
                    *failed = Some((unit, error));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for number in 1..at_once {
            // Without the thread there is less overlap, and nothing else.
            let _ = std::thread::Builder::new().name(format!("task-{number}")).spawn_scoped(scope, work);
        }
        work();
    });
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

fn units(step: &dyn Step, context: &StepContext<'_>, phase: &PhaseSpec) -> Result<u32> {
    match phase.unit {
        UnitKind::Shard => Ok(context.shards()),
        UnitKind::Whole => Ok(1),
        UnitKind::Bucket => step.buckets(context, phase.name),
    }
}

fn marker_path(folder: &Path, phase: &str, unit: Unit) -> PathBuf {
    folder.join(".tasks").join(format!("{phase}-{unit:06}.json"))
}

/// A marker of another hash, or one that cannot be read, stands for nothing: its task runs again.
fn read_marker(folder: &Path, phase: &str, unit: Unit, hash: &str) -> Option<Marker> {
    let text = fs::read(marker_path(folder, phase, unit)).ok()?;
    serde_json::from_slice::<Marker>(&text).ok().filter(|marker| marker.hash == hash)
}

/// Removes what only unfinished steps need.
fn clean(folder: &Path) -> Result<()> {
    remove(&folder.join(".scratch"))?;
    remove(&folder.join(".tasks"))
}

/// Temporaries of killed processes, in the step's folder and everything below it.
pub(crate) fn clean_temporaries(folder: &Path) -> Result<()> {
    cribble_io::clean_leftovers(folder)?;
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        clean_temporaries(&entry.path())?;
    }
    Ok(())
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| Error::bug(error.to_string()))?;
    text.push('\n');
    Ok(cribble_io::write_file(path, text.as_bytes())?)
}
