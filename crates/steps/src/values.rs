//! What tasks leave for `finish`: plain data as JSON, in their markers.
use cribble_core::{Error, Result};
use serde::{Deserialize, Serialize};

pub(crate) fn to_value(value: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| Error::bug(error.to_string()))
}

pub(crate) fn from_value<T: for<'de> Deserialize<'de>>(value: serde_json::Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::bug(format!("a task's marker: {error}")))
}
