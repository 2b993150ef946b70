//! Texts of other people inside Markdown and YAML: captions, names, conditions and prompts stay what they are and never become markup.
use std::fmt::Write;

use super::markers;

/// Characters that mean something in the Markdown of GitHub and the Hub, wherever in a line they stand.
const SPECIAL: &str = r"\`*_{}[]<>|~$&#@";

/// A text as part of a line or of a cell of a table: one line, and nothing in it is markup, a link, an entity or a formula.
pub fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let plain = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    for (place, word) in plain.enumerate() {
        if place > 0 {
            out.push(' ');
        }
        for (at, c) in word.char_indices() {
            // What turns the direction of writing, or has no width, could make a line say something else.
            if is_invisible(c) {
                continue;
            }
            // Addresses become links by themselves at "://" and "www.".
            let is_address = (c == ':' && word[at..].starts_with("://"))
                || (c == '.' && word[..at].to_ascii_lowercase().ends_with("www"));
            if SPECIAL.contains(c) || is_address {
                out.push('\\');
            }
            out.push(c);
        }
    }
    // Only at the beginning of a line do these begin a list, a heading or a rule.
    if out.starts_with(['-', '+', '=']) || out.starts_with(|c: char| c.is_ascii_digit()) && is_list(&out) {
        let at = out.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        out.insert(at, '\\');
    }
    out
}

fn is_list(line: &str) -> bool {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.strip_prefix(['.', ')']).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A text as code inside a line or a cell of a table.
pub fn code(text: &str) -> String {
    let line: String =
        text.chars().filter(|&c| !is_invisible(c)).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let fence = "`".repeat(longest_run(&line) + 1);
    // A space at each end is taken away by the reader, and needed where a backtick stands there.
    let space = if line.starts_with('`') || line.ends_with('`') || line.trim().is_empty() { " " } else { "" };
    // In a table even code must not hold a bare bar.
    format!("{fence}{space}{}{space}{fence}", line.replace('|', r"\|"))
}

/// A text of many lines as a block of code.
pub fn block(language: &str, text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    let mut out = format!("{fence}{language}\n");
    for line in text.lines() {
        // A line that is a marker of ours would end our part of the file too early.
        let line = if markers::is_marker(line) { line.replacen("<!--", "<! --", 1) } else { line.to_owned() };
        out.extend(line.chars().filter(|&c| c == '\t' || !c.is_control()));
        out.push('\n');
    }
    out + &fence + "\n"
}

/// The longest row of backticks.
fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// A table; numbers are right-aligned where `right` says so. Cells are Markdown already.
pub fn table(heads: &[&str], right: &[bool], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = format!("| {} |\n|", heads.join(" | "));
    for at in 0..heads.len() {
        out += if right.get(at).copied().unwrap_or(false) { "---:|" } else { "---|" };
    }
    out.push('\n');
    for row in rows {
        out += &format!("| {} |\n", row.join(" | "));
    }
    out
}

/// A text as a scalar of YAML: bare where every reader agrees that it is a text, else in double quotes, whose escapes are those of JSON.
pub fn yaml(text: &str) -> String {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "true", "false", "null", "on", "off"];
    let is_bare = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
        && !WORDS.contains(&text);
    if is_bare {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        let is_printable = matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202f}'..='\u{d7ff}'
            | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}');
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if is_printable => out.push(c),
            c => {
                // Writing to a text cannot fail; whatever is not printable lies in the first plane.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_no_markup() {
        assert_eq!(
            inline("a *cat*\n| on <b>mat</b> &amp; `x`"),
            r"a \*cat\* \| on \<b\>mat\</b\> \&amp; \`x\`"
        );
        assert_eq!(inline("see https://x.org and www.x.org"), r"see https\://x.org and www\.x.org");
        assert_eq!(inline("- 1"), r"\- 1");
        assert_eq!([inline("1. one"), inline("0.6 a"), inline("3) b")], [r"1\. one", "0.6 a", r"3\) b"]);
        assert_eq!(inline("<!-- cribble:end -->"), r"\<!-- cribble:end --\>");
        assert_eq!(inline("a\u{202e}b\u{7}c"), "ab c");
        assert_eq!(inline(""), "");
    }

    #[test]
    fn code_holds_backticks_and_bars() {
        assert_eq!(code("a > 1"), "`a > 1`");
        assert_eq!(code("a`b|c"), r"``a`b\|c``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a\nb"), "`a b`");
        assert_eq!(
            block("toml", "a\n```\n<!-- cribble:end -->"),
            "````toml\na\n```\n<! -- cribble:end -->\n````\n"
        );
    }

    #[test]
    fn scalars_stay_texts() {
        assert_eq!(
            [yaml("cc-by-4.0"), yaml("no"), yaml("1e3"), yaml("")],
            ["cc-by-4.0", "\"no\"", "\"1e3\"", "\"\""]
        );
        assert_eq!(yaml("a: \"b\" #c\n---\u{85}\u{2028}"), r#""a: \"b\" #c\u000a---\u0085\u2028""#);
        // What JSON reads back is what YAML reads back: its double quotes know the same escapes.
        let text = "tab\t \\ \" \u{7f} \u{feff} \u{1f600} é";
        assert_eq!(serde_json::from_str::<String>(&yaml(text)).unwrap(), text);
    }
}
