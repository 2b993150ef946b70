//! From a recipe to a finished run folder: open the input, build the steps, prepare the folder, run, finish. Every command that runs steps
//! goes through here, which is why a verb and a recipe of one step cannot differ.
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use cribble_core::{Error, InputOptions, Recipe, Result, RunReport, StepReport};
use cribble_io::source::{Dataset, LayoutKind, OpenOptions};
use cribble_outputs::reshard::ReshardReport;
use cribble_pipeline::{
    Executor, Found, ManifestInput, Plan, PlannedStep, RunFolder, Step, StepFacts, StepState, UidCache,
    UnitKind, step_facts,
};

use crate::{finish, interrupt, settings::Settings, text};

/// What is to be done.
pub struct Job {
    /// Every default written out or not: both are the same recipe.
    pub recipe: Recipe,
    /// The run folder.
    pub out: PathBuf,
    /// Stop after this step: number, kind, name or folder.
    pub only: Option<String>,
    /// Share of rows that may fail.
    pub max_error_rate: f64,
    /// A pool whose truth is known: the report says how much of what was planted was found.
    pub pool: Option<PathBuf>,
}

/// What was done.
pub enum Done {
    /// A dry run.
    Planned(Plan),
    /// `--only` ended it before the last step.
    Partly {
        /// Reports of the steps that are complete.
        reports: Vec<StepReport>,
        /// Folders of the steps that are not.
        left: Vec<String>,
    },
    /// Everything.
    Finished(Box<Finished>),
}

/// A run that came to its end.
pub struct Finished {
    /// The report, as `report.json` has it.
    pub report: RunReport,
    /// A sample of it, to begin looking with.
    pub sample: Option<String>,
    /// What became of the tars, where the recipe asked for them.
    pub reshard: Option<ReshardReport>,
    /// Label and size of each further subset.
    pub subsets: Vec<(String, u64)>,
    /// Files and folders that a person may want to open.
    pub wrote: Vec<PathBuf>,
    /// Why the exit code is not 0, a sentence each.
    pub shortfalls: Vec<String>,
}

/// An input with the steps that shall run on it.
pub struct Opened {
    /// The input.
    pub dataset: Dataset,
    /// The recipe.
    pub recipe: Recipe,
    /// Its steps.
    pub steps: Vec<Box<dyn Step>>,
    /// What their files depend on beside the recipe.
    pub facts: Vec<StepFacts>,
}

/// Opens an input and says what it is.
pub fn open_input(settings: &Settings, input: &InputOptions) -> Result<Dataset> {
    if input.path.is_empty() {
        return Err(Error::usage("the recipe names no input").with_hint("set path = \"…\" in [input]"));
    }
    if Path::new(&input.path).join("manifest.json").is_file() && Path::new(&input.path).join("steps").is_dir()
    {
        return Err(Error::usage(format!("{} is a run folder, not an input", input.path)).with_hint(
            "name the data that the run read; to work on what a run kept, put both steps into one recipe",
        ));
    }
    let dataset = Dataset::open(&OpenOptions::from(input))?;
    say_input(settings, input, &dataset);
    Ok(dataset)
}

/// Says what an input is.
pub fn say_input(settings: &Settings, input: &InputOptions, dataset: &Dataset) {
    settings.terminal.say(&format!(
        "{}: {}, {}, {}",
        input.path,
        dataset.layout().kind.name(),
        text::counted(dataset.shards().len() as u64, "shard", "shards"),
        text::counted(dataset.rows(), "row", "rows")
    ));
    for note in dataset.notes() {
        settings.terminal.note(note);
    }
}

impl Opened {
    /// Opens the input of a recipe and builds its steps.
    pub fn new(settings: &Settings, mut recipe: Recipe) -> Result<Self> {
        recipe.validate()?;
        let steps = cribble_steps::build(&recipe)?;
        let dataset = open_input(settings, &recipe.input)?;
        // Tars as input hold their own pixels.
        if recipe.input.images.is_none() && dataset.layout().kind == LayoutKind::Webdataset {
            recipe.input.images = Some(recipe.input.path.clone());
        }
        if recipe.output.shards && recipe.input.images.is_none() {
            return Err(Error::usage("[output] shards = true needs the tars with the pixels")
                .with_hint("set images = \"…\" in [input]"));
        }
        let facts = step_facts(&recipe, &steps, &dataset)?;
        Ok(Self { dataset, recipe, steps, facts })
    }

    /// The input as the manifest has it.
    pub fn manifest_input(&self) -> ManifestInput {
        ManifestInput {
            path: self.recipe.input.path.clone(),
            layout: self.dataset.layout().kind.name().into(),
            shards: self.dataset.shards().len() as u64,
            rows: self.dataset.rows(),
            fingerprint: hexadecimal(&self.dataset.fingerprint()),
        }
    }

    /// [`RunFolder::preview`] for this recipe and input.
    pub fn preview(&self, out: &Path) -> Result<(RunFolder, Found)> {
        RunFolder::preview(out, &self.recipe, &self.facts, self.manifest_input())
    }

    /// [`RunFolder::prepare`] for this recipe and input.
    pub fn prepare(&self, out: &Path) -> Result<(RunFolder, Found)> {
        RunFolder::prepare(out, &self.recipe, &self.facts, self.manifest_input())
    }

