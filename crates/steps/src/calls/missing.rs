//! Questions without an answer: a list on disk that a person can read, and the error that ends a run with exit code 3.
use std::path::PathBuf;

use cribble_chat::{Stop, Summary};
use cribble_core::{Error, ErrorKind, Result};
use cribble_pipeline::StepContext;

/// What has no answer, and why.
#[derive(Debug, Default)]
pub struct MissingList(Vec<(String, String)>);

impl MissingList {
    /// Notes a cluster or a sample.
    pub fn push(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.0.push((what.into(), why.into()));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes `missing.csv` (or, for a shard, `missing-SHARD.csv`) into the step's folder; an empty list removes the one of an earlier try.
    pub fn write(&self, context: &StepContext<'_>, shard: Option<u32>, what: &str) -> Result<PathBuf> {
        let name = shard.map_or_else(
            || "missing.csv".into(),
            |shard| format!("missing-{}.csv", context.shard_name(shard)),
        );
        let path = context.folder.join(name);
        if self.0.is_empty() {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::input(format!("{}: {error}", path.display())))
                }
                _ => Ok(path),
            };
        }
        let mut text = format!("{what},why\n");
        for (what, why) in &self.0 {
            text += &format!("{what},\"{}\"\n", why.replace('"', "\"\""));
        }
        cribble_io::write_file(&path, text.as_bytes())?;
        Ok(path)
    }
}

/// The error for answers that the recipe will not do without. `path` is the list.
pub fn fail_on_missing(
    missing: &MissingList,
    what: &str,
    path: &std::path::Path,
    summary: &Summary,
) -> Error {
    let first =
        missing.0.first().map(|(what, why)| format!("; the first, {what}: {why}")).unwrap_or_default();
    let stop = match &summary.stop {
        Some(Stop::CostCeiling { ceiling, .. }) => format!(" (the cost ceiling of {ceiling} is reached)"),
        Some(Stop::GivenUp { in_row, .. }) => format!(" (stopped after {in_row} failures in a row)"),
        Some(Stop::Refused(_)) => " (stopped: every call would be refused)".into(),
        _ => String::new(),
    };
    let message = format!("{} {what} have no answer{stop}, see {}{first}", missing.len(), path.display());
    Error::new(ErrorKind::Incomplete, message).with_hint(
        "what was answered is kept: the same command asks only for the rest; missing = \"keep\" or \"drop\" goes on without",
    )
}

#[cfg(test)]
mod tests {
    use cribble_chat::{CallError, Usage};

    use super::*;

    #[test]
    fn an_error_says_how_many_where_why_and_what_ended_the_calls() {
        let said = |stop| {
            let mut missing = MissingList::default();
            missing.push("a", "answered 404");
            missing.push("b", "not asked");
            let summary = Summary { answered: 0, missing: 2, stop, usage: Usage::default() };
            let error = fail_on_missing(&missing, "samples", "run/missing.csv".as_ref(), &summary);
            assert_eq!(error.kind(), ErrorKind::Incomplete);
            error.message().to_owned()
        };
        let plain = said(None);
        assert_eq!(plain, "2 samples have no answer, see run/missing.csv; the first, a: answered 404");
        let refusal = CallError {
            endpoint: "http://h/v2".into(),
            model: "m".into(),
            status: Some(404),
            tries: 1,
            what: "answered 404".into(),
            cure: "check the address".into(),
        };
        assert!(said(Some(Stop::Refused(refusal.clone()))).contains("answer (stopped: every call would be"));
        assert!(said(Some(Stop::GivenUp { in_row: 32, last: refusal })).contains("32 failures in a row"));
        assert!(said(Some(Stop::CostCeiling { ceiling: 2.5, spent: 2.4 })).contains("ceiling of 2.5"));
    }
}
