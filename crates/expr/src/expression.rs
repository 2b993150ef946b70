//! The two public types: an [`Expression`] is text that has been understood, a [`Bound`] one fits a schema.
//!
//! Two steps, because a recipe is read before any shard is opened: syntax is checked first, names and types as soon as
//! the first schema is known, and the values last.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;

use crate::ast::{Kind, Node};
use crate::bind::Scope;
use crate::cast::normalise;
use crate::error::{ExprError, ExprErrorKind};
use crate::evaluate::{evaluate_rows, evaluate_selected};
use crate::lower::lower;
use crate::parse::parse;
use crate::plan::Plan;
use crate::types::Type;

/// A parsed `where` expression, not yet tied to a schema.
#[derive(Clone, Debug)]
pub struct Expression {
    text: Arc<str>,
    node: Arc<Node>,
}

impl Expression {
    /// Parses one SQL expression. Functions and operators are checked here, columns and types in [`Self::bind`].
    ///
    /// # Errors
    /// [`ExprError`] with the place, for text that is not an expression, that goes on after one, that uses SQL which this
    /// language leaves out, or that is beyond [`crate::limits`].
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        let source: Arc<str> = Arc::from(text);
        let node = parse(text).and_then(|expression| lower(&expression, 1));
        Ok(Self { node: Arc::new(node.map_err(|error| error.in_text(&source))?), text: source })
    }

    /// The text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parts that a top-level AND joins, in order; the expression itself where there is none. The whole is true exactly where all
    /// parts are, so a caller can say which part was not. Errors of a part still point into the whole text.
    pub fn conjuncts(&self) -> Vec<Self> {
        match &self.node.kind {
            Kind::And(parts) => parts
                .iter()
                .flat_map(|part| {
                    Self { text: Arc::clone(&self.text), node: Arc::new(part.clone()) }.conjuncts()
                })
                .collect(),
            _ => vec![self.clone()],
        }
    }

    /// The expression written out again: of a part only that part, with the spaces and parentheses that it needs.
    pub fn label(&self) -> String {
        self.node.to_string()
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn shared_text(&self) -> &Arc<str> {
        &self.text
    }

    /// The columns that the expression names, as written, each once, in order of first use.
    ///
    /// A name may differ in case from the schema's: [`Bound::columns`] has the names to read.
    pub fn columns(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.node, &mut names);
        names
    }

    /// Checks the names and types against a schema, before any data is read.
    ///
    /// # Errors
    /// Unknown and ambiguous columns (with the valid ones), operands whose types do not go together, patterns that are
    /// invalid; each with its place.
    pub fn bind(&self, schema: &Schema) -> Result<Bound, ExprError> {
        let mut scope = Scope { schema, used: Vec::new() };
        let plan = scope.bind(&self.node).map_err(|error| error.in_text(&self.text))?;
        let place = self.node.position;
        let (columns, types) = scope.used.into_iter().unzip();
        Ok(Bound { text: Arc::clone(&self.text), excerpt: self.node.excerpt(), place, plan, columns, types })
    }
}

fn collect(node: &Node, names: &mut Vec<String>) {
    if let Kind::Column { name, .. } = &node.kind
        && !names.contains(name)
    {
        names.push(name.clone());
    }
    for child in node.kind.children() {
        collect(child, names);
    }
}

impl FromStr for Expression {
    type Err = ExprError;

