//! What the scan of one tar yields: its samples, its fault if it has one, and counts of everything else.
use super::{TarSample, identity::UidSource};
use serde::{Deserialize, Serialize};

/// Why the reading of a tar stopped, or what is doubtful about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// The tar ends inside a header or inside data.
    Truncated {
        /// Bytes that the tar would need at least.
        needed: u64,
    },
    /// The tar ends between two members without an end mark: cut there, or written carelessly.
    NoEndMark,
    /// A header that is none, or that cannot be understood.
    BadHeader {
        /// What is wrong with it.
        why: String,
    },
    /// A sparse member: its bytes in the tar are not the bytes of the file.
    Sparse,
    /// Another archive follows the end mark (tars joined by `cat`); readers stop at the mark, so does the index.
    DataAfterEnd,
}

/// What is wrong with a tar, and where. Everything before it is in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What it is.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// The byte at which it was noticed: the header of the member in question, or the end of the file.
    pub offset: u64,
    /// The length of the tar in bytes.
    pub length: u64,
    /// The member in question, where its name is known.
    pub member: Option<String>,
    /// The key of a sample that is left out of the index because it may lack members.
    pub lost_key: Option<String>,
    /// Samples before the fault, all of them in the index.
    pub readable: u64,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            FaultKind::Truncated { needed } => {
                write!(f, "cut off: {} bytes long, at least {needed} expected", self.length)?;
            }
            FaultKind::NoEndMark => write!(f, "ends without an end mark")?,
            FaultKind::BadHeader { why } => write!(f, "broken header: {why}")?,
            FaultKind::Sparse => write!(f, "sparse members are not supported")?,
            FaultKind::DataAfterEnd => write!(f, "another archive follows the end mark and is not read")?,
        }
        write!(f, ", at byte {}", self.offset)?;
        if let Some(member) = &self.member {
            write!(f, " (member '{member}')")?;
        }
        write!(f, "; {} samples before it are readable", self.readable)?;
        if let Some(key) = &self.lost_key {
            write!(f, ", sample '{key}' may be incomplete and is left out")?;
        }
        Ok(())
    }
}

/// Entries that belong to no sample, counted by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Folders.
    pub folders: u64,
    /// Hard and symbolic links, devices, pipes: they have no data.
    pub links: u64,
    /// Files without a dot in their base name, or with nothing before it.
    pub without_key: u64,
    /// Files named `__…__`, which webdataset keeps for itself.
    pub reserved: u64,
    /// Volume labels and other vendor entries.
    pub other: u64,
}

/// Where the uids are from, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UidCounts {
    /// From the json.
    pub json: u64,
    /// Hashed: no json.
    pub no_json: u64,
    /// Hashed: json without `uid`.
    pub no_uid: u64,
    /// Hashed: `uid` malformed.
    pub bad_uid: u64,
}

impl UidCounts {
    /// Counts one sample.
    pub fn add(&mut self, source: UidSource) {
        *match source {
            UidSource::Json => &mut self.json,
            UidSource::NoJson => &mut self.no_json,
            UidSource::NoUid => &mut self.no_uid,
            UidSource::BadUid => &mut self.bad_uid,
        } += 1;
    }

    /// Uids that had to be made from shard name and key.
    pub fn hashed(&self) -> u64 {
        self.no_json + self.no_uid + self.bad_uid
    }
}

/// What one tar holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TarIndex {
    /// In the order of the tar. Two samples may have the same key when other keys, or a repeated extension, lie between them.
    pub samples: Vec<TarSample>,
    /// Where reading stopped early.
    pub fault: Option<Fault>,
    /// What belongs to no sample.
    pub skipped: Skipped,
    /// Where the uids are from.
    pub uids: UidCounts,
}
