//! What a reply says beside its verdict: reason, title, category, language, flags.
use super::{
    Reading,
    names::{self, Name},
    text::{bare_line, split},
    words,
};

/// Flags that may be fields of their own in JSON.
const KNOWN_FLAGS: &[&str] =
    &["repetitive", "placeholder_text", "placeholder", "adult", "nsfw", "watermark", "watermarked"];

/// Takes reason, title, category, language and flags from lines `name: value`, and from headings with lines under them.
pub fn fields(text: &str, reading: &mut Reading) {
    let mut open: Option<(Name, String)> = None;
    for line in text.lines() {
        let clean = bare_line(line);
        let parts = split(clean);
        let (left, right) = parts.unwrap_or((clean, ""));
        // Without a separator only a heading is a label; "because" and the like begin sentences.
        let may_be_label = parts.is_some() || line.trim_start().starts_with(['#', '*']);
        if may_be_label && let Some((name, _)) = names::name(&words::tokens(left)) {
            if let Some((name, text)) = open.replace((name, right.to_string())) {
                set_field(reading, name, &text);
            }
        } else if let Some((_, text)) = &mut open {
            text.push('\n');
            text.push_str(line);
        }
    }
    if let Some((name, text)) = open {
        set_field(reading, name, &text);
    }
}

/// Sets a field that is not set yet. Titles, categories and languages are one line.
pub fn set_field(reading: &mut Reading, name: Name, text: &str) {
    let text = bare(text);
    if text.is_empty() {
        return;
    }
    let line = || Some(bare(text.lines().next().unwrap_or(text)).to_string());
    match name {
        Name::Reason if reading.reason.is_none() => reading.reason = Some(text.to_string()),
        Name::Title if reading.title.is_none() => reading.title = line(),
        Name::Category if reading.category.is_none() => reading.category = line(),
        Name::Language if reading.language.is_none() => reading.language = line(),
        Name::Flags => text
            .lines()
            .flat_map(|line| line.split([',', ';']))
            .for_each(|flag| add_flag(flag, &mut reading.flags)),
        _ => {}
    }
}

/// A text without the marks of emphasis, lists and quotation around it. A quotation mark at one end stays where it belongs to another one
/// inside: `pages of "stock"`.
fn bare(text: &str) -> &str {
    let is_quote = |sign: char| matches!(sign, '"' | '“' | '”');
    let is_mark = |sign: char| sign.is_whitespace() || matches!(sign, '*' | '`' | '_' | '#' | ',' | '|');
    let mut text = text.trim_matches(is_mark);
    loop {
        let inner = text.strip_prefix(is_quote).and_then(|rest| rest.strip_suffix(is_quote));
        match inner {
            Some(inner) if inner.matches(is_quote).count().is_multiple_of(2) => {
                text = inner.trim_matches(is_mark)
            }
            _ if text.matches(is_quote).count() % 2 == 1 => {
                return text.trim_matches(|sign| is_mark(sign) || is_quote(sign));
            }
            _ => return text,
        }
    }
}

/// Whether the name of a JSON field is a flag that our prompts ask for.
pub fn is_flag(name: &str) -> bool {
    KNOWN_FLAGS.contains(&flag(name).as_str())
}

pub fn add_flag(name: &str, into: &mut Vec<String>) {
    let flag = flag(name);
    if !matches!(flag.as_str(), "" | "none" | "n_a" | "no" | "null" | "no_flags" | "no_issues")
        && !into.contains(&flag)
    {
        into.push(flag);
    }
}

fn flag(name: &str) -> String {
    let words: Vec<String> = words::tokens(&name.replace('_', " "))
        .into_iter()
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .collect();
    words.join("_")
}
