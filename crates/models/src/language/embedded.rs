//! The detector: the embedded one, or a model of fastText behind the same calls.
use super::{
    LanguageModel, Prediction, Scratch,
    scripts::{self, Script},
};
use crate::Result;
use std::path::Path;
use whichlang::Lang;

/// The label of a text whose language is not told.
pub const UNDETERMINED: &str = "und";

/// Latin letters below which nothing is said: `HD`, `img`.
const FEWEST_LETTERS: usize = 4;
/// Scripts as wholes err seldom; what errs are captions with a quotation in another one.
const SURE: f32 = 0.99;

/// Probability when none, one or both halves of a text in Latin letters look like the same language as the whole: less than the share that was
/// right of 7,000 captions (`bench/language.py`: 0.65, 0.963 and 0.999), as captions in other languages come on top.
const AGREED: [f32; 3] = [0.6, 0.9, 0.99];

/// Tells the language of texts, with codes of ISO 639-1 and [`UNDETERMINED`].
#[derive(Debug)]
pub struct Detector {
    labels: Vec<String>,
    model: Option<LanguageModel>,
}

impl Detector {
    /// The detector that needs no file. Knows ar, de, en, es, fr, hi, it, ja, ko, nl, pt, ru, sv, tr, vi and zh by the linear model over hashed
    /// character n-grams of the crate `whichlang` (2 to 4 ASCII characters, classes of other ones; MIT licence), and el, he, hy, ka, th and a dozen more by
    /// their script.
    ///
    /// `und` is said of a text with fewer than four Latin letters and no others, and of one with letters that none of these languages
    /// writes (Polish, Czech, Ukrainian, Persian ...). A language in Latin letters that is not in the list and has few letters of its own
    /// (Finnish, Danish, Indonesian) is taken for one of the list, often with a probability of 0.9: use [`Detector::open`] where that matters.
    ///
    /// Right on 99.1 % of 10,000 captions in ten languages that were looked at while it was made, and on 113 of 120 that were written afterwards
    /// (lingua's Python package, with all its languages: 98.5 % and 114).
    ///
    /// whichlang gives no scores. For Latin letters the probability says how far the halves of the text agree with the whole: 0.99 where both do,
    /// 0.9 where one does or there is one word, 0.6 where none does or a letter is foreign. `bench/language.py` prints what share was right of each.
    #[must_use]
    pub fn embedded() -> Self {
        let whichlang = whichlang::LANGUAGES.iter().map(|&language| code(language));
        let mut labels: Vec<String> =
            whichlang.chain(scripts::single_languages()).chain([UNDETERMINED]).map(str::to_owned).collect();
        labels.sort();
        labels.dedup();
        Self { labels, model: None }
    }

    /// A model file of fastText; `und` is added to its labels.
    ///
    /// # Errors
    /// As [`LanguageModel::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let model = LanguageModel::open(path)?;
        let labels = model.labels().iter().cloned().chain([UNDETERMINED.to_owned()]).collect();
        Ok(Self { labels, model: Some(model) })
    }

    /// What a [`Prediction::label`] means.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The language of `text`, in any number of lines. `und` comes with probability 0.
    #[must_use]
    pub fn predict(&self, text: &str, scratch: &mut Scratch) -> Prediction {
        let answer = match &self.model {
            Some(model) => model.predict(text, scratch),
            None => detect(text, &mut scratch.letters)
                .and_then(|(code, probability)| Some(Prediction { label: self.label(code)?, probability })),
        };
        answer.unwrap_or_else(|| Prediction {
            label: self.label(UNDETERMINED).unwrap_or_default(),
            probability: 0.0,
        })
    }

    fn label(&self, code: &str) -> Option<usize> {
        match self.model {
            Some(_) => self.labels.len().checked_sub(1),
            None => self.labels.binary_search_by(|label| label.as_str().cmp(code)).ok(),
        }
    }
}

