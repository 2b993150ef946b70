//! Walks the headers of one tar. A damaged tar is no error but an index of what is readable plus a [`Fault`]: one cut-off shard must not
//! cost the samples before the cut, and must not be passed over in silence either.
use super::{
    BLOCK, TarMember, TarSample,
    contents::{Fault, FaultKind, TarIndex},
    extension::{Extension, LONGEST},
    header::{self, Block},
    identity::{JsonUid, UidFinder, UidSource, hashed_uid},
    padded,
    sample::split_name,
};
use crate::storage::ReadAt;
use std::io;

/// How many zero blocks are read after the end mark to see whether another archive was appended.
const LOOK_BEHIND_END: u64 = 64 * 1024;
/// Json beyond this many bytes is not searched for a uid.
const LONGEST_JSON: u64 = 16 << 20;

/// Indexes one tar. `source` is its file name (it goes into hashed uids); `read_ahead` is the most that one read takes in bytes (8 KiB suits local
/// disks: the small members after an image come with one read, and few of them need all of it). Memory grows with the members of this tar, not with its bytes.
///
/// Neighbouring members with the same key form a sample; a repeated extension begins another sample of the same key, so that nothing is
/// lost where two tars were joined. The only errors are failed reads.
pub fn scan(file: &dyn ReadAt, source: &str, read_ahead: usize) -> io::Result<TarIndex> {
    let mut walk = Walk {
        window: Window::new(file, read_ahead.max(BLOCK as usize)),
        source,
        index: TarIndex::default(),
        open: None,
    };
    let fault = walk.run()?;
    walk.finish(fault)
}

/// A piece of the file in memory, so that neighbouring small reads cost one system call. How much is wanted behind a jump (the small
/// members between two images) is much the same all through a tar: it is learned, and what lies behind it is not copied in vain.
struct Window<'a> {
    file: &'a dyn ReadAt,
    start: u64,
    bytes: Vec<u8>,
    /// Bytes of `bytes` that were asked for.
    used: usize,
    /// Bytes of the next read; at most `read_ahead`.
    next: usize,
    read_ahead: usize,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn ReadAt, read_ahead: usize) -> Self {
        Self { file, start: 0, bytes: Vec::new(), used: 0, next: read_ahead, read_ahead }
    }

    /// `length` bytes at `offset`, which must lie inside the file.
    fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let end = offset + length as u64;
        let held = self.start + self.bytes.len() as u64;
        if offset < self.start || end > held {
            // A read that goes on where the last one ended was too short. Behind a jump a block more than the last one turned out to need,
            // since members differ, and no more than a block less than before.
            let (goes_on, block) = ((self.start..=held).contains(&offset), BLOCK as usize);
            let learned = if goes_on {
                2 * self.next
            } else {
                (self.used + block).max(self.next.saturating_sub(block))
            };
            self.next = learned.next_multiple_of(block).min(self.read_ahead);
            let wanted = (self.file.len() - offset).min(length.max(self.next) as u64) as usize;
            self.bytes.resize(wanted, 0);
            self.start = offset;
            if let Err(error) = self.file.read_at(offset, &mut self.bytes) {
                self.bytes.clear();
                return Err(error);
            }
            self.used = 0;
        }
        let at = (offset - self.start) as usize;
        self.used = self.used.max(at + length);
        Ok(&self.bytes[at..at + length])
    }

    fn block(&mut self, offset: u64) -> io::Result<Block> {
        let mut block = [0; BLOCK as usize];
        block.copy_from_slice(self.get(offset, BLOCK as usize)?);
        Ok(block)
    }
}

struct Walk<'a> {
    window: Window<'a>,
    source: &'a str,
    index: TarIndex,
    /// The sample that may still get members.
    open: Option<TarSample>,
}

/// What stopped the walk, and where.
struct Stop {
    kind: FaultKind,
    offset: u64,
    member: Option<Vec<u8>>,
}

