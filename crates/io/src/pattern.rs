//! Patterns of locations: brace ranges `{00000..00150}` and lists `{a,b}`, wildcards `*`, `?`, `[..]`, lists joined by `::`.
//! A text that names an existing file is that file, whatever characters it has; and braces keep names that do not exist,
//! so that a gap in a range is reported by whoever opens it instead of vanishing here.
use crate::{IoError, Location, Result, Storage};
use std::collections::BTreeSet;

/// More names than this from one pattern is taken for a slip of the pen.
const MAX_NAMES: usize = 10_000_000;

/// Expands a pattern into locations, sorted and each once. Wildcards that match nothing are an error; they do not match hidden names.
pub fn expand(storage: &dyn Storage, pattern: &str) -> Result<Vec<Location>> {
    let mut found = BTreeSet::new();
    for part in pattern.split("::").filter(|part| !part.is_empty()) {
        let literal = Location::parse(part)?;
        if storage.exists(&literal)? {
            found.insert(literal);
            continue;
        }
        for name in expand_braces(part)? {
            let location = Location::parse(&name)?;
            if has_wildcards(&name) && !storage.exists(&location)? {
                let matches = matching(storage, &name)?;
                if matches.is_empty() {
                    return Err(IoError::BadPattern { pattern: name, reason: "matches no file".into() });
                }
                found.extend(matches);
            } else {
                found.insert(location);
            }
        }
    }
    if found.is_empty() {
        return Err(IoError::BadPattern { pattern: pattern.into(), reason: "names no file".into() });
    }
    Ok(found.into_iter().collect())
}

/// Whether a text has any character that [`expand`] gives a meaning to.
pub fn is_pattern(text: &str) -> bool {
    text.contains("::") || text.contains('{') || has_wildcards(text)
}

fn has_wildcards(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Expands braces only, in the order of writing: `x{1,2}{a..b}` is refused (letters have no ranges), `x{08..10}` gives `x08 x09 x10`.
/// Ranges count up or down, padded to the width of the wider bound when either bound has a leading zero. Lists and nesting are allowed.
/// Braces that hold neither a comma nor `..` stay as they are.
pub fn expand_braces(pattern: &str) -> Result<Vec<String>> {
    let bad = |reason: String| IoError::BadPattern { pattern: pattern.into(), reason };
    let mut done = vec![String::new()];
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let close = closing(&rest[open..]).ok_or_else(|| bad("a '{' has no '}'".into()))? + open;
        let choices = alternatives(pattern, &rest[open + 1..close])?;
        if done.len().saturating_mul(choices.len()) > MAX_NAMES {
            return Err(bad(format!("stands for more than {MAX_NAMES} names")));
        }
        let head = &rest[..open];
        done = done
            .iter()
            .flat_map(|start| choices.iter().map(move |choice| format!("{start}{head}{choice}")))
            .collect();
        rest = &rest[close + 1..];
    }
    for name in &mut done {
        name.push_str(rest);
    }
    Ok(done)
}

/// The place of the brace that closes the one at byte 0.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn alternatives(pattern: &str, inner: &str) -> Result<Vec<String>> {
    let parts = split_top_level(inner);
    if parts.len() > 1 {
        let mut all = Vec::new();
        for part in parts {
            all.extend(expand_braces(part)?);
        }
        return Ok(all);
    }
    match inner.split_once("..") {
        Some((low, high)) => range(low, high).map_err(|reason| IoError::BadPattern {
            pattern: pattern.into(),
            reason: format!("{{{inner}}}: {reason}"),
        }),
        None => Ok(expand_braces(inner)?.into_iter().map(|text| format!("{{{text}}}")).collect()),
    }
}

fn split_top_level(inner: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    parts
}

