//! Rows of one array file by range. The file's length is checked against its header when it is opened, so that a cut file is an error
//! at once and not after hours.
use super::{Element, ElementType, NpyHeader};
use crate::{IoError, Result, SourceFile};
use cribble_core::Uid;
use std::io::BufReader;

/// An open `.npy` file or headerless array. Reading needs no lock: any number of threads may share it.
#[derive(Debug, Clone)]
pub struct NpyFile {
    file: SourceFile,
    header: NpyHeader,
}

impl NpyFile {
    /// Reads the header and checks the length of the file.
    pub fn open(file: SourceFile) -> Result<Self> {
        let header = NpyHeader::read(&mut BufReader::with_capacity(512, file.cursor()), file.path())?;
        let expected = header.data_bytes();
        let found = file.len().saturating_sub(header.data_offset);
        if found != expected {
            let error = IoError::malformed(
                file.path(),
                "npy data",
                Some(header.data_offset),
                format!("{expected} bytes for shape {:?} of {}", header.shape, header.element),
                format!("{found} bytes"),
            );
            return Err(error.with_hint(if found < expected {
                "the file was cut off: fetch or write it again"
            } else {
                "more than one array in the file? keep one array per file"
            }));
        }
        Ok(Self { file, header })
    }

    /// A file without a header: rows of `dim` elements, one after the other. A length that is no multiple of the row is an error.
    pub fn headerless(file: SourceFile, element: ElementType, dim: u64) -> Result<Self> {
        let row = dim.checked_mul(element.size()).filter(|&row| row > 0);
        let Some(row) = row.filter(|row| file.len().is_multiple_of(*row)) else {
            let expected = format!("whole rows of {dim} × {element}");
            let found = format!("{} bytes", file.len());
            return Err(IoError::malformed(file.path(), "headerless array", None, expected, found)
                .with_hint("check dim and dtype: they must be those that the array was written with"));
        };
        let header = NpyHeader { element, shape: vec![file.len() / row, dim], data_offset: 0 };
        Ok(Self { file, header })
    }

    /// A uid file: an npy of uid pairs, or the same bytes without a header.
    pub fn open_uid_pairs(file: SourceFile) -> Result<Self> {
        let opened = if file.read_range(0, 6)? == b"\x93NUMPY" {
            Self::open(file)?
        } else {
            let opened = Self::headerless(file, ElementType::UidPair, 1)?;
            Self { header: NpyHeader { shape: vec![opened.rows()], ..opened.header }, file: opened.file }
        };
        opened.expect(ElementType::UidPair, 1)?;
        Ok(opened)
    }

    /// The header; for headerless arrays what it would say, with data at byte 0.
    pub fn header(&self) -> &NpyHeader {
        &self.header
    }

    /// The file.
    pub fn file(&self) -> &SourceFile {
        &self.file
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.header.rows()
    }

    /// Elements of a row.
    pub fn width(&self) -> u64 {
        self.header.width()
    }

