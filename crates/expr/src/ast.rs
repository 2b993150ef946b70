//! The expression tree of our own language, between the SQL parser's tree and a typed plan.
//!
//! `AND` and `OR` hold any number of operands: a filter written by a program may join hundreds, and a chain of two-armed
//! nodes would be as deep as it is long. Depth is what the limit counts, so chains cost one level.

use std::fmt;

use crate::error::Position;
use crate::functions::Function;
use crate::types::Target;

/// One node with the place where its text starts and the depth of the tree below it (a leaf is 1).
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) position: Option<Position>,
    pub(crate) depth: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// What holds exactly where this one does not.
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }

    /// The same with its operands exchanged.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }

    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A name in double quotes is looked up like a bare one; that it was quoted only serves the hint.
    Column {
        name: String,
        quoted: bool,
    },
    Null,
    Boolean(bool),
    Integer(i64),
    /// A whole number above the range of `bigint`, for `uint64` columns.
    Unsigned(u64),
    Float(f64),
    Text(String),
    Negate(Box<Node>),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    Distinct {
        negated: bool,
        left: Box<Node>,
        right: Box<Node>,
    },
    Concat(Box<Node>, Box<Node>),
    IsNull {
        negated: bool,
        inner: Box<Node>,
    },
    /// `IS UNKNOWN`: `IS NULL` that insists on a boolean.
    IsUnknown {
        negated: bool,
        inner: Box<Node>,
    },
    IsTruth {
        negated: bool,
        truth: bool,
        inner: Box<Node>,
    },
    In {
        negated: bool,
        value: Box<Node>,
        list: Vec<Node>,
    },
    Between {
        negated: bool,
        value: Box<Node>,
        low: Box<Node>,
        high: Box<Node>,
    },
    Like {
        negated: bool,
        fold_case: bool,
        value: Box<Node>,
        pattern: Box<Node>,
        /// `None` where `ESCAPE ''` switches escaping off.
        escape: Option<char>,
    },
    Case {
        operand: Option<Box<Node>>,
        branches: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    Cast {
        inner: Box<Node>,
        target: Target,
        /// `TRY_CAST`: null instead of an error.
        lenient: bool,
    },
    Call {
        function: Function,
        arguments: Vec<Node>,
    },
}

impl Kind {
    /// The direct children, in the order in which they are written.
    pub(crate) fn children(&self) -> Vec<&Node> {
        match self {
            Self::Column { .. }
            | Self::Null
            | Self::Boolean(_)
            | Self::Integer(_)
            | Self::Unsigned(_)
            | Self::Float(_)
            | Self::Text(_) => Vec::new(),
            Self::Negate(inner)
            | Self::Not(inner)
            | Self::IsNull { inner, .. }
            | Self::IsUnknown { inner, .. }
            | Self::IsTruth { inner, .. }
            | Self::Cast { inner, .. } => vec![inner],
            Self::And(operands) | Self::Or(operands) | Self::Call { arguments: operands, .. } => {
                operands.iter().collect()
            }
            Self::Arithmetic(_, left, right)
            | Self::Compare(_, left, right)
            | Self::Distinct { left, right, .. }
            | Self::Concat(left, right)
            | Self::Like { value: left, pattern: right, .. } => vec![left, right],
            Self::In { value, list, .. } => std::iter::once(&**value).chain(list).collect(),
            Self::Between { value, low, high, .. } => vec![value, low, high],
            Self::Case { operand, branches, otherwise } => operand
                .as_deref()
                .into_iter()
                .chain(branches.iter().flat_map(|(when, then)| [when, then]))
                .chain(otherwise.as_deref())
                .collect(),
        }
    }
}

impl Node {
    /// A node above children that exist already.
    pub(crate) fn new(kind: Kind, position: Option<Position>) -> Self {
        let depth = 1 + kind.children().iter().map(|child| child.depth).max().unwrap_or(0);
        Self { kind, position, depth }
    }

    /// Its text, cut at about 80 characters, for messages.
    pub(crate) fn excerpt(&self) -> String {
        let mut writer = Shortened { text: String::new(), left: 80 };
        match fmt::write(&mut writer, format_args!("{self}")) {
            Ok(()) => writer.text,
            Err(fmt::Error) => writer.text + "…",
        }
    }
}

/// Stops a `Display` once enough is written, so that a message costs the same for a tree of any size.
struct Shortened {
    text: String,
    left: usize,
}

impl fmt::Write for Shortened {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}

fn quoted(formatter: &mut fmt::Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    write!(formatter, "{quote}")?;
    for character in text.chars() {
        if character == quote {
            write!(formatter, "{quote}")?;
        }
        write!(formatter, "{character}")?;
    }
    write!(formatter, "{quote}")
}

