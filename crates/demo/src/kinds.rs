//! The words of the truth: what an image is, what its caption is, and in which language. They stand as text in `truth.parquet`.
use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in the order of this list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that stands in the files.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The value of a word, or `None`.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words! {
    /// What an image is. The twins are made from the pixels of an earlier original, named in `twin_of`.
    ImageKind {
        /// Drawn for itself, nothing wrong with it.
        Original = "original",
        /// Twin: the same bytes under another uid and url.
        ByteCopy = "byte_copy",
        /// Twin: the same pixels at another JPEG quality.
        Reencoded = "reencoded",
        /// Twin: a part of the pixels.
        Cropped = "cropped",
        /// Twin: flipped left to right.
        Mirrored = "mirrored",
        /// Twin: brighter or darker.
        Brightened = "brightened",
        /// Drawn for itself, original size below 200 px on the shorter side.
        Tiny = "tiny",
        /// Drawn for itself, one side more than three times the other.
        ExtremeAspect = "extreme_aspect",
    }
}

words! {
    /// What a caption is.
    CaptionKind {
        /// It describes the image.
        Matched = "matched",
        /// It describes another sample, of another concept.
        Wrong = "wrong",
        /// A camera's file name.
        FileName = "file_name",
    }
}

words! {
    /// The language of a caption. File names count as English.
    Language {
        /// English.
        English = "en",
        /// German.
        German = "de",
        /// French.
        French = "fr",
        /// Spanish.
        Spanish = "es",
        /// Russian.
        Russian = "ru",
        /// Chinese, simplified.
        Chinese = "zh",
    }
}

impl ImageKind {
    /// Whether the image was made from another sample's pixels.
    pub const fn is_twin(self) -> bool {
        matches!(self, Self::ByteCopy | Self::Reencoded | Self::Cropped | Self::Mirrored | Self::Brightened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_parse_back() {
        for &kind in ImageKind::ALL {
            assert_eq!(ImageKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.as_str()));
        }
        for &language in Language::ALL {
            assert_eq!(Language::parse(language.as_str()), Some(language));
        }
        assert_eq!(CaptionKind::parse("matched "), None);
        assert_eq!(ImageKind::ALL.iter().filter(|kind| kind.is_twin()).count(), 5);
    }
}
