//! The rows that are being evaluated: all rows of a batch, or those that an earlier condition has left open.

use std::cell::OnceCell;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow::compute::{filter, take};

use crate::error::ExprError;

/// Columns in the order in which the expression reads them, and which of their rows count.
pub(crate) struct Frame<'a> {
    columns: &'a [ArrayRef],
    /// Rows of the batch, in increasing order; `None` is all of them.
    selection: Option<UInt64Array>,
    rows: usize,
    /// Selected columns, taken when first asked for: one branch of a `CASE` reads few of them.
    taken: Vec<OnceCell<ArrayRef>>,
}

impl<'a> Frame<'a> {
    pub(crate) fn whole(columns: &'a [ArrayRef], rows: usize) -> Self {
        Self { columns, selection: None, rows, taken: Vec::new() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The row of the batch that stands at `at`.
    pub(crate) fn row(&self, at: usize) -> usize {
        match &self.selection {
            Some(selection) if at < self.rows => usize::try_from(selection.value(at)).unwrap_or(at),
            _ => at,
        }
    }

    pub(crate) fn column(&self, index: usize) -> Result<ArrayRef, ExprError> {
        let Some(selection) = &self.selection else {
            return Ok(Arc::clone(&self.columns[index]));
        };
        if let Some(array) = self.taken[index].get() {
            return Ok(Arc::clone(array));
        }
        let array = take(&self.columns[index], selection, None)?;
        Ok(Arc::clone(self.taken[index].get_or_init(|| array)))
    }

    /// The rows of this frame where `mask` is true.
    pub(crate) fn select(&self, mask: &BooleanArray) -> Result<Frame<'a>, ExprError> {
        let all;
        let rows = match &self.selection {
            Some(selection) => selection,
            None => {
                all = UInt64Array::from_iter_values(0..self.rows as u64);
                &all
            }
        };
        let selected = filter(rows, mask)?;
        let selection: UInt64Array = selected.to_data().into();
        let taken = (0..self.columns.len()).map(|_| OnceCell::new()).collect();
        Ok(Frame { columns: self.columns, rows: selection.len(), selection: Some(selection), taken })
    }
}
