//! Samples that a question found, written as the input of a run of their own: tables with what the points say, and beside each an npz with their
//! vectors, which is DataComp's layout. Everything that reads an input reads it.
use std::{collections::HashMap, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, StringArray},
    datatypes::{DataType, Field, Schema},
};
use cribble_core::{Cancel, Error, Progress, Result, Uid};
use cribble_io::{StagedFolder, TableWriter, tar::Sorted, write_npz};
use half::f16;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Store, VectorSpace, point::CONTENT};

/// Rows of a shard. All of its vectors are in memory once as they come and once as a file.
const SHARD_ROWS: usize = 4096;
/// What a run says of its samples itself: of the run that they are from it is put under these names.
const RENAMED: [(&str, &str); 4] = [
    ("run", "source_run"),
    ("kept", "source_kept"),
    ("dropped_by", "source_dropped_by"),
    ("reason", "source_reason"),
];
/// Similarity to what was asked for.
const SIMILARITY: &str = "similarity";

/// A sample with everything that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    /// The sample.
    pub uid: Uid,
    /// Its payload, without fields that have no value.
    pub payload: Map<String, Value>,
    /// Its vectors, of unit length, in the order in which they were asked for; `None` where it has none.
    pub vectors: Vec<Option<Vec<f32>>>,
}

/// What was written.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PullReport {
    /// Rows.
    pub rows: u64,
    /// Samples that were found first and were gone when they were fetched.
    pub gone: u64,
    /// Vectors.
    pub vectors: Vec<String>,
    /// Columns.
    pub columns: Vec<String>,
}

/// What is pulled.
pub struct Pull<'a> {
    /// Where the samples are.
    pub store: &'a dyn Store,
    /// The fields of their payloads.
    pub schema: &'a Schema,
    /// Their vectors.
    pub spaces: &'a [VectorSpace],
    /// Similarities to what was asked for; without a question, none.
    pub similarities: Option<&'a HashMap<Uid, f32>>,
}

/// Writes the samples of `uids`, in that order and each once, into `out`. The folder appears when it is whole.
///
/// # Errors
/// No sample; `out` is not empty; the store fails.
pub fn pull_rows(
    pull: &Pull<'_>,
    uids: Sorted<16>,
    out: &Path,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<PullReport> {
    let staged = StagedFolder::create(out)?;
    let fields = fields(pull);
    let mut report = PullReport {
        vectors: pull.spaces.iter().map(|space| space.name.clone()).collect(),
        columns: fields.iter().map(|(_, field)| field.name().clone()).collect(),
        ..PullReport::default()
    };
    let mut uids = uids.map(|bytes| bytes.map(Uid::from_bytes)).peekable();
    let (mut shard, mut last) = (0, None);
    progress.begin("pull", 0, "rows");
    while uids.peek().is_some() {
        cancel.check()?;
        let mut wanted = Vec::new();
        while wanted.len() < SHARD_ROWS
            && let Some(uid) = uids.next().transpose()?
        {
            if last.replace(uid) != Some(uid) {
                wanted.push(uid);
            }
        }
        let points = pull.store.fetch(&wanted, pull.spaces)?;
        report.gone += (wanted.len() - points.len()) as u64;
        report.rows += points.len() as u64;
        progress.advance(points.len() as u64);
        if !points.is_empty() {
            write(&staged.path().join(format!("{shard:08}")), &fields, pull, &points)?;
            shard += 1;
        }
    }
    progress.end();
    if report.rows == 0 {
        return Err(Error::input("no sample answers: nothing was written")
            .with_hint("`qdrant query` with the same words shows what is found"));
    }
    staged.commit()?;
    Ok(report)
}

/// The columns, each with the field of the payload that it is from.
fn fields(pull: &Pull<'_>) -> Vec<(String, Field)> {
    let column = |field: &Arc<Field>| {
        let kind = match field.data_type() {
            DataType::Boolean => DataType::Boolean,
            kind if kind.is_integer() => DataType::Int64,
            kind if kind.is_floating() => DataType::Float64,
            // Lists and the like as JSON.
            _ => DataType::Utf8,
        };
        let renamed = RENAMED.iter().find(|(own, _)| own == field.name()).map(|(_, name)| *name);
        (field.name().clone(), Field::new(renamed.unwrap_or(field.name()), kind, true))
    };
    let fields = pull.schema.fields().iter().filter(|field| field.name() != CONTENT);
    let similarity = pull.similarities.map(|_| Field::new(SIMILARITY, DataType::Float32, true));
    fields.map(column).chain(similarity.map(|field| (String::new(), field))).collect()
}

fn write(stem: &Path, fields: &[(String, Field)], pull: &Pull<'_>, points: &[Pulled]) -> Result<()> {
    let column = |(name, field): &(String, Field)| -> ArrayRef {
        let values = points.iter().map(|point| point.payload.get(name));
        match field.data_type() {
            DataType::Boolean => Arc::new(values.map(|value| value?.as_bool()).collect::<BooleanArray>()),
            DataType::Int64 => Arc::new(values.map(|value| value?.as_i64()).collect::<Int64Array>()),
            DataType::Float64 => Arc::new(values.map(|value| value?.as_f64()).collect::<Float64Array>()),
            DataType::Float32 => {
                let similarity = |point: &Pulled| pull.similarities?.get(&point.uid).copied();
                Arc::new(points.iter().map(similarity).collect::<Float32Array>())
            }
            _ => Arc::new(values.map(|value| value.map(text)).collect::<StringArray>()),
        }
    };
    let schema = Schema::new(fields.iter().map(|(_, field)| field.clone()).collect::<Vec<_>>());
    let mut table = TableWriter::create(stem.with_extension("parquet"), Arc::new(schema))?;
    table.write_columns(fields.iter().map(column).collect())?;
    table.finish()?;
    let mut arrays: Vec<Vec<f16>> = vec![Vec::new(); pull.spaces.len()];
    for point in points {
        for ((array, vector), space) in arrays.iter_mut().zip(&point.vectors).zip(pull.spaces) {
            match vector {
                Some(values) => array.extend(values.iter().map(|value| f16::from_f32(*value))),
                // As in every embedding: zeros where there is no vector.
                None => array.resize(array.len() + space.dim, f16::ZERO),
            }
        }
    }
    let named = pull.spaces.iter().zip(&arrays);
    let named: Vec<(&str, usize, &[f16])> =
        named.map(|(space, values)| (space.name.as_str(), space.dim, values.as_slice())).collect();
    Ok(write_npz(&stem.with_extension("npz"), &named)?)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
