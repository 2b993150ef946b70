//! The few types that the language computes with, and how Arrow's many map onto them.
//!
//! Everything is widened when a column is read: whole numbers to 64 bits, floats (16, 32 and 64 bits, decimals) to `f64`,
//! every kind of text to `LargeUtf8`. One form of each value means one kernel of each operator; widening is exact, and
//! costs one pass over the columns that the expression names.

use arrow::datatypes::DataType;

/// The type of a value inside an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    /// The bare `NULL` (and Arrow's null columns): goes with every other type.
    Null,
    Boolean,
    /// `Int64`.
    Integer,
    /// `UInt64`: only compared, cast and tested for null as it is; in arithmetic it becomes `Integer`, checked.
    Unsigned,
    /// `Float64`.
    Float,
    /// `LargeUtf8`: offsets of 64 bits, so that a batch of long captions cannot overflow them.
    Text,
    /// `FixedSizeBinary(16)`: a uid. Compares with 32 hexadecimal characters, becomes such text where text is needed.
    Uid,
    /// Any list: its length, and whether it is null.
    List(DataType),
    /// Anything else: only whether it is null (dates and times can also be cast to text).
    Other(DataType),
}

impl Type {
    pub(crate) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean,
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32 => Self::Integer,
            DataType::UInt64 => Self::Unsigned,
            DataType::Float16
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal32(_, _)
            | DataType::Decimal64(_, _)
            | DataType::Decimal128(_, _)
            | DataType::Decimal256(_, _) => Self::Float,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::FixedSizeBinary(16) => Self::Uid,
            DataType::Dictionary(_, value) => match Self::of(value) {
                Self::List(_) | Self::Other(_) => Self::Other(data_type.clone()),
                plain => plain,
            },
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => {
                Self::List(data_type.clone())
            }
            other => Self::Other(other.clone()),
        }
    }

    /// The Arrow type of the arrays that hold values of this type.
    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Unsigned => DataType::UInt64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::LargeUtf8,
            Self::Uid => DataType::FixedSizeBinary(16),
            Self::List(data_type) | Self::Other(data_type) => data_type.clone(),
        }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Integer => "bigint".to_owned(),
            Self::Unsigned => "unsigned bigint".to_owned(),
            Self::Float => "double".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Uid => "uid".to_owned(),
            Self::List(_) => "list".to_owned(),
            Self::Other(data_type) => data_type.to_string(),
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Integer | Self::Unsigned | Self::Float)
    }

    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Integer | Self::Unsigned)
    }

    /// Whether values of this type can be compared, listed and chosen between.
    pub(crate) fn is_plain(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Other(_))
    }

    /// The type that both can become without an explicit cast.
    pub(crate) fn common(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (same, equal) if same == equal => Some(same.clone()),
            (Self::Null, known) | (known, Self::Null) => Some(known.clone()),
            (whole, Self::Float) | (Self::Float, whole) if whole.is_whole() => Some(Self::Float),
            (left, right) if left.is_whole() && right.is_whole() => Some(Self::Integer),
            (Self::Text, Self::Uid) | (Self::Uid, Self::Text) => Some(Self::Text),
            _ => None,
        }
    }
}

/// What `CAST` can make. Narrow whole numbers are checked for range and `real` is rounded; both are then held wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    SmallInt,
    Int,
    BigInt,
    Real,
    Double,
    Text,
    Boolean,
}

impl Target {
    /// Every name that `CAST` takes, for messages.
    pub(crate) const NAMES: [&'static str; 17] = [
        "smallint",
        "int2",
        "int",
        "integer",
        "int4",
        "bigint",
        "int8",
        "real",
        "float4",
        "float",
        "double",
        "double precision",
        "float8",
        "text",
        "varchar",
        "string",
        "boolean",
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SmallInt => "smallint",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Real => "real",
            Self::Double => "double",
            Self::Text => "text",
            Self::Boolean => "boolean",
        }
    }

    pub(crate) fn result(self) -> Type {
        match self {
            Self::SmallInt | Self::Int | Self::BigInt => Type::Integer,
            Self::Real | Self::Double => Type::Float,
            Self::Text => Type::Text,
            Self::Boolean => Type::Boolean,
        }
    }
}