fn range(low: &str, high: &str) -> std::result::Result<Vec<String>, String> {
    let number = |text: &str| match text.parse::<u64>() {
        Ok(value) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(value),
        _ => Err(format!("'{text}' is no whole number")),
    };
    let (first, last) = (number(low)?, number(high)?);
    if first.abs_diff(last) >= MAX_NAMES as u64 {
        return Err(format!("stands for more than {MAX_NAMES} names"));
    }
    let padded = [low, high].iter().any(|text| text.len() > 1 && text.starts_with('0'));
    let width = if padded { low.len().max(high.len()) } else { 0 };
    let write = |value: u64| format!("{value:0width$}");
    Ok(if first <= last {
        (first..=last).map(write).collect()
    } else {
        (last..=first).rev().map(write).collect()
    })
}

/// The existing files and folders whose path matches, part by part: a wildcard never crosses a `/`.
fn matching(storage: &dyn Storage, pattern: &str) -> Result<Vec<Location>> {
    if pattern.split('/').any(|part| part == "**") {
        let reason = "'**' is not supported: name each level, as in '*/*.tar'".into();
        return Err(IoError::BadPattern { pattern: pattern.into(), reason });
    }
    let (mut places, parts) = match pattern.strip_prefix('/') {
        Some(rest) => (vec![Location::local("/")], rest),
        None => (vec![Location::local("")], pattern),
    };
    let parts: Vec<_> = parts.split('/').filter(|part| !part.is_empty()).collect();
    for (depth, part) in parts.iter().enumerate() {
        let last = depth + 1 == parts.len();
        let glob = has_wildcards(part).then(|| Glob::parse(pattern, part)).transpose()?;
        let mut next = Vec::new();
        for place in places {
            let Some(glob) = &glob else {
                let there = place.join(part);
                if storage.exists(&there)? {
                    next.push(there);
                }
                continue;
            };
            let folder =
                if place.path().as_os_str().is_empty() { Location::local(".") } else { place.clone() };
            for entry in storage.list(&folder)? {
                if glob.matches(&entry.location.file_name()) && (last || entry.is_folder) {
                    next.push(place.join(&entry.location.file_name()));
                }
            }
        }
        places = next;
    }
    Ok(places)
}

/// One part of a path with wildcards, parsed.
#[derive(Debug)]
struct Glob(Vec<Token>);

#[derive(Debug)]
enum Token {
    One(char),
    Any,
    Many,
    Set { ranges: Vec<(char, char)>, negated: bool },
}

