//! SQL `where` expressions over Arrow record batches: parse, check against a schema, evaluate.
//!
//! The grammar is the `sqlparser` crate's, the arithmetic is Arrow's kernels, and what lies between (names, types, nulls,
//! NaN, errors) is here: an engine such as DataFusion would do it all, for twenty minutes of build time. The language is
//! described for its users in `docs/expressions.md`.
//!
//! ```
//! use arrow::array::{Float32Array, Int64Array, RecordBatch};
//! use cribble_expr::Expression;
//! use std::sync::Arc;
//!
//! let batch = RecordBatch::try_from_iter([
//!     ("width", Arc::new(Int64Array::from(vec![640, 100])) as arrow::array::ArrayRef),
//!     ("score", Arc::new(Float32Array::from(vec![Some(0.31), None]))),
//! ])?;
//! let expression = Expression::parse("width >= 200 AND score > 0.2")?;
//! assert_eq!(expression.columns(), ["width", "score"]);
//! let mask = expression.bind(&batch.schema())?.mask(&batch)?;
//! assert_eq!((mask.value(0), mask.value(1)), (true, false));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arithmetic;
mod ast;
mod bind;
mod bind_call;
mod bind_types;
mod calls;
mod cast;
mod compare;
mod condition;
mod error;
mod evaluate;
mod expression;
mod frame;
mod functions;
mod lazy;
mod like;
pub mod limits;
mod lower;
mod lower_names;
mod narrow;
mod parse;
mod plan;
mod types;

pub use condition::{Comparison, Condition, Literal};
pub use error::{ExprError, ExprErrorKind, Position};
pub use expression::{Bound, Expression};
