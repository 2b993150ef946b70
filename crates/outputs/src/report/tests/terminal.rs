//! The table for the terminal, byte for byte.
use cribble_core::RunReport;

use super::samples::{counted, small};
use crate::report::funnel_text;

#[test]
fn the_funnel_on_a_wide_terminal() {
    let expected = "\
step          seen   kept  of prev  of all  dropped  errors        time  rows/s  dropped because
01-filter   10,000  8,000    80.0%   80.0%    1,997       3      500 ms   20k/s  too_small 1,200, where 797, +1 more
02-dedup     8,000  7,999   >99.9%   80.0%        1       0      12.4 s   645/s  duplicate 1
03-cluster   7,999  7,999   100.0%   80.0%        0       0  3 min 05 s  43.2/s
04-prune     7,999    500     6.3%    5.0%    7,499       0         0 s       –  over_quota 7,499
selection   10,000    500             5.0%    9,500          3 min 21 s  49.8/s
";
    assert_eq!(funnel_text(&small(), 120, false), expected);
}

#[test]
fn the_funnel_on_a_narrow_terminal() {
    let expected = "\
step          seen   kept  of prev  of all  dropped  errors
01-filter   10,000  8,000    80.0%   80.0%    1,997       3
    too_small 1,200, where 797, error bad_value 3
02-dedup     8,000  7,999   >99.9%   80.0%        1       0
    duplicate 1
03-cluster   7,999  7,999   100.0%   80.0%        0       0
04-prune     7,999    500     6.3%    5.0%    7,499       0
    over_quota 7,499
selection   10,000    500             5.0%    9,500
";
    assert_eq!(funnel_text(&small(), 60, false), expected);
}

#[test]
fn color_changes_no_text() {
    for width in [30, 60, 80, 120, 200] {
        let colored = funnel_text(&small(), width, true);
        assert!(colored.contains("\u{1b}[1m") && colored.contains("\u{1b}[31m"));
        assert_eq!(without_styles(&colored), funnel_text(&small(), width, false));
    }
}

/// Text without ANSI styles, and without the spaces that then stand at the end of a line.
pub fn without_styles(text: &str) -> String {
    let mut plain = String::new();
    for (place, part) in text.split("\u{1b}[").enumerate() {
        plain.push_str(if place == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) });
    }
    plain
}

#[test]
fn an_empty_run_has_a_selection() {
    let expected = "\
step       seen  kept  of prev  of all  dropped  time  rows/s
selection     0     0                –        0   0 s       –
";
    assert_eq!(funnel_text(&RunReport::default(), 80, false), expected);
}

#[test]
fn names_cannot_steer_the_terminal() {
    let mut report = small();
    report.steps[0].step = "a\u{1b}[2Jb\nc\u{202E}d".into();
    report.steps[0].counts.dropped = counted(&[("x\r\u{7}y", 5)]);
    let text = funnel_text(&report, 100, false);
    assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
    assert!(
        text.contains("a\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}d") && text.contains("x\u{FFFD}\u{FFFD}y 5"),
        "{text}"
    );
}

#[test]
fn wide_and_long_names_stay_aligned() {
    let mut report = small();
    report.steps[0].step = "01-过滤器".into();
    report.steps[1].step = format!("02-{}", "long-".repeat(40));
    report.steps[0].counts.dropped = counted(&[(&"very ".repeat(100), 1_997)]);
    let text = funnel_text(&report, 90, false);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("01-过滤器                       "), "{text}");
    assert!(lines[2].contains("1,997, +1 more") && lines[2].contains('…'), "the count stays: {text}");
    assert!(lines.iter().all(|line| line.chars().count() <= 90), "{text}");
}
