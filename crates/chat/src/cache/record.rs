//! One line of a cache file: a JSON array `["KEY","CHECK",LENGTH,ANSWER]`, with the question's name in 32 hex digits, the length of the
//! answer's JSON in bytes, and 16 hex digits of BLAKE3 over name and answer. A line that a kill has torn, or a disk has damaged, does
//! not pass; a whole one can be read by any tool that knows JSON lines.
use super::CacheKey;
use crate::Answer;

/// Bytes before LENGTH.
const BEFORE_LENGTH: usize = 55;
/// Bytes within which LENGTH has ended.
pub const HEAD: usize = BEFORE_LENGTH + 20;

/// The line of an answer, with its newline.
pub fn line(key: CacheKey, answer: &Answer) -> serde_json::Result<Vec<u8>> {
    let json = serde_json::to_string(answer)?;
    let check = check(key, json.as_bytes());
    Ok(format!("[\"{}\",\"{check}\",{},{json}]\n", hex(&key.0), json.len()).into_bytes())
}

/// The name and the answer's JSON of a whole line without its newline; `None` for anything else.
pub fn parse(line: &[u8]) -> Option<(CacheKey, &[u8])> {
    let (key, found, start, length) = head(line)?;
    let json = line.get(start..start + length)?;
    let whole =
        line.len() == start + length + 1 && line.ends_with(b"]") && found == check(key, json).as_bytes();
    whole.then_some((key, json))
}

/// The length of a line without its newline, from its first [`HEAD`] bytes.
pub fn length(line: &[u8]) -> Option<usize> {
    head(line).map(|(_, _, start, length)| start + length + 1)
}

/// Name, checksum, where the answer begins, and its length.
fn head(line: &[u8]) -> Option<(CacheKey, &[u8], usize, usize)> {
    let start = line.get(..BEFORE_LENGTH)?;
    let separators = [&start[..2], &start[34..37], &start[53..55]];
    if separators != [&b"[\""[..], b"\",\"", b"\","] {
        return None;
    }
    let mut key = [0; 16];
    for (byte, digits) in key.iter_mut().zip(start[2..34].chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    let rest = &line[BEFORE_LENGTH..line.len().min(HEAD)];
    let comma = rest.iter().position(|&byte| byte == b',')?;
    let length: u32 = std::str::from_utf8(&rest[..comma]).ok()?.parse().ok()?;
    Some((CacheKey(key), &start[37..53], BEFORE_LENGTH + comma + 1, length as usize))
}

fn check(key: CacheKey, json: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&key.0).update(json);
    hex(&hasher.finalize().as_bytes()[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        Answer {
            text: text.into(),
            finish: Some("stop".into()),
            input_tokens: Some(5),
            output_tokens: Some(1),
            seconds: 0.5,
            cached: false,
        }
    }

    #[test]
    fn lines_are_json_and_come_back() {
        for text in ["", "yes", "two\nlines \"quoted\"", "✅ 可接受"] {
            let line = line(CacheKey([0xab; 16]), &answer(text)).unwrap();
            let whole: (String, String, usize, Answer) = serde_json::from_slice(&line).unwrap();
            assert_eq!(whole.3, answer(text));
            let line = line.strip_suffix(b"\n").unwrap();
            assert!(!line.contains(&b'\n'));
            assert_eq!(length(&line[..line.len().min(HEAD)]), Some(line.len()));
            let (key, json) = parse(line).unwrap();
            assert_eq!(key, CacheKey([0xab; 16]));
            assert_eq!(serde_json::from_slice::<Answer>(json).unwrap(), answer(text));
        }
    }

    #[test]
    fn no_torn_and_no_damaged_line_passes() {
        let line = line(CacheKey([9; 16]), &answer("yes")).unwrap();
        let line = line.strip_suffix(b"\n").unwrap();
        for end in 0..line.len() {
            assert!(parse(&line[..end]).is_none(), "cut at {end}");
        }
        for place in 0..line.len() {
            for bit in 0..8 {
                let mut damaged = line.to_vec();
                damaged[place] ^= 1 << bit;
                // Hex digits have two cases: the one change that means the same.
                let same = damaged.eq_ignore_ascii_case(line) && place < 34;
                assert_eq!(parse(&damaged).is_some(), same, "bit {bit} of byte {place}");
            }
        }
    }
}
