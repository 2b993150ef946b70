//! The run folder: its paths, its lock, and which of its steps are still valid. The folder is the only state that Cribble has.
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use cribble_core::{Error, ErrorKind, Recipe, Result};

use crate::{
    Decisions, StepFacts,
    executor::clean_temporaries,
    manifest::{FORMAT_VERSION, Manifest, ManifestInput, ManifestStep, StepState},
};

/// A folder inside a run folder that its input may lie in.
pub const OWN_INPUT: &str = "input";

/// A run folder, locked for this process while the value lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// What `manifest.json` says.
    pub manifest: Manifest,
    _lock: Option<File>,
}

/// What a resumed run found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Folders of steps that are complete and unchanged: skipped.
    pub skipped: Vec<String>,
    /// Folders of steps whose recipe or input changed: removed and run again.
    pub outdated: Vec<String>,
}

impl RunFolder {
    /// What [`RunFolder::prepare`] would find, without writing, locking or creating anything: for dry runs, and for checks that come before
    /// the first write. `path` need not exist.
    /// `facts` has one entry for each step of the recipe, or none at all where options say everything.
    pub fn preview(
        path: &Path,
        recipe: &Recipe,
        facts: &[StepFacts],
        input: ManifestInput,
    ) -> Result<(Self, Found)> {
        let (manifest, found, _) = compare(path, recipe, facts, input)?;
        Ok((Self { path: path.into(), manifest, _lock: None }, found))
    }

    /// Opens `path` for running `recipe`, creating it where it is missing. Steps that are complete under the same hash stay; the first that
    /// differs and everything after it is removed. A folder that holds other things is refused, and so is one that another process runs.
    pub fn prepare(
        path: &Path,
        recipe: &Recipe,
        facts: &[StepFacts],
        input: ManifestInput,
    ) -> Result<(Self, Found)> {
        let io = |error: std::io::Error| Error::wrap(ErrorKind::Input, error).context(path.display());
        let (manifest, found, embeddings) = compare(path, recipe, facts, input)?;
        fs::create_dir_all(path).map_err(io)?;
        let lock = lock(path)?;
        cribble_io::clean_leftovers(path)?;
        clean_temporaries(&path.join("embeddings"))?;
        let run = Self { path: path.into(), manifest, _lock: Some(lock) };
        // Order matters for a kill in between: first nothing outdated is called valid any more, then it is removed.
        run.manifest.write(path)?;
        for folder in &found.outdated {
            remove(&run.steps_folder().join(folder))?;
        }
        for name in &embeddings {
            remove(&path.join("embeddings").join(name))?;
        }
        cribble_io::write_file(&path.join("recipe.toml"), recipe.to_toml()?.as_bytes())?;
        Ok((run, found))
    }

    /// Opens a run folder for reading, without a lock: a run that is being written is seen as far as it got.
    pub fn open(path: &Path) -> Result<Self> {
        let manifest = Manifest::read(path)?.ok_or_else(|| {
            Error::input(format!("{} is no run folder: it has no manifest.json", path.display()))
                .with_hint("name the folder that was given to --out")
        })?;
        Ok(Self { path: path.into(), manifest, _lock: None })
    }