    /// The executor of its steps.
    pub fn executor<'a>(&'a self, settings: &'a Settings) -> Executor<'a> {
        Executor {
            dataset: &self.dataset,
            recipe: &self.recipe,
            steps: &self.steps,
            limits: settings.limits,
            progress: &*settings.reporter,
            cancel: &interrupt::CANCEL,
            uids: UidCache::default(),
        }
    }

    /// Position of the step that a person named.
    pub fn step_index(&self, name: &str) -> Result<usize> {
        let specs = &self.recipe.steps;
        if let Ok(number) = name.parse::<usize>()
            && (1..=specs.len()).contains(&number)
        {
            return Ok(number - 1);
        }
        let folders: Vec<String> = specs.iter().enumerate().map(|(index, spec)| spec.folder(index)).collect();
        let named: Vec<usize> = (0..specs.len())
            .filter(|&i| {
                folders[i] == name
                    || specs[i].name.as_deref() == Some(name)
                    || specs[i].options.kind() == name
            })
            .collect();
        match named.as_slice() {
            [one] => Ok(*one),
            [] => Err(Error::usage(format!("the recipe has no step '{name}'"))
                .with_hint(cribble_core::name_hint(name, folders.iter().map(String::as_str)))),
            several => Err(Error::usage(format!("'{name}' is the name of {} steps", several.len()))
                .with_hint(format!(
                    "say which: {}",
                    several.iter().map(|&i| folders[i].as_str()).collect::<Vec<_>>().join(", ")
                ))),
        }
    }
}

/// Does the job. Errors of kind `Interrupted` carry the command that resumes as their hint.
pub fn run(settings: &Settings, job: &Job) -> Result<Done> {
    let began = Instant::now();
    let opened = Opened::new(settings, job.recipe.clone())?;
    let executor = opened.executor(settings);
    // Everything that can be known to fail fails here, before the first file is written.
    let (planned, found) = opened.preview(&job.out)?;
    let notes = executor.check(&planned)?;
    let last = match &job.only {
        Some(name) => opened.step_index(name)?,
        None => opened.steps.len().saturating_sub(1),
    };
    if settings.dry_run {
        return Ok(Done::Planned(plan(&opened, &job.out, &planned, notes, last)));
    }
    interrupt::install(&settings.terminal)?;
    for folder in &found.outdated {
        settings.terminal.note(&format!("{folder} was made from another recipe or input: it runs again"));
    }
    drop(planned);
    let (mut run, _) = opened.prepare(&job.out)?;
    run_prepared(&executor, &mut run, job, last, began).map_err(interrupt::resumable)
}

fn run_prepared(
    executor: &Executor<'_>,
    run: &mut RunFolder,
    job: &Job,
    last: usize,
    began: Instant,
) -> Result<Done> {
    let reports = executor.run(run, last)?;
    let left: Vec<String> = run
        .manifest
        .steps
        .iter()
        .filter(|step| step.state != StepState::Complete)
        .map(|step| step.folder.clone())
        .collect();
    if !left.is_empty() {
        return Ok(Done::Partly { reports, left });
    }
    finish::finish(executor, run, job, reports, began).map(|finished| Done::Finished(Box::new(finished)))
}

/// What would be done, in words.
fn plan(opened: &Opened, out: &Path, planned: &RunFolder, notes: Vec<Vec<String>>, last: usize) -> Plan {
    let dataset = &opened.dataset;
    let shards = text::counted(dataset.shards().len() as u64, "shard", "shards");
    let steps = opened.steps.iter().zip(&planned.manifest.steps).zip(notes).take(last + 1).map(
        |((step, state), notes)| PlannedStep {
            folder: state.folder.clone(),
            action: if state.state == StepState::Complete { "skip" } else { "run" },
            phases: step
                .phases()
                .iter()
                .map(|phase| match phase.unit {
                    UnitKind::Shard => format!("{}: {shards}", phase.name),
                    UnitKind::Bucket => format!("{}: in parts", phase.name),
                    UnitKind::Whole => format!("{}: at once", phase.name),
                })
                .collect(),
            notes,
        },
    );
    let output = &opened.recipe.output;
    let mut outputs = vec!["selection/".to_owned(), "errors.parquet".to_owned(), "report.json".to_owned()];
    if output.subset || output.shards {
        outputs.push("subset.npy".into());
        let further = opened.steps.last().map(|step| step.further_subsets()).unwrap_or_default();
        outputs.extend(further.iter().map(|label| format!("subset-{label}.npy")));
    }
    if output.report {
        outputs.push("report.html".into());
    }
    if output.shards {
        outputs.push("images/".into());
        outputs.push("shards/".into());
    }
    if last + 1 < opened.steps.len() {
        outputs.clear();
    }
    let embeddings = planned.manifest.steps.iter().take(last + 1).flat_map(|step| &step.embeddings);
    outputs.extend(embeddings.map(|name| format!("embeddings/{name}/")));
    Plan {
        input: format!("{}: {}, {shards}", opened.recipe.input.path, dataset.layout().kind.name()),
        rows: dataset.rows(),
        out: out.display().to_string(),
        steps: steps.collect(),
        outputs,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
