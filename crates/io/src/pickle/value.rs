//! What a pickle turns into, and why it may be refused. Values refer to each other by number, so a deep or self-containing one needs no recursion
//! to be built, dropped or refused.
use std::fmt;

/// How much is accepted.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the pickle.
    pub bytes: u64,
    /// Values in it, elements of lists counted once more.
    pub nodes: usize,
    /// Open marks, which is how deep one value can be written inside another.
    pub marks: usize,
}

impl Default for Limits {
    /// 4 GiB, 2^28 values, 10,000 marks.
    fn default() -> Self {
        Self { bytes: 4 << 30, nodes: 1 << 28, marks: 10_000 }
    }
}

/// The number of a value in its [`Pickle`].
pub type NodeId = u32;

/// A value. Parts are numbers into the same [`Pickle`]; a list may contain itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// `None`.
    None,
    /// `True`, `False`.
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// A larger whole number: its bytes in two's complement, little-endian.
    BigInt(Vec<u8>),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Str(String),
    /// `bytes` and `bytearray`.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<NodeId>),
    /// A tuple.
    Tuple(Vec<NodeId>),
    /// A dict, in the order of the pickle.
    Dict(Vec<(NodeId, NodeId)>),
    /// `set` and `frozenset`.
    Set(Vec<NodeId>),
    /// One of the classes on the list: `pygtrie.StringTrie`, `pygtrie._Node`. Nothing is run for it.
    Object {
        /// Module and name.
        class: String,
        /// What `BUILD` gave it.
        state: Option<NodeId>,
    },
    /// A name on the list that has not been used yet.
    Global(&'static str),
}

/// A pickle as plain data.
#[derive(Debug)]
pub struct Pickle {
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
}

/// Why a pickle is refused, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickleError {
    /// The byte of the opcode.
    pub offset: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a pickle.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A name that is not on the list: reading it for real would import it.
    Forbidden(String),
    /// An opcode that would run code or that is unknown.
    Opcode(u8),
    /// The pickle ends too early.
    Truncated,
    /// An opcode that does not fit to what is on the stack, or a value that is none.
    Broken(&'static str),
    /// More than [`Limits`] allow.
    TooLarge(&'static str),
}

impl PickleError {
    /// What should have been there.
    pub fn expected(&self) -> &'static str {
        "plain data or a pygtrie.StringTrie (nothing else is ever built from a pickle)"
    }

    /// What was there.
    pub fn found(&self) -> String {
        match &self.problem {
            Problem::Forbidden(name) => format!("the name '{name}'"),
            Problem::Opcode(opcode) => format!("opcode {opcode:#04x}"),
            Problem::Truncated => "the end of the file".into(),
            Problem::Broken(what) => (*what).into(),
            Problem::TooLarge(what) => format!("too many {what}"),
        }
    }
}

impl fmt::Display for PickleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: expected {}, found {}", self.offset, self.expected(), self.found())
    }
}

impl std::error::Error for PickleError {}

impl Pickle {
    /// The value of the pickle.
    pub fn root(&self) -> &Node {
        self.node(self.root)
    }

    /// A value by number. Numbers come from the nodes of the same pickle; a foreign one gives `None`.
    pub fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::None)
    }

    /// The value under a text key of a dict. The last one counts, as in Python.
    pub fn entry(&self, dict: NodeId, key: &str) -> Option<&Node> {
        let Node::Dict(entries) = self.node(dict) else { return None };
        let found =
            entries.iter().rfind(|(have, _)| matches!(self.node(*have), Node::Str(text) if text == key));
        found.map(|&(_, value)| self.node(value))
    }
}
