//! The order of the work: look, index, join, plan, copy, reconcile, sum up.
use super::{
    captions::{CaptionSource, Places, Texts, gather},
    copy::{Job, Written, write_shard},
    input,
    join::join,
    members::{BEST, CaptionCounts, ORIGINAL},
    names::find_clashes,
    options::{ReshardOptions, ShardFormat},
    plan::{ShardPlan, plan, plan_hash},
    reconcile::reconcile,
    report::{CaptionReport, ReshardReport, ShardReport, TarFault},
    state::{self, Output},
};
use cribble_core::{Cancel, Error, Progress, Result, Txt};
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
    reshard_with_captions(options, None, progress, cancel)
}

/// [`reshard`], with new captions for the samples that the source knows some of: their `.json` members get the fields, and their `.txt`
/// members the best one where [`ReshardOptions::txt`] says so. All other members, and all other samples, stay byte for byte.
pub fn reshard_with_captions(
    options: &ReshardOptions,
    captions: Option<&dyn CaptionSource>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<ReshardReport> {
    let format = ShardFormat::parse(&options.shard_format)?;
    if options.shard_size == 0 {
        return Err(Error::usage("shard size 0: expected at least 1 sample in a shard"));
    }
    if options.input.is_empty() {
        return Err(Error::usage("no input: expected at least one folder of tars"));
    }
    let captions_report = captions_report(options, captions)?;
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
    let texts = match captions {
        Some(source) => {
            gather(source, &work.path, options.memory_bytes, progress, cancel)?;
            Some(Texts::open(&work.path)?)
        }
        None => None,
    };
    let places = texts.as_ref().map(|_| Places::open(&work.path)).transpose()?;
    join(&index, uids, places, &work.path, options.memory_bytes, &mut report)?;
    report.renamed_keys = find_clashes(&index, &work.path, options.keys, options.memory_bytes)?;
    let plans = plan(&index, &work.path, texts.as_ref(), options, cancel)?;
    report.plan_hash = plan_hash(&plans, options, report.requested);

    let mut written: Vec<Written> =
        plans.iter().map(|plan| Written { bytes: plan.bytes, captions: None }).collect();
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
            texts: texts.as_ref(),
            txt: options.txt,
            cancel,
        };
        (written, report.reused_shards) = write_all(&job, &plans, output, threads, progress)?;
        report.written = report.found;
    }
    let mut counts = CaptionCounts::default();
    for (plan, Written { bytes, captions }) in plans.iter().zip(written) {
        report.bytes += bytes;
        counts.add(&captions.unwrap_or_default());
        let (name, hash) = (format.name(plan.number), plan.hash.clone());
        report.shards.push(ShardReport { name, samples: plan.samples, bytes, hash, captions });
    }
    report.captions = captions_report.map(|report| CaptionReport { counts, ..report });
    report.warnings.extend(caption_warnings(&counts));
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

/// What the output will have of the captions, the counts still open. `txt = best` without best captions is refused before any work.
fn captions_report(
    options: &ReshardOptions,
    captions: Option<&dyn CaptionSource>,
) -> Result<Option<CaptionReport>> {
    let fields = captions.map(CaptionSource::fields).unwrap_or_default();
    if options.txt == Txt::Best && !fields.iter().any(|field| field.name == BEST && field.is_caption) {
        return Err(Error::usage(format!("txt = best, but no column {BEST} was made"))
            .with_hint("a step `referee` makes it; without one leave txt = original"));
    }
    let named = |name: &str| fields.iter().any(|field| field.name == name);
    let captions_only =
        fields.iter().filter(|field| field.is_caption && (!named(BEST) || field.name == BEST));
    let text_keys = captions_only.map(|field| field.name.clone()).chain([ORIGINAL.to_owned()]).collect();
    Ok(captions.map(|_| CaptionReport {
        fields: fields.iter().map(|field| field.name.clone()).collect(),
        text_keys,
        txt: options.txt,
        counts: CaptionCounts::default(),
    }))
}

fn caption_warnings(counts: &CaptionCounts) -> Vec<String> {
    let mut warnings = Vec::new();
    if counts.left > 0 {
        warnings.push(format!(
            "{} samples were copied without their new captions, because their json is no object",
            counts.left
        ));
    }
    if counts.replaced_fields > 0 {
        warnings.push(format!(
            "{} fields of the json had other values; now those of the run stand there",
            counts.replaced_fields
        ));
    }
    warnings
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

/// Writes what is not done yet; returns what is said of every shard and how many were done before.
fn write_all(
    job: &Job<'_>,
    plans: &[ShardPlan],
    output: &Output,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(Vec<Written>, u64)> {
    let done: Vec<Option<Written>> = plans.iter().map(|plan| output.done(plan, job.format)).collect();
    progress.begin("writing shards", plans.len() as u64, "shards");
    // A writer waits for the disk half of its time: two of them keep a core busy. One thread stays one, with nothing at the same time.
    let writers = if threads > 1 { 2 * threads } else { 1 };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(writers)
        .build()
        .map_err(|e| Error::input(format!("cannot start {writers} threads: {e}")))?;
    let written: Vec<Result<Written>> = pool.install(|| {
        let write = |(plan, done): (&ShardPlan, &Option<Written>)| {
            let written = match done {
                Some(written) => *written,
                None => write_shard(job, plan)?,
            };
            progress.advance(1);
            Ok(written)
        };
        // One task a shard: sizes differ, and a shard is worth far more than a task costs.
        plans.par_iter().zip(&done).with_max_len(1).map(write).collect()
    });
    progress.end();
    let written = written.into_iter().collect::<Result<_>>()?;
    Ok((written, done.iter().flatten().count() as u64))
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
