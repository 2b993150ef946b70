//! The uids of a subset file in the order of the file, as a stream: a subset of a billion uids is 16 GB and need not be in memory.
use super::{SubsetFormat, csv::CsvColumn, keys};
use crate::{IoError, Result, SourceFile, storage::ParquetSource};
use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::DataType,
};
use cribble_core::Uid;
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};
use std::io::{BufRead, BufReader};

const PIECE: u64 = 256 * 1024;

/// Uids in file order. Ends after the first error.
pub struct UidRows(Box<dyn Iterator<Item = Result<Uid>> + Send>);

impl Iterator for UidRows {
    type Item = Result<Uid>;
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// Opens a subset file of any format. Memory: one piece or batch; for a trie, all of it.
pub fn open_rows(file: &SourceFile, format: SubsetFormat) -> Result<UidRows> {
    Ok(UidRows(match format {
        SubsetFormat::Npy => Box::new(pairs(file, npy_data(file)?)),
        SubsetFormat::Raw => {
            if !file.len().is_multiple_of(16) {
                let found = format!("{} bytes", file.len());
                return Err(IoError::malformed(
                    file.path(),
                    "headerless subset",
                    None,
                    "a multiple of 16 bytes",
                    found,
                ));
            }
            Box::new(pairs(file, (0, file.len() / 16)))
        }
        SubsetFormat::Txt => Box::new(lines(file)),
        SubsetFormat::Csv => {
            let (mut csv, path) = (CsvColumn::open(file.clone(), "uid")?, file.path().to_owned());
            Box::new(until_error(move || {
                let Some((row, value)) = csv.next_value()? else { return Ok(None) };
                parse(&path, row, &value).map(Some)
            }))
        }
        SubsetFormat::Parquet => Box::new(table(file)?),
        SubsetFormat::Trie => {
            let keys = keys::read_keys(file)?;
            Box::new(keys.to_uids(file.path())?.into_iter().map(Ok))
        }
    }))
}

/// Turns a function that yields values into an iterator that stops at the first error.
fn until_error<T>(mut next: impl FnMut() -> Result<Option<T>>) -> impl Iterator<Item = Result<T>> {
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let item = next().transpose();
        over = !matches!(item, Some(Ok(_)));
        item
    })
}

fn parse(path: &std::path::Path, row: u64, text: &[u8]) -> Result<Uid> {
    Uid::parse(text.trim_ascii()).map_err(|source| IoError::BadUid { path: path.into(), row, source })
}

fn pairs(file: &SourceFile, (start, count): (u64, u64)) -> impl Iterator<Item = Result<Uid>> + use<> {
    let file = file.clone();
    let (mut at, end) = (start, start + count * 16);
    let mut piece: std::vec::IntoIter<[u8; 16]> = Vec::new().into_iter();
    until_error(move || {
        if piece.len() == 0 && at < end {
            let mut pairs = vec![[0u8; 16]; ((end - at).min(PIECE) / 16) as usize];
            file.read_at(at, pairs.as_flattened_mut())?;
            at += pairs.len() as u64 * 16;
            piece = pairs.into_iter();
        }
        Ok(piece.next().map(|pair| {
            let half = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |n, &byte| (n << 8) | u64::from(byte));
            Uid::from_halves(half(&pair[..8]), half(&pair[8..]))
        }))
    })
}

/// Where the data of an npy file begins, and how many uids there are. The header is only looked at for what may differ.
fn npy_data(file: &SourceFile) -> Result<(u64, u64)> {
    let path = file.path();
    let wrong = |expected: &str, found: &str| {
        IoError::malformed(path, "npy header", Some(0), expected, found)
            .with_hint("a subset file is an array of dtype 'u8,u8': (high, low) halves of each uid")
    };
    let start = file.read_range(0, 12)?;
    let (text_start, length) = match start[..] {
        [.., 1, _, low, high, _, _] if start.len() == 12 => (10, u64::from(u16::from_le_bytes([low, high]))),
        [.., 2 | 3, _, a, b, c, d] if start.len() == 12 => (12, u64::from(u32::from_le_bytes([a, b, c, d]))),
        _ => return Err(wrong("version 1, 2 or 3", "another, or a file that ends")),
    };
    if length > 1 << 16 {
        return Err(wrong("a header of a few bytes", &format!("{length} bytes")));
    }
    let text = String::from_utf8_lossy(&file.read_range(text_start, length as usize)?).into_owned();
    let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if !squeezed.contains("[('f0','<u8'),('f1','<u8')]") {
        return Err(wrong("dtype [('f0', '<u8'), ('f1', '<u8')]", text.trim()));
    }
    let shape =
        squeezed.split_once("'shape':(").and_then(|(_, rest)| rest.split_once(')')).map(|(shape, _)| shape);
    let count = shape.and_then(|shape| shape.strip_suffix(',')).and_then(|shape| shape.parse::<u64>().ok());
    let Some(count) = count else { return Err(wrong("a shape (n,)", shape.unwrap_or(&text))) };
    let data = text_start + length;
    let there = file.len().saturating_sub(data);
    if count.checked_mul(16) != Some(there) {
        let (expected, found) = (format!("{count} uids of 16 bytes"), format!("{there} bytes"));
        return Err(IoError::malformed(path, "npy data", Some(data), expected, found)
            .with_hint("the file was cut off, or something was appended"));
    }
    Ok((data, count))
}

