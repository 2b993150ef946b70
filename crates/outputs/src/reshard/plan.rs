//! Cuts the selected samples into shards. The hash of a shard covers all that its bytes depend on (the options that matter; name, length and time
//! of each source tar; uid, keys, byte ranges and new captions of each sample), so a marker with the right hash vouches for the shard.
use super::{
    captions::Texts,
    hash::ContentHasher,
    input,
    join::{Selected, SelectedReader},
    members::growth,
    names::{Clashes, output_key},
    options::{KeyStyle, ReshardOptions},
};
use cribble_core::{Cancel, Error, Result, Txt};
use cribble_io::tar::{
    ImageIndex, TarSample, shard_file::SampleReader, write::END_MARK, write::headers_length,
};
use std::path::Path;

/// One shard to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShardPlan {
    pub number: u64,
    /// Position of its first sample in `selected.bin`, and the copy that it begins with.
    pub first: u64,
    pub first_copy: u64,
    /// Position of its first sample in the output, copies counted.
    pub position: u64,
    /// Clashes before it.
    pub clashes: u64,
    /// Samples, copies counted.
    pub samples: u64,
    /// At most this many bytes.
    pub bytes: u64,
    pub hash: String,
}

/// Reads samples of the index in the order of the input; keeps the index file of the present tar open.
pub(super) struct Samples<'a> {
    index: &'a ImageIndex,
    open: Option<(u32, SampleReader)>,
}

impl<'a> Samples<'a> {
    pub fn new(index: &'a ImageIndex) -> Self {
        Self { index, open: None }
    }

    pub fn get(&mut self, selected: &Selected) -> Result<TarSample> {
        let reader = match &mut self.open {
            Some((tar, reader)) if *tar == selected.tar => reader,
            _ => &mut self.open.insert((selected.tar, self.index.reader(selected.tar).map_err(input)?)).1,
        };
        reader.seek(selected.record);
        reader.next_sample().map_err(input)?.ok_or_else(|| {
            Error::bug(format!("sample {} of tar {} is not in the index", selected.ordinal, selected.tar))
        })
    }
}

/// Plans all shards. Memory: one [`ShardPlan`] a shard.
pub(super) fn plan(
    index: &ImageIndex,
    state: &Path,
    texts: Option<&Texts>,
    options: &ReshardOptions,
    cancel: &Cancel,
) -> Result<Vec<ShardPlan>> {
    let mut selected = SelectedReader::open(state, 0)?;
    let mut samples = Samples::new(index);
    let mut clashes = Clashes::open(state, 0)?;
    let mut plans: Vec<ShardPlan> = Vec::new();
    let mut open: Option<(ShardPlan, ContentHasher)> = None;
    let (mut row, mut position) = (0, 0);
    while let Some(next) = selected.next()? {
        cancel.check()?;
        let sample = samples.get(&next)?;
        let tar = &index.tars()[next.tar as usize];
        let captions = match (texts, &next.captions) {
            (Some(texts), Some(place)) => Some(texts.read(place)?),
            _ => None,
        };
        for copy in 0..next.copies {
            let clashes_before = clashes.passed();
            let is_clash = clashes.is_clash(position)?;
            let key = output_key(options.keys, &sample.key, sample.uid, copy, is_clash);
            let mut bytes = output_bytes(&sample, &key);
            if let Some(text) = &captions {
                bytes = bytes.saturating_add(growth(&sample, &key, text.len() as u64));
            }
            let is_full = |plan: &ShardPlan| {
                plan.samples == options.shard_size
                    || plan.bytes.saturating_add(bytes) > options.max_shard_bytes
            };
            if let Some((full, hasher)) = open.take_if(|(plan, _)| is_full(plan)) {
                plans.push(close(full, &hasher));
            }
            let (shard, hasher) = open.get_or_insert_with(|| {
                let shard = ShardPlan {
                    number: plans.len() as u64,
                    first: row,
                    first_copy: copy,
                    position,
                    clashes: clashes_before,
                    samples: 0,
                    bytes: END_MARK.len() as u64,
                    hash: String::new(),
                };
                let mut hasher = ContentHasher::new(b"cribble-reshard-1");
                if texts.is_some() {
                    hasher.part(b"captions-1");
                    hasher.number(u64::from(options.txt == Txt::Best));
                }
                (shard, hasher)
            });
            shard.samples += 1;
            shard.bytes = shard.bytes.saturating_add(bytes);
            hasher.part(tar.name.as_bytes());
            hasher.number(tar.head.length);
            hasher.number(tar.head.modified_ns as u64);
            hasher.part(&sample.uid.to_bytes());
            hasher.part(&key);
            for member in &sample.members {
                hasher.part(&member.extension);
                hasher.number(member.header_offset);
                hasher.number(member.data_offset);
                hasher.number(member.size);
            }
            if texts.is_some() {
                hasher.part(captions.as_deref().unwrap_or_default());
            }
            position += 1;
        }
        row += 1;
    }
    if let Some((last, hasher)) = open {
        plans.push(close(last, &hasher));
    }
    Ok(plans)
}

fn close(mut plan: ShardPlan, hasher: &ContentHasher) -> ShardPlan {
    plan.hash = hasher.hex();
    plan
}

/// Stands for the whole plan.
pub(super) fn plan_hash(plans: &[ShardPlan], options: &ReshardOptions, requested: u64) -> String {
    let mut hasher = ContentHasher::new(b"cribble-reshard-plan-1");
    hasher.part(options.shard_format.as_bytes());
    hasher.number(u64::from(options.keys == KeyStyle::Uid));
    hasher.number(requested);
    for plan in plans {
        hasher.part(plan.hash.as_bytes());
    }
    hasher.hex()
}

/// An upper bound of the bytes of a sample in the output.
fn output_bytes(sample: &TarSample, key: &[u8]) -> u64 {
    let sizes = sample.members.iter().map(|member| {
        let span = member.span();
        if key == sample.key {
            span.end - span.start
        } else {
            let name_length = headers_length(&[key, b".", &member.extension].concat());
            (span.end - member.data_offset).saturating_add(name_length)
        }
    });
    sizes.fold(0, u64::saturating_add)
}
