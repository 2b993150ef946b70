//! Writes one shard: members with new contents from memory, all others by range. Neighbouring ranges of one tar are joined, so a run of kept samples is one copy.
use super::{
    captions::Texts,
    input,
    join::SelectedReader,
    members::{CaptionCounts, Rewritten, rewrite},
    names::{Clashes, output_key},
    options::{KeyStyle, ShardFormat},
    plan::{Samples, ShardPlan},
    state,
};
use cribble_core::{Cancel, Error, Result, Txt};
use cribble_io::{
    AtomicFile, IoError,
    tar::{
        BLOCK, ImageIndex, TarMember,
        write::{END_MARK, is_header, member_headers},
    },
    write_file,
};
use serde::{Deserialize, Serialize};
use std::{fs::File, io::Write, ops::Range, os::unix::fs::FileExt, path::Path};

/// What all shards share.
pub(super) struct Job<'a> {
    pub index: &'a ImageIndex,
    pub state: &'a Path,
    pub output: &'a Path,
    pub format: &'a ShardFormat,
    pub keys: KeyStyle,
    /// New captions, and what stands in `.txt` members.
    pub texts: Option<&'a Texts>,
    pub txt: Txt,
    pub cancel: &'a Cancel,
}

/// What is said of a shard that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// Bytes of the tar.
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captions: Option<CaptionCounts>,
}

/// Writes the tar, its stats and its marker, in this order.
pub(super) fn write_shard(job: &Job<'_>, plan: &ShardPlan) -> Result<Written> {
    let path = job.output.join(job.format.name(plan.number));
    let mut selected = SelectedReader::open(job.state, plan.first)?;
    let mut clashes = Clashes::open(job.state, plan.clashes)?;
    let mut samples = Samples::new(job.index);
    let mut out = Output { file: AtomicFile::create(&path).map_err(input)?, source: None, pending: 0..0 };
    let (mut written, mut copy) = (0, plan.first_copy);
    let mut captions = job.texts.map(|_| CaptionCounts::default());
    while written < plan.samples {
        job.cancel.check()?;
        let next = selected.next()?.ok_or_else(|| Error::bug("the plan ends before its last shard"))?;
        let sample = samples.get(&next)?;
        out.turn_to(job.index, next.tar)?;
        let new = match (job.texts, &next.captions) {
            (Some(texts), Some(place)) => {
                rewrite(&sample, texts.fields(place)?, job.txt, |range| out.read(range))?
            }
            _ => Rewritten::without(),
        };
        while copy < next.copies && written < plan.samples {
            let is_clash = clashes.is_clash(plan.position + written)?;
            let key = output_key(job.keys, &sample.key, sample.uid, copy, is_clash);
            let name = |extension: &[u8]| [&key[..], b".", extension].concat();
            for (at, member) in sample.members.iter().enumerate() {
                if let Some(new) = new.members.iter().find(|new| new.at == Some(at)) {
                    out.put(&name(&new.extension), &new.data, member.main_header())?;
                } else if key == sample.key {
                    out.copy(member.span())?;
                } else {
                    out.rename(&name(&member.extension), member.size, member.main_header())?;
                    out.copy(member.data_offset..member.span().end)?;
                }
            }
            // Members that the sample did not have come last, with owner and time of its first one.
            for new in new.members.iter().filter(|new| new.at.is_none()) {
                let pattern = sample.members.first().map_or(0, TarMember::main_header);
                out.put(&name(&new.extension), &new.data, pattern)?;
            }
            if let Some(sum) = &mut captions {
                sum.add(&new.counts);
            }
            written += 1;
            copy += 1;
        }
        copy = 0;
    }
    out.flush()?;
    let mut file = out.file;
    file.write_all(&END_MARK).map_err(|e| input(IoError::write(&path, "write", None, e)))?;
    let bytes = file.position();
    file.commit().map_err(input)?;
    let stats = format!("{{\"successes\": {written}}}\n");
    write_file(&job.output.join(job.format.stats_name(plan.number)), stats.as_bytes()).map_err(input)?;
    let written = Written { bytes, captions };
    state::mark_done(job.state, plan, written)?;
    Ok(written)
}

struct Output {
    file: AtomicFile,
    /// The tar that ranges are copied from.
    source: Option<(u32, File, std::path::PathBuf)>,
    /// A range that may still grow.
    pending: Range<u64>,
}

impl Output {
    fn turn_to(&mut self, index: &ImageIndex, tar: u32) -> Result<()> {
        if self.source.as_ref().is_some_and(|(open, ..)| *open == tar) {
            return Ok(());
        }
        self.flush()?;
        let entry = &index.tars()[tar as usize];
        let fail = |e| input(IoError::read(&entry.path, None, e));
        let file = File::open(&entry.path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        if length != entry.head.length {
            return Err(changed(
                &entry.path,
                format!("{length} bytes, {} when it was indexed", entry.head.length),
            ));
        }
        self.source = Some((tar, file, entry.path.clone()));
        Ok(())
    }

    fn copy(&mut self, range: Range<u64>) -> Result<()> {
        if range.start == self.pending.end && !self.pending.is_empty() {
            self.pending.end = range.end;
        } else {
            self.flush()?;
            self.pending = range;
        }
        Ok(())
    }

    fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let Some((_, source, path)) = &self.source else { return Err(Error::bug("a range without a tar")) };
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let fail = |e| input(IoError::read(path, Some(range.start), e));
        source.read_exact_at(&mut bytes, range.start).map_err(fail)?;
        Ok(bytes)
    }

    /// A member with contents of our own; the header at `pattern` gives owner, mode and time.
    fn put(&mut self, name: &[u8], data: &[u8], pattern: u64) -> Result<()> {
        self.rename(name, data.len() as u64, pattern)?;
        let padding = data.len().next_multiple_of(BLOCK as usize) - data.len();
        let path = self.file.final_path().to_owned();
        let fail = |e| input(IoError::write(&path, "write", None, e));
        self.file
            .write_all(data)
            .and_then(|()| self.file.write_all(&[0; BLOCK as usize][..padding]))
            .map_err(fail)
    }

    fn rename(&mut self, name: &[u8], size: u64, main_header: u64) -> Result<()> {
        self.flush()?;
        let Some((_, source, path)) = &self.source else { return Err(Error::bug("a range without a tar")) };
        let mut block = [0; 512];
        source
            .read_exact_at(&mut block, main_header)
            .map_err(|e| input(IoError::read(path, Some(main_header), e)))?;
        if !is_header(&block) {
            return Err(changed(path, format!("no header at byte {main_header}")));
        }
        let headers = member_headers(name, size, Some(&block));
        let path = self.file.final_path().to_owned();
        self.file.write_all(&headers).map_err(|e| input(IoError::write(&path, "write", None, e)))
    }

    fn flush(&mut self) -> Result<()> {
        let range = std::mem::take(&mut self.pending);
        if range.is_empty() {
            return Ok(());
        }
        let Some((_, source, path)) = &self.source else { return Err(Error::bug("a range without a tar")) };
        self.file.append_range(source, range.start, range.end - range.start).map_err(|error| {
            input(error).context(format!(
                "copying bytes {}..{} of {}",
                range.start,
                range.end,
                path.display()
            ))
        })
    }
}

fn changed(path: &Path, found: String) -> Error {
    Error::input(format!("{}: changed since it was indexed: {found}", path.display()))
        .with_hint("run the same command again once nothing writes to the input any more")
}
