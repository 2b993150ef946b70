//! `report`: the funnel of a run again, and its page. Nothing is computed: `report.json` is the truth, and of a run that is not finished the
//! reports of its complete steps are shown.
use cribble_core::Result;
use cribble_outputs::report::funnel_text;
use cribble_pipeline::RunFolder;
use serde_json::json;

use crate::{args::ReportArgs, finish, settings::Settings, state::State};

/// Prints the funnel and, of a finished run, writes `report.json` and `report.html` again.
pub fn run(settings: &Settings, args: &ReportArgs) -> Result<u8> {
    let run = RunFolder::open(&args.run)?;
    let State { finished, report, gallery, warnings } = State::of(&run)?;
    if !finished {
        settings
            .terminal
            .note("the run is not finished: only its complete steps are shown, and no file is written");
    }
    for warning in &warnings {
        settings.terminal.warn(warning);
    }
    if finished && !settings.dry_run {
        finish::write_page(run.path(), &report, gallery.as_ref(), &warnings)?;
        finish::write_report(run.path(), &report)?;
        settings.terminal.say(&format!("wrote {}", run.path().join("report.html").display()));
    }
    if settings.json {
        let value = json!({ "run": run.path(), "finished": finished, "exit_code": 0, "warnings": warnings, "report": report });
        settings.terminal.out_json("report", value);
    } else {
        settings.terminal.out(&funnel_text(&report, settings.terminal.width(), settings.terminal.color()));
    }
    Ok(super::DONE)
}
