//! The npz half of a metadata shard, as numpy's `savez` lays it out: a zip of stored `.npy` members (format 1.0, header padded to 64
//! bytes), little-endian f16, row-major. Written block by block: the rows of an array are never in memory together.
use crate::DemoError;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

pub(crate) struct NpzWriter {
    path: PathBuf,
    zip: ZipWriter<BufWriter<File>>,
}

impl NpzWriter {
    pub fn create(path: &Path) -> Result<Self, DemoError> {
        let file = File::create(path).map_err(DemoError::io("create", path))?;
        Ok(Self { path: path.to_owned(), zip: ZipWriter::new(BufWriter::with_capacity(1 << 20, file)) })
    }

    /// Begins the member `{name}.npy`, an f16 array `[rows, dim]`; its bytes follow by [`NpzWriter::write`].
    pub fn begin(&mut self, name: &str, rows: u64, dim: usize) -> Result<(), DemoError> {
        // numpy, too, always allows for 64-bit sizes. The fixed date keeps the bytes the same from run to run.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(true)
            .last_modified_time(DateTime::default());
        self.zip.start_file(format!("{name}.npy"), options).map_err(DemoError::npz(&self.path))?;
        self.write(&npy_header(rows, dim))
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DemoError> {
        self.zip.write_all(bytes).map_err(DemoError::io("write", &self.path))
    }

    pub fn finish(self) -> Result<(), DemoError> {
        let mut file = self.zip.finish().map_err(DemoError::npz(&self.path))?;
        file.flush().map_err(DemoError::io("write", &self.path))
    }
}

/// The header of an f16 `.npy` of shape `[rows, dim]`: magic, version 1.0, length, text padded so that the data begin at a multiple of 64.
fn npy_header(rows: u64, dim: usize) -> Vec<u8> {
    let text = format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let padded = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&(padded as u16).to_le_bytes());
    header.extend_from_slice(text.as_bytes());
    header.resize(10 + padded - 1, b' ');
    header.push(b'\n');
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_on_a_multiple_of_64_with_a_line_break() {
        for (rows, dim) in [(0, 8), (1, 512), (4_000_000_000, 65_536)] {
            let header = npy_header(rows, dim);
            assert_eq!(header.len() % 64, 0);
            assert_eq!(header.last(), Some(&b'\n'));
            let length = u16::from_le_bytes([header[8], header[9]]);
            assert_eq!(usize::from(length) + 10, header.len());
        }
    }
}
