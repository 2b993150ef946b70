//! What becomes of the `.json` and `.txt` members of a sample that has new captions. Everything else about it is copied.
use std::ops::Range;

use cribble_core::Txt;
use cribble_io::tar::{TarSample, padded, write::headers_length};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::splice::Object;

/// The field that the `.txt` member is written from.
pub(super) const BEST: &str = "caption_best";
/// The original caption, as img2dataset names it.
pub(super) const ORIGINAL: &str = "caption";
/// Where the text of the `.txt` member goes when it is replaced and the json holds another caption.
const REPLACED_TXT: &str = "txt";
/// Larger members are not taken into memory; their samples stay as they are.
const MOST_BYTES: u64 = 16 << 20;

/// What became of the samples of an output, copies counted. `samples + without + left` are all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptionCounts {
    /// Samples with new fields.
    pub samples: u64,
    /// Samples of which the source knows no captions; copied as they are.
    pub without: u64,
    /// Samples whose json is no object (or larger than 16 MiB); copied as they are.
    pub left: u64,
    /// Of `samples`, those that had no json and got one.
    pub json_made: u64,
    /// Of `samples`, those with the best caption as their `.txt`.
    pub txt_best: u64,
    /// Members of json objects that had the name of a new field, another value, and now have the new one.
    pub replaced_fields: u64,
}

impl CaptionCounts {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.without += other.without;
        self.left += other.left;
        self.json_made += other.json_made;
        self.txt_best += other.txt_best;
        self.replaced_fields += other.replaced_fields;
    }
}

/// A member with new contents.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NewMember {
    /// Its position among the members of the sample; `None` for one that the sample did not have.
    pub at: Option<usize>,
    pub extension: Vec<u8>,
    pub data: Vec<u8>,
}

/// The members of a sample that are not copied, and what they add to the counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rewritten {
    pub members: Vec<NewMember>,
    pub counts: CaptionCounts,
}

impl Rewritten {
    /// A sample of which nothing new is known.
    pub fn without() -> Self {
        Self { counts: CaptionCounts { without: 1, ..CaptionCounts::default() }, ..Self::default() }
    }

    fn left() -> Self {
        Self { counts: CaptionCounts { left: 1, ..CaptionCounts::default() }, ..Self::default() }
    }
}

/// Rewrites the json, and the text where `txt` says so. `read` gives bytes of the sample's tar.
///
/// The json gets the fields behind its own members; where it has no `caption`, the text comes before them under that name. A replaced
/// text that stands in none of its members goes there as `txt`, so that nothing is lost.
pub(super) fn rewrite<E>(
    sample: &TarSample,
    fields: Map<String, Value>,
    txt: Txt,
    mut read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
) -> Result<Rewritten, E> {
    let (json_at, txt_at) = (position(sample, "json"), position(sample, "txt"));
    let large = |at: &Option<usize>| at.is_some_and(|at| sample.members[at].size > MOST_BYTES);
    if large(&json_at) || large(&txt_at) {
        return Ok(Rewritten::left());
    }
    let mut member = |at: Option<usize>| at.map(|at| read(sample.members[at].data())).transpose();
    let (json, text) = (member(json_at)?, member(txt_at)?);
    let text = String::from_utf8_lossy(text.as_deref().unwrap_or_default());
    let best = match (txt, fields.get(BEST)) {
        (Txt::Best, Some(Value::String(best))) if !best.trim().is_empty() => Some(best.clone().into_bytes()),
        _ => None,
    };
    let Some(object) = Object::scan(json.as_deref().unwrap_or(b"{}")) else { return Ok(Rewritten::left()) };

    let mut all = Map::new();
    if json.is_none() {
        all.insert("uid".into(), sample.uid.to_string().into());
    }
    if !text.trim().is_empty() {
        if !object.has(ORIGINAL) {
            all.insert(ORIGINAL.into(), text.as_ref().into());
        } else if best.is_some() && !object.holds(&text) {
            all.insert(REPLACED_TXT.into(), text.as_ref().into());
        }
    }
    all.extend(fields);
    let (data, replaced_fields) = object.with(&all);

    let counts = CaptionCounts {
        samples: 1,
        json_made: u64::from(json.is_none()),
        txt_best: u64::from(best.is_some()),
        replaced_fields,
        ..CaptionCounts::default()
    };
    let mut rewritten = Rewritten { members: Vec::new(), counts };
    let mut put = |at: Option<usize>, extension: &str, data: Vec<u8>| {
        let extension = at.map_or(extension.as_bytes(), |at| &sample.members[at].extension).to_vec();
        rewritten.members.push(NewMember { at, extension, data });
    };
    if let Some(best) = best {
        put(txt_at, "txt", best);
    }
    put(json_at, "json", data);
    Ok(rewritten)
}

fn position(sample: &TarSample, extension: &str) -> Option<usize> {
    sample.members.iter().position(|member| member.extension.eq_ignore_ascii_case(extension.as_bytes()))
}

