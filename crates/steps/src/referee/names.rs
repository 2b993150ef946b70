//! What the options leave open: the model and the embedding of the embed step before, the captions of the steps before and of the input.
use cribble_core::{EmbedOptions, Error, Result, What, name_hint};
use cribble_io::{is_text, source::Dataset};
use cribble_models::{Encoder, Towers};
use cribble_pipeline::{Embedding, StepContext};

use super::{BEST, Referee};
use crate::captions::{caption_column, text_column};

/// What every column of other captions begins with.
const PREFIX: &str = "caption_";

/// What is compared, settled against the input and the steps before.
pub struct Plan {
    /// The columns of captions, the original first.
    pub columns: Vec<String>,
    /// The images.
    pub embedding: Embedding,
}

/// A candidate's name in the names of its figures.
pub fn short(column: &str) -> &str {
    column.strip_prefix(PREFIX).unwrap_or(column)
}

impl Referee {
    /// Notes the columns of the input that look like captions.
    pub(super) fn look_at(&self, dataset: &Dataset) {
        self.given.get_or_init(|| {
            let fields = dataset.schema().fields().iter();
            let captions =
                fields.filter(|field| is_text(field.data_type()) && field.name().starts_with(PREFIX));
            captions.map(|field| field.name().clone()).filter(|name| !BEST.contains(&name.as_str())).collect()
        });
    }

    /// The columns with the other captions, in the order in which ties are decided.
    pub(super) fn candidates(&self) -> Result<Vec<String>> {
        if !self.options.candidates.is_empty() {
            return Ok(self.options.candidates.clone());
        }
        let given = self.given.get().ok_or_else(|| Error::bug("the input's columns are not known yet"))?;
        let mut found: Vec<String> = Vec::new();
        for name in given.iter().chain(&self.written) {
            if !found.contains(name) && *name != self.options.text {
                found.push(name.clone());
            }
        }
        if found.is_empty() {
            return Err(Error::usage("no captions to compare with the original: no caption_… column before")
                .with_hint("put a caption or rewrite step before, or name columns with candidates = [\"…\"] (--candidates)"));
        }
        Ok(found)
    }

    /// The text encoder.
    pub(super) fn encoder(&self) -> Result<&Encoder> {
        if let Some(encoder) = self.encoder.get() {
            return Ok(encoder);
        }
        let name = match (self.options.model.as_str(), self.source()?) {
            ("", Some(embed)) => &embed.model,
            ("", None) => {
                let what = if self.options.embedding.is_empty() {
                    "model is missing, and no embed step before has images and a model with both encoders"
                        .into()
                } else {
                    format!(
                        "model is missing, and no embed step before has made '{}'",
                        self.options.embedding
                    )
                };
                return Err(Error::usage(what).with_hint(
                    "model = \"…\" (--model): the one that made the embedding of the images, such as openai/clip-vit-large-patch14 for l14_img",
                ));
            }
            (name, _) => name,
        };
        let encoder = self.encoder_of(name);
        let identity = encoder.identity()?;
        if identity.context.is_none() {
            return Err(Error::usage(format!("{} has no text encoder", identity.name)).with_hint(
                "name a CLIP or SigLIP checkpoint, the one that made the embedding of the images",
            ));
        }
        Ok(self.encoder.get_or_init(|| encoder))
    }

    fn encoder_of(&self, name: &str) -> Encoder {
        Encoder::new(name, self.options.dtype, Towers::Texts)
    }

    /// The embed step that the options mean: the last that has images and whose model has both encoders; with an embedding or a model in
    /// the options, the one that made it or that has the same.
    fn source(&self) -> Result<Option<&EmbedOptions>> {
        let options = &self.options;
        for embed in self.embeds.iter().rev() {
            let is_other = !options.embedding.is_empty() && embed.image_name() != options.embedding;
            if is_other || embed.what == What::Text {
                continue;
            }
            let made_by = self.encoder_of(&embed.model);
            let identity = made_by.identity()?;
            let is_wanted = options.model.is_empty()
                || options.model == embed.model
                || self.encoder_of(&options.model).identity()?.hash == identity.hash;
            if is_wanted && identity.preprocess.is_some() && identity.context.is_some() {
                return Ok(Some(embed));
            }
        }
        Ok(None)
    }

    fn embedding(&self, context: &StepContext<'_>) -> Result<Embedding> {
        let name = if self.options.embedding.is_empty() {
            let embed = self.source()?.ok_or_else(|| {
                let arrays: Vec<&str> =
                    context.dataset.arrays().iter().map(|array| array.name.as_str()).collect();
                Error::usage(format!("embedding is missing, and no embed step before has images by {}", self.options.model))
                    .with_hint(if arrays.is_empty() {
                        "put an embed step with this model before, or name an embedding with embedding = \"…\" (--embedding)".into()
                    } else {
                        format!("embedding = \"…\" (--embedding), one of {}", arrays.join(", "))
                    })
            })?;
            embed.image_name()
        } else {
            self.options.embedding.clone()
        };
        let embedding = context.embedding(&name)?;
        let ours = self.encoder()?.identity()?;
        if embedding.info.dim != ours.dim {
            return Err(Error::usage(format!(
                "'{name}' has {} numbers a vector, {} gives {}: they are of different models",
                embedding.info.dim, ours.name, ours.dim
            ))
            .with_hint("model = \"…\" (--model) must be the one that made the embedding of the images"));
        }
        if embedding.folder.is_some() {
            self.require_same_space(&name)?;
        }
        Ok(embedding)
    }

    /// Refuses an embedding of this run that another model made, or that is not of images.
    fn require_same_space(&self, name: &str) -> Result<()> {
        let ours = self.encoder()?.identity()?;
        let images: Vec<String> = self.embeds.iter().map(EmbedOptions::image_name).collect();
        let Some(embed) = self.embeds.iter().find(|embed| embed.image_name() == name) else {
            return Err(Error::usage(format!("'{name}' is an embedding of captions, not of images"))
                .with_hint(name_hint(name, images.iter().map(String::as_str))));
        };
        let theirs = self.encoder_of(&embed.model);
        let theirs = theirs.identity()?;
        if theirs.hash != ours.hash {
            return Err(Error::usage(format!(
                "'{name}' was made by {}, not by {}: similarities between the two mean nothing",
                theirs.name, ours.name
            ))
            .with_hint("leave model out, or name an embedding that it made"));
        }
        Ok(())
    }

    /// Settles all names, and proves that they are there and fit together.
    pub(super) fn plan(&self, context: &StepContext<'_>) -> Result<Plan> {
        let original = caption_column(context, &self.options.text, "")?;
        let mut columns = vec![original];
        for candidate in self.candidates()? {
            if candidate == columns[0] {
                return Err(Error::usage(format!("candidates name '{candidate}', the original caption"))
                    .with_hint("leave it out; it is compared with each of them anyway"));
            }
            columns.push(text_column(context, "candidates", &candidate)?);
        }
        Ok(Plan { columns, embedding: self.embedding(context)? })
    }
}
