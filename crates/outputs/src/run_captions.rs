//! The new captions of a run as a source for [`crate::reshard`]: all columns `caption_…` of its steps.
use cribble_core::{Cancel, Error, Progress, Result};
use cribble_io::{RowChoice, TableReader, is_text};
use cribble_pipeline::RunFolder;
use serde_json::Map;

use crate::{
    columns::{StepColumn, shard_names, step_columns, table},
    reshard::{CaptionField, CaptionSource, CaptionWriter},
    values,
};

/// What the columns of new captions begin with.
const PREFIX: &str = "caption_";
/// A text that says where a caption is from, and is none.
const NO_CAPTION: &str = "caption_best_from";

/// The columns `caption_…` of a run. Values that are null, and rows without any caption, give no fields.
pub struct RunCaptions {
    shards: Vec<String>,
    columns: Vec<StepColumn>,
    fields: Vec<CaptionField>,
}

impl RunCaptions {
    /// Looks for them; `None` where no step made a column of captions. The selection must have been written.
    pub fn find(run: &RunFolder) -> Result<Option<Self>> {
        let shards = shard_names(run)?;
        let columns = match shards.first() {
            Some(shard) => step_columns(run, shard, |name| name.starts_with(PREFIX))?,
            None => Vec::new(),
        };
        let field = |column: &StepColumn| CaptionField {
            name: column.field.name().clone(),
            is_caption: is_text(column.field.data_type()) && column.field.name() != NO_CAPTION,
        };
        let fields: Vec<CaptionField> = columns.iter().map(field).collect();
        Ok(fields.iter().any(|field| field.is_caption).then_some(Self { shards, columns, fields }))
    }

    /// [`RunCaptions::find`] where there must be some.
    pub fn require(run: &RunFolder) -> Result<Self> {
        Self::find(run)?.ok_or_else(|| {
            let place = run.path().display();
            Error::usage(format!("no step of {place} made a column of captions, caption_…")).with_hint(
                "the steps caption and rewrite make such columns, and so does `compute` of a filter step",
            )
        })
    }
}

impl CaptionSource for RunCaptions {
    fn fields(&self) -> &[CaptionField] {
        &self.fields
    }

    fn write(&self, to: &mut CaptionWriter, progress: &dyn Progress, cancel: &Cancel) -> Result<()> {
        progress.begin("reading captions", self.shards.len() as u64, "shards");
        for shard in &self.shards {
            cancel.check()?;
            let Some(first) = self.columns.first() else { break };
            // Every column is proven to belong to the same rows as the first one.
            let uids = TableReader::open(table(&first.folder, shard))?.uids(&RowChoice::All)?;
            let read = |column: &StepColumn| column.read(shard, &uids);
            let values = self.columns.iter().map(read).collect::<Result<Vec<_>>>()?;
            for (row, &uid) in uids.iter().enumerate() {
                let mut members = Map::new();
                let mut has_caption = false;
                for (field, column) in self.fields.iter().zip(&values) {
                    let value = values::json(column, row)?;
                    if !value.is_null() {
                        has_caption |= field.is_caption;
                        members.insert(field.name.clone(), value);
                    }
                }
                if has_caption {
                    to.push(uid, &members)?;
                }
            }
            progress.advance(1);
        }
        progress.end();
        Ok(())
    }
}
