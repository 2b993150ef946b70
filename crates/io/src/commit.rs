//! How every file gets its name: written under a temporary one, synced, renamed, folder synced, so that a reader sees all of a file or
//! nothing. The temporary lies in the folder of its target, because a rename is only atomic inside one file system.
use crate::{IoError, Result};
use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Write},
    num::NonZeroU64,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        OnceLock, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The beginning of every temporary name; listings leave such names out.
pub const TEMP_PREFIX: &str = ".tmp-";
/// A temporary of another machine is taken for dead when nobody has touched it for this long.
const FOREIGN_AGE: Duration = Duration::from_secs(3600);
const BUFFER_BYTES: usize = 256 * 1024;
/// Shorter ranges are cheaper to read into the buffer than to copy with a system call of their own.
const KERNEL_COPY_BYTES: u64 = 128 * 1024;

/// The disk is told to begin once so many bytes are appended.
const HURRY_BYTES: u64 = 8 << 20;

/// The moments at which a killed process leaves different files behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommitPoint {
    /// The temporary file is complete and synced; the final name does not exist yet (or is still the old file).
    TempWritten,
    /// The file has its final name and the folder is synced.
    Renamed,
    /// A marker has its final name: the task that it stands for is done.
    MarkerWritten,
}

/// What [`set_commit_hook`] takes: the moment, and the final path.
pub type CommitHook = fn(CommitPoint, &Path);

static HOOK: RwLock<Option<CommitHook>> = RwLock::new(None);
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Calls `hook` at every commit point of this process, on the thread that commits; `None` takes it away. For tests that kill the
/// process at each point in turn. The hook must not commit files itself.
pub fn set_commit_hook(hook: Option<CommitHook>) {
    *HOOK.write().unwrap_or_else(std::sync::PoisonError::into_inner) = hook;
}

fn at(point: CommitPoint, path: &Path) {
    let hook = *HOOK.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(hook) = hook {
        hook(point, path);
    }
}

/// A file that appears under its name only when it is whole. Appending goes through `Write` (buffered), known places through
/// [`AtomicFile::write_all_at`]. Dropped without [`AtomicFile::commit`], it leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    final_path: PathBuf,
    temp_path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    appended: u64,
    /// Up to here the disk was told to begin.
    hurried: u64,
    committed: bool,
}

