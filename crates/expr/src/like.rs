//! `LIKE` patterns: `%` is any run of characters, `_` is one character, and the escape takes the next one as it is.
//!
//! Our own matcher and not a regular expression: a pattern is cut at its `%` into pieces that are found from left to
//! right, which needs no compilation, has no size limit, and for plain pieces is the standard library's substring search.
//! Taking the leftmost place for each piece is enough: a later place can only leave less room for the rest.

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// The pieces between the `%`: one piece means that there was no `%`.
    pieces: Vec<Piece>,
    fold_case: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Plain(String),
    /// With at least one `_`, as `None`.
    Holes(Vec<Option<char>>),
}

/// Lower case, character by character: independent of the neighbours, so that a piece of a pattern folds like the same
/// piece of a text (`str::to_lowercase` treats a sigma at the end of a word in its own way).
pub(crate) fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

impl Pattern {
    /// Reads a pattern; `Err` says what is wrong with it.
    pub(crate) fn new(pattern: &str, fold_case: bool, escape: Option<char>) -> Result<Self, &'static str> {
        let mut pieces = Vec::new();
        let mut piece: Vec<Option<char>> = Vec::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            if Some(character) == escape {
                let Some(next) = characters.next() else {
                    return Err("it ends with the escape character");
                };
                push(&mut piece, next, fold_case);
            } else if character == '%' {
                pieces.push(Piece::new(std::mem::take(&mut piece)));
            } else if character == '_' {
                piece.push(None);
            } else {
                push(&mut piece, character, fold_case);
            }
        }
        pieces.push(Piece::new(piece));
        Ok(Self { pieces, fold_case })
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        if self.fold_case { self.matches_folded(&fold(text)) } else { self.matches_folded(text) }
    }

    fn matches_folded(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            // One piece: no `%`, so it has to be the whole text.
            return self.pieces.first().is_some_and(|only| only.prefix(text) == Some(text.len()));
        };
        let Some(mut rest) = first.prefix(text).map(|end| &text[end..]) else {
            return false;
        };
        for piece in middle {
            match piece.find(rest) {
                Some(end) => rest = &rest[end..],
                None => return false,
            }
        }
        last.is_suffix(rest)
    }
}

fn push(piece: &mut Vec<Option<char>>, character: char, fold_case: bool) {
    if fold_case {
        piece.extend(character.to_lowercase().map(Some));
    } else {
        piece.push(Some(character));
    }
}

impl Piece {
    fn new(characters: Vec<Option<char>>) -> Self {
        match characters.iter().copied().collect::<Option<String>>() {
            Some(plain) => Self::Plain(plain),
            None => Self::Holes(characters),
        }
    }

    /// The byte at which the piece ends, if the text starts with it.
    fn prefix(&self, text: &str) -> Option<usize> {
        match self {
            Self::Plain(plain) => text.starts_with(plain.as_str()).then_some(plain.len()),
            Self::Holes(wanted) => {
                let mut characters = text.chars();
                let fits = wanted.iter().all(|wanted| match (characters.next(), wanted) {
                    (Some(found), Some(wanted)) => found == *wanted,
                    (found, None) => found.is_some(),
                    (None, Some(_)) => false,
                });
                fits.then(|| text.len() - characters.as_str().len())
            }
        }
    }

    /// The byte at which the piece ends at the first place where it occurs.
    fn find(&self, text: &str) -> Option<usize> {
        match self {
            Self::Plain(plain) => text.find(plain.as_str()).map(|start| start + plain.len()),
            Self::Holes(_) => {
                text.char_indices().find_map(|(start, _)| self.prefix(&text[start..]).map(|end| start + end))
            }
        }
    }

    fn is_suffix(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => text.ends_with(plain.as_str()),
            Self::Holes(wanted) => {
                let Some(back) = wanted.len().checked_sub(1) else {
                    return true;
                };
                match text.char_indices().nth_back(back) {
                    Some((start, _)) => self.prefix(&text[start..]) == Some(text.len() - start),
                    None => false,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(text: &str, pattern: &str) -> bool {
        Pattern::new(pattern, false, Some('\\')).unwrap().matches(text)
    }

    #[test]
    fn pieces_are_anchored_where_no_percent_stands() {
        assert!(like("abc", "abc") && !like("abcd", "abc") && !like("xabc", "abc"));
        assert!(like("abc", "a%") && like("abc", "%c") && like("abc", "%b%") && !like("abc", "b%"));
        assert!(like("", "") && like("", "%") && like("", "%%") && !like("", "_") && !like("a", ""));
    }

    #[test]
    fn a_prefix_and_a_suffix_may_not_overlap() {
        assert!(!like("aba", "ab%ba"));
        assert!(like("abba", "ab%ba"));
        assert!(!like("a", "a%_"));
        assert!(like("ab", "a%_"));
    }

    #[test]
    fn holes_count_characters_and_not_bytes() {
        assert!(like("héé", "h__") && !like("hé", "h__") && like("日本語", "_本_") && like("a日b日", "%_b_"));
    }

    #[test]
    fn the_escape_takes_the_next_character_as_it_is() {
        assert!(
            like("100%", "100\\%")
                && !like("1000", "100\\%")
                && like("a_b", "a\\_b")
                && !like("axb", "a\\_b")
        );
        assert!(like("a\\b", "a\\\\b"));
        assert!(Pattern::new("a\\", false, Some('\\')).is_err());
        assert!(Pattern::new("a\\", false, None).unwrap().matches("a\\"));
        assert!(Pattern::new("50!%%", false, Some('!')).unwrap().matches("50% off"));
        // The escape comes first, also when it is itself a wildcard.
        assert!(Pattern::new("%%a", false, Some('%')).unwrap().matches("%a"));
    }

    #[test]
    fn case_is_folded_beyond_ascii() {
        let matches =
            |text: &str, pattern: &str| Pattern::new(pattern, true, Some('\\')).unwrap().matches(text);
        assert!(
            matches("ÀB", "àb")
                && matches("ΟΔΟΣ", "οδοσ")
                && matches("Straße", "STRAß_")
                && !matches("a", "b")
        );
    }
}
