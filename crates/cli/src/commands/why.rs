//! `why`: the way of one sample through a run. Rows keep their place for ever, so once the sample's shard and row are known, each step's table
//! is read at that row alone.
use std::{
    fs::File,
    path::{Path, PathBuf},
};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use cribble_core::{Error, ErrorKind, Recipe, Result, StepOptions, Uid};
use cribble_outputs::json_value;
use cribble_pipeline::{DECISION, Decided, Decisions, RunFolder, read_column};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use crate::{args::WhyArgs, commands::why_text, settings::Settings};

/// Samples that an ambiguous prefix lists.
const MOST_LISTED: usize = 5;

/// Where a sample stands.
pub struct Place {
    /// The sample.
    pub uid: Uid,
    shard: String,
    row: usize,
}

/// Says what every step thought of a sample.
pub fn run(settings: &Settings, args: &WhyArgs) -> Result<u8> {
    let run = RunFolder::open(&args.run)?;
    let recipe = run.recipe()?;
    let place = find(&run, &args.uid)?;
    let value = describe(&run, &recipe, &place)?;
    if settings.json {
        settings.terminal.out_json("why", value);
    } else {
        settings.terminal.out(&why_text::render(&value));
    }
    Ok(super::DONE)
}

/// Finds a sample by its uid or the beginning of it.
pub fn find(run: &RunFolder, text: &str) -> Result<Place> {
    let wanted = Prefix::parse(text)?;
    let tables = tables(run)?;
    let found: Vec<Place> = tables
        .par_iter()
        .map(|(shard, path)| {
            let uids = read_uids(path)?;
            let rows = uids.iter().enumerate().filter(|(_, uid)| wanted.matches(**uid));
            Ok(rows.map(|(row, uid)| Place { uid: *uid, shard: shard.clone(), row }).collect::<Vec<_>>())
        })
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    let mut distinct: Vec<Uid> = found.iter().map(|place| place.uid).collect();
    distinct.sort_unstable();
    distinct.dedup();
    match distinct.as_slice() {
        [] => Err(Error::input(format!("no sample of this run has the uid {}{}", text, if wanted.is_whole() { "" } else { "…" }))
            .with_hint("`cribble check` on the input says whether it holds the sample; subset.npy and selection/ list uids")),
        [_] => found.into_iter().next().ok_or_else(|| Error::bug("a place was lost")),
        several => {
            let shown: Vec<String> = several.iter().take(MOST_LISTED).map(Uid::to_string).collect();
            let more = several.len().saturating_sub(MOST_LISTED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Err(Error::usage(format!("{} samples begin with {text}: {}{more}", several.len(), shown.join(", ")))
                .with_hint("give more characters"))
        }
    }
}

/// The first characters of a uid, as a range of numbers.
struct Prefix {
    first: u128,
    last: u128,
}

impl Prefix {
    fn parse(text: &str) -> Result<Self> {
        let hexadecimal = text.chars().all(|c| c.is_ascii_hexdigit());
        if text.is_empty() || text.len() > 32 || !hexadecimal {
            return Err(Error::usage(format!("'{text}' is no uid and no beginning of one")).with_hint(
                "a uid has 32 characters, 0 to 9 and a to f; its first ones do, where they are unique",
            ));
        }
        let first = u128::from_str_radix(&format!("{text:0<32}"), 16)
            .map_err(|_| Error::bug("a uid that was checked does not parse"))?;
        // Shifting by 128 would be one too many: a whole uid leaves nothing open.
        let open = if text.len() == 32 { 0 } else { u128::MAX >> (4 * text.len()) };
        Ok(Self { first, last: first | open })
    }

    fn matches(&self, uid: Uid) -> bool {
        (self.first..=self.last).contains(&uid.0)
    }

    fn is_whole(&self) -> bool {
        self.first == self.last
    }
}

/// One table for each shard that proves which uid stands where: the selection's, or the first step's while there is no selection.
fn tables(run: &RunFolder) -> Result<Vec<(String, PathBuf)>> {
    let selection = run.path().join("selection");
    let folder =
        if run.manifest.finished || run.manifest.steps.is_empty() { selection } else { run.step_folder(0) };
    let entries = std::fs::read_dir(&folder).map_err(|error| {
        Error::wrap(ErrorKind::Input, error)
            .context(folder.display())
            .with_hint("the run has judged nothing yet: run it with `cribble run`")
    })?;
    let mut tables: Vec<(String, PathBuf)> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .filter(|(name, path)| !name.starts_with('.') && has_verdicts(path))
        .collect();
    tables.sort();
    Ok(tables)
}

/// Tables of clusters, quotas and errors lie beside the shards' ones.
fn has_verdicts(path: &Path) -> bool {
    let Ok(reader) = open(path) else { return false };
    reader.schema().field_with_name("keep").is_ok() && reader.schema().field_with_name("uid").is_ok()
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let fail = |text: String| Error::input(format!("{}: {text}", path.display()));
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| fail(error.to_string()))
}

