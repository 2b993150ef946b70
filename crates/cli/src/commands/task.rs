//! `task`: the plumbing for other executors (Ray, a Slurm array). `cribble task RUN` lists what can be run now, one line each; each line's
//! command runs one task in a process of its own. `cribble run` on the same folder does what is left, and closes a step whose tasks are all
//! done.
use cribble_core::{Error, Result, name_hint};
use cribble_pipeline::{RunFolder, UnitKind};
use serde_json::json;

use crate::{
    args::TaskArgs,
    commands::run::read_recipe,
    interrupt::{self, quote},
    session::Opened,
    settings::Settings,
};

/// Lists ready tasks, or runs one.
pub fn run(settings: &Settings, args: &TaskArgs) -> Result<u8> {
    let recipe = match &args.recipe {
        Some(path) => read_recipe(path)?,
        None => RunFolder::open(&args.run)?.recipe()?,
    };
    let opened = Opened::new(settings, recipe)?;
    let executor = opened.executor(settings);
    let run = match &args.recipe {
        Some(_) if !settings.dry_run => {
            let (planned, _) = opened.preview(&args.run)?;
            executor.check(&planned)?;
            drop(planned);
            opened.prepare(&args.run)?.0
        }
        _ => opened.preview(&args.run)?.0,
    };
    if let (Some(step), Some(phase), Some(unit)) = (&args.step, &args.phase, args.unit) {
        let index = opened.step_index(step)?;
        if !is_done(&opened, &executor.ready(&run)?, index, phase, unit)? && !settings.dry_run {
            interrupt::install(&settings.terminal)?;
            executor.run_task(&run, index, phase, unit).map_err(interrupt::resumable)?;
        }
        if settings.json {
            let value = json!({ "step": run.manifest.steps[index].folder, "phase": phase, "unit": unit, "exit_code": 0 });
            settings.terminal.out_json("task", value);
        }
        return Ok(super::DONE);
    }
    let ready = executor.ready(&run)?;
    let folder = |index: usize| run.manifest.steps[index].folder.as_str();
    if settings.json {
        let tasks: Vec<_> = ready
            .iter()
            .map(|(index, phase, unit)| json!({ "step": folder(*index), "phase": phase, "unit": unit }))
            .collect();
        settings.terminal.out_json("task", json!({ "run": args.run, "ready": tasks, "exit_code": 0 }));
        return Ok(super::DONE);
    }
    let path = quote(&args.run.display().to_string());
    for (index, phase, unit) in &ready {
        settings
            .terminal
            .out(&format!("cribble task {path} --step {} --phase {phase} --unit {unit}", folder(*index)));
    }
    if ready.is_empty() {
        settings
            .terminal
            .say(&format!("no task is left; `cribble run {path}/recipe.toml --out {path}` writes the rest"));
    }
    Ok(super::DONE)
}

/// Whether a task is done already, judged by what is ready: a phase begins when all before it are done. Tasks that no run has, and tasks whose
/// time has not come, are errors.
fn is_done(
    opened: &Opened,
    ready: &[(usize, &'static str, u32)],
    index: usize,
    phase: &str,
    unit: u32,
) -> Result<bool> {
    let phases = opened.steps[index].phases();
    let place_of = |name: &str| phases.iter().position(|phase| phase.name == name);
    let place = place_of(phase).ok_or_else(|| {
        let names: Vec<&str> = phases.iter().map(|phase| phase.name).collect();
        Error::usage(format!("no phase '{phase}' in step {}", index + 1)).with_hint(name_hint(phase, names))
    })?;
    let units = match phases[place].unit {
        UnitKind::Shard => Some(opened.dataset.shards().len() as u64),
        UnitKind::Whole => Some(1),
        UnitKind::Bucket => None,
    };
    if units.is_some_and(|units| u64::from(unit) >= units) {
        return Err(Error::usage(format!(
            "phase '{phase}' has no unit {unit}: there are {}",
            units.unwrap_or(0)
        )));
    }
    let Some((now, current, _)) = ready.first() else { return Ok(true) };
    match index.cmp(now).then_with(|| place.cmp(&place_of(current).unwrap_or(0))) {
        std::cmp::Ordering::Less => Ok(true),
        std::cmp::Ordering::Equal => Ok(!ready.contains(&(*now, *current, unit))),
        std::cmp::Ordering::Greater => {
            Err(Error::usage(format!("phase '{phase}' of step {} is not ready", index + 1))
                .with_hint("`cribble task RUN` lists the tasks that are"))
        }
    }
}
