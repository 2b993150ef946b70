//! Openings that say that there is an image before they say what is on it: "This image showcases", "In this picture, we can see". What says
//! of which kind the image is ("A photo of", "This illustration shows") is a part of the caption and stays.

/// Words for an image that say nothing else of it.
const IMAGE: [&str; 8] = ["image", "picture", "photo", "photograph", "scene", "snapshot", "pic", "visual"];
/// Praise that models put before them.
const PRAISE: [&str; 18] = [
    "vivid",
    "vibrant",
    "striking",
    "captivating",
    "beautiful",
    "stunning",
    "charming",
    "detailed",
    "evocative",
    "compelling",
    "intriguing",
    "fascinating",
    "delightful",
    "lovely",
    "provided",
    "given",
    "attached",
    "uploaded",
];
/// What may stand behind the word for the image: "the image you provided shows".
const BEHIND: [&str; 6] =
    ["you've provided", "you have provided", "you provided", "you shared", "provided", "above"];
/// What images do, in every form that was seen. The longest first, as some begin with others.
const DOES: [&str; 34] = [
    "appears to show",
    "appears to depict",
    "appears to be",
    "seems to show",
    "seems to depict",
    "seems to be",
    "is a depiction of",
    "is showing",
    "is depicting",
    "shows us",
    "gives a view of",
    "is of",
    "showcases",
    "showcase",
    "shows",
    "show",
    "depicts",
    "depict",
    "features",
    "feature",
    "captures",
    "capture",
    "displays",
    "display",
    "presents",
    "present",
    "portrays",
    "portray",
    "illustrates",
    "illustrate",
    "contains",
    "highlights",
    "reveals",
    "is",
];
/// How the reader is told to look, with an image before it ("In this image,") or without.
const LOOK: [&str; 9] = [
    "we can clearly see",
    "you can clearly see",
    "we can see",
    "you can see",
    "one can see",
    "i can see",
    "we see",
    "you see",
    "i see",
];
/// The same behind an image alone: a caption may well begin with "There is".
const LOOK_BEHIND: [&str; 5] = ["we can observe", "there is", "there are", "there's", "it can be seen that"];

/// A text read word by word, without its case.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// What follows `words`, if the text begins with them and they end there.
    fn after(self, words: &str) -> Option<Self> {
        let head = self.0.get(..words.len())?;
        let rest = &self.0[words.len()..];
        let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '\'' || c == '’' || c == '-');
        (head.eq_ignore_ascii_case(words) && ends).then(|| Self(rest.trim_start_matches(' ')))
    }

    /// What follows one of a list, the first that fits.
    fn after_one(self, list: &[&str]) -> Option<Self> {
        list.iter().find_map(|words| self.after(words))
    }

    /// The same, or where it stands.
    fn past(self, list: &[&str]) -> Self {
        self.after_one(list).unwrap_or(self)
    }

    /// Behind an adverb ("prominently", "also").
    fn past_adverb(self) -> Self {
        let word: &str = self.0.split(' ').next().unwrap_or_default();
        let is_one = word == "also" || (word.len() > 4 && word.ends_with("ly"));
        if is_one { Self(self.0[word.len()..].trim_start()) } else { self }
    }
}

/// Behind "the (vivid) image (provided)".
fn image(text: Rest<'_>) -> Option<Rest<'_>> {
    let mut rest = text;
    for _ in 0..2 {
        rest = rest.past(&PRAISE);
        rest.0 = rest.0.strip_prefix(", ").unwrap_or(rest.0);
    }
    Some(rest.after_one(&IMAGE)?.past(&BEHIND))
}

/// "The image shows".
fn image_does(text: Rest<'_>) -> Option<Rest<'_>> {
    let rest = image(text.past(&["the", "this", "our"]))?.past_adverb();
    let does = DOES.into_iter().find(|words| rest.after(words).is_some())?;
    let rest = rest.after(does)?;
    // "The image is blurry" says something; "the image is a drawing of" says it with fewer words.
    let opens = rest.after_one(&["a", "an", "the", "one", "two", "three", "several"]).is_some();
    // A photo that "shows off" or "features in" something is told of, not opened with.
    let goes_on = rest.after_one(&["off", "up", "in", "through"]).is_some();
    ((does != "is" || opens) && !goes_on).then(|| rest.past(&["that"]))
}

/// "In this image, we can see".
fn in_the_image(text: Rest<'_>) -> Option<Rest<'_>> {
    let rest = image(text.after("in")?.after_one(&["the", "this"])?)?;
    let comma = rest.0.strip_prefix(',').map(|rest| Rest(rest.trim_start()));
    let told = comma.unwrap_or(rest);
    match told.after_one(&LOOK).or_else(|| told.after_one(&LOOK_BEHIND)) {
        Some(behind) => Some(behind),
        None => comma,
    }
}

/// "This is an image of": what kind of image it is stays.
fn this_is(text: Rest<'_>) -> Option<Rest<'_>> {
    let rest = text.after_one(&["this is", "here is", "here we have"])?;
    let (article, noun) = rest.0.split_once(' ')?;
    let noun = Rest(noun);
    if !matches!(article, "a" | "an") {
        return None;
    }
    // "of" must follow, so that "this is a picture frame" stays.
    image(noun)?.after("of").map(|_| rest)
}

/// The caption behind an opening; `None` where there is none, or nothing behind it.
pub fn without_opening(text: &str) -> Option<&str> {
    let text = Rest(text);
    let rest = in_the_image(text)
        .or_else(|| image_does(text))
        .or_else(|| this_is(text))
        .or_else(|| text.after_one(&LOOK))?;
    let rest = rest.0.trim_start_matches([' ', ',', ':']);
    rest.contains(char::is_alphanumeric).then_some(rest)
}
