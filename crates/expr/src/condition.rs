//! The part of the language that other engines know too: comparisons of a column with a literal, joined by AND and OR. Whoever has its
//! rows elsewhere (a vector database) translates a [`Condition`] instead of evaluating an expression.
//!
//! There is no NOT in it. In SQL's logic of three values NOT changes nothing about unknown, so it can be pushed to the leaves by De Morgan's
//! laws and turned into the opposite comparison there; a leaf is true only where its column has a value, but for `IS NULL`.

use arrow::datatypes::Schema;

pub use crate::ast::Comparison;
use crate::ast::{Kind, Node};
use crate::bind::{Scope, resolve};
use crate::error::ExprError;
use crate::expression::Expression;
use crate::parse::unsupported;

/// A value that a column is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `TRUE`, `FALSE`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a point, or a whole one above the range of `bigint`.
    Float(f64),
    /// `'text'`; also what a uid is compared with.
    Text(String),
}

/// A condition on one row. Columns are named as the schema names them.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Every part is true.
    All(Vec<Condition>),
    /// One part is true at least.
    Any(Vec<Condition>),
    /// The column has a value and it compares so.
    Compare {
        /// The column.
        column: String,
        /// How.
        comparison: Comparison,
        /// With what.
        value: Literal,
    },
    /// The column has a value and it is one of these, or with `negated` none of them.
    In {
        /// The column.
        column: String,
        /// Whether it is `NOT IN`.
        negated: bool,
        /// The values.
        values: Vec<Literal>,
    },
    /// The column has no value, or with `negated` has one.
    IsNull {
        /// The column.
        column: String,
        /// Whether it is `IS NOT NULL`.
        negated: bool,
    },
}

impl Expression {
    /// The expression as a condition on columns of `schema`.
    ///
    /// # Errors
    /// As [`Expression::bind`] and [`crate::Bound::check_boolean`]; [`crate::ExprErrorKind::Unsupported`] for what is more than comparisons of
    /// columns with literals, AND, OR, NOT, IN, BETWEEN and IS NULL.
    pub fn condition(&self, schema: &Schema) -> Result<Condition, ExprError> {
        self.bind(schema)?.check_boolean()?;
        let scope = Scope { schema, used: Vec::new() };
        translate(self.node(), false, &scope).map_err(|error| error.in_text(self.shared_text()))
    }
}

fn translate(node: &Node, negated: bool, scope: &Scope<'_>) -> Result<Condition, ExprError> {
    let all = |nodes: &[Node]| -> Result<Vec<Condition>, ExprError> {
        nodes.iter().map(|node| translate(node, negated, scope)).collect()
    };
    let compare = |column: &Node, comparison: Comparison, value: &Node| {
        let comparison = if negated { comparison.opposite() } else { comparison };
        Ok(Condition::Compare { column: name(column, scope)?, comparison, value: literal(value)? })
    };
    match &node.kind {
        Kind::And(nodes) if !negated => Ok(Condition::All(all(nodes)?)),
        Kind::Or(nodes) if !negated => Ok(Condition::Any(all(nodes)?)),
        Kind::And(nodes) => Ok(Condition::Any(all(nodes)?)),
        Kind::Or(nodes) => Ok(Condition::All(all(nodes)?)),
        Kind::Not(inner) => translate(inner, !negated, scope),
        Kind::Column { .. } => Ok(Condition::Compare {
            column: name(node, scope)?,
            comparison: Comparison::Equal,
            value: Literal::Boolean(!negated),
        }),
        Kind::Compare(comparison, left, right) => match (&left.kind, &right.kind) {
            (Kind::Column { .. }, _) => compare(left, *comparison, right),
            (_, Kind::Column { .. }) => compare(right, comparison.mirrored(), left),
            _ => Err(beyond(node)),
        },
        Kind::IsNull { negated: inner, inner: column } => {
            Ok(Condition::IsNull { column: name(column, scope)?, negated: *inner != negated })
        }
        Kind::In { negated: inner, value, list } => Ok(Condition::In {
            column: name(value, scope)?,
            negated: *inner != negated,
            values: list.iter().map(literal).collect::<Result<_, _>>()?,
        }),
        Kind::Between { negated: inner, value, low, high } => {
            let column = name(value, scope)?;
            let part = |comparison, bound: &Node| {
                Ok::<_, ExprError>(Condition::Compare {
                    column: column.clone(),
                    comparison,
                    value: literal(bound)?,
                })
            };
            Ok(match *inner != negated {
                false => Condition::All(vec![
                    part(Comparison::GreaterOrEqual, low)?,
                    part(Comparison::LessOrEqual, high)?,
                ]),
                true => Condition::Any(vec![part(Comparison::Less, low)?, part(Comparison::Greater, high)?]),
            })
        }
        _ => Err(beyond(node)),
    }
}

