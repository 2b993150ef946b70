//! Uids that occur more than once, counted exactly in bounded memory: the uids are split by hash, and each pass over the dataset sorts
//! one part of them. No temporary file is needed, only more passes when memory is short.
use super::{DuplicateUid, Duplicates, Place};
use crate::{Dataset, Result};
use cribble_core::Uid;

/// Examples that are reported.
const SHOWN: usize = 10;
/// Places that are reported of each.
const SHOWN_PLACES: usize = 3;
/// Seed of the split; any number would do.
const SPLIT_SEED: u64 = 0x64_7570;

type Entry = (Uid, u32, u64);

/// Ordered by its first place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Example {
    places: Vec<(u32, u64)>,
    uid: Uid,
    times: u64,
}

pub(super) fn find(dataset: &Dataset, memory_bytes: u64) -> Result<Duplicates> {
    let wanted = dataset.rows() * std::mem::size_of::<Entry>() as u64;
    // Parts differ in size by chance, and the list grows by doubling: half of the memory is planned for.
    let parts = wanted.div_ceil((memory_bytes / 2).max(1 << 20)).max(1);
    let mut found = Duplicates::default();
    let mut examples: Vec<Example> = Vec::new();
    for part in 0..parts {
        let mut entries: Vec<Entry> = Vec::with_capacity((dataset.rows() / parts) as usize);
        for shard in dataset.shards() {
            for (row, uid) in (0..).zip(dataset.uids(shard.index)?) {
                if parts == 1 || uid.mix(SPLIT_SEED) % parts == part {
                    entries.push((uid, shard.index, row));
                }
            }
        }
        entries.sort_unstable();
        for group in entries.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
            found.uids += 1;
            found.extra_rows += group.len() as u64 - 1;
            let places = group.iter().take(SHOWN_PLACES).map(|&(_, shard, row)| (shard, row)).collect();
            examples.push(Example { places, uid: group[0].0, times: group.len() as u64 });
            if examples.len() > 4096 {
                examples.sort_unstable();
                examples.truncate(SHOWN);
            }
        }
    }
    examples.sort_unstable();
    examples.truncate(SHOWN);
    let place =
        |(shard, row): (u32, u64)| Place { shard: dataset.shards()[shard as usize].name.clone(), row };
    found.first = examples
        .into_iter()
        .map(|example| DuplicateUid {
            uid: example.uid.to_string(),
            times: example.times,
            places: example.places.into_iter().map(place).collect(),
        })
        .collect();
    Ok(found)
}
