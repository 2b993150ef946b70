//! The text forms of protocol 0: numbers as digits, strings as Python would print them.

/// A quoted string with escapes, as `repr` of Python 2 wrote it; bytes become characters one to one.
pub(super) fn quoted(line: &[u8]) -> Option<String> {
    let line = line.trim_ascii();
    let (&quote, rest) = line.split_first()?;
    let inner = rest.strip_suffix(&[quote])?;
    if !matches!(quote, b'\'' | b'"') {
        return None;
    }
    let mut out = String::new();
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte as char);
            continue;
        }
        out.push(match bytes.next()? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'x' => {
                let digit = |byte: u8| (byte as char).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                char::from_u32(high * 16 + low)?
            }
            other @ (b'\\' | b'\'' | b'"') => other as char,
            _ => return None,
        });
    }
    Some(out)
}

/// Raw-unicode-escape: latin-1 with `\uXXXX` and `\UXXXXXXXX`.
pub(super) fn raw_unicode(line: &[u8]) -> Option<String> {
    let mut out = String::new();
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = match (byte, tail.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                out.push(byte as char);
                rest = tail;
                continue;
            }
        };
        let text = std::str::from_utf8(tail.get(1..1 + digits)?).ok()?;
        out.push(char::from_u32(u32::from_str_radix(text, 16).ok()?)?);
        rest = &tail[1 + digits..];
    }
    Some(out)
}
