//! What a model answered becomes a caption, or the word for why not. Small vision-language models think aloud, introduce themselves, quote,
//! refuse, loop and stop in the middle of a word; each has its rule here, and the table of tests below shows real ones.
use super::openings::without_opening;

/// There is a caption.
pub const OK: &str = "ok";
/// The model would not.
pub const REFUSED: &str = "refused";
/// Nothing was left.
pub const EMPTY: &str = "empty";
/// Fewer characters than wanted.
pub const TOO_SHORT: &str = "too_short";
/// More characters than wanted.
pub const TOO_LONG: &str = "too_long";
/// The tokens ended before the first sentence did.
pub const CUT: &str = "cut";
/// Another language than wanted.
pub const WRONG_LANGUAGE: &str = "wrong_language";
/// The same words again and again.
pub const REPEATS: &str = "repeats";

/// A caption as it should be.
#[derive(Debug, PartialEq)]
pub struct Clean {
    pub text: String,
    /// Whether an opening was taken away.
    pub stripped: bool,
}

/// The caption in an answer. `finish` is the server's reason for its end. Lengths and language are not judged.
pub fn from_answer(answer: &str, finish: Option<&str>, strip: bool) -> Result<Clean, &'static str> {
    let text = without_thoughts(answer);
    let text = without_labels(&one_line(&text));
    if text.is_empty() {
        return Err(if finish == Some("length") { CUT } else { EMPTY });
    }
    if finish == Some("content_filter") || is_refusal(&text) {
        return Err(REFUSED);
    }
    // A loop ends when the tokens do, so it is looked for before the cut.
    if repeats(&text) {
        return Err(REPEATS);
    }
    let text = if finish == Some("length") { whole_sentences(&text).ok_or(CUT)? } else { &text };
    Ok(strip_opening(text, strip))
}

/// A caption that people wrote, tidied by the rules that are safe for any text: white space, quotes around it, the opening.
pub fn by_rules(text: &str, strip: bool) -> Result<Clean, &'static str> {
    let text = one_line(text);
    let text = unwrapped(&text);
    if text.is_empty() {
        return Err(EMPTY);
    }
    Ok(strip_opening(text, strip))
}

