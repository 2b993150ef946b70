//! Reads a model file field by field. Nothing is allocated before the file is known to be long enough for it.
use crate::{ModelError, Result};
use std::io::{BufRead, ErrorKind, Read};

/// Little-endian fields from a file of known length.
pub(super) struct Reader<R> {
    inner: R,
    left: u64,
    place: String,
}

impl<R: BufRead> Reader<R> {
    /// A reader of `length` bytes; `place` names the file in errors.
    pub(super) fn new(inner: R, length: u64, place: &str) -> Self {
        Self { inner, left: length, place: place.to_owned() }
    }

    /// Bytes that have not been read.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The error of a file that is not what it should be.
    pub(super) fn malformed(&self, what: impl Into<String>) -> ModelError {
        ModelError::Malformed { place: self.place.clone(), what: what.into() }
    }

    fn failed(&self, error: std::io::Error, what: &str) -> ModelError {
        if error.kind() == ErrorKind::UnexpectedEof {
            return self.too_short(what);
        }
        ModelError::Io { path: self.place.clone().into(), source: error }
    }

    fn too_short(&self, what: &str) -> ModelError {
        self.malformed(format!(
            "the file ends before {what}: it was cut off or is not a fastText model; download or copy it again"
        ))
    }

    /// Takes `size` elements of `width` bytes off the rest of the file, before room for them is made.
    fn reserve(&mut self, size: usize, width: usize, what: &str) -> Result<()> {
        let bytes = (size as u64).checked_mul(width as u64).filter(|&bytes| bytes <= self.left);
        self.left -= bytes.ok_or_else(|| self.too_short(what))?;
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        self.reserve(N, 1, what)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(|error| self.failed(error, what))?;
        Ok(bytes)
    }

    pub(super) fn i32(&mut self, what: &str) -> Result<i32> {
        self.array(what).map(i32::from_le_bytes)
    }

    pub(super) fn i64(&mut self, what: &str) -> Result<i64> {
        self.array(what).map(i64::from_le_bytes)
    }

    pub(super) fn byte(&mut self, what: &str) -> Result<u8> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// A C++ `bool`.
    pub(super) fn flag(&mut self, what: &str) -> Result<bool> {
        match self.byte(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.malformed(format!("{what} is {other}, not 0 or 1"))),
        }
    }

    /// A size: an i64 of the file that must not be negative.
    pub(super) fn size(&mut self, what: &str) -> Result<usize> {
        let value = self.i64(what)?;
        usize::try_from(value).map_err(|_| self.malformed(format!("{what} is {value}")))
    }

    /// A size that the file stores as i32.
    pub(super) fn small_size(&mut self, what: &str) -> Result<usize> {
        let value = self.i32(what)?;
        usize::try_from(value).map_err(|_| self.malformed(format!("{what} is {value}")))
    }

    pub(super) fn bytes(&mut self, size: usize, what: &str) -> Result<Vec<u8>> {
        self.reserve(size, 1, what)?;
        let mut bytes = vec![0; size];
        self.inner.read_exact(&mut bytes).map_err(|error| self.failed(error, what))?;
        Ok(bytes)
    }

    /// f32 values, all of which must be finite.
    pub(super) fn floats(&mut self, size: usize, what: &str) -> Result<Vec<f32>> {
        self.reserve(size, 4, what)?;
        let mut values = vec![0.0_f32; size];
        self.inner
            .read_exact(bytemuck::cast_slice_mut(&mut values))
            .map_err(|error| self.failed(error, what))?;
        for value in &mut values {
            *value = f32::from_bits(u32::from_le(value.to_bits()));
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(self.malformed(format!("{what} has values that are not finite; the file is damaged")));
        }
        Ok(values)
    }

    /// Bytes up to a zero byte, which is read and left out.
    pub(super) fn word(&mut self, what: &str) -> Result<Vec<u8>> {
        let mut word = Vec::new();
        let read = self.inner.by_ref().take(self.left).read_until(0, &mut word);
        self.left -= read.map_err(|error| self.failed(error, what))? as u64;
        if word.pop() != Some(0) {
            return Err(self.too_short(what));
        }
        Ok(word)
    }
}
