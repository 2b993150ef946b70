//! Step tables: `uid, keep, reason` and the step's own columns, same rows in the same order as the shard. Joins are by position, and the
//! reader proves them: it compares the uid column with the shard's uids.
use std::{path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray},
    datatypes::{Field, Schema, SchemaRef},
};
use cribble_core::{Counts, Error, Result, Uid};
use cribble_io::tables::{self, RowChoice, TableWriter, uid_array, verdict_fields};

/// An error of the reader or writer with our own file's name.
fn fail(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::input(format!("{}: {error}", path.display()))
}

/// Batches of the named columns, in the order of the names (all columns when `None`), in row order.
pub(crate) fn read_batches(
    path: &Path,
    names: Option<&[&str]>,
    batch_rows: usize,
) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<>> {
    let table = tables::TableReader::open(path)?;
    let all: Vec<String> = match names {
        Some(names) => names.iter().map(ToString::to_string).collect(),
        None => table.schema().fields().iter().map(|field| field.name().clone()).collect(),
    };
    Ok(table.read(&all, &RowChoice::All, batch_rows)?.map(|batch| batch.map_err(Error::from)))
}

/// The step's own columns: everything beside `uid, keep, reason`.
#[derive(Debug, Clone)]
pub struct TableSchema(pub SchemaRef);

impl TableSchema {
    /// Reads it from a table's footer.
    pub fn read(path: &Path) -> Result<Self> {
        let schema = tables::TableReader::open(path)?.schema().clone();
        let own = schema
            .fields()
            .iter()
            .filter(|field| !matches!(field.name().as_str(), "uid" | "keep" | "reason"));
        Ok(Self(Arc::new(Schema::new(own.cloned().collect::<Vec<_>>()))))
    }
}

/// The verdicts of one shard, built row by row.
#[derive(Debug, Clone)]
pub struct Verdicts {
    keep: Vec<Option<bool>>,
    reason: Vec<Option<Arc<str>>>,
    counts: Counts,
}

impl Verdicts {
    /// Verdicts for `rows` rows, none judged yet.
    pub fn new(rows: usize) -> Self {
        Self { keep: vec![None; rows], reason: vec![None; rows], counts: Counts::default() }
    }
    /// The row stays.
    pub fn keep(&mut self, row: usize) {
        self.keep[row] = Some(true);
        self.counts.seen += 1;
        self.counts.kept += 1;
    }
    /// The row goes, for this reason.
    pub fn drop(&mut self, row: usize, reason: &Arc<str>) {
        self.keep[row] = Some(false);
        self.reason[row] = Some(reason.clone());
        self.counts.seen += 1;
        match self.counts.dropped.get_mut(&**reason) {
            Some(count) => *count += 1,
            None => {
                self.counts.dropped.insert(reason.to_string(), 1);
            }
        }
    }
    /// The row could not be judged; it goes, with the code as its reason.
    pub fn error(&mut self, row: usize, code: &Arc<str>) {
        self.keep[row] = Some(false);
        self.reason[row] = Some(code.clone());
        self.counts.seen += 1;
        *self.counts.errors.entry(code.to_string()).or_default() += 1;
    }
    /// The counts so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
    /// Whether the row was kept, dropped, or not judged.
    pub fn state(&self, row: usize) -> Option<bool> {
        self.keep[row]
    }
}

/// Writes the table of one shard. `columns` have as many rows as the shard.
pub fn write_table(
    path: &Path,
    uids: &[Uid],
    verdicts: &Verdicts,
    columns: Vec<(Field, ArrayRef)>,
) -> Result<()> {
    let mut fields = verdict_fields().to_vec();
    let mut arrays: Vec<ArrayRef> = vec![
        uid_array(uids),
        Arc::new(BooleanArray::from(verdicts.keep.clone())),
        Arc::new(verdicts.reason.iter().map(Option::as_deref).collect::<StringArray>()),
    ];
    for (field, array) in columns {
        fields.push(field);
        arrays.push(array);
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays)
        .map_err(|error| Error::bug(format!("{}: {error}", path.display())))?;
    let mut file = TableWriter::create(path, schema)?;
    file.write(&batch)?;
    file.finish()?;
    Ok(())
}

/// Writes a small table of whole columns, atomically.
pub fn write_columns(path: &Path, schema: Schema, columns: Vec<ArrayRef>) -> Result<()> {
    let schema = Arc::new(schema);
    let batch = RecordBatch::try_new(schema.clone(), columns)
        .map_err(|error| Error::bug(format!("{}: {error}", path.display())))?;
    let mut file = TableWriter::create(path, schema)?;
    file.write(&batch)?;
    file.finish()?;
    Ok(())
}

/// Reads one column of a small table, whole.
pub fn read_column(path: &Path, name: &str) -> Result<ArrayRef> {
    let batches = read_batches(path, Some(&[name]), 65_536)?.collect::<Result<Vec<_>>>()?;
    let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(0).as_ref()).collect();
    if parts.is_empty() {
        let schema = tables::TableReader::open(path)?.schema().clone();
        let field = schema.field_with_name(name).map_err(|error| fail(path, error))?;
        return Ok(arrow::array::new_empty_array(field.data_type()));
    }
    arrow::compute::concat(&parts).map_err(|error| fail(path, error))
}