/// Letters of a text by what they say.
#[derive(Default)]
struct Counts {
    latin: usize,
    cyrillic: usize,
    arabic: usize,
    han: usize,
    kana: usize,
    japanese: usize,
    foreign: usize,
    /// The first script of one language, and its letters.
    single: Option<(&'static str, usize)>,
}

/// Language and probability. `letters` becomes the text in lower case, one space between words, without words that have digits or are handles.
fn detect(text: &str, letters: &mut String) -> Option<(&'static str, f32)> {
    let counts = clean(text, letters);
    let Counts { latin, cyrillic, arabic, han, kana, japanese, foreign, single } = counts;
    let (single_code, single) = single.unwrap_or((UNDETERMINED, 0));
    // A Han character is worth two letters, as it is half a word.
    let east = 2 * (han + kana);
    let largest = latin.max(cyrillic).max(arabic).max(east).max(2 * single);
    if largest == 0 || (largest == latin && latin < FEWEST_LETTERS) {
        return None;
    }
    // One letter of a long text may be a name's.
    if foreign > largest / 40 + usize::from(largest == latin) {
        return None;
    }
    if largest == 2 * single {
        return Some((single_code, SURE));
    }
    if largest == east {
        if kana > 0 {
            return Some(("ja", SURE));
        }
        return Some(if japanese > 0 { ("ja", 0.95) } else { ("zh", 0.95) });
    }
    if largest == cyrillic {
        return Some(("ru", SURE));
    }
    if largest == arabic {
        return Some(("ar", SURE));
    }
    let (code, probability) = agreement(letters);
    Some((code, if foreign > 0 { AGREED[0] } else { probability }))
}

/// What whichlang says of a text in Latin letters, and the share of captions that it gets right where the halves agree so far with the whole.
fn agreement(letters: &str) -> (&'static str, f32) {
    let whole = whichlang::detect_language(letters);
    let space = letters.trim_end().bytes().skip(letters.len() / 2).position(|byte| byte == b' ');
    let agreeing = match space {
        Some(after) => {
            let (first, second) = letters.split_at(letters.len() / 2 + after);
            [first, second].into_iter().filter(|half| whichlang::detect_language(half) == whole).count()
        }
        None => 1, // one word, or one and a long last one
    };
    (code(whole), AGREED[agreeing])
}

fn clean(text: &str, letters: &mut String) -> Counts {
    let mut counts = Counts::default();
    letters.clear();
    for word in text.split_whitespace() {
        if word.contains(|c: char| c.is_ascii_digit() || matches!(c, '@' | '#' | '_')) || word.contains("://")
        {
            continue;
        }
        let before = letters.len();
        for letter in word.chars().flat_map(char::to_lowercase) {
            let Some(script) = scripts::script(letter) else {
                if matches!(letter, '\'' | '’' | '-') && letters.len() > before {
                    letters.push(if letter == '’' { '\'' } else { letter });
                }
                continue;
            };
            letters.push(letter);
            counts.foreign += usize::from(scripts::is_foreign(letter, script));
            match script {
                Script::Latin => counts.latin += 1,
                Script::Cyrillic => counts.cyrillic += 1,
                Script::Arabic => counts.arabic += 1,
                Script::Han => {
                    counts.han += 1;
                    counts.japanese += usize::from(scripts::only_japanese(letter));
                }
                Script::Kana => counts.kana += 1,
                Script::Single(code) => {
                    let (first, count) = counts.single.unwrap_or((code, 0));
                    counts.single = Some((first, count + 1));
                }
                Script::Other => counts.foreign += 1,
            }
        }
        if letters.len() > before {
            letters.push(' ');
        }
    }
    counts
}

/// ISO 639-1 of whichlang's languages.
fn code(language: Lang) -> &'static str {
    match language {
        Lang::Ara => "ar",
        Lang::Cmn => "zh",
        Lang::Deu => "de",
        Lang::Eng => "en",
        Lang::Fra => "fr",
        Lang::Hin => "hi",
        Lang::Ita => "it",
        Lang::Jpn => "ja",
        Lang::Kor => "ko",
        Lang::Nld => "nl",
        Lang::Por => "pt",
        Lang::Rus => "ru",
        Lang::Spa => "es",
        Lang::Swe => "sv",
        Lang::Tur => "tr",
        Lang::Vie => "vi",
    }
}
