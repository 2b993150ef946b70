//! From what was asked to a vector: by the encoder that made the embedding, or, for a sample, its own row.
use std::path::{Path, PathBuf};

use cribble_core::{Asked, EncoderDtype, Error, ErrorKind, PixelMode, Result, StepOptions, Uid};
use cribble_math::top::Queries;
use cribble_models::{Dtype, Encoder, Identity, Towers};
use cribble_pipeline::{GlobalRow, Place, RunEmbedding, RunView, StepContext};
use cribble_pixels::{Limits, Mode, Scratch};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Rows like a text.
    Text(String),
    /// Rows like an image file.
    Image(PathBuf),
    /// Rows like a sample of the run: its uid, or as many first characters as make it unique.
    Sample(String),
}

/// A query as the arithmetic wants it.
#[derive(Debug)]
pub struct Encoded {
    /// One vector, of whatever length, with as many values as the embedding's.
    pub queries: Queries,
    /// What was asked, for reports.
    pub asked: Asked,
    /// The model that encoded it.
    pub model: Option<String>,
    /// The sample that asked: it is not found itself.
    pub sample: Option<(GlobalRow, Uid)>,
    /// What a person should know of the encoding, sentence by sentence.
    pub notes: Vec<String>,
}

/// Encodes a query for an embedding. `model` names the encoder where the run does not, or where its model lies elsewhere now.
///
/// # Errors
/// No model is known, it cannot be read, has no encoder for what is asked, or is another than the one that made the embedding; the image file is
/// none; there is no such sample, or it has no vector.
pub fn encode(
    view: &RunView,
    context: &StepContext<'_>,
    embedding: &RunEmbedding,
    query: &Query,
    model: Option<&str>,
) -> Result<Encoded> {
    let dim = embedding.embedding.info.dim;
    let (mut notes, mut used, mut sample) = (Vec::new(), None, None);
    let (vector, asked) = match query {
        Query::Sample(uid) => {
            let (vector, found) = row_of(view, context, embedding, uid)?;
            sample = Some(found);
            (vector, Asked::Sample { uid: found.1.to_string(), caption: None })
        }
        Query::Text(text) => {
            if text.trim().is_empty() {
                return Err(Error::usage("the text to search for is empty"));
            }
            let (encoder, name) = encoder_of(embedding, model, Towers::Texts, "a text")?;
            let model = encoder.open()?;
            let tower = model.texts()?;
            let tokens = tower
                .tokenizer()
                .encode(text)
                .map_err(|error| Error::input(format!("the text to search for: {error}")))?;
            if tokens.cut > 0 {
                let most = tower.context();
                notes.push(format!(
                    "the text has {} tokens more than the {most} that {name} reads: they were cut off",
                    tokens.cut
                ));
            }
            used = Some(name);
            (tower.encode(&[tokens])?, Asked::Text { text: text.clone() })
        }
        Query::Image(file) => {
            let (encoder, name) = encoder_of(embedding, model, Towers::All, "an image")?;
            let bytes = read_image(file)?;
            let model = encoder.open()?;
            let tower = model.images()?;
            let (height, width) = tower.preprocess().size();
            let mut pixels = vec![0.0; 3 * height * width];
            let (mode, limits) = pixels_as_in(view, embedding);
            tower.preprocess().run(&bytes, mode, &limits, &mut Scratch::default(), &mut pixels).map_err(
                |error| {
                    Error::input(format!("{}: {error}", file.display()))
                        .with_hint("--image takes a JPEG, PNG, WebP, GIF or BMP file")
                },
            )?;
            used = Some(name);
            (tower.encode(&pixels, 1), Asked::Image { file: file.display().to_string() })
        }
    };
    if vector.len() != dim {
        return Err(Error::bug(format!("a query of {} numbers for rows of {dim}", vector.len())));
    }
    let queries = Queries::new(vector, dim).ok_or_else(|| match &sample {
        Some((_, uid)) => Error::input(format!("sample {uid} has no vector in '{}'", embedding.embedding.info.name))
            .with_hint(format!(
                "it was dropped before it was embedded, or could not be: `cribble why {} {uid}` says what became of it",
                view.run.path().display()
            )),
        None => Error::input("the encoder gave the query a vector without a direction"),
    })?;
    Ok(Encoded { queries, asked, model: used, sample, notes })
}

