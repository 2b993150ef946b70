//! New fields into the text of a JSON object, without a change to any other byte of it: key order, number formats and white space stay.
//! The text is walked, not parsed: image pools hold objects that strict parsers refuse (NaN, bytes that are no UTF-8), and what lies inside a
//! value is nobody's business here.
use std::ops::Range;

use serde_json::{Map, Value};

/// A JSON object, by the places of its members.
pub(super) struct Object<'a> {
    text: &'a [u8],
    members: Vec<Member>,
    /// Where a further member goes: behind the last one, or behind the brace.
    end: usize,
}

struct Member {
    name: String,
    value: Range<usize>,
}

impl<'a> Object<'a> {
    /// `None` for everything that is not one whole object (with white space, or a byte order mark, around it).
    pub fn scan(text: &'a [u8]) -> Option<Self> {
        let mut scanner = Scanner { text, at: if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 } };
        scanner.space();
        scanner.take(b'{')?;
        let mut object = Self { text, members: Vec::new(), end: scanner.at };
        scanner.space();
        if scanner.take(b'}').is_none() {
            loop {
                scanner.space();
                let name = scanner.string()?;
                scanner.space();
                scanner.take(b':')?;
                scanner.space();
                let value = scanner.value()?;
                object.end = value.end;
                object.members.push(Member { name: unescaped(&text[name]), value });
                scanner.space();
                if scanner.take(b',').is_none() {
                    scanner.take(b'}')?;
                    break;
                }
            }
        }
        scanner.space();
        (scanner.at == text.len()).then_some(object)
    }

    /// Whether there is a member of this name.
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    /// Whether a member, whatever its name, is this text; white space around it does not count.
    pub fn holds(&self, text: &str) -> bool {
        self.members.iter().any(
            |member| matches!(self.value(member), Some(Value::String(found)) if found.trim() == text.trim()),
        )
    }

    /// The object with these fields, new ones last, and how many members had another value and were replaced. Of a name that stands
    /// there several times every member gets the value, because readers differ in which one they believe.
    pub fn with(&self, fields: &Map<String, Value>) -> (Vec<u8>, u64) {
        let mut out = Vec::with_capacity(self.text.len() + 64 * fields.len());
        let (mut copied, mut replaced) = (0, 0);
        for member in &self.members {
            if let Some(value) = fields.get(&member.name)
                && self.value(member).as_ref() != Some(value)
            {
                out.extend_from_slice(&self.text[copied..member.value.start]);
                out.extend_from_slice(value.to_string().as_bytes());
                copied = member.value.end;
                replaced += 1;
            }
        }
        out.extend_from_slice(&self.text[copied..self.end]);
        let mut is_first = self.members.is_empty();
        for (name, value) in fields.iter().filter(|(name, _)| !self.has(name)) {
            let comma = if is_first { "" } else { "," };
            out.extend_from_slice(format!("{comma}{}:{value}", Value::from(name.as_str())).as_bytes());
            is_first = false;
        }
        out.extend_from_slice(&self.text[self.end..]);
        (out, replaced)
    }

    fn value(&self, member: &Member) -> Option<Value> {
        serde_json::from_slice(&self.text[member.value.clone()]).ok()
    }
}

