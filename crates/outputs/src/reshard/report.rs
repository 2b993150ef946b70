//! What a reshard has to say: one value for the terminal, `reshard.json` and tests.
use super::members::CaptionCounts;
use cribble_core::Txt;
use cribble_io::tar::{Fault, Skipped, UidCounts};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The reconcile table and everything around it. Always: `requested = found + missing`, `written = found` (0 for a dry run), and
/// `input_samples = found_distinct + not_requested + repeated_in_input`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReshardReport {
    /// Samples asked for, copies counted.
    pub requested: u64,
    /// Distinct uids asked for.
    pub requested_distinct: u64,
    /// Of `requested`, those that are in a readable part of a tar.
    pub found: u64,
    /// Of `requested_distinct`, those found.
    pub found_distinct: u64,
    /// Samples in the output tars, copies counted.
    pub written: u64,
    /// Of `requested`, those not found.
    pub missing: u64,
    /// Of `requested_distinct`, those not found.
    pub missing_distinct: u64,
    /// `missing_distinct` by cause.
    pub missing_by_cause: BTreeMap<String, u64>,
    /// Tars read.
    pub input_tars: u64,
    /// Samples in them.
    pub input_samples: u64,
    /// Samples in them that nobody asked for.
    pub not_requested: u64,
    /// Further places of uids that were found already; not written.
    pub repeated_in_input: u64,
    /// Where the uids of the input are from.
    pub uids: UidCounts,
    /// Entries of the input tars that belong to no sample.
    pub skipped: Skipped,
    /// Tars that could not be read to their end.
    pub faults: Vec<TarFault>,
    /// Samples whose key would have occurred twice and was made unique.
    pub renamed_keys: u64,
    /// The shards of the output.
    pub shards: Vec<ShardReport>,
    /// What became of new captions, where there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captions: Option<CaptionReport>,
    /// Bytes of the output tars.
    pub bytes: u64,
    /// Things a person should know.
    pub warnings: Vec<String>,
    /// Stands for the input, the subset and the options: the same hash gives the same bytes.
    pub plan_hash: String,
    /// Whether this was a dry run.
    pub dry_run: bool,
    /// Shards that an earlier run had finished. Not part of `reshard.json`, which is the same however often a run was interrupted.
    #[serde(skip)]
    pub reused_shards: u64,
}

impl ReshardReport {
    /// Whether every requested sample was found.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }
}

/// One output tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardReport {
    /// File name.
    pub name: String,
    /// Samples in it.
    pub samples: u64,
    /// Bytes; for a dry run the bound that the plan used.
    pub bytes: u64,
    /// Stands for its contents.
    pub hash: String,
    /// What became of new captions in it, where there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captions: Option<CaptionCounts>,
}

/// The captions of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptionReport {
    /// The fields that `.json` members have now.
    pub fields: Vec<String>,
    /// The fields to train on, the first that a sample has: what open_clip's `--json-text-key` takes.
    pub text_keys: Vec<String>,
    /// What stands in the `.txt` members.
    pub txt: Txt,
    /// All zero for a dry run.
    #[serde(flatten)]
    pub counts: CaptionCounts,
}

/// A tar with something wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TarFault {
    /// The tar.
    pub path: PathBuf,
    /// What and where.
    #[serde(flatten)]
    pub fault: Fault,
}

impl std::fmt::Display for TarFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.fault)
    }
}
