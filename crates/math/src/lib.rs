//! The arithmetic of Cribble: similarities, nearest centroids, spherical k-means, pair search, density, quotas, union-find.
//!
//! Rows are `[n, d]` row-major `f32` of unit length. A **similarity** is the dot product of two such rows, its products summed in `f64`
//! in one fixed order, rounded to `f32` ([`rows::similarity`]). A fast integer kernel only *proposes*; every proposal that its
//! error bound cannot rule out is scored again in `f64`. So results depend on the input alone: not on the kernel, the
//! processor, the tile size or the number of threads. Ties go to the lower index.
//!
//! There is no input or output here, no Arrow and no printing. Callers stream rows in through [`rows::RowSource`].
//! Functions over slices panic where a slice's length contradicts the stated shape (a bug of the calling code); nothing panics because
//! of the values in the data.
#![warn(missing_docs)]

pub mod attention;
pub mod border;
pub mod components;
pub mod density;
pub mod elbow;
pub mod functions;
pub mod halves;
pub mod kmeans;
pub mod layout;
mod likeness;
pub mod matrix;
pub mod nearest;
pub mod pairs;
mod propose;
pub mod quota;
mod random;
pub mod rows;
mod scan;
mod single;
pub mod sketch;
mod stored;
#[cfg(test)]
mod testing;
pub mod top;
pub mod workers;

pub use components::UnionFind;
pub use kmeans::{IterationStats, KMeans, KMeansError, KMeansOptions};
pub use pairs::{Earlier, PairsError};
pub use quota::{Bounds, QuotaError, Quotas};
pub use rows::{RowSource, RowState, SliceRows, SourceError, VecRows};
pub use stored::{StoredRows, UnitRows};
