//! Uids out of columns and out of nothing: the readers of uid columns, and the stable uid of samples that have none.
use crate::{IoError, Result, tar::hashed_uid};
use arrow::{
    array::{Array, AsArray},
    datatypes::DataType,
};
use cribble_core::{ParseUidError, Uid};
use std::path::Path;

/// The uid of a sample that brings none: the first 16 bytes of `BLAKE3("cribble-uid-1" 0x00 source 0x00 key)`, the very hash that tar samples
/// get. `source` is a file name without folders (so that moved folders keep their uids), `key` the sample's key or row number in it.
pub fn stable_uid(source: &str, key: &str) -> Uid {
    hashed_uid(source, key.as_bytes())
}

/// Whether a column of this type can hold uids.
pub fn is_uid_type(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(16 | 32) => true,
        DataType::Dictionary(_, value) => is_uid_type(value),
        _ => false,
    }
}

/// Appends the uids of a column: 32 hexadecimal characters as text, or 16 (or 32 hexadecimal) bytes. A null or a text that is no uid is an
/// error with its row; `row_of` says which row of the file a place in the column is.
pub fn append_uids(
    column: &dyn Array,
    path: &Path,
    row_of: impl Fn(usize) -> u64,
    uids: &mut Vec<Uid>,
) -> Result<()> {
    let column: arrow::array::ArrayRef = match column.data_type() {
        DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(16) => {
            arrow::array::make_array(column.to_data())
        }
        kind if is_uid_type(kind) => {
            let plain = match kind {
                DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => DataType::Utf8,
                _ => DataType::Binary,
            };
            arrow::compute::cast(column, &plain)
                .map_err(|source| IoError::Arrow { path: path.into(), source })?
        }
        kind => {
            return Err(IoError::ColumnType {
                path: path.into(),
                name: "uid".into(),
                expected: "text of 32 hexadecimal characters, or 16 bytes".into(),
                found: kind.to_string(),
            });
        }
    };
    uids.reserve(column.len());
    // The type is looked at once, not at every row.
    match column.data_type() {
        DataType::Utf8 => {
            append(column.as_string::<i32>().iter().map(|text| text.map(str::as_bytes)), path, row_of, uids)
        }
        DataType::Binary => append(column.as_binary::<i32>().iter(), path, row_of, uids),
        _ => append(column.as_fixed_size_binary().iter(), path, row_of, uids),
    }
}

fn append<'a>(
    column: impl Iterator<Item = Option<&'a [u8]>>,
    path: &Path,
    row_of: impl Fn(usize) -> u64,
    uids: &mut Vec<Uid>,
) -> Result<()> {
    for (at, bytes) in column.enumerate() {
        let bytes = bytes.ok_or_else(|| IoError::NullUid { path: path.into(), row: row_of(at) })?;
        let bad = |source| IoError::BadUid { path: path.into(), row: row_of(at), source };
        uids.push(uid_of(bytes).map_err(bad)?);
    }
    Ok(())
}

fn uid_of(bytes: &[u8]) -> std::result::Result<Uid, ParseUidError> {
    match <[u8; 16]>::try_from(bytes) {
        Ok(raw) => Ok(Uid::from_bytes(raw)),
        Err(_) => Uid::parse(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{ArrayRef, BinaryArray, StringArray},
        compute::cast,
    };

    #[test]
    fn every_form_of_a_uid_column_reads_alike() {
        let uids = [Uid(7), Uid(u128::MAX), Uid(1 << 100)];
        let text: ArrayRef =
            std::sync::Arc::new(StringArray::from_iter_values(uids.iter().map(Uid::to_string)));
        let mut columns = vec![text.clone(), crate::tables::uid_array(&uids)];
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for kind in [DataType::LargeUtf8, DataType::Utf8View, dictionary, DataType::Binary] {
            columns.push(cast(&text, &kind).unwrap());
        }
        columns.push(cast(&columns[1], &DataType::Binary).unwrap());
        for column in columns {
            assert!(is_uid_type(column.data_type()), "{}", column.data_type());
            let mut found = vec![];
            append_uids(&column, Path::new("x"), |at| at as u64, &mut found).unwrap();
            assert_eq!(found, uids, "{}", column.data_type());
        }
    }

    #[test]
    fn bad_and_null_uids_name_their_row() {
        let bad = StringArray::from(vec![Some("0123456789abcdef0123456789abcdef"), Some("12")]);
        let error = append_uids(&bad, Path::new("x.parquet"), |at| 40 + at as u64, &mut vec![]).unwrap_err();
        assert!(error.to_string().starts_with("x.parquet, row 41: '12'"), "{error}");
        let null = BinaryArray::from_opt_vec(vec![None]);
        let error = append_uids(&null, Path::new("x.parquet"), |at| 40 + at as u64, &mut vec![]).unwrap_err();
        assert!(matches!(error, IoError::NullUid { row: 40, .. }));
        let numbers = arrow::array::Int32Array::from(vec![1]);
        assert!(
            append_uids(&numbers, Path::new("x"), |at| at as u64, &mut vec![])
                .unwrap_err()
                .to_string()
                .contains("Int32")
        );
    }
}
