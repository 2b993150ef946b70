//! The index of many tars, kept beside a run in `images/`, so that any sample is found by uid without opening a tar twice:
//! `tars.json` (the tars, their faults and counts), `tars/<name>-<hash>.idx` (one [`super::shard_file`] each, made in parallel and kept on resume)
//! and `uids.idx` (all uids in order). `uids.idx` is `CRIBUID1`, version and count as `u64` (little-endian) and 8 zero bytes, then 32 bytes a
//! sample: uid, tar (`u32`), ordinal (`u32`) and offset of its record (`u64`), all big-endian, sorted as bytes. Sorted files and not a hash
//! table, because both a merge with a sorted subset and one lookup must work in little memory.
use super::{
    Fault, Sorter, TarSample, UidCounts, scan,
    shard_file::{self, SampleReader, ShardHead},
};
use crate::{
    AtomicFile, IoError, Location, Result, SourceFile, Storage, clean_leftovers, storage::LocalStorage,
    write_file,
};
use cribble_core::Uid;
use serde::{Deserialize, Serialize};
use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

const MAGIC: &[u8; 8] = b"CRIBUID1";
const VERSION: u64 = 1;
const HEAD: u64 = 32;
/// Bytes of one entry of `uids.idx`.
pub const ENTRY: usize = 32;

/// A tar to index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarSource {
    /// What goes into hashed uids and messages: the file name, made unique where several folders are read.
    pub name: String,
    /// Where it is.
    pub location: Location,
}

/// The tars of one folder (gaps in their numbering do not matter) or a single tar, ordered by name.
pub fn list_tars(storage: &dyn Storage, input: &Location) -> Result<Vec<TarSource>> {
    let source = |location: Location| TarSource { name: location.file_name(), location };
    match storage.entry(input)? {
        None => Err(IoError::NotFound { path: input.path().into() }),
        Some(entry) if !entry.is_folder => Ok(vec![source(entry.location)]),
        Some(_) => Ok(storage
            .list(input)?
            .into_iter()
            .filter(|entry| !entry.is_folder && entry.location.extension() == "tar")
            .map(|entry| source(entry.location))
            .collect()),
    }
}

/// How to build an index.
pub struct BuildOptions<'a> {
    /// The folder of the index.
    pub folder: &'a Path,
    /// Tars that are read at once; at least 1.
    pub threads: usize,
    /// Bounds the memory of the sort.
    pub memory_bytes: usize,
    /// Bytes of one read in a tar.
    pub read_ahead: usize,
    /// Called once for every tar that is ready, from any thread.
    pub on_tar: &'a (dyn Fn() + Sync),
    /// Set it to stop at the next tar; the build then fails with an error of kind `Interrupted`.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

/// What the index says of one tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedTar {
    /// Its [`TarSource::name`].
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Name of its file under `tars/`.
    pub index_file: String,
    /// The rest: length, time, counts, fault.
    #[serde(flatten)]
    pub head: ShardHead,
}

#[derive(Serialize, Deserialize)]
struct Listing {
    format: String,
    version: u64,
    tars: Vec<IndexedTar>,
}

/// One sample in the order of uids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UidEntry {
    /// The uid. Several entries may have the same one.
    pub uid: Uid,
    /// Position of its tar in [`ImageIndex::tars`].
    pub tar: u32,
    /// Position of the sample in its tar.
    pub ordinal: u32,
    /// Where its record begins in the index file of its tar.
    pub record: u64,
}

impl UidEntry {
    fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..16].copy_from_slice(&self.uid.to_bytes());
        bytes[16..20].copy_from_slice(&self.tar.to_be_bytes());
        bytes[20..24].copy_from_slice(&self.ordinal.to_be_bytes());
        bytes[24..].copy_from_slice(&self.record.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; ENTRY]) -> Self {
        let number =
            |range: std::ops::Range<usize>| bytes[range].iter().fold(0u64, |n, &b| (n << 8) | u64::from(b));
        Self {
            uid: Uid::from_halves(number(0..8), number(8..16)),
            tar: number(16..20) as u32,
            ordinal: number(20..24) as u32,
            record: number(24..32),
        }
    }
}

/// An index that is complete and open for lookups. Cheap to keep: nothing but the list of tars is in memory.
#[derive(Debug)]
pub struct ImageIndex {
    folder: PathBuf,
    tars: Vec<IndexedTar>,
    uids: SourceFile,
    count: u64,
}

