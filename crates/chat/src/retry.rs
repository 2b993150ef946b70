//! What a fault means: whether it may pass, how long to wait, and what a person can do.
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A call that brought no answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub status: Option<u16>,
    /// Whether the same call may succeed later.
    pub again: bool,
    /// Whether every other call will fail in the same way, so that the run must stop.
    pub stops: bool,
    /// Whether the server may have worked, and counts tokens, for an answer that did not arrive.
    pub lost: bool,
    /// What the server asked to wait.
    pub wait: Option<Duration>,
    pub what: String,
    pub cure: &'static str,
}

impl Fault {
    /// A fault that may pass.
    pub fn passing(what: impl Into<String>) -> Self {
        Self {
            status: None,
            again: true,
            stops: false,
            lost: false,
            wait: None,
            what: what.into(),
            cure: "look at the server's log and run again: answers that arrived are kept",
        }
    }

    /// A fault that the same call will have again.
    pub fn lasting(status: Option<u16>, what: impl Into<String>, cure: &'static str) -> Self {
        Self { status, again: false, cure, ..Self::passing(what) }
    }

    pub fn lost(mut self) -> Self {
        self.lost = true;
        self
    }

    pub fn stopping(mut self) -> Self {
        self.stops = true;
        self
    }

    /// A status that is no success. `said` is the body, `wait` the header `Retry-After`.
    pub fn of_status(status: u16, said: &str, wait: Option<Duration>) -> Self {
        let beginning: String = one_line(said).chars().take(300).collect();
        let what = match beginning.is_empty() {
            true => format!("answered {status}"),
            false => format!("answered {status}: {beginning}"),
        };
        let lasting = |cure| Self::lasting(Some(status), what.clone(), cure);
        // A used-up account also answers 429; waiting does not fill it.
        let no_money = status == 402 || (status == 429 && said.contains("insufficient_quota"));
        match status {
            _ if no_money => lasting("top up the account or take another endpoint").stopping(),
            408 | 425 | 429 | 500 | 502..=504 | 520..=599 => {
                Self { status: Some(status), wait, ..Self::passing(what) }
            }
            400 | 413 | 422 => lasting(
                "check what the server complains of: the model's name, the length of the prompt, an image, a parameter that it does not know",
            ),
            401 => lasting("set the key's environment variable or file to a valid key").stopping(),
            403 => lasting(
                "ask for access to this model, use a key that has it, or check the content that was refused",
            ),
            404 | 405 => {
                lasting("check the address (it often ends in /v1) and the model's name against GET /models")
                    .stopping()
            }
            300..=399 => lasting("name the address that the server redirects to").stopping(),
            _ => lasting("look at the server's log"),
        }
    }

    /// An error that came with a status of success, as some relays do it.
    pub fn inside(error: &Value) -> Self {
        let message = error.get("message").and_then(Value::as_str).or(error.as_str());
        let said = message.map_or_else(|| error.to_string(), String::from);
        let code = error.get("code").and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        match code.and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code)) {
            Some(status) => Self::of_status(status, &said, None),
            None => Self::passing(format!("answered with an error: {}", one_line(&said))),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The wait before retry `retry` (from 0): doubling, of which half is jitter that the call's hash decides, so that a repeated run waits
/// the same; never less than what the server asked for.
pub(crate) fn wait(
    first: Duration,
    longest: Duration,
    retry: u32,
    asked: Option<Duration>,
    call: &[u8; 16],
) -> Duration {
    let mut hasher = blake3::Hasher::new();
    hasher.update(call).update(&retry.to_le_bytes());
    let hash = hasher.finalize();
    let share = f64::from(hash.as_bytes()[0]) / 255.0;
    let full = first.saturating_mul(1u32 << retry.min(20)).min(longest);
    let own = full.mul_f64(0.5 + 0.5 * share);
    match asked {
        // All calls that were refused together shall not come back together.
        Some(asked) => own.max(asked + (asked / 10).min(Duration::from_secs(1)).mul_f64(share)),
        None => own,
    }
}

/// A `Retry-After`: seconds, or an HTTP date (RFC 9110, section 10.2.3; of the date's three forms the one that may be sent).
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return (0.0..1e9).contains(&seconds).then(|| Duration::from_secs_f64(seconds));
    }
    let then = http_date(value)?;
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(then).saturating_sub(now))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in seconds of the epoch.
fn http_date(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(", ")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = words[..] else { return None };
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|&name| name == month)? as u64 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = clock[..] else { return None };
    if !(1..=31).contains(&day) || !(1970..=9999).contains(&year) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since the epoch: years are counted from March, so that the leap day is a year's last.
    let (march_year, march_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * march_year + march_year / 4 - march_year / 100
        + march_year / 400
        + (153 * march_month + 2) / 5
        + day
        - 1;
    // 719,468 days lie between 1 March of year 0 and the epoch.
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        // `date -u -d '...' +%s`
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
            ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ] {
            assert_eq!(http_date(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "Sun, 06 Nov 1994",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 99 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    #[test]
    fn retry_after_has_two_forms() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(" 0.5 ", now), Some(Duration::from_millis(500)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(90)));
        assert_eq!(retry_after("Sun, 06 Nov 1984 08:49:37 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("-1", now), None);
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn waits_double_within_bounds_and_repeat() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(10));
        for call in 0..200u8 {
            for retry in 0..40 {
                let found = wait(first, longest, retry, None, &[call; 16]);
                let full = first.mul_f64(2f64.powi(retry as i32)).min(longest);
                assert!(found <= full && found >= full / 2, "{found:?}");
                assert_eq!(found, wait(first, longest, retry, None, &[call; 16]));
            }
        }
        assert_ne!(wait(first, longest, 0, None, &[1; 16]), wait(first, longest, 0, None, &[2; 16]));
        let asked = Duration::from_secs(30);
        let found = wait(first, longest, 0, Some(asked), &[3; 16]);
        assert!(found >= asked && found <= asked + Duration::from_secs(1), "{found:?}");
    }

    #[test]
    fn statuses_are_sorted_into_passing_lasting_and_stopping() {
        let of = |status| Fault::of_status(status, "", None);
        for status in [408, 429, 500, 502, 503, 504, 529] {
            assert!(of(status).again, "{status}");
        }
        for status in [301, 400, 401, 402, 403, 404, 413, 422, 501] {
            assert!(!of(status).again, "{status}");
        }
        let stopping: Vec<u16> = (300..600).filter(|&status| of(status).stops).collect();
        assert_eq!(
            stopping.iter().copied().filter(|&status| status >= 400).collect::<Vec<_>>(),
            [401, 402, 404, 405]
        );
        assert!(Fault::of_status(429, "{\"code\": \"insufficient_quota\"}", None).stops);
    }
}
