//! `report`: the funnel of a run again, and its page. Nothing is computed: `report.json` is the truth, and of a run that is not finished the
//! reports of its complete steps are shown.
use cribble_core::{InputReport, Result, RunReport, StepReport};
use cribble_outputs::report::funnel_text;
use cribble_pipeline::RunFolder;
use serde_json::json;

use crate::{args::ReportArgs, finish, settings::Settings};

/// Prints the funnel and, of a finished run, writes `report.json` and `report.html` again.
pub fn run(settings: &Settings, args: &ReportArgs) -> Result<u8> {
    let run = RunFolder::open(&args.run)?;
    let finished = finish::read_report(run.path())?.filter(|_| run.manifest.finished);
    let is_finished = finished.is_some();
    let report = match finished {
        Some(report) => report,
        None => {
            settings
                .terminal
                .note("the run is not finished: only its complete steps are shown, and no file is written");
            so_far(&run)?
        }
    };
    let page = run.path().join("report.html");
    if is_finished && !settings.dry_run {
        finish::write_report(run.path(), &report, true)?;
        settings.terminal.say(&format!("wrote {}", page.display()));
    }
    if settings.json {
        let value = json!({ "run": run.path(), "finished": is_finished, "exit_code": 0, "report": report });
        settings.terminal.out_json("report", value);
    } else {
        settings.terminal.out(&funnel_text(&report, settings.terminal.width(), settings.terminal.color()));
    }
    Ok(super::DONE)
}

/// A report of the steps that are complete.
fn so_far(run: &RunFolder) -> Result<RunReport> {
    let input = &run.manifest.input;
    let mut report = RunReport {
        schema_version: finish::REPORT_SCHEMA,
        program_version: run.manifest.program_version.clone(),
        input: InputReport {
            path: input.path.clone(),
            layout: input.layout.clone(),
            shards: input.shards,
            rows: input.rows,
            fingerprint: input.fingerprint.clone(),
        },
        ..RunReport::default()
    };
    report.selection.seen = input.rows;
    report.selection.kept = input.rows;
    for index in 0..run.manifest.steps.len() {
        let Ok(text) = std::fs::read_to_string(run.step_folder(index).join("report.json")) else { break };
        let Ok(step) = serde_json::from_str::<StepReport>(&text) else { break };
        report.selection.kept = step.counts.kept;
        let gone = step.counts.dropped_total() + step.counts.errors_total();
        report.selection.dropped_by.insert(step.step.clone(), gone);
        report.steps.push(step);
    }
    Ok(report)
}
