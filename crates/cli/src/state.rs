//! What a run folder is at this moment: finished, still being written, or with pieces gone. Whoever shows a run looks here first, so that what is
//! missing is said and not guessed.
use std::path::Path;

use cribble_core::{Gallery, InputReport, Result, RunReport, StepReport};
use cribble_pipeline::{RunFolder, StepState, TableSchema};

use crate::{finish, gallery, text};

/// A run as it can be shown.
pub struct State {
    /// Whether the run came to its end and its report is there.
    pub finished: bool,
    /// `report.json`, or of an unfinished run the reports of its complete steps.
    pub report: RunReport,
    /// The samples, where they were gathered.
    pub gallery: Option<Gallery>,
    /// What is missing, a sentence each; empty for a whole run.
    pub warnings: Vec<String>,
}

impl State {
    /// Looks at a run folder.
    pub fn of(run: &RunFolder) -> Result<Self> {
        let mut warnings: Vec<String> = unfinished(run).into_iter().chain(gone(run)).collect();
        let report = finish::read_report(run.path())?.filter(|_| run.manifest.finished);
        if run.manifest.finished && report.is_none() {
            warnings.push("report.json is gone: the figures are those of the steps alone.".into());
        }
        let finished = report.is_some();
        let gallery = match (finished, gallery::read(run.path())) {
            (false, _) => None,
            (true, Ok(None)) => {
                // A recipe without a page has no samples either.
                if run.recipe().is_ok_and(|recipe| recipe.output.report) {
                    warnings.push(format!(
                        "{} is gone: no samples are shown. Run the recipe again with the same --out.",
                        gallery::FILE
                    ));
                }
                None
            }
            (true, Ok(gallery)) => gallery,
            (true, Err(error)) => {
                warnings.push(format!(
                    "No samples are shown: {error}. Run the recipe again with the same --out."
                ));
                None
            }
        };
        Ok(Self { finished, report: report.unwrap_or_else(|| so_far(run)), gallery, warnings })
    }
}

fn unfinished(run: &RunFolder) -> Option<String> {
    let steps = &run.manifest.steps;
    let left: Vec<&str> = steps
        .iter()
        .filter(|step| step.state != StepState::Complete)
        .map(|step| step.folder.as_str())
        .collect();
    match (run.manifest.finished, left.as_slice()) {
        (true, _) => None,
        (false, []) => {
            Some("This run is not finished: its steps are complete, what comes after them is not.".into())
        }
        (false, left) => Some(format!(
            "This run is not finished: {} of {} complete; {} still running, interrupted or failed, or not begun.",
            steps.len() - left.len(),
            text::counted(steps.len() as u64, "step is", "steps are"),
            match left {
                [one] => format!("{one} is"),
                [first, .., last] => format!("{first} to {last} are"),
                [] => String::new(),
            }
        )),
    }
}

/// Pieces of complete steps, and of a finished run, that are not there.
fn gone(run: &RunFolder) -> Vec<String> {
    let shards = run.manifest.input.shards;
    let mut gone = Vec::new();
    for (index, step) in
        run.manifest.steps.iter().enumerate().filter(|(_, step)| step.state == StepState::Complete)
    {
        let folder = run.step_folder(index);
        match tables(&folder) {
            None => gone.push(format!("The folder steps/{} is gone.", step.folder)),
            Some(found) if found < shards => gone.push(format!(
                "Of the {} of step {}, {} gone.",
                text::counted(shards, "table", "tables"),
                step.folder,
                text::counted(shards - found, "is", "are")
            )),
            Some(_) if !folder.join("report.json").exists() => {
                gone.push(format!("The report of step {} is gone.", step.folder));
            }
            Some(_) => {}
        }
    }
    let selection = tables(&run.path().join("selection")).unwrap_or(0);
    if run.manifest.finished && selection < shards {
        gone.push(format!(
            "Of the {} of the selection, {} left.",
            text::counted(shards, "table", "tables"),
            text::counted(selection, "is", "are")
        ));
    }
    gone
}

/// Tables of whole steps, which lie beside those of the shards.
const WHOLE: [&str; 5] = ["clusters", "quotas", "samples", "verdicts", "errors"];

/// How many shards have a table in a folder; none where there is no folder.
fn tables(folder: &Path) -> Option<u64> {
    let is_shard = |path: &Path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if name.starts_with(cribble_io::TEMP_PREFIX) || path.extension().is_none_or(|end| end != "parquet") {
            return false;
        }
        // A shard may bear such a name, too: its table has verdicts.
        let is_whole = WHOLE.iter().any(|whole| name == *whole) || name.starts_with("quotas-");
        !is_whole || TableSchema::read(path).is_ok_and(|schema| schema.0.field_with_name("keep").is_ok())
    };
    let paths = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    Some(paths.filter(|path| is_shard(path)).count() as u64)
}

/// A report of the steps that are complete and whose own reports are there.
fn so_far(run: &RunFolder) -> RunReport {
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
    for (index, state) in run.manifest.steps.iter().enumerate() {
        if state.state != StepState::Complete {
            break;
        }
        let Ok(text) = std::fs::read_to_string(run.step_folder(index).join("report.json")) else { continue };
        let Ok(step) = serde_json::from_str::<StepReport>(&text) else { continue };
        report.selection.kept = step.counts.kept;
        let gone = step.counts.dropped_total() + step.counts.errors_total();
        report.selection.dropped_by.insert(step.step.clone(), gone);
        report.steps.push(step);
    }
    report
}
