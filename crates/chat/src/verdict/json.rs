//! JSON as models write it: single or curly quotes, trailing commas, bare names, `True` and `None`, comments, and an end that
//! `max_tokens` has cut. Values that were cut are left out, so that half a word is never read as a verdict.

/// A value; objects keep their order and their repetitions.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// Nested deeper than this it is no answer.
const DEEPEST: usize = 32;

/// The objects of a text that no other object holds, each with the bytes it covers.
pub fn objects(text: &str) -> Vec<(std::ops::Range<usize>, Value)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find('{').map(|place| at + place) {
        let mut reader = Reader { text, at: start, depth: 0 };
        match reader.value() {
            Some(Value::Object(pairs)) if !pairs.is_empty() => {
                found.push((start..reader.at, Value::Object(pairs)));
                at = reader.at;
            }
            _ => at = start + 1,
        }
    }
    found
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let sign = self.peek()?;
        self.at += sign.len_utf8();
        Some(sign)
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let rest_trimmed = rest.trim_start();
            self.at += rest.len() - rest_trimmed.len();
            let comment = match rest_trimmed {
                rest if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
                rest if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
                _ => return,
            };
            self.at += comment;
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.skip();
        match self.peek()? {
            '{' => self.object(),
            '[' => self.list(),
            quote @ ('"' | '\'' | '“' | '‘' | '`') => self.quoted(quote).map(Value::Text),
            _ => self.bare(),
        }
    }

    /// A comma and what ends a list or an object may be missing at the end of the text.
    fn object(&mut self) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.next();
        let mut pairs = Vec::new();
        loop {
            self.skip();
            let name = match self.peek() {
                None => break,
                Some('}') => {
                    self.next();
                    break;
                }
                Some(',' | ';') => {
                    self.next();
                    continue;
                }
                Some(quote @ ('"' | '\'' | '“' | '‘' | '`')) => self.quoted(quote),
                Some(_) => self.name(),
            };
            self.skip();
            let Some(name) = name else { break };
            match self.peek() {
                None => break,
                Some(':' | '：' | '=') => drop(self.next()),
                Some(_) => return None,
            }
            match self.value() {
                Some(value) => pairs.push((name, value)),
                // Cut: what came before stands.
                None if self.at >= self.text.len() => break,
                None => return None,
            }
        }
        self.depth -= 1;
        Some(Value::Object(pairs))
    }

    fn list(&mut self) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.next();
        let mut values = Vec::new();
        loop {
            self.skip();
            match self.peek() {
                None => break,
                Some(']') => {
                    self.next();
                    break;
                }
                Some(',') => drop(self.next()),
                Some(_) => match self.value() {
                    Some(value) => values.push(value),
                    None if self.at >= self.text.len() => break,
                    None => return None,
                },
            }
        }
        self.depth -= 1;
        Some(Value::List(values))
    }

    /// A quoted text; `None` when the end of all comes before its quote. A quote of the same kind ends it only where a text can end.
    fn quoted(&mut self, open: char) -> Option<String> {
        let close = match open {
            '“' => '”',
            '‘' => '’',
            other => other,
        };
        self.next();
        let mut text = String::new();
        while let Some(sign) = self.next() {
            match sign {
                '\\' => self.escape(&mut text)?,
                _ if sign == close && self.ends() => return Some(text),
                _ => text.push(sign),
            }
        }
        None
    }

    /// Whether what follows can follow a text: `it's` and `a "quoted" word` go on.
    fn ends(&self) -> bool {
        let rest = self.text[self.at..].trim_start();
        match rest.chars().next() {
            None | Some(':' | '：' | '}' | ']' | '/' | '`') => true,
            Some(',') => follows_comma(rest[1..].trim_start()),
            Some(sign) => self.text[self.at..].starts_with(['\n', '\r']) && matches!(sign, '"' | '\'' | '“'),
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        match self.next()? {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'b' | 'f' => text.push(' '),
            'u' => {
                let unit = |reader: &mut Self| {
                    let digits = reader.text.get(reader.at..reader.at + 4)?;
                    let unit = u16::from_str_radix(digits, 16).ok()?;
                    reader.at += 4;
                    Some(unit)
                };
                let Some(first) = unit(self) else { return Some(()) };
                let mut units = vec![first];
                if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
                    self.at += 2;
                    units.extend(unit(self));
                }
                text.push_str(&String::from_utf16_lossy(&units));
            }
            other => text.push(other),
        }
        Some(())
    }

    fn name(&mut self) -> Option<String> {
        let rest = &self.text[self.at..];
        let end = rest.find(|sign: char| !(sign.is_alphanumeric() || matches!(sign, '_' | '-' | ' ')))?;
        self.at += end;
        Some(rest[..end].trim().to_string()).filter(|name| !name.is_empty())
    }

    /// A number, a word of JSON or Python, or a text without quotes.
    fn bare(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let Some(end) = rest.find([',', '}', ']', '\n', '{', '[', '"']) else {
            self.at = self.text.len();
            return None;
        };
        let word = rest[..end].trim();
        self.at += end;
        Some(match word.to_ascii_lowercase().as_str() {
            "" => return None,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" | "none" | "undefined" => Value::Null,
            _ if word.parse::<f64>().is_ok() => Value::Number(word.into()),
            _ => Value::Text(word.into()),
        })
    }
}

