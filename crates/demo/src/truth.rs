//! `truth.parquet`: what every row of a pool really is. One file for the whole pool, in row order, so that it joins to the metadata
//! by uid or by place. Reading takes about 64 bytes a row.
use crate::{CaptionKind, DemoError, ImageKind, Language};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use cribble_core::Uid;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the truth file inside a pool folder.
pub const TRUTH_FILE: &str = "truth.parquet";

/// The truth about one sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TruthRow {
    /// The sample.
    pub uid: Uid,
    /// The concept that was drawn, a key such as `sailboat`.
    pub concept: Arc<str>,
    /// What the image is.
    pub kind: ImageKind,
    /// The original that a twin was made from; `None` for everything else. An original is never a twin itself.
    pub twin_of: Option<Uid>,
    /// What the caption is.
    pub caption_kind: CaptionKind,
    /// The language of the caption.
    pub language: Language,
    /// Whether the pool's tars hold the image (false: planted download failure, or a pool without images).
    pub has_image: bool,
}

/// The truth of a whole pool, in row order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Truth {
    /// One entry a row.
    pub rows: Vec<TruthRow>,
}

fn schema() -> Arc<Schema> {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text("uid", false),
        text("concept", false),
        text("kind", false),
        text("twin_of", true),
        text("caption_kind", false),
        text("language", false),
        Field::new("has_image", DataType::Boolean, false),
    ]))
}

/// Writes truth rows block by block; a row group is flushed every 100,000 rows, so memory stays bounded.
pub(crate) struct TruthWriter {
    path: PathBuf,
    writer: ArrowWriter<File>,
}

impl TruthWriter {
    pub fn create(path: &Path) -> Result<Self, DemoError> {
        let file = File::create(path).map_err(DemoError::io("create", path))?;
        let properties = crate::metadata::writer_properties();
        let writer =
            ArrowWriter::try_new(file, schema(), Some(properties)).map_err(DemoError::parquet(path))?;
        Ok(Self { path: path.to_owned(), writer })
    }

    pub fn write(&mut self, rows: &[TruthRow]) -> Result<(), DemoError> {
        let text = |of: fn(&TruthRow) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
        };
        let columns = vec![
            text(|row| row.uid.to_string()),
            text(|row| row.concept.to_string()),
            text(|row| row.kind.as_str().to_owned()),
            Arc::new(StringArray::from_iter(rows.iter().map(|row| row.twin_of.map(|uid| uid.to_string())))),
            text(|row| row.caption_kind.as_str().to_owned()),
            text(|row| row.language.as_str().to_owned()),
            Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.has_image)))),
        ];
        let batch = RecordBatch::try_new(schema(), columns).map_err(DemoError::arrow(&self.path))?;
        self.writer.write(&batch).map_err(DemoError::parquet(&self.path))
    }

    pub fn finish(self) -> Result<(), DemoError> {
        self.writer.close().map(|_| ()).map_err(DemoError::parquet(&self.path))
    }
}

impl Truth {
    /// The truth of the tars alone: rows whose download failed are left out. Twins of an image that is in no tar are twins of the first of
    /// them.
    #[must_use]
    pub fn in_tars(mut self) -> Self {
        self.rows.retain(|row| row.has_image);
        let there: HashSet<Uid> = self.rows.iter().map(|row| row.uid).collect();
        let mut stands_for = HashMap::<Uid, Uid>::new();
        for row in &mut self.rows {
            if let Some(original) = row.twin_of.filter(|uid| !there.contains(uid)) {
                let first = *stands_for.entry(original).or_insert(row.uid);
                row.twin_of = (first != row.uid).then_some(first);
            }
        }
        self
    }

    /// Reads `truth.parquet` of the pool in `dir`. Fails with [`DemoError::Malformed`] on a missing column, a wrong type, an unknown
    /// word, or text that is no uid.
    pub fn open(dir: &Path) -> Result<Self, DemoError> {
        let path = &dir.join(TRUTH_FILE);
        let file = File::open(path).map_err(DemoError::io("read", path))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(8192).build())
            .map_err(DemoError::parquet(path))?;
        let mut rows = Vec::new();
        let mut names = BTreeMap::<String, Arc<str>>::new();
        for batch in reader {
            let batch = batch.map_err(DemoError::arrow(path))?;
            read_batch(path, &batch, &mut names, &mut rows)?;
        }
        Ok(Self { rows })
    }
}

