//! The order of the work: look, index, join, plan, copy, reconcile, sum up.
use super::{
    copy::{Job, write_shard},
    input,
    join::join,
    names::find_clashes,
    options::{ReshardOptions, ShardFormat},
    plan::{ShardPlan, plan, plan_hash},
    reconcile::reconcile,
    report::{ReshardReport, ShardReport, TarFault},
    state::{self, Output},
};
use cribble_core::{Cancel, Error, Progress, Result};
use cribble_io::{
    IoError, Location, SourceFile,
    storage::LocalStorage,
    subset::{SortedUids, SubsetFormat, SubsetWriter},
    tar::{BuildOptions, ImageIndex, TarSource, list_tars},
    write_file,
};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Writes the samples of a subset into new tars. See the module for order, names and files.
///
/// Missing samples are no error: the report says how many and why, and the caller decides (exit code 3 unless `allow_missing`). Errors: input
/// that cannot be read, an output folder that holds something else, a full disk. A cancelled or killed run is continued by the same call.
pub fn reshard(options: &ReshardOptions, progress: &dyn Progress, cancel: &Cancel) -> Result<ReshardReport> {
    let format = ShardFormat::parse(&options.shard_format)?;
    if options.shard_size == 0 {
        return Err(Error::usage("shard size 0: expected at least 1 sample in a shard"));
    }
    if options.input.is_empty() {
        return Err(Error::usage("no input: expected at least one folder of tars"));
    }
    let sources = sources(&options.input)?;
    let subset = SourceFile::open_local(&options.subset).map_err(input)?;
    let mut output = if options.dry_run { None } else { Some(Output::inspect(&options.output)?) };
    let mut work = WorkFolder::create(options)?;
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };

    progress.begin("indexing tars", sources.len() as u64, "tars");
    let index_folder = options.index.clone().unwrap_or_else(|| work.path.join("images"));
    let build = BuildOptions {
        folder: &index_folder,
        threads,
        memory_bytes: options.memory_bytes,
        read_ahead: options.read_ahead,
        on_tar: &|| progress.advance(1),
        stop: &|| cancel.is_cancelled(),
    };
    let index = ImageIndex::build(&sources, &build);
    cancel.check()?;
    let index = index.map_err(input)?;
    progress.end();

    let mut report = ReshardReport { dry_run: options.dry_run, ..Default::default() };
    describe_input(&index, &mut report);
    let uids = SortedUids::open(&subset, &work.path, options.memory_bytes).map_err(input)?;
    report.warnings.extend(uids.facts().warning());
    join(&index, uids, &work.path, options.memory_bytes, &mut report)?;
    report.renamed_keys = find_clashes(&index, &work.path, options.keys, options.memory_bytes)?;
    let plans = plan(&index, &work.path, options, cancel)?;
    report.plan_hash = plan_hash(&plans, options, report.requested);

    let mut bytes: Vec<u64> = plans.iter().map(|plan| plan.bytes).collect();
    if let Some(output) = &mut output {
        if let Err(error) = output.prepare(options, &report.plan_hash, plans.len() as u64) {
            // A refused run leaves the folder as it found it.
            work.is_temporary |= work.is_new;
            return Err(error);
        }
        let job = Job {
            index: &index,
            state: &work.path,
            output: &options.output,
            format: &format,
            keys: options.keys,
            cancel,
        };
        (bytes, report.reused_shards) = write_all(&job, &plans, output, threads, progress)?;
        report.written = report.found;
    }
    for (plan, bytes) in plans.iter().zip(bytes) {
        report.bytes += bytes;
        let name = format.name(plan.number);
        report.shards.push(ShardReport { name, samples: plan.samples, bytes, hash: plan.hash.clone() });
    }
    let folder = output.as_ref().map(|_| options.output.as_path());
    reconcile(
        &index,
        &options.input,
        &work.path,
        folder,
        options.memory_bytes,
        &mut report,
        (progress, cancel),
    )?;
    if folder.is_some() {
        write_extras(options, &work.path, &subset, &report)?;
        state::finish(options, &report)?;
    }
    for warning in &report.warnings {
        progress.warn(warning);
    }
    Ok(report)
}

