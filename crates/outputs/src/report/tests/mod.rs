//! Tests of the report as a whole: the figures that it shows, what it escapes, what it refers to, and that nothing breaks it.
mod extremes;
mod gallery;
mod page;
mod samples;
mod terminal;
mod well_formed;
