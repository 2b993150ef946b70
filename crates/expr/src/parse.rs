//! Text to the SQL parser's tree, with our own dialect, our own limits and our own words for its errors.
//!
//! The tokens are checked before the parser sees them. That is where long operator chains are refused: the parser guards
//! against deep nesting, but `1+1+1+…` makes a tree as deep as the chain is long, and even dropping that would overflow.

use sqlparser::ast::Expr;
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::error::{ExprError, ExprErrorKind, Position};
use crate::limits::{MAX_BYTES, MAX_DEPTH, MAX_TERMS};

/// PostgreSQL's expressions without what only PostgreSQL has (geometry, JSON operators, `user` as a function): a column
/// may be called `user`, and `"` is the only quote for names.
#[derive(Debug)]
struct WhereDialect;

impl Dialect for WhereDialect {
    fn is_delimited_identifier_start(&self, character: char) -> bool {
        character == '"'
    }

    fn is_identifier_start(&self, character: char) -> bool {
        character.is_alphabetic() || character == '_'
    }

    fn is_identifier_part(&self, character: char) -> bool {
        character.is_alphanumeric() || character == '_'
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    /// Without this a broken `CASE` or `CAST` is read as a column of that name, and the message is about the column.
    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        matches!(
            keyword,
            Keyword::CASE | Keyword::CAST | Keyword::TRY_CAST | Keyword::SAFE_CAST | Keyword::NOT
        )
    }
}

pub(crate) fn position(location: Location) -> Option<Position> {
    (location.line > 0).then_some(Position { line: location.line, column: location.column })
}

fn syntax(message: impl Into<String>) -> ExprError {
    ExprErrorKind::Syntax { message: message.into() }.into()
}

/// Reads one expression and nothing after it.
pub(crate) fn parse(text: &str) -> Result<Expr, ExprError> {
    if text.len() > MAX_BYTES {
        return Err(ExprErrorKind::TooLarge { what: "bytes", limit: MAX_BYTES }.into());
    }
    let dialect = WhereDialect;
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|error| syntax(lower_first(&error.message)).at(position(error.location)))?;
    check(&tokens)?;
    // The parser goes two levels down for `1 + (`; parentheses, which cost it the most stack, are limited by `check`.
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(2 * MAX_DEPTH + 2).with_tokens_with_locations(tokens);
    let expression = parser.parse_expr().map_err(|error| reword(error, text))?;
    let next = parser.peek_token();
    if next.token == Token::EOF {
        return Ok(expression);
    }
    let error = ExprError::from(ExprErrorKind::TrailingInput { found: next.token.to_string() })
        .at(position(next.span.start));
    Err(match next.token {
        Token::SemiColon => {
            error.with_hint("leave out the semicolon: this is one expression, not a statement")
        }
        Token::Word(_) | Token::Number(_, _) | Token::SingleQuotedString(_) | Token::LParen => error
            .with_hint(
                "an operator such as AND may be missing before it; a column name with spaces needs \"…\"",
            ),
        _ => error,
    })
}

/// Limits, and what is better refused by name than by whatever the parser would make of it.
fn check(tokens: &[TokenWithSpan]) -> Result<(), ExprError> {
    let mut terms = 0;
    let mut depth = 0usize;
    let mut before = &Token::EOF;
    for token in tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))) {
        let here = position(token.span.start);
        missing_value(before, &token.token).map_err(|error| error.at(here))?;
        before = &token.token;
        match &token.token {
            Token::Comma | Token::EOF | Token::Number(_, _) | Token::SingleQuotedString(_) => {}
            Token::LParen => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(ExprError::from(too_deep()).at(here));
                }
            }
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) if word.quote_style.is_none() && word.keyword == Keyword::SELECT => {
                return Err(unsupported("subqueries are", here).with_hint(
                    "an expression sees one row of one table; a column called select needs \"…\"",
                ));
            }
            Token::Placeholder(_) => return Err(unsupported("parameters are", here)),
            Token::LBracket | Token::LBrace => return Err(unsupported("[…] and {…} are", here)),
            _ => {
                terms += 1;
                if terms > MAX_TERMS {
                    return Err(ExprError::from(ExprErrorKind::TooLarge { what: "terms", limit: MAX_TERMS })
                        .at(here)
                        .with_hint("many values of one column are shorter as `column IN (…)`"));
                }
            }
        }
    }
    if tokens.iter().all(|token| matches!(token.token, Token::Whitespace(_) | Token::EOF)) {
        return Err(syntax("the expression is empty"));
    }
    Ok(())
}

/// The parser takes an operator for a name where a value should stand; the message would be about what follows it.
fn missing_value(before: &Token, token: &Token) -> Result<(), ExprError> {
    let keyword = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    };
    let (last, this) = (keyword(before), keyword(token));
    let needs_left = match this {
        Keyword::AND | Keyword::OR | Keyword::IS => true,
        Keyword::IN | Keyword::LIKE | Keyword::ILIKE | Keyword::BETWEEN => last != Keyword::NOT,
        _ => false,
    };
    let has_left = match before {
        Token::Word(_) => !matches!(last, Keyword::AND | Keyword::OR | Keyword::NOT),
        Token::Number(_, _) | Token::SingleQuotedString(_) | Token::RParen => true,
        Token::EOF | Token::LParen | Token::Comma => false,
        Token::Eq | Token::DoubleEq | Token::Neq | Token::Lt | Token::LtEq | Token::Gt | Token::GtEq => false,
        Token::Plus | Token::Minus | Token::Div | Token::Mod | Token::StringConcat => false,
        // Whatever else may end a value is not in the language, and is refused with a better message than this.
        _ => true,
    };
    if !needs_left || has_left {
        return Ok(());
    }
    Err(syntax(format!("a value is missing before `{token}`"))
        .with_hint("a column of this name is written in double quotes"))
}

pub(crate) fn too_deep() -> ExprErrorKind {
    ExprErrorKind::TooLarge { what: "levels of nesting", limit: MAX_DEPTH }
}

pub(crate) fn unsupported(what: impl Into<String>, position: Option<Position>) -> ExprError {
    ExprError::from(ExprErrorKind::Unsupported { what: what.into() }).at(position)
}

/// The SQL parser puts the place at the end of its message, as text; an error at the end of the input has none.
fn reword(error: ParserError, text: &str) -> ExprError {
    let message = match error {
        ParserError::RecursionLimitExceeded => return too_deep().into(),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let (message, place) = match message.rsplit_once(" at Line: ") {
        Some((message, place)) => (message, read_place(place)),
        None => (message.as_str(), None),
    };
    if message.starts_with("No infix parser") {
        let error = unsupported("this operator is", place);
        return if message.contains("Overlap") { error.with_hint("write AND") } else { error };
    }
    if message.contains("NORMALIZED FROM after IS") {
        let found = message.rsplit_once("found: ").map_or("something else", |(_, found)| found);
        return syntax(format!(
            "expected NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM after IS, found {found}"
        ))
        .at(place);
    }
    let message =
        lower_first(message).replace("found: EOF", "found the end").replace(", found: ", ", found ");
    let message = message.replacen("expected: ", "expected ", 1);
    let end = Position {
        line: text.split('\n').count() as u64,
        column: text.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1,
    };
    syntax(message).at(place.or(Some(end)))
}

fn read_place(place: &str) -> Option<Position> {
    let (line, column) = place.split_once(", Column: ")?;
    Some(Position { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
}

fn lower_first(message: &str) -> String {
    let mut characters = message.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
