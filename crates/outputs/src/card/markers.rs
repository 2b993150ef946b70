//! A card in a file that a person writes in too: between the markers stands what we write, and everything else is theirs.
use cribble_core::{Error, Result};

const BEGIN: &str = "<!-- cribble:begin -->";
const END: &str = "<!-- cribble:end -->";
const YAML_BEGIN: &str = "# cribble:begin";
const YAML_END: &str = "# cribble:end";
/// What opens and closes the front matter.
const RULE: &str = "---";

/// Whether a line is one of the markers of the text.
pub fn is_marker(line: &str) -> bool {
    let line = line.trim();
    line == BEGIN || line == END
}

/// What a card is made of.
pub struct Parts {
    /// The front matter as key and lines, the lines with the key's own.
    pub yaml: Vec<(&'static str, String)>,
    /// The text.
    pub text: String,
}

/// The card, and what a person should know of how it came about.
pub struct Merged {
    /// The whole file.
    pub file: String,
    /// A sentence each.
    pub notes: Vec<String>,
}

/// Puts a card into the text of a file, which is empty where there is none. What stands outside of markers stays byte for byte, apart from line
/// ends, which become one newline. A file without markers keeps all its text, and ours comes behind it. A key of the front matter that a person
/// wrote outside of our markers counts, and ours is left out.
///
/// # Errors
/// Markers that do not come in pairs; front matter without an end.
pub fn merge(before: &str, parts: &Parts) -> Result<Merged> {
    let before = before.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let (front, body) = front_matter(&before)?;
    let mut notes = Vec::new();

    let theirs = front.map(|front| cut(front, YAML_BEGIN, YAML_END)).transpose()?;
    let (above, below) = theirs.map_or(("", ""), |(above, _, below)| (above, below));
    let keys: Vec<&str> = above.lines().chain(below.lines()).filter_map(key).collect();
    let (left_out, ours): (Vec<_>, Vec<_>) = parts.yaml.iter().partition(|(key, _)| keys.contains(key));
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(|(key, _)| *key).collect();
        notes.push(format!(
            "the front matter has {} of its own outside of our markers: that is kept, and ours is not written",
            names.join(", ")
        ));
    }
    let ours: String = ours.into_iter().map(|(_, lines)| lines.as_str()).collect();

    let (above_text, has_markers, below_text) = cut(body, BEGIN, END)?;
    let (above_text, below_text) = if has_markers {
        (above_text.to_owned(), below_text.to_owned())
    } else {
        if !body.trim().is_empty() {
            notes.push("the file had no markers: its text is kept, and the card stands behind it".into());
        }
        let gap = if body.is_empty() || body.ends_with("\n\n") {
            ""
        } else if body.ends_with('\n') {
            "\n"
        } else {
            "\n\n"
        };
        (format!("{body}{gap}"), String::new())
    };
    let file = format!(
        "{RULE}\n{above}{YAML_BEGIN}\n{ours}{YAML_END}\n{below}{RULE}\n{above_text}{BEGIN}\n{}{END}\n{below_text}",
        parts.text
    );
    Ok(Merged { file, notes })
}

/// The lines between the rules, and what follows them; no front matter where the file does not begin with a rule.
fn front_matter(file: &str) -> Result<(Option<&str>, &str)> {
    let Some(rest) = file.strip_prefix("---\n") else { return Ok((None, file)) };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == RULE {
            return Ok((Some(&rest[..at]), &rest[at + line.len()..]));
        }
        at += line.len();
    }
    Err(Error::input("the front matter, which begins in line 1, has no end")
        .with_hint("a line of three dashes ends it"))
}

/// What stands before and behind a pair of markers, and whether there is one.
fn cut<'a>(text: &'a str, begin: &str, end: &str) -> Result<(&'a str, bool, &'a str)> {
    let (mut begins, mut ends, mut at) = (Vec::new(), Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        match line.trim() {
            marker if marker == begin => begins.push(at),
            marker if marker == end => ends.push(at + line.len()),
            _ => {}
        }
        at += line.len();
    }
    match (begins.as_slice(), ends.as_slice()) {
        ([], []) => Ok((text, false, "")),
        ([first], [last]) if first < last => Ok((&text[..*first], true, &text[*last..])),
        _ => Err(Error::input(format!(
            "the markers do not come in one pair: '{begin}' stands there {} times and '{end}' {} times",
            begins.len(),
            ends.len()
        ))
        .with_hint("repair them, or delete both and what stands between them: a card is then written anew")),
    }
}

/// The key that a line of YAML begins, at the left margin.
fn key(line: &str) -> Option<&str> {
    let (key, rest) = line.split_once(':')?;
    let is_key = !key.is_empty() && !key.starts_with([' ', '\t', '#', '-']);
    (is_key && (rest.is_empty() || rest.starts_with([' ', '\t']))).then(|| key.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Parts {
        Parts {
            yaml: vec![("license", "license: unknown\n".into()), ("tags", "tags:\n- cribble\n".into())],
            text: format!("{text}\n"),
        }
    }

    #[test]
    fn a_new_file_is_ours_and_writing_it_again_changes_nothing() {
        let first = merge("", &parts("one")).unwrap();
        assert_eq!(
            first.file,
            "---\n# cribble:begin\nlicense: unknown\ntags:\n- cribble\n# cribble:end\n---\n<!-- cribble:begin -->\none\n<!-- cribble:end -->\n"
        );
        assert!(first.notes.is_empty());
        assert_eq!(merge(&first.file, &parts("one")).unwrap().file, first.file);
    }

    #[test]
    fn what_a_person_wrote_stays() {
        let first = merge("", &parts("one")).unwrap().file;
        let edited = first
            .replace("---\n<!--", "annotations_creators:\n- found\nlicense: mit\n---\n# Mine\n\n<!--")
            + "\nMore of mine.\n";
        let second = merge(&edited.replace('\n', "\r\n"), &parts("two")).unwrap();
        assert!(second.file.contains("- found\nlicense: mit\n---\n# Mine\n\n<!-- cribble:begin -->\ntwo\n<!-- cribble:end -->\n\nMore of mine.\n"));
        assert!(!second.file.contains("license: unknown") && second.file.contains("tags:\n- cribble\n"));
        assert!(second.notes[0].contains("license"), "{:?}", second.notes);
        assert_eq!(merge(&second.file, &parts("two")).unwrap().file, second.file);
    }

    #[test]
    fn a_file_without_markers_is_kept_whole() {
        for before in ["# Old\ntext", "---\nlicense: mit\n---\n# Old\ntext\n"] {
            let merged = merge(before, &parts("new")).unwrap();
            assert!(merged.file.contains("# Old\ntext\n\n<!-- cribble:begin -->\nnew\n"), "{}", merged.file);
            assert!(merged.notes.iter().any(|note| note.contains("no markers")));
            assert_eq!(merged.file.matches("license:").count(), 1);
            assert_eq!(merge(&merged.file, &parts("new")).unwrap().file, merged.file);
        }
    }

    #[test]
    fn half_a_pair_is_an_error_and_not_a_guess() {
        let good = merge("", &parts("one")).unwrap().file;
        for bad in [
            good.replace("<!-- cribble:end -->", ""),
            good.replace("<!-- cribble:begin -->", "<!-- cribble:end -->"),
            good.replace("# cribble:end\n", ""),
            good.clone() + &good[good.find("<!--").unwrap()..],
            "---\nlicense: mit\n".into(),
        ] {
            assert!(merge(&bad, &parts("two")).is_err(), "{bad}");
        }
    }
}