fn lines(file: &SourceFile) -> impl Iterator<Item = Result<Uid>> + use<> {
    let path = file.path().to_owned();
    let mut reader = BufReader::with_capacity(PIECE as usize, file.cursor());
    let (mut row, mut line) = (0, Vec::new());
    until_error(move || {
        loop {
            line.clear();
            // Limited, so that a file that is no text cannot fill the memory.
            let mut limited = std::io::Read::take(&mut reader, 4096);
            let read = limited.read_until(b'\n', &mut line).map_err(|e| IoError::read(&path, Some(0), e))?;
            if read == 0 {
                return Ok(None);
            }
            row += 1;
            let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
            if !text.trim_ascii().is_empty() {
                return parse(&path, row - 1, text).map(Some);
            }
        }
    })
}

fn table(file: &SourceFile) -> Result<impl Iterator<Item = Result<Uid>> + use<>> {
    let path = file.path().to_owned();
    let fail = |source| IoError::Parquet { path: path.clone(), source };
    let builder = ParquetRecordBatchReaderBuilder::try_new(ParquetSource(file.bytes())).map_err(fail)?;
    if builder.schema().column_with_name("uid").is_none() {
        return Err(IoError::MissingColumn {
            path: path.clone(),
            name: "uid".into(),
            available: builder.schema().fields().iter().map(|field| field.name().clone()).collect(),
        });
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["uid"]);
    let mut reader: ParquetRecordBatchReader =
        builder.with_projection(mask).with_batch_size(8192).build().map_err(fail)?;
    let mut row = 0;
    let mut piece = Vec::new().into_iter();
    Ok(until_error(move || {
        while piece.len() == 0 {
            let Some(batch) = reader.next() else { return Ok(None) };
            let batch = batch.map_err(|source| IoError::Arrow { path: path.clone(), source })?;
            let uids = column_uids(&path, batch.column(0), row)?;
            row += uids.len() as u64;
            piece = uids.into_iter();
        }
        Ok(piece.next())
    }))
}

/// The uids of a column: text of 32 characters, or 16 bytes.
fn column_uids(path: &std::path::Path, column: &ArrayRef, first_row: u64) -> Result<Vec<Uid>> {
    let cast = |to: &DataType| {
        arrow::compute::cast(column, to).map_err(|source| IoError::Arrow { path: path.into(), source })
    };
    let value_type = match column.data_type() {
        DataType::Dictionary(_, value) => value,
        other => other,
    };
    let column = match value_type {
        DataType::FixedSizeBinary(_) | DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            cast(&DataType::LargeBinary)?
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => cast(&DataType::LargeUtf8)?,
        other => {
            return Err(IoError::ColumnType {
                path: path.into(),
                name: "uid".into(),
                expected: "text or 16 bytes".into(),
                found: other.to_string(),
            });
        }
    };
    let is_text = *column.data_type() == DataType::LargeUtf8;
    (0..column.len())
        .map(|at| {
            let row = first_row + at as u64;
            if column.is_null(at) {
                return Err(IoError::NullUid { path: path.into(), row });
            }
            let bytes = if is_text {
                column.as_string::<i64>().value(at).as_bytes()
            } else {
                column.as_binary::<i64>().value(at)
            };
            match <[u8; 16]>::try_from(bytes) {
                Ok(bytes) if !is_text => Ok(Uid::from_bytes(bytes)),
                _ => parse(path, row, bytes),
            }
        })
        .collect()
}
