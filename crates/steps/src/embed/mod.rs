//! Step `embed`: images and captions to vectors, in this process. The way of the data:
//!
//! ```text
//! prepare (whole)  → embeddings/NAME/model.json; the index of input.images, where the pixels lie there
//! embed (shard)    → blocks of rows → batches, one a thread: read, decode, encode → embeddings/NAME/SHARD.npy, the step's table
//! ```
//!
//! Rows that earlier steps dropped have zero vectors and null columns; rows that cannot be embedded have zero vectors, `keep = false`, their code
//! as reason and a line in `errors.parquet`.
mod batch;
mod memory;
mod shard;

use std::sync::{Arc, OnceLock};

use arrow::datatypes::DataType;
use cribble_core::{Details, EmbedDetails, EmbedOptions, EncoderDevice, Error, Result, What};
use cribble_io::{
    npy::ElementType,
    source::{ArrayInfo, Dataset},
};
use cribble_models::{Encoder, Identity, Model, Towers};
use cribble_pipeline::{
    Parallel, PhaseSpec, Provides, Step, StepContext, TaskOutput, Unit, UnitKind,
    images::{Pixels, build_index},
};
use serde::{Deserialize, Serialize};

use crate::{captions::caption_column, encoder::identity_text, values::from_value};

/// What a recipe can say to need no captions.
const WITHOUT_TEXT: &str = "what = [\"image\"]";
/// Column with the number of tokens that did not fit.
const TOKENS_CUT: &str = "tokens_cut";

pub struct Embed {
    options: EmbedOptions,
    encoder: Encoder,
    sizes: OnceLock<memory::Sizes>,
}

/// What is embedded, settled against model and input.
#[derive(Debug, Clone)]
struct Plan {
    /// Images, from where.
    image: Option<Pixels>,
    /// Captions, from which column.
    text: Option<String>,
}

/// Sums of a shard, for the report.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Tally {
    images: u64,
    texts: u64,
    cut: u64,
    scores: f64,
    /// Rows by score, as in [`EmbedDetails`]; empty until there is one.
    bins: Vec<u64>,
}

impl Tally {
    fn add_score(&mut self, score: f32) {
        self.scores += f64::from(score);
        self.bins.resize(EmbedDetails::SCORE_BINS, 0);
        self.bins[EmbedDetails::score_bin(score)] += 1;
    }
}

impl Embed {
    pub fn new(options: EmbedOptions) -> Self {
        let encoder = Encoder::new(&options.model, options.dtype, Towers::All);
        Self { options, encoder, sizes: OnceLock::new() }
    }

    /// Who the model is; its files are hashed once.
    fn model_identity(&self) -> Result<&Identity> {
        self.encoder.identity()
    }

    /// The weights, opened once.
    fn model(&self) -> Result<Arc<Model>> {
        // The only device there is; a second one has to be handed to the encoder.
        let EncoderDevice::Cpu = self.options.device;
        self.encoder.open()
    }

    /// Whether images and whether captions are embedded.
    fn towers(&self) -> Result<(bool, bool)> {
        let identity = self.model_identity()?;
        let has = (identity.preprocess.is_some(), identity.context.is_some());
        let wants = match self.options.what {
            What::Auto => has,
            What::Image => (true, false),
            What::Text => (false, true),
            What::Both => (true, true),
        };
        for (wanted, there, tower, other) in
            [(wants.0, has.0, "image", "text"), (wants.1, has.1, "text", "image")]
        {
            if wanted && !there {
                return Err(Error::usage(format!("{} has no {tower} encoder", self.options.model))
                    .with_hint(format!("what = [\"{other}\"] embeds what it has one for")));
            }
        }
        Ok(wants)
    }

    fn plan(&self, context: &StepContext<'_>) -> Result<Plan> {
        let (image, text) = self.towers()?;
        let image = match image {
            false => None,
            true => Some(Pixels::of(context.dataset, context.images).ok_or_else(|| {
                Error::usage(format!(
                    "the input ({}) has no images to embed, and input.images is not set",
                    context.dataset.layout()
                ))
                .with_hint(
                    "set images = \"…\" in [input] (--images) to the tars with the pixels, or what = [\"text\"]",
                )
            })?),
        };
        Ok(Plan {
            image,
            text: if text { Some(caption_column(context, &self.options.text, WITHOUT_TEXT)?) } else { None },
        })
    }

    /// The names of the embeddings, images first.
    fn names(&self) -> Result<Vec<String>> {
        let (image, text) = self.towers()?;
        Ok(image
            .then(|| self.options.image_name())
            .into_iter()
            .chain(text.then(|| self.options.text_name()))
            .collect())
    }

    fn prepare(&self, context: &StepContext<'_>) -> Result<TaskOutput> {
        if self.plan(context)?.image == Some(Pixels::Tars) {
            build_index(context)?;
        }
        let mut text = serde_json::to_string_pretty(self.model_identity()?)
            .map_err(|error| Error::bug(error.to_string()))?;
        text.push('\n');
        for name in self.names()? {
            cribble_io::write_file(&context.embedding_folder(&name).join("model.json"), text.as_bytes())?;
        }
        Ok(TaskOutput::default())
    }
}

