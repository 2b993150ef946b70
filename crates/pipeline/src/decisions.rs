//! What a person decided: `decisions.jsonl` of the run folder, one line a decision, the last one on the same sample or cluster counts. A
//! decision on a sample overrides every step in the selection; one on a cluster overrides the verdict of a judge, which then runs again (its
//! answers are known). The file is only ever appended to, by `cribble decide`, a page, or a text editor.
use std::{
    collections::{BTreeMap, HashMap},
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

use cribble_core::{Error, ErrorKind, Result, Uid};
use serde::{Deserialize, Serialize};

/// Name of the file in the run folder.
pub const DECISIONS_FILE: &str = "decisions.jsonl";

/// Whether something stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decided {
    /// It stays.
    Keep,
    /// It goes.
    Drop,
}

/// One line of the file. Either `uid` or `cluster` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The sample, 32 hexadecimal characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<u32>,
    /// Hash of the cluster step that the number is of: after another clustering it means another cluster, and the decision is stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clustering: Option<String>,
    /// What was decided.
    pub verdict: Decided,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// When, RFC 3339.
    #[serde(default)]
    pub when: String,
    /// Who.
    #[serde(default)]
    pub by: String,
}

impl Decision {
    /// Who and why, for a reason in a table.
    pub fn reason(&self) -> String {
        let what = match self.verdict {
            Decided::Keep => "kept",
            Decided::Drop => "dropped",
        };
        let by = if self.by.is_empty() { "a person" } else { &self.by };
        if self.why.is_empty() { format!("{what} by {by}") } else { format!("{what} by {by}: {}", self.why) }
    }
}

/// All decisions of a run.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    samples: HashMap<Uid, Decision>,
    clusters: Vec<Decision>,
}

fn path(run: &Path) -> PathBuf {
    run.join(DECISIONS_FILE)
}

impl Decisions {
    /// Reads the file; a run without one has no decisions. A line that cannot be understood is an error: what a person wrote is never
    /// left out without a word.
    pub fn read(run: &Path) -> Result<Self> {
        let path = path(run);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::wrap(ErrorKind::Input, error).context(path.display())),
        };
        let mut decisions = Self::default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let bad = |what: String| {
                Error::input(format!("{}, line {}: {what}", path.display(), number + 1)).with_hint(
                    "a line is such as {\"uid\": \"…\", \"verdict\": \"drop\", \"why\": \"…\", \"by\": \"…\"}, or with \"cluster\" for \"uid\"; mend or remove it",
                )
            };
            let decision: Decision = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
            match (&decision.uid, decision.cluster) {
                (Some(uid), None) => {
                    let uid = Uid::parse(uid.as_bytes()).map_err(|error| bad(error.to_string()))?;
                    decisions.samples.insert(uid, decision);
                }
                (None, Some(_)) => decisions.clusters.push(decision),
                _ => return Err(bad("either uid or cluster must be there".into())),
            }
        }
        Ok(decisions)
    }

    /// Appends one decision, on the disk when this returns.
    pub fn append(run: &Path, decision: &Decision) -> Result<()> {
        let path = path(run);
        let io = |error: std::io::Error| Error::wrap(ErrorKind::Input, error).context(path.display());
        let mut line = serde_json::to_string(decision).map_err(|error| Error::bug(error.to_string()))?;
        line.push('\n');
        // A line that an editor left without its end must not swallow this one.
        if std::fs::read(&path).is_ok_and(|text| text.last().is_some_and(|&byte| byte != b'\n')) {
            line.insert(0, '\n');
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&path).map_err(io)?;
        file.write_all(line.as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)
    }

    /// The decision on a sample.
    pub fn sample(&self, uid: Uid) -> Option<&Decision> {
        self.samples.get(&uid)
    }

    /// The decisions on the clusters of a cluster step with this hash. One without a hash was written by hand, and holds for any.
    pub fn clusters(&self, clustering: &str) -> BTreeMap<u32, &Decision> {
        let holds =
            |decision: &&Decision| decision.clustering.as_deref().is_none_or(|hash| hash == clustering);
        self.clusters
            .iter()
            .filter(holds)
            .filter_map(|decision| Some((decision.cluster?, decision)))
            .collect()
    }

    /// Decisions on clusters of another clustering.
    pub fn stale(&self, clustering: &str) -> usize {
        let other =
            |decision: &&Decision| decision.clustering.as_deref().is_some_and(|hash| hash != clustering);
        self.clusters.iter().filter(other).count()
    }

    /// Number of samples with a decision.
    pub fn samples(&self) -> usize {
        self.samples.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_cluster(cluster: u32, clustering: Option<&str>, verdict: Decided) -> Decision {
        Decision {
            uid: None,
            cluster: Some(cluster),
            clustering: clustering.map(Into::into),
            verdict,
            why: "seen".into(),
            when: String::new(),
            by: "ada".into(),
        }
    }

    #[test]
    fn the_last_decision_counts_and_stale_ones_do_not() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(Decisions::read(run.path()).unwrap().samples(), 0);
        for decision in [
            on_cluster(3, Some("a"), Decided::Drop),
            on_cluster(3, Some("a"), Decided::Keep),
            on_cluster(4, Some("b"), Decided::Drop),
            on_cluster(5, None, Decided::Drop),
        ] {
            Decisions::append(run.path(), &decision).unwrap();
        }
        let mut text = std::fs::read_to_string(path(run.path())).unwrap();
        text += "\n{\"uid\": \"0000000000000000000000000000000a\", \"verdict\": \"drop\"}";
        std::fs::write(path(run.path()), text).unwrap();
        Decisions::append(run.path(), &on_cluster(6, Some("b"), Decided::Drop)).unwrap();
        let decisions = Decisions::read(run.path()).unwrap();
        let of = decisions.clusters("a");
        assert_eq!(of.keys().copied().collect::<Vec<_>>(), [3, 5]);
        assert_eq!((of[&3].verdict, decisions.stale("a")), (Decided::Keep, 2));
        assert_eq!(of[&3].reason(), "kept by ada: seen");
        assert_eq!(decisions.sample(Uid(10)).unwrap().reason(), "dropped by a person");
    }

    #[test]
    fn a_line_that_means_nothing_is_named() {
        let run = tempfile::tempdir().unwrap();
        for line in [
            "{\"uid\": \"xyz\", \"verdict\": \"drop\"}",
            "{\"verdict\": \"drop\"}",
            "{\"cluster\": 1, \"verdict\": \"maybe\"}",
            "{\"cluster\": 1, \"verdct\": \"drop\"}",
            "{\"cluster\": 1, \"verd",
        ] {
            std::fs::write(path(run.path()), format!("\n{line}\n")).unwrap();
            let error = Decisions::read(run.path()).unwrap_err();
            assert!(error.message().contains("decisions.jsonl, line 2: "), "{}", error.message());
        }
    }
}
