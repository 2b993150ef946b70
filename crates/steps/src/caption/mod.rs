//! Step `caption`: a caption for each image, by a vision-language model on a server. The way of the data:
//!
//! ```text
//! prepare (whole)  → the index of input.images, where the pixels lie there
//! caption (shard)  → rows → images, made smaller → questions, many in flight → answers, cleaned → the step's table
//! ```
//!
//! No row is dropped for its caption or its image: the original caption is still there, so a row without a new one stays, with a null in
//! the column and the reason in `state_…`. Images that cannot be read are no errors of this step for the same reason (a step `embed`
//! makes them some); with `missing = "drop"` rows whose calls failed are dropped. So seen = kept + dropped.
mod openings;
mod questions;
mod sheet;
mod text;

use std::{cell::RefCell, sync::OnceLock};

use arrow::datatypes::DataType;
use cribble_chat::{Image, JobId, Message, Request};
use cribble_core::{CaptionOptions, Details, Error, Result, SendImage, Uid};
use cribble_io::source::Dataset;
use cribble_pipeline::{
    Parallel, PhaseSpec, Provides, Step, StepContext, TaskOutput, Unit, UnitKind,
    images::{Pixels, build_index},
};

pub use questions::{Content, Questions, Shown};
pub use sheet::{Column, Sheet, details, notes};
pub use text::by_rules;

use crate::{
    calls::{Caller, Prompt},
    captions::caption_column,
};

/// The column with addresses of images.
const URL: &str = "url";

pub struct Caption {
    options: CaptionOptions,
    column: Column,
    caller: Caller,
    prompt: OnceLock<Prompt>,
}

impl Caption {
    pub fn new(options: CaptionOptions) -> Self {
        let (column, caller) = (Column::from(&options), Caller::new(options.chat.clone()));
        Self { options, column, caller, prompt: OnceLock::new() }
    }

    fn prompt(&self) -> Result<&Prompt> {
        load_once(&self.prompt, &self.options.prompt, &[])
    }

    fn shown(&self, context: &StepContext<'_>) -> Result<Shown<'static>> {
        if self.options.send == SendImage::Url {
            return Ok(Shown::Text(URL, "no_url"));
        }
        let pixels = Pixels::of(context.dataset, context.images).ok_or_else(|| {
            Error::usage(format!(
                "the input ({}) has no images to describe, and input.images is not set",
                context.dataset.layout()
            ))
            .with_hint(
                "set images = \"…\" in [input] (--images) to the tars with the pixels, or send = \"url\" where the server may fetch them",
            )
        })?;
        Ok(Shown::Image(pixels, self.options.image_size))
    }

    fn request(&self, prompt: &Prompt, content: Content) -> Request {
        let (system, question) = prompt.fill(&[]);
        let image = match content {
            Content::Image(image) => image,
            Content::Text(url) => Image::Url(url.trim().into()),
        };
        let question = Message::user(question).with_image(image);
        self.caller.request(system.map(Message::system).into_iter().chain([question]).collect(), None)
    }
}

/// A prompt, read once.
pub fn load_once<'a>(slot: &'a OnceLock<Prompt>, name: &str, places: &[&[&str]]) -> Result<&'a Prompt> {
    if let Some(prompt) = slot.get() {
        return Ok(prompt);
    }
    let prompt = Prompt::load(name, places, places.len())?;
    Ok(slot.get_or_init(|| prompt))
}

