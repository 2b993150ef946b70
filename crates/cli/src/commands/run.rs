//! `run`: a recipe from a file. What it prints at the end is shared with the verbs and the demo.
use std::path::Path;

use cribble_core::{Error, ErrorKind, Recipe, Result};
use cribble_outputs::{report::funnel_text, reshard::open_clip_flags};
use serde_json::json;

use crate::{
    args::RunArgs,
    interrupt::quote,
    session::{self, Done, Finished, Job},
    settings::Settings,
    text,
};

/// Runs a recipe.
pub fn run(settings: &Settings, args: &RunArgs) -> Result<u8> {
    let job = Job {
        recipe: read_recipe(&args.recipe)?,
        out: args.out.clone(),
        only: args.only.clone(),
        max_error_rate: args.running.max_error_rate,
        pool: None,
    };
    let done = session::run(settings, &job)?;
    show(settings, "run", &job, &done)
}

/// Reads a recipe file.
pub fn read_recipe(path: &Path) -> Result<Recipe> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let error = Error::wrap(ErrorKind::Input, error).context(path.display());
        if missing { error.with_hint("`cribble init` writes a recipe to start from") } else { error }
    })?;
    Recipe::parse(&text).map_err(|error| error.context(path.display()))
}

/// Prints what was done and returns the exit code.
pub fn show(settings: &Settings, command: &str, job: &Job, done: &Done) -> Result<u8> {
    match done {
        Done::Planned(plan) => {
            if settings.json {
                settings.terminal.out_json(command, json!({ "dry_run": true, "exit_code": 0, "plan": plan }));
            } else {
                settings.terminal.out(&plan_text(plan));
            }
            Ok(super::DONE)
        }
        Done::Partly { reports, left } => {
            if settings.json {
                let value = json!({ "out": job.out, "finished": false, "exit_code": 0, "steps": reports, "left": left });
                settings.terminal.out_json(command, value);
            }
            if let Some(last) = reports.last() {
                settings.terminal.say(&format!(
                    "{} is complete: {} of {} kept; left to do: {}",
                    last.step,
                    text::count(last.counts.kept),
                    text::counted(last.counts.seen, "row", "rows"),
                    left.join(", ")
                ));
            }
            Ok(super::DONE)
        }
        Done::Finished(finished) => {
            let code = exit_code(finished);
            if settings.json {
                settings.terminal.out_json(command, as_json(job, finished, code));
            } else {
                let terminal = &settings.terminal;
                terminal.out(&funnel_text(&finished.report, terminal.width(), terminal.color()));
            }
            summary(settings, job, finished);
            Ok(code)
        }
    }
}

/// 3 when something fell short, else 0.
pub fn exit_code(finished: &Finished) -> u8 {
    if finished.shortfalls.is_empty() { super::DONE } else { ErrorKind::Incomplete.exit_code() }
}

/// The members of the JSON object of a finished run.
pub fn as_json(job: &Job, finished: &Finished, code: u8) -> serde_json::Value {
    let subsets: Vec<_> =
        finished.subsets.iter().map(|(label, count)| json!({ "label": label, "count": count })).collect();
    json!({
        "out": job.out,
        "finished": true,
        "exit_code": code,
        "shortfalls": finished.shortfalls,
        "wrote": finished.wrote,
        "further_subsets": subsets,
        "reshard": finished.reshard,
        "open_clip": finished.reshard.as_ref().and_then(|report| open_clip_flags(&job.out.join("shards"), report)),
        "report": finished.report,
    })
}

/// What was kept, what was written, what to do next: for people.
pub fn summary(settings: &Settings, job: &Job, finished: &Finished) {
    let terminal = &settings.terminal;
    let report = &finished.report;
    let (kept, seen) = (report.selection.kept, report.selection.seen);
    let errors: u64 = report.steps.iter().map(|step| step.counts.errors_total()).sum();
    let errors =
        if errors > 0 { format!(", {}", text::counted(errors, "error", "errors")) } else { String::new() };
    terminal.say(&format!(
        "{} {} of {} in {} ({}){errors}",
        terminal.bold("Kept"),
        text::count(kept),
        text::counted(seen, "sample", "samples"),
        text::duration(report.seconds),
        text::rate(seen, report.seconds),
    ));
    for note in report.steps.iter().flat_map(|step| &step.notes) {
        terminal.note(note);
    }
    for (label, count) in &finished.subsets {
        terminal.say(&format!("  subset-{label}.npy has {}", text::counted(*count, "sample", "samples")));
    }
    if let Some(reshard) = &finished.reshard {
        super::reshard::say(settings, &job.out.join("shards"), reshard);
    }
    let wrote: Vec<String> = finished.wrote.iter().map(|path| path.display().to_string()).collect();
    let out = quote(&job.out.display().to_string());
    let next = match &finished.sample {
        Some(uid) => format!("; next: cribble why {out} {uid}"),
        None => String::new(),
    };
    terminal.say(&format!("  wrote {}{next}", if wrote.is_empty() { out } else { wrote.join(", ") }));
    for shortfall in &finished.shortfalls {
        terminal.warn(shortfall);
    }
}

fn plan_text(plan: &cribble_pipeline::Plan) -> String {
    let mut text = format!(
        "reads   {}, {}\nwrites  {}\n",
        plan.input,
        text::counted(plan.rows, "row", "rows"),
        plan.out
    );
    for step in &plan.steps {
        text += &format!("{:<6}  {}  ({})\n", step.action, step.folder, step.phases.join("; "));
        for note in &step.notes {
            text += &format!("        {note}\n");
        }
    }
    if !plan.outputs.is_empty() {
        text += &format!("then    {}\n", plan.outputs.join(", "));
    }
    text + "nothing was written\n"
}
