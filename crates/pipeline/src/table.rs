//! Step tables: `uid, keep, reason` and the step's own columns, same rows in the same order as the shard. Joins are by position, and the
//! reader proves them: it compares the uid column with the shard's uids.
use std::{collections::HashMap, ops::Range, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, RecordBatch, StringArray},
    datatypes::{Field, Int32Type, Schema, SchemaRef},
};
use cribble_core::{Counts, Error, Result, Uid};
use cribble_io::tables::{self, RowChoice, TableWriter, uid_array, verdict_fields};

/// Rows that are read at once.
const BATCH_ROWS: usize = 65_536;

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

/// The verdicts of one shard, built row by row. A reason is kept once, rows name it by number.
#[derive(Debug, Clone)]
pub struct Verdicts {
    keep: Vec<Option<bool>>,
    reasons: Vec<Option<i32>>,
    known: Vec<Reason>,
    numbers: HashMap<(Arc<str>, bool), i32>,
    last: i32,
    kept: u64,
}

#[derive(Debug, Clone)]
struct Reason {
    text: Arc<str>,
    is_error: bool,
    rows: u64,
}

impl Verdicts {
    /// Verdicts for `rows` rows, none judged yet.
    pub fn new(rows: usize) -> Self {
        Self {
            keep: vec![None; rows],
            reasons: vec![None; rows],
            known: Vec::new(),
            numbers: HashMap::new(),
            last: 0,
            kept: 0,
        }
    }
    /// The row stays.
    pub fn keep(&mut self, row: usize) {
        self.keep[row] = Some(true);
        self.kept += 1;
    }
    /// The row goes, for this reason.
    pub fn drop(&mut self, row: usize, reason: &Arc<str>) {
        self.go(row, reason, false);
    }
    /// The row could not be judged; it goes, with the code as its reason.
    pub fn error(&mut self, row: usize, code: &Arc<str>) {
        self.go(row, code, true);
    }
    fn go(&mut self, row: usize, text: &Arc<str>, is_error: bool) {
        // Most rows go for the same reason as the last one that went, which is then the very same text.
        let is_it = |known: &Reason| Arc::ptr_eq(&known.text, text) && known.is_error == is_error;
        let number = match self.known.get(self.last as usize) {
            Some(known) if is_it(known) => self.last,
            _ => *self.numbers.entry((text.clone(), is_error)).or_insert_with(|| {
                self.known.push(Reason { text: text.clone(), is_error, rows: 0 });
                self.known.len() as i32 - 1
            }),
        };
        self.keep[row] = Some(false);
        self.reasons[row] = Some(number);
        self.last = number;
        self.known[number as usize].rows += 1;
    }
    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { seen: self.kept, kept: self.kept, ..Counts::default() };
        for reason in &self.known {
            let by_reason = if reason.is_error { &mut counts.errors } else { &mut counts.dropped };
            by_reason.insert(reason.text.to_string(), reason.rows);
            counts.seen += reason.rows;
        }
        counts
    }
    /// Whether the row was kept, dropped, or not judged.
    pub fn state(&self, row: usize) -> Option<bool> {
        self.keep[row]
    }
    /// The reasons as a column.
    fn column(&self) -> ArrayRef {
        let texts = StringArray::from_iter_values(self.known.iter().map(|reason| &*reason.text));
        let keys = Int32Array::from(self.reasons.clone());
        // The keys count in the texts by construction.
        Arc::new(DictionaryArray::new(keys, Arc::new(texts)))
    }
}

/// Writes the table of one shard. `columns` have as many rows as the shard.
pub fn write_table(
    path: &Path,
    uids: &[Uid],
    verdicts: &Verdicts,
    columns: Vec<(Field, ArrayRef)>,
) -> Result<()> {
    let [uid, keep, reason] = verdict_fields();
    let mut fields = vec![uid, keep, reason.with_data_type(tables::repeated_text())];
    let mut arrays: Vec<ArrayRef> =
        vec![uid_array(uids), Arc::new(BooleanArray::from(verdicts.keep.clone())), verdicts.column()];
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
    let table = tables::TableReader::open(path)?;
    let parts = table.read(&[name], &RowChoice::All, BATCH_ROWS)?.map(|batch| Ok(batch?.column(0).clone()));
    joined(path, &table, name, &parts.collect::<Result<Vec<_>>>()?)
}

/// Reads tables back, with proof that their rows are the shard's.
#[derive(Debug, Clone, Copy)]
pub struct TableReader;

impl TableReader {
    /// The `keep` column: `Some(true)` exactly for the rows that are still kept after the step. `uids` are the shard's; a table whose
    /// uids differ is refused with the first row that does.
    pub fn keep(path: &Path, uids: &[Uid]) -> Result<Vec<Option<bool>>> {
        let mut keep = Vec::with_capacity(uids.len());
        let table = tables::TableReader::open(path)?;
        proven(path, &table, &["keep"], uids, |_, batch| {
            keep.extend(batch.column(1).as_boolean().iter());
            Ok(())
        })?;
        Ok(keep)
    }