impl AtomicFile {
    /// Starts a file; its folder is created when it is missing. An existing file of that name stays until the commit replaces it.
    pub fn create(final_path: impl Into<PathBuf>) -> Result<Self> {
        let final_path = final_path.into();
        let folder = folder_of(&final_path);
        std::fs::create_dir_all(folder).map_err(|e| IoError::write(folder, "create", None, e))?;
        let temp_path = folder.join(temp_name(&final_path));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temp_path)
            .map_err(|e| IoError::write(&final_path, "create", None, e))?;
        Ok(Self {
            final_path,
            temp_path,
            file,
            buffer: Vec::new(),
            appended: 0,
            hurried: 0,
            committed: false,
        })
    }

    /// The name that the file will have.
    pub fn final_path(&self) -> &Path {
        &self.final_path
    }

    /// Bytes appended so far, whether they are still in the buffer or not.
    pub fn position(&self) -> u64 {
        self.appended + self.buffer.len() as u64
    }

    /// Writes all of `bytes` at `offset`, beyond the present end too (the gap reads as zeros). Appending is not moved by it.
    pub fn write_all_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let wanted = Some(bytes.len() as u64);
        self.drain()
            .and_then(|()| self.file.write_all_at(bytes, offset))
            .map_err(|e| IoError::write(&self.final_path, "write", wanted, e))
    }

    /// Appends `length` bytes of a local file from `offset` on. Long ranges are copied inside the kernel where it can do that
    /// (`copy_file_range`; some file systems then share the blocks), others pass through the buffer. The bytes are the same either way.
    pub fn append_range(&mut self, source: &File, offset: u64, length: u64) -> Result<()> {
        let result =
            if length >= KERNEL_COPY_BYTES { self.kernel_copy(source, offset, length) } else { Ok(0) };
        result
            .and_then(|copied| self.plain_copy(source, offset + copied, length - copied))
            .map_err(|e| IoError::write(&self.final_path, "write", Some(length), e))
    }

    /// Copies what the kernel is willing to copy; returns how much that was.
    fn kernel_copy(&mut self, source: &File, offset: u64, length: u64) -> io::Result<u64> {
        self.drain()?;
        let mut copied = 0;
        while copied < length {
            let (mut from, mut to) = (offset + copied, self.appended);
            let wanted = usize::try_from(length - copied).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(source, Some(&mut from), &self.file, Some(&mut to), wanted) {
                // The source ended, or this kernel cannot copy between these two: the plain copy goes on and tells which.
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    copied += count as u64;
                    self.appended += count as u64;
                }
            }
        }
        Ok(copied)
    }

    fn plain_copy(&mut self, source: &File, mut offset: u64, length: u64) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.buffer.len() >= BUFFER_BYTES {
                self.drain()?;
            }
            let held = self.buffer.len();
            let count = left.min((BUFFER_BYTES - held) as u64) as usize;
            self.buffer.resize(held + count, 0);
            if let Err(error) = source.read_exact_at(&mut self.buffer[held..], offset) {
                self.buffer.truncate(held);
                return Err(error);
            }
            offset += count as u64;
            left -= count as u64;
        }
        Ok(())
    }

    /// Sets the length, for files that are filled by [`AtomicFile::write_all_at`].
    pub fn set_len(&mut self, length: u64) -> Result<()> {
        self.file.set_len(length).map_err(|e| IoError::write(&self.final_path, "write", Some(length), e))
    }

    /// Flushes, syncs, renames to the final name and syncs the folder.
    pub fn commit(mut self) -> Result<()> {
        let pending = self.buffer.len() as u64;
        self.drain().map_err(|e| IoError::write(&self.final_path, "write", Some(pending), e))?;
        self.file.sync_all().map_err(|e| IoError::write(&self.final_path, "sync", None, e))?;
        at(CommitPoint::TempWritten, &self.final_path);
        std::fs::rename(&self.temp_path, &self.final_path)
            .map_err(|e| IoError::write(&self.final_path, "rename", None, e))?;
        self.committed = true;
        sync_folder(folder_of(&self.final_path))?;
        at(CommitPoint::Renamed, &self.final_path);
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_all_at(&self.buffer, self.appended)?;
            self.appended += self.buffer.len() as u64;
            self.buffer.clear();
        }
        self.hurry();
        Ok(())
    }

    /// Has the disk begin with what is appended, so that the sync at the end finds little left to wait for. On Linux this advice starts the
    /// writing and drops no page that is not written yet; elsewhere it may do nothing. So its outcome does not matter.
    fn hurry(&mut self) {
        if let Some(length) =
            NonZeroU64::new(self.appended - self.hurried).filter(|length| length.get() >= HURRY_BYTES)
        {
            let _ = rustix::fs::fadvise(&self.file, self.hurried, Some(length), rustix::fs::Advice::DontNeed);
            self.hurried = self.appended;
        }
    }

    /// The parquet and zip writers pass on nothing but an `io::Error`, so the path and the length go into its text.
    fn named(&self, wanted: usize, error: io::Error) -> io::Error {
        io::Error::new(
            error.kind(),
            format!("{}: cannot write {wanted} bytes: {error}", self.final_path.display()),
        )
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            let pending = self.buffer.len();
            self.drain().map_err(|e| self.named(pending, e))?;
        }
        if bytes.len() >= BUFFER_BYTES {
            self.file.write_all_at(bytes, self.appended).map_err(|e| self.named(bytes.len(), e))?;
            self.appended += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let pending = self.buffer.len();
        self.drain().map_err(|e| self.named(pending, e))
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing can be reported from here; a temporary that stays is found by `clean_leftovers`.
            let _ = std::fs::remove_file(&self.temp_path);
        }
    }
}

/// Writes a small file whole, as [`AtomicFile`] does.
pub fn write_file(path: &Path, contents: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all_at(0, contents)?;
    file.commit()
}

/// Writes the file whose presence says that a task is done. Its contents are the caller's; call it after every output of the task.
pub fn write_marker(path: &Path, contents: &[u8]) -> Result<()> {
    write_file(path, contents)?;
    at(CommitPoint::MarkerWritten, path);
    Ok(())
}

/// Removes temporaries that dead processes left in `folder` (not below it) and returns how many. A temporary of a process that lives on
/// this machine stays; one of another machine (a shared disk) goes when it has not been touched for an hour. A missing folder has none.
pub fn clean_leftovers(folder: &Path) -> Result<usize> {
    let items = match std::fs::read_dir(folder) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(IoError::read(folder, None, error)),
    };
    let mut removed = 0;
    for item in items {
        let path = item.map_err(|e| IoError::read(folder, None, e))?.path();
        let name = path.file_name().map_or_else(Default::default, |name| name.to_string_lossy().into_owned());
        if name.starts_with(TEMP_PREFIX) && is_dead(&name, &path) {
            match std::fs::remove_file(&path) {
                Ok(()) => removed += 1,
                // Another process was quicker.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(IoError::write(&path, "remove", None, error)),
            }
        }
    }
    Ok(removed)
}

fn is_dead(name: &str, path: &Path) -> bool {
    let mut parts = name[TEMP_PREFIX.len()..].split('-');
    let (place, pid) =
        (parts.next().unwrap_or_default(), parts.next().and_then(|text| text.parse::<i32>().ok()));
    match pid.and_then(rustix::process::Pid::from_raw) {
        Some(pid) if place == machine() => {
            // "Not permitted" means that it lives but belongs to somebody else.
            rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH) || is_zombie(pid)
        }
        _ => {
            let age = std::fs::metadata(path).and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
            age.is_some_and(|age| age > FOREIGN_AGE)
        }
    }
}

