//! Which format a subset file has. The bytes decide before the name: density-based pruning calls its pickle `…_trie.txt`, and headerless
//! files are called `.npy` by some.
use crate::{IoError, Result, SourceFile};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The formats of subset files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SubsetFormat {
    /// NumPy, dtype `u8,u8`: the high and the low half of each uid.
    Npy,
    /// The bytes of `Npy` without the header.
    Raw,
    /// One uid a line.
    Txt,
    /// Comma-separated with a header line that names a column `uid`.
    Csv,
    /// Parquet with a column `uid`: text, or 16 bytes.
    Parquet,
    /// A pickled `pygtrie.StringTrie` with uids as keys; its values count the copies.
    Trie,
}

impl SubsetFormat {
    /// The format that a file of this name is written in: by its extension. `None` when that says nothing.
    pub fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "npy" => Self::Npy,
            "bin" | "raw" | "memmap" => Self::Raw,
            "txt" => Self::Txt,
            "csv" => Self::Csv,
            "parquet" => Self::Parquet,
            "pkl" | "pickle" | "trie" => Self::Trie,
            _ => return None,
        })
    }

    /// The format of a file that exists: magic bytes first, then text against binary, then the name.
    pub fn detect(file: &SourceFile) -> Result<Self> {
        let start = file.read_range(0, 4096)?;
        let named = Self::of_name(file.path());
        if start.starts_with(b"\x93NUMPY") {
            return Ok(Self::Npy);
        }
        if start.starts_with(b"PAR1") {
            return Ok(Self::Parquet);
        }
        let looks_raw = file.len().is_multiple_of(16);
        // Two bytes of a uid can look like the start of a pickle; a name that promises bare bytes settles it.
        let is_named_raw = looks_raw && matches!(named, Some(Self::Npy | Self::Raw));
        if matches!(start[..], [0x80, 2..=5, ..]) && !is_named_raw {
            return Ok(Self::Trie);
        }
        let strange =
            start.iter().filter(|&&byte| byte < 9 || (14..32).contains(&byte) || byte == 127).count();
        let foreign = start.iter().filter(|&&byte| byte >= 128).count();
        let is_text = strange == 0 && (start.len() < 16 || foreign <= start.len() / 4);
        if start.is_empty() {
            return Ok(named.unwrap_or(Self::Txt));
        }
        if named == Some(Self::Trie) {
            return Ok(Self::Trie);
        }
        if is_text && !is_named_raw {
            let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let is_csv = line.contains(&b',') || names_uid(line);
            return Ok(if is_csv { Self::Csv } else { Self::Txt });
        }
        if looks_raw {
            return Ok(Self::Raw);
        }
        Err(IoError::malformed(
            file.path(),
            "subset file",
            None,
            "npy (u8,u8), headerless pairs of u64, txt, csv, parquet or a pygtrie pickle",
            format!("{} bytes of something else", file.len()),
        ))
    }
}

/// Whether a line is nothing but the word `uid`, perhaps in quotes.
fn names_uid(line: &[u8]) -> bool {
    line.trim_ascii().strip_prefix(b"\xef\xbb\xbf").unwrap_or(line.trim_ascii()).trim_ascii() == b"uid"
        || line.trim_ascii() == b"\"uid\""
}
