//! Where a sample of a run stands: found by its uid, or by the first characters of it.
use std::path::{Path, PathBuf};

use cribble_core::{Error, Result, Uid};
use cribble_io::{RowChoice, tables};
use rayon::prelude::*;

use crate::{
    RunFolder,
    view::{SELECTED_ANEW, not_whole},
};

/// Samples that an ambiguous prefix lists.
const MOST_LISTED: usize = 5;

/// Where a sample stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The sample.
    pub uid: Uid,
    /// Name of its shard.
    pub shard: String,
    /// Its row in the shard.
    pub row: usize,
}

impl Place {
    /// Finds a sample by its uid or the beginning of it.
    pub fn find(run: &RunFolder, text: &str) -> Result<Self> {
        let wanted = Prefix::parse(text)?;
        let tables = tables(run)?;
        let found: Vec<Place> = tables
            .par_iter()
            .map(|(shard, path)| {
                let uids = read_uids(path)?;
                let rows = uids.iter().enumerate().filter(|(_, uid)| wanted.matches(**uid));
                Ok(rows.map(|(row, uid)| Place { uid: *uid, shard: shard.clone(), row }).collect::<Vec<_>>())
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        let mut distinct: Vec<Uid> = found.iter().map(|place| place.uid).collect();
        distinct.sort_unstable();
        distinct.dedup();
        match distinct.as_slice() {
            [] => Err(Error::input(format!("no sample of this run has the uid {}{}", text, if wanted.is_whole() { "" } else { "…" }))
                .with_hint("`cribble check` on the input says whether it holds the sample; subset.npy and selection/ list uids")),
            [_] => found.into_iter().next().ok_or_else(|| Error::bug("a place was lost")),
            several => {
                let shown: Vec<String> = several.iter().take(MOST_LISTED).map(Uid::to_string).collect();
                let more = several.len().saturating_sub(MOST_LISTED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                Err(Error::usage(format!("{} samples begin with {text}: {}{more}", several.len(), shown.join(", ")))
                    .with_hint("give more characters"))
            }
        }
    }
}

/// The first characters of a uid, as a range of numbers.
struct Prefix {
    first: u128,
    last: u128,
}

impl Prefix {
    fn parse(text: &str) -> Result<Self> {
        let hexadecimal = text.chars().all(|c| c.is_ascii_hexdigit());
        if text.is_empty() || text.len() > 32 || !hexadecimal {
            return Err(Error::usage(format!("'{text}' is no uid and no beginning of one")).with_hint(
                "a uid has 32 characters, 0 to 9 and a to f; its first ones do, where they are unique",
            ));
        }
        let first = u128::from_str_radix(&format!("{text:0<32}"), 16)
            .map_err(|_| Error::bug("a uid that was checked does not parse"))?;
        // Shifting by 128 would be one too many: a whole uid leaves nothing open.
        let open = if text.len() == 32 { 0 } else { u128::MAX >> (4 * text.len()) };
        Ok(Self { first, last: first | open })
    }

    fn matches(&self, uid: Uid) -> bool {
        (self.first..=self.last).contains(&uid.0)
    }

    fn is_whole(&self) -> bool {
        self.first == self.last
    }
}

/// One table for each shard that proves which uid stands where: the selection's, or a step's where there is no whole selection.
fn tables(run: &RunFolder) -> Result<Vec<(String, PathBuf)>> {
    let selection = run.path().join("selection");
    let steps = (0..run.manifest.steps.len()).map(|index| run.step_folder(index));
    let is_selected = run.manifest.finished || run.manifest.steps.is_empty();
    // All of them say the same. Where somebody deleted tables, another folder may still have them.
    let folders = is_selected.then_some(selection.clone()).into_iter().chain(steps);
    let mut best = Vec::new();
    for folder in folders {
        let found = tables_in(&folder);
        if found.len() > best.len() {
            best = found;
        }
        if best.len() as u64 >= run.manifest.input.shards {
            return Ok(best);
        }
    }
    match (best.is_empty(), run.manifest.finished) {
        (true, false) => Err(Error::input(format!("{} has judged nothing yet", run.path().display()))
            .with_hint("run its recipe with `cribble run` and the same --out")),
        (_, true) => Err(not_whole(&selection, SELECTED_ANEW)),
        (false, false) => Ok(best),
    }
}

fn tables_in(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut tables: Vec<(String, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .filter(|(name, path)| !name.starts_with('.') && has_verdicts(path))
        .collect();
    tables.sort();
    tables
}

/// Tables of clusters, quotas and errors lie beside the shards' ones.
fn has_verdicts(path: &Path) -> bool {
    let Ok(table) = tables::TableReader::open(path) else { return false };
    table.schema().field_with_name("keep").is_ok() && table.schema().field_with_name("uid").is_ok()
}

fn read_uids(path: &Path) -> Result<Vec<Uid>> {
    Ok(tables::TableReader::open(path)?.uids(&RowChoice::All)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_ranges_of_uids() {
        let prefix = Prefix::parse("0F").unwrap();
        assert!(prefix.matches(Uid(0x0f << 120)) && prefix.matches(Uid((0x10 << 120) - 1)));
        assert!(!prefix.matches(Uid(0x10 << 120)) && !prefix.matches(Uid((0x0f << 120) - 1)));
        assert!(!prefix.is_whole());
        let whole = Prefix::parse("0123456789abcdeffedcba9876543210").unwrap();
        assert!(whole.is_whole() && whole.matches("0123456789abcdeffedcba9876543210".parse().unwrap()));
        for text in ["", "xyz", "0123456789abcdeffedcba98765432100", "é"] {
            assert!(Prefix::parse(text).is_err(), "{text}");
        }
    }
}
