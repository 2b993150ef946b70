//! No input panics: token soup, arbitrary text, and expressions as deep and as long as a text can make them.

#![allow(clippy::unwrap_used)]

mod support;

use std::thread;

use cribble_expr::limits::{MAX_BYTES, MAX_DEPTH, MAX_TERMS};
use cribble_expr::{ExprErrorKind, Expression};
use proptest::prelude::*;
use support::Table;

/// Parses, binds, evaluates; checks what must hold of every error.
fn survive(text: &str, table: &Table) {
    let batch = table.batch();
    let result = Expression::parse(text)
        .and_then(|expression| expression.bind(&batch.schema()))
        .and_then(|bound| bound.evaluate(&batch).map(|values| (bound, values)));
    match result {
        Ok((bound, values)) => {
            assert_eq!(values.len(), batch.num_rows());
            assert_eq!(values.data_type(), &bound.output_type());
            assert!(bound.columns().iter().all(|name| batch.column_by_name(name).is_some()));
        }
        Err(error) => {
            assert_eq!(error.text(), text);
            assert!(
                !error.to_string().is_empty() && !matches!(error.kind(), ExprErrorKind::Arrow(_)),
                "{error}: {text}"
            );
            if let Some(place) = error.position() {
                let line = text.split('\n').nth(place.line as usize - 1);
                assert!(
                    line.is_some_and(|line| place.column as usize <= line.chars().count() + 1),
                    "{error}: {text}"
                );
                assert!(error.excerpt().is_some());
            }
            let _ = (error.hint(), error.candidates(), error.valid());
        }
    }
}

fn table() -> Table {
    let mut table = Table::new(
        "a int64, b float32, t utf8, p bool, u uint64, uid uid, boxes list, day date, n null, c dict",
    );
    table
        .push("1, 0.5, 'x', true, 18446744073709551615, '00112233445566778899aabbccddeeff', 2, 1, null, 'k'");
    table.push("null, NaN, null, null, null, null, null, null, null, null");
    table.push(
        "-9223372036854775808, -0.0, '%_\\', false, 0, '00000000000000000000000000000000', 0, 0, null, ''",
    );
    table
}

const WORDS: &[&str] = &[
    "a",
    "b",
    "t",
    "p",
    "u",
    "uid",
    "boxes",
    "day",
    "n",
    "c",
    "\"a\"",
    "missing",
    "1",
    "0",
    "-1",
    "2.5",
    "1e308",
    "9223372036854775807",
    "18446744073709551615",
    "'x'",
    "''",
    "'%'",
    "'\\'",
    "'00112233445566778899aabbccddeeff'",
    "NULL",
    "TRUE",
    "FALSE",
    "+",
    "-",
    "*",
    "/",
    "%",
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "==",
    "!=",
    "||",
    "::",
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "LIKE",
    "ILIKE",
    "ESCAPE",
    "IS",
    "IS NOT",
    "DISTINCT FROM",
    "UNKNOWN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST(",
    "TRY_CAST(",
    "AS",
    "int",
    "bigint",
    "real",
    "double",
    "text",
    "boolean",
    "date",
    "varchar(3)",
    "(",
    ")",
    ",",
    "least(",
    "greatest(",
    "coalesce(",
    "nullif(",
    "abs(",
    "length(",
    "lower(",
    "trim(",
    "round(",
    "floor(",
    "sqrt(",
    "power(",
    "regexp_like(",
    "starts_with(",
    "contains(",
    "cardinality(",
    "word_count(",
    "count(",
    "frob(",
    "SELECT",
    "EXISTS",
    "ANY",
    "INTERVAL",
    "ARRAY",
    "[",
    "]",
    "{",
    "}",
    ".",
    ":",
    ";",
    "?",
    "$1",
    "->",
    "~",
    "^",
    "&",
    "|",
    "!",
    "@",
    "--",
    "/*",
    "*/",
    "\n",
    "'",
    "\"",
    "E'a'",
    "X'00'",
    "µ",
    "日本",
    "\t",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn token_soup(words in prop::collection::vec(prop::sample::select(WORDS), 0..24), tight in any::<bool>()) {
        survive(&words.join(if tight { "" } else { " " }), &table());
    }

    #[test]
    fn any_text(text in "(?s).{0,60}") {
        survive(&text, &table());
    }

    /// Soup is mostly refused by the grammar; one operator between two operands reaches the type check and the kernels.
    #[test]
    fn every_operator_meets_every_type(
        left in prop::sample::select(&WORDS[..27]),
        operator in prop::sample::select(&["+", "-", "*", "/", "%", "=", "<>", "<", ">=", "||", "AND", "OR", "LIKE",
            "ILIKE", "NOT LIKE", "IS DISTINCT FROM", "IN (1, NULL,", "IN ('x',", "BETWEEN 1 AND", "NOT BETWEEN b AND"][..]),
        right in prop::sample::select(&WORDS[..27]),
    ) {
        let close = if operator.contains('(') { ")" } else { "" };
        survive(&format!("{left} {operator} {right}{close}"), &table());
    }

    #[test]
    fn every_function_meets_every_type(
        function in prop::sample::select(&["least", "greatest", "coalesce", "nullif", "abs", "length", "octet_length",
            "lower", "upper", "trim", "ltrim", "rtrim", "round", "floor", "ceil", "sqrt", "ln", "exp", "log10", "power",
            "isnan", "isfinite", "regexp_like", "starts_with", "ends_with", "contains", "cardinality", "array_length",
            "word_count"][..]),
        arguments in prop::collection::vec(prop::sample::select(&WORDS[..27]), 0..4),
    ) {
        survive(&format!("{function}({})", arguments.join(", ")), &table());
    }

    #[test]
    fn every_cast_meets_every_type(
        value in prop::sample::select(&WORDS[..27]),
        to in prop::sample::select(&["smallint", "int", "bigint", "real", "double", "text", "boolean"][..]),
        lenient in any::<bool>(),
    ) {
        survive(&format!("{}CAST({value} AS {to})", if lenient { "TRY_" } else { "" }), &table());
    }
}

