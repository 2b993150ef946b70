//! One batch from many files: columns of the input and of earlier steps, cut to the same rows. The join is by position; step tables prove
//! their uids elsewhere, here the row counts are proven.
use std::{collections::VecDeque, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    compute::concat_batches,
    datatypes::{Field, Schema, SchemaRef},
};
use cribble_core::{Error, Result, name_hint};

use crate::{context::StepContext, table::read_batches};

type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// One file's columns, re-cut to the batch size asked for.
struct Part {
    name: String,
    batches: Batches,
    waiting: VecDeque<RecordBatch>,
    rows: usize,
}

impl Part {
    /// Exactly `rows` rows.
    fn take(&mut self, rows: usize) -> Result<RecordBatch> {
        while self.rows < rows {
            match self.batches.next() {
                Some(batch) => {
                    let batch = batch?;
                    self.rows += batch.num_rows();
                    self.waiting.push_back(batch);
                }
                None => {
                    return Err(Error::input(format!(
                        "{} ends {} rows too early",
                        self.name,
                        rows - self.rows
                    ))
                    .with_hint("`cribble check` names files whose row counts differ"));
                }
            }
        }
        let mut pieces = Vec::new();
        let mut missing = rows;
        while missing > 0 {
            let Some(batch) = self.waiting.pop_front() else { break };
            if batch.num_rows() <= missing {
                missing -= batch.num_rows();
                pieces.push(batch);
            } else {
                pieces.push(batch.slice(0, missing));
                self.waiting.push_front(batch.slice(missing, batch.num_rows() - missing));
                missing = 0;
            }
        }
        self.rows -= rows;
        match pieces.len() {
            1 => Ok(pieces.remove(0)),
            _ => {
                let schema = pieces
                    .first()
                    .map(RecordBatch::schema)
                    .ok_or_else(|| Error::bug("an empty batch was asked for"))?;
                concat_batches(&schema, &pieces).map_err(|error| Error::bug(error.to_string()))
            }
        }
    }
}

/// An iterator over aligned batches of one shard.
pub struct ColumnReader {
    parts: Vec<Part>,
    schema: SchemaRef,
    /// For each column: which part, which column in it.
    places: Vec<(usize, usize)>,
    left: usize,
    batch_rows: usize,
}

impl ColumnReader {
    pub(crate) fn open(
        context: &StepContext<'_>,
        shard: u32,
        names: &[String],
        batch_rows: usize,
    ) -> Result<Self> {
        // The latest step that has a column hides the ones before.
        let mut owners: Vec<Option<usize>> = vec![None; names.len()];
        for (index, step) in context.before.iter().enumerate() {
            let schema = context.step_schema(step)?;
            for (name, owner) in names.iter().zip(&mut owners) {
                if schema.0.index_of(name).is_ok() {
                    *owner = Some(index);
                }
            }
        }
        let mut groups: Vec<Option<usize>> = owners.clone();
        groups.sort();
        groups.dedup();
        let mut parts = Vec::new();
        let mut fields: Vec<Option<Field>> = vec![None; names.len()];
        let mut places = vec![(0, 0); names.len()];
        for group in groups {
            let columns: Vec<usize> = (0..names.len()).filter(|&i| owners[i] == group).collect();
            let wanted: Vec<&str> = columns.iter().map(|&i| names[i].as_str()).collect();
            let (label, schema, batches): (String, SchemaRef, Batches) = match group {
                None => {
                    let schema = context.dataset.schema().clone();
                    if let Some(missing) = wanted.iter().find(|name| schema.index_of(name).is_err()) {
                        let all = context.schema()?;
                        let known: Vec<&str> = all.fields().iter().map(|f| f.name().as_str()).collect();
                        return Err(Error::usage(format!("there is no column '{missing}'"))
                            .with_hint(name_hint(missing, known.iter().copied())));
                    }
                    let batches = context.dataset.read_columns(shard, &wanted, batch_rows)?;
                    let label = format!("shard {} of the input", context.shard_name(shard));
                    (label, schema, Box::new(batches.map(|batch| batch.map_err(Into::into))))
                }
                Some(index) => {
                    let step = &context.before[index];
                    let path = context.table_path(step, shard);
                    let batches = read_batches(&path, Some(&wanted), batch_rows)?;
                    (path.display().to_string(), context.step_schema(step)?.0, Box::new(batches))
                }
            };
            for (place, &column) in columns.iter().enumerate() {
                let position =
                    schema.index_of(&names[column]).map_err(|error| Error::bug(error.to_string()))?;
                fields[column] = Some(schema.field(position).clone().with_nullable(true));
                places[column] = (parts.len(), place);
            }
            parts.push(Part { name: label, batches, waiting: VecDeque::new(), rows: 0 });
        }
        let fields: Vec<Field> = fields.into_iter().flatten().collect();
        Ok(Self {
            parts,
            schema: Arc::new(Schema::new(fields)),
            places,
            left: context.rows(shard),
            batch_rows: batch_rows.max(1),
        })
    }

    /// The columns, in the order asked for.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn read(&mut self) -> Result<RecordBatch> {
        let rows = self.left.min(self.batch_rows);
        let batches = self.parts.iter_mut().map(|part| part.take(rows)).collect::<Result<Vec<_>>>()?;
        self.left -= rows;
        let columns: Vec<ArrayRef> =
            self.places.iter().map(|&(part, place)| batches[part].column(place).clone()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| Error::bug(format!("aligned columns: {error}")))
    }
}

impl Iterator for ColumnReader {
    type Item = Result<RecordBatch>;
    fn next(&mut self) -> Option<Self::Item> {
        (self.left > 0).then(|| {
            let batch = self.read();
            if batch.is_err() {
                self.left = 0;
            }
            batch
        })
    }
}
