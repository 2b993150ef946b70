//! Which words of a caption went and which came: the longest common subsequence of both texts, word by word. A script without spaces is compared
//! character by character. Long texts are compared where they differ first and last, so that the work is bounded.
use maud::{Markup, html};

/// Cells of the table of the longest common subsequence; beyond, what lies between the common beginning and end counts as replaced.
const MOST_CELLS: usize = 1 << 20;

/// A stretch of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// In both texts.
    Same(&'a str),
    /// In this one alone.
    Own(&'a str),
}

/// Both texts cut into stretches that they share and stretches that they do not.
pub fn differences<'a>(before: &'a str, after: &'a str) -> (Vec<Part<'a>>, Vec<Part<'a>>) {
    let (old, new) = (words(before), words(after));
    let bare = |word: &&str| word.trim_end().to_owned();
    let (a, b): (Vec<String>, Vec<String>) = (old.iter().map(bare).collect(), new.iter().map(bare).collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (mut kept_a, mut kept_b) = (vec![false; a.len()], vec![false; b.len()]);
    for at in (0..head).chain(a.len() - tail..a.len()) {
        kept_a[at] = true;
    }
    for at in (0..head).chain(b.len() - tail..b.len()) {
        kept_b[at] = true;
    }
    for (x, y) in common(&a[head..a.len() - tail], &b[head..b.len() - tail]) {
        kept_a[head + x] = true;
        kept_b[head + y] = true;
    }
    (parts(before, &old, &kept_a), parts(after, &new, &kept_b))
}

/// Words with the space behind them; characters of scripts without spaces one by one.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut in_space = false;
    for (at, character) in text.char_indices() {
        let is_space = character.is_whitespace();
        let alone = stands_alone(character);
        if at > start
            && ((in_space && !is_space) || alone || (!is_space && text[..at].ends_with(stands_alone)))
        {
            words.push(&text[start..at]);
            start = at;
        }
        in_space = is_space;
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

/// Thai, Lao, Khmer, Myanmar, Chinese and Japanese are written without spaces.
fn stands_alone(character: char) -> bool {
    matches!(u32::from(character), 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}

/// Pairs of places of a longest common subsequence, ascending.
fn common(a: &[String], b: &[String]) -> Vec<(usize, usize)> {
    let (n, m) = (a.len(), b.len());
    if n == 0 || m == 0 || n.saturating_mul(m) > MOST_CELLS {
        return Vec::new();
    }
    // lengths[i][j] is that of the rests a[i..] and b[j..]. No text has 65,535 words of which as many stay: the product is bounded.
    let mut lengths = vec![0u32; (n + 1) * (m + 1)];
    let cell = |i: usize, j: usize| i * (m + 1) + j;
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            lengths[cell(i, j)] = if a[i] == b[j] {
                lengths[cell(i + 1, j + 1)] + 1
            } else {
                lengths[cell(i + 1, j)].max(lengths[cell(i, j + 1)])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut pairs = Vec::new();
    while i < n && j < m {
        if a[i] == b[j] {
            pairs.push((i, j));
            i += 1;
            j += 1;
        } else if lengths[cell(i + 1, j)] >= lengths[cell(i, j + 1)] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// Neighbouring words of one kind as one stretch.
fn parts<'a>(text: &'a str, words: &[&'a str], same: &[bool]) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for (at, word) in words.iter().enumerate() {
        end += word.len();
        if same.get(at + 1) != Some(&same[at]) {
            let stretch = &text[start..end];
            parts.push(if same[at] { Part::Same(stretch) } else { Part::Own(stretch) });
            start = end;
        }
    }
    parts
}

/// The old text with what went struck out.
pub fn gone(parts: &[Part<'_>]) -> Markup {
    marked(parts, |text| html! { del { (text) } })
}

/// The new text with what came underlined.
pub fn came(parts: &[Part<'_>]) -> Markup {
    marked(parts, |text| html! { ins { (text) } })
}

/// Marks what is in one text alone; the space behind it is nobody's.
fn marked(parts: &[Part<'_>], mark: impl Fn(&str) -> Markup) -> Markup {
    html! {
        @for part in parts {
            @match part {
                Part::Same(text) => { (text) },
                Part::Own(text) => {
                    @let (words, space) = text.split_at(text.trim_end().len());
                    @if !words.is_empty() { (mark(words)) }
                    (space)
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Part::{Own, Same};
    use proptest::prelude::*;

    #[test]
    fn words_that_went_and_came_are_found() {
        let (old, new) = differences("a red car in snow", "a blue car in deep snow");
        assert_eq!(old, [Same("a "), Own("red "), Same("car in snow")]);
        assert_eq!(new, [Same("a "), Own("blue "), Same("car in "), Own("deep "), Same("snow")]);
        let (old, new) = differences("", "all new");
        assert!(old.is_empty() && new == [Own("all new")]);
        // The space behind a word does not make it another word.
        assert_eq!(differences("one\ttwo", "one two").1, [Same("one two")]);
    }

    #[test]
    fn scripts_without_spaces_are_compared_by_characters() {
        let (old, new) = differences("红色的汽车", "蓝色的汽车");
        assert_eq!(
            (&old[..], &new[..]),
            (&[Own("红"), Same("色的汽车")][..], &[Own("蓝"), Same("色的汽车")][..])
        );
    }

    #[test]
    fn texts_beyond_the_bound_share_their_ends() {
        let many = |word: &str| format!("first {}last", format!("{word} ").repeat(2000));
        let (before, after) = (many("x"), many("y"));
        let (old, _) = differences(&before, &after);
        assert!(matches!(old[..], [Same("first "), Own(_), Same("last")]), "{}", old.len());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_what_is_shared_is_the_same(before in "\\PC{0,40}|[ab ]{0,30}", after in "\\PC{0,40}|[ab ]{0,30}") {
            let (old, new) = differences(&before, &after);
            let whole = |parts: &[Part<'_>]| parts.iter().map(|part| match part { Same(text) | Own(text) => *text }).collect::<String>();
            prop_assert_eq!(whole(&old), before.clone());
            prop_assert_eq!(whole(&new), after.clone());
            let shared = |parts: &[Part<'_>]| {
                let shared: Vec<String> = parts.iter().filter_map(|part| match part { Same(text) => Some(text.to_string()), Own(_) => None }).collect();
                shared.concat().chars().filter(|c| !c.is_whitespace()).collect::<String>()
            };
            prop_assert_eq!(shared(&old), shared(&new));
        }
    }
}
