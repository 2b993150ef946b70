//! The uids of a subset file in the order of the file, as a stream: a subset of a billion uids is 16 GB and need not be in memory.
use super::{SubsetFormat, csv::CsvColumn, keys};
use crate::{IoError, Result, SourceFile, npy::NpyFile, storage::ParquetSource, uids::append_uids};
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
        SubsetFormat::Npy | SubsetFormat::Raw => Box::new(pairs(NpyFile::open_uid_pairs(file.clone())?)),
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

fn pairs(npy: NpyFile) -> impl Iterator<Item = Result<Uid>> {
    let mut at = 0;
    let mut piece = Vec::new().into_iter();
    until_error(move || {
        if piece.len() == 0 && at < npy.rows() {
            let count = (npy.rows() - at).min(PIECE / 16);
            piece = npy.read_uids(at, count)?.into_iter();
            at += count;
        }
        Ok(piece.next())
    })
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
            let mut uids = Vec::new();
            append_uids(batch.column(0), &path, |at| row + at as u64, &mut uids)?;
            row += uids.len() as u64;
            piece = uids.into_iter();
        }
        Ok(piece.next())
    }))
}
