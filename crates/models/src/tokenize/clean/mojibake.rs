//! Mojibake: UTF-8 that someone has read as Windows-1252 or Latin-1, such as `cafÃ©` or `itâ€™s`, read back. As ftfy's `fix_encoding` does, it
//! needs two things: the characters are valid UTF-8 in that character set, and they look like nobody wrote them. The judgement is of single
//! UTF-8 sequences and follows ftfy's idea (Robyn Speer, `ftfy.badness`), with rules of our own that were fitted to its verdicts: text has
//! letters next to letters, punctuation at the ends of words, and some signs hardly at all, so a capital `Ã` with `©` is no word.
//!
//! Also as ftfy: a no-break space that has become a space, characters that have become U+FFFD, and mojibake in the midst of good text. Not:
//! CESU-8 and the eight other character sets that ftfy tries (Windows-1250, 1251, 1253, 1254 and 1257, ISO 8859-2, Mac Roman, CP 437).
//!
//! Measured against open_clip's cleaning with ftfy 6.3 on 697 made captions and words in some thirty languages: as they are, in capitals, as mojibake of
//! Windows-1252 and Latin-1, twice over, with lost bytes and lost no-break spaces: none of 4 879 differs. Mojibake set between captions: 1 of
//! 697; cut off: 1 of 697; upper-cased, which nothing restores: 9 of 697. Random signs of Windows-1252: 72 of 3 000. Mojibake of the other
//! character sets: 10 % (1254) to 88 % (1257, Mac Roman).

/// Bytes 80 to 9F of Windows-1252; five that it does not define stand for themselves.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', //
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Signs that text hardly uses, and never next to a letter.
const STRANGE: &str = "ƒ†‡ˆ‰˜¤¦¨¬¯¸ªº\u{fffd}";
/// Numbers and what stands beside them.
const FIGURES: &str = "²³¹±¼½¾µ";
const MONEY: &str = "€¢£¥";
/// Punctuation that begins something, and that ends something.
const OPENS: &str = "‚„‹‘“•¡©«¿";
const CLOSES: &str = "›”™®»";
/// Letters among the bytes that continue a character.
const CAPITALS: &str = "ŠŒŽŸ";
const SMALL: &str = "šœž";
/// Continuations that may also stand next to mojibake for themselves.
const ORDINARY: &str = " –—‘’‚“”„•…";
/// Character sets, as what byte a character is in them.
const SETS: [fn(char) -> Option<u8>; 2] = [|c| u8::try_from(c).ok(), byte];
/// How the lost byte of a character that has become U+FFFD is written.
const LOST: u8 = 0x1a;

/// A control character of Latin-1 as Windows-1252 reads its byte; others as they are.
pub fn windows(c: char) -> char {
    match c {
        '\u{80}'..='\u{9f}' => HIGH[c as usize - 0x80],
        _ => c,
    }
}

fn byte(c: char) -> Option<u8> {
    match c {
        '\u{fffd}' => Some(LOST),
        '\x1a' => None,
        '\0'..='\x7f' | '\u{a0}'..='\u{ff}' => u8::try_from(c).ok(),
        _ => HIGH.iter().position(|&high| high == c).map(|at| 0x80 + at as u8),
    }
}

/// Bytes of the UTF-8 sequence that this character would begin.
fn length(c: char) -> usize {
    match c {
        'Â'..='ß' => 2,
        'à'..='ï' => 3,
        'ð'..='ô' => 4,
        _ => 0,
    }
}

/// Whether the character would continue a sequence.
fn continues(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{bf}') || byte(c).is_some_and(|byte| (0x80..0xc0).contains(&byte))
}

/// The text without mojibake; mojibake of mojibake, too.
pub fn repair(mut text: String) -> String {
    for _ in 0..super::ROUNDS {
        match step(&text) {
            Some(next) if next != text => text = next,
            _ => break,
        }
    }
    text
}

fn step(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let characters: Vec<char> = text.chars().collect();
    if !suspicious(&characters) {
        return None;
    }
    for (at, set) in SETS.iter().enumerate() {
        let Some(bytes) = characters.iter().map(|&c| set(c)).collect::<Option<Vec<u8>>>() else { continue };
        let bytes = with_spaces(&bytes);
        let bytes = if at == 1 { with_lost(&bytes) } else { bytes };
        if let Ok(read) = String::from_utf8(bytes) {
            return Some(read);
        }
    }
    let mended = runs(&characters);
    if mended != text {
        return Some(mended);
    }
    Some(text.chars().map(windows).collect())
}