/// Reads tables back, with proof that their rows are the shard's.
#[derive(Debug, Clone, Copy)]
pub struct TableReader;

impl TableReader {
    /// The `keep` column: `Some(true)` exactly for the rows that are still kept after the step. `uids` are the shard's; a table whose
    /// uids differ is refused with the first row that does.
    pub fn keep(path: &Path, uids: &[Uid]) -> Result<Vec<Option<bool>>> {
        let mut keep = Vec::with_capacity(uids.len());
        for batch in read_batches(path, Some(&["uid", "keep"]), 65_536)? {
            let batch = batch?;
            let flags = batch.column(1).as_boolean();
            prove(path, uids, keep.len(), batch.column(0))?;
            keep.extend(flags.iter());
        }
        if keep.len() == uids.len() { Ok(keep) } else { Err(mismatch(path, uids.len(), keep.len())) }
    }

    /// A column, whole, with the same proof.
    pub fn column(path: &Path, uids: &[Uid], name: &str) -> Result<ArrayRef> {
        let mut arrays = Vec::new();
        let mut rows = 0;
        for batch in read_batches(path, Some(&["uid", name]), 65_536)? {
            let batch = batch?;
            prove(path, uids, rows, batch.column(0))?;
            rows += batch.num_rows();
            arrays.push(batch.column(1).clone());
        }
        if rows != uids.len() {
            return Err(mismatch(path, uids.len(), rows));
        }
        if arrays.is_empty() {
            let schema = tables::TableReader::open(path)?.schema().clone();
            let field = schema.field_with_name(name).map_err(|error| fail(path, error))?;
            return Ok(arrow::array::new_empty_array(field.data_type()));
        }
        let parts: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        arrow::compute::concat(&parts).map_err(|error| fail(path, error))
    }
}

fn mismatch(path: &Path, expected: usize, found: usize) -> Error {
    Error::input(format!("{}: {found} rows, but its shard has {expected}", path.display()))
        .with_hint("the input changed under the run; run again with the same --out to redo the steps")
}

fn prove(path: &Path, uids: &[Uid], start: usize, column: &ArrayRef) -> Result<()> {
    let column = column.as_fixed_size_binary_opt().ok_or_else(|| fail(path, "uid is not 16 bytes wide"))?;
    if start + column.len() > uids.len() {
        return Err(mismatch(path, uids.len(), start + column.len()));
    }
    for (index, uid) in uids[start..start + column.len()].iter().enumerate() {
        if column.value(index) != uid.to_bytes() {
            return Err(Error::input(format!(
                "{}: row {} does not belong to sample {uid} of the shard",
                path.display(),
                start + index
            ))
            .with_hint("the input changed under the run; run again with the same --out to redo the steps"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{array::Float32Array, datatypes::DataType};

    fn table(dir: &Path) -> (std::path::PathBuf, Vec<Uid>) {
        let uids: Vec<Uid> = (0..3).map(|n| Uid(n << 100 | n)).collect();
        let mut verdicts = Verdicts::new(3);
        verdicts.keep(0);
        verdicts.drop(2, &"small".into());
        let column: ArrayRef = Arc::new(Float32Array::from(vec![Some(0.5), None, Some(-1.0)]));
        let path = dir.join("00000000.parquet");
        write_table(&path, &uids, &verdicts, vec![(Field::new("score", DataType::Float32, true), column)])
            .unwrap();
        assert!(verdicts.counts().adds_up());
        (path, uids)
    }

    #[test]
    fn a_table_comes_back_by_position() {
        let dir = tempfile::tempdir().unwrap();
        let (path, uids) = table(dir.path());
        assert_eq!(TableReader::keep(&path, &uids).unwrap(), [Some(true), None, Some(false)]);
        let column = TableReader::column(&path, &uids, "score").unwrap();
        assert_eq!(column.len(), 3);
        assert!(column.is_null(1));
        assert_eq!(TableSchema::read(&path).unwrap().0.field(0).name(), "score");
    }

    #[test]
    fn a_table_of_other_rows_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut uids) = table(dir.path());
        uids.swap(1, 2);
        assert!(TableReader::keep(&path, &uids).unwrap_err().message().contains("row 1"));
        uids.pop();
        assert!(TableReader::keep(&path, &uids).unwrap_err().message().contains("3 rows"));
    }

    #[test]
    fn an_empty_shard_has_an_empty_table() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.parquet");
        let column: ArrayRef = Arc::new(Float32Array::from(Vec::<f32>::new()));
        write_table(&path, &[], &Verdicts::new(0), vec![(Field::new("s", DataType::Float32, true), column)])
            .unwrap();
        assert!(TableReader::keep(&path, &[]).unwrap().is_empty());
        for name in ["s", "reason"] {
            assert_eq!(TableReader::column(&path, &[], name).unwrap().len(), 0);
        }
    }
}
