//! Exact duplicates: samples with the same `sha256`, or the same image bytes. They meet by hash, so memory is one bucket of hashes. Of equal
//! samples the first in the input stays, or the best by a column.
use std::sync::Arc;

use arrow::{
    array::{AsArray, StringArray},
    compute::cast,
    datatypes::DataType,
};
use cribble_core::{Error, Keep, Result, Uid};
use cribble_pipeline::{GlobalRow, ScatterReader, ScatterWriter, StepContext, TaskOutput};

use super::Dedup;
use crate::{best_column::best_values, order::OrderKey};

/// Partitions of the hashes.
const PARTITIONS: u32 = 256;
/// Rows that one bucket should have; the number of buckets follows from the rows alone, so that a resumed run cuts alike.
const BUCKET_ROWS: u64 = 2 << 20;

/// What is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Sha256,
    Bytes,
}

/// A row that meets those of the same hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Hashed {
    hash: [u8; 16],
    order: OrderKey,
    uid: [u8; 16],
}

/// A row that has an equal before it.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Loser {
    pub row: u32,
    pad: u32,
    pub of: [u8; 16],
}

/// Number of buckets of hashes.
pub fn buckets(context: &StepContext<'_>) -> Result<u32> {
    Ok(context.kept_rows()?.div_ceil(BUCKET_ROWS).clamp(1, u64::from(PARTITIONS)) as u32)
}

/// Refuses `exact = "bytes"` where there are no images.
pub fn require_images(context: &StepContext<'_>) -> Result<()> {
    if context.images.is_some() {
        return Ok(());
    }
    Err(Error::usage("exact = \"bytes\" needs the images")
        .with_hint("set images = \"…\" in [input] to the tars"))
}

impl Dedup {
    /// The order among equal samples: best by a column, else first in the input.
    fn exact_keep(&self) -> Keep {
        match &self.options.keep {
            Keep::Best(column) => Keep::Best(column.clone()),
            _ => Keep::Hard,
        }
    }

    pub(super) fn hash(&self, context: &StepContext<'_>, shard: u32) -> Result<TaskOutput> {
        let uids = context.uids(shard)?;
        let kept = context.kept(shard, &uids)?;
        let keep = self.exact_keep();
        let mut output = TaskOutput::default();
        let (mut keys, mut records) = (Vec::new(), Vec::new());
        let hashes = match self.exact(context)? {
            None => vec![None; uids.len()],
            Some(Source::Sha256) => column_hashes(context, shard)?,
            Some(Source::Bytes) => super::gather::image_hashes(context, &uids, &kept, &mut output)?,
        };
        let values = best_values(context, shard, &keep)?;
        for row in (0..uids.len()).filter(|&row| kept[row]) {
            let Some(hash) = hashes[row] else { continue };
            let value = values.as_ref().and_then(|values| values[row]);
            let global = GlobalRow::new(shard, row as u32);
            let order = OrderKey::new(&keep, self.options.seed, uids[row], global, 0.0, value);
            keys.push(u32::from(hash[0]));
            let record = Hashed { hash, order, uid: uids[row].to_bytes() };
            records.extend_from_slice(bytemuck::bytes_of(&record));
        }
        let mut writer = ScatterWriter::create(
            &context.scratch(format!("hashes/{shard:08}")),
            PARTITIONS,
            size_of::<Hashed>(),
        )?;
        writer.push_run(&keys, &records)?;
        writer.commit()?;
        Ok(output)
    }

    pub(super) fn match_hashes(&self, context: &StepContext<'_>, bucket: u32) -> Result<TaskOutput> {
        let buckets = buckets(context)?;
        let range = bucket * PARTITIONS / buckets..(bucket + 1) * PARTITIONS / buckets;
        let mut bytes = Vec::new();
        for shard in 0..context.shards() {
            context.cancel.check()?;
            ScatterReader::open(&context.scratch(format!("hashes/{shard:08}")))?
                .read(range.clone(), &mut bytes)?;
        }
        let mut rows: Vec<Hashed> =
            bytes.chunks_exact(size_of::<Hashed>()).map(bytemuck::pod_read_unaligned).collect();
        drop(bytes);
        rows.sort_unstable();
        let keep = self.exact_keep();
        let (mut keys, mut records) = (Vec::new(), Vec::new());
        for same in rows.chunk_by(|a, b| a.hash == b.hash) {
            for row in &same[1..] {
                let place = row.order.row(&keep);
                keys.push(place.shard());
                records.extend_from_slice(bytemuck::bytes_of(&Loser {
                    row: place.row(),
                    pad: 0,
                    of: same[0].uid,
                }));
            }
        }
        let path = context.scratch(format!("equal/{bucket:08}"));
        let mut writer = ScatterWriter::create(&path, context.shards(), size_of::<Loser>())?;
        writer.push_run(&keys, &records)?;
        writer.commit()?;
        Ok(TaskOutput::default())
    }

    /// The rows of a shard that have an exact equal before them, with the uid of that one; sorted by row.
    pub(super) fn losers(&self, context: &StepContext<'_>, shard: u32) -> Result<Vec<(u32, Uid)>> {
        if self.options.exact == cribble_core::Exact::None {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        for bucket in 0..buckets(context)? {
            ScatterReader::open(&context.scratch(format!("equal/{bucket:08}")))?
                .read(shard..shard + 1, &mut bytes)?;
        }
        let mut losers: Vec<(u32, Uid)> = bytes
            .chunks_exact(size_of::<Loser>())
            .map(|record| {
                let loser: Loser = bytemuck::pod_read_unaligned(record);
                (loser.row, Uid::from_bytes(loser.of))
            })
            .collect();
        losers.sort_unstable();
        Ok(losers)
    }
}

/// 128 bits of blake3 of the column's text; `None` where it is null or empty.
fn column_hashes(context: &StepContext<'_>, shard: u32) -> Result<Vec<Option<[u8; 16]>>> {
    let mut hashes = Vec::with_capacity(context.rows(shard));
    for batch in context.columns(shard, &["sha256".to_string()], 65_536)? {
        let batch = batch?;
        let text = cast(batch.column(0), &DataType::Utf8).map_err(|error| {
            Error::input(format!("shard {}: sha256 is no text: {error}", context.shard_name(shard)))
        })?;
        let text: &StringArray = text.as_string();
        hashes.extend(
            text.iter().map(|value| {
                value.filter(|value| !value.is_empty()).map(|value| short_hash(value.as_bytes()))
            }),
        );
    }
    Ok(hashes)
}

/// The first 128 bits of blake3.
pub fn short_hash(bytes: &[u8]) -> [u8; 16] {
    let mut short = [0u8; 16];
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    short
}

pub(super) fn reason() -> Arc<str> {
    "exact duplicate".into()
}
