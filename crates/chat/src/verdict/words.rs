//! The words of a verdict: which of them say acceptable, and which only look like it.

/// What a phrase says of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    Good,
    Bad,
    Abstain,
    /// It speaks of the verdict, and leaves it open: hedged, conditional, both at once.
    Unclear,
}

/// A word in lower case without decoration, or one of the signs `. , ; : / | ? -`.
pub type Token = String;

/// Words that mean a verdict wherever they stand alone.
const GOOD: &[&str] =
    &["acceptable", "accept", "accepted", "aceptable", "akzeptabel", "aceitável", "accettabile", "приемлемо"];
const BAD: &[&str] = &[
    "unacceptable",
    "unaccepted",
    "inacceptable",
    "reject",
    "rejected",
    "inaceptable",
    "inakzeptabel",
    "unakzeptabel",
    "inaceitável",
    "inaccettabile",
    "неприемлемо",
];
/// Words that mean one only as the whole answer, or behind a label.
const GOOD_ALONE: &[&str] = &["keep", "good", "high", "pass", "valuable", "suitable", "yes", "true"];
const BAD_ALONE: &[&str] =
    &["discard", "drop", "remove", "bad", "low", "fail", "worthless", "unsuitable", "poor", "no", "false"];
const ABSTAIN: &[&str] = &[
    "abstain",
    "abstained",
    "abstention",
    "abstaining",
    "undecided",
    "uncertain",
    "unsure",
    "unclear",
    "unknown",
    "undetermined",
    "indeterminate",
    "inconclusive",
];
const ABSTAIN_PHRASES: &[&str] = &[
    "i abstain",
    "not sure",
    "n / a",
    "not applicable",
    "cannot determine",
    "cannot be determined",
    "cannot decide",
    "cannot classify",
    "cannot be classified",
    "cannot judge",
    "cannot assess",
    "cannot say",
    "cant determine",
    "cant decide",
    "cant classify",
    "cant judge",
    "cant say",
    "can not classify",
    "can not determine",
    "unable to classify",
    "unable to determine",
    "unable to judge",
    "unable to decide",
    "unable to assess",
    "unable to make",
    "insufficient information",
    "insufficient data",
    "insufficient evidence",
    "not enough information",
    "not enough data",
    "no decision",
    "no verdict",
];
const HEDGES: &[&str] = &[
    "somewhat",
    "partially",
    "partly",
    "borderline",
    "marginally",
    "marginal",
    "potentially",
    "conditionally",
    "conditional",
    "possibly",
    "maybe",
    "perhaps",
    "might",
    "could",
    "may",
    "if",
    "neither",
    "mixed",
    "both",
    "either",
    "sometimes",
    "semi",
    "would",
];
/// Words that may stand between a label and its value, and say nothing.
const FILLERS: &[&str] = &[
    "the",
    "a",
    "an",
    "this",
    "that",
    "cluster",
    "is",
    "it",
    "its",
    "as",
    "be",
    "been",
    "was",
    "should",
    "clearly",
    "highly",
    "mostly",
    "overall",
    "therefore",
    "thus",
    "definitely",
    "completely",
    "totally",
    "very",
    "largely",
    "generally",
    "entirely",
    "fully",
    "strongly",
    "quite",
    "i",
    "id",
    "ill",
    "will",
    "say",
    "classify",
    "classified",
    "considered",
    "rated",
    "deemed",
    "judged",
    "labeled",
    "labelled",
    "marked",
    "assessed",
    "into",
    "in",
    "under",
    "to",
    "falls",
    "belongs",
    "category",
    "class",
    "label",
    "of",
    "my",
    "final",
    "so",
    "must",
    "indeed",
    "likely",
    "certainly",
    "obviously",
    "evidently",
    "absolutely",
    "do",
];
const NEGATIONS: &[&str] = &[
    "not", "isnt", "non", "never", "arent", "cannot", "cant", "dont", "doesnt", "no", "shouldnt", "wouldnt",
];

pub fn is_filler(word: &str) -> bool {
    // A single letter numbers a choice: `B) Unacceptable`.
    FILLERS.contains(&word)
        || word.len() == 1 && !is_sign(word)
        || word.bytes().all(|byte| byte.is_ascii_digit())
}

pub fn is_negation(word: &str) -> bool {
    NEGATIONS.contains(&word)
}

pub fn is_hedge(word: &str) -> bool {
    HEDGES.contains(&word)
}

pub fn is_sign(word: &str) -> bool {
    matches!(word, "." | "," | ";" | ":" | "/" | "|" | "?" | "-")
}

