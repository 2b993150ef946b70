//! `why`: the way of one sample through a run. Rows keep their place for ever, so once the sample's shard and row are known, each step's table
//! is read at that row alone.
use std::{fs::File, path::Path};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use cribble_core::{Error, Recipe, Result, StepOptions, Uid};
use cribble_outputs::json_value;
use cribble_pipeline::{
    DECISION, Decided, Decisions, Place, RunFolder, StepState, read_column, read_selection_at,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};

use crate::{args::WhyArgs, commands::why_text, settings::Settings};

/// What is said of a step without a table: that it has not come to the sample, or that somebody deleted what it said.
const NOT_YET: &str = "not run yet";
const GONE: &str = "its table is gone";

/// Says what every step thought of a sample.
pub fn run(settings: &Settings, args: &WhyArgs) -> Result<u8> {
    let run = RunFolder::open(&args.run)?;
    let recipe = run.recipe()?;
    let place = Place::find(&run, &args.uid)?;
    let value = describe(&run, &recipe, &place)?;
    if settings.json {
        settings.terminal.out_json("why", value);
    } else {
        settings.terminal.out(&why_text::render(&value));
    }
    Ok(super::DONE)
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let fail = |text: String| Error::input(format!("{}: {text}", path.display()));
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| fail(error.to_string()))
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
            // A complete step has judged the sample: what it said is lost.
            let is_gone = state.state == StepState::Complete;
            step.insert("verdict".into(), if is_gone { GONE } else { NOT_YET }.into());
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
    if steps.iter().any(|step| step["verdict"] == GONE) {
        // The selection still knows what became of it.
        match read_selection_at(run.path(), &place.shard, &[place.row as u64])
            .ok()
            .and_then(|mut rows| rows.pop())
        {
            Some(row) if run.manifest.finished && row.uid == place.uid => {
                dropped_by = row.dropped_by.as_deref().into();
                reason = row.reason.as_deref().into();
            }
            _ if dropped_by.is_null() => dropped_by = GONE.into(),
            _ => {}
        }
    }
    let decision = Decisions::read(run.path())?.sample(place.uid).cloned();
    let complete = steps.iter().all(|step| step["verdict"] != NOT_YET);
    if let Some(decision) = &decision {
        dropped_by = if decision.verdict == Decided::Keep { Value::Null } else { DECISION.into() };
        reason = decision.reason().into();
    }
    let is_unknown = dropped_by == GONE;
    if is_unknown {
        dropped_by = Value::Null;
    }
    let outcome = match (&dropped_by, complete) {
        _ if is_unknown => "not known",
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
