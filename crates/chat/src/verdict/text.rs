//! A reply in free text: what is thought aloud is cut off, then lines and sentences are searched for labels, labels' values, and
//! sentences that declare a verdict.
use super::{
    Class, Evidence,
    names::{self, Name},
    words::{self, Sense, Token},
};

/// Words of a verb that gives a verdict.
const DECLARES: &[&str] = &[
    "classify",
    "classified",
    "classifying",
    "label",
    "labeled",
    "labelled",
    "deem",
    "deemed",
    "consider",
    "considered",
    "judge",
    "judged",
    "rate",
    "rated",
    "mark",
    "marked",
    "categorize",
    "categorized",
    "categorise",
    "categorised",
    "assess",
    "assessed",
    "verdict",
    "classification",
    "answer",
    "decision",
    "conclusion",
    "judgment",
    "judgement",
    "falls",
    "fall",
    "belongs",
];
const SUBJECTS: &[&str] = &["cluster", "it", "its", "this", "set", "group"];
/// What may follow a declared label without making it part of something else ("acceptable English").
const FOLLOWERS: &[&str] = &[
    "because",
    "due",
    "since",
    "as",
    "for",
    "based",
    "given",
    "cluster",
    "category",
    "and",
    "but",
    "with",
    "overall",
    "according",
    "in",
    "to",
    "at",
    "by",
    "on",
    "despite",
    "although",
    "though",
    "while",
    "here",
    "clip",
    "training",
    "class",
    "label",
    "one",
];
/// A sentence with these does not declare: it asks, supposes, or tells what others hold.
const SUPPOSES: &[&str] = &[
    "if",
    "whether",
    "unless",
    "could",
    "might",
    "may",
    "hard",
    "difficult",
    "when",
    "example",
    "either",
    "task",
    "asked",
    "previously",
    "initially",
];
const CORRECTS: &[&str] = &[
    "actually",
    "correction",
    "reconsidering",
    "reconsider",
    "reflection",
    "revise",
    "revised",
    "wait",
    "instead",
];

/// The reply without thoughts: behind the last closing tag; nothing when thinking never ended.
pub fn without_thoughts(reply: &str) -> &str {
    let mut text = reply;
    // The final channel of gpt-oss.
    if let Some((_, last)) = text.rsplit_once("<|channel|>final<|message|>") {
        text = last;
    }
    // Only ASCII is lowered, so places stay.
    let lower = text.to_ascii_lowercase();
    let tags = ["think", "thinking", "thought", "reasoning", "scratchpad", "reflection"];
    let last_of = |form: &dyn Fn(&str) -> String| {
        tags.iter().filter_map(|tag| lower.rfind(&form(tag)).map(|at| (at, form(tag).len()))).max()
    };
    let closed = last_of(&|tag| format!("</{tag}>"));
    let opened = last_of(&|tag| format!("<{tag}>"));
    match (opened, closed) {
        (Some((open, _)), None) => &text[..open],
        (Some((open, _)), Some((close, length))) if open > close => &text[close + length..open],
        (_, Some((close, length))) if !text[close + length..].trim().is_empty() => &text[close + length..],
        // Thoughts at the end: the answer stood before them.
        (Some((open, _)), Some(_)) => &text[..open],
        (None, Some(_)) => "",
        (None, None) => text,
    }
}

/// Makes `<verdict>Acceptable</verdict>` a line `verdict:Acceptable`, byte for byte of the same length.
pub fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        let (before, tag) = rest.split_at(open);
        plain.push_str(before);
        let name = tag[1..].trim_start_matches('/');
        let length =
            name.find(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_')).unwrap_or(name.len());
        let start = tag.len() - name.len();
        if length == 0 || !name[length..].starts_with('>') {
            plain.push('<');
            rest = &tag[1..];
            continue;
        }
        if start == 1 {
            plain.push_str(&format!("\n{}:", &name[..length]));
        } else {
            plain.push_str(&"\n".repeat(start + length + 1));
        }
        rest = &name[length + 1..];
    }
    plain + rest
}

/// A line's beginning without marks of lists, headings, quotes and tables.
pub fn bare_line(line: &str) -> &str {
    let line = line.trim_start_matches(|sign: char| !sign.is_alphanumeric());
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    match line[digits..].strip_prefix(['.', ')', '、']) {
        Some(rest) if (1..=2).contains(&digits) => {
            rest.trim_start_matches(|sign: char| !sign.is_alphanumeric())
        }
        _ => line,
    }
}

