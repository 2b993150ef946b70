//! Who owns the output folder, and which shards in it are done. `.reshard/` marks a folder as ours from the first moment on, `reshard.json`
//! does once everything is done; a folder with other things in it is never touched.
use super::{
    copy::Written,
    input,
    options::{ReshardOptions, ShardFormat},
    plan::ShardPlan,
    report::ReshardReport,
};
use cribble_core::{Error, Result};
use cribble_io::{IoError, clean_leftovers, write_file, write_marker};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

pub(super) const FOLDER: &str = ".reshard";
pub(super) const SUMMARY: &str = "reshard.json";
/// What is written beside the shards.
pub(super) const OTHERS: [&str; 3] = ["sizes.json", "sample_ids.npy", "missing_uids.csv"];
const MADE_BY: &str = "cribble reshard";
const VERSION: u32 = 1;

/// `.reshard/plan.json`: the plan that the shards in the folder follow.
#[derive(Serialize, Deserialize)]
struct PlanFile {
    plan_hash: String,
    shard_format: String,
    shards: u64,
}

/// `.reshard/NNNNNNNN.done`, and the entries of [`Summary`].
#[derive(Serialize, Deserialize)]
struct Marker {
    number: u64,
    hash: String,
    #[serde(flatten)]
    written: Written,
}

/// `reshard.json`.
#[derive(Serialize, Deserialize)]
struct Summary {
    made_by: String,
    version: u32,
    shard_format: String,
    options: ReshardOptions,
    report: ReshardReport,
}

/// What is in the output folder.
pub(super) struct Output {
    folder: PathBuf,
    before: Option<PlanFile>,
    /// By number: finished shards with their hash.
    done: HashMap<u64, (String, Written)>,
}

impl Output {
    /// Looks at the folder. Something that is not ours is an error.
    pub fn inspect(folder: &Path) -> Result<Self> {
        let mut output = Self { folder: folder.into(), before: None, done: HashMap::new() };
        let items = match fs::read_dir(folder) {
            Ok(items) => items,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(output),
            Err(error) => return Err(input(IoError::read(folder, None, error))),
        };
        let mut is_empty = true;
        for item in items {
            let name = item.map_err(|e| input(IoError::read(folder, None, e)))?.file_name();
            is_empty &= name.to_string_lossy().starts_with(cribble_io::TEMP_PREFIX);
        }
        if is_empty {
            return Ok(output);
        }
        output.read_summary()?;
        output.read_state()?;
        if output.before.is_none() && !folder.join(FOLDER).is_dir() {
            return Err(Error::input(format!(
                "{}: the output folder holds something else already",
                folder.display()
            ))
            .with_hint(
                "choose an empty folder; not even --overwrite touches files that reshard did not write",
            ));
        }
        Ok(output)
    }

    fn read_summary(&mut self) -> Result<()> {
        let path = self.folder.join(SUMMARY);
        let Ok(text) = fs::read(&path) else { return Ok(()) };
        let wrong = |found: String| {
            Error::input(format!(
                "{}: expected a summary of 'cribble reshard' version {VERSION}, found {found}",
                path.display()
            ))
            .with_hint("choose another output folder")
        };
        let summary: Summary = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
        if summary.made_by != MADE_BY || summary.version != VERSION {
            return Err(wrong(format!("'{}' version {}", summary.made_by, summary.version)));
        }
        for (number, shard) in summary.report.shards.iter().enumerate() {
            let written = Written { bytes: shard.bytes, captions: shard.captions };
            self.done.insert(number as u64, (shard.hash.clone(), written));
        }
        self.before = Some(PlanFile {
            plan_hash: summary.report.plan_hash,
            shard_format: summary.shard_format,
            shards: summary.report.shards.len() as u64,
        });
        Ok(())
    }

    fn read_state(&mut self) -> Result<()> {
        let state = self.folder.join(FOLDER);
        if let Ok(text) = fs::read(state.join("plan.json")) {
            // An unreadable plan is no plan: the shards are written again.
            self.before = serde_json::from_slice(&text).ok().or(self.before.take());
        }
        let Ok(items) = fs::read_dir(&state) else { return Ok(()) };
        for item in items {
            let path = item.map_err(|e| input(IoError::read(&state, None, e)))?.path();
            if path.extension().is_some_and(|extension| extension == "done")
                && let Ok(text) = fs::read(&path)
                && let Ok(marker) = serde_json::from_slice::<Marker>(&text)
            {
                self.done.insert(marker.number, (marker.hash, marker.written));
            }
        }
        Ok(())
    }