    /// The recipe that the folder was made with.
    pub fn recipe(&self) -> Result<Recipe> {
        let path = self.path.join("recipe.toml");
        let text = fs::read_to_string(&path).map_err(|error| {
            Error::wrap(ErrorKind::Input, error)
                .context(path.display())
                .with_hint("restore it, or run the recipe that made the folder again with the same --out")
        })?;
        Recipe::parse(&text).map_err(|error| error.context(path.display()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// `steps/`.
    pub fn steps_folder(&self) -> PathBuf {
        self.path.join("steps")
    }
    /// Folder of the step at `index`.
    pub fn step_folder(&self, index: usize) -> PathBuf {
        self.steps_folder().join(&self.manifest.steps[index].folder)
    }

    /// Marks a step as complete, and the whole as unfinished.
    pub fn complete_step(&mut self, index: usize) -> Result<()> {
        self.manifest.steps[index].state = StepState::Complete;
        self.manifest.finished = false;
        self.manifest.write(&self.path)
    }

    /// Marks the run as finished: selection, subset and reports are written.
    pub fn finish(&mut self) -> Result<()> {
        self.manifest.finished = true;
        self.manifest.write(&self.path)
    }
}

/// What `prepare` would make of a folder: its manifest, which steps stay, and which embeddings do not. Reads only.
fn compare(
    path: &Path,
    recipe: &Recipe,
    facts: &[StepFacts],
    input: ManifestInput,
) -> Result<(Manifest, Found, Vec<String>)> {
    let io = |error: std::io::Error| Error::wrap(ErrorKind::Input, error).context(path.display());
    let known = Manifest::read(path)?;
    if known.is_none() && path.exists() {
        let mut entries = fs::read_dir(path).map_err(io)?.filter_map(|entry| Some(entry.ok()?.file_name()));
        if let Some(other) = entries.find(|name| {
            let name = name.to_string_lossy();
            name != ".lock"
                && name != "recipe.toml"
                && name != OWN_INPUT
                && !name.starts_with(cribble_io::TEMP_PREFIX)
        }) {
            return Err(Error::input(format!(
                "{} is not empty and no run folder (it holds {})",
                path.display(),
                other.to_string_lossy()
            ))
            .with_hint("name a new folder with --out"));
        }
    }
    let steps = step_hashes(recipe, facts, &input, &Decisions::read(path)?)?;
    let mut found = Found::default();
    let mut embeddings = Vec::new();
    if let Some(known) = &known {
        let same = known
            .steps
            .iter()
            .zip(&steps)
            .take_while(|(a, b)| a.folder == b.folder && a.hash == b.hash)
            .count();
        found.outdated = known.steps[same..].iter().map(|step| step.folder.clone()).collect();
        embeddings = known.steps[same..].iter().flat_map(|step| step.embeddings.clone()).collect();
        found.skipped = known.steps[..same]
            .iter()
            .filter(|step| step.state == StepState::Complete)
            .map(|step| step.folder.clone())
            .collect();
    }
    let unchanged = known.as_ref().is_some_and(|known| {
        known.steps.len() == steps.len() && found.outdated.is_empty() && found.skipped.len() == steps.len()
    });
    let steps = steps
        .into_iter()
        .map(|mut step| {
            if found.skipped.contains(&step.folder) {
                step.state = StepState::Complete;
            }
            step
        })
        .collect();
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        program_version: env!("CARGO_PKG_VERSION").into(),
        input,
        steps,
        finished: unchanged && known.is_some_and(|known| known.finished),
    };
    Ok((manifest, found, embeddings))
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::wrap(ErrorKind::Input, error).context(path.display()))
        }
        _ => Ok(()),
    }
}

/// An advisory lock, freed by the system when the process ends in whatever way.
fn lock(path: &Path) -> Result<File> {
    let name = path.join(".lock");
    let io = |error: std::io::Error| Error::wrap(ErrorKind::Input, error).context(name.display());
    let file = File::options().create(true).truncate(false).write(true).open(&name).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Error::input(format!("{} is being written by another process", path.display()))
                .with_hint("wait for it, or name another folder with --out"))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(io(error)),
    }
}