/// Splits `name: value` at its first separator. Both may be empty.
pub fn split(segment: &str) -> Option<(&str, &str)> {
    let place = [":", "：", "=>", "=", "->", "→", " – ", " — ", " - ", "—", "|", "\t"]
        .iter()
        .filter_map(|separator| segment.find(separator).map(|place| (place, separator.len())))
        .min_by_key(|&(place, length)| (place, usize::MAX - length));
    place.map(|(place, length)| (&segment[..place], &segment[place + length..]))
}

/// Sentences of a line, with where they begin.
fn sentences(line: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start = 0;
    let signs: Vec<(usize, char)> = line.char_indices().collect();
    for (number, &(place, sign)) in signs.iter().enumerate() {
        let ends = match sign {
            '。' | '；' | ';' => true,
            // A dot after a digit is a list's, one without a space behind is a name's. Markup may close between.
            '.' | '!' | '?' => {
                signs
                    .get(number + 1)
                    .is_none_or(|&(_, next)| next.is_whitespace() || matches!(next, '*' | '"' | ')'))
                    && !(sign == '.' && line[start..place].trim().bytes().all(|byte| byte.is_ascii_digit()))
            }
            _ => false,
        };
        if ends {
            let end = place + sign.len_utf8();
            found.push((start, &line[start..end]));
            start = end;
        }
    }
    found.push((start, &line[start..]));
    found.retain(|(_, sentence)| !sentence.trim().is_empty());
    found
}

/// Collects what a text says for one verdict or the other.
pub fn evidence(text: &str, into: &mut Vec<Evidence>) {
    let before = into.len();
    let mut heading: Option<(Class, bool)> = None;
    let mut start = 0;
    for line in text.split('\n') {
        let at = start;
        start += line.len() + 1;
        let clean = bare_line(line);
        let tokens = words::tokens(clean);
        if tokens.is_empty() {
            continue;
        }
        // The line under a heading is its value.
        if let Some((class, last)) = heading.take()
            && let Some(sense) = words::value(&tokens)
        {
            into.push(Evidence { sense, class, last, at });
            continue;
        }
        let sentences = sentences(clean);
        let mut only_label = true;
        for &(place, sentence) in &sentences {
            only_label &= labelled(sentence, at + place, into, &mut heading);
        }
        if only_label {
            continue;
        }
        bare(&tokens, at, into);
        for (place, sentence) in sentences {
            declared(&words::tokens(sentence), at + place, into);
        }
    }
    if into.len() == before {
        let tokens = words::tokens(text);
        // The whole reply is one word, which needs no label then. `Yes` and `No` answer a question that we do not know.
        if let ([word], Some((sense, 1))) = (&tokens[..], words::label(&tokens, 0, true))
            && !matches!(word.as_str(), "yes" | "no" | "true" | "false")
        {
            into.push(Evidence { sense, class: Class::Bare, last: false, at: 0 });
        }
        if refuses(&tokens) || words::abstains(&tokens) {
            into.push(Evidence { sense: Sense::Abstain, class: Class::Declined, last: false, at: 0 });
        }
    }
}

/// Whether a reply begins as models decline: "I'm sorry", "I can't help". "I cannot find a fault" is none.
fn refuses(tokens: &[Token]) -> bool {
    let words: Vec<&str> = tokens.iter().map(String::as_str).filter(|word| *word != "to").take(4).collect();
    let verb = match words[..] {
        ["sorry", ..] | ["im", "sorry", ..] | ["i", "am", "sorry", ..] | ["as", "an", "ai", ..] => {
            return true;
        }
        ["i", "cannot" | "cant", verb, ..] | ["im", "unable", verb, ..] | ["i", "am", "unable", verb] => verb,
        _ => return false,
    };
    let refused = [
        "help", "assist", "comply", "provide", "fulfill", "process", "view", "see", "access", "answer",
        "give",
    ];
    refused.contains(&verb)
}

