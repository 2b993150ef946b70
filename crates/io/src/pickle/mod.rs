//! A reader for Python pickles (protocols 0 to 5) that builds plain data and nothing else. A pickle is a program: a reader that obeyed it
//! would run what a stranger wrote. This one knows no functions, has five names on its list, and refuses every other with its place.
//!
//! Values lie in one list ([`Pickle`]) and refer to each other by number, so nothing here recurses and a deep or self-containing pickle is
//! harmless. Memory is linear in the length of the pickle.
mod machine;
mod text;
mod value;

pub use value::{Limits, Node, NodeId, Pickle, PickleError, Problem};

#[cfg(test)]
mod tests;
