//! The judge without a model: facts of a cluster's captions, and plain rules on them. It finds the clusters that need no reading (file names,
//! placeholders, one sentence again and again, scores near nothing); it cannot tell a good caption from a wrong one.
use std::collections::{BTreeMap, HashSet};

use cribble_chat::verdict::Verdict;
use cribble_core::JudgeOptions;

use super::gather::{Fact, Sample};

/// Clusters that repeat themselves more are flagged, whatever becomes of them.
const REPETITIVE: f64 = 0.5;

/// What the rows that were drawn of a cluster have in common. Shares are of the rows with a caption.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// Rows drawn.
    pub drawn: u64,
    /// Of these, with a caption.
    pub captions: u64,
    /// Share of captions that repeat an earlier one of these but for numbers: 1 − distinct / all.
    pub repeated: f64,
    /// Share of captions that are file names, codes or placeholders.
    pub junk: f64,
    /// Languages by share, the most frequent first.
    pub languages: Vec<(String, f64)>,
    /// Mean CLIP score, where there is one.
    pub mean_score: Option<f64>,
    /// Mean distance to the centroid.
    pub mean_dist: f64,
}

impl Profile {
    pub fn of(facts: &[(f32, Fact)]) -> Self {
        let captions: Vec<&Fact> =
            facts.iter().map(|(_, fact)| fact).filter(|fact| fact.form.is_some()).collect();
        let share = |count: usize, of: usize| if of == 0 { 0.0 } else { count as f64 / of as f64 };
        let forms: HashSet<u64> = captions.iter().filter_map(|fact| fact.form).collect();
        let repeated = captions.len() - forms.len();
        let mut languages = BTreeMap::<&str, usize>::new();
        captions.iter().for_each(|fact| *languages.entry(&fact.language).or_default() += 1);
        let mut languages: Vec<(String, f64)> =
            languages.into_iter().map(|(name, count)| (name.into(), share(count, captions.len()))).collect();
        languages.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let scores: Vec<f64> = facts.iter().filter_map(|(_, fact)| fact.score.map(f64::from)).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        Self {
            drawn: facts.len() as u64,
            captions: captions.len() as u64,
            repeated: share(repeated, captions.len()),
            junk: share(captions.iter().filter(|fact| fact.junk).count(), captions.len()),
            languages,
            mean_score: (!scores.is_empty()).then(|| mean(&scores)),
            mean_dist: facts.iter().map(|(sim, _)| 1.0 - f64::from(*sim)).sum::<f64>()
                / facts.len().max(1) as f64,
        }
    }

    /// The languages as text: `en 0.91, de 0.05`; at most three.
    pub fn languages_text(&self) -> String {
        let some = self.languages.iter().take(3).map(|(name, share)| format!("{name} {share:.2}"));
        some.collect::<Vec<_>>().join(", ")
    }

    /// The verdict of the rules, why, and its flags.
    pub fn judge(&self, options: &JudgeOptions) -> (Verdict, String, Vec<String>) {
        let percent = |share: f64| format!("{:.0}%", share * 100.0);
        if self.captions == 0 {
            return (Verdict::Abstained, "no row that was drawn has a caption".into(), Vec::new());
        }
        let (mut reasons, mut flags) = (Vec::new(), Vec::new());
        if self.repeated > options.max_repeated {
            reasons.push(format!("{} of captions repeat an earlier one", percent(self.repeated)));
        }
        if self.repeated > REPETITIVE {
            flags.push("repetitive".to_owned());
        }
        if self.junk > options.max_junk {
            reasons.push(format!("{} are file names, codes or placeholders", percent(self.junk)));
            flags.push("placeholder_text".to_owned());
        }
        if let Some(score) = self.mean_score.filter(|&score| score < options.min_score) {
            reasons.push(format!("mean score {score:.3} below {}", options.min_score));
        }
        if !reasons.is_empty() {
            return (Verdict::Unacceptable, reasons.join("; "), flags);
        }
        let mut reason = format!("{} repeated, {} junk", percent(self.repeated), percent(self.junk));
        if let Some(score) = self.mean_score {
            reason += &format!(", mean score {score:.3}");
        }
        (Verdict::Acceptable, reason, flags)
    }
}

/// A name for a cluster: the words that most of its nearest captions have, in the order of the first.
pub fn title(sample: &Sample) -> String {
    let captions: Vec<Vec<String>> = sample.shown[0]
        .iter()
        .filter_map(|member| member.caption.as_deref())
        .map(|caption| {
            let words = caption.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2);
            words.map(str::to_lowercase).collect()
        })
        .collect();
    let mut counts = BTreeMap::<&str, usize>::new();
    for words in &captions {
        let distinct: std::collections::BTreeSet<&str> = words.iter().map(String::as_str).collect();
        distinct.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
    }
    let mut common: Vec<(&str, usize)> =
        counts.into_iter().filter(|(_, count)| 2 * count > captions.len()).collect();
    common.sort_by_key(|&(word, count)| {
        let first = captions.iter().find_map(|words| words.iter().position(|other| other == word));
        (std::cmp::Reverse(count), first)
    });
    common.truncate(4);
    common.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(captions: &[&str]) -> Vec<(f32, Fact)> {
        let fact = |caption: &&str| Fact {
            form: Some(super::super::junk::form(caption)),
            junk: super::super::junk::is_junk(caption),
            language: "en".into(),
            score: Some(0.25),
        };
        captions.iter().map(|caption| (0.5, fact(caption))).collect()
    }

    #[test]
    fn rules_find_what_needs_no_reading() {
        let options = JudgeOptions { min_score: 0.2, max_repeated: 0.6, ..JudgeOptions::default() };
        let judge = |captions: &[&str]| Profile::of(&facts(captions)).judge(&options);
        assert_eq!(judge(&["a red car", "a blue boat", "two cats"]).0, Verdict::Acceptable);
        let (verdict, reason, flags) =
            judge(&["Buy 1 print", "buy 2 print", "BUY 30 print", "buy 4  print", "buy 5 print", "a dog"]);
        assert_eq!((verdict, flags), (Verdict::Unacceptable, vec!["repetitive".to_owned()]));
        assert!(reason.starts_with("67% of captions repeat"), "{reason}");
        assert_eq!(judge(&["IMG_1.jpg", "DSC_88.jpg", "a dog"]).2, ["placeholder_text"]);
        assert_eq!(Profile::of(&[]).judge(&options).0, Verdict::Abstained);
        let strict = JudgeOptions { min_score: 0.3, ..JudgeOptions::default() };
        assert_eq!(Profile::of(&facts(&["a dog"])).judge(&strict).0, Verdict::Unacceptable);
    }
}