/// A sentence of the form `name: value`, or a heading; whether it was one that is understood.
fn labelled(
    sentence: &str,
    at: usize,
    into: &mut Vec<Evidence>,
    heading: &mut Option<(Class, bool)>,
) -> bool {
    let sentence = bare_line(sentence);
    let (left, right) = split(sentence).unwrap_or((sentence, ""));
    let (left, value) = (words::tokens(left), words::tokens(right));
    let Some((name, last)) = names::name(&left) else { return false };
    let Some(class) = name.class() else {
        // Another field: a value of its own cannot be the verdict, but for "Category: High Value".
        if name == Name::Category
            && let Some(sense) = exact(&value)
        {
            into.push(Evidence { sense, class: Class::Perhaps, last, at });
        }
        return true;
    };
    let is_heading = value.iter().all(|word| !word.chars().any(char::is_alphanumeric));
    if is_heading {
        // A heading is a label and nothing else; a sentence that has the word, or the verdict already, is none.
        let says = (0..left.len()).any(|at| words::label(&left, at, false).is_some());
        let is_short = left.len() <= 4 || sentence.trim_end().ends_with([':', '：', '*']);
        if is_short && !says && name != Name::Question {
            *heading = Some((class, last));
            return true;
        }
        return false;
    }
    match words::value(&value) {
        Some(sense) => {
            into.push(Evidence { sense, class, last, at });
            true
        }
        None => false,
    }
}

/// A value that is a label and nothing else, in words that need no label of their own.
fn exact(tokens: &[Token]) -> Option<Sense> {
    let tokens: Vec<Token> =
        tokens.iter().filter(|word| !matches!(word.as_str(), "." | "," | "|")).cloned().collect();
    words::label(&tokens, 0, false).filter(|(_, length)| *length == tokens.len()).map(|(sense, _)| sense)
}

/// A line that is a label, or begins with one and goes on behind a sign: `Unacceptable - spam`.
fn bare(tokens: &[Token], at: usize, into: &mut Vec<Evidence>) {
    let Some((sense, length)) = words::label(tokens, 0, false) else {
        // `Verdict Acceptable`, without a separator.
        if names::name(&tokens[..1]).is_some_and(|(name, _)| name == Name::Verdict)
            && let Some(sense) = exact(&tokens[1..])
        {
            into.push(Evidence { sense, class: Class::Labelled, last: false, at });
        }
        return;
    };
    let next = tokens.get(length).map_or(".", String::as_str);
    if matches!(
        next,
        "." | ","
            | ";"
            | ":"
            | "-"
            | "|"
            | "/"
            | "because"
            | "due"
            | "since"
            | "for"
            | "?"
            | "or"
            | "cluster"
    ) && let Some(sense) = words::after(tokens, sense, length)
    {
        into.push(Evidence { sense, class: Class::Bare, last: false, at });
    }
}

/// A sentence that declares: a verb of judging, or the cluster as its subject, right before the label.
fn declared(tokens: &[Token], at: usize, into: &mut Vec<Evidence>) {
    let mut place = 0;
    while place < tokens.len() {
        let Some((sense, length)) = words::label(tokens, place, false) else {
            place += 1;
            continue;
        };
        let (start, end) = (place, place + length);
        place = end;
        let next = tokens.get(end).map_or(".", String::as_str);
        let follows = next.chars().all(|sign| !sign.is_alphanumeric())
            || FOLLOWERS.contains(&next)
            || next == "or"
            || next == "if";
        // Where the words that govern the label begin.
        let governors = (0..start).rev().take_while(|&before| {
            let word = &tokens[before];
            words::is_filler(word)
                || DECLARES.contains(&word.as_str())
                || SUBJECTS.contains(&word.as_str())
                || words::is_negation(word)
                || word == ":"
        });
        let first = governors.last().unwrap_or(start);
        // The label may begin with its negation: `isn't`, `cannot be considered`.
        let has = |list: &[&str]| tokens[first..end].iter().any(|word| list.contains(&word.as_str()));
        let is_subject = has(SUBJECTS) && has(&["is", "isnt", "its", "falls", "belongs"]);
        if !follows || !(has(DECLARES) || is_subject) || sense == Sense::Abstain {
            continue;
        }
        let supposes = tokens[..start].iter().any(|word| SUPPOSES.contains(&word.as_str()))
            || tokens.starts_with(&["to".to_string(), "be".to_string()]);
        let negated = tokens[first.saturating_sub(1)..start].iter().any(|word| words::is_negation(word));
        let Some(followed) = words::after(tokens, sense, end).filter(|_| !supposes && next != "?") else {
            continue;
        };
        let sense = match (followed, negated) {
            (Sense::Good, true) => Sense::Bad,
            (_, true) => Sense::Unclear,
            (sense, false) => sense,
        };
        let corrects = tokens.iter().any(|word| CORRECTS.contains(&word.as_str()));
        let class = if corrects { Class::Labelled } else { Class::Declared };
        into.push(Evidence { sense, class, last: corrects, at: at + 1 });
    }
}
