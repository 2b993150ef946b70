//! Tar headers for members that get another name. The main header of the source is the pattern: mode, owner and time stay, so that two
//! runs write the same bytes; only name, size, kind and checksum are new.
use super::{
    BLOCK,
    header::{Block, checksums, field, until_nul},
    padded,
};

/// Two zero blocks: the end of every archive that we write. (GNU tar pads further, to 10 KiB; readers do not care.)
pub const END_MARK: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];
/// The largest size that fits a ustar field of eleven octal digits.
const LARGEST_OCTAL: u64 = 0o77777777777;

/// The headers of a member called `name` with `size` bytes of data. Names up to 100 bytes stand in the header itself, longer ones in a
/// pax record (or in a GNU long name, where the source header is GNU's); sizes of 8 GiB and more are base-256. `source` is the member's old
/// main header, or `None` for a new member (mode 0644, owner 0, time 0).
pub fn member_headers(name: &[u8], size: u64, source: Option<&[u8; BLOCK as usize]>) -> Vec<u8> {
    let mut main = source.copied().unwrap_or_else(fresh);
    let magic = &main[field::MAGIC];
    let is_gnu = magic == b"ustar  \0";
    if &magic[..6] == b"ustar\0" {
        main[field::PREFIX].fill(0);
    }
    set_name(&mut main, name);
    set_size(&mut main, size);
    // Old and contiguous files are plain files today.
    main[field::KIND] = b'0';
    set_checksum(&mut main);

    let mut headers = Vec::with_capacity(headers_length(name) as usize);
    if name.len() > field::NAME.len() {
        let (kind, placeholder, data) = if is_gnu {
            (b'L', &b"././@LongLink"[..], [name, b"\0"].concat())
        } else {
            (b'x', &b"././@PaxHeader"[..], pax_record(b"path", name))
        };
        let mut extension = fresh();
        if is_gnu {
            extension[field::MAGIC].copy_from_slice(b"ustar  \0");
        }
        set_name(&mut extension, placeholder);
        set_size(&mut extension, data.len() as u64);
        extension[field::KIND] = kind;
        set_checksum(&mut extension);
        headers.extend_from_slice(&extension);
        headers.extend_from_slice(&data);
        headers.resize(headers.len().next_multiple_of(BLOCK as usize), 0);
    }
    headers.extend_from_slice(&main);
    headers
}

/// An upper bound, in whole blocks, of the length of [`member_headers`] for this name. Exact for names up to 100 bytes.
pub fn headers_length(name: &[u8]) -> u64 {
    if name.len() > field::NAME.len() {
        2 * BLOCK + padded(pax_record(b"path", name).len() as u64).unwrap_or(u64::MAX - 2 * BLOCK)
    } else {
        BLOCK
    }
}

/// Whether this block is a header whose checksum is right: a last look before its member is written under another name.
pub fn is_header(block: &[u8; BLOCK as usize]) -> bool {
    super::header::parse(block).is_ok()
}

fn fresh() -> Block {
    let mut block = [0; BLOCK as usize];
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[136..148].copy_from_slice(b"00000000000\0");
    block[field::MAGIC].copy_from_slice(b"ustar\x0000");
    block
}

fn set_name(block: &mut Block, name: &[u8]) {
    let kept = &name[..name.len().min(field::NAME.len())];
    block[field::NAME].fill(0);
    block[..kept.len()].copy_from_slice(kept);
    debug_assert_eq!(until_nul(&block[field::NAME]), until_nul(kept));
}

fn set_size(block: &mut Block, size: u64) {
    if size <= LARGEST_OCTAL {
        block[field::SIZE].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        block[field::SIZE].fill(0);
        block[field::SIZE.start] = 0x80;
        block[field::SIZE.end - 8..field::SIZE.end].copy_from_slice(&size.to_be_bytes());
    }
}

fn set_checksum(block: &mut Block) {
    let (sum, _) = checksums(block);
    block[field::CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// `length key=value\n`, where the length counts its own digits.
fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length += 1;
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::extension::Extension;

    #[test]
    fn pax_lengths_count_themselves() {
        for length in [1, 88, 89, 90, 91, 92, 980, 990, 995, 5000] {
            let value = vec![b'x'; length];
            let record = pax_record(b"path", &value);
            let mut said = Extension::default();
            said.pax(&record).unwrap();
            assert_eq!(said.path, Some(value));
        }
    }

    #[test]
    fn the_tar_crate_reads_long_and_foreign_names() {
        let gnu = {
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_mtime(77);
            header.set_cksum();
            *header.as_bytes()
        };
        for source in [None, Some(&gnu)] {
            for name in [
                "a.jpg".to_owned(),
                "ключ/日本.jpg".into(),
                "k".repeat(100),
                "é".repeat(150),
                "d/".repeat(150) + "x",
            ] {
                let mut bytes = member_headers(name.as_bytes(), 3, source);
                assert!(bytes.len() as u64 <= headers_length(name.as_bytes()));
                bytes.extend_from_slice(b"abc");
                bytes.resize(bytes.len().next_multiple_of(512), 0);
                bytes.extend_from_slice(&END_MARK);
                let mut archive = tar::Archive::new(&bytes[..]);
                let mut entries = archive.entries().unwrap();
                let mut entry = entries.next().unwrap().unwrap();
                assert_eq!(entry.path_bytes(), name.as_bytes());
                assert_eq!(entry.header().mtime().unwrap(), if source.is_some() { 77 } else { 0 });
                let mut text = String::new();
                std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
                assert_eq!(text, "abc");
                assert!(entries.next().is_none());
            }
        }
    }

    #[test]
    fn sizes_beyond_eight_gibibytes_survive() {
        for size in [LARGEST_OCTAL, LARGEST_OCTAL + 1, 1 << 45] {
            let bytes = member_headers(b"x.bin", size, None);
            let block: Block = bytes[..].try_into().unwrap();
            assert!(is_header(&block));
            assert_eq!(crate::tar::header::parse(&block).unwrap().size, size);
        }
    }
}
