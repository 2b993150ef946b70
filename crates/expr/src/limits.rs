//! How large an expression may be. The limits exist so that no text, however built, can overflow a stack: the SQL parser,
//! the type check and the evaluation all recurse over the tree, on threads whose stacks are 2 MiB.

/// Longest text, in bytes. Enough for some 28,000 uids in one `IN` list.
pub const MAX_BYTES: usize = 1 << 20;

/// Most terms: names, keywords and operators. Values, commas and parentheses are not counted, so that an `IN` list may be
/// as long as the text.
pub const MAX_TERMS: usize = 2000;

/// Deepest nesting of parentheses, and of operators, functions and `CASE`. A chain of `AND` or of `OR` counts as one
/// level, whatever its length.
///
/// Set by the SQL parser's stack: a nested function call takes it some 25 KiB in the dev profile, so that twice as many
/// levels would just fit 2 MiB. The tests run on 1.25 MiB.
pub const MAX_DEPTH: usize = 32;
