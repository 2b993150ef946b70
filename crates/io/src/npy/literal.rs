//! The few Python literals that an npy header is made of. A parser of our own, and a strict one: NumPy hands the header to Python's
//! evaluator, we accept only strings, whole numbers, booleans, tuples, lists and dicts.

/// A parsed literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    Number(u64),
    Bool(bool),
    /// A tuple or a list.
    Many(Vec<Literal>),
    Dict(Vec<(String, Literal)>),
}

/// Where parsing stopped and what was expected there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub at: usize,
    pub expected: &'static str,
}

/// Structured types nest two deep; more is no header of ours.
const DEEPEST: u32 = 8;

/// Parses the whole text; blanks and a newline may follow.
pub(super) fn parse(text: &[u8]) -> Result<Literal, Stop> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.blanks();
    if parser.at == text.len() { Ok(value) } else { Err(parser.stop("the end of the header")) }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn stop(&self, expected: &'static str) -> Stop {
        Stop { at: self.at, expected }
    }

    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.blanks();
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), Stop> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.stop(expected))
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.text[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: u32) -> Result<Literal, Stop> {
        if depth > DEEPEST {
            return Err(self.stop("a plain value"));
        }
        match self.peek() {
            Some(b'\'' | b'"') => self.string().map(Literal::Text),
            Some(b'(') => self.many(b')', depth),
            Some(b'[') => self.many(b']', depth),
            Some(b'{') => self.dict(depth),
            Some(b'0'..=b'9') => self.number(),
            Some(b'T') if self.word("True") => Ok(Literal::Bool(true)),
            Some(b'F') if self.word("False") => Ok(Literal::Bool(false)),
            _ => Err(self.stop("a value")),
        }
    }

    fn string(&mut self) -> Result<String, Stop> {
        let quote = self.text[self.at];
        let start = self.at + 1;
        let length = self.text[start..].iter().position(|&byte| byte == quote || byte == b'\\');
        let Some(length) = length.filter(|&length| self.text[start + length] == quote) else {
            return Err(self.stop("a text without backslashes, and its closing quote"));
        };
        // Field names of version 3 headers are UTF-8.
        let text =
            std::str::from_utf8(&self.text[start..start + length]).map_err(|_| self.stop("text in UTF-8"))?;
        self.at = start + length + 1;
        Ok(text.into())
    }

    fn number(&mut self) -> Result<Literal, Stop> {
        let mut value = 0u64;
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at).copied() {
            value = value
                .checked_mul(10)
                .and_then(|v| v.checked_add(u64::from(digit - b'0')))
                .ok_or_else(|| self.stop("a number below 2^64"))?;
            self.at += 1;
        }
        // Python 2 wrote long numbers with an L.
        self.word("L");
        Ok(Literal::Number(value))
    }

    fn many(&mut self, close: u8, depth: u32) -> Result<Literal, Stop> {
        self.at += 1;
        let mut values = Vec::new();
        while self.peek() != Some(close) {
            values.push(self.value(depth + 1)?);
            if self.peek() == Some(b',') {
                self.at += 1;
            } else if self.peek() != Some(close) {
                return Err(self.stop("',' or the closing bracket"));
            }
        }
        self.at += 1;
        Ok(Literal::Many(values))
    }

    fn dict(&mut self, depth: u32) -> Result<Literal, Stop> {
        self.at += 1;
        let mut pairs = Vec::new();
        while self.peek() != Some(b'}') {
            if !matches!(self.peek(), Some(b'\'' | b'"')) {
                return Err(self.stop("a key in quotes, or '}'"));
            }
            let key = self.string()?;
            self.take(b':', "':'")?;
            pairs.push((key, self.value(depth + 1)?));
            if self.peek() == Some(b',') {
                self.at += 1;
            } else if self.peek() != Some(b'}') {
                return Err(self.stop("',' or '}'"));
            }
        }
        self.at += 1;
        Ok(Literal::Dict(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_of_numpy_parse() {
        let text =
            b"{'descr': [('f0', '<u8'), (\"f1\", '<u8')], 'fortran_order': False, 'shape': (3L,), }  \n";
        let Literal::Dict(pairs) = parse(text).unwrap() else { panic!("no dict") };
        assert_eq!(pairs[2], ("shape".into(), Literal::Many(vec![Literal::Number(3)])));
        assert_eq!(pairs[1].1, Literal::Bool(false));
        for (bad, at) in
            [("{'a' 1}", 5), ("{'a: 1}", 1), ("{", 1), ("{'a': -1}", 6), ("{'a': 1} x", 9), ("{'\\'': 1}", 1)]
        {
            assert_eq!(parse(bad.as_bytes()).unwrap_err().at, at, "{bad}");
        }
        assert!(parse("[".repeat(10_000).as_bytes()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_text_makes_it_panic(text in "[{}()\\[\\]',:\"0-9a-zTrueFals L<\\\\\n]{0,60}") {
            let _ = parse(text.as_bytes());
        }
    }
}