/// Whether a comma before this is one of JSON, and not one of a sentence: a value, an end, or a name with its colon comes.
fn follows_comma(rest: &str) -> bool {
    if rest.is_empty() || rest.starts_with(['"', '\'', '“', '‘', '{', '[', '}', ']', '-', '/']) {
        return true;
    }
    let end = rest.find(|sign: char| !(sign.is_alphanumeric() || sign == '_')).unwrap_or(rest.len());
    let word = rest[..end].to_ascii_lowercase();
    rest[end..].trim_start().starts_with([':', '：', '='])
        || matches!(word.as_str(), "true" | "false" | "null" | "none")
        || rest.starts_with(|sign: char| sign.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Value {
        let found = objects(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        found.into_iter().next().unwrap().1
    }

    fn pairs(pairs: &[(&str, Value)]) -> Value {
        Value::Object(pairs.iter().map(|(name, value)| (name.to_string(), value.clone())).collect())
    }

    #[test]
    fn what_models_write_is_read() {
        let text = |text: &str| Value::Text(text.into());
        let plain = pairs(&[("a", text("b")), ("c", Value::Bool(true))]);
        for form in [
            r#"{"a": "b", "c": true}"#,
            r#"{"a": "b", "c": true,}"#,
            r#"{'a': 'b', 'c': True}"#,
            r#"{a: "b", c: true}"#,
            "{“a”: “b”, “c”: true}",
            "{\"a\": \"b\" // why\n, /* and */ \"c\": true}",
            "{\"a\": b, \"c\": true}",
            "{\"a\": \"b\"\n \"c\": true\n}",
            r#"{"a": "b", "c": true"#,
            r#"{"a": "b", "c": true, "d": "cut he"#,
        ] {
            // The last form has no sign after `true` where a number or a word could be cut.
            let expected = if form.ends_with("true") { pairs(&[("a", text("b"))]) } else { plain.clone() };
            assert_eq!(one(form), expected, "{form}");
        }
        assert_eq!(one(r#"{'a': 'it's "so"'}"#), pairs(&[("a", text("it's \"so\""))]));
        assert_eq!(one(r#"{"a": "x\n\u00e9\ud83d\ude00\""}"#), pairs(&[("a", text("x\né😀\""))]));
        assert_eq!(one(r#"{"a": ["b", 1.5, null]}"#), {
            pairs(&[("a", Value::List(vec![text("b"), Value::Number("1.5".into()), Value::Null]))])
        });
        assert!(objects("no { braces } here {}").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[{}\\[\\]\"'a:,\\\\u0-9 \n“”é/*]{0,60}") {
            objects(&text);
        }

        #[test]
        fn strict_json_is_read_as_it_is(name in "[a-z]{1,8}", value in "[a-zA-Z0-9 .é\"\\\\\n]{0,20}") {
            let json = serde_json::json!({name.clone(): [value.clone()], "Z": 1}).to_string();
            let read = one(&json);
            let expected = [(name, Value::List(vec![Value::Text(value)])), ("Z".into(), Value::Number("1".into()))];
            // A quote before a sign of JSON, within a text, is escaped and so told apart.
            prop_assert_eq!(read, Value::Object(expected.to_vec()));
        }
    }
}