fn read_batch(
    path: &Path,
    batch: &RecordBatch,
    names: &mut BTreeMap<String, Arc<str>>,
    rows: &mut Vec<TruthRow>,
) -> Result<(), DemoError> {
    let column = |name: &str| {
        batch
            .column_by_name(name)
            .and_then(|column| column.as_any().downcast_ref::<StringArray>())
            .ok_or_else(|| DemoError::Malformed {
                path: path.to_owned(),
                row: None,
                expected: format!("a text column `{name}`"),
                found: format!("{:?}", batch.column_by_name(name).map(|column| column.data_type())),
            })
    };
    let (uid, concept, kind) = (column("uid")?, column("concept")?, column("kind")?);
    let (twin_of, caption_kind, language) =
        (column("twin_of")?, column("caption_kind")?, column("language")?);
    let has_image = batch
        .column_by_name("has_image")
        .and_then(|column| column.as_any().downcast_ref::<BooleanArray>())
        .ok_or_else(|| DemoError::Malformed {
            path: path.to_owned(),
            row: None,
            expected: "a boolean column `has_image`".to_owned(),
            found: format!("{:?}", batch.schema()),
        })?;
    for place in 0..batch.num_rows() {
        let row = Some(rows.len() as u64);
        let malformed = |expected: &str, found: &str| DemoError::Malformed {
            path: path.to_owned(),
            row,
            expected: expected.to_owned(),
            found: format!("'{found}'"),
        };
        let parse_uid = |text: &str| {
            Uid::parse(text.as_bytes()).map_err(|_| malformed("32 hexadecimal characters", text))
        };
        let concept = match names.get(concept.value(place)) {
            Some(name) => name.clone(),
            None => {
                let name: Arc<str> = concept.value(place).into();
                names.insert(name.to_string(), name.clone());
                name
            }
        };
        rows.push(TruthRow {
            uid: parse_uid(uid.value(place))?,
            concept,
            kind: ImageKind::parse(kind.value(place))
                .ok_or_else(|| malformed("a kind of image", kind.value(place)))?,
            twin_of: twin_of.is_valid(place).then(|| parse_uid(twin_of.value(place))).transpose()?,
            caption_kind: CaptionKind::parse(caption_kind.value(place))
                .ok_or_else(|| malformed("a kind of caption", caption_kind.value(place)))?,
            language: Language::parse(language.value(place))
                .ok_or_else(|| malformed("a language", language.value(place)))?,
            has_image: has_image.value(place),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<TruthRow> {
        let row = |uid, kind, twin_of| TruthRow {
            uid: Uid(uid),
            concept: "fish".into(),
            kind,
            twin_of,
            caption_kind: CaptionKind::Wrong,
            language: Language::Russian,
            has_image: true,
        };
        vec![row(1, ImageKind::Original, None), row(2, ImageKind::Mirrored, Some(Uid(1)))]
    }

    #[test]
    fn truth_reads_back_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = TruthWriter::create(&dir.path().join(TRUTH_FILE)).unwrap();
        writer.write(&rows()).unwrap();
        writer.write(&[]).unwrap();
        writer.finish().unwrap();
        assert_eq!(Truth::open(dir.path()).unwrap().rows, rows());
    }

    #[test]
    fn a_missing_file_and_a_foreign_one_are_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Truth::open(dir.path()).unwrap_err().to_string().contains(TRUTH_FILE));
        let path = dir.path().join(TRUTH_FILE);
        std::fs::write(&path, b"PAR1 no parquet").unwrap();
        assert!(matches!(Truth::open(dir.path()), Err(DemoError::Parquet { .. })));
        let schema = Arc::new(Schema::new(vec![Field::new("uid", DataType::Utf8, false)]));
        let uids: ArrayRef = Arc::new(StringArray::from_iter_values(["x"]));
        let batch = RecordBatch::try_new(schema.clone(), vec![uids]).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let error = Truth::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("concept"), "{error}");
    }

    #[test]
    fn twins_of_a_lost_image_are_twins_of_the_first_of_them() {
        let row = |uid, twin_of: u128, has_image| TruthRow {
            uid: Uid(uid),
            concept: "boat".into(),
            kind: if twin_of > 0 { ImageKind::Mirrored } else { ImageKind::Original },
            twin_of: (twin_of > 0).then_some(Uid(twin_of)),
            caption_kind: CaptionKind::Matched,
            language: Language::English,
            has_image,
        };
        let rows = vec![
            row(1, 0, false),
            row(2, 1, true),
            row(3, 1, true),
            row(4, 0, true),
            row(5, 4, true),
            row(6, 4, false),
        ];
        let left = Truth { rows }.in_tars();
        let pairs: Vec<(u128, Option<u128>)> =
            left.rows.iter().map(|row| (row.uid.0, row.twin_of.map(|uid| uid.0))).collect();
        assert_eq!(pairs, [(2, None), (3, Some(2)), (4, None), (5, Some(4))]);
    }
}
