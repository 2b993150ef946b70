//! Where bytes come from: locations, positioned reads, folder listings. Nothing is memory-mapped: mapped pages count as resident memory,
//! and the memory ceiling is a promise, so every read is a `pread` into a buffer that its caller owns.
use crate::{IoError, Result};
use bytes::Bytes;
use parquet::{errors::ParquetError, file::reader::ChunkReader, file::reader::Length};
use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file or folder, parsed from a path or URL. Only local paths for now; `file://` is accepted. Ordered by path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    path: PathBuf,
}

impl Location {
    /// Parses a path or URL. A scheme that cannot be served yet (`s3`, `gs`, `az`, `http`, …) is an error that says so.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once("://") {
            Some(("file", path)) => Ok(Self::local(path)),
            Some((scheme, _))
                if !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+') =>
            {
                Err(IoError::UnsupportedScheme { location: text.into(), scheme: scheme.into() })
            }
            _ => Ok(Self::local(text)),
        }
    }

    /// A local path, taken as it is.
    pub fn local(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The local path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder inside this one.
    pub fn join(&self, name: &str) -> Self {
        Self { path: self.path.join(name) }
    }

    /// The last part of the path, with characters that are no Unicode replaced; empty for `/` and `..`.
    pub fn file_name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The last part of the path without what follows its last dot.
    pub fn stem(&self) -> String {
        self.path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// What follows the last dot of the file name, in lower case; empty when there is none.
    pub fn extension(&self) -> String {
        self.path.extension().map_or_else(String::new, |name| name.to_string_lossy().to_ascii_lowercase())
    }

    /// The folder that holds this, `.` for a bare file name.
    pub fn parent(&self) -> Self {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => Self::local(folder),
            _ => Self::local("."),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Bytes that can be read at any position from many threads at once.
pub trait ReadAt: Send + Sync {
    /// Length in bytes, fixed when the file was opened.
    fn len(&self) -> u64;

    /// Fills all of `buf` from `offset`. Fewer bytes than asked for is an error of kind `UnexpectedEof`.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Whether there is not a single byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One thing in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Where it is.
    pub location: Location,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Length in bytes; 0 for folders.
    pub length: u64,
}

/// A place that holds files. One implementation per kind of place; all readers of this crate go through it.
pub trait Storage: Send + Sync {
    /// Opens a file for positioned reads.
    fn open(&self, location: &Location) -> Result<Arc<dyn ReadAt>>;

    /// The direct contents of a folder, sorted by name. Hidden names (a leading dot) are left out: temporary files are among them.
    /// Symbolic links are followed.
    fn list(&self, folder: &Location) -> Result<Vec<Entry>>;

    /// The entry of one file or folder, or `None` when it does not exist.
    fn entry(&self, location: &Location) -> Result<Option<Entry>>;

    /// Whether a file or folder is there.
    fn exists(&self, location: &Location) -> Result<bool> {
        Ok(self.entry(location)?.is_some())
    }
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalStorage;

struct LocalFile {
    file: File,
    length: u64,
}

impl ReadAt for LocalFile {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

impl Storage for LocalStorage {
    fn open(&self, location: &Location) -> Result<Arc<dyn ReadAt>> {
        let fail = |source| IoError::read(location.path(), None, source);
        let file = File::open(location.path()).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if metadata.is_dir() {
            return Err(fail(io::Error::new(io::ErrorKind::IsADirectory, "is a folder, not a file")));
        }
        Ok(Arc::new(LocalFile { file, length: metadata.len() }))
    }

    fn list(&self, folder: &Location) -> Result<Vec<Entry>> {
        let fail = |source| IoError::read(folder.path(), None, source);
        let mut entries = Vec::new();
        for item in std::fs::read_dir(folder.path()).map_err(fail)? {
            let item = item.map_err(fail)?;
            if item.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            // A link that leads nowhere is listed as nothing at all: opening it by name still says what is wrong.
            if let Some(entry) = self.entry(&Location::local(item.path()))? {
                entries.push(entry);
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn entry(&self, location: &Location) -> Result<Option<Entry>> {
        match std::fs::metadata(location.path()) {
            Ok(metadata) => Ok(Some(Entry {
                location: location.clone(),
                is_folder: metadata.is_dir(),
                length: if metadata.is_dir() { 0 } else { metadata.len() },
            })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(IoError::read(location.path(), None, error)),
        }
    }
}

/// An open file that knows its name, so that every failed read can say where it happened. Cheap to clone.
#[derive(Clone)]
pub struct SourceFile {
    location: Location,
    bytes: Arc<dyn ReadAt>,
}

impl SourceFile {
    /// Opens a file of a storage.
    pub fn open(storage: &dyn Storage, location: &Location) -> Result<Self> {
        Ok(Self { bytes: storage.open(location)?, location: location.clone() })
    }

    /// Opens a local file.
    pub fn open_local(path: impl Into<PathBuf>) -> Result<Self> {
        Self::open(&LocalStorage, &Location::local(path))
    }

    /// Where the bytes come from.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The path, for messages.
    pub fn path(&self) -> &Path {
        self.location.path()
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.bytes.len()
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Fills all of `buf` from `offset`.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.bytes.read_at(offset, buf).map_err(|source| IoError::read(self.path(), Some(offset), source))
    }

    /// `length` bytes from `offset`, fewer at the end of the file. Allocates no more than the file has.
    pub fn read_range(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let there = self.len().saturating_sub(offset).min(length as u64) as usize;
        let mut buf = vec![0; there];
        self.read_at(offset, &mut buf)?;
        Ok(buf)
    }

    /// A reader with a position of its own, starting at byte 0.
    pub fn cursor(&self) -> ReadAtCursor {
        ReadAtCursor::new(self.bytes.clone())
    }

    /// The bytes without their name.
    pub fn bytes(&self) -> Arc<dyn ReadAt> {
        self.bytes.clone()
    }
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFile({}, {} bytes)", self.location, self.len())
    }
}

/// `Read` and `Seek` over positioned reads, each cursor with its own position. Unbuffered: wrap it where small reads are made.
#[derive(Clone)]
pub struct ReadAtCursor {
    bytes: Arc<dyn ReadAt>,
    position: u64,
}

impl ReadAtCursor {
    /// Starts at byte 0.
    pub fn new(bytes: Arc<dyn ReadAt>) -> Self {
        Self { bytes, position: 0 }
    }
}

impl Read for ReadAtCursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let there = self.bytes.len().saturating_sub(self.position).min(buf.len() as u64) as usize;
        if there > 0 {
            self.bytes.read_at(self.position, &mut buf[..there])?;
            self.position += there as u64;
        }
        Ok(there)
    }
}

impl Seek for ReadAtCursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.bytes.len().checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = target
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the first byte"))?;
        Ok(self.position)
    }
}

/// The same bytes as the parquet library wants to see them.
#[derive(Clone)]
pub struct ParquetSource(pub Arc<dyn ReadAt>);

impl Length for ParquetSource {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for ParquetSource {
    type T = BufReader<ReadAtCursor>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(BufReader::new(ReadAtCursor { bytes: self.0.clone(), position: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let there = self.0.len().saturating_sub(start);
        if length as u64 > there {
            // Checked before allocating: a damaged footer may ask for any length.
            return Err(ParquetError::EOF(format!(
                "{length} bytes wanted at byte {start}, {there} are there"
            )));
        }
        let mut buf = vec![0; length];
        self.0.read_at(start, &mut buf).map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(buf.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_know_their_parts_and_foreign_schemes_are_refused() {
        let place = Location::parse("a/b.Tar").unwrap();
        assert_eq!(
            (place.file_name().as_str(), place.stem().as_str(), place.extension().as_str()),
            ("b.Tar", "b", "tar")
        );
        assert_eq!(Location::parse("x.npy").unwrap().parent(), Location::local("."));
        assert_eq!(Location::parse("file:///tmp/x").unwrap(), Location::local("/tmp/x"));
        for scheme in ["s3", "gs", "az", "http", "https"] {
            let error = Location::parse(&format!("{scheme}://bucket/x")).unwrap_err();
            assert!(error.to_string().contains("yet") && error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn reads_listings_and_cursors_agree_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b"), b"0123456789").unwrap();
        std::fs::write(folder.path().join(".tmp-x"), b"").unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        let storage = LocalStorage;
        let root = Location::local(folder.path());
        let names: Vec<_> =
            storage.list(&root).unwrap().iter().map(|e| (e.location.file_name(), e.is_folder)).collect();
        assert_eq!(names, [("a".to_owned(), true), ("b".to_owned(), false)]);

        let file = SourceFile::open(&storage, &root.join("b")).unwrap();
        assert_eq!(file.read_range(8, 100).unwrap(), b"89");
        assert_eq!(file.read_range(80, 100).unwrap(), b"");
        let mut buf = [0; 4];
        let error = file.read_at(8, &mut buf).unwrap_err();
        assert!(error.to_string().contains("at byte 8") && error.hint().is_some(), "{error}");
        let mut cursor = file.cursor();
        cursor.seek(SeekFrom::End(-3)).unwrap();
        let mut text = String::new();
        cursor.read_to_string(&mut text).unwrap();
        assert_eq!(text, "789");
        assert!(cursor.seek(SeekFrom::Current(-11)).is_err());
        assert!(ParquetSource(file.bytes()).get_bytes(5, 6).is_err());
        assert_eq!(&ParquetSource(file.bytes()).get_bytes(5, 5).unwrap()[..], b"56789");

        assert!(matches!(storage.open(&root.join("none")), Err(IoError::NotFound { .. })));
        assert!(storage.open(&root).is_err());
        assert!(!storage.exists(&root.join("b/c")).unwrap());
    }
}
