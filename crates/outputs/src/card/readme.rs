//! The dataset card: front matter for the Hub, and a text that tells with the run's own figures what the data is, how it was chosen and how to do
//! that again.
use cribble_core::{Details, StepReport};

use super::{
    Facts,
    markers::Parts,
    options::{is_url, size_category},
    published::{Item, Kind, Published},
    steps,
    text::{block, code, inline, table, yaml},
};
use crate::report::format::{DASH, by_count, bytes, clip, count, counted, number, percent};

/// Reasons and files that a table names; the others are counted.
const MOST_REASONS: usize = 4;
const MOST_FILES: usize = 20;
/// Captions before and after that a card shows, and their characters.
const MOST_EXAMPLES: usize = 3;
const MOST_CHARS: usize = 300;

/// Front matter and text.
pub fn parts(facts: &Facts<'_>) -> Parts {
    Parts { yaml: front_matter(facts), text: body(facts) }
}

fn front_matter(facts: &Facts<'_>) -> Vec<(&'static str, String)> {
    let options = facts.options;
    let mut out: Vec<(&'static str, String)> = Vec::new();
    let mut put = |key: &'static str, lines: String| out.push((key, lines));
    match options.license.as_deref() {
        Some(url) if is_url(url) => {
            put("license", "license: other\n".into());
            put("license_link", format!("license_link: {}\n", yaml(url)));
        }
        // The Hub's identifiers are in lower case.
        given => {
            put("license", format!("license: {}\n", yaml(&given.unwrap_or("unknown").to_ascii_lowercase())))
        }
    }
    let list = |key: &str, items: &[String]| {
        let items: String = items.iter().map(|item| format!("- {}\n", yaml(item))).collect();
        format!("{key}:\n{items}")
    };
    if !options.languages.is_empty() {
        put("language", list("language", &options.languages));
    }
    put("pretty_name", format!("pretty_name: {}\n", yaml(&options.pretty_name)));
    put("size_categories", list("size_categories", &[size_category(facts.samples()).to_owned()]));
    if !options.tasks.is_empty() {
        put("task_categories", list("task_categories", &options.tasks));
    }
    put("tags", list("tags", &facts.tags()));
    if !options.source_datasets.is_empty() {
        put("source_datasets", list("source_datasets", &options.source_datasets));
    }
    let configs = configs(facts.published);
    if !configs.is_empty() {
        put("configs", format!("configs:\n{configs}"));
    }
    out
}

/// What `load_dataset` opens: the samples, or where there are none the selection. Not both: it takes one reader for all configurations of a folder,
/// and tars and tables need two.
fn configs(published: &Published) -> String {
    let samples = published
        .glob(Kind::Table)
        .or_else(|| published.glob(Kind::Tar))
        .map(|glob| ("default", "train", glob));
    let selection = || published.glob(Kind::Selection).map(|glob| ("selection", "all", glob));
    samples.or_else(selection).map_or(String::new(), |(name, split, glob)| {
        format!(
            "- config_name: {name}\n  default: true\n  data_files:\n  - split: {split}\n    path: {}\n",
            yaml(&glob)
        )
    })
}

fn body(facts: &Facts<'_>) -> String {
    let mut out = format!("# {}\n\n{}\n\n", inline(&facts.options.pretty_name), inline(&facts.summary()));
    out += &usage(facts);
    out += &funnel(facts);
    out += "## Steps\n\n";
    for step in &facts.report.steps {
        out += &one_step(step);
    }
    out += &models(facts);
    out += &prompts(facts);
    out += &files(facts.published);
    out += &reproduce(facts);
    out += &limits(facts);
    out
}

fn usage(facts: &Facts<'_>) -> String {
    let Some(repo) = &facts.options.repo else { return String::new() };
    // Of tars the columns of the json are guessed from the first samples; only a stream does not insist on them.
    let how = match facts.published {
        published if published.glob(Kind::Table).is_some() => "split=\"train\"",
        published if published.glob(Kind::Tar).is_some() => "split=\"train\", streaming=True",
        published if published.glob(Kind::Selection).is_some() => "split=\"all\"",
        _ => return String::new(),
    };
    let code = format!("from datasets import load_dataset\n\ndata = load_dataset(\"{repo}\", {how})");
    format!("## Use\n\n{}\n", block("python", &code))
}

fn funnel(facts: &Facts<'_>) -> String {
    let all = facts.report.input.rows;
    let rows = facts.report.steps.iter().map(|step| {
        let counts = &step.counts;
        let mut reasons: Vec<String> = by_count(&counts.dropped)
            .into_iter()
            .map(|(reason, of)| format!("{} {}", code(&clip(reason, 120)), count(of)))
            .chain(
                by_count(&counts.errors)
                    .into_iter()
                    .map(|(error, of)| format!("error {} {}", code(error), count(of))),
            )
            .collect();
        if reasons.len() > MOST_REASONS {
            let more = reasons.len() - MOST_REASONS;
            reasons.truncate(MOST_REASONS);
            reasons.push(format!("and {more} more"));
        }
        vec![
            inline(&step.step),
            count(counts.seen),
            count(counts.kept),
            percent(counts.kept, counts.seen),
            percent(counts.kept, all),
            reasons.join("<br>"),
        ]
    });
    let selection = &facts.report.selection;
    let last = vec![
        "**selection**".to_owned(),
        count(selection.seen),
        format!("**{}**", count(selection.kept)),
        String::new(),
        format!("**{}**", percent(selection.kept, all)),
        match selection.decided {
            0 => String::new(),
            rows => format!("a person decided on {}", counted(rows, "row", "rows")),
        },
    ];
    let heads = ["step", "seen", "kept", "of seen", "of all", "dropped"];
    format!("## Funnel\n\n{}\n", table(&heads, &[false, true, true, true, true, false], rows.chain([last])))
}

fn one_step(step: &StepReport) -> String {
    let mut out = format!("### {} ({})\n\n", inline(&step.step), inline(&step.kind));
    for line in steps::figures(step).into_iter().chain(step.notes.iter().map(|note| inline(note))) {
        out += &format!("- {line}\n");
    }
    let parameters: Vec<String> = steps::parameters(step)
        .iter()
        .map(|(name, value)| code(&format!("{name} = {}", clip(value, 400))))
        .collect();
    if !parameters.is_empty() {
        out += &format!("- parameters: {}\n", parameters.join(", "));
    }
    out.push('\n');
    if let Details::Caption(caption) = &step.details
        && !caption.examples.is_empty()
    {
        let shown = |text: &str| if text.is_empty() { DASH.into() } else { inline(&clip(text, MOST_CHARS)) };
        let rows = caption.examples.iter().take(MOST_EXAMPLES);
        let rows = rows.map(|one| vec![code(&one.uid), shown(&one.before), shown(&one.after)]);
        out += &format!("{}\n", table(&["sample", "before", "after"], &[], rows));
    }
    out
}

fn models(facts: &Facts<'_>) -> String {
    let rows: Vec<Vec<String>> = facts
        .report
        .steps
        .iter()
        .flat_map(|step| steps::models(step).into_iter().map(move |model| (step, model)))
        .map(|(step, model)| {
            let revision = model.revision.as_deref().map_or(DASH.to_owned(), code);
            vec![inline(&step.step), code(&model.name), revision, inline(&model.identity)]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("## Models\n\n{}\n", table(&["step", "model", "revision", "identity"], &[], rows))
}

fn prompts(facts: &Facts<'_>) -> String {
    let mut out = String::new();
    for step in &facts.report.steps {
        let Some(asked) = steps::asked(step) else { continue };
        out += &format!("### {}: prompt {}\n\n", inline(&step.step), code(asked.prompt));
        match (facts.prompt)(asked.prompt) {
            Some(text) => out += &block("text", &text),
            None => {
                out += "The prompt's file is gone, or has changed since the run: its text cannot be shown.\n"
            }
        }
        let sampling: Vec<String> = steps::parameters(step)
            .iter()
            .filter_map(|(name, value)| Some(code(&format!("{} = {value}", name.strip_prefix("chat.")?))))
            .collect();
        out +=
            &format!("\nSampling: {}.", if sampling.is_empty() { DASH.into() } else { sampling.join(", ") });
        if let Some(usage) = asked.usage {
            out += &format!(
                " {}, of which {} were known before; {} asked and {} answered in {}",
                counted(usage.answered.saturating_add(usage.cached), "answer", "answers"),
                count(usage.cached),
                counted(usage.input_tokens, "token", "tokens"),
                count(usage.output_tokens),
                counted(usage.calls, "call", "calls")
            );
            if usage.cost > 0.0 {
                out += &format!(", for {} by the prices of the recipe", number(usage.cost));
            }
            out.push('.');
        }
        out += "\n\n";
    }
    if out.is_empty() { out } else { format!("## Prompts\n\n{out}") }
}

fn files(published: &Published) -> String {
    let row = |item: &Item| {
        let records = item.records.map_or(DASH.to_owned(), count);
        vec![code(&item.path), records, bytes(item.bytes)]
    };
    let all = published.items.len();
    let mut rows: Vec<Vec<String>> = published.items.iter().take(MOST_FILES).map(row).collect();
    if all > MOST_FILES {
        rows.push(vec![
            format!("and {} more", count((all - MOST_FILES) as u64)),
            String::new(),
            String::new(),
        ]);
    }
    let table = table(&["file", "records", "size"], &[false, true, true], rows);
    format!(
        "## Files\n\n{table}\n`croissant.json` has the SHA-256 of every file, the fields of the records, and the provenance.\n\n"
    )
}

fn reproduce(facts: &Facts<'_>) -> String {
    let input = &facts.report.input;
    format!(
        "## How to do it again\n\nWith Cribble {} and the input whose fingerprint is {}, the same recipe gives the same bytes:\n\n{}\n{}\n",
        inline(&facts.report.program_version),
        code(&input.fingerprint),
        block("sh", "cribble run recipe.toml --out run"),
        block("toml", &without_places(facts.recipe))
    )
}

/// A recipe without what says where somebody's server, keys and caches are.
fn without_places(recipe: &str) -> String {
    let hidden = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let is_hidden = ["endpoint", "key_env", "key_file", "cache"].contains(&key.trim());
        (is_hidden && !["\"\"", ""].contains(&value.trim())).then(|| format!("{key}= \"…\""))
    };
    recipe.lines().map(|line| hidden(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

fn limits(facts: &Facts<'_>) -> String {
    let steps = &facts.report.steps;
    let has = |kind: &str| steps.iter().any(|step| step.kind == kind);
    let mut lines = vec![
        "Samples were chosen from what the input held; nothing was fetched, and the rights in pictures and texts are those of their owners."
            .to_owned(),
        "Nobody looked at every sample: what the steps do not test for (faces, private data, harmful content) may be there.".into(),
    ];
    if steps.iter().any(|step| !steps::models(step).is_empty()) {
        lines.push(
            "Scores, verdicts and captions of models carry the errors and preferences of those models."
                .into(),
        );
    }
    if has("caption") || has("rewrite") {
        lines.push("Captions were written by a program and may say what is not in the picture.".into());
    }
    if has("dedup") {
        lines.push("Duplicates were sought by similarity above a threshold, in the cells nearest to each sample: some are left, and some that were dropped were none.".into());
    }
    if has("prune") {
        lines.push("Pruning changes how often subjects occur: the data is no sample of its input.".into());
    }
    let errors: u64 = steps.iter().fold(0, |sum, step| sum.saturating_add(step.counts.errors_total()));
    if errors > 0 {
        lines.push(format!("{} could not be judged and were dropped.", counted(errors, "sample", "samples")));
    }
    if let Some(found) = facts.published.samples().filter(|found| *found != facts.report.selection.kept) {
        lines.push(format!(
            "The run kept {}; these files hold {}.",
            counted(facts.report.selection.kept, "sample", "samples"),
            count(found)
        ));
    }
    if facts.options.license.is_none() {
        lines.push("Nobody has said under which licence this may be used.".into());
    }
    let lines: String = lines.iter().map(|line| format!("- {line}\n")).collect();
    format!("## Limits\n\n{lines}")
}