    /// Makes the folder ready for this plan: what an earlier run of the same plan has finished stays, another plan's result is refused, or
    /// removed with `overwrite`.
    pub fn prepare(&mut self, options: &ReshardOptions, plan_hash: &str, shards: u64) -> Result<()> {
        let state = self.folder.join(FOLDER);
        if let Some(before) = &self.before
            && (options.overwrite || before.plan_hash != plan_hash)
        {
            if !options.overwrite {
                return Err(Error::input(format!(
                    "{}: the folder holds the result of another plan (other input, subset or options)",
                    self.folder.display()
                ))
                .with_hint("choose another output folder, or replace that result with --overwrite"));
            }
            self.remove(before)?;
            self.done.clear();
        }
        clean_leftovers(&self.folder).map_err(input)?;
        let plan =
            PlanFile { plan_hash: plan_hash.into(), shard_format: options.shard_format.clone(), shards };
        write_file(&state.join("plan.json"), &json(&plan)?).map_err(input)
    }

    fn remove(&self, before: &PlanFile) -> Result<()> {
        let format = ShardFormat::parse(&before.shard_format)?;
        // The summary goes first: without it, and with the markers gone next, no half-removed result can pass for a whole one. The plan goes
        // last, because it knows the names of what is still to be removed.
        remove(&self.folder.join(SUMMARY))?;
        let state = self.folder.join(FOLDER);
        write_file(&state.join("plan.json"), &json(before)?).map_err(input)?;
        for number in 0..before.shards {
            remove(&state.join(marker_name(number)))?;
            remove(&self.folder.join(format.name(number)))?;
            remove(&self.folder.join(format.stats_name(number)))?;
        }
        for name in OTHERS {
            remove(&self.folder.join(name))?;
        }
        remove(&state.join("plan.json"))
    }

    /// What an earlier run said of the shard when it has finished it and nobody has touched it since.
    pub fn done(&self, plan: &ShardPlan, format: &ShardFormat) -> Option<Written> {
        let (hash, written) = self.done.get(&plan.number)?;
        let length = |name: String| fs::metadata(self.folder.join(name)).ok().map(|metadata| metadata.len());
        let is_whole = *hash == plan.hash && length(format.name(plan.number)) == Some(written.bytes);
        (is_whole && length(format.stats_name(plan.number)).is_some()).then_some(*written)
    }
}

/// Says that a shard is done.
pub(super) fn mark_done(state: &Path, plan: &ShardPlan, written: Written) -> Result<()> {
    let marker = Marker { number: plan.number, hash: plan.hash.clone(), written };
    write_marker(&state.join(marker_name(plan.number)), &json(&marker)?).map_err(input)
}

/// Writes `reshard.json`, then removes what was needed only while at work.
pub(super) fn finish(options: &ReshardOptions, report: &ReshardReport) -> Result<()> {
    let summary = Summary {
        made_by: MADE_BY.into(),
        version: VERSION,
        shard_format: options.shard_format.clone(),
        // What does not change the bytes is not recorded, so that two runs leave the same file: also when their folders have other names,
        // which is why places near the output are named from there.
        options: ReshardOptions {
            threads: 0,
            memory_bytes: 0,
            overwrite: false,
            output: PathBuf::from("."),
            subset: seen_from(&options.output, &options.subset),
            index: options.index.as_ref().map(|index| seen_from(&options.output, index)),
            ..options.clone()
        },
        report: report.clone(),
    };
    let mut text = serde_json::to_vec_pretty(&summary).map_err(|e| Error::bug(e.to_string()))?;
    text.push(b'\n');
    write_marker(&options.output.join(SUMMARY), &text).map_err(input)?;
    // Once more: a run that was killed just before this one may have been dying still, in the middle of a write, when this one began.
    clean_leftovers(&options.output).map_err(input)?;
    let state = options.output.join(FOLDER);
    fs::remove_dir_all(&state).map_err(|e| input(IoError::write(&state, "remove", None, e)))
}

/// A path as it is written inside the output folder, where it lies in the folder around it (`../subset.npy`); else as it was given.
fn seen_from(output: &Path, path: &Path) -> PathBuf {
    match output
        .parent()
        .filter(|around| !around.as_os_str().is_empty())
        .map(|around| path.strip_prefix(around))
    {
        Some(Ok(rest)) => Path::new("..").join(rest),
        _ => path.to_owned(),
    }
}

fn marker_name(number: u64) -> String {
    format!("{number:08}.done")
}

pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec(value).map_err(|e| Error::bug(e.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(input(IoError::write(path, "remove", None, error)))
        }
        _ => Ok(()),
    }
}