impl Glob {
    fn parse(pattern: &str, part: &str) -> Result<Self> {
        let chars: Vec<char> = part.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            match chars[at] {
                '?' => tokens.push(Token::Any),
                '*' => tokens.push(Token::Many),
                '[' => {
                    let (token, end) = parse_set(&chars, at).ok_or_else(|| IoError::BadPattern {
                        pattern: pattern.into(),
                        reason: "a '[' has no ']', or its set is empty".into(),
                    })?;
                    tokens.push(token);
                    at = end;
                }
                other => tokens.push(Token::One(other)),
            }
            at += 1;
        }
        Ok(Self(tokens))
    }

    /// Linear in pattern × name: on a mismatch only the latest `*` takes one character more, as in the classic two-pointer match.
    fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut token, mut at) = (0, 0);
        let mut retry = None;
        loop {
            match self.0.get(token) {
                Some(Token::Many) => {
                    retry = Some((token + 1, at));
                    token += 1;
                    continue;
                }
                Some(one) if at < name.len() && one.takes(name[at]) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                None if at == name.len() => return true,
                _ => {}
            }
            match retry {
                Some((after, from)) if from < name.len() => {
                    retry = Some((after, from + 1));
                    (token, at) = (after, from + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::One(own) => *own == c,
            Self::Any => true,
            Self::Many => false,
            Self::Set { ranges, negated } => {
                ranges.iter().any(|&(low, high)| (low..=high).contains(&c)) != *negated
            }
        }
    }
}

/// Parses `[abc]`, `[a-z]`, `[!0-9]` from the bracket at `open`; returns the set and the place of its closing bracket.
fn parse_set(chars: &[char], open: usize) -> Option<(Token, usize)> {
    let mut at = open + 1;
    let negated = matches!(chars.get(at), Some('!' | '^'));
    at += usize::from(negated);
    let first = at;
    let mut ranges = Vec::new();
    loop {
        match *chars.get(at)? {
            // A bracket that comes first is a member, as in a shell.
            ']' if at > first => return Some((Token::Set { ranges, negated }, at)),
            low => match (chars.get(at + 1), chars.get(at + 2)) {
                (Some('-'), Some(&high)) if high != ']' => {
                    ranges.push((low, high));
                    at += 3;
                }
                _ => {
                    ranges.push((low, low));
                    at += 1;
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::LocalStorage;
    use proptest::prelude::*;

    #[test]
    fn braces_expand_as_webdataset_users_write_them() {
        let expand = |text: &str| expand_braces(text).unwrap().join(" ");
        assert_eq!(expand("x{0008..0010}.tar"), "x0008.tar x0009.tar x0010.tar");
        assert_eq!(expand("{9..11}"), "9 10 11");
        assert_eq!(expand("{3..1}"), "3 2 1");
        assert_eq!(expand("{a,b{1..2}}/c"), "a/c b1/c b2/c");
        assert_eq!(expand("{a}{,x}"), "{a} {a}x");
        for bad in ["{1..", "{a..c}", "{1..99999999999}", "{1..4000}{1..4000}", "{-1..2}", "{1..+3}"] {
            assert!(matches!(expand_braces(bad), Err(IoError::BadPattern { .. })), "{bad}");
        }
    }

    #[test]
    fn wildcards_lists_and_literal_names_find_files() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        std::fs::create_dir(folder.path().join("p1")).unwrap();
        for name in ["a.tar", "b.tar", "c.npz", "[odd].tar", ".hidden.tar", "p1/z.tar"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            expand(&LocalStorage, &pattern.replace('@', root))
                .unwrap()
                .iter()
                .map(Location::file_name)
                .collect()
        };
        assert_eq!(names("@/*.tar"), ["[odd].tar", "a.tar", "b.tar"]);
        assert_eq!(names("@/[!a].tar"), ["b.tar"]);
        assert_eq!(names("@/?1/*"), ["z.tar"]);
        assert_eq!(names("@/[odd].tar"), ["[odd].tar"]);
        assert_eq!(names("@/c.npz::@/{a,missing}.tar::@/a.tar"), ["a.tar", "c.npz", "missing.tar"]);
        for bad in ["@/*.zip", "@/**/x", "@/[", "::"] {
            assert!(expand(&LocalStorage, &bad.replace('@', root)).is_err(), "{bad}");
        }
    }

    /// The plain recursive definition of a match, exponential but obviously right.
    fn slow(tokens: &[Token], name: &[char]) -> bool {
        match tokens.split_first() {
            None => name.is_empty(),
            Some((Token::Many, rest)) => (0..=name.len()).any(|n| slow(rest, &name[n..])),
            Some((one, rest)) => {
                name.split_first().is_some_and(|(&c, tail)| one.takes(c) && slow(rest, tail))
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn matching_equals_its_definition(pattern in "[ab*?]{0,8}|[ab]\\[[!ab-]{1,3}\\][*]", name in "[ab]{0,8}") {
            if let Ok(glob) = Glob::parse(&pattern, &pattern) {
                let chars: Vec<char> = name.chars().collect();
                prop_assert_eq!(glob.matches(&name), slow(&glob.0, &chars));
            }
        }

        #[test]
        fn any_text_expands_or_is_refused_without_a_panic(text in "[{}.,0-9aé*\\[\\]:/-]{0,24}") {
            if let Ok(names) = expand_braces(&text) {
                prop_assert!(!names.is_empty());
                if !text.contains('{') {
                    prop_assert_eq!(names, [text]);
                }
            }
        }

        #[test]
        fn numeric_ranges_hold_every_number_once(low in 0u32..500, length in 0u32..50, width in 1usize..6) {
            let high = low + length;
            let names = expand_braces(&format!("s{{{low:0width$}..{high:0width$}}}")).unwrap();
            let numbers: Vec<u32> = names.iter().map(|n| n[1..].parse().unwrap()).collect();
            prop_assert_eq!(numbers, (low..=high).collect::<Vec<_>>());
        }
    }
}