/// The words of a text, without markup: `**High-Value**!` is `high value`.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut text = text.to_lowercase();
    // Chinese has no spaces: phrases become words, the longer ones first.
    for (phrase, word) in [
        ("不可接受", " unacceptable "),
        ("不能接受", " unacceptable "),
        ("不接受", " unacceptable "),
        ("低价值", " low value "),
        ("无法判断", " abstain "),
        ("不确定", " abstain "),
        ("弃权", " abstain "),
        ("可接受", " acceptable "),
        ("可以接受", " acceptable "),
        ("接受", " acceptable "),
        ("高价值", " high value "),
        ("\\boxed", " "),
        ("\\text", " "),
    ] {
        text = text.replace(phrase, word);
    }
    let mut tokens: Vec<Token> = Vec::new();
    let mut word = String::new();
    let signs: Vec<char> = text.chars().collect();
    for (place, &sign) in signs.iter().enumerate() {
        let in_word = |place: usize| signs.get(place).is_some_and(|sign| sign.is_alphanumeric());
        let next = match sign {
            '\'' | '’' | '‘' if place > 0 && in_word(place - 1) && in_word(place + 1) => continue,
            _ if sign.is_alphanumeric() => {
                word.push(sign);
                continue;
            }
            // Between letters a hyphen joins words.
            '-' | '‑' if place > 0 && in_word(place - 1) && in_word(place + 1) => "",
            '.' | '。' | '!' | '！' => ".",
            ',' | '，' | '、' => ",",
            ';' | '；' => ";",
            ':' | '：' | '=' => ":",
            '/' => "/",
            '|' => "|",
            '?' | '？' => "?",
            '-' | '–' | '—' | '→' => "-",
            _ => "",
        };
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if !next.is_empty() {
            tokens.push(next.into());
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    tokens
}

/// The label at a place, and how many tokens it has. `alone` also takes words that mean a verdict only behind a label.
pub fn label(tokens: &[Token], at: usize, alone: bool) -> Option<(Sense, usize)> {
    let word = tokens.get(at)?.as_str();
    let next = tokens.get(at + 1).map_or("", String::as_str);
    let phrase = |phrase: &&&str| {
        phrase
            .split(' ')
            .enumerate()
            .all(|(place, part)| tokens.get(at + place).is_some_and(|word| word == part))
    };
    if let Some(phrase) = ABSTAIN_PHRASES.iter().find(phrase) {
        return Some((Sense::Abstain, phrase.split(' ').count()));
    }
    match (word, next) {
        ("high", "value") => return Some((Sense::Good, 2)),
        ("low", "value") => return Some((Sense::Bad, 2)),
        ("high", "quality") if alone => return Some((Sense::Good, 2)),
        ("low" | "poor", "quality") if alone => return Some((Sense::Bad, 2)),
        _ => {}
    }
    if is_negation(word) && !(alone && word == "no" && label(tokens, at + 1, true).is_none()) {
        let mut place = at + 1;
        while tokens.get(place).is_some_and(|word| is_filler(word)) {
            place += 1;
        }
        return match label(tokens, place, alone)? {
            (Sense::Good, length) => Some((Sense::Bad, place + length - at)),
            // "Not unacceptable" is praise to one reader and a shrug to another.
            (_, length) => Some((Sense::Unclear, place + length - at)),
        };
    }
    let is_in = |words: &[&str]| words.contains(&word);
    let sense = match () {
        () if is_in(GOOD) || (alone && is_in(GOOD_ALONE)) => Sense::Good,
        () if is_in(BAD) || (alone && is_in(BAD_ALONE)) => Sense::Bad,
        () if alone && is_in(ABSTAIN) => Sense::Abstain,
        () => return None,
    };
    Some((sense, 1))
}

/// What a value behind a label says: the label must lead it, but for words that say nothing. `None` when it says no verdict at all, and
/// when it repeats the choices (`Acceptable/Unacceptable`).
pub fn value(tokens: &[Token]) -> Option<Sense> {
    let mut hedged = false;
    let mut at = 0;
    loop {
        if let Some((sense, length)) = label(tokens, at, true) {
            return after(tokens, sense, at + length)
                .map(|sense| if hedged { Sense::Unclear } else { sense });
        }
        let word = tokens.get(at)?;
        hedged |= is_hedge(word);
        if !(is_filler(word) || is_hedge(word) || (is_sign(word) && word != "." && word != "?")) {
            return hedged.then_some(Sense::Unclear).filter(|_| at > 0 && tokens.len() <= 3);
        }
        at += 1;
        if at == tokens.len() {
            return hedged.then_some(Sense::Unclear);
        }
    }
}

/// What becomes of a label by what follows it at `next`.
pub fn after(tokens: &[Token], sense: Sense, next: usize) -> Option<Sense> {
    let word = tokens.get(next).map_or("", String::as_str);
    let other = |at: usize| label(tokens, at, true).is_some_and(|(other, _)| other != sense);
    match word {
        "/" | "|" if other(next + 1) => None,
        "or" | "vs" | "versus" if (1..=3).any(|more| other(next + more)) => None,
        "," | "but" if tokens[next..].iter().take(4).any(|word| word == "if") => Some(Sense::Unclear),
        "," if tokens.get(next + 1).is_some_and(|word| word == "or") && other(next + 2) => None,
        "and" | "-" if other(next + 1) => Some(Sense::Unclear),
        "?" | "if" | "only" | "unless" | "provided" => Some(Sense::Unclear),
        _ => Some(sense),
    }
}

/// Whether a phrase of abstaining stands anywhere.
pub fn abstains(tokens: &[Token]) -> bool {
    (0..tokens.len()).any(|at| matches!(label(tokens, at, false), Some((Sense::Abstain, _))))
}