fn joined(formatter: &mut fmt::Formatter<'_>, nodes: &[Node], separator: &str) -> fmt::Result {
    for (index, node) in nodes.iter().enumerate() {
        let lead = if index == 0 { "" } else { separator };
        write!(formatter, "{lead}{}", Operand(node))?;
    }
    Ok(())
}

/// An operand inside an operator: in parentheses unless it cannot be misread.
struct Operand<'a>(&'a Node);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Column { .. }
            | Kind::Null
            | Kind::Boolean(_)
            | Kind::Integer(_)
            | Kind::Unsigned(_)
            | Kind::Float(_)
            | Kind::Text(_)
            | Kind::Cast { .. }
            | Kind::Call { .. } => write!(formatter, "{}", self.0),
            _ => write!(formatter, "({})", self.0),
        }
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Column { name, .. } => {
                let plain = name.starts_with(|first: char| first.is_alphabetic() || first == '_')
                    && name.chars().all(|character| character.is_alphanumeric() || "_.".contains(character));
                if plain { write!(formatter, "{name}") } else { quoted(formatter, name, '"') }
            }
            Kind::Null => write!(formatter, "NULL"),
            Kind::Boolean(value) => write!(formatter, "{}", if *value { "TRUE" } else { "FALSE" }),
            Kind::Integer(value) => write!(formatter, "{value}"),
            Kind::Unsigned(value) => write!(formatter, "{value}"),
            Kind::Float(value) => write!(formatter, "{value:?}"),
            Kind::Text(text) => quoted(formatter, text, '\''),
            Kind::Negate(inner) => write!(formatter, "-{}", Operand(inner)),
            Kind::Not(inner) => write!(formatter, "NOT {}", Operand(inner)),
            Kind::And(operands) => joined(formatter, operands, " AND "),
            Kind::Or(operands) => joined(formatter, operands, " OR "),
            Kind::Arithmetic(operator, left, right) => {
                write!(formatter, "{} {} {}", Operand(left), operator.symbol(), Operand(right))
            }
            Kind::Compare(operator, left, right) => {
                write!(formatter, "{} {} {}", Operand(left), operator.symbol(), Operand(right))
            }
            Kind::Distinct { negated, left, right } => {
                write!(formatter, "{} IS {}DISTINCT FROM {}", Operand(left), not(*negated), Operand(right))
            }
            Kind::Concat(left, right) => write!(formatter, "{} || {}", Operand(left), Operand(right)),
            Kind::IsNull { negated, inner } => {
                write!(formatter, "{} IS {}NULL", Operand(inner), not(*negated))
            }
            Kind::IsUnknown { negated, inner } => {
                write!(formatter, "{} IS {}UNKNOWN", Operand(inner), not(*negated))
            }
            Kind::IsTruth { negated, truth, inner } => {
                let word = if *truth { "TRUE" } else { "FALSE" };
                write!(formatter, "{} IS {}{word}", Operand(inner), not(*negated))
            }
            Kind::In { negated, value, list } => {
                write!(formatter, "{} {}IN (", Operand(value), not(*negated))?;
                joined(formatter, list, ", ")?;
                write!(formatter, ")")
            }
            Kind::Between { negated, value, low, high } => write!(
                formatter,
                "{} {}BETWEEN {} AND {}",
                Operand(value),
                not(*negated),
                Operand(low),
                Operand(high)
            ),
            Kind::Like { negated, fold_case, value, pattern, .. } => {
                let word = if *fold_case { "ILIKE" } else { "LIKE" };
                write!(formatter, "{} {}{word} {}", Operand(value), not(*negated), Operand(pattern))
            }
            Kind::Case { operand, branches, otherwise } => {
                write!(formatter, "CASE")?;
                if let Some(operand) = operand {
                    write!(formatter, " {}", Operand(operand))?;
                }
                for (when, then) in branches {
                    write!(formatter, " WHEN {when} THEN {then}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(formatter, " ELSE {otherwise}")?;
                }
                write!(formatter, " END")
            }
            Kind::Cast { inner, target, lenient } => {
                let word = if *lenient { "TRY_CAST" } else { "CAST" };
                write!(formatter, "{word}({inner} AS {})", target.name())
            }
            Kind::Call { function, arguments } => {
                write!(formatter, "{}(", function.name())?;
                for (index, argument) in arguments.iter().enumerate() {
                    write!(formatter, "{}{argument}", if index == 0 { "" } else { ", " })?;
                }
                write!(formatter, ")")
            }
        }
    }
}
