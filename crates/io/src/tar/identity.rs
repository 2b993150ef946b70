//! The uid of a tar sample: from its json, else a hash that stays the same for ever. The json is searched, not parsed: image pools hold
//! files that strict parsers refuse (NaN, stray bytes), and the uid in them is good all the same.
use cribble_core::Uid;

/// Where a sample's uid is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UidSource {
    /// The `uid` of its json.
    Json,
    /// Hash: the sample has no json.
    NoJson,
    /// Hash: its json has no `uid`.
    NoUid,
    /// Hash: the `uid` in its json is not 32 hexadecimal characters.
    BadUid,
}

impl UidSource {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::NoJson => 1,
            Self::NoUid => 2,
            Self::BadUid => 3,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        [Self::Json, Self::NoJson, Self::NoUid, Self::BadUid].into_iter().find(|source| source.code() == code)
    }
}

/// The stable uid of a sample that has none: the first 16 bytes (big-endian) of
/// `BLAKE3("cribble-uid-1" 0x00 source 0x00 key)`, where `source` is the file name of the shard as bytes (such as `00000012.tar`) and `key` the
/// sample's key. It depends on nothing else, so a copied or moved folder keeps its uids.
pub fn hashed_uid(source: &str, key: &[u8]) -> Uid {
    let mut hash = blake3::Hasher::new();
    hash.update(b"cribble-uid-1\0");
    hash.update(source.as_bytes());
    hash.update(b"\0");
    hash.update(key);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    Uid::from_bytes(bytes)
}

/// What a search for the uid found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonUid {
    /// A good one.
    Found(Uid),
    /// A `uid` whose value is something else.
    Bad,
    /// No `uid` at the top level.
    Absent,
}

/// Searches json for a top-level `"uid"`, one piece of the file after the other. The first one counts.
#[derive(Debug, Default)]
pub struct UidFinder {
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The string being read, while it can still matter (64 bytes at most are kept).
    text: Vec<u8>,
    /// A string at the top level has just ended; a colon would make it a key.
    key_ended: bool,
    /// The colon after `"uid"` has been seen.
    value_next: bool,
    result: Option<JsonUid>,
}

impl UidFinder {
    /// Takes in the next piece. Returns true once nothing that follows can change the result.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        for &byte in bytes {
            if self.result.is_some() {
                return true;
            }
            self.step(byte);
        }
        self.result.is_some()
    }

    /// The result when no more pieces come.
    pub fn finish(self) -> JsonUid {
        self.result.unwrap_or(JsonUid::Absent)
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            if self.escaped {
                self.escaped = false;
            } else if byte == b'\\' {
                self.escaped = true;
            } else if byte == b'"' {
                self.in_string = false;
                if self.value_next {
                    self.result = Some(Uid::parse(&self.text).map_or(JsonUid::Bad, JsonUid::Found));
                }
                self.key_ended = self.depth == 1;
                return;
            }
            if self.text.len() < 64 {
                self.text.push(byte);
            }
            return;
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => return,
            b'"' => {
                self.in_string = true;
                self.text.clear();
            }
            b':' if self.key_ended && self.text == b"uid" => {
                self.value_next = true;
                self.key_ended = false;
                return;
            }
            _ if self.value_next => self.result = Some(JsonUid::Bad),
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.key_ended = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> JsonUid {
        let mut whole = UidFinder::default();
        whole.push(text.as_bytes());
        let mut pieces = UidFinder::default();
        for byte in text.bytes() {
            pieces.push(&[byte]);
        }
        let result = whole.finish();
        assert_eq!(result, pieces.finish());
        result
    }

    #[test]
    fn only_the_uid_of_the_top_level_counts() {
        let uid = "0123456789abcdef0123456789abcdef";
        let good = JsonUid::Found(uid.parse().unwrap());
        assert_eq!(find(&format!("{{\"uid\": \"{uid}\"}}")), good);
        assert_eq!(
            find(&format!(
                "{{\"a\":{{\"uid\":\"x\"}},\"b\":[\"uid\",NaN],\"t\":\"\\\"uid\\\":\", \"uid\" : \"{uid}\","
            )),
            good
        );
        assert_eq!(find("{\"uid\": null}"), JsonUid::Bad);
        assert_eq!(find("{\"uid\": \"12\"}"), JsonUid::Bad);
        assert_eq!(find("{\"uid\": {\"uid\": \"x\"}}"), JsonUid::Bad);
        for text in ["", "[]", "{\"x\":\"uid\"}", "{\"x\":\"uid\",\"y\":1}", "{\"uid", "{\"key\":\"1\"}"] {
            assert_eq!(find(text), JsonUid::Absent, "{text}");
        }
    }

    #[test]
    fn the_hash_is_the_documented_one_and_tells_source_from_key() {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&blake3::hash(b"cribble-uid-1\0a.tar\0k").as_bytes()[..16]);
        assert_eq!(hashed_uid("a.tar", b"k"), Uid::from_bytes(bytes));
        assert_ne!(hashed_uid("a.tar", b"k"), hashed_uid("a.ta", b"rk"));
    }
}
