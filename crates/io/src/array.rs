//! Rows of one array, wherever it lies: in an npy file, in a stored or a deflated member of an npz. One type, so that steps need not
//! know. A deflated member can only be read forwards, so going back restarts it: correct always, fast when rows are asked for in order.
use crate::{
    IoError, Result, SourceFile,
    npy::{ElementType, NpyFile, NpyHeader},
    storage::ReadAtCursor,
};
use flate2::{Crc, bufread::DeflateDecoder};
use std::{
    io::{BufReader, Read, Seek, SeekFrom, Take},
    path::Path,
};

/// Bytes that are read and converted at once.
const BLOCK_BYTES: usize = 1 << 20;

/// An open array of one shard: `[rows, dim]`, row-major. Values are as stored, not normalised. Memory is bounded by a block of 1 MiB.
/// Each thread opens its own.
pub struct ArrayReader {
    name: String,
    element: ElementType,
    dim: u64,
    first_row: u64,
    rows: u64,
    data: Data,
    scratch: Vec<u8>,
}

enum Data {
    Range { file: SourceFile, offset: u64 },
    Deflated(Box<Inflate>),
}

impl ArrayReader {
    /// All rows of an npy file or headerless array.
    pub fn from_npy(name: impl Into<String>, npy: &NpyFile) -> Self {
        Self::stored(name, npy.file().clone(), npy.header(), 0)
    }

    /// An array whose npy bytes begin at `start` of the file.
    pub(crate) fn stored(name: impl Into<String>, file: SourceFile, header: &NpyHeader, start: u64) -> Self {
        let data = Data::Range { file, offset: start + header.data_offset };
        Self::new(name.into(), header, data)
    }

    /// An array whose npy bytes are the deflated member `member`.
    pub(crate) fn deflated(
        name: impl Into<String>,
        file: SourceFile,
        header: &NpyHeader,
        member: Deflated,
    ) -> Self {
        let inflate = Inflate {
            file,
            member,
            data_offset: header.data_offset,
            stream: None,
            position: 0,
            crc: Crc::new(),
        };
        Self::new(name.into(), header, Data::Deflated(Box::new(inflate)))
    }

    fn new(name: String, header: &NpyHeader, data: Data) -> Self {
        Self {
            name,
            element: header.element,
            dim: header.width(),
            first_row: 0,
            rows: header.rows(),
            data,
            scratch: Vec::new(),
        }
    }

    /// Only `rows` rows from `first`, which become row 0 and so on. For virtual shards.
    pub fn slice(mut self, first: u64, rows: u64) -> Result<Self> {
        if first.saturating_add(rows) > self.rows {
            let (start, end) = (first, first.saturating_add(rows));
            return Err(IoError::OutOfRange { path: self.path().into(), start, end, rows: self.rows });
        }
        self.first_row += first;
        self.rows = rows;
        Ok(self)
    }

