//! What a card says of one step, from its report alone: parameters, models, what was asked of them, thresholds and figures.
use cribble_core::{ChatUsage, Details, PruneDetails, StepReport};
use serde_json::Value;

use super::text::{code, inline};
use crate::report::format::{by_count, count, counted, number, percent};

/// Keys of `[step.chat]` that decide answers; the others say where a server is, who pays and how long one waits.
const CHAT: [&str; 5] = ["model", "temperature", "max_tokens", "seed", "extra"];

/// A model that a step used.
pub struct Model {
    /// As the recipe names it.
    pub name: String,
    /// Its revision, where it has one.
    pub revision: Option<String>,
    /// What else identifies it: hash, number format.
    pub identity: String,
}

impl Model {
    /// Name and revision.
    pub fn label(&self) -> String {
        match &self.revision {
            Some(revision) => format!("{}@{revision}", self.name),
            None => self.name.clone(),
        }
    }

    fn named(name: &str, identity: &str) -> Self {
        // `name@revision`, as recipes pin one.
        let (name, revision) =
            name.rsplit_once('@').map_or((name, None), |(name, at)| (name, Some(at.to_owned())));
        Self { name: name.into(), revision, identity: identity.into() }
    }
}

/// What a chat step asked and was answered.
pub struct Asked<'a> {
    /// The prompt, name and version.
    pub prompt: &'a str,
    /// What the calls took.
    pub usage: Option<&'a ChatUsage>,
}

/// Option and value, every default included; of a chat table what decides answers.
pub fn parameters(step: &StepReport) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (name, value) in step.options.iter().filter_map(Value::as_object).flatten() {
        match value.as_object().filter(|_| name == "chat") {
            Some(chat) => {
                let own = chat.iter().filter(|(key, _)| CHAT.contains(&key.as_str()));
                out.extend(own.filter_map(|(key, value)| Some((format!("chat.{key}"), shown(value)?))));
            }
            None => out.extend(shown(value).map(|text| (name.clone(), text))),
        }
    }
    out
}

/// A value as text; none for what was not given.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        value => Some(value.to_string()),
    }
}

/// The models of a step.
pub fn models(step: &StepReport) -> Vec<Model> {
    match &step.details {
        Details::Embed(embed) => {
            let text = |key: &str| embed.model[key].as_str().map(str::to_owned);
            let identity = [("hash", text("hash")), ("numbers", text("dtype"))]
                .into_iter()
                .filter_map(|(name, value)| Some(format!("{name} {}", value?)))
                .collect::<Vec<_>>()
                .join(", ");
            let mut model = Model::named(&text("name").unwrap_or_default(), &identity);
            model.revision = text("revision").or(model.revision);
            vec![model]
        }
        Details::Judge(judge) if judge.usage.is_some() => vec![Model::named(&judge.by, "on a server")],
        Details::Caption(caption) if caption.usage.is_some() => {
            vec![Model::named(&caption.by, "on a server")]
        }
        Details::Referee(referee) => vec![Model::named(&referee.model, "")],
        _ => Vec::new(),
    }
}

/// What a chat step asked; none for other steps.
pub fn asked(step: &StepReport) -> Option<Asked<'_>> {
    let (prompt, usage) = match &step.details {
        Details::Judge(judge) => (&judge.prompt, &judge.usage),
        Details::Caption(caption) => (&caption.prompt, &caption.usage),
        _ => return None,
    };
    (!prompt.is_empty()).then_some(Asked { prompt, usage: usage.as_ref() })
}

/// The figures that are particular to a step, a line of Markdown each.
pub fn figures(step: &StepReport) -> Vec<String> {
    match &step.details {
        // How many images, captions and clusters there were stands in the notes of these steps.
        Details::Embed(embed) => {
            let score =
                embed.mean_score.map(|score| format!("mean cosine of image and caption {}", number(score)));
            let cut = (embed.captions_cut > 0).then(|| {
                format!("{} longer than the model reads", counted(embed.captions_cut, "caption", "captions"))
            });
            score.into_iter().chain(cut).collect()
        }
        Details::Dedup(dedup) => {
            let mut lines = vec![format!(
                "similar means similarity > 1 − {}; {} of duplicates, {} compared",
                number(dedup.epsilon),
                counted(dedup.groups, "group", "groups"),
                counted(dedup.pairs_compared, "pair", "pairs")
            )];
            lines.extend(dedup.recall.as_ref().map(|recall| {
                format!(
                    "of {} among {} sampled rows, {} were found in the cells that were searched",
                    counted(recall.duplicates, "duplicate", "duplicates"),
                    count(recall.sampled),
                    count(recall.found)
                )
            }));
            lines
        }
        Details::Cluster(cluster) => vec![format!(
            "{} clusters, trained on {} of {} rows; mean similarity to the centroid {}",
            count(cluster.k),
            count(cluster.train_rows),
            count(cluster.available_rows),
            number(cluster.mean_sim)
        )],
        Details::Judge(judge) if judge.decided > 0 => {
            vec![format!("a person decided on {}", counted(judge.decided, "cluster", "clusters"))]
        }
        Details::Prune(prune) => quotas(prune),
        Details::Caption(caption) => {
            let states: Vec<String> = by_count(&caption.states)
                .into_iter()
                .map(|(state, of)| format!("{} {}", count(of), inline(state)))
                .collect();
            vec![format!(
                "column {}, by {}: {}; mean length {} words",
                code(&caption.column),
                inline(&caption.by),
                states.join(", "),
                number(caption.mean_words)
            )]
        }
        Details::Referee(referee) => {
            let mut lines = vec![format!(
                "mean similarity of image and caption {} before and {} after",
                number(referee.mean_before),
                number(referee.mean_after)
            )];
            for one in &referee.captions {
                lines.push(format!(
                    "{}: chosen for {} of {}, mean similarity {}",
                    code(&one.column),
                    count(one.chosen),
                    counted(one.rows, "row", "rows"),
                    number(one.mean_sim)
                ));
            }
            lines
        }
        _ => Vec::new(),
    }
}

/// Targets, and how the quotas spread over the clusters.
fn quotas(prune: &PruneDetails) -> Vec<String> {
    let mut lines: Vec<String> = prune
        .targets
        .iter()
        .map(|target| {
            format!(
                "asked for {}: {} of {} kept, in {}",
                inline(&target.label),
                count(target.kept),
                counted(target.target, "row", "rows"),
                code(&target.subset)
            )
        })
        .collect();
    let mut sizes: Vec<u64> = prune.quotas.iter().map(|quota| quota.quota).collect();
    sizes.sort_unstable();
    if let (Some(least), Some(most)) = (sizes.first(), sizes.last()) {
        let full = prune.quotas.iter().filter(|one| one.size > 0 && one.quota == one.size).count() as u64;
        lines.push(format!(
            "quotas of {}: from {} to {} samples, median {}; {} ({}) kept whole",
            counted(sizes.len() as u64, "cluster", "clusters"),
            count(*least),
            count(*most),
            count(sizes[sizes.len() / 2]),
            counted(full, "cluster", "clusters"),
            percent(full, sizes.len() as u64)
        ));
    }
    lines
}
