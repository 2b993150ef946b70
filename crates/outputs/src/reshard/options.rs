//! What a reshard is asked to do. The defaults are DataComp's.
use cribble_core::{Error, Result, Txt};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How samples are called in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStyle {
    /// As in the input.
    #[default]
    Original,
    /// `{uid}-{j}`, j counting copies from 0: DataComp's way.
    Uid,
}

/// Options of [`super::reshard`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReshardOptions {
    /// Folders of tars, or single tars. Their order is the order of the output; inside a folder, tars are ordered by name.
    pub input: Vec<PathBuf>,
    /// The subset file, of any format.
    pub subset: PathBuf,
    /// The folder to write; created when missing.
    pub output: PathBuf,
    /// Samples in a shard; the last one may have fewer.
    pub shard_size: u64,
    /// Bytes of a tar beyond which it is cut earlier. A single larger sample still gets its shard.
    pub max_shard_bytes: u64,
    /// How samples are called.
    pub keys: KeyStyle,
    /// What stands in `.txt` members; other than the original only with captions.
    #[serde(skip_serializing_if = "is_original")]
    pub txt: Txt,
    /// Missing samples are no failure. They are reported all the same.
    pub allow_missing: bool,
    /// Names of the shards: text with one `{}` or `{:0Nd}`, ending in `.tar`.
    pub shard_format: String,
    /// Threads; 0 means one for every core.
    pub threads: usize,
    /// Bounds the memory of sorting.
    pub memory_bytes: usize,
    /// Plan and report, write nothing into the output.
    pub dry_run: bool,
    /// Replace an earlier result of another plan in the output folder. Only files that it wrote are removed.
    pub overwrite: bool,
    /// Where the index of the input is kept (`images/` of a run), so that it serves again. Without it: in the output while at work.
    pub index: Option<PathBuf>,
    /// Most bytes of one read while indexing.
    pub read_ahead: usize,
}

impl Default for ReshardOptions {
    fn default() -> Self {
        Self {
            input: Vec::new(),
            subset: PathBuf::new(),
            output: PathBuf::new(),
            shard_size: 10_000,
            max_shard_bytes: 3_000_000_000,
            keys: KeyStyle::Original,
            txt: Txt::Original,
            allow_missing: false,
            shard_format: "{:08d}.tar".into(),
            threads: 0,
            memory_bytes: 256 << 20,
            dry_run: false,
            overwrite: false,
            index: None,
            read_ahead: 8 << 10,
        }
    }
}

/// What was not asked for is not recorded, so that outputs without captions keep their bytes.
fn is_original(txt: &Txt) -> bool {
    *txt == Txt::Original
}

/// A parsed [`ReshardOptions::shard_format`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFormat {
    before: String,
    width: usize,
    after: String,
}

impl ShardFormat {
    /// Parses `{:08d}.tar` and the like.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(format!(
                "shard format '{text}': expected a file name with one {{:08d}} in it, ending in .tar"
            ))
            .with_hint("the default is {:08d}.tar")
        };
        let (before, rest) = text.split_once('{').ok_or_else(wrong)?;
        let (number, after) = rest.split_once('}').ok_or_else(wrong)?;
        let width = match number.strip_prefix(':').map(|n| n.strip_suffix('d').unwrap_or(n)) {
            None if number.is_empty() => 0,
            Some(width) => width.strip_prefix('0').unwrap_or(width).parse().map_err(|_| wrong())?,
            None => return Err(wrong()),
        };
        // Hidden names are left out of listings, so a hidden shard would be lost.
        let is_wrong =
            after.contains(['{', '}', '/']) || before.contains(['}', '/']) || before.starts_with('.');
        if is_wrong || !after.ends_with(".tar") || width > 20 {
            return Err(wrong());
        }
        Ok(Self { before: before.into(), width, after: after.into() })
    }

    /// The name of a shard.
    pub fn name(&self, number: u64) -> String {
        format!("{}{number:0width$}{}", self.before, self.after, width = self.width)
    }

    /// The name of its stats file.
    pub fn stats_name(&self, number: u64) -> String {
        let tar = self.name(number);
        format!("{}_stats.json", tar.strip_suffix(".tar").unwrap_or(&tar))
    }
}
