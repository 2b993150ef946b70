//! One folder of cache files: an index in memory over lines on disk, of which this process appends to at most one file.
use super::{CacheKey, record};
use crate::{Answer, ChatError, Result};
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

const PREFIX: &str = "answers-v1-";
/// A file that has grown to this is not continued.
const FULL: u64 = 1 << 28;
/// Bytes of the first read of a line; most lines need no second.
const FIRST_READ: usize = 4096;

/// Where a line begins: number of the file, and byte; without padding.
type Place = [u8; 12];

#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    damaged: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    files: Vec<Known>,
    /// What opening found, sorted by key.
    found: Vec<([u8; 16], Place)>,
    /// What came since.
    fresh: HashMap<[u8; 16], Place>,
    /// The file that this process appends to, locked while it is open.
    own: Option<usize>,
}

#[derive(Debug)]
struct Known {
    path: PathBuf,
    file: File,
    /// The end of its last whole line that the index knows.
    end: u64,
}

impl Store {
    pub fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(io(folder))? {
            let path = entry.map_err(io(folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(PREFIX) && name.ends_with(".jsonl") {
                paths.push(path);
            }
        }
        paths.sort();
        let (mut files, mut found, mut damaged) = (Vec::new(), Vec::new(), 0);
        for path in paths {
            let file = File::open(&path).map_err(io(&path))?;
            let number = files.len();
            let end = scan(&file, 0, &mut damaged, |key, at| found.push((key.0, place(number, at))));
            let end = end.map_err(io(&path))?;
            files.push(Known { path, file, end });
        }
        // Of two lines for one question the later one stays: it comes first, and the sort is stable.
        found.reverse();
        found.sort_by_key(|&(key, _)| key);
        found.dedup_by_key(|&mut (key, _)| key);
        found.shrink_to_fit();
        let inner = Inner { files, found, fresh: HashMap::new(), own: None };
        Ok(Self { folder: folder.into(), damaged, inner: Mutex::new(inner) })
    }

    pub fn len(&self) -> usize {
        let inner = self.lock();
        let new = inner.fresh.keys().filter(|key| inner.find(key).is_none()).count();
        inner.found.len() + new
    }

    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    pub fn is_in_folder_of(&self, other: &Self) -> bool {
        let real = |folder: &Path| folder.canonicalize().ok();
        self.folder == other.folder || real(&self.folder).is_some_and(|own| Some(own) == real(&other.folder))
    }

    pub fn get(&self, key: CacheKey) -> Result<Option<Answer>> {
        let inner = self.lock();
        let Some(place) = inner.fresh.get(&key.0).copied().or_else(|| inner.find(&key.0)) else {
            return Ok(None);
        };
        let (number, at) = unplace(place);
        let Known { path, file, .. } = &inner.files[number];
        let line = read_line(file, at).map_err(io(path))?;
        // A line that was damaged since it was indexed is as good as none.
        let answer = record::parse(&line).filter(|(found, _)| *found == key);
        Ok(answer.and_then(|(_, json)| serde_json::from_slice(json).ok()))
    }

    pub fn put(&self, key: CacheKey, answer: &Answer) -> Result<()> {
        let line = record::line(key, answer).map_err(|error| io(&self.folder)(error.into()))?;
        let mut inner = self.lock();
        let own = match inner.own {
            Some(own) if inner.files[own].end < FULL => own,
            _ => self.take_file(&mut inner)?,
        };
        inner.own = Some(own);
        let Known { path, file, end } = &mut inner.files[own];
        let at = *end;
        if let Err(error) = file.write_all(&line) {
            // What half came to a full disk would spoil the next line.
            let _ = file.set_len(at);
            return Err(io(path)(error));
        }
        *end += line.len() as u64;
        inner.fresh.insert(key.0, place(own, at));
        Ok(())
    }

    pub fn sync(&self) -> Result<()> {
        let inner = self.lock();
        match inner.own.map(|own| &inner.files[own]) {
            Some(Known { path, file, .. }) => file.sync_data().map_err(io(path)),
            None => Ok(()),
        }
    }

    /// A file that no living process writes, or a new one. The lock goes when the process does, however it ends.
    fn take_file(&self, inner: &mut Inner) -> Result<usize> {
        inner.own = None;
        for number in 0..inner.files.len() {
            let Known { path, end, .. } = &inner.files[number];
            if *end >= FULL {
                continue;
            }
            let options = OpenOptions::new().read(true).append(true).open(path);
            let Ok(file) = options else { continue };
            if file.try_lock().is_err() {
                continue;
            }
            // Since it was indexed another process may have gone on with it, and may have died within a line: that tail is cut.
            let (path, from) = (path.clone(), *end);
            let (mut more, mut damaged) = (Vec::new(), 0);
            let end = scan(&file, from, &mut damaged, |key, at| more.push((key.0, place(number, at))));
            let end = end.map_err(io(&path))?;
            file.set_len(end).map_err(io(&path))?;
            inner.fresh.extend(more);
            inner.files[number] = Known { path, file, end };
            return Ok(number);
        }
        let process = std::process::id();
        for attempt in 0u32.. {
            let path = self.folder.join(format!("{PREFIX}{process:010}-{attempt:04}.jsonl"));
            let made = OpenOptions::new().read(true).append(true).create_new(true).open(&path);
            let file = match made {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(io(&path)(error)),
            };
            // Where the file system has no locks, the new name alone must do: nobody continues what he cannot lock.
            if matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
                continue;
            }
            inner.files.push(Known { path, file, end: 0 });
            break;
        }
        Ok(inner.files.len() - 1)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn find(&self, key: &[u8; 16]) -> Option<Place> {
        let found = self.found.binary_search_by_key(key, |&(key, _)| key).ok()?;
        Some(self.found[found].1)
    }
}

/// Calls `keep` for each whole line from byte `from` on; returns where the last line ends that has its newline. What follows is torn.
fn scan(
    file: &File,
    from: u64,
    damaged: &mut u64,
    mut keep: impl FnMut(CacheKey, u64),
) -> std::io::Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 18, file);
    reader.seek(SeekFrom::Start(from))?;
    let (mut at, mut line) = (from, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)? as u64;
        let Some(whole) = line.strip_suffix(b"\n") else {
            *damaged += u64::from(read > 0);
            return Ok(at);
        };
        match record::parse(whole) {
            Some((key, _)) => keep(key, at),
            None => *damaged += 1,
        }
        at += read;
    }
}