/// Repairs runs of sequences within a text that as a whole is no UTF-8.
fn runs(text: &[char]) -> String {
    let mut mended = String::new();
    let mut at = 0;
    while at < text.len() {
        let mut end = at;
        // Not behind a continuation: a part of a garble makes it worse.
        if at == 0 || !continues(text[at - 1]) || ORDINARY.contains(text[at - 1]) {
            while let Some(&c) = text.get(end) {
                let size = if matches!(c, 'ñ' | 'ò' | 'ô') { 0 } else { length(c) };
                let rest = text.get(end + 1..end + size).unwrap_or_default();
                if rest.is_empty() || !rest.iter().all(|&c| c == ' ' || continues(c)) {
                    break;
                }
                end += size;
            }
        }
        let run: String = text[at..end].iter().collect();
        match run.is_empty() {
            true => {
                mended.push(text[at]);
                end = at + 1;
            }
            false if end - at < text.len() && suspicious(&text[at..end]) => mended.push_str(&repair(run)),
            false => mended.push_str(&run),
        }
        at = end;
    }
    mended
}

/// Whether any sequence of the text looks like nobody wrote it.
fn suspicious(text: &[char]) -> bool {
    (0..text.len()).any(|at| {
        let before = &text[..at];
        let size = length(text[at]);
        let unit = text.get(at..at + size).unwrap_or_default();
        matches!(text[at], '\u{80}'..='\u{9f}')
            || lone_space(before, &text[at..])
            || unit.len() > 1
                && unit.iter().skip(1).all(|&c| c == ' ' || c == '\u{fffd}' || continues(c))
                && odd(before.last().copied(), unit, text.get(at + size).copied())
    })
}

/// `Â` or `Ã` where a no-break space, or the one of `à`, has become a space: after a word, or at the start.
fn lone_space(before: &[char], here: &[char]) -> bool {
    let &[lead @ ('Â' | 'Ã'), ' ', ..] = here else { return false };
    match *before {
        [] => true,
        [.., c] if lead == 'Â' && (".,?!".contains(c) || CLOSES.contains(c)) => true,
        [.., c, space] if space.is_whitespace() => c.is_ascii_lowercase(),
        [.., c] => c.is_ascii_lowercase(),
    }
}

/// Whether a sequence looks like nobody wrote it between these two characters.
fn odd(before: Option<char>, unit: &[char], after: Option<char>) -> bool {
    let one_of = |c: char, sets: &[&str]| sets.iter().any(|set| set.contains(c));
    let (lead, next) = (unit[0], unit[1]);
    let before_is = |test: fn(char) -> bool| before.is_some_and(test);
    let in_word = after.is_some_and(|c| c.is_alphanumeric() || c == '_');
    // A letter follows the ligature œ.
    let pairs = unit.iter().zip(unit[1..].iter().copied().map(Some).chain([after]));
    if pairs
        .into_iter()
        .any(|(&c, next)| one_of(c, &["Œœ"]) && next.is_some_and(|c| !c.is_ascii_alphabetic()))
    {
        return true;
    }
    // A small letter, or what ends a word, right before a capital or before a letter at all.
    let ends = before.is_some_and(|c| one_of(c, &[CLOSES, MONEY, FIGURES, "×÷"]));
    let small = before.is_some_and(|c| one_of(c, &[SMALL, "ß"]) || matches!(c, 'à'..='ñ' | 'ü'));
    let capital = matches!(lead, 'À'..='Ñ' | 'Ø' | 'Ü' | 'Ý');
    if capital && (ends || small) || ends && matches!(lead, 'ß'..='ñ') {
        return true;
    }
    match (lead, &unit[1..]) {
        ('Â' | 'Ã' | 'Î' | 'Ð', _) if next != '¥' => !one_of(next, &["…’ŒŽ "]),
        // These also make faces, as in "Ö¿Ö".
        ('Ò'..='Ö' | 'Ù'..='Û', _) => false,
        ('Þ', _) => before_is(|c| c.is_ascii_alphabetic()) && one_of(next, &[STRANGE]),
        ('×', _) => one_of(next, &[STRANGE, "²³", OPENS, CAPITALS, SMALL]),
        ('ß', _) if one_of(next, &[CAPITALS, MONEY]) => true,
        ('ß', _) if one_of(next, &[FIGURES, "°§¶"]) => false,
        (_, [_]) if one_of(next, &[STRANGE, FIGURES, "°§¶"]) => true,
        (_, [_]) if one_of(next, &[MONEY]) => before_is(|c| c.is_ascii_lowercase() || c.is_whitespace()),
        (_, [_]) if one_of(next, &[OPENS]) => in_word || before_is(|c| c.is_ascii_lowercase()),
        (_, [_]) => in_word && one_of(next, &[CLOSES]),
        ('à', _) if one_of(next, &["²µ¹¼½¾"]) => true,
        (_, [_, third, ..]) => {
            one_of(next, &[STRANGE, MONEY, CAPITALS])
                || one_of(*third, &[STRANGE]) && !one_of(next, &["…’–—\u{a0}\u{ad}·´° "])
                || one_of(next, &[FIGURES]) && one_of(*third, &[OPENS])
                || one_of(next, &[OPENS, CLOSES]) && one_of(*third, &[FIGURES])
                || one_of(next, &[CLOSES]) && one_of(*third, &[OPENS, MONEY])
                || one_of(next, &[CLOSES, FIGURES]) && one_of(*third, &[CAPITALS, SMALL])
        }
        _ => false,
    }
}