/// A killed process whose parent has not asked for its end yet still answers signals. In containers the first process often never asks.
fn is_zombie(pid: rustix::process::Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    // The state follows the name, which stands in parentheses and may itself hold any character.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Process numbers mean something only inside one boot of one machine, and inside one container there: both are named by these files.
fn machine() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let mut hash = blake3::Hasher::new();
        hash.update(&std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default());
        hash.update(
            std::fs::read_link("/proc/self/ns/pid").unwrap_or_default().as_os_str().as_encoded_bytes(),
        );
        hash.finalize().to_hex()[..8].to_owned()
    })
}

fn temp_name(final_path: &Path) -> OsString {
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    // The end of the name is only for people who look into the folder: cut, so that a long name still leaves a legal temporary.
    let name: String =
        final_path.file_name().map_or_else(String::new, |n| n.to_string_lossy().chars().take(40).collect());
    format!("{TEMP_PREFIX}{}-{}-{count}-{name}", machine(), std::process::id()).into()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| IoError::write(folder, "sync", None, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/x.bin");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"abc").unwrap();
        file.write_all(&vec![7; BUFFER_BYTES + 1]).unwrap();
        file.write_all(b"end").unwrap();
        assert_eq!(file.position(), BUFFER_BYTES as u64 + 7);
        file.write_all_at(1, b"ZZ").unwrap();
        assert!(!path.exists());
        file.commit().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((&bytes[..4], &bytes[bytes.len() - 4..]), (&b"aZZ\x07"[..], &b"\x07end"[..]));

        let mut again = AtomicFile::create(&path).unwrap();
        again.write_all(b"new").unwrap();
        again.flush().unwrap();
        drop(again);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn leftovers_of_the_dead_go_and_those_of_the_living_stay() {
        let folder = tempfile::tempdir().unwrap();
        let live = AtomicFile::create(folder.path().join("live")).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead_pid = child.id();
        child.wait().unwrap();
        std::fs::write(folder.path().join(format!(".tmp-{}-{dead_pid}-0-x", machine())), b"").unwrap();
        std::fs::write(folder.path().join(".tmp-elsewhere-1-0-x"), b"").unwrap();
        let mut zombie = std::process::Command::new("true").spawn().unwrap();
        let zombie_pid = zombie.id();
        while !is_zombie(rustix::process::Pid::from_raw(zombie_pid as i32).unwrap()) {
            std::thread::yield_now();
        }
        std::fs::write(folder.path().join(format!(".tmp-{}-{zombie_pid}-0-x", machine())), b"").unwrap();
        let old = File::create(folder.path().join(".tmp-elsewhere-1-1-x")).unwrap();
        old.set_modified(std::time::SystemTime::now() - FOREIGN_AGE * 2).unwrap();
        assert_eq!(clean_leftovers(folder.path()).unwrap(), 3);
        zombie.wait().unwrap();
        live.commit().unwrap();
        assert_eq!(clean_leftovers(&folder.path().join("none")).unwrap(), 0);
    }

    #[test]
    fn ranges_of_every_length_are_appended_by_both_ways_of_copying() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..900_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        std::fs::write(folder.path().join("source"), &bytes).unwrap();
        let source = File::open(folder.path().join("source")).unwrap();
        let ranges =
            [(5, 10), (0, 200_000), (100, 131_072), (7, 131_071), (899_999, 1), (3, 0), (1, 899_999)];
        let mut expected = b"head".to_vec();
        let mut both = AtomicFile::create(folder.path().join("both")).unwrap();
        let mut plain = AtomicFile::create(folder.path().join("plain")).unwrap();
        both.write_all(b"head").unwrap();
        plain.write_all(b"head").unwrap();
        for (offset, length) in ranges {
            both.append_range(&source, offset, length).unwrap();
            plain.plain_copy(&source, offset, length).unwrap();
            expected.extend_from_slice(&bytes[offset as usize..(offset + length) as usize]);
        }
        assert_eq!(both.position(), expected.len() as u64);
        assert!(both.append_range(&source, 899_000, 200_000).is_err());
        plain.commit().unwrap();
        assert_eq!(std::fs::read(folder.path().join("plain")).unwrap(), expected);
        let mut again = AtomicFile::create(folder.path().join("both")).unwrap();
        again.write_all(b"head").unwrap();
        for (offset, length) in ranges {
            again.append_range(&source, offset, length).unwrap();
        }
        again.commit().unwrap();
        assert_eq!(std::fs::read(folder.path().join("both")).unwrap(), expected);
    }

    #[test]
    fn a_full_disk_and_a_forbidden_folder_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        let error = AtomicFile::create(folder.path().join("file/x")).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");

        let mut file = AtomicFile::create(folder.path().join("x")).unwrap();
        // `/dev/full` answers every write with "no space left".
        file.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = file.write_all_at(0, b"12345").unwrap_err();
        assert!(error.to_string().contains("5 bytes") && error.hint().unwrap().contains("space"), "{error}");
        file.write_all(b"123").unwrap();
        let error = file.flush().unwrap_err();
        assert!(
            error.kind() == io::ErrorKind::StorageFull && error.to_string().contains("3 bytes"),
            "{error}"
        );
        assert!(file.commit().unwrap_err().hint().unwrap().contains("space"));
        assert!(!folder.path().join("x").exists());
    }
}
