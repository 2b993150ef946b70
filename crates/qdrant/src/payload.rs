//! What a point says of its sample, as columns: the same names for the payload, for conditions on a server, and for conditions on the run.
use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use cribble_core::{Error, Result, Uid};
use cribble_io::{Dataset, is_text, uid_texts};
use cribble_outputs::{RunRows, ShardRows, json_value};
use cribble_pipeline::{RunFolder, Selection};
use qdrant_client::qdrant::FieldType;
use serde_json::{Map, Value};

use crate::point::{CONTENT, RUN};

/// Fields that every point has, before the run's own columns and after them.
const BEFORE: [&str; 2] = ["uid", RUN];
const AFTER: [&str; 3] = ["kept", "dropped_by", "reason"];

/// The payloads of a run.
pub struct Payloads<'a> {
    rows: RunRows<'a>,
    name: String,
    schema: SchemaRef,
}

/// The payloads of a shard.
pub struct ShardPayloads {
    /// The samples, in row order.
    pub uids: Vec<Uid>,
    /// Which of them the run keeps.
    pub kept: Vec<bool>,
    /// One row a sample.
    pub columns: RecordBatch,
}

impl<'a> Payloads<'a> {
    /// Of the run `name`, with the columns `more` beside the usual ones.
    ///
    /// # Errors
    /// The run is not finished; a column that does not exist, or has a name that is taken.
    pub fn open(run: &'a RunFolder, dataset: &'a Dataset, name: &str, more: &[String]) -> Result<Self> {
        let rows = RunRows::open(run, dataset, more)?;
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
        let mut fields: Vec<Field> = BEFORE.iter().map(|name| text(name, false)).collect();
        for field in rows.schema().fields() {
            if [CONTENT].iter().chain(&BEFORE).chain(&AFTER).any(|taken| field.name() == taken) {
                return Err(Error::usage(format!(
                    "the column '{}' has the name of a field that every point has",
                    field.name()
                ))
                .with_hint("give it another name in the recipe"));
            }
            let kind = if is_narrow(field.data_type()) { &DataType::Float64 } else { field.data_type() };
            fields.push(field.as_ref().clone().with_data_type(kind.clone()));
        }
        fields.push(Field::new("kept", DataType::Boolean, false));
        fields.extend([text("dropped_by", true), text("reason", true)]);
        Ok(Self { rows, name: name.into(), schema: Arc::new(Schema::new(fields)) })
    }

    /// The fields.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Names of the fields, in their order.
    pub fn names(&self) -> Vec<&str> {
        self.schema.fields().iter().map(|field| field.name().as_str()).collect()
    }

    /// The fields that hold captions.
    pub fn captions(&self) -> Vec<&str> {
        self.rows.captions()
    }

    /// The fields that a server should index, so that conditions on them are fast and allowed in strict mode: all but free text and names of
    /// single samples.
    pub(crate) fn indexed(&self) -> Vec<(&str, FieldType)> {
        let captions = self.captions();
        let is_free = |name: &str| captions.contains(&name) || ["uid", "key", "url"].contains(&name);
        let of = |field: &'_ Arc<Field>| match field.data_type() {
            DataType::Boolean => Some(FieldType::Bool),
            kind if kind.is_integer() => Some(FieldType::Integer),
            kind if kind.is_floating() => Some(FieldType::Float),
            kind if is_text(kind) && !is_free(field.name()) => Some(FieldType::Keyword),
            _ => None,
        };
        let fields = self.schema.fields().iter();
        fields.filter_map(|field| Some((field.name().as_str(), of(field)?))).collect()
    }

    /// Reads a shard.
    pub fn read(&self, shard: u32) -> Result<ShardPayloads> {
        let ShardRows { uids, selection, columns } = self.rows.read(shard)?;
        let mut arrays: Vec<ArrayRef> = vec![
            uid_texts(uids.iter().copied()),
            Arc::new(StringArray::from_iter_values(uids.iter().map(|_| &self.name))),
        ];
        for column in columns.columns() {
            arrays.push(if is_narrow(column.data_type()) { doubles(column)? } else { column.clone() });
        }
        let text = |of: fn(&Selection) -> Option<&str>| -> ArrayRef {
            Arc::new(selection.iter().map(of).collect::<StringArray>())
        };
        let kept: Vec<bool> = selection.iter().map(|row| row.keep).collect();
        arrays.push(Arc::new(BooleanArray::from(kept.clone())));
        arrays.extend([text(|row| row.dropped_by.as_deref()), text(|row| row.reason.as_deref())]);
        let columns = RecordBatch::try_new(self.schema.clone(), arrays)
            .map_err(|error| Error::input(format!("shard {shard}: {error}")))?;
        Ok(ShardPayloads { uids, kept, columns })
    }
}

/// Floats that the protocol has no type for.
fn is_narrow(kind: &DataType) -> bool {
    matches!(kind, DataType::Float16 | DataType::Float32)
}

/// Narrow floats as the doubles with the same shortest digits: a score of 0.3 is 0.3 on the server too, not 0.30000001192092896, and a
/// condition means the same there and on the run. What is not finite has no value.
fn doubles(column: &ArrayRef) -> Result<ArrayRef> {
    let values = (0..column.len()).map(|row| Ok(json_value(column, row)?.as_f64()));
    Ok(Arc::new(values.collect::<Result<Float64Array>>()?))
}

impl ShardPayloads {
    /// A row without its nulls.
    pub fn row(&self, row: usize) -> Result<Map<String, Value>> {
        let schema = self.columns.schema();
        let mut payload = Map::new();
        for (field, column) in schema.fields().iter().zip(self.columns.columns()) {
            let value = json_value(column, row)?;
            if !value.is_null() {
                payload.insert(field.name().clone(), value);
            }
        }
        Ok(payload)
    }
}