/// The name between these quotes; one with faults inside stays as it is written, and so equals no field of ours.
fn unescaped(quoted: &[u8]) -> String {
    serde_json::from_slice(quoted).unwrap_or_else(|_| String::from_utf8_lossy(quoted).into_owned())
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn space(&mut self) {
        while self.text.get(self.at).is_some_and(|byte| b" \t\r\n".contains(byte)) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.text.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    /// A string with its quotes.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.take(b'"')?;
        loop {
            match *self.text.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(start..self.at)
    }

    /// A value of any kind, up to the comma or brace behind it. Only strings and brackets are looked at.
    fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let mut open = Vec::new();
        loop {
            match *self.text.get(self.at)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' => open.push(b'}'),
                b'[' => open.push(b']'),
                b',' | b'}' if open.is_empty() => break,
                b':' if open.is_empty() => return None,
                close @ (b'}' | b']') => {
                    let opened = open.pop()?;
                    if opened != close {
                        return None;
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
        let end = start + self.text[start..self.at].trim_ascii_end().len();
        (end > start).then_some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn spliced(text: &str, new: Value) -> (String, u64) {
        let (out, replaced) = Object::scan(text.as_bytes()).unwrap().with(&fields(new));
        (String::from_utf8(out).unwrap(), replaced)
    }

    #[test]
    fn other_bytes_stay() {
        let new = || json!({"a": "x\"", "b": 0.5});
        for (text, expected) in [
            ("{}", r#"{"a":"x\"","b":0.5}"#),
            (" {\n} \n", " {\"a\":\"x\\\"\",\"b\":0.5\n} \n"),
            (r#"{"z": 1.10, "y": 1e400}"#, r#"{"z": 1.10, "y": 1e400,"a":"x\"","b":0.5}"#),
            (
                "{\n  \"z\": 123456789012345678901234567890,\n  \"n\": NaN\n}\n",
                "{\n  \"z\": 123456789012345678901234567890,\n  \"n\": NaN,\"a\":\"x\\\"\",\"b\":0.5\n}\n",
            ),
            (
                "\u{feff}{\"z\":[{\"a\":\"},\"}]}",
                "\u{feff}{\"z\":[{\"a\":\"},\"}],\"a\":\"x\\\"\",\"b\":0.5}",
            ),
        ] {
            assert_eq!(spliced(text, new()), (expected.into(), 0), "{text}");
        }
        let bytes = b"{\"t\":\"\xff\xfe\", \"u\":1}";
        let (out, _) = Object::scan(bytes).unwrap().with(&fields(json!({"a": 1})));
        assert_eq!(out, b"{\"t\":\"\xff\xfe\", \"u\":1,\"a\":1}");
    }

    #[test]
    fn a_field_of_the_same_name_gets_the_new_value_and_is_counted() {
        let new = || json!({"a": "x", "b": 1});
        assert_eq!(spliced(r#"{"a" : "x" , "b":1}"#, new()), (r#"{"a" : "x" , "b":1}"#.into(), 0));
        assert_eq!(
            spliced(r#"{"a" : {"a":"x"} , "c":2}"#, new()),
            (r#"{"a" : "x" , "c":2,"b":1}"#.into(), 1)
        );
        // An escaped name is the same name, and a name that comes twice is replaced twice.
        assert_eq!(
            spliced(r#"{"\u0061":null,"a":"y","b":1}"#, new()),
            (r#"{"\u0061":"x","a":"x","b":1}"#.into(), 2)
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in [
            "",
            " ",
            "[]",
            "null",
            "\"{}\"",
            "{",
            "}",
            "{}{}",
            "{} x",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1",
            "{\"a\":\"1}",
            "{\"a\":[1}",
            "{\"a\":(1]}",
            "{\"a\":1:2}",
            "{a:1}",
            "{,}",
            "{\"a\\",
        ] {
            assert!(Object::scan(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn names_and_texts_are_found() {
        let object = Object::scan(br#"{"caption": "a cat ", "n": 1, "o": {"x": "deep"}}"#).unwrap();
        assert!(object.has("n") && !object.has("x"));
        assert!(object.holds(" a cat\n") && !object.holds("deep") && !object.holds("1"));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|n| serde_json::Number::from_f64(n).map_or(Value::Null, Value::Number)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_result_is_the_object_and_the_fields(
            // Names of one letter, so that old and new ones meet often.
            old in prop::collection::vec(("[a-d\"\\\\é]", any_value()), 0..6),
            new in prop::collection::vec(("[a-d\"\\\\é]", any_value()), 0..4),
            pretty: bool,
        ) {
            let old: Map<String, Value> = old.into_iter().collect();
            let new: Map<String, Value> = new.into_iter().collect();
            let text = if pretty { serde_json::to_string_pretty(&old) } else { serde_json::to_string(&old) }.unwrap();
            let (out, replaced) = Object::scan(text.as_bytes()).unwrap().with(&new);
            let read: Map<String, Value> = serde_json::from_slice(&out).unwrap();
            let mut expected = old.clone();
            expected.extend(new.clone());
            prop_assert_eq!(read.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            prop_assert_eq!(&read, &expected);
            prop_assert_eq!(replaced, old.iter().filter(|(name, value)| new.get(*name).is_some_and(|v| v != *value)).count() as u64);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b':'), Just(b','), any::<u8>()], 0..40)) {
            if let Some(object) = Object::scan(&bytes) {
                let (out, _) = object.with(&fields(json!({"new": 1})));
                prop_assert!(Object::scan(&out).is_some_and(|object| object.has("new")));
            }
        }
    }
}