/// Asks about the kept rows of a shard and writes its table.
pub fn ask_shard(
    context: &StepContext<'_>,
    caller: &Caller,
    column: &Column,
    shown: Shown<'_>,
    original: Option<&str>,
    shard: u32,
    request: impl Fn(Content) -> Request,
) -> Result<TaskOutput> {
    let uids: Vec<Uid> = context.uids(shard)?;
    let kept = context.kept(shard, &uids)?;
    let sheet = RefCell::new(Sheet::new(column, uids.len()));
    let questions = Questions::new(context, shown, shard, (&uids, &kept), &sheet, request)?;
    let label = format!("{} ({} of {})", context.shard_name(shard), shard + 1, context.shards());
    let total = kept.iter().filter(|&&kept| kept).count() as u64;
    let sink = |id: JobId, outcome| sheet.borrow_mut().answer(id as usize, outcome);
    let (summary, usage) = caller.ask(context, &label, total, questions, sink)?;
    let sheet = sheet.into_inner();
    sheet.settle(context, shard, &uids, &summary)?;
    sheet.write(context, shard, &uids, original, Some(usage))
}

impl Step for Caption {
    fn kind(&self) -> &'static str {
        "caption"
    }

    fn check(&self, context: &StepContext<'_>) -> Result<Vec<String>> {
        let prompt = self.prompt()?;
        let mut notes = self.caller.check("a question an image", context.dataset.rows())?;
        notes.push(format!("prompt {}", prompt.name()));
        notes.push(match self.shown(context)? {
            Shown::Text(column, _) => {
                caption_column(context, column, "")
                    .map_err(|error| error.context("send = \"url\" needs the column"))?;
                format!("the server fetches images from the column {column}")
            }
            Shown::Image(pixels, 0) => format!("images from {}, as they are", pixels.describe(context)?),
            Shown::Image(pixels, size) => {
                format!("images from {}, at most {size} pixels wide or high", pixels.describe(context)?)
            }
        });
        notes.push(self.column.check(context)?);
        Ok(notes)
    }

    fn provides(&self) -> Result<Provides> {
        Ok(provides(&self.column))
    }

    /// The prompt's text; where pixels come from other tars, their names and lengths too.
    fn identity(&self, dataset: &Dataset, images: Option<&str>) -> Result<String> {
        let mut text = self.prompt()?.text().to_owned();
        if let (SendImage::Bytes, Some(pixels)) = (self.options.send, Pixels::of(dataset, images)) {
            text += &pixels.identity(images)?;
        }
        Ok(text)
    }

    fn phases(&self) -> Vec<PhaseSpec> {
        vec![
            PhaseSpec { name: "prepare", unit: UnitKind::Whole, parallel: Parallel::Inner },
            PhaseSpec { name: "caption", unit: UnitKind::Shard, parallel: Parallel::Inner },
        ]
    }

    fn run(&self, context: &StepContext<'_>, phase: &str, unit: Unit) -> Result<TaskOutput> {
        let shown = self.shown(context)?;
        if phase == "prepare" {
            if matches!(shown, Shown::Image(Pixels::Tars, _)) {
                build_index(context)?;
            }
            return Ok(TaskOutput::default());
        }
        let prompt = self.prompt()?;
        // Only for the examples of the report: an input without captions is captioned all the same.
        let original = caption_column(context, "", "").ok();
        ask_shard(context, &self.caller, &self.column, shown, original.as_deref(), unit, |content| {
            self.request(prompt, content)
        })
    }

    fn finish(&self, _context: &StepContext<'_>, outputs: &[(String, Vec<TaskOutput>)]) -> Result<Details> {
        self.caller.close();
        let (by, prompt) = (&self.options.chat.model, self.prompt()?.name());
        Ok(Details::Caption(details(outputs, "caption", &self.column, by, prompt)?))
    }

    fn closing_notes(&self, outputs: &[(String, Vec<TaskOutput>)]) -> Vec<String> {
        details(outputs, "caption", &self.column, &self.options.chat.model, "")
            .map_or_else(|_| Vec::new(), |sum| notes(&sum))
    }
}

/// What later steps find of a column of captions.
pub fn provides(column: &Column) -> Provides {
    let fields: Vec<(String, DataType)> = column.fields().into();
    let fields: Vec<(&str, DataType)> =
        fields.iter().map(|(name, kind)| (name.as_str(), kind.clone())).collect();
    Provides::columns(&fields)
}
