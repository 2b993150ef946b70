//! `manifest.json`: what a run folder holds and how far it got. Holds no times, so that two runs of one recipe have the same manifest.
use std::path::Path;

use cribble_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Version of everything in a run folder. A folder of another version is refused, never half-read.
pub const FORMAT_VERSION: u32 = 1;

/// How far a step got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// Some tasks may be done.
    Running,
    /// Every task is done and its report is written.
    Complete,
}

/// One step as the manifest knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestStep {
    /// Folder below `steps/`.
    pub folder: String,
    /// Kind of the step.
    pub kind: String,
    /// blake3 over format version, input fingerprint, the hashes before, folder, options and identity; hexadecimal.
    pub hash: String,
    /// How far it got.
    pub state: StepState,
    /// Folders below `embeddings/` that it writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub embeddings: Vec<String>,
}

/// The input as the manifest knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestInput {
    /// As the recipe names it.
    pub path: String,
    /// The layout that was detected.
    pub layout: String,
    /// Number of shards.
    pub shards: u64,
    /// Number of rows.
    pub rows: u64,
    /// blake3 of what identifies the input, hexadecimal.
    pub fingerprint: String,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the run folder's format.
    pub format_version: u32,
    /// Version of the program that wrote it last.
    pub program_version: String,
    /// What was read.
    pub input: ManifestInput,
    /// The steps, in order.
    pub steps: Vec<ManifestStep>,
    /// Whether selection, subset and reports are written too.
    pub finished: bool,
}

impl Manifest {
    /// Reads `folder/manifest.json`; `None` when there is none. Another format version is refused with a hint.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("manifest.json");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::wrap(ErrorKind::Input, error).context(path.display())),
        };
        let broken = |error: serde_json::Error| {
            Error::input(format!("{}: not a manifest: {error}", path.display()))
                .with_hint("restore the file, or start a new run in another folder")
        };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(broken)?;
        let version = value.get("format_version").and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(FORMAT_VERSION)) {
            let found = version.map_or_else(|| "none".to_string(), |v| v.to_string());
            return Err(Error::input(format!(
                "{}: format version {found}, this program reads and writes version {FORMAT_VERSION}",
                path.display()
            ))
            .with_hint("use the program that wrote it, or start a new run in another folder"));
        }
        serde_json::from_value(value).map(Some).map_err(broken)
    }

    /// Writes `folder/manifest.json` atomically.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| Error::bug(error.to_string()))?;
        text.push('\n');
        Ok(cribble_io::write_file(&folder.join("manifest.json"), text.as_bytes())?)
    }
}