    /// Type of an element.
    pub fn element(&self) -> ElementType {
        self.header.element
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> u64 {
        self.width() * self.element().size()
    }

    /// Fills `out` with the raw bytes of whole rows from `start`.
    pub fn read_raw(&self, start: u64, out: &mut [u8]) -> Result<()> {
        let row = self.row_bytes().max(1);
        let count = out.len() as u64 / row;
        let end = start.saturating_add(count);
        if end > self.rows() || !(out.len() as u64).is_multiple_of(row) {
            return Err(IoError::OutOfRange { path: self.file.path().into(), start, end, rows: self.rows() });
        }
        self.file.read_at(self.header.data_offset + start * row, out)
    }

    /// `count` rows from `start` as values. The type must be the file's own.
    pub fn read_rows<T: Element>(&self, start: u64, count: u64) -> Result<Vec<T>> {
        if self.element() != T::TYPE {
            return Err(self.wrong_type(T::TYPE.name()));
        }
        let end = start.saturating_add(count);
        if end > self.rows() {
            return Err(IoError::OutOfRange { path: self.file.path().into(), start, end, rows: self.rows() });
        }
        let mut values = vec![T::zeroed(); (count * self.width()) as usize];
        self.read_raw(start, bytemuck::cast_slice_mut(&mut values))?;
        Ok(values)
    }

    /// Every value, row by row. For small arrays: it allocates the whole.
    pub fn read_all<T: Element>(&self) -> Result<Vec<T>> {
        self.read_rows(0, self.rows())
    }

    /// `count` uids from row `start` of a file of uid pairs.
    pub fn read_uids(&self, start: u64, count: u64) -> Result<Vec<Uid>> {
        Ok(self
            .read_rows::<[u64; 2]>(start, count)?
            .into_iter()
            .map(|[high, low]| Uid::from_halves(high, low))
            .collect())
    }

    /// `count` texts from row `start` of a one-dimensional file of bytes or characters; the padding zeros are cut off.
    /// Bytes that are no UTF-8 and code points that do not exist are replaced.
    pub fn read_texts(&self, start: u64, count: u64) -> Result<Vec<String>> {
        let size = self.element().size() as usize;
        if !matches!(self.element(), ElementType::Bytes(_) | ElementType::Text(_)) || self.width() != 1 {
            return Err(self.wrong_type("texts, one a row".into()));
        }
        if size == 0 {
            return Ok(vec![String::new(); count as usize]);
        }
        let mut raw = vec![0; size * count as usize];
        self.read_raw(start, &mut raw)?;
        let texts = raw.chunks_exact(size).map(|cell| match self.element() {
            ElementType::Bytes(_) => {
                let end = cell.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                String::from_utf8_lossy(&cell[..end]).into_owned()
            }
            _ => {
                let codes: Vec<u32> =
                    cell.as_chunks::<4>().0.iter().map(|code| u32::from_le_bytes(*code)).collect();
                let end = codes.iter().rposition(|&code| code != 0).map_or(0, |last| last + 1);
                codes[..end]
                    .iter()
                    .map(|&code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect()
            }
        });
        Ok(texts.collect())
    }

    /// An error unless elements and row width are these.
    pub fn expect(&self, element: ElementType, width: u64) -> Result<()> {
        if self.element() == element && self.width() == width {
            return Ok(());
        }
        Err(self.wrong_type(format!("[n, {width}] {element}")))
    }

    fn wrong_type(&self, expected: String) -> IoError {
        let found = format!("[{}, {}] {}", self.rows(), self.width(), self.element());
        IoError::malformed(self.file.path(), "array", None, expected, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::NpyWriter;
    use half::f16;

    #[test]
    fn what_is_written_is_read_back_by_range() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let mut writer = NpyWriter::create(&path, ElementType::F16, Some(3)).unwrap();
        let values: Vec<f16> = (0..30).map(|v| f16::from_f32(v as f32)).collect();
        writer.write(&values[..7]).unwrap();
        writer.write(&values[7..]).unwrap();
        assert_eq!(writer.finish().unwrap(), 10);
        let file = NpyFile::open(SourceFile::open_local(&path).unwrap()).unwrap();
        assert_eq!((file.rows(), file.width()), (10, 3));
        assert_eq!(file.read_rows::<f16>(4, 2).unwrap(), values[12..18]);
        assert_eq!(file.read_all::<f16>().unwrap(), values);
        assert!(file.read_rows::<f32>(0, 1).is_err());
        assert!(matches!(file.read_rows::<f16>(9, 2), Err(IoError::OutOfRange { rows: 10, .. })));
        assert!(matches!(file.read_rows::<f16>(u64::MAX, 2), Err(IoError::OutOfRange { .. })));

        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let error = NpyFile::open(SourceFile::open_local(&path).unwrap()).unwrap_err();
            assert!(error.to_string().contains("x.npy") && error.hint().is_some(), "{cut}: {error}");
        }
        std::fs::write(&path, [&whole[..], b"\0"].concat()).unwrap();
        assert!(
            NpyFile::open(SourceFile::open_local(&path).unwrap())
                .unwrap_err()
                .hint()
                .unwrap()
                .contains("one array")
        );
    }

    #[test]
    fn headerless_arrays_need_whole_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.dat");
        std::fs::write(&path, bytemuck::cast_slice(&[1.0f32, 2.0, 3.0, 4.0])).unwrap();
        let open = |dim| NpyFile::headerless(SourceFile::open_local(&path).unwrap(), ElementType::F32, dim);
        assert_eq!(open(2).unwrap().read_rows::<f32>(1, 1).unwrap(), [3.0, 4.0]);
        for bad in [0, 3, u64::MAX] {
            assert!(open(bad).unwrap_err().hint().unwrap().contains("dim"));
        }
    }

    #[test]
    fn uids_and_texts_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("u.npy");
        let uids = [Uid(5), Uid(u128::MAX - 1)];
        let mut writer = NpyWriter::create(&path, ElementType::UidPair, None).unwrap();
        writer.write_uids(&uids).unwrap();
        writer.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(folder.path().join("bare"), &whole[128..]).unwrap();
        for name in ["u.npy", "bare"] {
            let file =
                NpyFile::open_uid_pairs(SourceFile::open_local(folder.path().join(name)).unwrap()).unwrap();
            assert_eq!(file.read_uids(0, 2).unwrap(), uids);
            assert!(file.read_texts(0, 1).is_err());
        }

        let path = folder.path().join("t.npy");
        let mut writer = NpyWriter::create(&path, ElementType::Text(3), None).unwrap();
        for text in ["é", "", "日本語"] {
            let mut cell = [0u32; 3];
            text.chars().zip(&mut cell).for_each(|(c, slot)| *slot = c as u32);
            writer.write_bytes(bytemuck::cast_slice(&cell)).unwrap();
        }
        writer.finish().unwrap();
        let file = NpyFile::open(SourceFile::open_local(&path).unwrap()).unwrap();
        assert_eq!(file.read_texts(0, 3).unwrap(), ["é", "", "日本語"]);
    }
}