impl Walk<'_> {
    /// Walks to the end; returns what stopped it, if anything did.
    fn run(&mut self) -> io::Result<Option<Stop>> {
        let length = self.window.file.len();
        let mut offset = 0;
        // Where the headers of the next member begin, once extension headers have been seen.
        let mut first_header = None;
        let mut extension = Extension::default();
        loop {
            let stop = |kind, member| Ok(Some(Stop { kind, offset, member }));
            if offset == length {
                // Also an empty file: no tar at all has zero bytes.
                let kind = if first_header.is_some() {
                    FaultKind::Truncated { needed: offset + BLOCK }
                } else {
                    FaultKind::NoEndMark
                };
                return stop(kind, extension.path);
            }
            if length - offset < BLOCK {
                return stop(FaultKind::Truncated { needed: offset + BLOCK }, extension.path);
            }
            let block = self.window.block(offset)?;
            if header::is_zero(&block) {
                return Ok(self.archive_follows(offset)?.map(|offset| Stop {
                    kind: FaultKind::DataAfterEnd,
                    offset,
                    member: None,
                }));
            }
            let mut header = match header::parse(&block) {
                Ok(header) => header,
                Err(why) => return stop(FaultKind::BadHeader { why }, None),
            };
            let data_offset = offset + BLOCK;
            if matches!(header.kind, b'x' | b'X' | b'g' | b'L' | b'K') {
                let Some(end) = padded(header.size).and_then(|size| data_offset.checked_add(size)) else {
                    return stop(FaultKind::BadHeader { why: "its size overflows".into() }, None);
                };
                if header.size > LONGEST {
                    let why = format!("an extension header of {} bytes", header.size);
                    return stop(FaultKind::BadHeader { why }, None);
                }
                if end > length {
                    return stop(FaultKind::Truncated { needed: end }, None);
                }
                let data = self.window.get(data_offset, header.size as usize)?;
                let mut said =
                    if header.kind == b'g' { Extension::default() } else { std::mem::take(&mut extension) };
                let read = match header.kind {
                    b'L' => {
                        said.long_name(data);
                        Ok(())
                    }
                    b'K' => Ok(()),
                    _ => said.pax(data),
                };
                if let Err(why) = read {
                    return stop(FaultKind::BadHeader { why }, None);
                }
                if header.kind != b'g' {
                    extension = said;
                    first_header.get_or_insert(offset);
                } else if said != Extension::default() {
                    let why = "a global pax header that sets path or size".to_owned();
                    return stop(FaultKind::BadHeader { why }, None);
                }
                offset = end;
                continue;
            }
            let said = std::mem::take(&mut extension);
            header.name = said.path.unwrap_or(header.name);
            header.size = said.size.unwrap_or(header.size);
            if header.kind == b'S' || said.sparse {
                self.close_before(&header.name)?;
                return stop(FaultKind::Sparse, Some(header.name));
            }
            let header_offset = first_header.take().unwrap_or(offset);
            // Links, folders, devices and pipes have no data, whatever their size field says.
            let size = if matches!(header.kind, b'1'..=b'6') { 0 } else { header.size };
            let Some(end) = padded(size).and_then(|size| data_offset.checked_add(size)) else {
                return Ok(Some(Stop {
                    kind: FaultKind::BadHeader { why: "its size overflows".into() },
                    offset: header_offset,
                    member: Some(header.name),
                }));
            };
            if end > length {
                self.close_before(&header.name)?;
                return Ok(Some(Stop {
                    kind: FaultKind::Truncated { needed: end },
                    offset: header_offset,
                    member: Some(header.name),
                }));
            }
            match header.kind {
                b'0' | 0 | b'7' if header.name.last() != Some(&b'/') => {
                    let place = TarMember { extension: Vec::new(), header_offset, data_offset, size };
                    self.member(&header.name, place)?;
                }
                b'5' | b'0' | 0 | b'7' => self.index.skipped.folders += 1,
                b'1'..=b'6' => self.index.skipped.links += 1,
                _ => self.index.skipped.other += 1,
            }
            offset = end;
        }
    }

    /// Looks past an end mark for a header; returns its place.
    fn archive_follows(&mut self, end_mark: u64) -> io::Result<Option<u64>> {
        let length = self.window.file.len();
        let mut offset = end_mark + BLOCK;
        while offset + BLOCK <= length && offset < end_mark + LOOK_BEHIND_END {
            let block = self.window.block(offset)?;
            if !header::is_zero(&block) {
                return Ok(header::parse(&block).is_ok().then_some(offset));
            }
            offset += BLOCK;
        }
        Ok(None)
    }

    fn member(&mut self, name: &[u8], mut member: TarMember) -> io::Result<()> {
        let Some((key, extension)) = split_name(name) else {
            self.index.skipped.without_key += 1;
            return Ok(());
        };
        if name.starts_with(b"__") && name.ends_with(b"__") {
            self.index.skipped.reserved += 1;
            return Ok(());
        }
        member.extension = extension.to_vec();
        match &mut self.open {
            Some(open) if open.key == key && open.members.iter().all(|m| m.extension != extension) => {
                open.members.push(member);
            }
            _ => {
                self.close()?;
                self.open = Some(TarSample {
                    key: key.to_vec(),
                    uid: Default::default(),
                    uid_source: UidSource::NoJson,
                    members: vec![member],
                });
            }
        }
        Ok(())
    }

    /// Ends the open sample when a member of this name would begin another one.
    fn close_before(&mut self, name: &[u8]) -> io::Result<()> {
        let Some((key, extension)) = split_name(name) else { return Ok(()) };
        match &self.open {
            Some(open) if open.key == key && open.members.iter().all(|m| m.extension != extension) => Ok(()),
            _ => {
                self.close()?;
                // The member in question is all that is known of its sample: it is named as lost.
                self.open = Some(TarSample {
                    key: key.to_vec(),
                    uid: Default::default(),
                    uid_source: UidSource::NoJson,
                    members: Vec::new(),
                });
                Ok(())
            }
        }
    }

    /// Ends the open sample and gives it its uid.
    fn close(&mut self) -> io::Result<()> {
        if let Some(mut sample) = self.open.take() {
            sample.uid_source = match sample.member("json") {
                None => UidSource::NoJson,
                Some(json) => match self.search(json.data_offset, json.size)? {
                    JsonUid::Found(uid) => {
                        sample.uid = uid;
                        UidSource::Json
                    }
                    JsonUid::Bad => UidSource::BadUid,
                    JsonUid::Absent => UidSource::NoUid,
                },
            };
            if sample.uid_source != UidSource::Json {
                sample.uid = hashed_uid(self.source, &sample.key);
            }
            self.index.uids.add(sample.uid_source);
            self.index.samples.push(sample);
        }
        Ok(())
    }

    fn search(&mut self, offset: u64, size: u64) -> io::Result<JsonUid> {
        let mut finder = UidFinder::default();
        let (mut at, end) = (offset, offset + size.min(LONGEST_JSON));
        while at < end {
            let length = (end - at).min(self.window.read_ahead as u64) as usize;
            if finder.push(self.window.get(at, length)?) {
                break;
            }
            at += length as u64;
        }
        Ok(finder.finish())
    }

    fn finish(mut self, stop: Option<Stop>) -> io::Result<TarIndex> {
        let mut lost_key = None;
        if let Some(stop) = &stop
            && let Some(open) = self.open.take()
        {
            // Where no member's name tells whether the open sample goes on, the neighbour tells what a whole one looks like here.
            let neighbour = self.index.samples.last();
            let certain = match stop.kind {
                FaultKind::DataAfterEnd => true,
                FaultKind::NoEndMark => neighbour.is_none_or(|before| before.same_shape(&open)),
                _ if open.members.is_empty() => false,
                _ => stop.member.is_none() && neighbour.is_some_and(|before| before.same_shape(&open)),
            };
            if certain {
                self.open = Some(open);
            } else {
                lost_key = Some(String::from_utf8_lossy(&open.key).into_owned());
            }
        }
        self.close()?;
        let length = self.window.file.len();
        self.index.fault = stop.map(|stop| Fault {
            kind: stop.kind,
            offset: stop.offset,
            length,
            member: stop.member.map(|name| String::from_utf8_lossy(&name).into_owned()),
            lost_key,
            readable: self.index.samples.len() as u64,
        });
        Ok(self.index)
    }
}
