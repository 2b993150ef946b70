//! What makes an input the same input. Contents would be hundreds of gigabytes and times change when a folder is copied, so it is the
//! shard names, the lengths of the files, and pieces of their bytes.
use super::part::Part;
use crate::{Result, SourceFile, Storage};
use std::collections::BTreeSet;

const HEAD: usize = 4 * 1024;
/// Footers of parquet and directories of zip files lie here; both hold statistics or checksums of everything before them.
const TAIL: usize = 64 * 1024;
const PIECES: u64 = 8;
const PIECE: usize = 4 * 1024;

/// blake3 over every part in order: name, rows, and of each file its name without folders, its length, its first 4 KiB, its last
/// 64 KiB and 8 pieces of 4 KiB at even distances. A change between the pieces that keeps length and footer is not seen. Copying
/// the folder or touching its files changes nothing.
pub(super) fn fingerprint(storage: &dyn Storage, parts: &[Part], extra: &str) -> Result<[u8; 32]> {
    let mut hash = blake3::Hasher::new();
    let text = |hash: &mut blake3::Hasher, text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    text(&mut hash, "cribble-input-1");
    text(&mut hash, extra);
    let mut seen = BTreeSet::new();
    for part in parts {
        text(&mut hash, &part.name);
        hash.update(&part.row_count.to_le_bytes());
        hash.update(&part.identity.unwrap_or_default());
        for location in &part.files {
            // The virtual shards of one big file share it: once is enough.
            if !seen.insert(location) {
                continue;
            }
            let file = SourceFile::open(storage, location)?;
            text(&mut hash, &location.file_name());
            hash.update(&file.len().to_le_bytes());
            hash.update(&file.read_range(0, HEAD)?);
            hash.update(&file.read_range(file.len().saturating_sub(TAIL as u64), TAIL)?);
            if file.len() > (HEAD + TAIL) as u64 {
                for piece in 1..=PIECES {
                    hash.update(&file.read_range(file.len() / (PIECES + 1) * piece, PIECE)?);
                }
            }
        }
    }
    Ok(*hash.finalize().as_bytes())
}