    fn from_str(text: &str) -> Result<Self, ExprError> {
        Self::parse(text)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// An expression that has been checked against a schema. It can be shared between threads and used for every batch that
/// has its columns.
#[derive(Debug)]
pub struct Bound {
    text: Arc<str>,
    excerpt: String,
    place: Option<crate::Position>,
    plan: Plan,
    columns: Vec<String>,
    types: Vec<DataType>,
}

impl Bound {
    /// The columns to read, by their names in the schema, in order of first use. A batch may hold others beside them, in
    /// any order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The Arrow type of [`Self::evaluate`]: `Boolean`, `Int64`, `UInt64`, `Float64`, `LargeUtf8`,
    /// `FixedSizeBinary(16)` for a uid, `Null` for a bare `NULL`, or the column's own type for a bare column of any other.
    pub fn output_type(&self) -> DataType {
        self.plan.type_.data_type()
    }

    /// The text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Refuses an expression that is not boolean: what [`Self::mask`] would say, without a batch.
    ///
    /// # Errors
    /// [`ExprErrorKind::WrongType`] that names the type found.
    pub fn check_boolean(&self) -> Result<(), ExprError> {
        if matches!(self.plan.type_, Type::Boolean | Type::Null) {
            return Ok(());
        }
        let error = ExprError::from(ExprErrorKind::WrongType {
            expression: self.excerpt.clone(),
            found: self.plan.type_.name(),
            expected: "boolean".to_owned(),
            context: "a condition".to_owned(),
        });
        let error =
            if self.plan.type_.is_number() { error.with_hint("compare it, as in x > 0") } else { error };
        Err(error.at(self.place).in_text(&self.text))
    }

    /// One value for each row of the batch, in its order.
    ///
    /// # Errors
    /// A batch without a column, or with another type than was bound; a whole number out of range; a `CAST` of a value
    /// that does not fit. Each names the row of the batch.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef, ExprError> {
        let values =
            self.read(batch).and_then(|columns| evaluate_rows(&self.plan, &columns, batch.num_rows()));
        values.map_err(|error| error.in_text(&self.text))
    }

    /// As [`Self::evaluate`], but only rows where `open` is true are looked at; the others are null and cannot be the
    /// cause of an error.
    ///
    /// This is how a caller that judges the [`Expression::conjuncts`] one by one keeps the promise that a guard guards:
    /// it passes on the rows for which the parts before were true.
    ///
    /// # Errors
    /// As [`Self::evaluate`]; also when `open` is not as long as the batch.
    pub fn evaluate_where(&self, batch: &RecordBatch, open: &BooleanArray) -> Result<ArrayRef, ExprError> {
        let values = self.read(batch).and_then(|columns| {
            if open.len() != batch.num_rows() {
                let message = format!("{} rows are marked of {}", open.len(), batch.num_rows());
                return Err(ArrowError::InvalidArgumentError(message).into());
            }
            evaluate_selected(&self.plan, &columns, open)
        });
        values.map_err(|error| error.in_text(&self.text))
    }

    /// [`Self::mask`] for the rows where `open` is true; null for the others.
    ///
    /// # Errors
    /// As [`Self::evaluate_where`] and [`Self::check_boolean`].
    pub fn mask_where(&self, batch: &RecordBatch, open: &BooleanArray) -> Result<BooleanArray, ExprError> {
        self.check_boolean()?;
        self.evaluate_where(batch, open).map(|values| self.as_mask(&values))
    }

    fn as_mask(&self, values: &ArrayRef) -> BooleanArray {
        match self.plan.type_ {
            Type::Null => BooleanArray::new_null(values.len()),
            _ => values.as_boolean().clone(),
        }
    }

    /// The columns that the plan reads, in the one form that each type has inside.
    fn read(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, ExprError> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (name, expected) in self.columns.iter().zip(&self.types) {
            let column = batch.column_by_name(name);
            match column {
                Some(column) if column.data_type() == expected => columns.push(normalise(column)?),
                other => {
                    return Err(ExprErrorKind::BatchMismatch {
                        column: name.clone(),
                        expected: expected.to_string(),
                        found: other.map_or("nothing".to_owned(), |column| column.data_type().to_string()),
                    }
                    .into());
                }
            }
        }
        Ok(columns)
    }

    /// The expression as a condition: true, false, or null (unknown) for each row of the batch. `WHERE` keeps the rows
    /// that are true; the caller can tell false from null, and give the latter a reason of its own.
    ///
    /// # Errors
    /// As [`Self::evaluate`] and [`Self::check_boolean`].
    pub fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray, ExprError> {
        self.check_boolean()?;
        self.evaluate(batch).map(|values| self.as_mask(&values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_conjunction_are_labelled_by_themselves() {
        let whole =
            Expression::parse("a > 1 AND (b < 2 AND c) AND (d OR e)").unwrap_or_else(|e| panic!("{e}"));
        let labels: Vec<String> = whole.conjuncts().iter().map(Expression::label).collect();
        assert_eq!(labels, ["a > 1", "b < 2", "c", "d OR e"]);
        assert_eq!(whole.conjuncts()[0].text(), whole.text());
    }
}
