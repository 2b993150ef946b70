//! What phase `score` leaves for the phases after it: one small table a shard, and the logit scale.
use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, StringArray},
    datatypes::{DataType, Field, Float32Type, Schema},
};
use cribble_core::{Error, ErrorKind, Result};
use cribble_pipeline::{StepContext, read_column, write_columns};
use serde::{Deserialize, Serialize};

use super::score::Scored;
use crate::values::{from_value, to_value};

/// How well a caption fits its image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Cosine of what the model reads of the caption.
    pub sim: f32,
    /// The highest of all its windows.
    pub window: f32,
    /// Whether the caption is longer than the model reads.
    pub is_cut: bool,
}

impl Fit {
    /// Before anything was encoded.
    pub const NONE: Self = Self { sim: f32::NEG_INFINITY, window: f32::NEG_INFINITY, is_cut: false };

    /// Enters the cosine of a window.
    pub fn add(&mut self, cosine: f32, is_first: bool) {
        if is_first {
            self.sim = cosine;
        }
        self.window = self.window.max(cosine);
    }
}

/// Why a row could not be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub code: String,
    pub message: String,
}

impl Fault {
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// What similarities are multiplied by before the softmax.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    pub value: f32,
    /// Whether the model has none.
    pub is_assumed: bool,
}

impl Scale {
    fn path(context: &StepContext<'_>) -> PathBuf {
        context.scratch("scale.json")
    }

    /// Every task of the phase writes the same.
    pub fn write(self, context: &StepContext<'_>) -> Result<()> {
        Ok(cribble_io::write_file(&Self::path(context), to_value(&self)?.to_string().as_bytes())?)
    }

    pub fn read(context: &StepContext<'_>) -> Result<Self> {
        read_json(&Self::path(context))
    }
}

/// Reads a scratch file.
pub fn read_json<T: for<'de> Deserialize<'de>>(path: &std::path::Path) -> Result<T> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Input, format!("{}: {error}", path.display()))
            .with_hint("delete the step's folder and run again")
    };
    let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
    from_value(serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?)
}

/// The scores of a shard: per row nothing where an earlier step dropped it.
#[derive(Debug, PartialEq)]
pub struct Scores {
    columns: usize,
    pub rows: Vec<Option<Scored>>,
}

impl Scores {
    pub fn new(rows: usize, columns: usize) -> Self {
        Self { columns, rows: vec![None; rows] }
    }

    pub fn set(&mut self, row: usize, scored: Scored) {
        self.rows[row] = Some(scored);
    }

    fn path(context: &StepContext<'_>, shard: u32) -> PathBuf {
        context.scratch(format!("scores/{shard:08}.parquet"))
    }

    /// The fit of a caption, where the row was judged and has it.
    fn fit(&self, row: usize, column: usize) -> Option<Fit> {
        self.rows[row].as_ref()?.as_ref().ok()?[column]
    }

    pub fn write(&self, context: &StepContext<'_>, shard: u32) -> Result<()> {
        let count = self.rows.len();
        let fault = |pick: &dyn Fn(&Fault) -> &str| -> ArrayRef {
            let faults = self.rows.iter().map(|row| row.as_ref().and_then(|row| row.as_ref().err()));
            Arc::new(faults.map(|fault| fault.map(pick)).collect::<StringArray>())
        };
        let judged = self.rows.iter().map(|row| Some(matches!(row, Some(Ok(_)))));
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("judged".into(), Arc::new(judged.collect::<BooleanArray>())),
            ("code".into(), fault(&|fault| &fault.code)),
            ("message".into(), fault(&|fault| &fault.message)),
        ];
        for column in 0..self.columns {
            let floats = |pick: &dyn Fn(Fit) -> f32| -> ArrayRef {
                Arc::new((0..count).map(|row| self.fit(row, column).map(pick)).collect::<Float32Array>())
            };
            let cut = (0..count).map(|row| self.fit(row, column).map(|fit| fit.is_cut));
            columns.push((format!("sim_{column}"), floats(&|fit| fit.sim)));
            columns.push((format!("window_{column}"), floats(&|fit| fit.window)));
            columns.push((format!("cut_{column}"), Arc::new(cut.collect::<BooleanArray>())));
        }
        let field = |(name, array): &(String, ArrayRef)| Field::new(name, array.data_type().clone(), true);
        let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        write_columns(&Self::path(context, shard), schema, arrays)
    }

    /// Reads what `write` wrote.
    pub fn read(context: &StepContext<'_>, shard: u32, columns: usize) -> Result<Self> {
        let path = Self::path(context, shard);
        let read = |name: &str, kind: &DataType| -> Result<ArrayRef> {
            read_column(&path, name).and_then(|array| match array.data_type() == kind {
                true => Ok(array),
                false => Err(Error::bug(format!("{}: {name} is {}", path.display(), array.data_type()))),
            })
        };
        let (judged, code, message) = (
            read("judged", &DataType::Boolean)?,
            read("code", &DataType::Utf8)?,
            read("message", &DataType::Utf8)?,
        );
        let fits = (0..columns)
            .map(|column| {
                let floats = |kind: &str| read(&format!("{kind}_{column}"), &DataType::Float32);
                Ok((floats("sim")?, floats("window")?, read(&format!("cut_{column}"), &DataType::Boolean)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let row = |row: usize| -> Option<Scored> {
            if code.is_valid(row) {
                let text = |array: &ArrayRef| array.as_string::<i32>().value(row).to_owned();
                return Some(Err(Fault { code: text(&code), message: text(&message) }));
            }
            let fit = |(sim, window, cut): &(ArrayRef, ArrayRef, ArrayRef)| {
                sim.is_valid(row).then(|| Fit {
                    sim: sim.as_primitive::<Float32Type>().value(row),
                    window: window.as_primitive::<Float32Type>().value(row),
                    is_cut: cut.as_boolean().value(row),
                })
            };
            judged.as_boolean().value(row).then(|| Ok(fits.iter().map(fit).collect()))
        };
        Ok(Self { columns, rows: (0..judged.len()).map(row).collect() })
    }

    /// The similarities of the original captions alone, for each row that was judged.
    pub fn read_originals(context: &StepContext<'_>, shard: u32) -> Result<Vec<Option<f32>>> {
        let path = Self::path(context, shard);
        let (judged, sims) = (read_column(&path, "judged")?, read_column(&path, "sim_0")?);
        let sims = sims.as_primitive::<Float32Type>();
        Ok(judged
            .as_boolean()
            .values()
            .set_indices()
            .map(|row| sims.is_valid(row).then(|| sims.value(row)))
            .collect())
    }
}
