//! A table in a text file: ids line by line, csv, json lines. One pass at the beginning counts the rows, guesses the types and notes where
//! each virtual shard begins; after that any shard is read without its predecessors.
use super::{
    cells::{Cells, Kind},
    part::Rows,
    records::Records,
};
use crate::{Batches, IoError, Location, Result, SourceFile, Storage, uids::stable_uid};
use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema, SchemaRef},
};
use cribble_core::Uid;
use serde_json::Value;
use std::sync::Arc;

/// Rows that the types of columns are guessed from.
const GUESS_ROWS: u64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Csv,
    Json,
}

/// An indexed text table.
#[derive(Debug, Clone)]
pub(super) struct TextTable {
    location: Location,
    form: Form,
    columns: Vec<(String, Kind)>,
    /// The column that names a sample, and whether its values must be uids.
    id: Option<(usize, bool)>,
    /// The byte at which every `piece_rows`-th row begins.
    starts: Vec<u64>,
    piece_rows: u64,
    rows: u64,
}

/// One record, whichever its form.
enum Record {
    Texts(Vec<String>),
    Json(Value),
}

impl TextTable {
    /// One id a line.
    pub fn lines(file: SourceFile, piece_rows: u64) -> Result<Self> {
        Self::index(file, Form::Lines, &["id"], piece_rows)
    }

    /// Comma-separated values under a header line; ids in the column `uid`, `id` or `key`, else in the first one.
    pub fn csv(file: SourceFile, piece_rows: u64) -> Result<Self> {
        Self::index(file, Form::Csv, &["uid", "id", "key", ""], piece_rows)
    }

    /// The metadata of a folder of images, csv or json lines; samples are named by `uid`, else by `file_name`.
    pub fn image_metadata(file: SourceFile, piece_rows: u64) -> Result<Self> {
        let form = if file.location().extension() == "csv" { Form::Csv } else { Form::Json };
        let table = Self::index(file, form, &["uid", "file_name"], piece_rows)?;
        if table.columns.iter().any(|(name, _)| name == "file_name") {
            return Ok(table);
        }
        Err(IoError::MissingColumn {
            path: table.location.path().into(),
            name: "file_name".into(),
            available: table.columns.into_iter().map(|(name, _)| name).collect(),
        })
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The names of the columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// `id_columns`: the columns that may name a sample, best first; an empty name stands for the first column.
    fn index(file: SourceFile, form: Form, id_columns: &[&str], piece_rows: u64) -> Result<Self> {
        let mut records = Records::new(file.clone(), 0, 0)?;
        let mut columns: Vec<(String, Kind)> = Vec::new();
        if form == Form::Csv {
            let header = records.fields()?.unwrap_or_default();
            columns = header.into_iter().map(|name| (name.trim().to_owned(), Kind::Unknown)).collect();
            records = Records::new(file.clone(), records.position(), 0)?;
        } else if form == Form::Lines {
            columns.push(("id".into(), Kind::Text));
        }
        let (mut starts, mut rows, mut blank) = (Vec::new(), 0, false);
        let mut first = None;
        loop {
            let start = records.position();
            // Only the rows that types are guessed from are parsed as json here.
            let record = if form == Form::Json && rows >= GUESS_ROWS {
                records.filled_line()?.map(|_| Record::Texts(Vec::new()))
            } else {
                read_record(&mut records, form, columns.len())?
            };
            let Some(record) = record else { break };
            if form == Form::Lines {
                let is_blank = matches!(&record, Record::Texts(texts) if texts[0].is_empty());
                if blank {
                    return Err(records.bad("an id on every line", "a blank line before it"));
                }
                if is_blank {
                    // Blank at the end of the file is no row; in the middle it would shift all rows after it.
                    blank = true;
                    continue;
                }
            }
            if rows.is_multiple_of(piece_rows) {
                starts.push(start);
            }
            if rows < GUESS_ROWS {
                guess(&mut columns, &record);
            }
            rows += 1;
            first.get_or_insert(record);
        }
        let id = id_columns.iter().find_map(|wanted| match *wanted {
            "" => (!columns.is_empty()).then_some(0),
            wanted => columns.iter().position(|(name, _)| name == wanted),
        });
        let mut id = id.map(|at| {
            let value = first.as_ref().and_then(|record| record.text(at, &columns[at].0));
            (at, columns[at].0 == "uid" || value.is_some_and(|text| Uid::parse(text.as_bytes()).is_ok()))
        });
        if let (Form::Lines, Some((_, strict))) = (form, &mut id) {
            columns[0].0 = if *strict { "uid".into() } else { "key".into() };
        }
        if let Some((at, _)) = id {
            // A name is a text, even when the first thousand look like numbers.
            columns[at].1 = Kind::Text;
        }
        Ok(Self { location: file.location().clone(), form, columns, id, starts, piece_rows, rows })
    }
}

impl Record {
    fn text(&self, at: usize, name: &str) -> Option<String> {
        match self {
            Self::Texts(texts) => texts.get(at).cloned(),
            Self::Json(value) => match value.get(name)? {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            },
        }
    }
}

fn read_record(records: &mut Records, form: Form, columns: usize) -> Result<Option<Record>> {
    Ok(match form {
        Form::Lines => records.line()?.map(|line| Record::Texts(vec![line.trim().to_owned()])),
        Form::Csv => match records.fields()? {
            Some(fields) if fields.len() != columns => {
                return Err(records.bad(format!("{columns} fields"), format!("{} fields", fields.len())));
            }
            fields => fields.map(Record::Texts),
        },
        Form::Json => match records.filled_line()? {
            None => None,
            Some(line) => match serde_json::from_str::<Value>(&line) {
                Ok(value @ Value::Object(_)) => Some(Record::Json(value)),
                Ok(_) => return Err(records.bad("a json object", "another json value")),
                Err(error) => return Err(records.bad("a json object", error.to_string())),
            },
        },
    })
}

fn guess(columns: &mut Vec<(String, Kind)>, record: &Record) {
    match record {
        Record::Texts(texts) => {
            for ((_, kind), text) in columns.iter_mut().zip(texts) {
                *kind = kind.with(Kind::of_text(text));
            }
        }
        Record::Json(value) => {
            for (name, value) in value.as_object().into_iter().flatten() {
                let seen = Kind::of_json(value);
                match columns.iter_mut().find(|(have, _)| have == name) {
                    Some((_, kind)) => *kind = kind.with(seen),
                    None => columns.push((name.clone(), seen)),
                }
            }
        }
    }
}

/// A range of rows of a text table.
pub(super) struct TextRows {
    storage: Arc<dyn Storage>,
    table: TextTable,
    source: String,
    first: u64,
    count: u64,
}

impl TextRows {
    /// `first` is a multiple of the table's piece length; `source` goes into made uids.
    pub fn new(storage: Arc<dyn Storage>, table: &TextTable, source: &str, first: u64, count: u64) -> Self {
        Self { storage, table: table.clone(), source: source.into(), first, count }
    }

