//! Text in columns and in files: which columns hold some, what captions are called in the wild, a field of CSV.
use std::borrow::Cow;

use arrow::datatypes::DataType;

/// Names that columns of captions have in the wild, first choice first.
pub const CAPTION_NAMES: [&str; 6] = ["text", "caption", "txt", "TEXT", "CAPTION", "alt_text"];

/// Whether values of this type are texts.
pub fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A field of CSV (RFC 4180): in quotes where a comma, a quote or a line break would end it or be misread.
pub fn csv_field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::csv_field;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (text, field) in [
            ("a cat", "a cat"),
            ("", ""),
            ("a, b", "\"a, b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("a\r\nb", "\"a\r\nb\""),
        ] {
            assert_eq!(csv_field(text), field);
        }
    }
}
