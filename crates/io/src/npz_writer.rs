//! Writes an npz as numpy's `savez` lays it out: a zip of stored `.npy` members.
use crate::{
    IoError, Result,
    npy::{ElementType, NpyHeader},
    write_file,
};
use half::f16;
use std::{
    io::{Cursor, Write},
    path::Path,
};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

/// Writes arrays `(name, dim, values)`, each `[n, dim]` of half floats, as one file, which appears when it is whole. The same arrays give the same bytes.
/// The file is made in memory: for shards of some thousand rows.
pub fn write_npz(path: &Path, arrays: &[(&str, usize, &[f16])]) -> Result<()> {
    let zip_error = |source| IoError::Zip { path: path.into(), source };
    let fail = |error| IoError::write(path, "write", None, error);
    // numpy, too, always allows for 64-bit sizes. A fixed date, because the time of the writing is nobody's business.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(true)
        .last_modified_time(DateTime::default());
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, dim, values) in arrays {
        let rows = values.len().checked_div(*dim).unwrap_or(0) as u64;
        let shape = vec![rows, *dim as u64];
        let header = NpyHeader { element: ElementType::F16, shape, data_offset: 0 };
        zip.start_file(format!("{name}.npy"), options).map_err(zip_error)?;
        zip.write_all(&header.to_bytes()).map_err(fail)?;
        zip.write_all(bytemuck::cast_slice(values)).map_err(fail)?;
    }
    let bytes = zip.finish().map_err(zip_error)?.into_inner();
    write_file(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceFile, npz::Npz};

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npz");
        let values: Vec<f16> = (0..12u8).map(|value| f16::from_f32(f32::from(value) / 7.0)).collect();
        write_npz(&path, &[("a_img", 4, &values), ("none", 3, &[])]).unwrap();
        let npz = Npz::open(SourceFile::open_local(&path).unwrap()).unwrap();
        let mut array = npz.open_array("a_img").unwrap();
        assert_eq!((array.rows(), array.dim(), npz.open_array("none").unwrap().rows()), (3, 4, 0));
        let mut found = vec![0.0; 12];
        array.read_f32(0, &mut found).unwrap();
        assert!(found.iter().zip(&values).all(|(found, value)| *found == value.to_f32()));
        let first = std::fs::read(&path).unwrap();
        write_npz(&path, &[("a_img", 4, &values), ("none", 3, &[])]).unwrap();
        assert!(std::fs::read(&path).unwrap() == first);
    }
}
