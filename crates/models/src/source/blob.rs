//! The bytes of one file of a checkpoint, read by range: weights are gigabytes, and a whole copy beside the converted tensors would
//! double the memory of a run.
use super::io;
use crate::Result;
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// A file of a checkpoint, open for reading at any place, from any thread.
#[derive(Debug)]
pub struct Blob {
    place: PathBuf,
    held: Held,
    len: u64,
}

#[derive(Debug)]
enum Held {
    File(File),
    Memory(&'static [u8]),
}

impl Blob {
    /// Opens a file on disk.
    ///
    /// # Errors
    /// [`crate::ModelError::Io`] where it cannot be opened or is no regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(io(path))?;
        let found = file.metadata().map_err(io(path))?;
        if !found.is_file() {
            return Err(io(path)(std::io::Error::other("not a regular file")));
        }
        Ok(Self { place: path.into(), held: Held::File(file), len: found.len() })
    }

    /// Bytes that are part of the program.
    pub fn memory(place: impl Into<PathBuf>, bytes: &'static [u8]) -> Self {
        Self { place: place.into(), len: bytes.len() as u64, held: Held::Memory(bytes) }
    }

    /// The file's path, or `builtin:NAME/FILE`.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Bytes in the file when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`crate::ModelError::Io`] where the file fails or ends before.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let read = match &self.held {
            Held::File(file) => file.read_exact_at(into, offset),
            Held::Memory(bytes) => {
                let found =
                    usize::try_from(offset).ok().and_then(|start| bytes.get(start..)?.get(..into.len()));
                found.map(|found| into.copy_from_slice(found)).ok_or(std::io::ErrorKind::UnexpectedEof.into())
            }
        };
        read.map_err(io(&self.place))
    }

    /// The BLAKE3 hash of all bytes.
    ///
    /// # Errors
    /// [`crate::ModelError::Io`] where the file cannot be read.
    pub fn blake3(&self) -> Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; (1 << 20).min(self.len as usize)];
        let mut offset = 0;
        while offset < self.len {
            let now = buffer.len().min((self.len - offset) as usize);
            self.read_at(offset, &mut buffer[..now])?;
            hasher.update(&buffer[..now]);
            offset += now as u64;
        }
        Ok(hasher.finalize())
    }
}