/// The vector of a sample, and where it stands.
fn row_of(
    view: &RunView,
    context: &StepContext<'_>,
    embedding: &RunEmbedding,
    uid: &str,
) -> Result<(Vec<f32>, (GlobalRow, Uid))> {
    let place = Place::find(&view.run, uid)?;
    let shard = view.shard(&place.shard).ok_or_else(|| {
        Error::input(format!("the run has a shard {} and its input has not", place.shard))
            .with_hint("run the recipe again with the same --out")
    })?;
    if !view.has_vectors(embedding, shard) {
        return Err(Error::input(format!(
            "sample {} has no vector yet: shard {} is not embedded",
            place.uid, place.shard
        ))
        .with_hint("wait until its step gets there, or run the recipe again with the same --out"));
    }
    let mut vector = vec![0.0; embedding.embedding.info.dim];
    context.open_embedding(&embedding.embedding, shard)?.read_f32(place.row as u64, &mut vector)?;
    Ok((vector, (GlobalRow::new(shard, place.row as u32), place.uid)))
}

/// The encoder whose vectors lie in the embedding's space, and its name. That of the run is proven by the hash of its weights; of an array that came
/// with the input only the dimension can be compared.
fn encoder_of(
    embedding: &RunEmbedding,
    model: Option<&str>,
    towers: Towers,
    what: &str,
) -> Result<(Encoder, String)> {
    let info = &embedding.embedding.info;
    let Some(stored) = &embedding.model else {
        let model = model.ok_or_else(|| {
            Error::usage(format!(
                "'{}' came with the input, which does not say what made it: {what} needs the encoder",
                info.name
            ))
            .with_hint("name it with --model (DataComp's l14 is openai/clip-vit-large-patch14, b32 openai/clip-vit-base-patch32), or ask with --uid")
        })?;
        let encoder = Encoder::new(model, EncoderDtype::Auto, towers);
        let dim = encoder.identity()?.dim;
        if dim != info.dim {
            return Err(Error::usage(format!(
                "{model} makes vectors of {dim} numbers, and those of '{}' have {}",
                info.name, info.dim
            ))
            .with_hint("name the model that made them with --model"));
        }
        return Ok((encoder, model.into()));
    };
    let made: Identity = serde_json::from_value(stored.clone())
        .map_err(|error| Error::input(format!("the model of '{}': {error}", info.name)))?;
    let dtype = match made.dtype {
        Dtype::Auto => EncoderDtype::Auto,
        Dtype::F32 => EncoderDtype::F32,
        Dtype::Bf16 => EncoderDtype::Bf16,
    };
    let name = model.unwrap_or(&made.name).to_owned();
    let encoder = Encoder::new(&name, dtype, towers);
    let found =
        encoder.identity().map_err(|error| error.context(format!("the model that made '{}'", info.name)))?;
    if found.hash != made.hash {
        let short = |hash: &str| hash.chars().take(12).collect::<String>();
        return Err(Error::usage(format!(
            "'{}' was made by {} (weights {}), and {name} is another model (weights {}): their vectors do not compare",
            info.name,
            made.name,
            short(&made.hash),
            short(&found.hash)
        ))
        .with_hint("name where the same model lies now with --model, or run the embed step again"));
    }
    Ok((encoder, name))
}

/// An image file's bytes.
fn read_image(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| {
        Error::wrap(ErrorKind::Input, error)
            .context(file.display())
            .with_hint("--image takes a JPEG, PNG, WebP, GIF or BMP file")
    })
}

/// Pixels are prepared as the step that made the embedding did it.
fn pixels_as_in(view: &RunView, embedding: &RunEmbedding) -> (Mode, Limits) {
    match embedding.step.map(|step| &view.recipe.steps[step].options) {
        Some(StepOptions::Embed(embed)) => {
            let mode = match embed.preprocess {
                PixelMode::Exact => Mode::Exact,
                PixelMode::Fast => Mode::Fast,
            };
            (mode, Limits { max_pixels: embed.max_pixels })
        }
        _ => (Mode::Exact, Limits::default()),
    }
}
