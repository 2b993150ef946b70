//! Rows that stay as they are stored until a search wants some of them exactly.
use crate::rows::{RowSource, SourceError, normalize_row};

/// Rows in memory, in whatever type and of whatever length.
pub trait StoredRows: Sync {
    /// The number of rows.
    fn rows(&self) -> usize;

    /// The number of values in a row, at least 1.
    fn dim(&self) -> usize;

    /// Fills `out` (one row) with the values of a row, of whatever length it is.
    fn widen(&self, row: usize, out: &mut [f32]);

    /// Says that a row will be wanted soon, so that it may be brought near: [`crate::halves::prefetch`].
    fn expect(&self, _row: usize) {}
}

/// Stored rows as a source: what is read of them has unit length.
#[derive(Debug, Clone, Copy)]
pub struct UnitRows<S>(pub S);

impl<S: StoredRows> RowSource for UnitRows<S> {
    fn len(&self) -> usize {
        self.0.rows()
    }

    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn read(&self, start: usize, out: &mut [f32]) -> Result<(), SourceError> {
        for (row, out) in out.chunks_exact_mut(self.0.dim()).enumerate() {
            self.0.widen(start + row, out);
            normalize_row(out);
        }
        Ok(())
    }

    fn as_stored(&self) -> Option<&dyn StoredRows> {
        Some(&self.0)
    }
}