/// An upper bound of the bytes by which the rewritten sample is larger in its tar than the copied one, for fields whose JSON text has
/// `fields` bytes.
pub(super) fn growth(sample: &TarSample, key: &[u8], fields: u64) -> u64 {
    let size = |extension| position(sample, extension).map_or(0, |at| sample.members[at].size);
    // A character of a text takes at most six in JSON; names, quotes, commas and a uid fit into the rest.
    let json = size("txt").saturating_mul(6).saturating_add(size("json")).saturating_add(fields + 128);
    let member = |bytes: u64| {
        let headers = headers_length(&[key, b".json"].concat());
        padded(bytes).unwrap_or(u64::MAX).saturating_add(headers)
    };
    // A best caption is a part of the fields. That the old members go is not counted: the bound stays one, and simple.
    member(json).saturating_add(member(fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cribble_core::Uid;
    use cribble_io::tar::{TarMember, UidSource};
    use serde_json::json;

    /// A sample whose members lie one behind the other, and their bytes.
    fn sample(members: &[(&str, &[u8])]) -> (TarSample, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        for (extension, data) in members {
            let header_offset = bytes.len() as u64;
            bytes.resize(bytes.len() + 512, 0);
            places.push(TarMember {
                extension: extension.as_bytes().to_vec(),
                header_offset,
                data_offset: header_offset + 512,
                size: data.len() as u64,
            });
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        (TarSample { key: b"k".to_vec(), uid: Uid(7), uid_source: UidSource::NoJson, members: places }, bytes)
    }

    fn rewritten(members: &[(&str, &[u8])], txt: Txt) -> Rewritten {
        let fields = json!({"caption_a": "A", "caption_best": "B\u{1}", "caption_best_sim": 0.25});
        let (sample, bytes) = sample(members);
        let length = fields.to_string().len() as u64;
        let read = |range: Range<u64>| Ok::<_, ()>(bytes[range.start as usize..range.end as usize].to_vec());
        let rewritten = rewrite(&sample, fields.as_object().unwrap().clone(), txt, read).unwrap();
        let blocks = |bytes: usize| 512 + bytes.next_multiple_of(512) as u64;
        let new: u64 = rewritten.members.iter().map(|member| blocks(member.data.len())).sum();
        assert!(new <= growth(&sample, b"k", length));
        rewritten
    }

    fn text(rewritten: &Rewritten, extension: &str) -> String {
        let found = rewritten.members.iter().find(|member| member.extension == extension.as_bytes());
        String::from_utf8(found.unwrap().data.clone()).unwrap()
    }

    const FIELDS: &str = r#""caption_a":"A","caption_best":"B\u0001","caption_best_sim":0.25}"#;

    #[test]
    fn the_original_text_is_never_lost() {
        // It stands in the json already.
        let members: [(&str, &[u8]); 2] = [("json", br#"{"caption": "old"}"#), ("txt", b"old\n")];
        let new = rewritten(&members, Txt::Best);
        assert_eq!(text(&new, "json"), format!("{{\"caption\": \"old\",{FIELDS}"));
        assert_eq!((text(&new, "txt"), new.counts.txt_best), ("B\u{1}".into(), 1));
        assert_eq!(new.members.iter().map(|member| member.at).collect::<Vec<_>>(), [Some(1), Some(0)]);
        // The json has no caption.
        let new = rewritten(&[("TXT", b"\"old\""), ("json", b"{}")], Txt::Best);
        assert_eq!(text(&new, "json"), format!("{{\"caption\":\"\\\"old\\\"\",{FIELDS}"));
        assert_eq!(text(&new, "TXT"), "B\u{1}");
        // It has another one, or none that is a text.
        for caption in ["\"else\"", "null"] {
            let json = format!("{{\"caption\":{caption}}}");
            let new = rewritten(&[("json", json.as_bytes()), ("txt", b"old")], Txt::Best);
            assert_eq!(text(&new, "json"), format!("{{\"caption\":{caption},\"txt\":\"old\",{FIELDS}"));
        }
        // Nothing is replaced, nothing need be kept.
        let new = rewritten(&[("json", br#"{"caption":"else"}"#), ("txt", b"old")], Txt::Original);
        assert_eq!(text(&new, "json"), format!("{{\"caption\":\"else\",{FIELDS}"));
        assert_eq!((new.members.len(), new.counts.txt_best), (1, 0));
        // The longest that a text can become.
        rewritten(&[("txt", &[1; 2000])], Txt::Best);
        rewritten(&[("txt", &[0xff; 2000])], Txt::Best);
    }

    #[test]
    fn missing_members_are_made() {
        let new = rewritten(&[("jpg", b"image"), ("txt", b"old")], Txt::Original);
        assert_eq!(text(&new, "json"), format!("{{\"uid\":\"{}\",\"caption\":\"old\",{FIELDS}", Uid(7)));
        assert_eq!((new.members[0].at, new.counts.json_made), (None, 1));
        let new = rewritten(&[("jpg", b"image")], Txt::Best);
        assert_eq!(text(&new, "json"), format!("{{\"uid\":\"{}\",{FIELDS}", Uid(7)));
        assert_eq!((text(&new, "txt"), new.members.len()), ("B\u{1}".into(), 2));
    }

    #[test]
    fn what_cannot_be_rewritten_is_left_and_counted() {
        for json in [&b"[1]"[..], b"", b"{\"a\":", b"\xff"] {
            let new = rewritten(&[("json", json), ("txt", b"old")], Txt::Best);
            assert!(new.members.is_empty());
            assert_eq!(new.counts, CaptionCounts { left: 1, ..CaptionCounts::default() });
        }
        let new = rewritten(&[("json", br#"{"caption_a":"X","caption_best_sim":0.250}"#)], Txt::Original);
        assert_eq!(new.counts.replaced_fields, 1);
        assert_eq!(
            text(&new, "json"),
            r#"{"caption_a":"A","caption_best_sim":0.250,"caption_best":"B\u0001"}"#
        );
    }
}