/// The line at a byte, without its newline; shorter if the file ends within it.
fn read_line(file: &File, at: u64) -> std::io::Result<Vec<u8>> {
    let mut line = vec![0; FIRST_READ];
    let read = fill(file, &mut line, at)?;
    line.truncate(read);
    let length = record::length(&line[..read.min(record::HEAD)]).unwrap_or(0);
    if length > read && read == FIRST_READ {
        // A damaged length must not ask for gigabytes.
        let there = file.metadata()?.len().saturating_sub(at);
        line.resize(length.min(usize::try_from(there).unwrap_or(0)), 0);
        let more = fill(file, &mut line[FIRST_READ..], at + FIRST_READ as u64)?;
        line.truncate(FIRST_READ + more);
    }
    line.truncate(length);
    Ok(line)
}

fn fill(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn place(file: usize, at: u64) -> Place {
    let mut place = [0; 12];
    place[..4].copy_from_slice(&(file as u32).to_le_bytes());
    place[4..].copy_from_slice(&at.to_le_bytes());
    place
}

fn unplace(place: Place) -> (usize, u64) {
    let [a, b, c, d, at @ ..] = place;
    (u32::from_le_bytes([a, b, c, d]) as usize, u64::from_le_bytes(at))
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> ChatError {
    move |source| ChatError::Cache { path: path.into(), source }
}
