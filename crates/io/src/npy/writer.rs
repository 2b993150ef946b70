//! Writes an npy file as a stream. The header is written last, over a place of the same length that was kept for it.
use super::{Element, ElementType, NpyHeader};
use crate::{AtomicFile, IoError, Result};
use cribble_core::Uid;
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// A growing npy file: `[n]` or `[n, width]`, row-major, n known at the end. The bytes are those of `np.save`. Nothing appears under the
/// final name before [`NpyWriter::finish`].
#[derive(Debug)]
pub struct NpyWriter {
    file: AtomicFile,
    header: NpyHeader,
    bytes: u64,
}

impl NpyWriter {
    /// `width` elements a row, or `None` for a one-dimensional array.
    pub fn create(path: impl Into<PathBuf>, element: ElementType, width: Option<u64>) -> Result<Self> {
        let mut file = AtomicFile::create(path)?;
        let shape = std::iter::once(0).chain(width).collect();
        let mut header = NpyHeader { element, shape, data_offset: 0 };
        let bytes = header.to_bytes();
        header.data_offset = bytes.len() as u64;
        file.write_all(&bytes)
            .map_err(|e| IoError::write(file.final_path(), "write", Some(bytes.len() as u64), e))?;
        Ok(Self { file, header, bytes: 0 })
    }

    /// The final name.
    pub fn path(&self) -> &Path {
        self.file.final_path()
    }

    /// Appends elements, not necessarily whole rows. The type must be the array's own.
    pub fn write<T: Element>(&mut self, values: &[T]) -> Result<()> {
        if T::TYPE != self.header.element {
            let expected = self.header.element.name();
            return Err(IoError::malformed(self.path(), "elements to write", None, expected, T::TYPE.name()));
        }
        self.write_bytes(bytemuck::cast_slice(values))
    }

    /// Appends uids to an array of uid pairs.
    pub fn write_uids(&mut self, uids: &[Uid]) -> Result<()> {
        for piece in uids.chunks(4096) {
            let pairs: Vec<[u64; 2]> = piece.iter().map(|uid| [uid.halves().0, uid.halves().1]).collect();
            self.write(&pairs)?;
        }
        Ok(())
    }

    /// Appends raw little-endian elements.
    pub fn write_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let wanted = Some(bytes.len() as u64);
        self.file.write_all(bytes).map_err(|e| IoError::write(self.file.final_path(), "write", wanted, e))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Writes the header, commits the file and returns its rows. A last row that is not whole is an error, and no file appears.
    pub fn finish(mut self) -> Result<u64> {
        let row = (self.header.width() * self.header.element.size()).max(1);
        if !self.bytes.is_multiple_of(row) {
            let found = format!("{} bytes", self.bytes);
            return Err(IoError::malformed(
                self.path(),
                "array to write",
                None,
                format!("whole rows of {row} bytes"),
                found,
            ));
        }
        self.header.shape[0] = self.bytes / row;
        self.file.write_all_at(0, &self.header.to_bytes())?;
        self.file.commit()?;
        Ok(self.header.rows())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_arrays_are_legal_and_broken_rows_leave_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        NpyWriter::create(&path, ElementType::I64, None).unwrap().finish().unwrap();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(text.contains("'descr': '<i8', 'fortran_order': False, 'shape': (0,), }"));
        std::fs::remove_file(&path).unwrap();
        let mut writer = NpyWriter::create(&path, ElementType::F32, Some(2)).unwrap();
        assert!(writer.write(&[1u64]).is_err());
        writer.write(&[1.0f32]).unwrap();
        assert!(writer.finish().is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
