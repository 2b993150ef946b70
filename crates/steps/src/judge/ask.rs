//! A model as the judge: one question for each cluster, its votes read and counted. Nothing is dropped on the way: an answer that nobody can
//! read is a verdict of its own, and one that did not come is on the list of what is missing.
use std::collections::BTreeMap;

use cribble_chat::{
    Job, Message, Outcome, Part, Schema,
    verdict::{Reading, Verdict, majority, read},
};
use cribble_core::{ChatUsage, JudgeOptions, Result};
use cribble_io::source::{LastFile, RowImage};
use cribble_pipeline::{GlobalRow, StepContext};
use serde_json::json;

use super::gather::{Member, Sample};
use crate::calls::{Caller, MissingList, Prompt, picture};

/// Places of a judge's prompt, with the names that the luvdatacomp flow gives them.
pub const PLACES: [&[&str]; 4] = [
    &["nearest", "closest_samples", "cluster_data"],
    &["farthest", "furthest_samples"],
    &["random"],
    &["size"],
];
/// Of these at least one must be in a prompt.
pub const NEEDED: usize = 3;

/// What was said of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// `None`: no answer came.
    pub verdict: Option<Verdict>,
    pub reading: Reading,
    pub agreement: f64,
    pub votes: u32,
    /// What was answered, word for word.
    pub answers: Vec<String>,
}

/// Where the images of samples are, for questions with thumbnails.
pub type Places = BTreeMap<GlobalRow, RowImage>;

/// Asks for all clusters. What came, by cluster; what did not, with its reason.
pub fn ask(
    context: &StepContext<'_>,
    options: &JudgeOptions,
    caller: &Caller,
    prompt: &Prompt,
    clusters: &BTreeMap<u32, Sample>,
    places: &Places,
) -> Result<Asked> {
    let mut last = LastFile::default();
    let jobs = clusters.iter().map(|(&cluster, sample)| {
        let message = question(context, options, prompt, sample, places, &mut last)?;
        let (system, user) = message;
        let mut messages: Vec<Message> = system.map(Message::system).into_iter().collect();
        messages.push(user);
        let request = caller.request(messages, options.schema.then(schema));
        Ok(Job { id: cluster.into(), request, votes: options.votes })
    });
    let mut found = BTreeMap::new();
    let mut missing = MissingList::default();
    let mut late = Vec::new();
    let (summary, usage) = caller.ask(context, "clusters", clusters.len() as u64, jobs, |id, outcome| {
        let cluster = id as u32;
        match outcome {
            Outcome::Answered(answers) => {
                let texts: Vec<String> = answers.into_iter().map(|answer| answer.text).collect();
                found.insert(cluster, judgement(texts));
            }
            Outcome::Missing { why, .. } => late.push((cluster, why.to_string())),
        }
    })?;
    late.sort_unstable();
    for (cluster, why) in late {
        missing.push(cluster.to_string(), why);
    }
    Ok(Asked { found, missing, summary, usage })
}

/// What asking gave.
pub struct Asked {
    pub found: BTreeMap<u32, Judgement>,
    pub missing: MissingList,
    pub summary: cribble_chat::Summary,
    pub usage: ChatUsage,
}

/// Reads the votes on a cluster. The words are those of the first vote that says what most say.
pub fn judgement(answers: Vec<String>) -> Judgement {
    let readings: Vec<Reading> = answers.iter().map(|answer| read(answer)).collect();
    let all = majority(&readings.iter().map(|reading| reading.verdict).collect::<Vec<_>>());
    let reading =
        readings.iter().find(|reading| reading.verdict == all.verdict).or(readings.first()).cloned();
    Judgement {
        verdict: Some(all.verdict),
        reading: reading.unwrap_or_else(|| read("")),
        agreement: all.agreement,
        votes: all.votes as u32,
        answers,
    }
}

fn question(
    context: &StepContext<'_>,
    options: &JudgeOptions,
    prompt: &Prompt,
    sample: &Sample,
    places: &Places,
    last: &mut LastFile,
) -> Result<(Option<String>, Message)> {
    let [nearest, farthest, random] = sample.shown.each_ref().map(|members| listed(members));
    let size = sample.size.to_string();
    let (system, user) = prompt.fill(&[&nearest, &farthest, &random, &size]);
    let mut message = Message::user(user);
    for (members, name) in sample.shown.iter().zip(["nearest", "farthest", "random"]) {
        let images = members.iter().take(options.thumbnails as usize);
        let mut images: Vec<_> = images
            .map(|member| {
                picture(context.dataset.storage(), last, places.get(&member.row), options.image_size)
            })
            .collect::<Result<_>>()?;
        // A picture that cannot be read says nothing of the cluster; its caption is in the question all the same.
        images.retain(Result::is_ok);
        if !images.is_empty() {
            message.parts.push(Part::Text(format!("Images of the {name} samples, in their order:")));
            message.parts.extend(images.into_iter().flatten().map(Part::Image));
        }
    }
    Ok((system, message))
}

/// One caption a line, in JSON's quotes: where a caption ends must not depend on what it says.
fn listed(members: &[Member]) -> String {
    if members.is_empty() {
        return "(none)".into();
    }
    let line = |member: &Member| match &member.caption {
        Some(caption) => format!("- {}", json!(caption)),
        None => "- (no caption)".into(),
    };
    members.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The answer that is wanted. Strict servers ask for every field and no other.
fn schema() -> Schema {
    let text = json!({"type": "string"});
    let flags = ["repetitive", "placeholder_text", "adult", "watermark"];
    Schema {
        name: "cluster_verdict".into(),
        schema: json!({
            "type": "object",
            "properties": {
                "classification": {"type": "string", "enum": ["Acceptable", "Unacceptable"]},
                "reason": text,
                "title": text,
                "category": text,
                "language": text,
                "flags": {"type": "array", "items": {"type": "string", "enum": flags}},
            },
            "required": ["classification", "reason", "title", "category", "language", "flags"],
            "additionalProperties": false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_counted_and_the_words_are_of_those_who_won() {
        let answers = [
            "**Classification:** Unacceptable\nTitle: Noise",
            "Classification: Acceptable\nTitle: Cars",
            "acceptable",
        ];
        let found = judgement(answers.map(String::from).to_vec());
        assert_eq!(found.verdict, Some(Verdict::Acceptable));
        assert_eq!((found.reading.title.as_deref(), found.votes), (Some("Cars"), 3));
        assert!((found.agreement - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(judgement(vec!["Well, it depends.".into()]).verdict, Some(Verdict::Unparsed));
    }
}