fn read_uids(path: &Path) -> Result<Vec<Uid>> {
    let column = read_column(path, "uid")?;
    let wrong = || Error::input(format!("{}: its uid column holds no uids", path.display()));
    if let Some(bytes) = column.as_fixed_size_binary_opt() {
        return bytes
            .iter()
            .map(|value| <[u8; 16]>::try_from(value?).ok().map(Uid::from_bytes))
            .collect::<Option<_>>()
            .ok_or_else(wrong);
    }
    let texts = column.as_string_opt::<i32>().ok_or_else(wrong)?;
    texts.iter().map(|text| Uid::parse(text?.as_bytes()).ok()).collect::<Option<_>>().ok_or_else(wrong)
}

/// The sample's way as JSON: the value behind both kinds of output.
fn describe(run: &RunFolder, recipe: &Recipe, place: &Place) -> Result<Value> {
    let (mut steps, mut dropped_by, mut reason, mut judged) = (Vec::new(), Value::Null, Value::Null, 0);
    for (index, (state, spec)) in run.manifest.steps.iter().zip(&recipe.steps).enumerate() {
        let folder = run.step_folder(index);
        let table = folder.join(format!("{}.parquet", place.shard));
        let mut step = Map::new();
        step.insert("step".into(), state.folder.clone().into());
        step.insert("kind".into(), state.kind.clone().into());
        if !table.exists() {
            step.insert("verdict".into(), "not run yet".into());
            steps.push(Value::Object(step));
            continue;
        }
        let row = read_row(&table, place)?;
        let verdict = match row.get("keep").and_then(Value::as_bool) {
            Some(true) => "kept",
            Some(false) => "dropped",
            None => "not judged",
        };
        judged += usize::from(verdict != "not judged");
        step.insert("verdict".into(), verdict.into());
        if verdict == "dropped" && dropped_by.is_null() {
            dropped_by = state.folder.clone().into();
            reason = row.get("reason").cloned().unwrap_or(Value::Null);
        }
        for (name, value) in &row {
            if !matches!(name.as_str(), "uid" | "keep") && (name != "reason" || !value.is_null()) {
                // `verdict` is what the step says of the row; the judge's word is on its cluster.
                let name = if name == "verdict" { "cluster_verdict" } else { name };
                step.insert(name.into(), value.clone());
            }
        }
        if verdict != "not judged" {
            let cluster = steps.iter().rev().find_map(|step| step["cluster"].as_i64());
            add_context(&folder, &spec.options, place, cluster, &mut step)?;
        }
        steps.push(Value::Object(step));
    }
    let decision = Decisions::read(run.path())?.sample(place.uid).cloned();
    let complete = steps.iter().all(|step| step["verdict"] != "not run yet");
    if let Some(decision) = &decision {
        dropped_by = if decision.verdict == Decided::Keep { Value::Null } else { DECISION.into() };
        reason = decision.reason().into();
    }
    let outcome = match (&dropped_by, complete) {
        (Value::Null, true) => "kept",
        (Value::Null, false) => "kept so far",
        _ => "dropped",
    };
    Ok(json!({
        "uid": place.uid.to_string(),
        "shard": place.shard,
        "row": place.row,
        "outcome": outcome,
        "dropped_by": dropped_by,
        "reason": reason,
        "decision": decision,
        "steps_that_judged": judged,
        "steps": steps,
        "exit_code": 0,
    }))
}

