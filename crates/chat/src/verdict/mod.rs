//! What a judge's reply says: a verdict, a reason, a title, a category, a language and flags, from JSON or free text in every form that
//! models give. What a person could read in two ways is [`Verdict::Unparsed`]: never a guess, never dropped.
mod fields;
mod json;
mod names;
mod text;
mod words;

use json::Value;
use names::Name;
use serde::{Deserialize, Serialize};
use words::Sense;

/// What a judge says of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Worth keeping.
    Acceptable,
    /// Not worth keeping.
    Unacceptable,
    /// The judge said that it cannot or will not say.
    Abstained,
    /// The reply says nothing, or more than one thing.
    Unparsed,
}

/// A reply as it was understood. Fields that it does not have are `None` or empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<String>,
    /// A name for the cluster.
    pub title: Option<String>,
    /// Its subject.
    pub category: Option<String>,
    /// Its language, as the judge wrote it.
    pub language: Option<String>,
    /// Warnings in lower case with `_`, such as `repetitive`, `placeholder_text`, `adult`, `watermark`; in order, each once.
    pub flags: Vec<String>,
}

/// A verdict that something in a reply speaks for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Evidence {
    sense: Sense,
    /// How it was said; the lowest class that there is decides alone.
    class: Class,
    /// Whether it says that it is the last word.
    last: bool,
    /// Where, in bytes of the reply.
    at: usize,
}

/// How a verdict was said, the plainest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Behind a label, or as a field of JSON.
    Labelled,
    /// Behind a word that may be a label: `Quality: low`.
    Perhaps,
    /// A line of its own, or the beginning of one.
    Bare,
    /// A sentence: `I would classify this cluster as acceptable`.
    Declared,
    /// A sentence of abstaining.
    Declined,
}

/// Reads a reply.
pub fn read(reply: &str) -> Reading {
    let mut reading = Reading {
        verdict: Verdict::Unparsed,
        reason: None,
        title: None,
        category: None,
        language: None,
        flags: Vec::new(),
    };
    // Some servers hand a text on as JSON once more.
    let unwrapped: Option<String> = serde_json::from_str(reply).ok();
    let spoken = text::without_thoughts(unwrapped.as_deref().unwrap_or(reply));
    let mut evidence = Vec::new();
    let mut rest = text::without_tags(spoken);
    for (place, object) in json::objects(spoken) {
        if from_json(&object, place.start, &mut evidence, &mut reading) {
            // What was read as JSON is not read again as text; the places of the rest stay.
            rest.replace_range(place.clone(), &" ".repeat(place.len()));
        }
    }
    fields::fields(&rest, &mut reading);
    text::evidence(&rest, &mut evidence);
    reading.verdict = settle(&mut evidence);
    reading
}

/// Takes what an object says; whether it says anything that we know.
fn from_json(object: &Value, at: usize, evidence: &mut Vec<Evidence>, reading: &mut Reading) -> bool {
    let Value::Object(pairs) = object else { return false };
    let mut known = false;
    for (key, value) in pairs {
        // `finalClassification` and `final_classification` are two words.
        let mut spaced = String::new();
        for sign in key.chars() {
            if sign.is_uppercase() && spaced.ends_with(char::is_lowercase) {
                spaced.push(' ');
            }
            spaced.push(if sign == '_' { ' ' } else { sign });
        }
        let words = words::tokens(&spaced);
        let Some((name, last)) = names::name(&words) else {
            let is_flag = fields::is_flag(&spaced);
            match value {
                Value::Bool(true) if is_flag => fields::add_flag(&spaced, &mut reading.flags),
                Value::Bool(_) => {}
                Value::Object(_) => known |= from_json(value, at, evidence, reading),
                Value::List(values) => {
                    for value in values {
                        known |= from_json(value, at, evidence, reading);
                    }
                }
                _ => continue,
            }
            known |= is_flag;
            continue;
        };
        known = true;
        if let Some(class) = name.class() {
            let word = match value {
                Value::Text(text) => text.clone(),
                Value::Bool(value) => value.to_string(),
                Value::List(values) => match &values[..] {
                    [Value::Text(text)] => text.clone(),
                    _ => continue,
                },
                Value::Object(_) => {
                    from_json(value, at, evidence, reading);
                    continue;
                }
                _ => continue,
            };
            if let Some(sense) = words::value(&words::tokens(&word)) {
                evidence.push(Evidence { sense, class, last, at });
            }
            continue;
        }
        match (name, value) {
            (Name::Flags, _) => flags(value, &mut reading.flags),
            (_, Value::Text(text)) => fields::set_field(reading, name, text),
            (Name::Reason, Value::List(values)) => {
                let texts: Vec<&str> = values
                    .iter()
                    .filter_map(
                        |value| if let Value::Text(text) = value { Some(text.as_str()) } else { None },
                    )
                    .collect();
                fields::set_field(reading, name, &texts.join(" "));
            }
            _ => {}
        }
    }
    known
}

fn flags(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Text(text) => text.split([',', ';']).for_each(|flag| fields::add_flag(flag, into)),
        Value::List(values) => values.iter().for_each(|value| flags(value, into)),
        Value::Object(pairs) => {
            let set = pairs.iter().filter(|(_, value)| *value == Value::Bool(true));
            set.for_each(|(name, _)| fields::add_flag(name, into));
        }
        _ => {}
    }
}

/// The verdict of the plainest class. Where it contradicts itself, what says that it is the last word counts if nothing contradicts it
/// after.
fn settle(evidence: &mut Vec<Evidence>) -> Verdict {
    let Some(class) = evidence.iter().map(|one| one.class).min() else { return Verdict::Unparsed };
    evidence.retain(|one| one.class == class);
    evidence.sort_by_key(|one| one.at);
    let agreed = |all: &[Evidence]| all.iter().all(|one| one.sense == all[0].sense).then_some(all[0].sense);
    let sense = agreed(evidence).or_else(|| {
        let last: Vec<Evidence> = evidence.iter().copied().filter(|one| one.last).collect();
        let ends = evidence.last().is_some_and(|one| one.last);
        if ends { agreed(&last) } else { None }
    });
    match sense {
        Some(Sense::Good) => Verdict::Acceptable,
        Some(Sense::Bad) => Verdict::Unacceptable,
        Some(Sense::Abstain) => Verdict::Abstained,
        Some(Sense::Unclear) | None => Verdict::Unparsed,
    }
}

/// What several votes say together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Majority {
    /// The verdict with most votes; a tie for the most is an abstention.
    pub verdict: Verdict,
    /// The share of all votes that the most frequent verdict has, 0 to 1; 0 without votes.
    pub agreement: f64,
    /// All votes.
    pub votes: usize,
}

/// Counts votes. Abstentions and unparsed replies are votes of their own: two of them outvote one verdict. No votes are unparsed.
pub fn majority(votes: &[Verdict]) -> Majority {
    use Verdict::{Abstained, Acceptable, Unacceptable, Unparsed};
    let count = |verdict| votes.iter().filter(|&&vote| vote == verdict).count();
    let counts = [Acceptable, Unacceptable, Abstained, Unparsed].map(|verdict| (count(verdict), verdict));
    let most = counts.iter().map(|&(count, _)| count).max().unwrap_or(0);
    let mut winners = counts.iter().filter(|&&(count, _)| count == most);
    let verdict = match (votes.len(), winners.next(), winners.next()) {
        (0, ..) => Unparsed,
        (_, Some(&(_, verdict)), None) => verdict,
        _ => Abstained,
    };
    Majority { verdict, agreement: most as f64 / votes.len().max(1) as f64, votes: votes.len() }
}