impl ImageIndex {
    /// Builds the index of `sources`, in this order, or completes one that was interrupted: tars whose index file still fits (same length
    /// and modification time) are not read again.
    pub fn build(sources: &[TarSource], options: &BuildOptions<'_>) -> Result<Self> {
        let folder = options.folder.join("tars");
        std::fs::create_dir_all(&folder).map_err(|e| IoError::write(&folder, "create", None, e))?;
        clean_leftovers(options.folder)?;
        clean_leftovers(&folder)?;
        let tars = index_all(sources, &folder, options)?;
        let listing = Listing { format: "cribble image index".into(), version: VERSION, tars };
        let text = serde_json::to_vec_pretty(&listing)
            .map_err(|e| IoError::write(options.folder.join("tars.json"), "write", None, e.into()))?;
        let listing_path = options.folder.join("tars.json");
        let uids_path = options.folder.join("uids.idx");
        let unchanged = uids_path.exists() && std::fs::read(&listing_path).is_ok_and(|old| old == text);
        if !unchanged {
            // First the new uids, then the listing that vouches for them: a kill in between leaves an old listing, which differs.
            let _ = std::fs::remove_file(&listing_path);
            write_uids(&uids_path, &listing.tars, options)?;
            write_file(&listing_path, &text)?;
        }
        Self::open(options.folder)
    }

    /// Opens an index that was built before. Whether the tars are still the same is not looked at; [`ImageIndex::build`] does that.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("tars.json");
        let broken = |path: &Path, expected: &str, found: String| {
            IoError::malformed(path, "image index", None, expected, found)
                .with_hint("remove the folder 'images': the index will be built again")
        };
        let text = std::fs::read(&path).map_err(|e| IoError::read(&path, None, e))?;
        let listing: Listing =
            serde_json::from_slice(&text).map_err(|e| broken(&path, "a list of tars", e.to_string()))?;
        if listing.version != VERSION {
            return Err(broken(&path, &format!("version {VERSION}"), format!("version {}", listing.version)));
        }
        let uids = SourceFile::open_local(folder.join("uids.idx"))?;
        let head = uids.read_range(0, HEAD as usize)?;
        let count = listing.tars.iter().map(|tar| tar.head.samples).sum::<u64>();
        if !head.starts_with(MAGIC) || uids.len() != HEAD + count * ENTRY as u64 {
            return Err(broken(uids.path(), &format!("{count} entries"), format!("{} bytes", uids.len())));
        }
        Ok(Self { folder: folder.into(), tars: listing.tars, uids, count })
    }

    /// The tars, in the order in which they were given.
    pub fn tars(&self) -> &[IndexedTar] {
        &self.tars
    }

    /// Samples in all tars.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is no sample at all.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The tars with a fault.
    pub fn faults(&self) -> impl Iterator<Item = (&IndexedTar, &Fault)> {
        self.tars.iter().filter_map(|tar| Some((tar, tar.head.fault.as_ref()?)))
    }

    /// Where the uids of all samples are from.
    pub fn uid_counts(&self) -> UidCounts {
        self.tars.iter().fold(UidCounts::default(), |sum, tar| UidCounts {
            json: sum.json + tar.head.uids.json,
            no_json: sum.no_json + tar.head.uids.no_json,
            no_uid: sum.no_uid + tar.head.uids.no_uid,
            bad_uid: sum.bad_uid + tar.head.uids.bad_uid,
        })
    }

    /// All entries ordered by uid, then tar, then ordinal. Memory: one piece of 256 KiB.
    pub fn entries(&self) -> Entries<'_> {
        Entries { index: self, next: 0, piece: Vec::new().into_iter() }
    }

    /// All samples with this uid (seldom more than one), first tar first. About log2(n) reads of 32 bytes.
    pub fn find(&self, uid: Uid) -> Result<Vec<UidEntry>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.uid < uid { low = middle + 1 } else { high = middle }
        }
        let mut found = Vec::new();
        while low < self.count {
            let entry = self.entry(low)?;
            if entry.uid != uid {
                break;
            }
            found.push(entry);
            low += 1;
        }
        Ok(found)
    }

    /// The sample of an entry: key and byte ranges of its members.
    pub fn sample(&self, entry: &UidEntry) -> Result<TarSample> {
        let mut reader = self.reader(entry.tar)?;
        reader.seek(entry.record);
        match reader.next_sample()? {
            Some(sample) if sample.uid == entry.uid => Ok(sample),
            _ => Err(self.foreign(entry.tar)),
        }
    }

    /// Reads the samples of one tar in their order.
    pub fn reader(&self, tar: u32) -> Result<SampleReader> {
        let Some(tar) = self.tars.get(tar as usize) else { return Err(self.foreign(tar)) };
        let file = SourceFile::open_local(self.folder.join("tars").join(&tar.index_file))?;
        let (_, start) = shard_file::read_head(&file)?;
        Ok(SampleReader::new(file, start))
    }

    fn foreign(&self, tar: u32) -> IoError {
        IoError::malformed(
            &self.folder,
            "image index",
            None,
            "files of one build",
            format!("others, at tar {tar}"),
        )
        .with_hint("remove this folder: the index will be built again")
    }

    fn entry(&self, position: u64) -> Result<UidEntry> {
        let mut bytes = [0; ENTRY];
        self.uids.read_at(HEAD + position * ENTRY as u64, &mut bytes)?;
        Ok(UidEntry::from_bytes(&bytes))
    }
}