impl Step for Embed {
    fn kind(&self) -> &'static str {
        "embed"
    }

    fn check(&self, context: &StepContext<'_>) -> Result<Vec<String>> {
        let plan = self.plan(context)?;
        let names = self.names()?;
        for name in &names {
            if context.embedding(name).is_ok() {
                return Err(Error::usage(format!("there is an embedding '{name}' already"))
                    .with_hint("give this one a name of its own: embedding = \"…\" (--embedding)"));
            }
        }
        let identity = self.model_identity()?;
        let mut notes = vec![self.encoder.describe()?];
        if let Some(pixels) = plan.image {
            notes.push(format!(
                "images from {}, preprocess {}",
                pixels.describe(context)?,
                self.options.preprocess
            ));
        }
        if let Some(column) = &plan.text {
            let context = identity.context.unwrap_or_default();
            notes.push(format!("captions from the column {column}, {context} tokens at most"));
        }
        let rows = context.dataset.rows();
        let bytes = rows * (identity.dim * 2 * names.len()) as u64;
        notes.push(format!(
            "writes {} for {rows} rows, {} MB",
            names.iter().map(|name| format!("embeddings/{name}/")).collect::<Vec<_>>().join(" and "),
            bytes.div_ceil(1 << 20)
        ));
        if plan.image.is_some() && plan.text.is_some() {
            notes.push(format!("column {}: cosine of image and caption", self.options.score));
        }
        Ok(notes)
    }

    fn provides(&self) -> Result<Provides> {
        let (image, text) = self.towers()?;
        let mut columns = Vec::new();
        if image && text {
            columns.push((self.options.score.as_str(), DataType::Float32));
        }
        if text {
            columns.push((TOKENS_CUT, DataType::Int32));
        }
        let dim = self.model_identity()?.dim;
        let array = |name| ArrayInfo { name, dim, dtype: ElementType::F16 };
        Ok(Provides {
            embeddings: self.names()?.into_iter().map(array).collect(),
            ..Provides::columns(&columns)
        })
    }

    /// The model's identity; where pixels come from other tars, their names and lengths too.
    fn identity(&self, dataset: &Dataset, images: Option<&str>) -> Result<String> {
        let mut text = identity_text(self.model_identity()?)?;
        if let (true, Some(pixels)) = (self.towers()?.0, Pixels::of(dataset, images)) {
            text += &pixels.identity(images)?;
        }
        Ok(text)
    }

    fn phases(&self) -> Vec<PhaseSpec> {
        vec![
            PhaseSpec { name: "prepare", unit: UnitKind::Whole, parallel: Parallel::Inner },
            PhaseSpec { name: "embed", unit: UnitKind::Shard, parallel: Parallel::Inner },
        ]
    }

    fn run(&self, context: &StepContext<'_>, phase: &str, unit: Unit) -> Result<TaskOutput> {
        match phase {
            "prepare" => self.prepare(context),
            _ => self.embed(context, unit),
        }
    }

    fn finish(&self, _context: &StepContext<'_>, outputs: &[(String, Vec<TaskOutput>)]) -> Result<Details> {
        // The next step has the memory to itself.
        self.encoder.close();
        let tally = tally(outputs)?;
        let identity = self.model_identity()?;
        let scored = tally.images > 0 && tally.texts > 0;
        Ok(Details::Embed(EmbedDetails {
            model: serde_json::to_value(identity).map_err(|error| Error::bug(error.to_string()))?,
            dim: identity.dim as u64,
            images: tally.images,
            texts: tally.texts,
            captions_cut: tally.cut,
            mean_score: scored.then(|| tally.scores / tally.images as f64),
            scores: tally.bins,
            embeddings: self.names()?,
        }))
    }

    fn closing_notes(&self, outputs: &[(String, Vec<TaskOutput>)]) -> Vec<String> {
        let (Ok(tally), Ok(identity)) = (tally(outputs), self.model_identity()) else { return Vec::new() };
        let made: Vec<String> = [("images", tally.images), ("captions", tally.texts)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        let mut notes = Vec::new();
        if !made.is_empty() {
            let (made, dim, name) = (made.join(" and "), identity.dim, &identity.name);
            notes.push(format!("{made} became vectors of {dim} numbers, by {name}"));
        }
        if tally.cut > 0 {
            notes.push(format!(
                "{} of {} captions have more than the {} tokens that the model reads, and were cut",
                tally.cut,
                tally.texts,
                identity.context.unwrap_or_default()
            ));
        }
        notes
    }
}

fn tally(outputs: &[(String, Vec<TaskOutput>)]) -> Result<Tally> {
    let mut sum = Tally::default();
    for output in outputs.iter().filter(|(name, _)| name == "embed").flat_map(|(_, outputs)| outputs) {
        let part: Tally = from_value(output.data.clone())?;
        sum.images += part.images;
        sum.texts += part.texts;
        sum.cut += part.cut;
        sum.scores += part.scores;
        sum.bins.resize(sum.bins.len().max(part.bins.len()), 0);
        sum.bins.iter_mut().zip(&part.bins).for_each(|(sum, part)| *sum += part);
    }
    Ok(sum)
}