/// The steps of a recipe with their hashes: each covers all that can change its files.
fn step_hashes(
    recipe: &Recipe,
    facts: &[StepFacts],
    input: &ManifestInput,
    decisions: &Decisions,
) -> Result<Vec<ManifestStep>> {
    let mut before = blake3::hash(format!("cribble run {FORMAT_VERSION} {}", input.fingerprint).as_bytes());
    let mut steps = Vec::<ManifestStep>::with_capacity(recipe.steps.len());
    for (index, spec) in recipe.steps.iter().enumerate() {
        let facts = facts.get(index).cloned().unwrap_or_default();
        let options = serde_json::to_string(&spec.options.without_costs())
            .map_err(|error| Error::bug(error.to_string()))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(before.as_bytes());
        hasher.update(spec.folder(index).as_bytes());
        hasher.update(&[0]);
        hasher.update(options.as_bytes());
        if !facts.identity.is_empty() {
            hasher.update(&[0]);
            hasher.update(facts.identity.as_bytes());
        }
        if facts.takes_decisions
            && let Some(clustering) = steps.iter().rev().find(|step| step.kind == "cluster")
        {
            for (cluster, decision) in decisions.clusters(&clustering.hash) {
                hasher.update(format!("\0{cluster} {}", decision.reason()).as_bytes());
            }
        }
        before = hasher.finalize();
        steps.push(ManifestStep {
            folder: spec.folder(index),
            kind: spec.options.kind().into(),
            hash: before.to_hex().to_string(),
            state: StepState::Running,
            embeddings: facts.embeddings,
        });
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(epsilon: f64) -> Recipe {
        Recipe::parse(&format!(
            "[[step]]\nkind = \"filter\"\nwhere = \"true\"\n[[step]]\nkind = \"dedup\"\nembedding = \"e\"\nepsilon = {epsilon}"
        ))
        .unwrap()
    }

    fn input() -> ManifestInput {
        ManifestInput { path: "in".into(), fingerprint: "aa".into(), ..ManifestInput::default() }
    }

    #[test]
    fn complete_steps_stay_until_something_before_them_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let (mut run, found) = RunFolder::prepare(&path, &recipe(0.1), &[], input()).unwrap();
        assert_eq!(found, Found::default());
        for index in 0..2 {
            fs::create_dir_all(run.step_folder(index)).unwrap();
            run.complete_step(index).unwrap();
        }
        assert!(
            RunFolder::prepare(&path, &recipe(0.1), &[], input())
                .unwrap_err()
                .message()
                .contains("another process")
        );
        drop(run);
        let (run, found) = RunFolder::prepare(&path, &recipe(0.1), &[], input()).unwrap();
        assert_eq!(found.skipped, ["01-filter", "02-dedup"]);
        drop(run);
        let (run, found) = RunFolder::prepare(&path, &recipe(0.2), &[], input()).unwrap();
        assert_eq!(
            (found.skipped, found.outdated),
            (vec!["01-filter".to_string()], vec!["02-dedup".to_string()])
        );
        assert!(run.step_folder(0).exists() && !run.step_folder(1).exists());
        drop(run);
        let other = ManifestInput { fingerprint: "bb".into(), ..input() };
        let (_, found) = RunFolder::prepare(&path, &recipe(0.2), &[], other).unwrap();
        assert_eq!(found.outdated.len(), 2);
    }

    #[test]
    fn another_identity_runs_a_step_again_and_takes_its_embeddings_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let facts = |identity: &str| {
            let embed = StepFacts {
                identity: identity.into(),
                embeddings: vec!["a_img".into(), "a_txt".into()],
                ..StepFacts::default()
            };
            [embed, StepFacts::default()]
        };
        let (mut run, _) = RunFolder::prepare(&path, &recipe(0.1), &facts("weights 1"), input()).unwrap();
        run.complete_step(0).unwrap();
        drop(run);
        for name in ["a_img", "mine"] {
            fs::create_dir_all(path.join("embeddings").join(name)).unwrap();
        }
        let (run, found) = RunFolder::prepare(&path, &recipe(0.1), &facts("weights 1"), input()).unwrap();
        assert_eq!(found.skipped, ["01-filter"]);
        drop(run);
        assert!(path.join("embeddings/a_img").exists());
        let (_, found) = RunFolder::prepare(&path, &recipe(0.1), &facts("weights 2"), input()).unwrap();
        assert_eq!((found.skipped.len(), found.outdated.len()), (0, 2));
        assert!(!path.join("embeddings/a_img").exists() && path.join("embeddings/mine").exists());
    }

    #[test]
    fn a_preview_finds_the_same_and_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let (preview, found) = RunFolder::preview(&path, &recipe(0.1), &[], input()).unwrap();
        assert!(!path.exists());
        assert_eq!(found, Found::default());
        let (mut run, _) = RunFolder::prepare(&path, &recipe(0.1), &[], input()).unwrap();
        assert_eq!(preview.manifest, run.manifest);
        run.complete_step(0).unwrap();
        let before = fs::read(path.join("manifest.json")).unwrap();
        // The lock of the open run does not hinder a look.
        let (preview, found) = RunFolder::preview(&path, &recipe(0.2), &[], input()).unwrap();
        assert_eq!((found.skipped.len(), found.outdated.len()), (1, 1));
        assert_eq!(preview.manifest.steps[0].state, StepState::Complete);
        assert_eq!(fs::read(path.join("manifest.json")).unwrap(), before);
        fs::write(dir.path().join("file"), "x").unwrap();
        assert!(RunFolder::preview(dir.path(), &recipe(0.1), &[], input()).is_err());
    }

    #[test]
    fn foreign_folders_and_versions_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "x").unwrap();
        let error = RunFolder::prepare(dir.path(), &recipe(0.1), &[], input()).unwrap_err();
        assert!(error.message().contains("thesis.tex"));
        fs::write(dir.path().join("manifest.json"), "{\"format_version\": 99}").unwrap();
        assert!(RunFolder::open(dir.path()).unwrap_err().message().contains("version 99"));
        fs::write(dir.path().join("manifest.json"), "{").unwrap();
        assert!(RunFolder::open(dir.path()).is_err());
    }
}