fn beyond(node: &Node) -> ExprError {
    unsupported(format!("`{}` in a condition for a database is", node.excerpt()), node.position).with_hint(
        "compare columns with values: =, <>, <, <=, >, >=, IN, BETWEEN, IS NULL, joined by AND, OR and NOT",
    )
}

/// The column's name in the schema.
fn name(node: &Node, scope: &Scope<'_>) -> Result<String, ExprError> {
    match &node.kind {
        Kind::Column { name, .. } => {
            let index =
                resolve(scope.schema, name).map_err(|kind| ExprError::from(kind).at(node.position))?;
            Ok(scope.schema.field(index).name().clone())
        }
        _ => Err(beyond(node)),
    }
}

fn literal(node: &Node) -> Result<Literal, ExprError> {
    Ok(match &node.kind {
        Kind::Boolean(value) => Literal::Boolean(*value),
        Kind::Integer(value) => Literal::Integer(*value),
        Kind::Unsigned(value) => Literal::Float(*value as f64),
        Kind::Float(value) => Literal::Float(*value),
        Kind::Text(text) => Literal::Text(text.clone()),
        Kind::Negate(inner) => match literal(inner)? {
            Literal::Integer(value) => Literal::Integer(-value),
            Literal::Float(value) => Literal::Float(-value),
            _ => return Err(beyond(node)),
        },
        _ => return Err(beyond(node)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};

    fn schema() -> Schema {
        let field = |name: &str, kind| Field::new(name, kind, true);
        Schema::new(vec![
            field("kept", DataType::Boolean),
            field("cluster", DataType::Int32),
            field("clip_score", DataType::Float32),
            field("Language", DataType::Utf8),
        ])
    }

    fn condition(text: &str) -> Result<Condition, ExprError> {
        Expression::parse(text)?.condition(&schema())
    }

    fn compare(column: &str, comparison: Comparison, value: Literal) -> Condition {
        Condition::Compare { column: column.into(), comparison, value }
    }

    #[test]
    fn comparisons_are_read_and_names_are_the_schemas() {
        let kept = compare("kept", Comparison::Equal, Literal::Boolean(true));
        assert_eq!(condition("kept").unwrap(), kept);
        let found = condition("kept AND language = 'en' AND 0.3 < clip_score").unwrap();
        let language = compare("Language", Comparison::Equal, Literal::Text("en".into()));
        let score = compare("clip_score", Comparison::Greater, Literal::Float(0.3));
        assert_eq!(found, Condition::All(vec![kept, language, score]));
        assert_eq!(
            condition("cluster IN (1, -2)").unwrap(),
            Condition::In {
                column: "cluster".into(),
                negated: false,
                values: vec![Literal::Integer(1), Literal::Integer(-2)],
            }
        );
    }

    #[test]
    fn not_is_pushed_to_the_leaves() {
        let found = condition("NOT (kept OR cluster <= 3 OR cluster IS NULL)").unwrap();
        let expected = Condition::All(vec![
            compare("kept", Comparison::Equal, Literal::Boolean(false)),
            compare("cluster", Comparison::Greater, Literal::Integer(3)),
            Condition::IsNull { column: "cluster".into(), negated: true },
        ]);
        assert_eq!(found, expected);
        let outside = condition("NOT cluster BETWEEN 2 AND 5").unwrap();
        assert_eq!(outside, condition("cluster < 2 OR cluster > 5").unwrap());
        assert_eq!(outside, condition("cluster NOT BETWEEN 2 AND 5").unwrap());
        assert_eq!(
            condition("NOT (kept AND cluster <> 1)").unwrap(),
            condition("NOT kept OR cluster = 1").unwrap()
        );
    }

    #[test]
    fn what_other_engines_lack_is_named_with_its_place() {
        for text in ["cluster + 1 > 2", "length(language) > 3", "language LIKE 'e%'", "cluster > clip_score"]
        {
            let error = condition(text).unwrap_err();
            assert!(error.to_string().contains("condition for a database"), "{error}");
            assert!(error.position().is_some() && error.hint().unwrap().contains("IS NULL"));
        }
        assert_eq!(condition("clustre = 1").unwrap_err().candidates(), ["cluster"]);
        assert!(condition("cluster").unwrap_err().to_string().contains("boolean"));
        assert!(condition("cluster = 'a'").is_err());
    }
}
