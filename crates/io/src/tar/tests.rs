//! Tars of every dialect, whole and cut at every block, against what was put into them.
use super::{write::END_MARK, *};
use crate::{Location, ReadAt, storage::LocalStorage};
use std::{
    io,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

struct Memory(Vec<u8>);

impl ReadAt for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = offset as usize;
        let from = self.0.get(start..start + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(from);
        Ok(())
    }
}

fn scanned(bytes: &[u8]) -> TarIndex {
    let index = scan(&Memory(bytes.to_vec()), "t.tar", 8192).unwrap();
    // The size of a read must not change anything.
    assert_eq!(index, scan(&Memory(bytes.to_vec()), "t.tar", 512).unwrap());
    index
}

fn put(tar: &mut Vec<u8>, name: &str, data: &[u8]) {
    tar.extend_from_slice(&write::member_headers(name.as_bytes(), data.len() as u64, None));
    tar.extend_from_slice(data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn json(uid: u128) -> Vec<u8> {
    format!("{{\"key\": \"k\", \"uid\": \"{uid:032x}\"}}").into_bytes()
}

/// Counts reads and their bytes.
struct Counted(Memory, AtomicUsize, AtomicUsize);

impl ReadAt for Counted {
    fn len(&self) -> u64 {
        self.0.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.2.fetch_add(buf.len(), Ordering::Relaxed);
        self.0.read_at(offset, buf)
    }
}

#[test]
fn what_is_read_between_images_is_learned() {
    let samples = 300;
    let mut tar = Vec::new();
    for i in 0..samples {
        put(&mut tar, &format!("{i:09}.jpg"), &vec![1; 15_000 + i * 7919 % 9000]);
        put(&mut tar, &format!("{i:09}.json"), &[&json(i as u128)[..], &vec![b' '; i * 31 % 700]].concat());
        put(&mut tar, &format!("{i:09}.txt"), b"a caption");
    }
    let tar = Counted(Memory(closed(tar)), AtomicUsize::new(0), AtomicUsize::new(0));
    let index = scan(&tar, "t.tar", 8192).unwrap();
    assert_eq!((index.samples.len(), index.fault), (samples, None));
    let (reads, bytes) = (tar.1.into_inner(), tar.2.into_inner());
    assert!(reads < samples * 11 / 10, "{reads} reads");
    // At most five blocks and a json of two are needed each.
    assert!(bytes < samples * 4096, "{bytes} bytes");
}

/// Three samples, members in changing order; the image of number `i` has `300 * i` bytes.
fn three() -> Vec<u8> {
    let mut tar = Vec::new();
    for i in 1..=3u128 {
        let image = vec![i as u8; 300 * i as usize];
        let meta = json(i);
        let mut members: Vec<(&str, &[u8])> = vec![("jpg", &image), ("txt", b"a caption"), ("json", &meta)];
        members.rotate_left(i as usize % 3);
        for (extension, data) in members {
            put(&mut tar, &format!("{i:09}.{extension}"), data);
        }
    }
    tar
}

fn closed(mut tar: Vec<u8>) -> Vec<u8> {
    tar.extend_from_slice(&END_MARK);
    tar
}

#[test]
fn members_are_found_where_they_lie() {
    let tar = closed(three());
    let index = scanned(&tar);
    assert_eq!(index.fault, None);
    assert_eq!(index.uids, UidCounts { json: 3, ..Default::default() });
    for (i, sample) in index.samples.iter().enumerate() {
        assert_eq!(sample.key, format!("{:09}", i + 1).as_bytes());
        assert_eq!(sample.uid.0, i as u128 + 1);
        let data = |extension| {
            let range = sample.member(extension).unwrap().data();
            &tar[range.start as usize..range.end as usize]
        };
        assert_eq!(data("JPG"), vec![i as u8 + 1; 300 * (i + 1)]);
        assert_eq!(data("txt"), b"a caption");
        assert_eq!(sample.members.len(), 3);
    }
    let spans: Vec<_> = index.samples.iter().map(TarSample::span).collect();
    assert_eq!((spans[0].start, spans[0].end, spans[2].end), (0, spans[1].start, tar.len() as u64 - 1024));
}

#[test]
fn every_cut_keeps_what_was_whole_and_says_what_was_not() {
    let whole = three();
    let ends: Vec<u64> = scanned(&closed(whole.clone())).samples.iter().map(|s| s.span().end).collect();
    for cut in (0..=whole.len()).step_by(256) {
        let index = scanned(&whole[..cut]);
        let fault = index.fault.unwrap();
        let complete = ends.iter().filter(|&&end| end <= cut as u64).count();
        assert_eq!(fault.length, cut as u64);
        assert_eq!(fault.readable, index.samples.len() as u64);
        if index.samples.len() != complete {
            // The very first sample has no neighbour to compare with: a cut between two of its members is not seen, and after a cut inside
            // the header that follows it, it is given up.
            let unseen = complete == 0 && index.samples.len() == 1 && fault.kind == FaultKind::NoEndMark;
            let given_up = complete == 1 && index.samples.is_empty() && (cut as u64) < ends[0] + 512;
            assert!(unseen || given_up, "{cut} {fault}");
            continue;
        }
        assert!(index.samples.iter().all(|sample| sample.members.len() == 3));
        let between = cut < 512 || ends.iter().any(|&end| (end..end + 512).contains(&(cut as u64)));
        assert_eq!(fault.lost_key.is_none(), between, "{cut}: {fault}");
        assert!(matches!(fault.kind, FaultKind::Truncated { .. } | FaultKind::NoEndMark), "{fault}");
    }
}

#[test]
fn dialects_of_the_tar_crate_and_the_system() {
    let long = format!("{}/{}", "длинный".repeat(12), "k".repeat(200));
    for gnu in [true, false] {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (name, data) in [
            (format!("{long}.jpg"), vec![1; 700]),
            (format!("{long}.txt"), b"x".to_vec()),
            ("b.jpg".into(), vec![]),
        ] {
            let mut header = if gnu { ::tar::Header::new_gnu() } else { ::tar::Header::new_ustar() };
            header.set_size(data.len() as u64);
            header.set_mode(0o600);
            if gnu {
                builder.append_data(&mut header, &name, &data[..]).unwrap();
            } else {
                builder.append_pax_extensions([("path", name.as_bytes()), ("mtime", b"1.5")]).unwrap();
                header.set_path("short").unwrap();
                header.set_cksum();
                builder.append(&header, &data[..]).unwrap();
            }
        }
        let tar = builder.into_inner().unwrap();
        let index = scanned(&tar);
        assert_eq!((index.fault, index.samples.len()), (None, 2));
        assert_eq!(index.samples[0].key, long.as_bytes());
        assert_eq!(index.samples[0].uid, hashed_uid("t.tar", long.as_bytes()));
        assert_eq!(index.samples[0].members[0].header_offset, 0);
        assert!(index.samples[0].members[0].data_offset > 512);
        assert_eq!(index.uids.no_json, 2);
    }
}

/// A bare header: v7 when `magic` is empty.
fn header(name: &[u8], size_field: &[u8; 12], kind: u8, magic: &[u8], prefix: &[u8]) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[124..136].copy_from_slice(size_field);
    block[156] = kind;
    block[257..257 + magic.len()].copy_from_slice(magic);
    block[345..345 + prefix.len()].copy_from_slice(prefix);
    let (sum, _) = super::header::checksums(&block);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[test]
fn old_v7_prefixes_base_256_and_other_entries() {
    let mut size = [0u8; 12];
    size[0] = 0x80;
    size[11] = 5;
    let zero = b"00000000000\0";
    let mut tar = Vec::new();
    for block in [
        header(b"dir/", zero, b'5', b"ustar\x0000", b""),
        header(b"olddir/", zero, 0, b"", b""),
        header(b"a.jpg", zero, 0, b"", b"ignored in v7"),
        header(b"a.txt", zero, b'7', b"ustar\x0000", b""),
        header(b"link.jpg", b"00000000017\0", b'2', b"ustar\x0000", b""),
        header(b"README", zero, b'0', b"ustar\x0000", b""),
        header(b"__meta.x__", zero, b'0', b"ustar\x0000", b""),
        header(b"label", zero, b'V', b"ustar  \0", b""),
        header(b"b.jpg", &size, b'0', b"ustar\x0000", b"some/folder"),
    ] {
        tar.extend_from_slice(&block);
    }
    tar.extend_from_slice(&[7; 5]);
    tar.resize(tar.len().next_multiple_of(512), 0);
    let index = scanned(&closed(tar));
    assert_eq!(index.fault, None);
    let keys: Vec<_> = index.samples.iter().map(|s| String::from_utf8_lossy(&s.key).into_owned()).collect();
    assert_eq!(keys, ["a", "some/folder/b"]);
    assert_eq!(index.samples[0].members.len(), 2);
    assert_eq!(index.samples[1].members[0].size, 5);
    assert_eq!(index.skipped, Skipped { folders: 2, links: 1, without_key: 1, reserved: 1, other: 1 });
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_before_it_is_lost() {
    let zero = b"00000000000\0";
    let after = |block: [u8; 512]| {
        let mut tar = three();
        tar.extend_from_slice(&block);
        let index = scanned(&closed(tar));
        assert_eq!(index.samples.len(), 3);
        index.fault.unwrap()
    };
    let fault = after(header(b"s.jpg", zero, b'S', b"ustar  \0", b""));
    assert_eq!((fault.kind.clone(), fault.member.as_deref()), (FaultKind::Sparse, Some("s.jpg")));
    assert_eq!(fault.lost_key.as_deref(), Some("s"));
    let fault = after([0x20; 512]);
    assert!(
        matches!(&fault.kind, FaultKind::BadHeader { .. }) && fault.to_string().contains("checksum"),
        "{fault}"
    );
    let fault = after(header(b"x", b"77777777777\0", b'x', b"ustar\x0000", b""));
    assert!(fault.to_string().contains("extension header"), "{fault}");

    let joined = [closed(three()), closed(three())].concat();
    let index = scanned(&joined);
    assert_eq!(index.samples.len(), 3);
    assert_eq!(index.fault.unwrap().kind, FaultKind::DataAfterEnd);
}

#[test]
fn extended_sizes_beyond_eight_gibibytes_end_in_a_truncation_that_knows_the_size() {
    let mut tar = Vec::new();
    let record = b"20 size=10737418240\n";
    tar.extend_from_slice(&header(b"x", b"00000000024\0", b'x', b"ustar\x0000", b""));
    tar.extend_from_slice(record);
    tar.resize(1024, 0);
    tar.extend_from_slice(&header(b"a.bin", b"00000000000\0", b'0', b"ustar\x0000", b""));
    let fault = scanned(&tar).fault.unwrap();
    assert_eq!(fault.kind, FaultKind::Truncated { needed: 1536 + (10 << 30) });
    assert_eq!(fault.lost_key.as_deref(), Some("a"));
}

#[test]
fn a_repeated_extension_begins_another_sample() {
    let mut tar = Vec::new();
    for name in ["a.jpg", "a.txt", "a.jpg", "b.jpg", "a.txt"] {
        put(&mut tar, name, b"x");
    }
    let index = scanned(&closed(tar));
    let found: Vec<_> = index.samples.iter().map(|s| (s.key[0], s.members.len())).collect();
    assert_eq!(found, [(b'a', 2), (b'a', 1), (b'b', 1), (b'a', 1)]);
}

fn build(folder: &Path, sources: &[TarSource], threads: usize) -> ImageIndex {
    let options =
        BuildOptions { folder, threads, memory_bytes: 1, read_ahead: 4096, on_tar: &|| (), stop: &|| false };
    ImageIndex::build(sources, &options).unwrap()
}

#[test]
fn every_sample_is_found_by_uid_and_the_index_does_not_depend_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    let tars = folder.path().join("tars");
    std::fs::create_dir(&tars).unwrap();
    for number in [0, 3, 7] {
        let mut tar = Vec::new();
        for i in 0..50u128 {
            let name = format!("{number:05}{i:04}");
            put(&mut tar, &format!("{name}.jpg"), &vec![1; (i * 37) as usize]);
            // Uid 5 is in every tar.
            put(
                &mut tar,
                &format!("{name}.json"),
                &json(if i == 5 { 5 } else { (i * 977) % 1000 * 10 + number + 10 }),
            );
        }
        std::fs::write(tars.join(format!("{number:08}.tar")), closed(tar)).unwrap();
    }
    std::fs::write(tars.join("00000003_stats.json"), "{\"count\": 60, \"successes\": 50}").unwrap();
    let sources = list_tars(&LocalStorage, &Location::local(&tars)).unwrap();
    assert_eq!(sources.len(), 3);
    let index = build(&folder.path().join("one"), &sources, 1);
    build(&folder.path().join("two"), &sources, 3);
    let uids = |name: &str| std::fs::read(folder.path().join(name).join("uids.idx")).unwrap();
    assert_eq!(uids("one"), uids("two"));

    assert_eq!(index.len(), 150);
    let entries: Vec<_> = index.entries().collect::<crate::Result<_>>().unwrap();
    assert!(entries.is_sorted() && entries.len() == 150);
    for entry in &entries {
        let sample = index.sample(entry).unwrap();
        assert_eq!(sample.uid, entry.uid);
        assert!(index.find(entry.uid).unwrap().contains(entry));
    }
    assert_eq!(index.find(cribble_core::Uid(5)).unwrap().len(), 3);
    assert_eq!(index.find(cribble_core::Uid(u128::MAX)).unwrap(), []);
    let (stats, _) = img2dataset::side_files(&sources[1].location);
    let stats = img2dataset::read_stats(&crate::SourceFile::open_local(stats.path()).unwrap()).unwrap();
    assert_eq!(stats.successes, Some(50));

    // A tar that changes is read again, a damaged index file made again, an untouched one kept.
    let before = uids("one");
    std::fs::write(folder.path().join("one/tars").join(&index.tars()[0].index_file), b"rubbish").unwrap();
    std::fs::write(tars.join("00000003.tar"), closed(three())).unwrap();
    let again = build(&folder.path().join("one"), &sources, 2);
    assert_eq!(again.len(), 103);
    assert_ne!(uids("one"), before);
    assert_eq!(again.find(cribble_core::Uid(1)).unwrap().len(), 1);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_bytes_never_panic(at in 0usize..6000, value: u8, length in 0usize..8000) {
        let mut tar = closed(three());
        let places = tar.len();
        tar[at % places] = value;
        tar.truncate(length);
        let index = scanned(&tar);
        for sample in &index.samples {
            proptest::prop_assert!(sample.span().end <= tar.len() as u64);
        }
    }
}
