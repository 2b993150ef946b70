//! Step `rewrite`: another wording of a caption in a column of its own, by a language model or, without one, by the rules alone (white
//! space, quotes around the whole, openings such as "This image showcases"). What becomes of rows is as in `caption`.
use std::sync::OnceLock;

use cribble_chat::Message;
use cribble_core::{Details, Result, RewriteOptions};
use cribble_io::source::Dataset;
use cribble_pipeline::{Parallel, PhaseSpec, Provides, Step, StepContext, TaskOutput, Unit, UnitKind};

use crate::{
    calls::{Caller, Prompt},
    caption::{Column, Content, Sheet, Shown, ask_shard, by_rules, details, load_once, notes, provides},
    captions::caption_column,
    sample_rows::{Rows, block_end},
};

/// State of rows without a text.
const NO_CAPTION: &str = "no_caption";
/// Rows that the rules read at once.
const BLOCK: usize = 4096;

pub struct Rewrite {
    options: RewriteOptions,
    column: Column,
    caller: Option<Caller>,
    prompt: OnceLock<Prompt>,
}

impl Rewrite {
    pub fn new(options: RewriteOptions) -> Self {
        let (column, caller) = (Column::from(&options), options.chat.clone().map(Caller::new));
        Self { options, column, caller, prompt: OnceLock::new() }
    }

    fn prompt(&self) -> Result<&Prompt> {
        load_once(&self.prompt, &self.options.prompt, &[&["caption"]])
    }

    fn text(&self, context: &StepContext<'_>) -> Result<String> {
        caption_column(context, &self.options.text, "")
    }

    fn by(&self) -> &str {
        self.options.chat.as_ref().map_or("rules", |chat| &chat.model)
    }

    /// A shard without a model.
    fn tidy(&self, context: &StepContext<'_>, text: &str, shard: u32) -> Result<TaskOutput> {
        let uids = context.uids(shard)?;
        let kept = context.kept(shard, &uids)?;
        let mut sheet = Sheet::new(&self.column, uids.len());
        let mut rows = Rows::open(context, None, Some(text), shard)?;
        let mut start = 0;
        while start < uids.len() {
            context.cancel.check()?;
            let end = block_end(&kept, start, BLOCK);
            for sample in rows.next(start, &uids[start..end], &kept[start..end])? {
                match sample.text.filter(|text| !text.trim().is_empty()) {
                    Some(text) => sheet.put(sample.row, by_rules(&text, self.column.strip)),
                    None => sheet.without(sample.row, NO_CAPTION),
                }
            }
            start = end;
        }
        sheet.write(context, shard, &uids, Some(text), None)
    }
}

impl Step for Rewrite {
    fn kind(&self) -> &'static str {
        "rewrite"
    }

    fn check(&self, context: &StepContext<'_>) -> Result<Vec<String>> {
        let mut sentences =
            vec![format!("captions of the column {}, rewritten by {}", self.text(context)?, self.by())];
        if let Some(caller) = &self.caller {
            sentences.extend(caller.check("a question a caption", context.dataset.rows())?);
            sentences.push(format!("prompt {}", self.prompt()?.name()));
        }
        sentences.push(self.column.check(context)?);
        Ok(sentences)
    }

    fn provides(&self) -> Result<Provides> {
        Ok(provides(&self.column))
    }

    /// The prompt's text; nothing for the rules.
    fn identity(&self, _dataset: &Dataset, _images: Option<&str>) -> Result<String> {
        Ok(if self.caller.is_some() { self.prompt()?.text().to_owned() } else { String::new() })
    }

    fn phases(&self) -> Vec<PhaseSpec> {
        // Calls of one shard fill the server; the rules fill a thread with one.
        let parallel = if self.caller.is_some() { Parallel::Inner } else { Parallel::Outer };
        vec![PhaseSpec { name: "rewrite", unit: UnitKind::Shard, parallel }]
    }

    fn run(&self, context: &StepContext<'_>, _phase: &str, shard: Unit) -> Result<TaskOutput> {
        let text = self.text(context)?;
        let Some(caller) = &self.caller else { return self.tidy(context, &text, shard) };
        let prompt = self.prompt()?;
        let shown = Shown::Text(&text, NO_CAPTION);
        ask_shard(context, caller, &self.column, shown, Some(&text), shard, |content| {
            let caption = match &content {
                Content::Text(text) => text.trim(),
                Content::Image(_) => "",
            };
            let (system, question) = prompt.fill(&[caption]);
            let messages = system.map(Message::system).into_iter().chain([Message::user(question)]);
            caller.request(messages.collect(), None)
        })
    }

    fn finish(&self, _context: &StepContext<'_>, outputs: &[(String, Vec<TaskOutput>)]) -> Result<Details> {
        let prompt = match &self.caller {
            Some(caller) => {
                caller.close();
                self.prompt()?.name()
            }
            None => "",
        };
        Ok(Details::Caption(details(outputs, "rewrite", &self.column, self.by(), prompt)?))
    }

    fn closing_notes(&self, outputs: &[(String, Vec<TaskOutput>)]) -> Vec<String> {
        details(outputs, "rewrite", &self.column, self.by(), "")
            .map_or_else(|_| Vec::new(), |sum| notes(&sum))
    }
}
