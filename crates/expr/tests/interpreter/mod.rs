//! Random typed expressions, their SQL text, and their value for one row.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Boolean,
    Integer,
    Float,
    Text,
}

#[derive(Clone, Debug)]
pub enum Value {
    Boolean(Option<bool>),
    Integer(Option<i64>),
    Float(Option<f64>),
    Text(Option<String>),
}

impl Value {
    fn is_null(&self) -> bool {
        matches!(self, Self::Boolean(None) | Self::Integer(None) | Self::Float(None) | Self::Text(None))
    }

    /// Equal to the last bit, but for the sign and payload of NaN, which IEEE 754 leaves open.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Boolean(left), Self::Boolean(right)) => left == right,
            (Self::Integer(left), Self::Integer(right)) => left == right,
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::Float(Some(left)), Self::Float(Some(right))) => {
                left.to_bits() == right.to_bits() || left.is_nan() && right.is_nan()
            }
            (Self::Float(left), Self::Float(right)) => left.is_none() && right.is_none(),
            _ => false,
        }
    }

    fn truth(&self) -> Option<bool> {
        match self {
            Self::Boolean(truth) => *truth,
            other => panic!("{other:?} is not a boolean"),
        }
    }
}

/// The ordering that `=` and `<` are made of: `None` for null, `Some(None)` where NaN is involved.
fn order(left: &Value, right: &Value) -> Option<Option<std::cmp::Ordering>> {
    match (left, right) {
        _ if left.is_null() || right.is_null() => None,
        (Value::Boolean(left), Value::Boolean(right)) => Some(left.partial_cmp(right)),
        (Value::Integer(left), Value::Integer(right)) => Some(left.partial_cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.partial_cmp(right)),
        (Value::Float(Some(left)), Value::Float(Some(right))) => Some(left.partial_cmp(right)),
        (Value::Integer(Some(left)), Value::Float(Some(right))) => Some((*left as f64).partial_cmp(right)),
        (Value::Float(Some(left)), Value::Integer(Some(right))) => Some(left.partial_cmp(&(*right as f64))),
        _ => panic!("{left:?} and {right:?}"),
    }
}

fn compare(operator: &str, left: &Value, right: &Value) -> Option<bool> {
    let order = order(left, right)?;
    Some(match operator {
        "=" => order.is_some_and(|order| order.is_eq()),
        "<>" => !order.is_some_and(|order| order.is_eq()),
        "<" => order.is_some_and(|order| order.is_lt()),
        "<=" => order.is_some_and(|order| order.is_le()),
        ">" => order.is_some_and(|order| order.is_gt()),
        ">=" => order.is_some_and(|order| order.is_ge()),
        other => panic!("{other}"),
    })
}

fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// `LIKE` by its definition; exponential, and fine for a few characters.
pub fn matches_like(text: &[char], pattern: &[char]) -> bool {
    match (pattern.first(), text.first()) {
        (None, _) => text.is_empty(),
        (Some('%'), _) => (0..=text.len()).any(|skip| matches_like(&text[skip..], &pattern[1..])),
        (Some('_'), Some(_)) => matches_like(&text[1..], &pattern[1..]),
        (Some(wanted), Some(found)) => wanted == found && matches_like(&text[1..], &pattern[1..]),
        (Some(_), None) => false,
    }
}

#[derive(Clone, Debug)]
pub enum Tree {
    Leaf(String, Option<Value>),
    /// An operator or a function by name.
    Node(&'static str, Vec<Tree>),
    /// Conditions and results in turn, then `ELSE` if the number is odd.
    Case(Option<Box<Tree>>, Vec<Tree>),
}

impl fmt::Display for Tree {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(text, _) => formatter.write_str(text),
            Self::Case(operand, parts) => {
                write!(formatter, "CASE")?;
                if let Some(operand) = operand {
                    write!(formatter, " {operand}")?;
                }
                for pair in parts.chunks(2) {
                    match pair {
                        [when, then] => write!(formatter, " WHEN {when} THEN {then}")?,
                        [otherwise] => write!(formatter, " ELSE {otherwise}")?,
                        _ => {}
                    }
                }
                write!(formatter, " END")
            }
            Self::Node(name, parts) => match (*name, parts.as_slice()) {
                ("NOT" | "-", [inner]) => write!(formatter, "({name} {inner})"),
                ("IS NULL" | "IS NOT NULL" | "IS TRUE" | "IS NOT FALSE", [inner]) => {
                    write!(formatter, "({inner} {name})")
                }
                ("IN" | "NOT IN", [value, list @ ..]) => {
                    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
                    write!(formatter, "({value} {name} ({}))", list.join(", "))
                }
                ("BETWEEN" | "NOT BETWEEN", [value, low, high]) => {
                    write!(formatter, "({value} {name} {low} AND {high})")
                }
                ("bigint" | "double" | "text", [inner]) => write!(formatter, "CAST({inner} AS {name})"),
                (_, parts) if name.starts_with(|first: char| first.is_lowercase()) => {
                    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                    write!(formatter, "{name}({})", parts.join(", "))
                }
                (_, parts) => {
                    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                    write!(formatter, "({})", parts.join(&format!(" {name} ")))
                }
            },
        }
    }
}

