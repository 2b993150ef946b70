//! How steps are run, not what they do: the run folder and its manifest, tasks with atomic commits, resume, the local executor, the join of
//! step tables by position, and the selection that is left at the end.
#![warn(missing_docs)]
mod columns;
mod context;
mod decisions;
mod embeddings;
mod errors;
mod executor;
mod facts;
mod fates;
pub mod images;
mod machine;
mod manifest;
mod place;
mod plan;
mod run;
mod scatter;
mod selection;
mod step;
mod subset;
mod table;
pub mod vectors;
mod view;

pub use columns::ColumnReader;
pub use context::{Embedding, StepContext, StepRef, UidCache};
pub use decisions::{DECISIONS_FILE, Decided, Decision, Decisions};
pub use embeddings::{Half, RunEmbedding};
pub use errors::ErrorRow;
pub use executor::{Executor, Limits};
pub use facts::{Provides, StepFacts, step_facts};
pub use fates::{Fate, Fates};
pub use machine::{available_memory, peak_memory, resident_memory};
pub use manifest::{FORMAT_VERSION, Manifest, ManifestInput, ManifestStep, StepState};
pub use place::Place;
pub use plan::{Plan, PlannedStep};
pub use run::{Found, OWN_INPUT, RunFolder};
pub use scatter::{GlobalRow, ScatterReader, ScatterWriter};
pub use selection::{DECISION, Selection, read_fates, read_selection, read_selection_at, write_selection};
pub use step::{Parallel, PhaseSpec, Step, TaskOutput, Unit, UnitKind};
pub use table::{TableReader, TableSchema, Verdicts, read_column, write_columns, write_table};
pub use view::{RunView, check_tables};
