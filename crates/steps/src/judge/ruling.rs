//! From what was said of a cluster to what becomes of it, and what the report tells of all of them.
use std::collections::BTreeMap;

use cribble_chat::verdict::Verdict;
use cribble_core::{ChatUsage, ClusterVerdict, Unsure};
use cribble_pipeline::{Decided, Decision};

use super::{
    Judge, MOST_REPORTED, Summed,
    ask::Judgement,
    gather::{Sample, shown},
    profile::{self, Profile},
};

/// Characters of an answer that stand for its reason.
const SAID_CHARS: usize = 200;

/// The last word on a cluster, and everything that led to it.
pub struct Ruling {
    pub size: u64,
    /// `acceptable`, `unacceptable`, `abstained`, `unparsed`, `missing`.
    pub verdict: &'static str,
    pub keep: bool,
    pub reason: String,
    pub title: String,
    pub category: String,
    pub language: String,
    pub flags: Vec<String>,
    pub votes: u32,
    pub agreement: f64,
    pub answers: Vec<String>,
    pub decided_by: Option<String>,
    pub profile: Profile,
}

impl Ruling {
    /// A person's word goes above the judge's; what that one said stays to be read.
    pub fn overrule(&mut self, decision: &Decision) {
        self.keep = decision.verdict == Decided::Keep;
        self.decided_by = Some(decision.reason());
    }
}

fn word(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Acceptable) => "acceptable",
        Some(Verdict::Unacceptable) => "unacceptable",
        Some(Verdict::Abstained) => "abstained",
        Some(Verdict::Unparsed) => "unparsed",
        None => "missing",
    }
}

impl Judge {
    /// What becomes of a cluster, before a person has a say.
    pub(super) fn ruling(&self, sample: &Sample, judgement: Option<&Judgement>) -> Ruling {
        let profile = Profile::of(&sample.facts);
        let mut ruling = Ruling {
            size: sample.size,
            verdict: word(None),
            keep: true,
            reason: String::new(),
            title: profile::title(sample),
            category: String::new(),
            language: profile.languages.first().map(|(name, _)| name.clone()).unwrap_or_default(),
            flags: Vec::new(),
            votes: 0,
            agreement: 0.0,
            answers: Vec::new(),
            decided_by: None,
            profile,
        };
        let verdict = match (&self.caller, judgement) {
            (None, _) => {
                let (verdict, reason, flags) = ruling.profile.judge(&self.options);
                (ruling.reason, ruling.flags, ruling.votes, ruling.agreement) = (reason, flags, 1, 1.0);
                Some(verdict)
            }
            (Some(_), None) => None,
            (Some(_), Some(judgement)) => {
                let reading = judgement.reading.clone();
                // Where nothing could be read, a reader wants to see what was said.
                let said =
                    || judgement.answers.first().map(|answer| format!("“{}”", shown(answer, SAID_CHARS)));
                let is_clear = matches!(judgement.verdict, Some(Verdict::Acceptable | Verdict::Unacceptable));
                ruling.reason = reading.reason.or_else(|| said().filter(|_| !is_clear)).unwrap_or_default();
                ruling.title = reading.title.unwrap_or(ruling.title);
                ruling.category = reading.category.unwrap_or_default();
                ruling.language = reading.language.unwrap_or(ruling.language);
                ruling.flags = reading.flags;
                (ruling.votes, ruling.agreement) = (judgement.votes, judgement.agreement);
                ruling.answers.clone_from(&judgement.answers);
                judgement.verdict
            }
        };
        ruling.verdict = word(verdict);
        ruling.keep = match verdict {
            Some(Verdict::Acceptable) => true,
            Some(Verdict::Unacceptable) => false,
            Some(Verdict::Abstained | Verdict::Unparsed) => self.options.unparsed == Unsure::Keep,
            None => self.options.missing == Unsure::Keep,
        };
        ruling
    }

    /// What the report tells: all counts, and the clusters that a reader wants to see first.
    pub(super) fn sum_up(
        &self,
        clusters: &BTreeMap<u32, Sample>,
        rulings: &BTreeMap<u32, Ruling>,
        usage: Option<ChatUsage>,
        stale: u64,
    ) -> Summed {
        let mut summed = Summed { usage, stale, ..Summed::default() };
        for ruling in rulings.values() {
            *summed.clusters.entry(ruling.verdict.into()).or_default() += 1;
            summed.decided += u64::from(ruling.decided_by.is_some());
        }
        // Where not all fit: those with a decision, then the largest.
        let mut order: Vec<u32> = rulings.keys().copied().collect();
        order.sort_by_key(|cluster| {
            let ruling = &rulings[cluster];
            (ruling.decided_by.is_none(), std::cmp::Reverse(ruling.size), *cluster)
        });
        order.truncate(MOST_REPORTED);
        order.sort_unstable();
        summed.verdicts = order
            .into_iter()
            .map(|cluster| {
                let ruling = &rulings[&cluster];
                ClusterVerdict {
                    cluster,
                    size: ruling.size,
                    verdict: ruling.verdict.into(),
                    keep: ruling.keep,
                    title: ruling.title.clone(),
                    category: ruling.category.clone(),
                    reason: ruling.reason.clone(),
                    flags: ruling.flags.clone(),
                    agreement: ruling.agreement,
                    decided_by: ruling.decided_by.clone(),
                    nearest: clusters[&cluster].shown[0]
                        .iter()
                        .take(3)
                        .filter_map(|m| m.caption.clone())
                        .collect(),
                }
            })
            .collect();
        summed
    }
}
