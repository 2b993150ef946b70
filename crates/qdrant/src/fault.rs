//! What a failed call means: whether it may pass, how long to wait, and what a person can do.
use std::time::Duration;

use cribble_core::Error;
use tonic::{Code, Status};

/// The longest wait that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// A call that brought no answer.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub code: Code,
    /// Whether the same call may succeed later.
    pub passes: bool,
    /// What the server asked to wait.
    pub wait: Option<Duration>,
    /// Whether the connection broke, so that the server said nothing of this.
    pub broken: bool,
    /// Whether a smaller message may be taken.
    pub too_large: bool,
    /// What was said, on one line, without the key.
    pub what: String,
}

impl Fault {
    /// Sorts a status. `hide` takes the key out of what the server said.
    pub fn of(status: &Status, hide: impl Fn(&str) -> String) -> Self {
        let code = status.code();
        let said = status.message().to_lowercase();
        let too_large = code == Code::OutOfRange
            || said.contains("status code 413")
            || (code == Code::ResourceExhausted && said.contains("larger than max"));
        // What has a source was not said by the server: the connection broke.
        let broken = std::error::Error::source(status).is_some();
        let passes = matches!(
            code,
            Code::Unavailable
                | Code::ResourceExhausted
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::Cancelled
        ) || broken
            || ["502", "503", "504"].iter().any(|gateway| said.contains(&format!("status code {gateway}")));
        let wait = status
            .metadata()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse::<f64>().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(|wait| wait.min(LONGEST_ASKED));
        let what = hide(&causes(status).split_whitespace().collect::<Vec<_>>().join(" "));
        Self { code, passes: passes && !too_large, wait, broken, too_large, what }
    }

    /// The connection was never made, or the server stopped answering.
    pub fn is_lost(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
    }

    /// As a person should read it. `doing` says what was tried, `url` where.
    pub fn error(&self, doing: &str, url: &str) -> Error {
        let kind = format!("{:?}", self.code);
        let message = match self.what.is_empty() {
            true => format!("{url}: {doing}: {kind}"),
            false => format!("{url}: {doing}: {kind}: {}", self.what),
        };
        Error::input(message).with_hint(match self.code {
            Code::Unauthenticated | Code::PermissionDenied => {
                "name the environment variable with the server's key by --api-key-env, or a file by --api-key-file"
            }
            Code::NotFound => "`cribble qdrant push RUN` makes the collection; --collection names another",
            Code::Unimplemented => "the server is too old for this call: take Qdrant 1.10 or later",
            _ if self.passes => "look at the server's log and run the same command again: it goes on where it stopped",
            _ => "look at the server's log",
        })
    }
}

/// The message of a status and of what caused it, each once.
fn causes(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = if text.is_empty() { more } else { format!("{text}: {more}") };
        }
        source = error.source();
    }
    text
}

/// The wait before retry `retry` (from 0): doubling from 0.2 s to 20 s, never less than what the server asked for.
pub(crate) fn backoff(retry: u32, asked: Option<Duration>) -> Duration {
    let own = Duration::from_millis(200).saturating_mul(1 << retry.min(10)).min(Duration::from_secs(20));
    asked.map_or(own, |asked| own.max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: &Status) -> Fault {
        Fault::of(status, str::to_owned)
    }

    #[test]
    fn faults_that_pass_are_told_from_those_that_stay() {
        for status in [
            Status::unavailable("overloaded"),
            Status::resource_exhausted("rate limit"),
            Status::deadline_exceeded(""),
            Status::cancelled("Timeout expired"),
            Status::unknown("grpc-status header missing, mapped from HTTP status code 503"),
        ] {
            assert!(fault(&status).passes, "{status}");
        }
        for status in [
            Status::invalid_argument("wrong dimension"),
            Status::not_found("no collection"),
            Status::unauthenticated("no key"),
            Status::internal("disk full"),
            Status::unknown("a bug"),
        ] {
            assert!(!fault(&status).passes, "{status}");
        }
        let broken = Status::from_error(Box::new(std::io::Error::other("connection reset")));
        let found = fault(&broken);
        assert!(found.passes && found.what.contains("connection reset"), "{found:?}");
    }

    #[test]
    fn messages_that_are_too_large_are_not_sent_again_as_they_are() {
        for status in [
            Status::out_of_range(
                "Error, decoded message length too large: found 9 bytes, the limit is: 4 bytes",
            ),
            Status::resource_exhausted("grpc: received message larger than max (9 vs. 4)"),
            Status::unknown("grpc-status header missing, mapped from HTTP status code 413"),
        ] {
            let found = fault(&status);
            assert!(found.too_large && !found.passes, "{status}");
        }
    }

    #[test]
    fn a_server_says_how_long_to_wait() {
        let asked = |text: &str| {
            let mut status = Status::resource_exhausted("slow down");
            status.metadata_mut().insert("retry-after", text.parse().unwrap());
            fault(&status).wait
        };
        assert_eq!(asked("3"), Some(Duration::from_secs(3)));
        assert_eq!(asked("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(asked("1e9"), Some(LONGEST_ASKED));
        assert_eq!((asked("soon"), asked("-1"), asked("NaN")), (None, None, None));
        assert_eq!(backoff(0, None), Duration::from_millis(200));
        assert_eq!(backoff(3, None), Duration::from_millis(1600));
        assert_eq!(backoff(40, None), Duration::from_secs(20));
        assert_eq!(backoff(0, Some(Duration::from_secs(7))), Duration::from_secs(7));
    }
}
