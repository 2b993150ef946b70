//! NumPy's `.npz`: a zip of npy files. Only the directory and the headers are read when it is opened; stored members are then read by
//! range and deflated ones as a stream, so no array is ever unpacked whole.
use crate::{
    ArrayReader, IoError, Result, SourceFile,
    array::{Deflated, inflate},
    npy::{NpyHeader, TYPE_NOT_READ},
};
use std::io::{BufReader, Seek, SeekFrom};
use zip::{CompressionMethod, ZipArchive};

/// An open npz: its arrays by name.
#[derive(Debug, Clone)]
pub struct Npz {
    file: SourceFile,
    arrays: Vec<NpzArray>,
    unreadable: Vec<(String, String)>,
}

/// One array of an npz.
#[derive(Debug, Clone)]
pub struct NpzArray {
    /// The name without `.npy`.
    pub name: String,
    /// Type and shape; its data offset counts from the start of the member.
    pub header: NpyHeader,
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Stored { start: u64 },
    Deflated(Deflated),
}

impl NpzArray {
    /// Whether the member is deflated, which makes reading sequential.
    pub fn is_deflated(&self) -> bool {
        matches!(self.place, Place::Deflated(_))
    }
}

impl Npz {
    /// Reads the directory and the header of every array. Members that are no `.npy` are ignored; arrays of a type that is never
    /// loaded (Python objects) are listed in [`Npz::unreadable`].
    pub fn open(file: SourceFile) -> Result<Self> {
        let fail = |source| IoError::Zip { path: file.path().into(), source };
        let mut archive =
            ZipArchive::new(BufReader::with_capacity(32 * 1024, file.cursor())).map_err(fail)?;
        let (mut arrays, mut unreadable) = (Vec::new(), Vec::new());
        for index in 0..archive.len() {
            let member = archive.by_index_raw(index).map_err(fail)?;
            let full = member.name().map_err(fail)?.into_owned();
            let Some(name) = full.strip_suffix(".npy") else { continue };
            if member.encrypted() {
                return Err(IoError::malformed(
                    file.path(),
                    "npz",
                    None,
                    "open members",
                    format!("'{full}' is encrypted"),
                ));
            }
            let (Some(start), compressed, total) =
                (member.data_start(), member.compressed_size(), member.size())
            else {
                return Err(IoError::malformed(
                    file.path(),
                    "npz",
                    None,
                    "members with a place",
                    format!("'{full}'"),
                ));
            };
            if start.checked_add(compressed).is_none_or(|end| end > file.len()) {
                let expected = format!("{compressed} bytes of '{full}'");
                return Err(IoError::malformed(
                    file.path(),
                    "npz",
                    Some(start),
                    expected,
                    "the end of the file",
                ));
            }
            let (place, header) = match member.compression() {
                CompressionMethod::Stored => {
                    let mut cursor = file.cursor();
                    cursor
                        .seek(SeekFrom::Start(start))
                        .map_err(|e| IoError::read(file.path(), Some(start), e))?;
                    (
                        Place::Stored { start },
                        NpyHeader::read(&mut BufReader::with_capacity(512, cursor), file.path()),
                    )
                }
                CompressionMethod::Deflated => {
                    let deflated = Deflated { start, compressed, total, crc: member.crc32() };
                    (Place::Deflated(deflated), NpyHeader::read(&mut inflate(&file, deflated)?, file.path()))
                }
                other => {
                    let found = format!("'{full}' compressed by {other}");
                    return Err(IoError::malformed(
                        file.path(),
                        "npz",
                        Some(start),
                        "stored or deflated members",
                        found,
                    ));
                }
            };
            let header = match header {
                Ok(header) => header,
                Err(error @ IoError::Malformed { what: TYPE_NOT_READ, .. }) => {
                    unreadable.push((name.to_owned(), error.to_string()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if header.data_offset.checked_add(header.data_bytes()) != Some(total) {
                let expected = format!(
                    "{} bytes of data for '{name}', shape {:?} of {}",
                    header.data_bytes(),
                    header.shape,
                    header.element
                );
                let found = format!("{} bytes", total.saturating_sub(header.data_offset));
                return Err(IoError::malformed(file.path(), "npz", Some(start), expected, found));
            }
            arrays.push(NpzArray { name: name.to_owned(), header, place });
        }
        arrays.sort_by(|a, b| a.name.cmp(&b.name));
        unreadable.sort();
        Ok(Self { file, arrays, unreadable })
    }

    /// The arrays, sorted by name.
    pub fn arrays(&self) -> &[NpzArray] {
        &self.arrays
    }

    /// Arrays that cannot be read, with the reason, sorted by name.
    pub fn unreadable(&self) -> &[(String, String)] {
        &self.unreadable
    }

    /// Opens one array.
    pub fn open_array(&self, name: &str) -> Result<ArrayReader> {
        let array = self.arrays.iter().find(|array| array.name == name).ok_or_else(|| self.missing(name))?;
        Ok(match array.place {
            Place::Stored { start } => ArrayReader::stored(name, self.file.clone(), &array.header, start),
            Place::Deflated(member) => ArrayReader::deflated(name, self.file.clone(), &array.header, member),
        })
    }

    fn missing(&self, name: &str) -> IoError {
        match self.unreadable.iter().find(|(unreadable, _)| unreadable == name) {
            Some((_, reason)) => IoError::malformed(
                self.file.path(),
                "npz",
                None,
                format!("a readable array '{name}'"),
                reason.clone(),
            ),
            None => IoError::MissingArray {
                path: self.file.path().into(),
                name: name.into(),
                available: self.arrays.iter().map(|array| array.name.clone()).collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::ElementType;
    use half::f16;
    use std::{io::Write, path::Path};
    use zip::{ZipWriter, write::SimpleFileOptions};

    fn npy(element: ElementType, shape: &[u64], data: &[u8]) -> Vec<u8> {
        let mut bytes = NpyHeader { element, shape: shape.into(), data_offset: 0 }.to_bytes();
        bytes.extend_from_slice(data);
        bytes
    }

    fn write_npz(path: &Path, members: &[(&str, Vec<u8>, CompressionMethod)]) {
        let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
        for (name, bytes, method) in members {
            zip.start_file(*name, SimpleFileOptions::default().compression_method(*method)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
    }

    fn values(rows: u64, dim: u64) -> Vec<f32> {
        (0..rows * dim).map(|v| (v % 1000) as f32 * 0.5).collect()
    }

    fn example(path: &Path) -> Vec<f32> {
        let values = values(5000, 12);
        let halves: Vec<u8> = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let doubles: Vec<u8> = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        let (stored, deflated) = (CompressionMethod::Stored, CompressionMethod::Deflated);
        write_npz(
            path,
            &[
                ("z.npy", npy(ElementType::F16, &[5000, 12], &halves), stored),
                ("a.npy", npy(ElementType::F16, &[5000, 12], &halves), deflated),
                ("f.npy", npy(ElementType::F64, &[5000, 12], &doubles), deflated),
                (
                    "o.npy",
                    b"\x93NUMPY\x01\x00\x31\x00{'descr':'|O','fortran_order':False,'shape':(1,)}\x80"
                        .to_vec(),
                    stored,
                ),
                ("readme.txt", b"hello".to_vec(), stored),
            ],
        );
        values
    }

    #[test]
    fn stored_and_deflated_arrays_give_the_same_rows_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let values = example(&path);
        let npz = Npz::open(SourceFile::open_local(&path).unwrap()).unwrap();
        let names: Vec<_> = npz.arrays().iter().map(|a| (a.name.as_str(), a.is_deflated())).collect();
        assert_eq!(names, [("a", true), ("f", true), ("z", false)]);
        assert_eq!(npz.unreadable()[0].0, "o");
        assert!(npz.open_array("o").unwrap_err().to_string().contains("pickle"));
        assert!(npz.open_array("q").unwrap_err().to_string().contains("a, f, z"));
        for name in ["a", "f", "z"] {
            let mut reader = npz.open_array(name).unwrap();
            assert_eq!((reader.rows(), reader.dim(), reader.is_random_access()), (5000, 12, name == "z"));
            for (start, count) in [(0, 5000), (4999, 1), (17, 40), (57, 3), (5000, 0)] {
                let mut out = vec![-1.0; count * 12];
                reader.read_f32(start as u64, &mut out).unwrap();
                assert_eq!(out, values[start * 12..(start + count) * 12]);
            }
            assert!(matches!(reader.read_f32(4999, &mut [0.0; 24]), Err(IoError::OutOfRange { .. })));
            assert!(matches!(reader.read_f32(0, &mut [0.0; 13]), Err(IoError::OutOfRange { .. })));
            let mut reader = reader.slice(100, 50).unwrap();
            let mut out = [0.0; 12];
            reader.read_f32(49, &mut out).unwrap();
            assert_eq!(out, values[149 * 12..150 * 12]);
            assert!(reader.read_f32(50, &mut out).is_err());
            let mut raw = vec![0; 12 * reader.dtype().size() as usize];
            reader.read_raw(49, &mut raw).unwrap();
            let mut again = [0.0; 12];
            assert!(reader.dtype().to_f32(&raw, &mut again));
            assert_eq!(again, out);
            assert!(reader.read_raw(49, &mut raw[1..]).is_err());
        }
    }

    #[test]
    fn cut_and_damaged_files_are_errors_and_never_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        example(&path);
        let whole = std::fs::read(&path).unwrap();
        let read_all = |path: &Path| -> Result<()> {
            let npz = Npz::open(SourceFile::open_local(path)?)?;
            for array in npz.arrays() {
                let mut out = vec![0.0; (array.header.rows() * array.header.width()) as usize];
                npz.open_array(&array.name)?.read_f32(0, &mut out)?;
            }
            Ok(())
        };
        read_all(&path).unwrap();
        for cut in (0..whole.len()).step_by(whole.len() / 60).chain(whole.len() - 80..whole.len()) {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(read_all(&path).is_err(), "cut at {cut}");
        }
        // A byte in the middle of the deflated member: the checksum finds what the decoder lets pass.
        let npz = {
            std::fs::write(&path, &whole).unwrap();
            Npz::open(SourceFile::open_local(&path).unwrap()).unwrap()
        };
        let Place::Deflated(member) = npz.arrays()[0].place else { panic!("not deflated") };
        for at in (0..member.compressed).step_by((member.compressed / 20) as usize + 1) {
            let mut damaged = whole.clone();
            damaged[(member.start + at) as usize] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            let error = read_all(&path).unwrap_err();
            assert!(error.to_string().contains("x.npz"), "{error}");
        }
        for at in whole.len() - 300..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            std::fs::write(&path, &damaged).unwrap();
            let _ = read_all(&path);
        }
    }
}
