//! NumPy's `.npy` files, and headerless arrays whose shape the user knows: read by ranges of rows, written as a stream.
//! No file is ever held whole, and the writer learns the number of rows only at the end.
mod element;
mod file;
mod header;
mod literal;
mod writer;

pub use element::{Element, ElementType};
pub use file::NpyFile;
pub use header::NpyHeader;
pub(crate) use header::TYPE_NOT_READ;
pub use writer::NpyWriter;
