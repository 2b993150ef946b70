//! The functions of the language: names, aliases, numbers of arguments. What they compute is in `calls` and its helpers.
//!
//! A table and not a registry: a filter must mean the same on every machine, so nobody can add one at run time.

use crate::error::{ExprError, ExprErrorKind, closest};

macro_rules! functions {
    ($($variant:ident, $name:literal, $least:literal, $most:expr;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Function { $($variant),* }

        const TABLE: &[(&str, Function, usize, usize)] = &[$(($name, Function::$variant, $least, $most)),*];
    };
}

/// No upper bound on the number of arguments.
const MANY: usize = usize::MAX;

functions! {
    Abs, "abs", 1, 1;
    ArrayLength, "array_length", 1, 2;
    Cardinality, "cardinality", 1, 1;
    Ceil, "ceil", 1, 1;
    Coalesce, "coalesce", 1, MANY;
    Contains, "contains", 2, 2;
    EndsWith, "ends_with", 2, 2;
    Exp, "exp", 1, 1;
    Floor, "floor", 1, 1;
    Greatest, "greatest", 1, MANY;
    IsFinite, "isfinite", 1, 1;
    IsNan, "isnan", 1, 1;
    Least, "least", 1, MANY;
    Length, "length", 1, 1;
    Ln, "ln", 1, 1;
    Log10, "log10", 1, 1;
    Lower, "lower", 1, 1;
    TrimStart, "ltrim", 1, 2;
    NullIf, "nullif", 2, 2;
    OctetLength, "octet_length", 1, 1;
    Power, "power", 2, 2;
    RegexpLike, "regexp_like", 2, 3;
    Round, "round", 1, 2;
    TrimEnd, "rtrim", 1, 2;
    Sqrt, "sqrt", 1, 1;
    StartsWith, "starts_with", 2, 2;
    Trim, "trim", 1, 2;
    Upper, "upper", 1, 1;
    WordCount, "word_count", 1, 1;
}

const ALIASES: &[(&str, Function)] = &[
    ("btrim", Function::Trim),
    ("ceiling", Function::Ceil),
    ("char_length", Function::Length),
    ("character_length", Function::Length),
    ("pow", Function::Power),
];

/// Functions over many rows, refused with a message of their own. A filter sees one sample at a time.
const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "avg",
    "mean",
    "min",
    "max",
    "median",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "variance",
    "var_pop",
    "var_samp",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "every",
    "percentile_cont",
    "percentile_disc",
    "mode",
    "approx_distinct",
    "corr",
    "any_value",
    "first_value",
    "last_value",
    "row_number",
    "rank",
    "dense_rank",
    "ntile",
    "lag",
    "lead",
    "percent_rank",
    "cume_dist",
];

impl Function {
    pub(crate) fn name(self) -> &'static str {
        TABLE.iter().find(|row| row.1 == self).map_or("function", |row| row.0)
    }

    /// The function of this name, in any case.
    pub(crate) fn find(name: &str) -> Result<Self, ExprError> {
        let lower = name.to_lowercase();
        if let Some(row) = TABLE.iter().find(|row| row.0 == lower) {
            return Ok(row.1);
        }
        if let Some(row) = ALIASES.iter().find(|row| row.0 == lower) {
            return Ok(row.1);
        }
        if AGGREGATES.contains(&lower.as_str()) {
            let error =
                ExprError::new(ExprErrorKind::Unsupported { what: format!("aggregates (`{name}`) are") });
            return Err(match lower.as_str() {
                "min" => error.with_hint("the smallest of several values of one row is `least(a, b)`"),
                "max" => error.with_hint("the largest of several values of one row is `greatest(a, b)`"),
                _ => error.with_hint("an expression sees one row at a time"),
            });
        }
        let mut valid: Vec<String> =
            TABLE.iter().map(|row| row.0).chain(ALIASES.iter().map(|row| row.0)).map(str::to_owned).collect();
        valid.sort();
        Err(ExprErrorKind::UnknownFunction {
            name: name.to_owned(),
            candidates: closest(name, &valid),
            valid,
        }
        .into())
    }

    /// Refuses a wrong number of arguments.
    pub(crate) fn check_count(self, found: usize) -> Result<(), ExprError> {
        let Some(&(function, _, least, most)) = TABLE.iter().find(|row| row.1 == self) else {
            return Ok(());
        };
        if (least..=most).contains(&found) {
            return Ok(());
        }
        let plural = if (least.max(most.min(2))) == 1 { "" } else { "s" };
        let expected = match most {
            MANY => format!("at least {least} argument"),
            _ if least == most => format!("{least} argument{plural}"),
            _ => format!("{least} or {most} arguments"),
        };
        Err(ExprErrorKind::ArgumentCount { function, expected, found }.into())
    }
}