/// The tars of all inputs. Where two have the same file name, what goes into hashed uids is made unique by more of the path.
fn sources(inputs: &[PathBuf]) -> Result<Vec<TarSource>> {
    let mut sources = Vec::new();
    for folder in inputs {
        let found = list_tars(&LocalStorage, &Location::local(folder)).map_err(input)?;
        if found.is_empty() {
            return Err(Error::input(format!("{}: no tar in this folder", folder.display()))
                .with_hint("the input is a folder with files that end in .tar, or a single tar"));
        }
        sources.extend(found);
    }
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for source in &sources {
        *count.entry(source.name.clone()).or_default() += 1;
    }
    for source in &mut sources {
        if count.get(&source.name).is_some_and(|&count| count > 1) {
            source.name = source.location.to_string();
        }
    }
    Ok(sources)
}

fn describe_input(index: &ImageIndex, report: &mut ReshardReport) {
    report.input_tars = index.tars().len() as u64;
    report.uids = index.uid_counts();
    for tar in index.tars() {
        let (sum, part) = (&mut report.skipped, &tar.head.skipped);
        sum.folders += part.folders;
        sum.links += part.links;
        sum.without_key += part.without_key;
        sum.reserved += part.reserved;
        sum.other += part.other;
    }
    report.faults = index
        .faults()
        .map(|(tar, fault)| TarFault { path: tar.path.clone(), fault: fault.clone() })
        .collect();
    report.warnings.extend(report.faults.iter().map(TarFault::to_string));
    let uids = &report.uids;
    if uids.hashed() > 0 {
        report.warnings.push(format!(
            "{} samples got a uid from shard name and key: {} without json, {} whose json has no uid, {} whose uid is malformed",
            uids.hashed(), uids.no_json, uids.no_uid, uids.bad_uid
        ));
    }
    let lost = report.skipped.links + report.skipped.without_key + report.skipped.other;
    if lost > 0 {
        report.warnings.push(format!("{lost} entries of the tars belong to no sample and were left out"));
    }
}

/// Writes what is not done yet; returns the bytes of every shard and how many were done before.
fn write_all(
    job: &Job<'_>,
    plans: &[ShardPlan],
    output: &Output,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(Vec<u64>, u64)> {
    let done: Vec<Option<u64>> = plans.iter().map(|plan| output.done_bytes(plan, job.format)).collect();
    progress.begin("writing shards", plans.len() as u64, "shards");
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::input(format!("cannot start {threads} threads: {e}")))?;
    let written: Vec<Result<u64>> = pool.install(|| {
        let write = |(plan, done): (&ShardPlan, &Option<u64>)| {
            let bytes = match done {
                Some(bytes) => *bytes,
                None => write_shard(job, plan)?,
            };
            progress.advance(1);
            Ok(bytes)
        };
        // One task a shard: sizes differ, and a shard is worth far more than a task costs.
        plans.par_iter().zip(&done).with_max_len(1).map(write).collect()
    });
    progress.end();
    let bytes = written.into_iter().collect::<Result<_>>()?;
    Ok((bytes, done.iter().flatten().count() as u64))
}

fn write_extras(
    options: &ReshardOptions,
    work: &Path,
    subset: &SourceFile,
    report: &ReshardReport,
) -> Result<()> {
    let sizes: BTreeMap<&str, u64> = report.shards.iter().map(|s| (s.name.as_str(), s.samples)).collect();
    write_file(&options.output.join("sizes.json"), &state::json(&sizes)?).map_err(input)?;
    let mut copy =
        SubsetWriter::create(&options.output.join("sample_ids.npy"), SubsetFormat::Npy).map_err(input)?;
    for uid in SortedUids::open(subset, work, options.memory_bytes).map_err(input)? {
        copy.push(uid.map_err(input)?).map_err(input)?;
    }
    copy.finish().map(drop).map_err(input)
}

/// Where index, plan and markers lie while at work.
struct WorkFolder {
    path: PathBuf,
    is_new: bool,
    is_temporary: bool,
}

impl WorkFolder {
    fn create(options: &ReshardOptions) -> Result<Self> {
        let path = if options.dry_run {
            // Beside the output, not in it: a dry run leaves the output as it is, even when it does not exist.
            let parent = options.output.parent().filter(|parent| parent.is_dir()).unwrap_or(Path::new("."));
            parent.join(format!("{}reshard-plan-{}", cribble_io::TEMP_PREFIX, std::process::id()))
        } else {
            options.output.join(state::FOLDER)
        };
        let is_new = !path.exists();
        std::fs::create_dir_all(&path).map_err(|e| input(IoError::write(&path, "create", None, e)))?;
        Ok(Self { path, is_new, is_temporary: options.dry_run })
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if self.is_temporary {
            // Nothing can be reported from here; the folder's name says what it is.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
