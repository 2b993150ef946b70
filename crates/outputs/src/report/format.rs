//! Numbers as people read them. Every function is total: what is no number is shown as a dash, and rounding never turns "some" into
//! "none" or "nearly all" into "all".

/// Stands where a figure does not exist.
pub const DASH: &str = "–";

/// `1234567` as `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 row", "2 rows".
pub fn counted(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

/// `part / whole` in percent with one decimal; `<0.1%` and `>99.9%` where rounding would say none or all; a dash where `whole` is 0.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return DASH.to_owned();
    }
    let share = part as f64 / whole as f64 * 100.0;
    if part > 0 && share < 0.05 {
        "<0.1%".to_owned()
    } else if part < whole && share >= 99.95 {
        ">99.9%".to_owned()
    } else {
        format!("{share:.1}%")
    }
}

/// `part / whole` between 0 and 1, for the length of bars; 0 where `whole` is 0.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).clamp(0.0, 1.0) }
}

/// A number with at most four significant digits and no trailing zeros.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return DASH.to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    let text = if (1e-4..1e7).contains(&size) {
        let before = size.log10().floor() as i32;
        let decimals = usize::try_from(3 - before).unwrap_or(0);
        let text = format!("{size:.decimals$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            count(text.parse().unwrap_or(0))
        }
    } else {
        let text = format!("{size:.3e}");
        match text.split_once('e') {
            Some((digits, power)) => {
                format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
            }
            None => text,
        }
    };
    if value < 0.0 { format!("−{text}") } else { text }
}

/// A count in few characters, for axes and rates: `950`, `1.2k`, `34M`.
pub fn compact(value: f64) -> String {
    if !value.is_finite() || value < 0.0 {
        return DASH.to_owned();
    }
    let units = ["", "k", "M", "G", "T", "P", "E"];
    let mut scaled = value;
    let mut unit = 0;
    while scaled >= 999.5 && unit + 1 < units.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    let text = if scaled >= 99.95 || (unit == 0 && scaled.fract() == 0.0) {
        format!("{scaled:.0}")
    } else {
        format!("{scaled:.1}").trim_end_matches(".0").to_owned()
    };
    format!("{text}{}", units[unit])
}

/// Bytes in binary units: `1.2 GiB`.
pub fn bytes(value: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut scaled = value as f64;
    let mut unit = 0;
    while scaled >= 1023.95 && unit + 1 < units.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    if unit == 0 || scaled >= 99.95 {
        format!("{scaled:.0} {}", units[unit])
    } else {
        format!("{scaled:.1} {}", units[unit])
    }
}

/// A duration: `0.42 s`, `12.4 s`, `3 min 05 s`, `2 h 14 min`; a dash for what is no duration.
pub fn seconds(value: f64) -> String {
    if !value.is_finite() || value < 0.0 {
        return DASH.to_owned();
    }
    if value < 0.001 {
        return if value == 0.0 { "0 s" } else { "<1 ms" }.to_owned();
    }
    if value < 0.9995 {
        return format!("{:.0} ms", value * 1000.0);
    }
    if value < 59.95 {
        return format!("{value:.1} s");
    }
    let whole = value.round() as u64;
    if whole < 3600 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{} h {:02} min", count(whole / 3600), whole % 3600 / 60)
    }
}

/// Rows in a second: `80.6k/s`; a dash where no time was measured.
pub fn rate(rows: u64, seconds: f64) -> String {
    if seconds.is_finite() && seconds > 0.0 && (rows as f64 / seconds).is_finite() {
        format!("{}/s", compact(rows as f64 / seconds))
    } else {
        DASH.to_owned()
    }
}

/// At most `limit` characters of a text; what is missing is counted at the end. The whole text, where it fits.
pub fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => {
            let missing = text[end..].chars().count() as u64;
            format!("{}… ({} more)", &text[..end], counted(missing, "character", "characters"))
        }
    }
}

/// At most `limit` characters, with a bare ellipsis as the last where something is missing.
pub fn clip(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// Counts by name, the largest first, ties by name.
pub fn by_count(counts: &std::collections::BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut sorted: Vec<(&str, u64)> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!([counted(1, "row", "rows"), counted(0, "row", "rows")], ["1 row", "0 rows"]);
    }

    #[test]
    fn percent_never_rounds_to_none_or_all() {
        assert_eq!(percent(0, 0), DASH);
        assert_eq!(percent(0, 5), "0.0%");
        assert_eq!(percent(5, 5), "100.0%");
        assert_eq!(percent(1, 1_000_000), "<0.1%");
        assert_eq!(percent(999_999, 1_000_000), ">99.9%");
        assert_eq!(percent(1, 3), "33.3%");
    }

    #[test]
    fn numbers_keep_four_digits() {
        assert_eq!(number(57.381), "57.38");
        assert_eq!(number(0.05), "0.05");
        assert_eq!(number(-60.684_9), "−60.68");
        assert_eq!(number(0.30000000000000004), "0.3");
        assert_eq!(number(123_456.7), "123,457");
        assert_eq!(number(0.000_012_3), "1.23e-5");
        assert_eq!(number(0.0), "0");
        assert_eq!([number(f64::NAN), number(f64::INFINITY), number(f64::NEG_INFINITY)], [DASH, "∞", "−∞"]);
        assert_eq!(number(1e300), "1e300");
    }

    #[test]
    fn units_step_up_before_they_overflow() {
        assert_eq!(
            [compact(0.0), compact(999.0), compact(999.6), compact(80_645.0)],
            ["0", "999", "1k", "80.6k"]
        );
        assert_eq!([compact(1e6), compact(0.5), compact(f64::NAN)], ["1M", "0.5", DASH]);
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1024), bytes(1_048_575)],
            ["0 B", "1023 B", "1.0 KiB", "1.0 MiB"]
        );
        assert_eq!(
            [seconds(0.0), seconds(0.42), seconds(12.44), seconds(59.96)],
            ["0 s", "420 ms", "12.4 s", "1 min 00 s"]
        );
        assert_eq!(
            [seconds(185.0), seconds(8040.0), seconds(f64::NAN), seconds(-1.0)],
            ["3 min 05 s", "2 h 14 min", DASH, DASH]
        );
        assert_eq!([rate(1_000_000, 12.4), rate(5, 0.0), rate(5, f64::NAN)], ["80.6k/s", DASH, DASH]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shorten("añb", 3), "añb");
        assert_eq!(shorten("añbcd", 2), "añ… (3 characters more)");
        assert_eq!(clip("añbcd", 3), "añ…");
        assert_eq!(clip("añb", 3), "añb");
    }
}
