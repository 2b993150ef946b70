//! The samples of a run in batches that one call carries. One shard's payloads and one batch of vectors are in memory at a time.
use std::collections::HashMap;

use cribble_core::{Progress, Result, Uid};
use cribble_io::Dataset;

use crate::{Payloads, VectorSpace, payload::ShardPayloads, point::Sample, vectors::SpaceReader};

/// Bytes of vectors in a call: below the 4 MiB that servers of gRPC and what stands before them take at least.
const CALL_BYTES: usize = 3 << 20;
/// Bytes of a payload, generously.
const PAYLOAD_BYTES: usize = 2048;

/// Walks over shards and rows.
pub(super) struct Batches<'a> {
    dataset: &'a Dataset,
    payloads: &'a Payloads<'a>,
    spaces: &'a [VectorSpace],
    progress: &'a dyn Progress,
    only_kept: bool,
    rows: usize,
    /// Samples that stand in the run several times, and whether their first row has been met.
    repeated: HashMap<Uid, bool>,
    next_shard: u32,
    shard: Option<Shard>,
    /// Vectors met so far, by embedding.
    pub vectors: Vec<u64>,
}

struct Shard {
    payloads: ShardPayloads,
    readers: Vec<SpaceReader>,
    next: usize,
}

impl<'a> Batches<'a> {
    /// At most `rows` rows a batch.
    pub fn new(
        dataset: &'a Dataset,
        payloads: &'a Payloads<'a>,
        spaces: &'a [VectorSpace],
        progress: &'a dyn Progress,
        only_kept: bool,
        rows: usize,
        repeated: HashMap<Uid, bool>,
    ) -> Self {
        let point = PAYLOAD_BYTES + 4 * spaces.iter().map(|space| space.dim).sum::<usize>();
        let rows = rows.min(CALL_BYTES / point).max(1);
        let vectors = vec![0; spaces.len()];
        Self {
            dataset,
            payloads,
            spaces,
            progress,
            only_kept,
            rows,
            repeated,
            next_shard: 0,
            shard: None,
            vectors,
        }
    }

    /// The next batch that has samples; `None` after the last.
    pub fn next(&mut self) -> Result<Option<Vec<Sample>>> {
        loop {
            if self.shard.is_none() {
                if self.next_shard as usize == self.dataset.shards().len() {
                    return Ok(None);
                }
                self.shard = Some(Shard {
                    payloads: self.payloads.read(self.next_shard)?,
                    readers: self
                        .spaces
                        .iter()
                        .map(|space| space.open(self.dataset, self.next_shard))
                        .collect::<Result<_>>()?,
                    next: 0,
                });
                self.next_shard += 1;
            }
            let batch = self.take()?;
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
    }

    /// The samples of the next rows of the open shard, which is closed after its last row.
    fn take(&mut self) -> Result<Vec<Sample>> {
        let Some(shard) = &mut self.shard else { return Ok(Vec::new()) };
        let start = shard.next;
        let end = shard.payloads.uids.len().min(start + self.rows);
        let rows = end - start;
        let values = shard
            .readers
            .iter_mut()
            .map(|reader| reader.read(start as u64, rows))
            .collect::<Result<Vec<_>>>()?;
        let mut samples = Vec::with_capacity(rows);
        for at in 0..rows {
            let row = start + at;
            let uid = shard.payloads.uids[row];
            if self.only_kept && !shard.payloads.kept[row] {
                continue;
            }
            // Of the rows of one sample the first counts, whatever batch it is in.
            if self.repeated.get_mut(&uid).is_some_and(|met| std::mem::replace(met, true)) {
                continue;
            }
            let mut vectors = Vec::with_capacity(self.spaces.len());
            for ((space, (values, has)), count) in self.spaces.iter().zip(&values).zip(&mut self.vectors) {
                if has[at] {
                    vectors.push((space.name.as_str(), &values[at * space.dim..(at + 1) * space.dim]));
                    *count += 1;
                }
            }
            samples.push(Sample::new(uid, shard.payloads.row(row)?, &vectors));
        }
        self.progress.advance(rows as u64);
        shard.next = end;
        if end == shard.payloads.uids.len() {
            self.shard = None;
        }
        Ok(samples)
    }
}
