//! One 512-byte tar header. Both checksum sums (of unsigned and of signed bytes) are accepted, because old writers computed the second.
use super::BLOCK;

/// One header block as bytes.
pub(super) type Block = [u8; BLOCK as usize];

/// What a header says, before long names and extended sizes are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Prefix and name joined; without the prefix in v7 and GNU headers, where those bytes mean something else.
    pub name: Vec<u8>,
    pub size: u64,
    /// The type flag as it stands.
    pub kind: u8,
    /// Whether further blocks of an old GNU sparse map follow.
    pub more_sparse_blocks: bool,
}

/// Where the parts of a header lie.
pub(super) mod field {
    use std::ops::Range;
    pub const NAME: Range<usize> = 0..100;
    pub const SIZE: Range<usize> = 124..136;
    pub const CHECKSUM: Range<usize> = 148..156;
    pub const KIND: usize = 156;
    pub const MAGIC: Range<usize> = 257..265;
    pub const PREFIX: Range<usize> = 345..500;
    pub const SPARSE_CONTINUES: usize = 482;
}

/// Whether the block is an end-of-archive block.
pub(super) fn is_zero(block: &Block) -> bool {
    block.iter().all(|&byte| byte == 0)
}

/// Reads a header, or says in words what is wrong with it.
pub(super) fn parse(block: &Block) -> Result<Header, String> {
    let stored = number(&block[field::CHECKSUM]).ok_or("the checksum is no number")?;
    let (unsigned, signed) = checksums(block);
    if stored != unsigned && i64::try_from(stored) != Ok(signed) {
        return Err(format!("the header's checksum is {stored}, its bytes sum to {unsigned}"));
    }
    let size = number(&block[field::SIZE]).ok_or("the size is no number")?;
    let mut name = Vec::new();
    // POSIX headers end the magic with a NUL; GNU's "ustar  " keeps times where POSIX has the prefix.
    if &block[field::MAGIC][..6] == b"ustar\0" {
        let prefix = until_nul(&block[field::PREFIX]);
        if !prefix.is_empty() {
            name.extend_from_slice(prefix);
            name.push(b'/');
        }
    }
    name.extend_from_slice(until_nul(&block[field::NAME]));
    Ok(Header {
        name,
        size,
        kind: block[field::KIND],
        more_sparse_blocks: block[field::SPARSE_CONTINUES] != 0,
    })
}

/// The sums of all bytes with the checksum field read as spaces: of unsigned and of signed bytes.
pub(super) fn checksums(block: &Block) -> (u64, i64) {
    // Plain sums over the whole block, which vectorise; the field is put right afterwards. A byte above 127 counts 256 less as a signed one.
    let sums = |bytes: &[u8]| {
        let high = bytes.iter().map(|&byte| u32::from(byte >> 7)).sum::<u32>();
        (bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>(), high)
    };
    let ((all, all_high), (field, field_high)) = (sums(block), sums(&block[field::CHECKSUM]));
    let unsigned = u64::from(all - field) + u64::from(b' ') * field::CHECKSUM.len() as u64;
    (unsigned, unsigned as i64 - 256 * i64::from(all_high - field_high))
}

/// A numeric field: octal text with spaces and NULs around it, or base-256 when the first bit is set. Negative numbers are refused.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        if field[0] != 0x80 {
            return None;
        }
        return field[1..]
            .iter()
            .try_fold(0u64, |value, &byte| (value >> 56 == 0).then(|| (value << 8) | u64::from(byte)));
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_blank(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(is_blank).unwrap_or(digits.len());
    if !digits[end..].iter().all(is_blank) {
        return None;
    }
    digits[..end].iter().try_fold(0u64, |value, &byte| match byte {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// The bytes before the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_dialect() {
        assert_eq!(number(b"00000000644\0"), Some(0o644));
        assert_eq!(number(b"   17 \0"), Some(0o17));
        assert_eq!(number(b"77777777777 "), Some(0o77777777777));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"12x4"), None);
        assert_eq!(number(b"1 2\0"), None);
        let mut big = [0u8; 12];
        big[0] = 0x80;
        big[4..].copy_from_slice(&(9u64 << 33).to_be_bytes());
        assert_eq!(number(&big), Some(9 << 33));
        big[3] = 1;
        assert_eq!(number(&big), None);
        assert_eq!(number(&[0xff; 12]), None);
    }

    #[test]
    fn a_checksum_of_signed_bytes_is_accepted_and_a_wrong_one_is_not() {
        let mut block = [0u8; 512];
        block[..4].copy_from_slice(b"\xc3\xa9.x");
        block[field::SIZE].copy_from_slice(b"00000000012\0");
        let (unsigned, signed) = checksums(&block);
        assert_ne!(unsigned as i64, signed);
        for sum in [unsigned, signed as u64] {
            block[field::CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            assert_eq!(parse(&block).unwrap().size, 10);
        }
        block[field::CHECKSUM].copy_from_slice(b"000001\0 ");
        assert!(parse(&block).unwrap_err().contains("checksum"));
    }
}
