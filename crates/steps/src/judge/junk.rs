//! Captions that are none: file names, codes, placeholders, navigation. Plain rules, for a judge without a model; and the form of a caption in
//! which two that differ in numbers and spaces alone are equal.

/// Whole captions, in lower case without punctuation, that say nothing of an image.
const PLACEHOLDERS: [&str; 42] = [
    "image",
    "images",
    "img",
    "photo",
    "photos",
    "picture",
    "pictures",
    "pic",
    "thumbnail",
    "thumb",
    "untitled",
    "undefined",
    "null",
    "none",
    "nan",
    "placeholder",
    "default",
    "logo",
    "banner",
    "icon",
    "avatar",
    "no image",
    "no image available",
    "no photo",
    "image not available",
    "image not found",
    "image coming soon",
    "coming soon",
    "click to enlarge",
    "click here",
    "click image",
    "click for larger image",
    "read more",
    "view larger",
    "view larger image",
    "larger image",
    "loading",
    "blank",
    "product image",
    "main image",
    "alt",
    "alt text",
];

/// Ends of file names.
const EXTENSIONS: [&str; 14] =
    ["jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff", "svg", "heic", "avif", "pdf", "mp4", "psd"];

/// Beginnings that cameras and programs give to files.
const CAMERAS: [&str; 12] =
    ["img", "dsc", "dscn", "dscf", "pxl", "image", "photo", "screenshot", "wp", "mvimg", "scan", "p"];

/// Whether a caption is a file name, a code, a placeholder or an address rather than words about an image. Empty ones are.
pub fn is_junk(caption: &str) -> bool {
    let caption = caption.trim();
    let letters = caption.chars().filter(|c| c.is_alphabetic()).count();
    if letters == 0 {
        return true;
    }
    let lower = caption.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let plain: Vec<&str> =
        words.iter().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).collect();
    let plain: Vec<&str> = plain.into_iter().filter(|word| !word.is_empty()).collect();
    // "photo 12" says no more than "photo".
    let named: Vec<&str> =
        plain.iter().copied().filter(|word| !word.chars().all(|c| c.is_ascii_digit())).collect();
    if PLACEHOLDERS.contains(&named.join(" ").as_str()) {
        return true;
    }
    if lower.starts_with("http://") || lower.starts_with("https://") || lower.starts_with("www.") {
        return words.len() == 1;
    }
    let is_file = |word: &str| {
        word.rsplit_once('.').is_some_and(|(stem, end)| !stem.is_empty() && EXTENSIONS.contains(&end))
    };
    match words.as_slice() {
        [] => true,
        // Some file names have spaces; a sentence may end in one, but then most of it is words.
        _ if words.last().is_some_and(|word| is_file(word)) => {
            words.len() <= 3 || plain.iter().filter(|word| is_word(word)).count() * 2 < words.len()
        }
        [one] => is_code(one),
        _ => plain.iter().filter(|word| is_word(word)).count() == 0,
    }
}

/// Two letters or more and nothing else but what stands inside words; every sign of writings without spaces counts.
fn is_word(word: &str) -> bool {
    let wide = word.chars().any(|c| c.is_alphabetic() && c as u32 > 0x2E7F);
    wide || (word.chars().count() > 1
        && word.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '’' | '-')))
}

/// `IMG_2045`, `dsc-0231`, `a8f3e2b19c`, `product_0412_large`.
fn is_code(word: &str) -> bool {
    let parts: Vec<&str> =
        word.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let stem = parts.first().map_or("", |part| part.trim_end_matches(|c: char| c.is_ascii_digit()));
    (digits > 0 && CAMERAS.contains(&stem))
        || digits > letters
        || (digits >= 3 && (parts.len() > 1 || letters >= 4))
        || word.contains('_')
}

/// A number for a caption; equal for captions that differ only in case, spaces and the numbers in them.
pub fn form(caption: &str) -> u64 {
    let mut text = String::with_capacity(caption.len());
    for c in caption.chars().flat_map(char::to_lowercase) {
        let c = if c.is_ascii_digit() { '0' } else { c };
        let again = text.ends_with(c) && matches!(c, '0' | ' ');
        if !again && (c != ' ' || !text.is_empty()) {
            text.push(if c.is_whitespace() { ' ' } else { c });
        }
    }
    let hash = blake3::hash(text.trim_end().as_bytes());
    hash.as_bytes()[..8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_is_told_from_captions() {
        for junk in [
            "",
            "  ",
            "IMG_2045.JPG",
            "DSC00231.jpg",
            "dsc-0231",
            "P1010042",
            "20190412_120000.jpg",
            "a8f3e2b19c44",
            "12345",
            "product_0412_large",
            "image",
            "Image.",
            "Untitled",
            "Click to enlarge",
            "No image available",
            "photo 12",
            "IMG 2045.png",
            "https://example.com/a/b.jpg",
            "www.example.com",
            "#1234",
            "---",
            "Screenshot_2019-04-12",
            "main image",
            "WP_20140301_001",
            "00001.png",
            "4d5e-88f1-01ab",
        ] {
            assert!(is_junk(junk), "{junk}");
        }
        for caption in [
            "a photo of a red car",
            "Red car",
            "Sailboat",
            "car",
            "iPhone 12 Pro Max case",
            "Nike Air Max 90",
            "ein rotes Auto im Schnee",
            "красная машина",
            "一辆红色的汽车",
            "赤い車",
            "T-shirt",
            "2 dogs",
            "The file logo.png shows a red fox in the snow at night",
            "A rock'n'roll band",
            "Boeing 747",
            "view of Paris",
            "image of a cat",
            "Mercedes-Benz",
            "猫",
        ] {
            assert!(!is_junk(caption), "{caption}");
        }
    }

    #[test]
    fn numbers_and_spaces_do_not_make_another_form() {
        assert_eq!(form("Buy 12 posters  online"), form("buy 7 posters online "));
        assert_ne!(form("Buy posters online"), form("Buy prints online"));
    }
}
