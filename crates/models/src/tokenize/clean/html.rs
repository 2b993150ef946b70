//! HTML's character references, as Python's `html.unescape` reads them (any spelling that a browser would read) and as ftfy does (only
//! closed ones, since a caption is not HTML by intent). Python differs from the standard in one thing: it drops references to control
//! characters and to what is no character.
use super::mojibake;
use entities::ENTITIES;
use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

/// What a name (with its semicolon, where it has one) stands for. <https://html.spec.whatwg.org/multipage/named-characters.html>
static NAMES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    ENTITIES.iter().map(|entity| (entity.entity.trim_start_matches('&'), entity.characters)).collect()
});

/// Names of lower case that someone's upper-casing has spoilt, with the upper case of what they stand for.
static SHOUTED: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let closed = NAMES.iter().filter(|(name, _)| name.ends_with(';'));
    let lower = closed.filter(|(name, _)| !name.contains(|c: char| c.is_ascii_uppercase()));
    let upper = lower.map(|(name, characters)| (name.to_ascii_uppercase(), characters.to_uppercase()));
    upper.filter(|(name, _)| named(name).is_none()).collect()
});

/// Most characters of a name, with its semicolon.
const LONGEST: usize = 32;

/// Every reference read as browsers do: `&notit;` is `¬it;`.
pub fn unescape(text: &str) -> Cow<'_, str> {
    replace(text, |after| {
        if let Some(digits) = after.strip_prefix('#') {
            let (number, used) = number(digits)?;
            return Some((number.map(String::from).unwrap_or_default(), used + 1));
        }
        let end = after
            .find(['\t', '\n', '\x0c', ' ', '<', '&', '#', ';'])
            .map_or(after.len(), |at| at + usize::from(after[at..].starts_with(';')));
        let longest = after[..end].char_indices().nth(LONGEST).map_or(end, |(at, _)| at);
        let (characters, used) = named(&after[..longest])?;
        Some((characters.to_owned(), used))
    })
}

/// Only references that end in a semicolon, and names in capitals where these are no names of their own: `P&EACUTE;REZ`.
pub fn unescape_closed(text: &str) -> Cow<'_, str> {
    replace(text, |after| {
        let marks = usize::from(after.starts_with('#'));
        let length = after[marks..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        let end = marks + length + 1;
        if !(1..=24).contains(&length) || after.as_bytes().get(end - 1) != Some(&b';') {
            return None;
        }
        let name = &after[..end];
        if marks == 0 {
            let shouted = || SHOUTED.get(name).map(String::as_str);
            return Some((NAMES.get(name).copied().or_else(shouted)?.to_owned(), end));
        }
        let (number, used) = number(&name[1..])?;
        // A semicolon by its number stays written as it is.
        (used + 1 == end && number != Some(';')).then(|| (number.map(String::from).unwrap_or_default(), end))
    })
}

/// Replaces every `&…` that `read` knows, from the text after the ampersand: with what, and how many bytes of that text it takes.
fn replace(text: &str, read: impl Fn(&str) -> Option<(String, usize)>) -> Cow<'_, str> {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        replaced.push_str(before);
        match read(after) {
            Some((characters, used)) => {
                replaced.push_str(&characters);
                rest = &after[used..];
            }
            None => {
                replaced.push('&');
                rest = after;
            }
        }
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    replaced.push_str(rest);
    Cow::Owned(replaced)
}

/// The name that this text is, else the longest that it begins with, with its length.
fn named(text: &str) -> Option<(&'static str, usize)> {
    let ends = (2..=text.len()).rev().filter(|&end| text.is_char_boundary(end));
    ends.filter_map(|end| Some((*NAMES.get(&text[..end])?, end))).next()
}

/// The character of a number, decimal or hexadecimal, and how long that number is with its `x` and its semicolon; none for what Python drops.
fn number(text: &str) -> Option<(Option<char>, usize)> {
    let (radix, digits) = match text.strip_prefix(['x', 'X']) {
        Some(digits) => (16, digits),
        None => (10, text),
    };
    let length = digits.bytes().take_while(|&byte| char::from(byte).is_digit(radix)).count();
    if length == 0 {
        return None;
    }
    let code = u32::from_str_radix(&digits[..length], radix).unwrap_or(u32::MAX);
    let character = match code {
        0 => Some('\u{fffd}'),
        0x0d => Some('\r'),
        0x80..=0x9f => char::from_u32(code).map(mojibake::windows),
        0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if code <= 0x10_ffff && code & 0xfffe == 0xfffe => None,
        _ => Some(char::from_u32(code).unwrap_or('\u{fffd}')),
    };
    let closed = usize::from(digits[length..].starts_with(';'));
    Some((character, text.len() - digits.len() + length + closed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// Recorded with Python: `sha256("".join(f"{n}\t{c}\n" for n, c in sorted(html.entities.html5.items())).encode())`.
    #[test]
    fn the_names_are_pythons() {
        let mut names: Vec<_> = NAMES.iter().collect();
        names.sort_unstable();
        let text: String = names.iter().map(|(name, characters)| format!("{name}\t{characters}\n")).collect();
        let digest = format!("{:x}", Sha256::digest(text));
        assert_eq!(
            (names.len(), digest.as_str()),
            (2231, "2153dd01901680634b4bc936dcb5f8a058c12bfc563fc7a87752c6b546c75f7b")
        );
    }
}