fn strip_opening(text: &str, strip: bool) -> Clean {
    match without_opening(text).filter(|_| strip) {
        Some(rest) => Clean { text: capital(rest), stripped: true },
        None => Clean { text: text.into(), stripped: false },
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// White space to single spaces; what marks the end of an answer in some templates goes.
fn one_line(text: &str) -> String {
    let text = text.trim();
    let text = ["<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<end_of_turn>", "</s>"]
        .iter()
        .fold(text, |text, mark| text.trim_end_matches(mark).trim_end());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without `<think>…</think>`. A thought that was opened by the template has only an end, one that ran out of tokens only a beginning.
fn without_thoughts(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    for (open, close) in [("<think>", "</think>"), ("<thinking>", "</thinking>")] {
        if let Some((before, after)) = rest.split_once(close)
            && !before.contains(open)
        {
            rest = after;
        }
    }
    while let Some((before, thought)) = rest.split_once("<think") {
        kept += before;
        rest = match thought.find("</think") {
            Some(end) => thought[end..].split_once('>').map_or("", |(_, rest)| rest),
            None => "",
        };
    }
    kept + rest
}

/// What stands before a colon when a model announces its caption.
const ANNOUNCED: [&str; 12] = [
    "caption",
    "captions",
    "description",
    "alt text",
    "alt-text",
    "rewritten caption",
    "rewrite",
    "sentence",
    "version",
    "tags",
    "answer",
    "output",
];
/// How an announcement begins.
const ANNOUNCES: [&str; 10] = [
    "here is",
    "here's",
    "here are",
    "sure",
    "certainly",
    "of course",
    "okay",
    "absolutely",
    "a possible",
    "the following",
];

/// Without "Caption:", "Sure! Here is a caption for this image:" and what wraps the whole.
fn without_labels(text: &str) -> String {
    let mut text = unwrapped(text);
    // "Sure! Here is …: **Caption:** …" has two.
    for _ in 0..2 {
        let Some((head, rest)) = text.split_once(':') else { break };
        let plain = head.trim_matches(['*', '#', '_', '"', ' ']).to_lowercase().replace('’', "'");
        let names = |plain: &str| {
            ANNOUNCED.iter().any(|name| {
                plain.split_whitespace().any(|word| word == *name) || plain.contains(&format!(" {name}"))
            })
        };
        let announced = ANNOUNCED.contains(&plain.as_str())
            || (plain.len() <= 100
                && ANNOUNCES.iter().any(|opening| plain.starts_with(opening))
                && names(&plain));
        if !announced {
            break;
        }
        // Of `**Caption:** A dog` the second pair of marks belongs to the label.
        let rest = if head.starts_with(['*', '_', '#']) { rest.trim_start_matches(['*', '_']) } else { rest };
        text = unwrapped(rest);
    }
    text.into()
}

/// Without quotes and markup around the whole.
fn unwrapped(text: &str) -> &str {
    const PAIRS: [(&str, &str); 10] = [
        ("```", "```"),
        ("**", "**"),
        ("__", "__"),
        ("\"", "\""),
        ("“", "”"),
        ("„", "“"),
        ("«", "»"),
        ("`", "`"),
        ("*", "*"),
        ("'", "'"),
    ];
    let mut text = text.trim().trim_start_matches('#').trim_start();
    while let Some(inner) = PAIRS.iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(open)?.strip_suffix(close)?;
        // In `"Stop" and "Go"` the first mark closes before the last one; a mark behind a letter closes.
        let first = inner.find(close);
        let wraps =
            first.is_none_or(|at| inner[..at].ends_with(' ') || (*close == "'" && is_apostrophe(inner, at)));
        wraps.then_some(inner.trim())
    }) {
        text = inner;
    }
    text
}

/// Whether the mark at `at` stands inside a word.
fn is_apostrophe(text: &str, at: usize) -> bool {
    text[at + 1..].starts_with(char::is_alphabetic)
}

/// What models say that they cannot do. "I can't believe it" is a print on a shirt.
const REFUSED_DEEDS: [&str; 27] = [
    "assist",
    "help",
    "provide",
    "describe",
    "see",
    "view",
    "identify",
    "fulfill",
    "fulfil",
    "comply",
    "generate",
    "create",
    "make",
    "do",
    "access",
    "process",
    "determine",
    "write",
    "caption",
    "rewrite",
    "continue",
    "engage",
    "discuss",
    "answer",
    "complete",
    "recognize",
    "analyze",
];
/// What stands before such a deed.
const UNABLE: [&str; 14] = [
    "i cannot",
    "i can't",
    "i can not",
    "i am unable to",
    "i'm unable to",
    "i am not able to",
    "i'm not able to",
    "i won't",
    "i will not",
    "i could not",
    "i couldn't",
    "unable to",
    "i must decline to",
    "i'm not comfortable",
];
/// Beginnings that no caption has.
const REFUSALS: [&str; 30] = [
    "i'm sorry, but",
    "i am sorry, but",
    "i'm sorry but",
    "i am sorry but",
    "i'm sorry, i",
    "i am sorry, i",
    "i'm sorry. i",
    "sorry, but i",
    "sorry, i",
    "sorry, as an ai",
    "i apologize",
    "my apologies",
    "apologies, but",
    "as an ai language",
    "as an ai model",
    "as an ai assistant",
    "as an ai,",
    "as a language model",
    "as a large language model",
    "unfortunately, i",
    "unfortunately i",
    "i don't see an image",
    "i don't see any image",
    "i do not see",
    "i don't have the ability",
    "there is no image",
    "no image was provided",
    "no image provided",
    "please provide the image",
    "please upload",
];

fn is_refusal(text: &str) -> bool {
    let start: String = text.chars().take(80).collect::<String>().to_lowercase().replace('’', "'");
    let whole = start.trim_end_matches(['.', '!']);
    if REFUSALS.iter().any(|refusal| start.starts_with(refusal))
        || matches!(whole, "i'm sorry" | "i am sorry" | "sorry")
    {
        return true;
    }
    UNABLE.iter().filter_map(|unable| start.strip_prefix(unable)).any(|rest| {
        let word = rest
            .split_whitespace()
            .find(|word| !matches!(*word, "to" | "directly" | "actually" | "currently"));
        let word = word.unwrap_or_default().trim_end_matches(|c: char| !c.is_alphanumeric());
        rest.starts_with(' ') && REFUSED_DEEDS.contains(&word)
    })
}

/// Whether a phrase comes many times in a row, as when a small model loops: a word 6 times, a phrase of up to three words 4 times, a longer
/// one (of up to 30 words) 3 times. In scripts without spaces, up to eight characters 12 times.
fn repeats(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .collect();
    let enough = |length: usize| match length {
        1 => 6,
        2..=3 => 4,
        _ => 3,
    };
    let chars: Vec<char> = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    (1..=30).any(|length| in_a_row(&words, length) >= enough(length))
        || (1..=8).any(|length| in_a_row(&chars, length) >= 12)
}

/// How often a unit of `length` items comes in a row, at most.
fn in_a_row<T: PartialEq>(items: &[T], length: usize) -> usize {
    let (mut best, mut same) = (0, 0);
    for at in length..items.len() {
        same = if items[at] == items[at - length] { same + 1 } else { 0 };
        best = best.max(same);
    }
    if best < length { 1 } else { 1 + best / length }
}

/// The sentences that are whole.
fn whole_sentences(text: &str) -> Option<&str> {
    const SHORT: [&str; 10] = ["mr", "mrs", "ms", "dr", "st", "no", "vs", "e.g", "i.e", "approx"];
    let end = text.char_indices().rev().find_map(|(at, c)| {
        let after = at + c.len_utf8();
        let closing = text[after..]
            .chars()
            .take_while(|c| matches!(c, '"' | '”' | '’' | ')' | '\''))
            .map(char::len_utf8);
        let after = after + closing.sum::<usize>();
        let ends = match c {
            '。' | '！' | '？' => true,
            '.' | '!' | '?' | '…' => {
                let word = text[..at].rsplit([' ', '(']).next().unwrap_or_default().to_lowercase();
                let is_initial = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
                (after == text.len() || text[after..].starts_with(' '))
                    && (c != '.' || !(SHORT.contains(&word.as_str()) || is_initial))
            }
            _ => false,
        };
        ends.then_some(after)
    })?;
    Some(&text[..end])
}

#[cfg(test)]
mod tests;