/// Spaces that must have been the byte A0 put back, where that gives characters in use: after C2, C3 and so on.
fn with_spaces(bytes: &[u8]) -> Vec<u8> {
    let mut found = Vec::with_capacity(bytes.len());
    let middle = |byte: u8| (0x80..0xc0).contains(&byte) && byte != 0xa0;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let size = match *rest {
            // "Ã la carte": the space after the letter was lost with the byte, but in Portuguese it is the same word.
            [0xc3, b' ', ref word @ ..] => {
                let joined: [&[u8]; 5] = [b" ", b"quele", b"quela", b"quilo", b"s "];
                found.extend([0xc3, 0xa0]);
                if !joined.iter().any(|end| word.starts_with(end)) {
                    found.push(b' ');
                }
                at += 2;
                continue;
            }
            [0xc2 | 0xc5 | 0xce | 0xd0 | 0xd9, b' ', ..] => 2,
            [0xe2 | 0xe3, b' ', third, ..] if middle(third) && third != 0x85 => 3,
            [0xe0..=0xe3, second, b' ', ..] if middle(second) && second != 0x85 => 3,
            [0xf0, ref rest @ ..] if rest.len() > 2 => {
                let spaces = count(&rest[..3], b' ');
                let others = rest[..3].iter().filter(|&&byte| (0x80..0xc0).contains(&byte)).count();
                if (spaces, others) == (1, 2) { 4 } else { 1 }
            }
            _ => 1,
        };
        found.extend(rest[..size].iter().map(|&byte| if size > 1 && byte == b' ' { 0xa0 } else { byte }));
        at += size;
    }
    found
}

/// Sequences with a lost byte as U+FFFD whole. A question mark may stand for one, too.
fn with_lost(bytes: &[u8]) -> Vec<u8> {
    let mut found = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let size = length(bytes[at].into()).max(1);
        let rest = bytes.get(at + 1..at + size).unwrap_or_default();
        let (lost, asked) = (count(rest, LOST), count(rest, b'?'));
        let whole = rest.iter().all(|byte| matches!(byte, 0x80..=0xbf | &LOST | b'?'));
        let known = asked < 2 && (size != 2 || asked == 0 || bytes[at] < 0xc4);
        if bytes[at] == LOST {
            found.extend("\u{fffd}".bytes());
            at += 1;
        } else if whole && known && lost + asked > 0 {
            found.extend("\u{fffd}".bytes());
            at += size;
        } else {
            found.push(bytes[at]);
            at += 1;
        }
    }
    found
}

fn count(bytes: &[u8], byte: u8) -> usize {
    bytes.iter().filter(|&&b| b == byte).count()
}
