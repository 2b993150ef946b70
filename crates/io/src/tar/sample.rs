//! Members and samples. Keys and names are bytes: a tar does not promise any encoding, and a key must come back as it was.
use super::{BLOCK, identity::UidSource, padded};
use cribble_core::Uid;
use std::ops::Range;

/// Extensions (file names' and members') that are taken for images; whether they can be decoded is another question.
pub const IMAGE_EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif"];

/// One regular file of a sample, by its place in the tar. Offsets are bytes from the start of the tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarMember {
    /// What follows the key and its dot in the member's name, such as `jpg` or `seg.png`.
    pub extension: Vec<u8>,
    /// Where the first header of this member begins, long-name and pax headers included.
    pub header_offset: u64,
    /// Where its data begins.
    pub data_offset: u64,
    /// Bytes of data, without padding.
    pub size: u64,
}

impl TarMember {
    /// First byte of the headers up to the end of the padding.
    pub fn span(&self) -> Range<u64> {
        self.header_offset..self.data_offset.saturating_add(padded(self.size).unwrap_or(u64::MAX))
    }

    /// The data alone.
    pub fn data(&self) -> Range<u64> {
        self.data_offset..self.data_offset.saturating_add(self.size)
    }

    /// Where the main header begins: the block before the data.
    pub fn main_header(&self) -> u64 {
        self.data_offset.saturating_sub(BLOCK)
    }
}

/// The members that belong together: neighbours whose names agree up to the first dot of the base name (webdataset's rule).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarSample {
    /// Folder and base name up to the first dot.
    pub key: Vec<u8>,
    /// Its identity.
    pub uid: Uid,
    /// Where the uid is from.
    pub uid_source: UidSource,
    /// In the order of the tar; never empty.
    pub members: Vec<TarMember>,
}

impl TarSample {
    /// From the first header to the end of the last padding.
    pub fn span(&self) -> Range<u64> {
        let start = self.members.first().map_or(0, |member| member.header_offset);
        start..self.members.last().map_or(start, |member| member.span().end)
    }

    /// The name of one of its members.
    pub fn member_name(&self, member: &TarMember) -> Vec<u8> {
        [&self.key[..], b".", &member.extension].concat()
    }

    /// The member with this extension; ASCII case does not matter.
    pub fn member(&self, extension: &str) -> Option<&TarMember> {
        self.members.iter().find(|member| member.extension.eq_ignore_ascii_case(extension.as_bytes()))
    }

    /// The first member that is an image.
    pub fn image(&self) -> Option<&TarMember> {
        let is_image = |member: &&TarMember| {
            IMAGE_EXTENSIONS.iter().any(|image| member.extension.eq_ignore_ascii_case(image.as_bytes()))
        };
        self.members.iter().find(is_image)
    }

    /// Whether both have members of the same extensions, in any order.
    pub(super) fn same_shape(&self, other: &Self) -> bool {
        let sorted = |sample: &Self| {
            let mut names: Vec<_> = sample.members.iter().map(|m| m.extension.clone()).collect();
            names.sort();
            names
        };
        sorted(self) == sorted(other)
    }
}

/// Splits a member name into key and extension at the first dot of the base name. `None` when there is no dot, or nothing before it:
/// such a file belongs to no sample (webdataset leaves it out, too).
pub fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let base = name.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let dot = base + name[base..].iter().position(|&byte| byte == b'.')?;
    (dot > base).then(|| (&name[..dot], &name[dot + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_ends_at_the_first_dot_of_the_base_name() {
        let split = |name: &'static str| split_name(name.as_bytes());
        assert_eq!(split("a.b/c.seg.png"), Some((&b"a.b/c"[..], &b"seg.png"[..])));
        assert_eq!(split("./0001.jpg"), Some((&b"./0001"[..], &b"jpg"[..])));
        assert_eq!(split("0001."), Some((&b"0001"[..], &b""[..])));
        for name in ["a.b/c", "a/.hidden", "README", "", "dir/"] {
            assert_eq!(split(name), None, "{name}");
        }
    }
}