/// What the verdict was measured against: the threshold, the quota, the error's sentence.
fn add_context(
    folder: &Path,
    options: &StepOptions,
    place: &Place,
    cluster: Option<i64>,
    step: &mut Map<String, Value>,
) -> Result<()> {
    match options {
        StepOptions::Filter(filter) => {
            step.insert("where".into(), filter.condition.clone().into());
        }
        StepOptions::Dedup(dedup) if !dedup.embedding.is_empty() => {
            let epsilon = dedup.epsilon.as_slice().first().copied().unwrap_or(0.0);
            step.insert("threshold_sim".into(), json!(1.0 - epsilon));
        }
        StepOptions::Judge(_) => {
            let verdicts = folder.join("verdicts.parquet");
            let keys = read_column(&verdicts, "cluster")?;
            if let Some(line) = (0..keys.len()).find(|&line| value(&keys, line).as_i64() == cluster) {
                for (column, name) in [("reason", "cluster_reason"), ("decided_by", "cluster_decided")] {
                    step.insert(name.into(), value(&read_column(&verdicts, column)?, line));
                }
            }
        }
        StepOptions::Prune(_) => {
            let quotas = folder.join("quotas.parquet");
            if quotas.exists() {
                // Without clusters there is one quota, for all.
                let cluster = step.get("cluster").and_then(Value::as_i64);
                let keys = read_column(&quotas, "cluster")?;
                let line = match cluster.filter(|_| keys.len() > 1) {
                    Some(cluster) => {
                        (0..keys.len()).find(|&line| value(&keys, line).as_i64() == Some(cluster))
                    }
                    None => (keys.len() == 1).then_some(0),
                };
                if let Some(line) = line {
                    for (column, name) in [("size", "cluster_size"), ("quota", "quota")] {
                        step.insert(name.into(), value(&read_column(&quotas, column)?, line));
                    }
                }
            }
        }
        _ => {}
    }
    let errors = folder.join("errors.parquet");
    if step["verdict"] == "dropped" && errors.exists() {
        let uid = place.uid.to_string();
        let uids = read_column(&errors, "uid")?;
        if let Some(line) = (0..uids.len()).find(|&line| value(&uids, line).as_str() == Some(&uid)) {
            step.insert("error".into(), value(&read_column(&errors, "message")?, line));
        }
    }
    Ok(())
}

/// One row of a step's table, after proof that it belongs to the sample.
fn read_row(path: &Path, place: &Place) -> Result<Map<String, Value>> {
    let fail = |text: String| Error::input(format!("{}: {text}", path.display()));
    let mut reader = open(path)?
        .with_batch_size(1)
        .with_offset(place.row)
        .with_limit(1)
        .build()
        .map_err(|error| fail(error.to_string()))?;
    let batch: RecordBatch = reader
        .next()
        .ok_or_else(|| fail(format!("no row {}", place.row)))?
        .map_err(|error| fail(error.to_string()))?;
    let mut row = Map::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        row.insert(field.name().clone(), value(column, 0));
    }
    let found = row.get("uid").and_then(Value::as_str).unwrap_or_default();
    if found != place.uid.to_string() {
        return Err(fail(format!("row {} belongs to {found}, not to {}", place.row, place.uid))
            .with_hint("the run's tables do not fit together: run the recipe again with the same --out"));
    }
    Ok(row)
}

/// One value as JSON. 16 bytes are a uid; what JSON has no word for (NaN) is null.
fn value(array: &ArrayRef, row: usize) -> Value {
    match array.as_fixed_size_binary_opt().filter(|bytes| bytes.value_length() == 16 && bytes.is_valid(row)) {
        Some(bytes) => <[u8; 16]>::try_from(bytes.value(row))
            .map_or(Value::Null, |bytes| Uid::from_bytes(bytes).to_string().into()),
        None => json_value(array, row).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_ranges_of_uids() {
        let prefix = Prefix::parse("0F").unwrap();
        assert!(prefix.matches(Uid(0x0f << 120)) && prefix.matches(Uid((0x10 << 120) - 1)));
        assert!(!prefix.matches(Uid(0x10 << 120)) && !prefix.matches(Uid((0x0f << 120) - 1)));
        assert!(!prefix.is_whole());
        let whole = Prefix::parse("0123456789abcdeffedcba9876543210").unwrap();
        assert!(whole.is_whole() && whole.matches("0123456789abcdeffedcba9876543210".parse().unwrap()));
        for text in ["", "xyz", "0123456789abcdeffedcba98765432100", "é"] {
            assert!(Prefix::parse(text).is_err(), "{text}");
        }
    }
}
