//! A caption as open_clip's tokenizer sees it: mended by `ftfy.fix_text`, HTML entities unescaped, white space collapsed, lower-cased
//! (open_clip 3.3, `tokenizer.py`: `whitespace_clean(basic_clean(x)).lower()`). The code is ours, written from what ftfy 6.3 documents; what
//! it does and what it leaves is in [`open_clip`].
mod html;
mod mojibake;

use std::borrow::Cow;
use tokenizers::NormalizedString;

/// Rounds of mending after which a text is taken as it is. ftfy goes on until nothing changes, for which a text of `&amp;amp;amp;…` can ask
/// for as many rounds as it has characters.
const ROUNDS: usize = 100;

/// The text whose tokens open_clip takes: equal to its own cleaning but for mojibake of other character sets than Windows-1252 and Latin-1
/// (and, among these, of CESU-8 and of a few rare pairs), which stays as it is.
///
/// In every line, until it no longer changes: HTML entities (unless a `<` came before), mojibake, control characters of Latin-1 as
/// Windows-1252 has them, Latin ligatures, full-width and half-width forms, curly quotes, line breaks, terminal escapes, control characters,
/// NFC. Then HTML entities of any spelling, twice. Then one space for white space of any kind, none at the ends; lower case.
pub fn open_clip(text: &str) -> String {
    // Most captions have nothing to mend.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'&') {
        return collapse(text).to_ascii_lowercase();
    }
    let text = html::unescape(&mend(text)).into_owned();
    collapse(&html::unescape(&text)).to_lowercase()
}

/// White space as Python sees it: beside Unicode's, the four separators of ASCII.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// Words with one space between, as Python's `split` finds them.
fn collapse(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.push_str(word);
    }
    clean
}

/// `ftfy.fix_text` with its defaults.
fn mend(text: &str) -> String {
    let mut entities = true;
    let mut mended = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // A tag says that this is HTML, where an entity is meant; from there on.
        entities &= !line.contains('<');
        mended.push_str(&mend_line(line, entities));
    }
    mended
}

fn mend_line(line: &str, entities: bool) -> String {
    let mut text = line.to_owned();
    for _ in 0..ROUNDS {
        let mut next = if entities { html::unescape_closed(&text).into_owned() } else { text.clone() };
        next = mojibake::repair(next);
        next = spell(&next);
        next = compose(without_escapes(&next).chars().filter(|&c| !is_control(c)).collect());
        if next == text {
            break;
        }
        text = next;
    }
    text
}

/// Characters that have a plainer spelling: one pass, since no spelling has another one again.
fn spell(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' if characters.peek() == Some(&'\n') => {}
            // U+0085 is the ellipsis of Windows-1252 before it could be a line break.
            '\u{80}'..='\u{9f}' => plain.push(mojibake::windows(c)),
            '\r' | '\u{2028}' | '\u{2029}' => plain.push('\n'),
            '\u{2bc}' | '\u{2018}'..='\u{201b}' => plain.push('\''),
            '\u{201c}'..='\u{201f}' => plain.push('"'),
            '\u{3000}' => plain.push(' '),
            '\u{ff01}'..='\u{ffef}' => {
                let mut form = NormalizedString::from(c.to_string());
                plain.push_str(form.nfkc().get());
            }
            _ => match ligature(c) {
                Some(letters) => plain.push_str(letters),
                None => plain.push(c),
            },
        }
    }
    plain
}

/// The letters of a ligature or digraph that is one only in print or for the sake of an old character set.
fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ŉ' => "'n",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        _ => return None,
    })
}

/// Without what colours a terminal: escape, bracket, numbers, a letter.
fn without_escapes(text: &str) -> Cow<'_, str> {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default();
    if first.len() == text.len() {
        return Cow::Borrowed(text);
    }
    let mut kept = first.to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match rest.strip_prefix(|c: char| c.is_ascii_alphabetic()) {
            Some(rest) => kept.push_str(rest),
            None => {
                kept.push_str("\x1b[");
                kept.push_str(part);
            }
        }
    }
    Cow::Owned(kept)
}

/// Characters without a shape or an effect: ASCII's but for white space, the deprecated ones of Arabic, annotations, the byte order mark.
fn is_control(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}'
    )
}

/// NFC. Below U+0300, where combining marks begin, nothing composes.
fn compose(text: String) -> String {
    if text.chars().all(|c| c < '\u{300}') {
        return text;
    }
    NormalizedString::from(text).nfc().get().to_owned()
}
