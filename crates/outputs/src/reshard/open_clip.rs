//! The flags with which open_clip trains on an output. `--json-text-key` is read by its trainer on the main branch (open_clip_train/params.py: names
//! joined by `;`, the first that is a text with something in it; a sample without a json is left out); release 3.3.0 knows `.txt` members only.
use std::path::Path;

use cribble_core::Txt;

use super::report::ReshardReport;

/// The flags, as they are typed into a shell; `None` where nothing was written.
pub fn open_clip_flags(output: &Path, report: &ReshardReport) -> Option<String> {
    let (first, last) = (report.shards.first()?, report.shards.last()?);
    let data = quoted(&output.join(brace_range(&first.name, &last.name)).to_string_lossy());
    let mut flags =
        format!("--train-data {data} --dataset-type webdataset --train-num-samples {}", report.written);
    // Without a flag the text is read from `.txt`, by all releases: older ones refuse `--text-key txt`.
    if let Some(captions) = report.captions.as_ref().filter(|captions| captions.txt == Txt::Original) {
        flags += &format!(" --json-text-key {}", quoted(&captions.text_keys.join(";")));
    }
    Some(flags)
}

/// `00000000.tar` and `00000012.tar` as `{00000000..00000012}.tar`.
fn brace_range(first: &str, last: &str) -> String {
    if first == last {
        return first.into();
    }
    let digits = |byte: &u8| byte.is_ascii_digit();
    let differs = first.bytes().zip(last.bytes()).position(|(a, b)| a != b).unwrap_or(0);
    // Back to where the number begins, and from behind to where it ends.
    let before = differs - first.as_bytes()[..differs].iter().rev().take_while(|byte| digits(byte)).count();
    let number = |name: &str| name.as_bytes()[before..].iter().take_while(|byte| digits(byte)).count();
    let (a, b) = (before + number(first), before + number(last));
    format!("{}{{{}..{}}}{}", &first[..before], &first[before..a], &last[before..b], &last[b..])
}

/// In single quotes, which keep a shell from touching braces and semicolons.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reshard::{CaptionCounts, CaptionReport, ShardReport};

    #[test]
    fn names_become_a_range_that_a_shell_expands() {
        for (first, last, range) in [
            ("00000000.tar", "00000000.tar", "00000000.tar"),
            ("00000000.tar", "00000012.tar", "{00000000..00000012}.tar"),
            ("part-0.tar", "part-12.tar", "part-{0..12}.tar"),
            ("v2_000-x.tar", "v2_999-x.tar", "v2_{000..999}-x.tar"),
        ] {
            assert_eq!(brace_range(first, last), range);
        }
    }

    #[test]
    fn flags_name_what_the_samples_have() {
        let shard = |name: &str| ShardReport {
            name: name.into(),
            samples: 5,
            bytes: 0,
            hash: String::new(),
            captions: None,
        };
        let mut report = ReshardReport { written: 10, ..ReshardReport::default() };
        let output = Path::new("it's/shards");
        assert_eq!(open_clip_flags(output, &report), None);
        report.shards = vec![shard("0.tar"), shard("1.tar")];
        let data =
            r"--train-data 'it'\''s/shards/{0..1}.tar' --dataset-type webdataset --train-num-samples 10";
        assert_eq!(open_clip_flags(output, &report).unwrap(), data);
        let captions = |txt| CaptionReport {
            fields: Vec::new(),
            text_keys: vec!["caption_best".into(), "caption".into()],
            txt,
            counts: CaptionCounts::default(),
        };
        report.captions = Some(captions(Txt::Original));
        let expected = format!("{data} --json-text-key 'caption_best;caption'");
        assert_eq!(open_clip_flags(output, &report).unwrap(), expected);
        report.captions = Some(captions(Txt::Best));
        assert_eq!(open_clip_flags(output, &report).unwrap(), data);
    }
}
