//! Small inputs for the tests of this crate, written with the parquet and zip libraries and not with our own writers where both exist.
use crate::npy::{ElementType, NpyHeader};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use cribble_core::Uid;
use half::f16;
use std::{io::Write, path::Path, sync::Arc};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Columns by name.
pub(crate) type Columns<'a> = Vec<(&'a str, ArrayRef)>;

pub(crate) fn write_parquet(path: &Path, columns: Columns<'_>, group_rows: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// The bytes of an npy file of f16 `[n, dim]`.
pub(crate) fn npy_f16(values: &[f32], dim: usize) -> Vec<u8> {
    let shape = vec![(values.len() / dim) as u64, dim as u64];
    let mut bytes = NpyHeader { element: ElementType::F16, shape, data_offset: 0 }.to_bytes();
    bytes.extend(values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()));
    bytes
}

/// The bytes of an npy file of f32 `[n, dim]`.
pub(crate) fn npy_f32(values: &[f32], dim: usize) -> Vec<u8> {
    let shape = vec![(values.len() / dim) as u64, dim as u64];
    let mut bytes = NpyHeader { element: ElementType::F32, shape, data_offset: 0 }.to_bytes();
    bytes.extend_from_slice(bytemuck::cast_slice(values));
    bytes
}

/// A tar of members, name and text; its bytes too.
pub(crate) fn write_tar(path: &Path, members: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, text) in members {
        let mut header = ::tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    write(path, &bytes);
    bytes
}

pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

pub(crate) fn write_npz(path: &Path, members: &[(&str, Vec<u8>)], compress: bool) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let method = if compress { CompressionMethod::Deflated } else { CompressionMethod::Stored };
    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in members {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default().compression_method(method))
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// Numbers that look random and are always the same: unit vectors of `dim`, one a row.
pub(crate) fn vectors(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut values: Vec<f32> = (0..rows * dim)
        .map(|at| (Uid(at as u128).mix(seed) >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
        .collect();
    for row in values.chunks_exact_mut(dim) {
        let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        row.iter_mut().for_each(|v| *v /= norm);
    }
    values
}

pub(crate) fn uids(rows: usize, seed: u128) -> Vec<Uid> {
    (0..rows as u128).map(|row| Uid((seed << 96) | (row * 7 + 1))).collect()
}

pub(crate) fn texts(values: impl IntoIterator<Item = impl ToString>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values.into_iter().map(|v| v.to_string())))
}

/// A DataComp shard: parquet with uid, text, width and score, npz with `b32_img` and `b32_txt` of dimension 16. `shift` rolls both arrays
/// by so many rows against the table.
pub(crate) fn datacomp_shard(
    folder: &Path,
    name: &str,
    rows: usize,
    compress: bool,
    shift: usize,
) -> Vec<Uid> {
    let seed = name.bytes().fold(7u64, |hash, byte| hash * 31 + u64::from(byte));
    let (images, texts_) = (vectors(rows, 16, seed), vectors(rows, 16, seed ^ 0xabcd));
    let scores: arrow::array::Float32Array = images
        .chunks(16)
        .zip(texts_.chunks(16))
        .map(|(a, b)| Some(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()))
        .collect();
    let uids = uids(rows, u128::from(seed as u32));
    write_parquet(
        &folder.join(format!("{name}.parquet")),
        vec![
            ("uid", texts(&uids)),
            ("text", texts((0..rows).map(|row| format!("caption {row}")))),
            (
                "original_width",
                Arc::new(arrow::array::Int64Array::from_iter_values((0..rows as i64).map(|r| r + 100))),
            ),
            ("clip_b32_similarity_score", Arc::new(scores)),
        ],
        1000,
    );
    let roll = |values: &[f32]| {
        let mut values = values.to_vec();
        values.rotate_right(shift * 16);
        npy_f16(&values, 16)
    };
    write_npz(
        &folder.join(format!("{name}.npz")),
        &[("b32_img", roll(&images)), ("b32_txt", roll(&texts_))],
        compress,
    );
    uids
}