    /// The name of the array.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that holds it.
    pub fn path(&self) -> &Path {
        match &self.data {
            Data::Range { file, .. } => file.path(),
            Data::Deflated(inflate) => inflate.file.path(),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Elements of a row.
    pub fn dim(&self) -> usize {
        self.dim as usize
    }

    /// Type of an element as stored.
    pub fn dtype(&self) -> ElementType {
        self.element
    }

    /// Whether any row can be reached directly; otherwise going back reads from the start again.
    pub fn is_random_access(&self) -> bool {
        matches!(self.data, Data::Range { .. })
    }

    /// Fills `out` (whole rows, `count * dim` values) with the rows from `start`, converted to f32 and not normalised.
    pub fn read_f32(&mut self, start: u64, out: &mut [f32]) -> Result<()> {
        if !self.element.is_float() {
            let found = self.element.name();
            return Err(IoError::malformed(
                self.path(),
                "array",
                None,
                format!("{}: f16, f32 or f64", self.name),
                found,
            ));
        }
        self.check(start, out.len() as u64)?;
        if self.element == ElementType::F32 {
            return self.fill(start * self.dim, bytemuck::cast_slice_mut(out));
        }
        let size = self.element.size() as usize;
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut at = start * self.dim;
        for piece in out.chunks_mut(BLOCK_BYTES / size) {
            scratch.resize(piece.len() * size, 0);
            self.fill(at, &mut scratch)?;
            // Types and lengths were checked above.
            let converted = self.element.to_f32(&scratch, piece);
            debug_assert!(converted);
            at += piece.len() as u64;
        }
        self.scratch = scratch;
        Ok(())
    }

    /// Fills `out` (whole rows) with the raw little-endian bytes of the rows from `start`.
    pub fn read_raw(&mut self, start: u64, out: &mut [u8]) -> Result<()> {
        let size = self.element.size().max(1);
        if !(out.len() as u64).is_multiple_of(size) {
            return Err(self.out_of_range(start, out.len() as u64));
        }
        self.check(start, out.len() as u64 / size)?;
        self.fill(start * self.dim, out)
    }

    fn check(&self, start: u64, elements: u64) -> Result<()> {
        let count = elements.checked_div(self.dim).unwrap_or(0);
        if start.saturating_add(count) > self.rows || count * self.dim != elements {
            return Err(self.out_of_range(start, count));
        }
        Ok(())
    }

    fn out_of_range(&self, start: u64, count: u64) -> IoError {
        IoError::OutOfRange {
            path: self.path().into(),
            start,
            end: start.saturating_add(count),
            rows: self.rows,
        }
    }

    /// `at` counts elements from the first row of this reader.
    fn fill(&mut self, at: u64, out: &mut [u8]) -> Result<()> {
        let byte = (self.first_row * self.dim + at) * self.element.size();
        match &mut self.data {
            Data::Range { file, offset } => file.read_at(*offset + byte, out),
            Data::Deflated(inflate) => inflate.read_at(byte, out),
        }
    }
}

impl std::fmt::Debug for ArrayReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ArrayReader({} in {}: [{}, {}] {})",
            self.name,
            self.path().display(),
            self.rows,
            self.dim,
            self.element
        )
    }
}

/// Where a deflated member lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deflated {
    /// First byte of the deflated data in the file.
    pub start: u64,
    /// Bytes of deflated data.
    pub compressed: u64,
    /// Bytes when inflated.
    pub total: u64,
    /// The checksum of the inflated bytes, as the directory has it.
    pub crc: u32,
}

struct Inflate {
    file: SourceFile,
    member: Deflated,
    /// Length of the npy header, in inflated bytes.
    data_offset: u64,
    stream: Option<DeflateDecoder<BufReader<Take<ReadAtCursor>>>>,
    position: u64,
    crc: Crc,
}

impl Inflate {
    fn read_at(&mut self, byte: u64, out: &mut [u8]) -> Result<()> {
        let target = self.data_offset + byte;
        if self.stream.is_none() || target < self.position {
            self.stream = Some(inflate(&self.file, self.member)?);
            self.position = 0;
            self.crc = Crc::new();
        }
        let mut skipped = [0; 16 * 1024];
        while self.position < target {
            let length = (target - self.position).min(skipped.len() as u64) as usize;
            self.take(&mut skipped[..length])?;
        }
        self.take(out)
    }

    fn take(&mut self, out: &mut [u8]) -> Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let read = stream.read_exact(out);
        if let Err(error) = read {
            self.stream = None;
            let found = error.to_string();
            return Err(self.damaged(format!("{} bytes of good deflated data", self.member.total), found));
        }
        self.crc.update(out);
        self.position += out.len() as u64;
        if self.position == self.member.total && self.crc.sum() != self.member.crc {
            let found = format!("{:08x}", self.crc.sum());
            return Err(self.damaged(format!("checksum {:08x}", self.member.crc), found));
        }
        Ok(())
    }

    fn damaged(&self, expected: String, found: String) -> IoError {
        IoError::malformed(self.file.path(), "deflated array", Some(self.member.start), expected, found)
            .with_hint("the file is damaged: fetch it again")
    }
}

/// The inflated bytes of a member, from its beginning.
pub(crate) fn inflate(
    file: &SourceFile,
    member: Deflated,
) -> Result<DeflateDecoder<BufReader<Take<ReadAtCursor>>>> {
    let mut cursor = file.cursor();
    cursor
        .seek(SeekFrom::Start(member.start))
        .map_err(|e| IoError::read(file.path(), Some(member.start), e))?;
    Ok(DeflateDecoder::new(BufReader::with_capacity(128 * 1024, cursor.take(member.compressed))))
}