impl Tree {
    /// The value in one row; `Err` for an overflow.
    pub fn evaluate(&self, row: &[(&'static str, Value)]) -> Result<Value, ()> {
        match self {
            Self::Leaf(_, Some(value)) => Ok(value.clone()),
            Self::Leaf(name, None) => Ok(row.iter().find(|(column, _)| column == name).unwrap().1.clone()),
            Self::Case(operand, parts) => {
                let operand = operand.as_ref().map(|operand| operand.evaluate(row)).transpose()?;
                for pair in parts.chunks(2) {
                    let [when, then] = pair else {
                        return pair[0].evaluate(row);
                    };
                    let when = when.evaluate(row)?;
                    let hit = match &operand {
                        Some(operand) => compare("=", operand, &when),
                        None => when.truth(),
                    };
                    if hit == Some(true) {
                        return then.evaluate(row);
                    }
                }
                // No branch: the null of the type of the first result.
                Ok(null_like(&parts[1], row))
            }
            // What is lazy: a decided AND or OR, and coalesce, look no further.
            Self::Node(name @ ("AND" | "OR"), parts) => {
                let mut known = Some(*name == "AND");
                for part in parts {
                    if known == Some(*name == "OR") {
                        break;
                    }
                    let next = part.evaluate(row)?.truth();
                    known = if *name == "AND" {
                        and(known, next)
                    } else {
                        and(known.map(|known| !known), next.map(|next| !next)).map(|both| !both)
                    };
                }
                Ok(Value::Boolean(known))
            }
            Self::Node("coalesce", parts) => {
                let mut value = parts[0].evaluate(row)?;
                for part in &parts[1..] {
                    if value.is_null() {
                        value = part.evaluate(row)?;
                    }
                }
                Ok(value)
            }
            Self::Node(name, parts) => {
                let values = parts.iter().map(|part| part.evaluate(row)).collect::<Result<Vec<_>, ()>>()?;
                node(name, &values)
            }
        }
    }
}

fn null_like(tree: &Tree, row: &[(&'static str, Value)]) -> Value {
    let kind = match tree {
        Tree::Leaf(_, Some(value)) => value.clone(),
        Tree::Leaf(name, None) => row.iter().find(|(column, _)| column == name).unwrap().1.clone(),
        Tree::Case(_, parts) => return null_like(&parts[1], row),
        Tree::Node(name, parts) => match *name {
            "length" | "bigint" => Value::Integer(None),
            "double" => Value::Float(None),
            "text" | "||" | "lower" => Value::Text(None),
            "+" | "*" | "/" | "%" | "-" | "abs" | "coalesce" | "nullif" | "least" | "greatest" => {
                return null_like(&parts[0], row);
            }
            _ => Value::Boolean(None),
        },
    };
    match kind {
        Value::Boolean(_) => Value::Boolean(None),
        Value::Integer(_) => Value::Integer(None),
        Value::Float(_) => Value::Float(None),
        Value::Text(_) => Value::Text(None),
    }
}

fn node(name: &str, values: &[Value]) -> Result<Value, ()> {
    let boolean = |truth: Option<bool>| Ok(Value::Boolean(truth));
    let equal = |left: &Value, right: &Value| compare("=", left, right);
    match (name, values) {
        ("=" | "<>" | "<" | "<=" | ">" | ">=", [left, right]) => boolean(compare(name, left, right)),
        ("NOT", [inner]) => boolean(inner.truth().map(|truth| !truth)),
        ("IS NULL", [inner]) => boolean(Some(inner.is_null())),
        ("IS NOT NULL", [inner]) => boolean(Some(!inner.is_null())),
        ("IS TRUE", [inner]) => boolean(Some(inner.truth() == Some(true))),
        ("IS NOT FALSE", [inner]) => boolean(Some(inner.truth() != Some(false))),
        ("IS DISTINCT FROM" | "IS NOT DISTINCT FROM", [left, right]) => {
            let distinct = match (left.is_null(), right.is_null()) {
                (false, false) => equal(left, right) == Some(false),
                (left, right) => left != right,
            };
            boolean(Some(distinct == (name == "IS DISTINCT FROM")))
        }
        ("IN" | "NOT IN", [value, list @ ..]) => {
            let equals: Vec<Option<bool>> = list.iter().map(|item| equal(value, item)).collect();
            let found = if equals.contains(&Some(true)) {
                Some(true)
            } else if equals.contains(&None) {
                None
            } else {
                Some(false)
            };
            boolean(found.map(|found| found == (name == "IN")))
        }
        ("BETWEEN" | "NOT BETWEEN", [value, low, high]) => {
            let within = and(compare(">=", value, low), compare("<=", value, high));
            boolean(within.map(|within| within == (name == "BETWEEN")))
        }
        ("LIKE" | "NOT LIKE", [Value::Text(text), Value::Text(pattern)]) => {
            let characters = |text: &String| text.chars().collect::<Vec<_>>();
            let matches = text
                .as_ref()
                .zip(pattern.as_ref())
                .map(|(text, like)| matches_like(&characters(text), &characters(like)));
            boolean(matches.map(|matches| matches == (name == "LIKE")))
        }
        ("starts_with", [Value::Text(text), Value::Text(part)]) => {
            boolean(text.as_ref().zip(part.as_ref()).map(|(text, part)| text.starts_with(part.as_str())))
        }
        ("isnan", [Value::Float(value)]) => boolean(value.map(f64::is_nan)),
        ("-", [Value::Integer(value)]) => {
            value.map(|value| value.checked_neg().ok_or(())).transpose().map(Value::Integer)
        }
        ("-", [Value::Float(value)]) => Ok(Value::Float(value.map(|value| -value))),
        ("abs", [Value::Integer(value)]) => {
            value.map(|value| value.checked_abs().ok_or(())).transpose().map(Value::Integer)
        }
        ("abs", [Value::Float(value)]) => Ok(Value::Float(value.map(f64::abs))),
        ("+" | "-" | "*" | "/" | "%", [Value::Integer(left), Value::Integer(right)]) => {
            let Some((left, right)) = left.zip(*right) else { return Ok(Value::Integer(None)) };
            let (wide, other) = (i128::from(left), i128::from(right));
            let exact = match name {
                "+" => wide + other,
                "-" => wide - other,
                "*" => wide * other,
                _ if right == 0 => return Ok(Value::Integer(None)),
                "/" => wide / other,
                _ => wide % other,
            };
            i64::try_from(exact).map(|value| Value::Integer(Some(value))).map_err(|_| ())
        }
        ("+" | "-" | "*" | "/" | "%", [left, right]) => {
            let double = |value: &Value| match value {
                Value::Integer(value) => value.map(|value| value as f64),
                Value::Float(value) => *value,
                other => panic!("{other:?}"),
            };
            let Some((left, right)) = double(left).zip(double(right)) else { return Ok(Value::Float(None)) };
            Ok(Value::Float(match name {
                "+" => Some(left + right),
                "-" => Some(left - right),
                "*" => Some(left * right),
                "/" => (right != 0.0).then(|| left / right),
                _ => (right != 0.0).then(|| left % right),
            }))
        }
        ("least" | "greatest", values) => {
            let mut best = values[0].clone();
            for next in &values[1..] {
                let is_nan = |value: &Value| matches!(value, Value::Float(Some(value)) if value.is_nan());
                let operator = if name == "least" { "<" } else { ">" };
                let wins = best.is_null() || is_nan(next) || compare(operator, next, &best) == Some(true);
                if !next.is_null() && wins {
                    best = next.clone();
                }
            }
            Ok(best)
        }
        ("nullif", [left, right]) => {
            if equal(left, right) != Some(true) {
                return Ok(left.clone());
            }
            Ok(match left {
                Value::Boolean(_) => Value::Boolean(None),
                Value::Integer(_) => Value::Integer(None),
                Value::Float(_) => Value::Float(None),
                Value::Text(_) => Value::Text(None),
            })
        }
        ("length", [Value::Text(text)]) => {
            Ok(Value::Integer(text.as_ref().map(|text| i64::try_from(text.chars().count()).unwrap())))
        }
        ("lower", [Value::Text(text)]) => Ok(Value::Text(text.as_ref().map(|text| text.to_lowercase()))),
        ("||", [Value::Text(left), Value::Text(right)]) => {
            Ok(Value::Text(left.as_ref().zip(right.as_ref()).map(|(left, right)| format!("{left}{right}"))))
        }
        ("bigint", [Value::Text(text)]) => {
            text.as_ref().map(|text| text.trim().parse().map_err(|_| ())).transpose().map(Value::Integer)
        }
        ("bigint", [Value::Boolean(value)]) => Ok(Value::Integer(value.map(i64::from))),
        ("double", [Value::Integer(value)]) => Ok(Value::Float(value.map(|value| value as f64))),
        ("text", [Value::Integer(value)]) => Ok(Value::Text(value.map(|value| value.to_string()))),
        ("text", [Value::Boolean(value)]) => Ok(Value::Text(value.map(|value| value.to_string()))),
        (name, values) => panic!("{name} of {values:?}"),
    }
}

/// Makes expressions from a seed (SplitMix64).
pub struct Generator {
    state: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn below(&mut self, count: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % count as u64) as usize
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn leaf(&mut self, kind: Kind) -> Tree {
        let column = |name: &str| Tree::Leaf(name.to_owned(), None);
        let literal = |text: &str, value: Value| Tree::Leaf(text.to_owned(), Some(value));
        match (kind, self.below(3)) {
            (Kind::Boolean, 0) => {
                let (text, truth) =
                    self.pick(&[("TRUE", Some(true)), ("FALSE", Some(false)), ("NULL::boolean", None)]);
                literal(text, Value::Boolean(truth))
            }
            (Kind::Boolean, _) => column(self.pick(&["p", "q"])),
            (Kind::Integer, 0) => {
                let value =
                    self.pick(&[None, Some(0), Some(1), Some(-3), Some(7), Some(i64::MAX), Some(i64::MIN)]);
                let text = value.map_or("NULL::bigint".to_owned(), |value: i64| value.to_string());
                literal(&text, Value::Integer(value))
            }
            (Kind::Integer, _) => column(self.pick(&["i", "j"])),
            (Kind::Float, 0) => {
                let value = self.pick(&[None, Some(0.0), Some(-0.0), Some(2.5), Some(-1e300), Some(0.1)]);
                let text = value.map_or("NULL::double".to_owned(), |value: f64| format!("{value:?}"));
                literal(&text, Value::Float(value))
            }
            (Kind::Float, _) => column(self.pick(&["d", "e"])),
            (Kind::Text, 0) => {
                let value =
                    self.pick(&[None, Some(""), Some("a"), Some("%b"), Some("_"), Some("12"), Some("é")]);
                let text = value.map_or("NULL::text".to_owned(), |value: &str| format!("'{value}'"));
                literal(&text, Value::Text(value.map(str::to_owned)))
            }
            (Kind::Text, _) => column(self.pick(&["s", "t"])),
        }
    }

    /// An expression of the type, at most `depth` deep.
    pub fn make(&mut self, kind: Kind, depth: usize) -> Tree {
        if depth <= 1 || self.below(8) == 0 {
            return self.leaf(kind);
        }
        let below = depth - 1;
        match self.below(6) {
            0 => {
                let count = 2 + self.below(3);
                let operand = (self.below(2) == 0)
                    .then(|| self.pick(&[Kind::Integer, Kind::Text, Kind::Boolean, Kind::Float]));
                let when = operand.unwrap_or(Kind::Boolean);
                let parts = (0..2 * (count / 2) + self.below(2))
                    .map(|index| (index, 2 * (count / 2)))
                    .map(|(index, pairs)| if index < pairs && index % 2 == 0 { when } else { kind })
                    .collect::<Vec<_>>();
                let operand = operand.map(|kind| Box::new(self.make(kind, below)));
                return Tree::Case(operand, parts.into_iter().map(|kind| self.make(kind, below)).collect());
            }
            1 => {
                let (name, most) =
                    self.pick(&[("coalesce", 3), ("nullif", 2), ("least", 3), ("greatest", 3)]);
                let count = if name == "nullif" { 2 } else { 1 + self.below(most) };
                return Tree::Node(name, (0..count).map(|_| self.make(kind, below)).collect());
            }
            _ => {}
        }
        match kind {
            Kind::Boolean => self.condition(below),
            Kind::Integer => match self.below(8) {
                0 => Tree::Node("length", vec![self.make(Kind::Text, below)]),
                1 => Tree::Node("bigint", vec![self.make(Kind::Boolean, below)]),
                2 => Tree::Node("bigint", vec![self.make(Kind::Text, below)]),
                3 => Tree::Node(self.pick(&["-", "abs"]), vec![self.make(kind, below)]),
                _ => Tree::Node(
                    self.pick(&["+", "-", "*", "/", "%"]),
                    vec![self.make(kind, below), self.make(kind, below)],
                ),
            },
            Kind::Float => match self.below(6) {
                0 => Tree::Node("double", vec![self.make(Kind::Integer, below)]),
                1 => Tree::Node(self.pick(&["-", "abs"]), vec![self.make(kind, below)]),
                2 => {
                    let operator = self.pick(&["+", "-", "*", "/", "%"]);
                    Tree::Node(operator, vec![self.make(kind, below), self.make(Kind::Integer, below)])
                }
                _ => Tree::Node(
                    self.pick(&["+", "-", "*", "/", "%"]),
                    vec![self.make(kind, below), self.make(kind, below)],
                ),
            },
            Kind::Text => match self.below(4) {
                0 => Tree::Node("lower", vec![self.make(kind, below)]),
                1 => Tree::Node("text", vec![self.make(Kind::Integer, below)]),
                2 => Tree::Node("text", vec![self.make(Kind::Boolean, below)]),
                _ => Tree::Node("||", vec![self.make(kind, below), self.make(kind, below)]),
            },
        }
    }

    fn condition(&mut self, below: usize) -> Tree {
        let kind = self.pick(&[Kind::Boolean, Kind::Integer, Kind::Float, Kind::Text]);
        match self.below(9) {
            0 | 1 => {
                let count = 2 + self.below(3);
                let name = self.pick(&["AND", "OR"]);
                Tree::Node(name, (0..count).map(|_| self.make(Kind::Boolean, below)).collect())
            }
            2 => Tree::Node(
                self.pick(&["NOT", "IS TRUE", "IS NOT FALSE"]),
                vec![self.make(Kind::Boolean, below)],
            ),
            3 => Tree::Node(self.pick(&["IS NULL", "IS NOT NULL"]), vec![self.make(kind, below)]),
            4 => {
                let count = 2 + self.below(4);
                let list =
                    (0..count).map(|place| self.make(kind, if place == 0 { below } else { below.min(2) }));
                let list = list.collect();
                Tree::Node(self.pick(&["IN", "NOT IN"]), list)
            }
            5 => {
                let parts = (0..3).map(|_| self.make(kind, below)).collect();
                Tree::Node(self.pick(&["BETWEEN", "NOT BETWEEN"]), parts)
            }
            6 => {
                let pair = vec![self.make(Kind::Text, below), self.make(Kind::Text, below.min(2))];
                Tree::Node(self.pick(&["LIKE", "NOT LIKE", "starts_with"]), pair)
            }
            7 => {
                let pair = vec![self.make(kind, below), self.make(kind, below)];
                Tree::Node(self.pick(&["IS DISTINCT FROM", "IS NOT DISTINCT FROM"]), pair)
            }
            _ => {
                // Whole numbers and doubles may meet.
                let other = if kind == Kind::Integer && self.below(3) == 0 { Kind::Float } else { kind };
                let pair = vec![self.make(kind, below), self.make(other, below)];
                Tree::Node(self.pick(&["=", "<>", "<", "<=", ">", ">="]), pair)
            }
        }
    }
}