/// Runs on 1.25 MiB of stack, where threads have 2 by default.
fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(1280 << 10).spawn(work).unwrap().join().unwrap();
}

fn kind_of(text: &str) -> Option<&'static str> {
    match Expression::parse(text).err()?.kind() {
        ExprErrorKind::TooLarge { what, .. } => Some(what),
        _ => Some("another error"),
    }
}

#[test]
fn nesting_is_limited_and_the_limit_can_be_used() {
    on_small_stack(|| {
        let shapes = [
            ("(", "a > 0", ")"),
            ("NOT ", "a > 0", ""),
            ("(NOT ", "a > 0", ")"),
            ("- ", "a", ""),
            ("abs(", "a", ")"),
            ("1 + (", "a", ")"),
            ("CASE WHEN a > 0 THEN ", "1", " END"),
            ("coalesce(a, ", "a", ")"),
            ("CAST(", "a", " AS bigint)"),
            ("1 + abs(", "a", ")"),
            ("NOT coalesce(p, ", "p", ")"),
            ("CASE WHEN p THEN abs(", "1", ") END"),
            ("a IN (1, ", "a", ")"),
        ];
        for (open, inner, close) in shapes {
            let nested = |levels: usize| format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
            for levels in [MAX_DEPTH / 2 - 2, MAX_DEPTH - 2, MAX_DEPTH, 2 * MAX_DEPTH, 400] {
                survive(&nested(levels), &table());
            }
            assert_eq!(kind_of(&nested(MAX_DEPTH / 2 - 2)), None, "{open}");
            assert_eq!(kind_of(&nested(MAX_DEPTH + 1)), Some("levels of nesting"), "{open}");
            assert!(kind_of(&nested(10 * MAX_TERMS)).is_some(), "{open}");
        }
    });
}

#[test]
fn long_chains_are_limited_too() {
    on_small_stack(|| {
        for (first, step) in [
            ("a", "+1"),
            ("a", "::bigint"),
            ("a", " IS NULL"),
            ("a", ".a"),
            ("a", "[1]"),
            ("a", " || 'x'"),
            ("a", " COLLATE c"),
            ("a", "=1"),
            ("a", " AT TIME ZONE 'x'"),
            ("a", " BETWEEN 1 AND 2"),
            ("a", " LIKE '%'"),
            ("a", ":x"),
            ("p", " AND p"),
            ("p", " OR p AND p"),
            ("", "-"),
            ("", "~"),
            ("", "NOT "),
            ("", "CASE "),
            ("", "a IN ("),
            ("", "ARRAY<"),
            ("", "CAST(a AS STRUCT<a "),
            ("", "a AS "),
            ("", "{"),
            ("", "$$"),
            ("", "\"\""),
            ("", "''"),
        ] {
            for count in [20, 70, 900, 5000] {
                survive(&format!("{first}{}", step.repeat(count)), &table());
            }
        }
        assert_eq!(kind_of(&format!("a{}", "+1".repeat(MAX_TERMS))), Some("terms"));
        assert_eq!(kind_of(&"x".repeat(MAX_BYTES + 1)), Some("bytes"));
    });
}

#[test]
fn long_lists_and_wide_chains_work() {
    on_small_stack(|| {
        let batch = table().batch();
        let list: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
        let bound =
            Expression::parse(&format!("a IN ({})", list.join(", "))).unwrap().bind(&batch.schema()).unwrap();
        let mask = bound.mask(&batch).unwrap();
        assert_eq!(mask.iter().collect::<Vec<_>>(), [Some(true), None, Some(false)]);

        let terms: Vec<String> = (0..600).map(|number| format!("a = {number}")).collect();
        for joint in [" OR ", " AND "] {
            let bound = Expression::parse(&terms.join(joint)).unwrap().bind(&batch.schema()).unwrap();
            let wanted = joint == " OR ";
            assert_eq!(
                bound.mask(&batch).unwrap().iter().collect::<Vec<_>>(),
                [Some(wanted), None, Some(false)]
            );
        }
    });
}

/// Guards of guards: each level looks at what the one before left, so the work must not double from level to level.
#[test]
fn nested_laziness_does_not_multiply() {
    on_small_stack(|| {
        let batch = table().batch();
        let levels = MAX_DEPTH / 2 - 4;
        for (open, inner, close) in [
            ("(p AND a - 1 < 5 AND ", "a + 1 > 0", ")"),
            ("CASE ", "a", " WHEN 1 THEN 1 WHEN 2 THEN 2 ELSE a END"),
            ("nullif(", "a", ", 7)"),
            ("(", "a", " BETWEEN 0 AND 5)::int"),
            ("(", "a", " IN (a, 5))::int"),
        ] {
            let text = format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
            let bound = Expression::parse(&text).unwrap().bind(&batch.schema()).unwrap();
            assert!(bound.evaluate(&batch).is_ok(), "{open}");
        }
    });
}