    fn records(&self) -> Result<Records> {
        let file = SourceFile::open(&*self.storage, &self.table.location)?;
        let start = self
            .table
            .starts
            .get((self.first / self.table.piece_rows) as usize)
            .copied()
            .unwrap_or(file.len());
        Records::new(file, start, self.first)
    }
}

impl Rows for TextRows {
    fn schema(&self) -> SchemaRef {
        let field = |(name, kind): &(String, Kind)| Field::new(name, kind.data_type(), true);
        Arc::new(Schema::new(self.table.columns.iter().map(field).collect::<Vec<_>>()))
    }

    fn read(&self, columns: &[String], batch_rows: usize) -> Result<Batches> {
        let mut wanted = Vec::with_capacity(columns.len());
        for name in columns {
            let at = self.table.columns.iter().position(|(have, _)| have == name).ok_or_else(|| {
                IoError::MissingColumn {
                    path: self.table.location.path().into(),
                    name: name.clone(),
                    available: self.table.columns().map(str::to_owned).collect(),
                }
            })?;
            wanted.push((at, self.table.columns[at].clone()));
        }
        let fields: Vec<_> =
            wanted.iter().map(|(_, (name, kind))| Field::new(name, kind.data_type(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let mut cells: Vec<Cells> = wanted.iter().map(|(_, (_, kind))| Cells::new(*kind)).collect();
        let (mut records, form, width) = (self.records()?, self.table.form, self.table.columns.len());
        let (mut left, path) = (self.count, self.table.location.path().to_path_buf());
        Ok(Box::new(std::iter::from_fn(move || {
            let rows = left.min(batch_rows.max(1) as u64);
            if rows == 0 {
                return None;
            }
            left -= rows;
            let mut filled = 0;
            for _ in 0..rows {
                match read_record(&mut records, form, width) {
                    Ok(Some(record)) => push(&mut cells, &wanted, &record),
                    Ok(None) => break,
                    Err(error) => {
                        left = 0;
                        return Some(Err(error));
                    }
                }
                filled += 1;
            }
            let options = RecordBatchOptions::new().with_row_count(Some(filled));
            let columns = cells.iter_mut().map(Cells::take).collect();
            let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options);
            Some(batch.map_err(|source| IoError::Arrow { path: path.clone(), source }))
        })))
    }

    fn uids(&self) -> Result<Vec<Uid>> {
        let mut records = self.records()?;
        let mut uids = Vec::with_capacity(self.count as usize);
        for row in self.first..self.first + self.count {
            let Some(record) = read_record(&mut records, self.table.form, self.table.columns.len())? else {
                break;
            };
            let text = self.table.id.and_then(|(at, _)| record.text(at, &self.table.columns[at].0));
            let path = self.table.location.path();
            uids.push(match (self.table.id, text) {
                (Some((_, true)), Some(text)) => Uid::parse(text.as_bytes())
                    .map_err(|source| IoError::BadUid { path: path.into(), row, source })?,
                (Some((_, true)), None) => return Err(IoError::NullUid { path: path.into(), row }),
                (_, Some(text)) => stable_uid(&self.source, &text),
                (_, None) => stable_uid(&self.source, &row.to_string()),
            });
        }
        Ok(uids)
    }
}

fn push(cells: &mut [Cells], wanted: &[(usize, (String, Kind))], record: &Record) {
    for (cells, (at, (name, _))) in cells.iter_mut().zip(wanted) {
        match record {
            Record::Texts(texts) => cells.push_text(texts.get(*at).map(String::as_str)),
            Record::Json(value) => cells.push_json(value.get(name)),
        }
    }
}