    /// Keep flags and reasons, piece by piece: the rows of the piece, and its two columns. The same proof.
    pub fn verdicts(
        path: &Path,
        uids: &[Uid],
        mut visit: impl FnMut(Range<usize>, &BooleanArray, &DictionaryArray<Int32Type>) -> Result<()>,
    ) -> Result<()> {
        let table = tables::TableReader::open(path)?.with_dictionaries(&["reason"])?;
        proven(path, &table, &["keep", "reason"], uids, |rows, batch| {
            let wrong = || Error::bug(format!("{}: keep and reason are no verdicts", path.display()));
            let keep = batch.column(1).as_boolean_opt().ok_or_else(wrong)?;
            visit(rows, keep, batch.column(2).as_dictionary_opt().ok_or_else(wrong)?)
        })
    }

    /// A column, whole, with the same proof.
    pub fn column(path: &Path, uids: &[Uid], name: &str) -> Result<ArrayRef> {
        let table = tables::TableReader::open(path)?;
        let mut parts = Vec::new();
        proven(path, &table, &[name], uids, |_, batch| {
            parts.push(batch.column(1).clone());
            Ok(())
        })?;
        joined(path, &table, name, &parts)
    }

    /// A column at some rows, ascending and each once, with the same proof: `uids` are those of the rows.
    pub fn column_at(path: &Path, rows: &[u64], uids: &[Uid], name: &str) -> Result<ArrayRef> {
        let table = tables::TableReader::open(path)?;
        let (mut parts, mut done) = (Vec::new(), 0);
        for batch in table.read(&["uid", name], &RowChoice::At(rows.to_vec()), BATCH_ROWS)? {
            let batch = batch?;
            prove(path, uids, done, batch.column(0), |place| rows[place])?;
            done += batch.num_rows();
            parts.push(batch.column(1).clone());
        }
        if done != rows.len() {
            return Err(fail(path, "it has fewer rows than its shard"));
        }
        joined(path, &table, name, &parts)
    }
}

/// Visits the batches of a table with uids in the first column, which must be the shard's.
fn proven(
    path: &Path,
    table: &tables::TableReader,
    names: &[&str],
    uids: &[Uid],
    mut visit: impl FnMut(Range<usize>, &RecordBatch) -> Result<()>,
) -> Result<()> {
    let names = [&["uid"], names].concat();
    let mut done = 0;
    for batch in table.read(&names, &RowChoice::All, BATCH_ROWS)? {
        let batch = batch?;
        prove(path, uids, done, batch.column(0), |place| place as u64)?;
        let rows = done..done + batch.num_rows();
        done = rows.end;
        visit(rows, &batch)?;
    }
    if done == uids.len() { Ok(()) } else { Err(mismatch(path, uids.len(), done)) }
}

/// The parts of a column as one.
fn joined(path: &Path, table: &tables::TableReader, name: &str, parts: &[ArrayRef]) -> Result<ArrayRef> {
    if parts.is_empty() {
        let kind = table.schema().field(table.column(name)?).data_type();
        return Ok(arrow::array::new_empty_array(kind));
    }
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    arrow::compute::concat(&parts).map_err(|error| fail(path, error))
}

fn mismatch(path: &Path, expected: usize, found: usize) -> Error {
    Error::input(format!("{}: {found} rows, but its shard has {expected}", path.display()))
        .with_hint("the input changed under the run; run again with the same --out to redo the steps")
}

/// Whether uids of a table are the shard's from `start` on; `row_of` says which row a place in `uids` is.
fn prove(
    path: &Path,
    uids: &[Uid],
    start: usize,
    column: &ArrayRef,
    row_of: impl Fn(usize) -> u64,
) -> Result<()> {
    let column = column.as_fixed_size_binary_opt().filter(|column| column.value_length() == 16);
    let column = column.ok_or_else(|| fail(path, "uid is not 16 bytes wide"))?;
    let Some(uids) = uids.get(start..start + column.len()) else {
        return Err(mismatch(path, uids.len(), start + column.len()));
    };
    let (found, _) = column.value_data().as_chunks::<16>();
    for (index, (uid, found)) in uids.iter().zip(found).enumerate() {
        if Uid::from_bytes(*found) != *uid {
            return Err(Error::input(format!(
                "{}: row {} does not belong to sample {uid} of the shard",
                path.display(),
                row_of(start + index)
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
    fn single_rows_are_read_with_the_same_proof() {
        let dir = tempfile::tempdir().unwrap();
        let (path, uids) = table(dir.path());
        let column = TableReader::column_at(&path, &[0, 2], &[uids[0], uids[2]], "score").unwrap();
        assert_eq!(column.as_primitive::<arrow::datatypes::Float32Type>().values(), &[0.5, -1.0]);
        let wrong = TableReader::column_at(&path, &[0, 2], &uids[..2], "score").unwrap_err();
        assert!(wrong.message().contains("row 2"), "{wrong}");
        assert!(TableReader::column_at(&path, &[3], &uids[..1], "score").is_err());
        let mut seen = Vec::new();
        TableReader::verdicts(&path, &uids, |rows, keep, reasons| {
            let texts = crate::fates::shared(reasons).unwrap();
            seen.extend(rows.map(|row| {
                (keep.is_valid(row) && keep.value(row), reasons.key(row).map(|key| texts[key].to_string()))
            }));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(true, None), (false, None), (false, Some("small".into()))]);
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
