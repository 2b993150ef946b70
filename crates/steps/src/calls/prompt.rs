//! Prompts: text files with places to fill in. Ours are part of the program and carry a version in their name; a user's own is named by its
//! path. The text is part of the step's hash, so that another wording is another step.
use cribble_core::{Error, Result, name_hint};

/// The prompts in the program.
const SHIPPED: [(&str, &str); 6] = [
    ("clusters", include_str!("prompts/clusters.txt")),
    ("clusters-nearest", include_str!("prompts/clusters-nearest.txt")),
    ("vivid", include_str!("prompts/vivid.txt")),
    ("alt", include_str!("prompts/alt.txt")),
    ("tags", include_str!("prompts/tags.txt")),
    ("straightforward", include_str!("prompts/straightforward.txt")),
];

/// What divides the instructions from the question.
const DIVIDER: &str = "\n---\n";

/// A prompt, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    name: String,
    text: String,
    system: Option<Vec<Piece>>,
    user: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    /// Index in the list of places.
    Place(usize),
}

impl Prompt {
    /// A prompt of the program, or a file. `places` are the names that may stand in braces (`{caption}`; `{{` is a brace); each with its
    /// aliases, the first `needed` of which at least one must be there.
    pub fn load(name: &str, places: &[&[&str]], needed: usize) -> Result<Self> {
        let (name, text) = match SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            Some((name, text)) => (named(name), (*text).to_owned()),
            None => {
                let text = std::fs::read_to_string(name).map_err(|error| {
                    let known = SHIPPED.map(|(name, _)| name);
                    let hint = if name.contains(['/', '.']) {
                        format!("or name one of the program's: {}", known.join(", "))
                    } else {
                        name_hint(name, known)
                    };
                    Error::usage(format!("prompt = \"{name}\": {error}")).with_hint(hint)
                })?;
                (versioned(name, &text), text)
            }
        };
        let bad = |error: Error| error.context(format!("prompt {name}"));
        let (system, user) = match text.split_once(DIVIDER) {
            Some((system, user)) => (Some(pieces(system, places).map_err(bad)?), user),
            None => (None, text.as_str()),
        };
        let user = pieces(user, places).map_err(bad)?;
        let is_there = |place: usize| user.contains(&Piece::Place(place));
        if needed > 0 && !(0..needed).any(is_there) {
            let names: Vec<String> =
                places[..needed].iter().map(|names| format!("{{{}}}", names[0])).collect();
            return Err(Error::usage(format!("prompt {name} shows the model nothing"))
                .with_hint(format!("write one of {} where the samples shall stand", names.join(", "))));
        }
        Ok(Self { name, system, user, text })
    }

    /// Name and version, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text, for the step's hash.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Instructions and question, with `values` in the order of the places.
    pub fn fill(&self, values: &[&str]) -> (Option<String>, String) {
        let fill = |pieces: &[Piece]| -> String {
            pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Place(place) => values.get(*place).copied().unwrap_or_default(),
                })
                .collect::<String>()
                .trim()
                .to_owned()
        };
        (self.system.as_deref().map(fill), fill(&self.user))
    }
}

/// The text of a prompt by the name that a report has for it: one of the program's, or a file that is still the same. `None` where it
/// cannot be had any more.
pub fn prompt_text(name: &str) -> Option<String> {
    if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| named(shipped) == name) {
        return Some((*text).to_owned());
    }
    let (path, _) = name.rsplit_once(" (")?;
    let text = std::fs::read_to_string(path).ok()?;
    (versioned(path, &text) == name).then_some(text)
}

/// A prompt of the program, with its version.
fn named(shipped: &str) -> String {
    format!("{shipped}-1")
}

/// A file, with the beginning of its hash.
fn versioned(path: &str, text: &str) -> String {
    let version: String = blake3::hash(text.as_bytes()).to_hex().chars().take(8).collect();
    format!("{path} ({version})")
}

/// Cuts a text at its places. The rules are those of Python's `str.format`, so that prompts of the luvdatacomp flow can be used as they are.
fn pieces(text: &str, places: &[&[&str]]) -> Result<Vec<Piece>> {
    let (mut pieces, mut plain) = (Vec::new(), String::new());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            plain.push_str(brace);
            rest = after;
            continue;
        }
        let known = || places.iter().map(|names| format!("{{{}}}", names[0])).collect::<Vec<_>>().join(", ");
        let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") else {
            return Err(Error::usage(format!("a lone '{brace}'"))
                .with_hint(format!("write {brace}{brace} for a brace; places are {}", known())));
        };
        let Some(place) = places.iter().position(|names| names.contains(&name)) else {
            return Err(Error::usage(format!("there is no place {{{name}}}"))
                .with_hint(format!("write {{{{ and }}}} for braces; places are {}", known())));
        };
        pieces.push(Piece::Text(std::mem::take(&mut plain)));
        pieces.push(Piece::Place(place));
        rest = after;
    }
    plain.push_str(rest);
    pieces.push(Piece::Text(plain));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [&[&str]; 2] = [&["nearest", "closest_samples"], &["size"]];

    #[test]
    fn places_are_filled_and_braces_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.txt");
        let load = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Prompt::load(file.to_str().unwrap(), &PLACES, 1)
        };
        let prompt = load("Be brief.\n---\n{{\"n\": {size}}}\n{closest_samples}\n").unwrap();
        let (system, user) = prompt.fill(&["- {a}", "7"]);
        assert_eq!(system.as_deref(), Some("Be brief."));
        assert_eq!(user, "{\"n\": 7}\n- {a}");
        assert!(prompt.name().contains("p.txt ("));
        for (text, what) in [
            ("{nearest", "lone '{'"),
            ("{nearest} }", "lone '}'"),
            ("{nearest} {other}", "{other}"),
            ("{size}", "shows the model nothing"),
        ] {
            assert!(load(text).unwrap_err().message().contains(what), "{text}");
        }
        assert!(Prompt::load("clustres", &PLACES, 1).unwrap_err().hint().unwrap().contains("clusters"));
    }
}
