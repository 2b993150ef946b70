//! A block of rows beside their codes, wherever the values lie.
use super::{Facts, Kernel};
use crate::{rows::normalize_row, stored::StoredRows};
use std::sync::OnceLock;

/// Where the values of rows come from.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    /// `[n, dim]`, as they are compared.
    Slice { rows: &'a [f32], dim: usize },
    /// As they are stored, from the row `first` on, with a place for each unit row that somebody asks for.
    Stored { stored: &'a dyn StoredRows, first: usize, units: &'a [OnceLock<Box<[f32]>>], dim: usize },
}

/// A block of rows with their codes.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(super) values: Values<'a>,
    pub(super) words: &'a [u32],
    pub(super) depth: usize,
    pub(super) facts: &'a [Facts],
    pub(super) kernel: Kernel,
}

impl<'a> Rows<'a> {
    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    pub(crate) fn dim(&self) -> usize {
        match self.values {
            Values::Slice { dim, .. } | Values::Stored { dim, .. } => dim,
        }
    }

    /// A row, as it is compared: made on the first call where it is stored in another form.
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        match self.values {
            Values::Slice { rows, dim } => &rows[row * dim..(row + 1) * dim],
            Values::Stored { stored, first, units, dim } => units[row].get_or_init(|| {
                let mut values = vec![0.0; dim];
                stored.widen(first + row, &mut values);
                normalize_row(&mut values);
                values.into_boxed_slice()
            }),
        }
    }

    pub(crate) fn facts(&self) -> &'a [Facts] {
        self.facts
    }

    /// The code words of a row.
    pub(crate) fn words(&self, row: usize) -> &'a [u32] {
        &self.words[row * self.depth..(row + 1) * self.depth]
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The sub-block of rows `start..end`.
    pub(crate) fn part(&self, start: usize, end: usize) -> Self {
        let values = match self.values {
            Values::Slice { rows, dim } => Values::Slice { rows: &rows[start * dim..end * dim], dim },
            Values::Stored { stored, first, units, dim } => {
                Values::Stored { stored, first: first + start, units: &units[start..end], dim }
            }
        };
        Self {
            values,
            words: &self.words[start * self.depth..end * self.depth],
            facts: &self.facts[start..end],
            ..*self
        }
    }
}