/// See [`ImageIndex::entries`].
pub struct Entries<'a> {
    index: &'a ImageIndex,
    next: u64,
    piece: std::vec::IntoIter<[u8; ENTRY]>,
}

impl Iterator for Entries<'_> {
    type Item = Result<UidEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.piece.len() == 0 && self.next < self.index.count {
            let count = (self.index.count - self.next).min(8192);
            let mut piece = vec![[0; ENTRY]; count as usize];
            let offset = HEAD + self.next * ENTRY as u64;
            if let Err(error) = self.index.uids.read_at(offset, piece.as_flattened_mut()) {
                self.next = self.index.count;
                return Some(Err(error));
            }
            self.next += count;
            self.piece = piece.into_iter();
        }
        self.piece.next().map(|bytes| Ok(UidEntry::from_bytes(&bytes)))
    }
}

fn index_all(sources: &[TarSource], folder: &Path, options: &BuildOptions<'_>) -> Result<Vec<IndexedTar>> {
    let slots: Vec<Mutex<Option<IndexedTar>>> = sources.iter().map(|_| Mutex::new(None)).collect();
    let failure: Mutex<Option<(usize, IoError)>> = Mutex::new(None);
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let worker = || {
        while !failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(source) = sources.get(at) else { return };
            let result = if (options.stop)() {
                Err(IoError::read(folder, Some(0), std::io::ErrorKind::Interrupted.into()))
            } else {
                index_one(source, folder, options.read_ahead)
            };
            match result {
                Ok(tar) => {
                    *lock(&slots[at]) = Some(tar);
                    (options.on_tar)();
                }
                Err(error) => {
                    // Of several errors the one of the first tar is told, whichever thread was quicker.
                    let mut failure = lock(&failure);
                    if failure.as_ref().is_none_or(|(before, _)| at < *before) {
                        *failure = Some((at, error));
                    }
                    failed.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..options.threads.clamp(1, sources.len().max(1)) {
            scope.spawn(worker);
        }
        worker();
    });
    if let Some((_, error)) = lock(&failure).take() {
        return Err(error);
    }
    Ok(slots.iter().filter_map(|slot| lock(slot).take()).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn index_one(source: &TarSource, folder: &Path, read_ahead: usize) -> Result<IndexedTar> {
    let path = source.location.path();
    let modified_ns = std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |time| time.as_nanos() as i64);
    let hash = blake3::hash(
        [path.as_os_str().as_encoded_bytes(), b"\0", source.name.as_bytes()].concat().as_slice(),
    );
    let short: String = source.location.stem().chars().take(60).collect();
    let index_file = format!("{short}-{}.idx", &hash.to_hex()[..12]);
    let done = |head| IndexedTar {
        name: source.name.clone(),
        path: path.into(),
        index_file: index_file.clone(),
        head,
    };
    let tar = SourceFile::open(&LocalStorage, &source.location)?;
    let index_path = folder.join(&index_file);
    if index_path.exists() {
        // A damaged index file is simply made again.
        let old = SourceFile::open_local(&index_path).and_then(|file| shard_file::read_head(&file));
        if let Ok((head, _)) = old
            && head.length == tar.len()
            && head.modified_ns == modified_ns
        {
            return Ok(done(head));
        }
    }
    let bytes = tar.bytes();
    let index = scan(&*bytes, &source.name, read_ahead).map_err(|e| IoError::read(path, None, e))?;
    Ok(done(shard_file::write(&index_path, tar.len(), modified_ns, &index)?))
}

fn write_uids(path: &Path, tars: &[IndexedTar], options: &BuildOptions<'_>) -> Result<()> {
    let folder = options.folder;
    let mut sorter = Sorter::<ENTRY>::new(folder, options.memory_bytes);
    for (number, tar) in tars.iter().enumerate() {
        let file = SourceFile::open_local(folder.join("tars").join(&tar.index_file))?;
        let (_, start) = shard_file::read_head(&file)?;
        let mut reader = SampleReader::new(file, start);
        for ordinal in 0.. {
            let record = reader.offset();
            let Some(uid) = reader.next_uid()? else { break };
            let entry = UidEntry { uid, tar: number as u32, ordinal, record };
            sorter.push(entry.to_bytes())?;
        }
    }
    let fail = |error| IoError::write(path, "write", None, error);
    let mut file = AtomicFile::create(path)?;
    file.write_all(MAGIC).map_err(fail)?;
    for number in [VERSION, sorter.len(), 0] {
        file.write_all(&number.to_le_bytes()).map_err(fail)?;
    }
    for entry in sorter.finish()? {
        file.write_all(&entry?).map_err(fail)?;
    }
    file.commit()
}
