//! Samples as bytes in our index files. Offsets are stored as differences in LEB128, which makes a sample of three members about sixty
//! bytes; a plain table of numbers would be three times that, and the index of a billion samples has to lie somewhere.
use super::{TarMember, TarSample, identity::UidSource};
use cribble_core::Uid;

/// Appends one sample to `out`.
pub fn encode(sample: &TarSample, out: &mut Vec<u8>) {
    out.extend_from_slice(&sample.uid.to_bytes());
    out.push(sample.uid_source.code());
    put_bytes(out, &sample.key);
    let mut before = 0;
    put(out, sample.members.len() as u64);
    for member in &sample.members {
        put_bytes(out, &member.extension);
        put(out, member.header_offset.wrapping_sub(before));
        put(out, member.data_offset.wrapping_sub(member.header_offset));
        put(out, member.size);
        before = member.span().end;
    }
}

/// Reads one sample and the number of bytes it took; `None` when `bytes` ends too early or is no sample.
pub fn decode(bytes: &[u8]) -> Option<(TarSample, usize)> {
    let mut rest = bytes;
    let uid = Uid::from_bytes(take(&mut rest, 16)?.try_into().ok()?);
    let uid_source = UidSource::from_code(take(&mut rest, 1)?[0])?;
    let key = get_bytes(&mut rest)?.to_vec();
    let count = get(&mut rest)?;
    let mut members = Vec::new();
    let mut before = 0u64;
    for _ in 0..count {
        let extension = get_bytes(&mut rest)?.to_vec();
        let header_offset = before.wrapping_add(get(&mut rest)?);
        let data_offset = header_offset.wrapping_add(get(&mut rest)?);
        let member = TarMember { extension, header_offset, data_offset, size: get(&mut rest)? };
        before = member.span().end;
        members.push(member);
    }
    Some((TarSample { key, uid, uid_source, members }, bytes.len() - rest.len()))
}

/// Reads only the uid of a sample and the number of bytes it took; `None` as [`decode`].
pub fn decode_uid(bytes: &[u8]) -> Option<(Uid, usize)> {
    let mut rest = bytes;
    let uid = Uid::from_bytes(take(&mut rest, 16)?.try_into().ok()?);
    UidSource::from_code(take(&mut rest, 1)?[0])?;
    get_bytes(&mut rest)?;
    for _ in 0..get(&mut rest)? {
        get_bytes(&mut rest)?;
        for _ in 0..3 {
            get(&mut rest)?;
        }
    }
    Some((uid, bytes.len() - rest.len()))
}

/// Samples of a whole tar, packed: about sixty bytes each in memory, taken out in their order.
#[derive(Debug, Default)]
pub struct Packed {
    bytes: Vec<u8>,
    at: usize,
}

impl FromIterator<TarSample> for Packed {
    fn from_iter<I: IntoIterator<Item = TarSample>>(samples: I) -> Self {
        let mut bytes = Vec::new();
        samples.into_iter().for_each(|sample| encode(&sample, &mut bytes));
        bytes.shrink_to_fit();
        Self { bytes, at: 0 }
    }
}

impl Iterator for Packed {
    type Item = TarSample;

    fn next(&mut self) -> Option<TarSample> {
        let (sample, length) = decode(&self.bytes[self.at..])?;
        self.at += length;
        Some(sample)
    }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

fn get(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn get_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = get(rest)?;
    take(rest, usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_is_read(
            key in prop::collection::vec(any::<u8>(), 0..300),
            uid: u128,
            start in 0u64..1 << 40,
            sizes in prop::collection::vec((0u64..1 << 40, 1u64..5), 1..4),
        ) {
            let mut at = start;
            let members = sizes.iter().map(|&(size, blocks)| {
                let member = TarMember {
                    extension: b"jpg".to_vec(), header_offset: at, data_offset: at + blocks * 512, size,
                };
                at = member.span().end + 1024;
                member
            }).collect();
            let sample = TarSample { key, uid: Uid(uid), uid_source: UidSource::Json, members };
            let mut bytes = Vec::new();
            encode(&sample, &mut bytes);
            let length = bytes.len();
            bytes.extend_from_slice(b"more");
            prop_assert_eq!(decode(&bytes), Some((sample.clone(), length)));
            prop_assert_eq!(decode_uid(&bytes), Some((sample.uid, length)));
            let packed: Packed = [sample.clone(), sample.clone()].into_iter().collect();
            prop_assert_eq!(packed.collect::<Vec<_>>(), [sample.clone(), sample]);
            for cut in 0..length {
                prop_assert_eq!(decode(&bytes[..cut]), None);
                prop_assert_eq!(decode_uid(&bytes[..cut]), None);
            }
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&bytes).map(|(sample, length)| (sample.uid, length)), decode_uid(&bytes));
        }
    }
}
